"""Accounts, their API keys and their models in DynamoDB.

| item | pk | sk |
|---|---|---|
| account | `{account}#ACCOUNT` | `account` |
| key | `K#{hash}` | `key` |
| key in the list of its account | `{account}#K` | `{created_at}#{key}` |
| catalogue | `{account}#MODELS` | `models` |

The hash of a key is looked up before its account is known.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace

from parley.adapters.dynamodb_conditions import ABSENT, PRESENT
from parley.adapters.dynamodb_expressions import Item, Key, Put, Span, Update
from parley.adapters.dynamodb_items import place
from parley.adapters.dynamodb_table import ConditionFailed, Table
from parley.core.access import ApiKey, KeyRole
from parley.core.context import ContextBudget
from parley.core.errors import Conflict
from parley.core.model import Catalogue, Model

KEY_FIELDS = ("account", "id", "hash", "user_id", "name", "created_at", "revoked_at")


def _hash_key(hash_: str) -> Key:
    return f"K#{hash_}", "key"


def _list_pk(account: str) -> str:
    return f"{account}#K"


def _list_key(key: ApiKey) -> Key:
    return _list_pk(key.account), place(key.created_at, key.id)


def _to_key(item: Item) -> ApiKey:
    return ApiKey(role=KeyRole(item["role"]), **{name: item[name] for name in KEY_FIELDS})


def _to_model(fields: Item) -> Model:
    return Model(**fields | {"budget": ContextBudget(**fields["budget"])})


class DynamoKeys:
    """`ports.KeyStore`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def create_account(self, account: str, name: str, now: int) -> None:
        item = {"pk": f"{account}#ACCOUNT", "sk": "account", "name": name, "created_at": now}
        try:
            await self._table.put(Put(item, ABSENT))
        except ConditionFailed as failed:
            # Its own write, repeated because the response was lost.
            if failed.item != item:
                raise Conflict("the account exists") from None

    async def put_key(self, key: ApiKey) -> None:
        fields = {name: getattr(key, name) for name in KEY_FIELDS} | {"role": key.role}
        places = (_hash_key(key.hash), _list_key(key))
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
        item = await self._table.get(self._key(account))
        stored = item["models"] if item else []
        return Catalogue(tuple(_to_model(fields) for fields in stored))

    async def put_catalogue(self, account: str, catalogue: Catalogue) -> None:
        pk, sk = self._key(account)
        models = [asdict(model) for model in catalogue.models]
        await self._table.put(Put({"pk": pk, "sk": sk, "models": models}))
