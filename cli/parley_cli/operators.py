"""What whoever operates a stack does to its table: accounts, and hosts of llm_clients.

As for `bootstrap` there is no call of the API for these: whoever may write to the stack's
table may do them, and nobody else.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from parley.adapters.dynamodb_accounts import DynamoKeys
from parley.adapters.dynamodb_resources import DynamoResources
from parley.adapters.dynamodb_table import Table, dynamodb_calls
from parley.adapters.system import RandomIds, SystemClock
from parley.core.access import ApiKey, KeyRole, checked_id
from parley.core.address import NAMED, bare_host, is_own
from parley.core.errors import Busy, Conflict, Invalid, TransitionRefused, Unavailable
from parley.core.llm_client import client_of
from parley.core.resource import Kind, Resource
from parley.usecases.keys import issue

from parley_cli.aws import Stack, aws_errors
from parley_cli.errors import NotFound, Refused, Unreachable, Usage

CHANGE_TRIES = 5


def table_of(stack: Stack) -> Table:
    """The stack's table, as its functions use it."""
    return Table(stack.outputs["TableName"], dynamodb_calls(threads=4), SystemClock())


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn what the stores and AWS raise into errors that have an exit code."""
    with aws_errors():
        try:
            yield
        except (Busy, Unavailable) as error:
            raise Unreachable(str(error)) from None


def first_key(account: str, user: str, role: KeyRole, name: str) -> ApiKey:
    """A key of an account that has none to make it with; raises Usage for what is no user id."""
    try:
        checked_id(user, "the user")
    except Invalid as error:
        raise Usage(str(error)) from None
    return ApiKey(account, RandomIds().new("key"), "", user, role, name, SystemClock().now())


async def write_account(keys: DynamoKeys, account: str, name: str) -> bool:
    """Whether the account was written; it was not if there is one with this number."""
    try:
        await keys.create_account(account, name, SystemClock().now())
    except Conflict:
        return False
    return True


async def create_account(stack: Stack, account: str, name: str, user: str) -> str:
    """Write an account, and give it an admin key, which is the answer: it is shown once.

    Raises Refused if the account exists, Usage for what is no user id.
    """
    admin = first_key(account, user, KeyRole.ADMIN, "first")
    keys = DynamoKeys(table_of(stack))
    with store_errors():
        if not await write_account(keys, account, name):
            raise Refused(
                f"the account {account} exists. Another admin key of it: "
                f"parley bootstrap --stack {stack.name} --account {account} --add-key"
            )
        return (await issue(keys, RandomIds(), admin))[1]


async def accounts(stack: Stack) -> Sequence[tuple[str, str, int]]:
    """Number, name and time of creation (ms) of every account of a stack, oldest first."""
    with store_errors():
        return await DynamoKeys(table_of(stack)).accounts()


async def verify_host(stack: Stack, host: str, account: str, client: str) -> tuple[Resource, str]:
    """Let a custom host stand for an llm_client whose manifest names its domain.

    Answers the llm_client, and the host that this one replaces: it has one at a time.
    Raises Usage for what cannot be a custom host, NotFound, Refused if the manifest does
    not name it or the host is another's.
    """
    bare = bare_host(host)
    if not bare or bare != host.lower() or is_own(bare) or NAMED.fullmatch(bare):
        raise Usage(f"{host} cannot be a custom host: it must be a full name such as chat.acme.com")
    resources = DynamoResources(table_of(stack))
    with store_errors():
        for _ in range(CHANGE_TRIES):
            stored = await resources.resource(account, Kind.LLM_CLIENT, client.lower())
            if stored is None:
                raise NotFound(f"the account {account} has no llm_client {client}")
            _check_domain(stored, bare)
            if stored.host == bare:
                return stored, ""
            try:
                return await resources.replace(replace(stored, host=bare)), stored.host
            except TransitionRefused:
                continue  # its manifest was applied meanwhile
            except Conflict:
                raise Refused(f"{bare} is the host of another llm_client") from None
    raise Unreachable(f"{client} is being changed by somebody else")


def _check_domain(client: Resource, host: str) -> None:
    domain = client_of(client).custom_domain
    if not domain:
        raise Refused(
            f"the manifest of {client.name} has no spec.config.customDomain: add it, apply it, "
            "then verify its host"
        )
    if host != domain and not host.endswith(f".{domain}"):
        raise Refused(f"the manifest of {client.name} names {domain}, and {host} is not of it")


async def remove_host(stack: Stack, host: str) -> Resource:
    """Let a custom host stand for nothing any more; the llm_client that it was of."""
    resources = DynamoResources(table_of(stack))
    with store_errors():
        for _ in range(CHANGE_TRIES):
            stored = await resources.by_host(bare_host(host))
            if stored is None:
                raise NotFound(f"{host} is no verified host of an llm_client")
            try:
                return await resources.replace(replace(stored, host=""))
            except TransitionRefused:
                continue
    raise Unreachable(f"{host} is being changed by somebody else")
