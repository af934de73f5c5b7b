"""Counted budgets of the DynamoDB stores: calls, and write units with the indexes."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from parley.adapters.dynamodb_threads import LIST_PAGES
from parley.core.lifecycle import Failure
from parley.core.prompt import Outcome, Prompt, Usage
from parley.core.resource import Kind, Resource
from parley.core.thread import QUESTION, Message, Role, Thread, ToolCall
from parley.ports import PromptQuery, TurnCounts
from parley.usecases.converse import ADDRESS_GROUPS

from tests.budgets.meter import Bill, metered
from tests.budgets.units import item_bytes
from tests.conformance.material import (
    ACCOUNT,
    LEASE,
    a_prompt,
    a_thread,
    accepted,
    answer_of,
    claimed,
    question_of,
    turn_of,
)
from tests.conformance.stores import START, Stores, dynamo_stores, moto_client, new_table

NOW = START + 10_000
TEXT = "x" * 400


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with moto_client() as made:
        yield made


@pytest.fixture
def stores(client: Any) -> Stores:
    return dynamo_stores(client, new_table(client))


@pytest.fixture
def counted() -> Callable[[Awaitable[Any]], Awaitable[tuple[Any, Bill]]]:
    async def count(call: Awaitable[Any]) -> tuple[Any, Bill]:
        with metered() as bill:
            result = await call
        assert bill.largest <= 1024
        return result, bill

    return count


def of_life(turn: int) -> Prompt:
    """A prompt whose fields are as long as they usually are."""
    return a_prompt(
        f"prompt_{turn:024d}",
        "thread_0123456789abcdef01234567",
        turn,
        user_id="user_0123456789abcdef01234567",
        fingerprint="f" * 64,
        model_id="default-large",
        sync=True,
    )


@pytest.mark.parametrize("turn", [2, 1000])
async def test_a_life_costs_the_same_in_a_short_and_a_long_thread(
    stores: Stores, counted: Any, turn: int
) -> None:
    prompt = of_life(turn)
    await stores.threads.create_thread(a_thread(prompt.thread_id, next_turn=turn))

    _, head = await counted(stores.prompts.thread_head(ACCOUNT, prompt.thread_id))
    assert head.by_operation == {"query": 1}
    due = prompt.created_at + 1000
    accept = stores.prompts.accept(prompt, question_of(prompt, TEXT), None, due, 1000)
    _, bill = await counted(accept)
    assert bill.written == (1, 8, 4)
    assert len(head.calls) + len(bill.calls) <= 3
    total = bill.writes

    _, bill = await counted(stores.prompts.head(ACCOUNT, prompt.thread_id))
    assert bill.by_operation == {"query": 1}

    running, bill = await counted(
        stores.prompts.claim(turn_of(prompt), "f" * 64, NOW, NOW + LEASE, alone=False)
    )
    assert (len(bill.calls), bill.writes) == (1, 1)
    total += bill.writes

    _, bill = await counted(stores.prompts.renew(running, NOW + 2 * LEASE))
    assert (len(bill.calls), bill.writes) == (1, 1)
    total += bill.writes

    answer = answer_of(prompt, TEXT, finish_reason="stop")
    _, bill = await counted(stores.prompts.finish(running, NOW, answer, Usage(100, 200)))
    assert bill.written == (1, 6, 3)
    total += bill.writes

    assert total <= 24


async def run(stores: Stores, prompt: Prompt) -> Prompt:
    await accepted(stores, prompt)
    return await claimed(stores, prompt, at=NOW)


async def test_the_first_prompt_of_a_thread(stores: Stores, counted: Any) -> None:
    prompt = a_prompt()
    new = a_thread(next_turn=2)
    call = stores.prompts.accept(prompt, question_of(prompt), new, NOW, 1000)
    _, bill = await counted(call)
    assert (len(bill.calls), bill.writes) == (1, 14)


async def test_rarer_transitions(stores: Stores, counted: Any) -> None:
    failure = Failure("rate_limited", "slow down")
    store = stores.prompts
    costs: dict[str, tuple[int, int]] = {}

    async def cost(name: str, call: Awaitable[Any]) -> Any:
        result, bill = await counted(call)
        costs[name] = (len(bill.calls), bill.writes)
        return result

    running = await run(stores, a_prompt("a", "ta"))
    await cost("request_cancel", store.request_cancel(ACCOUNT, "a"))
    await cost("cancel_expired", store.cancel_expired(ACCOUNT, "a", NOW + LEASE))
    running = await run(stores, a_prompt("b", "tb"))
    await cost("fail", store.fail(running, NOW, failure, NOW + 1))
    again = turn_of(running)
    running = await cost("claim again", store.claim(again, "t2", NOW + 1, NOW + 2, alone=True))
    await cost("takeover", store.claim(again, "t3", NOW + 2, NOW + 3, alone=True))
    await store.claim(again, "t4", NOW + 3, NOW + 4, alone=True)
    await cost("give_up", store.give_up(ACCOUNT, "b", NOW + 4))
    running = await run(stores, a_prompt("c", "tc"))
    await cost("abandon", store.abandon(running, NOW, failure, Outcome.FAILED))
    running = await run(stores, a_prompt("d", "td"))
    partial = answer_of(running, partial=True)
    await store.request_cancel(ACCOUNT, "d")
    canceled = await cost("cancel_running", store.cancel_running(running, NOW, partial))
    await cost("retry", store.retry(canceled, 2, NOW, NOW, 1000))
    head = await store.head(ACCOUNT, "td")
    assert head is not None
    await cost("move_due", store.move_due(head, NOW + 1, 2000))
    await cost("cancel_waiting", store.cancel_waiting(ACCOUNT, "d", NOW))
    await cost("remove", store.remove(ACCOUNT, "d"))
    running = await run(stores, a_prompt("e", "te"))
    await cost("evict", store.evict(running, NOW))

    assert costs == {
        "request_cancel": (1, 1),
        "cancel_expired": (2, 6),
        "fail": (1, 6),
        "claim again": (1, 1),
        # The first claim is refused, which is billed as well.
        "takeover": (2, 2),
        # One unit of these two is for the list of dead letters.
        "give_up": (2, 7),
        "abandon": (1, 7),
        "cancel_running": (1, 9),
        "retry": (2, 15),
        "move_due": (1, 3),
        "cancel_waiting": (2, 6),
        "remove": (2, 9),
        "evict": (1, 6),
    }


def a_session(next_turn: int = 1) -> Thread:
    """As a config makes it, with an opening of usual length."""
    id_ = "ses_" + "0" * 40
    return a_thread(
        id_,
        title="New chat",
        created_by=id_,
        user_ids=(id_,),
        next_turn=next_turn,
        client="stackademy",
        intro=("Welcome to Stackademy!", "Some things you can ask:\n\n" + "- what is it?\n" * 5),
        expires_at=START // 1000 + 86_400,
    )


async def test_a_session_is_made_in_one_call(stores: Stores, counted: Any) -> None:
    _, bill = await counted(stores.threads.create_thread(a_session()))
    assert bill.written == (1, 2, 2)


@pytest.mark.parametrize("turn", [1, 2, 500])
async def test_a_turn_of_a_session_costs_what_a_prompt_s_does(
    stores: Stores, counted: Any, turn: int
) -> None:
    session = a_session(turn)
    await stores.threads.create_thread(session)
    prompt = replace(of_life(turn), thread_id=session.id, user_id=session.id, client=session.client)
    fields = {"updated_at": NOW, "minute": NOW // 60_000, "minute_turns": 1}
    advanced = replace(session, title=TEXT[:100], expires_at=0, **fields)

    _, head = await counted(stores.prompts.thread_head(ACCOUNT, session.id))
    assert head.by_operation == {"query": 1}
    question = question_of(prompt, TEXT)
    accept = stores.prompts.accept(prompt, question, None, NOW, 1000, advanced=advanced)
    _, bill = await counted(accept)
    assert bill.written == (1, 8, 4)

    running = await claimed(stores, prompt, at=NOW)
    call = ToolCall("call_1", "get_current_weather", '{"location": "Wien"}', TEXT, "ok", 300)
    place = (ACCOUNT, session.id, turn)
    rounds = [
        Message(*place, QUESTION + n, f"round_{n}", Role.TOOL, "", NOW, NOW, calls=(call,))
        for n in (1, 2)
    ]
    answer = answer_of(prompt, TEXT, finish_reason="stop")
    _, bill = await counted(stores.prompts.finish(running, NOW, answer, Usage(1, 2), rounds))
    # As any answer, and a write of 1 KB in the transaction for each round, in no index.
    assert bill.written == (1, 6 + 2 * 2, 3)


async def test_a_chat_turn_is_counted_in_one_write(stores: Stores, counted: Any) -> None:
    for caps in ((600, 60), (600, 60), (600, 1)):
        count = stores.chat.count_turn(ACCOUNT, "stackademy", "3ff", 1, caps)
        _, bill = await counted(count)
        assert bill.by_operation == {"update_item": 1}
        assert bill.writes <= 1
    for renew in (False, False, True):
        _, bill = await counted(stores.chat.sticky(ACCOUNT, "id", "text", NOW, renew=renew))
        assert bill.by_operation == {"put_item": 1}


async def test_counting_a_turn_costs_eight_units_however_many_addresses_there_are(
    client: Any,
) -> None:
    """As many turns as a manifest may allow, from everywhere: 100 per second for one key."""
    table = new_table(client)
    turns: dict[str, int] = {f"a_{group:03x}": 6 for group in range(ADDRESS_GROUPS)}
    item = {name: {"N": str(count)} for name, count in (turns | {"n": 5999}).items()}
    key = {"pk": {"S": f"{ACCOUNT}#L#{'x' * 50}"}, "sk": {"S": "0000000001"}}
    client.put_item(TableName=table, Item={**key, **item})
    with metered() as bill:
        count = dynamo_stores(client, table).chat.count_turn
        assert await count(ACCOUNT, "x" * 50, "3ff", 1, (6000, 60)) == TurnCounts()
        assert (await count(ACCOUNT, "x" * 50, "3ff", 1, (6000, 60))).client_full
    assert bill.by_operation == {"update_item": 2}
    assert bill.largest <= 8 * 1024


async def test_every_lookup_of_a_resource_is_one_read(stores: Stores, counted: Any) -> None:
    new = Resource(ACCOUNT, Kind.LLM_CLIENT, "stackademy", NOW, NOW, host="chat.example.com")
    made, bill = await counted(stores.resources.add(new))
    assert bill.by_operation == {"get_item": 1, "transact_write_items": 1}
    _, bill = await counted(stores.resources.replace(made))
    assert bill.by_operation == {"get_item": 1, "transact_write_items": 1}

    place = (ACCOUNT, Kind.LLM_CLIENT)
    store = stores.resources
    for call, read in (
        (store.resource(*place, "stackademy"), "get_item"),
        (store.by_number(*place, 1), "get_item"),
        (store.by_host("chat.example.com"), "get_item"),
        (
            store.some(*place, ["stackademy", *(f"n{number}" for number in range(99))]),
            "batch_get_item",
        ),
        (store.resources(*place, 20, ""), "query"),
        (stores.catalogues.with_client(ACCOUNT, "stackademy", ["courses"]), "batch_get_item"),
    ):
        found, bill = await counted(call)
        assert found
        assert bill.by_operation == {read: 1}


async def test_a_context_reads_no_more_than_is_consumed(stores: Stores) -> None:
    for turn in range(1, 121):
        await accepted(stores, a_prompt(f"p{turn}", turn=turn))

    with metered() as bill:
        messages = stores.threads.context(ACCOUNT, "t1", 120, 40)
        for _ in range(40):
            await anext(messages)
    assert bill.by_operation == {"query": 1}


async def test_a_conversation_is_read_in_one_query_however_long_it_is(
    stores: Stores,
) -> None:
    for turn in range(1, 101):
        await accepted(stores, a_prompt(f"p{turn}", turn=turn))
    for limit in (1, 150):
        with metered() as bill:
            found = await stores.prompts.conversation(ACCOUNT, "t1", limit)
        assert bill.by_operation == {"query": 1}
        assert found.head.thread == await stores.threads.thread(ACCOUNT, "t1")
        assert found.more


async def test_a_list_of_expired_sessions_is_read_in_bounds(stores: Stores) -> None:
    alive = replace(a_session(), id="alive", expires_at=0)
    await stores.threads.create_thread(alive)
    for number in range(40):
        expired = replace(a_session(), id=f"s{number}", created_at=NOW + number)
        await stores.threads.create_thread(replace(expired, expires_at=NOW // 1000))
    stores.clock.ms = NOW + 1000  # expired, and not yet removed

    with metered() as bill:
        page = await stores.threads.sessions(ACCOUNT, "stackademy", 1, "")

    assert bill.by_operation == {"query": LIST_PAGES, "batch_get_item": LIST_PAGES}
    assert page.items == []
    assert page.after
    rest = await stores.threads.sessions(ACCOUNT, "stackademy", 1, page.after)
    assert ([one.id for one in rest.items], rest.after) == (["alive"], "")


async def test_a_list_costs_one_query_and_one_batch(stores: Stores) -> None:
    for number in range(5):
        await accepted(stores, a_prompt(f"p{number}", f"t{number}"))
    with metered() as bill:
        page = await stores.prompts.prompts(PromptQuery(ACCOUNT, "ann"))
        await stores.prompts.count_prompts(PromptQuery(ACCOUNT, "ann"), 1000)
    assert len(page.items) == 5
    assert bill.by_operation == {"query": 2, "batch_get_item": 1}


def test_sizes_follow_the_published_rules() -> None:
    assert item_bytes({"pk": {"S": "é"}, "n": {"N": "100"}, "b": {"BOOL": True}}) == 4 + 4 + 2
    assert item_bytes({"l": {"L": [{"S": "ab"}]}, "m": {"M": {"k": {"S": ""}}}}) == 7 + 6
