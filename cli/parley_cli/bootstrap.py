"""Give a fresh stack its first account, through the layer package's own stores.

There is no call of the API for this: whoever may write to the stack's table may make an
account, and nobody else.
"""

import contextlib
from dataclasses import dataclass, replace

from parley.adapters.dynamodb_accounts import DynamoCatalogues, DynamoKeys
from parley.adapters.system import RandomIds
from parley.core.access import KeyRole
from parley.core.errors import Busy, TransitionRefused
from parley.core.model import Model
from parley.usecases.keys import issue

from parley_cli.aws import Stack, client
from parley_cli.errors import Refused, Unreachable
from parley_cli.operators import first_key, store_errors, table_of, write_account

DEFAULT_PREFIX = "/parley"
CATALOGUE_TRIES = 5


@dataclass(frozen=True)
class FirstModel:
    """An entry of the catalogue to begin with. `key` is the provider's, empty for none."""

    id: str
    base_url: str
    name: str
    key: str = ""


@dataclass(frozen=True)
class Wanted:
    """What is asked for. `plain_user` gets a user's key beside the admin's, if named."""

    account: str
    user: str
    plain_user: str = ""
    add_key: bool = False
    model: FirstModel | None = None


@dataclass(frozen=True)
class Made:
    """The keys, for the one time they are shown."""

    admin_key: str
    user_key: str = ""


async def bootstrap(stack: Stack, wanted: Wanted) -> Made:
    """Write the account with its first keys and model.

    The keys come last: what could fail has not, by the time a key exists. Raises Refused
    if the account exists, unless a key is to be added to it.
    """
    admin = first_key(wanted.account, wanted.user, KeyRole.ADMIN, "bootstrap")
    user = first_key(wanted.account, wanted.plain_user or "user", KeyRole.USER, "bootstrap")
    ids, table = RandomIds(), table_of(stack)
    keys, catalogues = DynamoKeys(table), DynamoCatalogues(table)
    try:
        with store_errors():
            if not await write_account(keys, wanted.account, "") and not wanted.add_key:
                raise Refused(
                    f"the account {wanted.account} exists. Use --add-key for another admin key "
                    "of it, or --account for another account."
                )
            if wanted.model:
                await _add_model(catalogues, stack, wanted.account, wanted.model)
            user_key = (await issue(keys, ids, user))[1] if wanted.plain_user else ""
            return Made((await issue(keys, ids, admin))[1], user_key)
    except Unreachable as error:
        raise Unreachable(f"{error}. If the account was written already, use --add-key.") from None


async def _add_model(
    catalogues: DynamoCatalogues, stack: Stack, account: str, first: FirstModel
) -> None:
    """Put the model into the catalogue, in the place of one with its id, and its secret."""
    if first.key:
        prefix = stack.outputs.get("SecretsPrefix", DEFAULT_PREFIX).rstrip("/")
        client("ssm").put_parameter(
            Name=f"{prefix}/{account}/{first.id}",
            Value=first.key,
            Type="SecureString",
            Overwrite=True,
        )
    model = Model(
        id=first.id,
        base_url=first.base_url,
        provider_model=first.name,
        secret=first.id if first.key else "",
    )
    for _ in range(CATALOGUE_TRIES):
        stored = await catalogues.catalogue(account)
        others = tuple(other for other in stored.models if other.id != first.id)
        default = not any(other.default for other in others)
        models = (*others, replace(model, default=default))
        with contextlib.suppress(TransitionRefused):  # somebody else changed it meanwhile
            return await catalogues.put_catalogue(account, replace(stored, models=models))
    raise Busy("the catalogue is being changed by somebody else")
