"""Accounts, keys, catalogues and resources in DynamoDB: old items, expiry, who is overtaken."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from parley.adapters.dynamodb_expressions import encoded_item
from parley.core.access import ApiKey, KeyRole, key_hash
from parley.core.context import ContextBudget
from parley.core.errors import Busy, Conflict, TransitionRefused
from parley.core.model import Catalogue, Model, ProviderEntry
from parley.core.resource import Kind, Resource

from tests.conformance.faults import LOST, faulty
from tests.conformance.material import ACCOUNT, OTHER
from tests.conformance.stores import START, Stores, dynamo_stores, moto_client, new_table

CLIENT = Resource(ACCOUNT, Kind.LLM_CLIENT, "weather", START, START)
HOST = "chat.example.com"


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with moto_client() as made:
        yield made


@pytest.fixture
def table(client: Any) -> str:
    return new_table(client)


@pytest.fixture
def stores(client: Any, table: str) -> Stores:
    return dynamo_stores(client, table)


def put(client: Any, table: str, **item: Any) -> None:
    client.put_item(TableName=table, Item=encoded_item(item))


def keys_of(client: Any, table: str) -> set[tuple[str, str]]:
    return {(i["pk"]["S"], i["sk"]["S"]) for i in client.scan(TableName=table)["Items"]}


def overtake(stores: Stores, meanwhile: Any, times: int = 1) -> None:
    """Let `meanwhile` happen between the read and the write of the next calls."""
    table = stores.resources._table  # type: ignore[attr-defined]
    transact = table.transact
    left = [times]

    async def overtaken(*arguments: Any, **named: Any) -> None:
        if left[0]:
            left[0] -= 1
            table.transact = transact
            await meanwhile()
            table.transact = overtaken
        await transact(*arguments, **named)

    table.transact = overtaken


async def test_a_catalogue_stored_before_it_had_a_version_is_read_and_replaced(
    stores: Stores, client: Any, table: str
) -> None:
    budget = {"turns": 3, "tokens": 500}
    model = {"id": "m", "base_url": "http://y", "provider_model": "x", "template": "", "secret": ""}
    old = [{**model, "budget": budget, "default": True}]
    put(client, table, pk=f"{ACCOUNT}#MODELS", sk="models", models=old)

    stored = await stores.catalogues.catalogue(ACCOUNT)
    assert stored == Catalogue(
        (Model("m", "http://y", "x", budget=ContextBudget(3, 500), default=True),)
    )
    await stores.catalogues.put_catalogue(
        ACCOUNT, replace(stored, providers=(ProviderEntry("p", "http://z"),))
    )
    again = await stores.catalogues.catalogue(ACCOUNT)
    assert (again.version, again.models, len(again.providers)) == (1, stored.models, 1)
    with pytest.raises(TransitionRefused):
        await stores.catalogues.put_catalogue(ACCOUNT, stored)


async def test_a_key_stored_before_keys_could_end_is_read(
    stores: Stores, client: Any, table: str
) -> None:
    fields = {"account": ACCOUNT, "id": "k", "hash": "h", "user_id": "ann", "name": ""}
    put(client, table, pk="K#h", sk="key", **fields, created_at=1, revoked_at=0, role="admin")
    assert await stores.keys.key("h") == ApiKey(ACCOUNT, "k", "h", "ann", KeyRole.ADMIN, "", 1)


async def test_a_short_lived_key_is_one_item_that_ttl_removes(
    stores: Stores, client: Any, table: str
) -> None:
    hash_, ends = key_hash("secret"), START // 1000 + 3600
    key = ApiKey(ACCOUNT, "k", hash_, "ann", KeyRole.CLIENT, "", START, client="c", expires_at=ends)
    await stores.keys.put_key(key)
    (item,) = client.scan(TableName=table)["Items"]
    assert (item["pk"]["S"], item["expires_at"]["N"]) == (f"K#{hash_}", str(ends))


@pytest.mark.parametrize("number", [1, 2])
async def test_of_two_new_ones_at_once_each_gets_a_number(stores: Stores, number: int) -> None:
    # add a                                add b
    # reads: the last number is n
    #                                      takes n + 1
    # takes n + 1                          <- refused, takes n + 2
    for count in range(1, number):
        await stores.resources.add(replace(CLIENT, name=f"before-{count}"))

    async def meanwhile() -> None:
        assert (await stores.resources.add(replace(CLIENT, name="b"))).number == number

    overtake(stores, meanwhile)
    made = await stores.resources.add(replace(CLIENT, name="a"))
    assert made.number == number + 1
    for one in (number, number + 1):
        found = await stores.resources.by_number(ACCOUNT, Kind.LLM_CLIENT, one)
        assert found is not None
        assert found.number == one


async def test_a_new_one_that_is_overtaken_again_and_again_is_busy(stores: Stores) -> None:
    names = iter(range(100))

    async def meanwhile() -> None:
        await stores.resources.add(replace(CLIENT, name=f"other-{next(names)}"))

    overtake(stores, meanwhile, times=9)
    with pytest.raises(Busy):
        await stores.resources.add(CLIENT)
    assert await stores.resources.resource(ACCOUNT, Kind.LLM_CLIENT, CLIENT.name) is None


async def test_a_name_taken_meanwhile_is_a_conflict(stores: Stores) -> None:
    async def meanwhile() -> None:
        await stores.resources.add(replace(CLIENT, description="theirs"))

    overtake(stores, meanwhile)
    with pytest.raises(Conflict):
        await stores.resources.add(CLIENT)
    found = await stores.resources.by_number(ACCOUNT, Kind.LLM_CLIENT, 1)
    assert found is not None
    assert found.description == "theirs"


@pytest.mark.parametrize("account", [ACCOUNT, OTHER])
async def test_a_host_taken_meanwhile_is_a_conflict(stores: Stores, account: str) -> None:
    made = await stores.resources.add(CLIENT)
    other = await stores.resources.add(replace(CLIENT, account=account, name="other"))

    async def meanwhile() -> None:
        await stores.resources.replace(replace(other, host=HOST))

    overtake(stores, meanwhile)
    with pytest.raises(Conflict):
        await stores.resources.replace(replace(made, host=HOST))
    found = await stores.resources.by_host(HOST)
    assert found is not None
    assert (found.account, found.name) == (account, "other")
    assert await stores.resources.resource(ACCOUNT, Kind.LLM_CLIENT, "weather") == made


async def test_a_change_that_is_overtaken_is_refused(stores: Stores) -> None:
    made = await stores.resources.add(CLIENT)

    async def meanwhile() -> None:
        await stores.resources.replace(replace(made, description="theirs"))

    overtake(stores, meanwhile)
    with pytest.raises(TransitionRefused):
        await stores.resources.replace(replace(made, description="ours"))


async def test_one_that_gets_a_host_while_it_is_deleted_leaves_nothing_behind(
    stores: Stores, client: Any, table: str
) -> None:
    made = await stores.resources.add(CLIENT)

    async def meanwhile() -> None:
        await stores.resources.replace(replace(made, host=HOST))

    overtake(stores, meanwhile)
    await stores.resources.delete(made)
    assert keys_of(client, table) == {(f"{ACCOUNT}#R#LLMClient#n", "last")}


async def test_a_deletion_that_is_overtaken_again_and_again_is_busy(stores: Stores) -> None:
    made = await stores.resources.add(CLIENT)

    async def meanwhile() -> None:
        stored = await stores.resources.resource(ACCOUNT, Kind.LLM_CLIENT, made.name)
        assert stored is not None
        await stores.resources.replace(stored)

    overtake(stores, meanwhile, times=9)
    with pytest.raises(Busy):
        await stores.resources.delete(made)


async def test_a_new_one_whose_answer_was_lost_is_there_once(
    stores: Stores, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    # botocore repeats the call with its token; moto knows none, so the name is taken.
    with faulty(client, TransactWriteItems=[LOST]), pytest.raises(Conflict):
        await stores.resources.add(CLIENT)
    found = await stores.resources.resource(ACCOUNT, Kind.LLM_CLIENT, CLIENT.name)
    assert found == replace(CLIENT, number=1, revision=1)


async def test_keys_of_resources_begin_with_their_account_but_for_a_host_s(
    stores: Stores, client: Any, table: str
) -> None:
    await stores.resources.add(replace(CLIENT, host=HOST))
    assert keys_of(client, table) == {
        (f"{ACCOUNT}#R#LLMClient", "weather"),
        (f"{ACCOUNT}#R#LLMClient#n", "0000000001"),
        (f"{ACCOUNT}#R#LLMClient#n", "last"),
        (f"H#{HOST}", "host"),
    }
