"""Accounts, keys and catalogues."""

from dataclasses import replace

import pytest
from parley.core.access import ApiKey, KeyRole, key_hash
from parley.core.context import ContextBudget
from parley.core.errors import Conflict, TransitionRefused
from parley.core.model import Catalogue, Model, ProviderEntry
from parley.core.resource import Kind, Resource

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
    newer = a_key(
        "k2",
        created_at=START + 5,
        role=KeyRole.CLIENT,
        name="",
        client="weather",
        client_number=7,
    )
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


async def test_accounts_are_listed_oldest_first(stores: Stores) -> None:
    assert list(await stores.keys.accounts()) == []
    await stores.keys.create_account(OTHER, "", START)
    await stores.keys.create_account(ACCOUNT, "Stackademy", START + 1)
    with pytest.raises(Conflict):
        await stores.keys.create_account(ACCOUNT, "again", START + 2)

    expected = [(OTHER, "", START), (ACCOUNT, "Stackademy", START + 1)]
    assert list(await stores.keys.accounts()) == expected


async def test_the_key_of_an_llm_client_is_bound_to_it(stores: Stores) -> None:
    key = a_key("k2", role=KeyRole.CLIENT, client="weather")
    await stores.keys.put_key(key)

    assert await stores.keys.key(key.hash) == key
    assert list(await stores.keys.keys(ACCOUNT)) == [key]
    assert await stores.keys.revoke_key(ACCOUNT, "k2", NOW) == replace(key, revoked_at=NOW)


async def test_a_short_lived_key_ends_by_itself_and_is_in_no_list(stores: Stores) -> None:
    ends = START // 1000 + 3600
    key = a_key(role=KeyRole.CLIENT, client="weather", expires_at=ends, made_by="hash-1")
    await stores.keys.put_key(key)
    assert await stores.keys.key(key.hash) == key
    assert list(await stores.keys.keys(ACCOUNT)) == []
    assert await stores.keys.revoke_key(ACCOUNT, "k1", NOW) is None

    stores.clock.ms = ends * 1000 - 1
    assert await stores.keys.key(key.hash) == key
    stores.clock.ms += 1
    assert await stores.keys.key(key.hash) is None


async def test_a_catalogue_is_replaced_as_a_whole(stores: Stores) -> None:
    assert await stores.catalogues.catalogue(ACCOUNT) == Catalogue()
    budget = ContextBudget(3, 500)
    full = Model("big", "https://x/v1", "gpt", "<s>{prompt}</s>", "openai", budget, 7, default=True)
    entry = ProviderEntry("mine", "https://x/v1", "openai", "gpt", "ours")
    both = Catalogue((full, Model("small", "http://y", "tiny")), (entry,))

    await stores.catalogues.put_catalogue(ACCOUNT, both)
    assert await stores.catalogues.catalogue(ACCOUNT) == replace(both, version=1)
    assert await stores.catalogues.catalogue(OTHER) == Catalogue()

    await stores.catalogues.put_catalogue(ACCOUNT, Catalogue((full,), version=1))
    assert await stores.catalogues.catalogue(ACCOUNT) == Catalogue((full,), version=2)


@pytest.mark.parametrize("read", [0, 1, 3])
async def test_of_two_changes_of_a_catalogue_the_second_is_refused(
    stores: Stores, read: int
) -> None:
    for version in (0, 1):
        await stores.catalogues.put_catalogue(ACCOUNT, Catalogue(version=version))
    late = Catalogue((Model("late", "http://y", "m"),), version=read)

    with pytest.raises(TransitionRefused):
        await stores.catalogues.put_catalogue(ACCOUNT, late)

    assert await stores.catalogues.catalogue(ACCOUNT) == Catalogue(version=2)


async def test_a_catalogue_put_again_after_a_lost_answer_is_a_success(stores: Stores) -> None:
    mine = Catalogue((Model("mine", "http://y", "m"),))
    await stores.catalogues.put_catalogue(ACCOUNT, mine)
    await stores.catalogues.put_catalogue(ACCOUNT, mine)
    assert await stores.catalogues.catalogue(ACCOUNT) == replace(mine, version=1)


async def test_a_catalogue_is_read_together_with_an_llm_client_and_plugins(stores: Stores) -> None:
    catalogues = stores.catalogues
    assert await catalogues.with_client(ACCOUNT, "weather") == (Catalogue(), None, [])
    await catalogues.put_catalogue(ACCOUNT, Catalogue((Model("m", "http://y", "m"),)))
    client, plugin = [
        await stores.resources.add(Resource(ACCOUNT, kind, name, START, START, spec={"a": 1}))
        for kind, name in ((Kind.LLM_CLIENT, "weather"), (Kind.PLUGIN, "weather"))
    ]

    stored = await catalogues.catalogue(ACCOUNT)
    assert await catalogues.with_client(ACCOUNT, "weather") == (stored, client, [])
    with_plugin = await catalogues.with_client(ACCOUNT, "weather", ["absent", "weather"])
    assert with_plugin == (stored, client, [plugin])
    assert await catalogues.with_client(ACCOUNT, "absent", ["absent"]) == (stored, None, [])
    other = await catalogues.with_client(OTHER, "weather", ["weather"])
    assert other == (Catalogue(), None, [])
