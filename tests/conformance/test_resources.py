"""What accounts describe: by name, by number, by host."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from parley.core.errors import Conflict, Invalid, LabelTaken, TransitionRefused
from parley.core.resource import Kind, Resource

from tests.conformance.material import ACCOUNT, OTHER
from tests.conformance.stores import START, Stores

HOST = "chat.example.com"


def a_client(name: str = "weather", **fields: Any) -> Resource:
    values: dict[str, Any] = {
        "account": ACCOUNT,
        "kind": Kind.LLM_CLIENT,
        "created_at": START,
        "updated_at": START,
    }
    return Resource(name=name, **values | fields)


async def found(stores: Stores, resource: Resource) -> list[Resource | None]:
    """By each of the ways to find it."""
    store, place = stores.resources, (resource.account, resource.kind)
    return [
        await store.resource(*place, resource.name),
        await store.by_number(*place, resource.number),
        *([await store.by_host(resource.host)] if resource.host else []),
    ]


async def test_a_new_resource_is_found_by_name_number_and_host(stores: Stores) -> None:
    new = a_client(
        description="Tells the weather — everywhere",
        version="1.2.3",
        tags=("a", "b"),
        annotations=({"smarter.sh/x": "y"}, {"n": 0.25}),
        spec={"config": {"defaultTemperature": 0.7, "deployed": False, "x": None}, "l": [1, "é"]},
        host=HOST,
    )

    made = await stores.resources.add(new)

    assert made == replace(new, number=1, revision=1)
    assert await found(stores, made) == [made] * 3
    assert await stores.resources.by_host("other.example.com") is None
    assert await stores.resources.resource(OTHER, Kind.LLM_CLIENT, "weather") is None
    assert await stores.resources.resource(ACCOUNT, Kind.PLUGIN, "weather") is None
    assert await stores.resources.by_number(ACCOUNT, Kind.LLM_CLIENT, 2) is None


async def test_numbers_count_within_account_and_kind(stores: Stores) -> None:
    made = [
        await stores.resources.add(resource)
        for resource in (
            a_client("b"),
            a_client("a"),
            a_client("a", kind=Kind.PLUGIN),
            a_client("b", account=OTHER),
            a_client("c"),
        )
    ]
    assert [one.number for one in made] == [1, 2, 1, 1, 3]


async def test_a_name_is_taken_once_and_costs_no_number(stores: Stores) -> None:
    first = await stores.resources.add(a_client())
    with pytest.raises(Conflict):
        await stores.resources.add(a_client(description="another"))

    assert await found(stores, first) == [first] * 2
    assert (await stores.resources.add(a_client("next"))).number == 2


async def test_a_label_is_taken_once_and_costs_no_number(stores: Stores) -> None:
    first = await stores.resources.add(a_client("a-b"))
    with pytest.raises(LabelTaken, match="LLMClient a-b has the same label in its host"):
        await stores.resources.add(a_client("a_b"))
    await stores.resources.add(a_client("a_b", account=OTHER))
    await stores.resources.add(a_client("a_b", kind=Kind.PLUGIN))
    await stores.resources.add(a_client("a-b", kind=Kind.PLUGIN))
    await stores.resources.delete(first)
    assert (await stores.resources.add(a_client("a_b"))).number == 2


async def test_of_two_names_with_one_label_at_once_one_is_stored(stores: Stores) -> None:
    names = ("a-b", "a_b")
    adds = (stores.resources.add(a_client(name)) for name in names)
    outcomes = await asyncio.gather(*adds, return_exceptions=True)
    assert sorted(isinstance(one, LabelTaken) for one in outcomes) == [False, True]
    found = await stores.resources.some(ACCOUNT, Kind.LLM_CLIENT, names)
    assert [one.number for one in found] == [1]


async def test_a_change_is_made_of_what_was_read(stores: Stores) -> None:
    made = await stores.resources.add(a_client())
    wanted = replace(made, description="better", spec={"config": {"deployed": True}})

    changed = await stores.resources.replace(wanted)

    assert changed == replace(wanted, revision=2)
    assert await found(stores, changed) == [changed] * 2
    assert await stores.resources.replace(wanted) == changed, "its answer was lost"
    with pytest.raises(TransitionRefused):
        await stores.resources.replace(replace(made, description="of an older one"))
    with pytest.raises(TransitionRefused):
        await stores.resources.replace(a_client("absent", revision=1))
    assert await found(stores, changed) == [changed] * 2


async def test_a_host_moves_with_its_llm_client(stores: Stores) -> None:
    made = await stores.resources.add(a_client())
    with_host = await stores.resources.replace(replace(made, host=HOST))
    assert await found(stores, with_host) == [with_host] * 3

    moved = await stores.resources.replace(replace(with_host, host="www.example.com"))
    assert await stores.resources.by_host(HOST) is None
    assert await found(stores, moved) == [moved] * 3

    without = await stores.resources.replace(replace(moved, host=""))
    assert await stores.resources.by_host("www.example.com") is None
    assert await found(stores, without) == [without] * 2


@pytest.mark.parametrize("account", [ACCOUNT, OTHER])
async def test_a_host_leads_to_one_llm_client(stores: Stores, account: str) -> None:
    first = await stores.resources.add(a_client(host=HOST))
    with pytest.raises(Conflict):
        await stores.resources.add(a_client("other", account=account, host=HOST))
    other = await stores.resources.add(a_client("other", account=account))
    with pytest.raises(Conflict):
        await stores.resources.replace(replace(other, host=HOST))

    assert await stores.resources.by_host(HOST) == first
    assert await found(stores, other) == [other] * 2
    await stores.resources.delete(first)
    assert (await stores.resources.replace(replace(other, host=HOST))).host == HOST


async def test_a_deleted_one_is_gone_and_its_number_with_it(stores: Stores) -> None:
    made = await stores.resources.add(a_client(host=HOST))
    changed = await stores.resources.replace(replace(made, description="since then"))

    await stores.resources.delete(made)
    await stores.resources.delete(made)

    assert await found(stores, changed) == [None] * 3
    again = await stores.resources.add(a_client())
    assert again.number == 2
    await stores.resources.delete(changed)
    assert await found(stores, again) == [again] * 2, "a name used again is another thing"
    with pytest.raises(TransitionRefused):
        await stores.resources.replace(replace(changed, revision=again.revision))


@pytest.mark.parametrize("limit", [1, 2, 3, 20])
async def test_resources_are_listed_by_name(stores: Stores, limit: int) -> None:
    for name in ("c", "a-b", "a", "a_c", "b"):
        await stores.resources.add(a_client(name))
    await stores.resources.add(a_client("other", account=OTHER))
    await stores.resources.add(a_client("plugin", kind=Kind.PLUGIN))

    names: list[str] = []
    after = ""
    while not names or after:
        page = await stores.resources.resources(ACCOUNT, Kind.LLM_CLIENT, limit, after)
        assert len(page.items) <= limit
        names += [one.name for one in page.items]
        after = page.after
    assert names == ["a", "a-b", "a_c", "b", "c"]
    empty = await stores.resources.resources(ACCOUNT, Kind.SECRET, limit, "")
    assert (list(empty.items), empty.after) == ([], "")
    with pytest.raises(Invalid):
        await stores.resources.resources(ACCOUNT, Kind.LLM_CLIENT, limit, "rubbish")


async def test_some_are_found_by_their_names(stores: Stores) -> None:
    made = {n: await stores.resources.add(a_client(n, kind=Kind.PLUGIN)) for n in ("a", "b", "c")}
    await stores.resources.add(a_client("d"))

    some = await stores.resources.some(ACCOUNT, Kind.PLUGIN, ["c", "absent", "a", "d", "c"])

    assert {one.name: one for one in some} == {"a": made["a"], "c": made["c"]}
    assert len(some) == 2
    assert list(await stores.resources.some(ACCOUNT, Kind.PLUGIN, [])) == []
