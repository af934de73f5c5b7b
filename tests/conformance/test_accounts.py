"""Accounts, keys and catalogues."""

from dataclasses import replace

import pytest
from parley.core.access import ApiKey, KeyRole, key_hash
from parley.core.context import ContextBudget
from parley.core.errors import Conflict
from parley.core.model import Catalogue, Model

from tests.conformance.material import ACCOUNT, OTHER
from tests.conformance.stores import START, Stores

NOW = START + 1000


def a_key(id_: str = "k1", **fields: object) -> ApiKey:
    key = ApiKey(ACCOUNT, id_, key_hash(id_), "ann", KeyRole.ADMIN, "laptop", START)
    return replace(key, **fields)  # type: ignore[arg-type]


async def test_an_account_is_created_once(stores: Stores) -> None:
    await stores.keys.create_account(ACCOUNT, "first", START)
    await stores.keys.create_account(OTHER, "second", START)
    with pytest.raises(Conflict):
        await stores.keys.create_account(ACCOUNT, "again", START)


async def test_keys_are_found_by_hash_and_listed_oldest_first(stores: Stores) -> None:
    newer = a_key("k2", created_at=START + 5, role=KeyRole.USER, name="")
    for key in (newer, a_key(), a_key("k3", account=OTHER)):
        await stores.keys.put_key(key)

    assert await stores.keys.key(key_hash("k2")) == newer
    assert await stores.keys.key(key_hash("absent")) is None
    assert list(await stores.keys.keys(ACCOUNT)) == [a_key(), newer]


async def test_a_revoked_key_keeps_the_time_of_its_first_revocation(stores: Stores) -> None:
    await stores.keys.put_key(a_key())
    revoked = replace(a_key(), revoked_at=NOW)

    assert await stores.keys.revoke_key(ACCOUNT, "k1", NOW) == revoked
    assert await stores.keys.revoke_key(ACCOUNT, "k1", NOW + 5) == revoked
    assert await stores.keys.key(a_key().hash) == revoked
    assert list(await stores.keys.keys(ACCOUNT)) == [revoked]
    assert await stores.keys.revoke_key(OTHER, "k1", NOW) is None
    assert await stores.keys.revoke_key(ACCOUNT, "absent", NOW) is None


async def test_a_catalogue_is_replaced_as_a_whole(stores: Stores) -> None:
    assert await stores.catalogues.catalogue(ACCOUNT) == Catalogue()
    budget = ContextBudget(3, 500)
    full = Model("big", "https://x/v1", "gpt", "<s>{prompt}</s>", "openai", budget, default=True)
    both = Catalogue((full, Model("small", "http://y", "tiny")))

    await stores.catalogues.put_catalogue(ACCOUNT, both)
    assert await stores.catalogues.catalogue(ACCOUNT) == both
    assert await stores.catalogues.catalogue(OTHER) == Catalogue()

    await stores.catalogues.put_catalogue(ACCOUNT, Catalogue((full,)))
    assert await stores.catalogues.catalogue(ACCOUNT) == Catalogue((full,))
