"""Accounts, their API keys and their models in DynamoDB.

| item | pk | sk |
|---|---|---|
| account | `{account}#ACCOUNT` | `account` |
| account in the list of all | `ACCOUNTS` | `{created_at}#{account}` |
| key | `K#{hash}` | `key` |
| key in the list of its account | `{account}#K` | `{created_at}#{key}` |
| catalogue | `{account}#MODELS` | `models` |

The hash of a key is looked up before its account is known, and the list of accounts is for
operators, who have none. A key that a page gets for an hour expires, and is in no list.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace

from parley.adapters.dynamodb_conditions import ABSENT, PRESENT
from parley.adapters.dynamodb_expressions import Condition, Item, Key, Put, Span, Update
from parley.adapters.dynamodb_items import place, plain, taken
from parley.adapters.dynamodb_resources import resource_key, to_resource
from parley.adapters.dynamodb_table import ConditionFailed, Table, TransactionFailed
from parley.core.access import ApiKey, KeyRole
from parley.core.context import ContextBudget
from parley.core.errors import Conflict, TransitionRefused
from parley.core.model import Catalogue, Model, ProviderEntry
from parley.core.resource import Kind, Resource

ACCOUNTS = "ACCOUNTS"
KEY_FIELDS = ("account", "id", "hash", "user_id", "name", "created_at", "revoked_at")
# Stored only if there is something in them: a time to expire that is 0 would be past.
KEY_RARE = ("client", "expires_at", "made_by", "client_number")


def _hash_key(hash_: str) -> Key:
    return f"K#{hash_}", "key"


def _list_pk(account: str) -> str:
    return f"{account}#K"


def _list_key(key: ApiKey) -> Key:
    return _list_pk(key.account), place(key.created_at, key.id)


def _to_key(item: Item) -> ApiKey:
    fields = {name: item[name] for name in KEY_FIELDS} | taken(item, KEY_RARE)
    return ApiKey(role=KeyRole(item["role"]), **fields)


def _to_model(fields: Item) -> Model:
    return Model(**fields | {"budget": ContextBudget(**fields["budget"])})


class DynamoKeys:
    """`ports.KeyStore`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def create_account(self, account: str, name: str, now: int) -> None:
        fields: Item = {"name": name, "created_at": now}
        item = {"pk": f"{account}#ACCOUNT", "sk": "account", **fields}
        listed = {"pk": ACCOUNTS, "sk": place(now, account), **fields}
        try:
            await self._table.transact([Put(item, ABSENT), Put(listed)])
        except TransactionFailed as failed:
            # Its own write, repeated because the response was lost.
            if failed.refusals[0].item != item:
                raise Conflict("the account exists") from None

    async def accounts(self) -> Sequence[tuple[str, str, int]]:
        items = await self._table.every(Span(ACCOUNTS))
        return [(i["sk"].partition("#")[2], i["name"], i["created_at"]) for i in items]

    async def put_key(self, key: ApiKey) -> None:
        fields = {name: getattr(key, name) for name in KEY_FIELDS} | {"role": key.role}
        fields |= plain(key, KEY_RARE)
        places = [_hash_key(key.hash)]
        if not key.expires_at:
            places.append(_list_key(key))
        await self._table.transact([Put({"pk": pk, "sk": sk, **fields}) for pk, sk in places])

    async def key(self, hash_: str) -> ApiKey | None:
        item = await self._table.get(_hash_key(hash_))
        return _to_key(item) if item else None

    async def keys(self, account: str) -> Sequence[ApiKey]:
        return [_to_key(item) for item in await self._table.every(Span(_list_pk(account)))]

    async def revoke_key(self, account: str, key_id: str, now: int) -> ApiKey | None:
        """A key has a handful of siblings: the account's list is read to find it."""
        for key in await self.keys(account):
            if key.id == key_id:
                return key if key.revoked_at else await self._revoke(key, now)
        return None

    async def _revoke(self, key: ApiKey, now: int) -> ApiKey:
        await self._table.transact(
            [
                Update(place_, sets={"revoked_at": now}, condition=PRESENT)
                for place_ in (_hash_key(key.hash), _list_key(key))
            ]
        )
        return replace(key, revoked_at=now)


class DynamoCatalogues:
    """`ports.CatalogueStore`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    @staticmethod
    def _key(account: str) -> Key:
        return f"{account}#MODELS", "models"

    async def catalogue(self, account: str) -> Catalogue:
        return _to_catalogue(await self._table.get(self._key(account)))

    async def put_catalogue(self, account: str, catalogue: Catalogue) -> None:
        """Race: two changes are made of one version. The second would undo the first."""
        pk, sk = self._key(account)
        item: Item = {
            "pk": pk,
            "sk": sk,
            "models": [asdict(model) for model in catalogue.models],
            "providers": [asdict(provider) for provider in catalogue.providers],
            "version": catalogue.version + 1,
        }
        # Catalogues used to be stored without a version.
        unmoved = Condition("attribute_not_exists(#version)")
        if catalogue.version:
            unmoved = Condition("#version = :read", {":read": catalogue.version})
        try:
            await self._table.put(Put(item, unmoved))
        except ConditionFailed as failed:
            # Its own write, repeated because the response was lost.
            if failed.item != item:
                raise TransitionRefused("put_catalogue") from None

    async def with_client(
        self, account: str, client: str, plugins: Sequence[str] = ()
    ) -> tuple[Catalogue, Resource | None, Sequence[Resource]]:
        catalogue, described = self._key(account), resource_key(account, Kind.LLM_CLIENT, client)
        others = [resource_key(account, Kind.PLUGIN, name) for name in plugins]
        found = await self._table.batch_get([catalogue, described, *others])
        resources = {key: to_resource(item) for key, item in found.items() if key != catalogue}
        known = [resources[key] for key in others if key in resources]
        return _to_catalogue(found.get(catalogue)), resources.get(described), known


def _to_catalogue(item: Item | None) -> Catalogue:
    stored = item or {}
    return Catalogue(
        tuple(_to_model(fields) for fields in stored.get("models", ())),
        tuple(ProviderEntry(**fields) for fields in stored.get("providers", ())),
        stored.get("version", 0),
    )
