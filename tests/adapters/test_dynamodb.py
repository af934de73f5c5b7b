"""What only the DynamoDB stores can get wrong: expiry, sizes, cursors, leftovers, races."""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from parley.adapters.dynamodb_expressions import decoded, encoded
from parley.core.access import TEXT_LIMIT_BYTES
from parley.core.errors import (
    Busy,
    Conflict,
    Invalid,
    NotFound,
    ThreadDeleted,
    TransitionRefused,
    TurnTaken,
    Unauthenticated,
)
from parley.core.lifecycle import Failure
from parley.core.prompt import UNFINISHED, Status
from parley.core.thread import Message
from parley.ports import Connection, LiveText, PromptQuery, Subscriber, ThreadChanges

from tests.budgets.meter import metered
from tests.conformance.material import (
    ACCOUNT,
    ANN,
    LEASE,
    a_prompt,
    a_thread,
    accepted,
    answer_of,
    claimed,
    question_of,
)
from tests.conformance.stores import START, Stores, dynamo_stores, moto_client, new_table

NOW = START + 10_000
WEEK = 7 * 24 * 60 * 60 * 1000


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


def raw_items(client: Any, table: str) -> list[dict[str, Any]]:
    items = client.scan(TableName=table)["Items"]
    return [{name: decoded(value) for name, value in item.items()} for item in items]


@pytest.mark.parametrize(
    "value", ["", "é", 0, -7, 10**15, True, False, [], ["a", 1, [True]], {}, {"a": {"b": ["c"]}}]
)
def test_values_survive(value: Any) -> None:
    again = decoded(encoded(value))
    assert again == value
    assert type(again) is type(value)


def test_a_value_of_another_kind_is_a_bug() -> None:
    with pytest.raises(TypeError):
        encoded(1.5)


async def test_every_partition_starts_with_its_account(
    stores: Stores, client: Any, table: str
) -> None:
    running = await claimed(stores, await accepted(stores, a_prompt()))
    await stores.prompts.finish(running, NOW, answer_of(running), None)
    await stores.subscribers.put_live(ACCOUNT, LiveText("p1", "t1", 1, 1, "x"), NOW)
    await stores.subscribers.watch(ACCOUNT, "t1", NOW)

    items = raw_items(client, table)
    assert len(items) == 6
    assert all(item["pk"].startswith(ACCOUNT + "#") for item in items)


async def test_no_lease_is_left_on_an_ended_prompt(stores: Stores, client: Any, table: str) -> None:
    running = await claimed(stores, await accepted(stores, a_prompt()))
    await stores.prompts.finish(running, NOW, answer_of(running), None)

    (prompt,) = [item for item in raw_items(client, table) if item["sk"] == "prompt"]
    assert "lease_token" not in prompt
    assert not [item for item in raw_items(client, table) if "duepk" in item]


async def test_the_mark_of_a_deleted_thread_lasts_a_week(
    stores: Stores, client: Any, table: str
) -> None:
    await stores.threads.create_thread(a_thread())
    await stores.threads.mark_deleted(ACCOUNT, "t1", NOW)
    stores.clock.ms += WEEK
    assert await stores.threads.thread(ACCOUNT, "t1") is not None

    assert await stores.threads.delete_page(ACCOUNT, "t1", 10)
    stores.clock.ms += WEEK - 1000
    with pytest.raises(ThreadDeleted):
        await stores.threads.create_thread(a_thread())
    with pytest.raises(ThreadDeleted):
        await accepted(stores, a_prompt())

    stores.clock.ms += 1000
    assert len(raw_items(client, table)) == 1
    assert await stores.threads.thread(ACCOUNT, "t1") is None
    assert await stores.threads.mark_deleted(ACCOUNT, "t1", NOW) is None
    assert await stores.threads.delete_page(ACCOUNT, "t1", 10)
    await accepted(stores, a_prompt())
    assert await stores.threads.thread(ACCOUNT, "t1") == a_thread(next_turn=2)


async def test_only_a_marked_thread_without_open_turns_is_deleted(stores: Stores) -> None:
    await accepted(stores, a_prompt())
    with pytest.raises(Conflict):
        await stores.threads.delete_page(ACCOUNT, "t1", 10)
    await stores.threads.mark_deleted(ACCOUNT, "t1", NOW)

    assert not await stores.threads.delete_page(ACCOUNT, "t1", 10)
    assert await stores.prompts.head(ACCOUNT, "t1") is not None


async def test_a_deletion_leaves_nothing_but_the_mark(
    stores: Stores, client: Any, table: str
) -> None:
    thread = a_thread(user_ids=("bob", "cid"), next_turn=2)
    prompt = await accepted(stores, a_prompt(), thread)
    await stores.prompts.cancel_waiting(ACCOUNT, "p1", NOW)
    await stores.subscribers.put_live(ACCOUNT, LiveText("p1", "t1", 1, 1, "x"), NOW)
    await stores.subscribers.watch(ACCOUNT, "t1", NOW)
    await stores.threads.put_message(replace(question_of(prompt), id="note"))
    await stores.threads.mark_deleted(ACCOUNT, prompt.thread_id, NOW)

    while not await stores.threads.delete_page(ACCOUNT, "t1", 1):
        pass
    (mark,) = raw_items(client, table)
    assert (mark["sk"], mark["deleted"], "duepk" in mark) == ("o", True, False)


async def test_a_used_again_id_does_not_inherit_live_text(stores: Stores) -> None:
    await accepted(stores, a_prompt())
    await stores.subscribers.put_live(ACCOUNT, LiveText("p1", "t1", 1, 1, "old"), NOW)
    await stores.prompts.cancel_waiting(ACCOUNT, "p1", NOW)
    await stores.prompts.remove(ACCOUNT, "p1")
    await accepted(stores, a_prompt("p1", turn=2))

    assert await stores.subscribers.live(ACCOUNT, "p1") is None


async def test_a_connection_that_subscribes_while_it_is_dropped_is_refused(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    # revoke                               socket
    # reads the connection's subscriptions
    #                                      stores one
    # deletes those it read
    await stores.subscribers.add_connection(Connection("c", ANN, START))
    subscriber = Subscriber("c", ACCOUNT, "t1", "ann", "nonce")
    table = stores.subscribers._table  # type: ignore[attr-defined]
    every = table.every

    async def overtaken(span: Any) -> Any:
        found = await every(span)
        monkeypatch.setattr(table, "every", every)
        with pytest.raises(Unauthenticated):
            await stores.subscribers.subscribe(subscriber, stores.clock.now())
        assert await stores.subscribers.connection("c") is None
        return found

    monkeypatch.setattr(table, "every", overtaken)
    await stores.subscribers.drop_connection("c")
    assert (await stores.subscribers.followers(ACCOUNT, "t1")).sockets == ()


async def test_live_text_is_cut_to_fit_an_item_and_expires(stores: Stores) -> None:
    long = LiveText("p1", "t1", 1, 1, "é" * TEXT_LIMIT_BYTES)
    await stores.subscribers.put_live(ACCOUNT, long, stores.clock.now())

    live = await stores.subscribers.live(ACCOUNT, "p1")
    assert live is not None
    assert live.text == "é" * (TEXT_LIMIT_BYTES // 2)
    stores.clock.ms += 11 * 60 * 1000
    assert await stores.subscribers.live(ACCOUNT, "p1") is None


async def test_a_connection_that_expired_unheard_leaves_no_follower(stores: Stores) -> None:
    await stores.subscribers.add_connection(Connection("c1", ANN, START))
    subscriber = Subscriber("c1", ACCOUNT, "t1", "ann", "nonce")
    await stores.subscribers.subscribe(subscriber, stores.clock.now())
    stores.clock.ms += 2 * 60 * 60 * 1000

    assert (await stores.subscribers.followers(ACCOUNT, "t1")).sockets == ()


async def test_a_page_of_long_messages_is_short_and_has_a_cursor(stores: Stores) -> None:
    for turn in range(1, 8):
        prompt = a_prompt(f"p{turn}", turn=turn)
        new = a_thread(next_turn=2) if turn == 1 else None
        question = question_of(prompt, "x" * TEXT_LIMIT_BYTES)
        await stores.prompts.accept(prompt, question, new, NOW, 1000)

    found: list[Message] = []
    after = ""
    pages = 0
    while pages == 0 or after:
        page = await stores.threads.messages(ACCOUNT, "t1", 7, after)
        found += page.items
        after = page.after
        pages += 1
    assert [message.turn for message in found] == [1, 2, 3, 4, 5, 6, 7]
    assert pages > 1
    context = [message.turn async for message in stores.threads.context(ACCOUNT, "t1", 6, 40)]
    assert context == [6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize("position", ["a", "o", "u#zed", "~~~", "m", "m#~"])
async def test_a_forged_cursor_reaches_nothing_beyond_its_list(
    stores: Stores, position: str
) -> None:
    thread = a_thread(user_ids=("zed",), next_turn=2)
    await accepted(stores, a_prompt(), thread)
    forged = base64.urlsafe_b64encode(json.dumps(["messages t1", position]).encode()).decode()

    for newest_first in (False, True):
        page = await stores.threads.messages(ACCOUNT, "t1", 10, forged, newest_first=newest_first)
        assert {message.id for message in page.items} <= {"p1"}


@pytest.mark.parametrize("position", ["", "é", "a b", "x" * 513, 7, None, ["m#1"]])
async def test_a_position_that_no_list_has_is_refused(stores: Stores, position: Any) -> None:
    forged = base64.urlsafe_b64encode(json.dumps(["messages t1", position]).encode()).decode()
    with pytest.raises(Invalid):
        await stores.threads.messages(ACCOUNT, "t1", 10, forged)


async def test_a_list_that_filters_much_out_stops_with_a_cursor(
    stores: Stores, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.adapters.dynamodb_prompt_reads.EXAMINED", 8)
    for number in range(20):
        await accepted(stores, a_prompt(f"p{number:02d}", f"t{number}", created_at=START + number))
    await stores.prompts.cancel_waiting(ACCOUNT, "p19", NOW)
    query = PromptQuery(ACCOUNT, None, statuses=(Status.CANCELED,), limit=2)

    calls = 0
    after = ""
    found: list[str] = []
    while calls == 0 or after:
        page = await stores.prompts.prompts(replace(query, after=after))
        found += [prompt.id for prompt in page.items]
        after = page.after
        calls += 1
    assert found == ["p19"]
    assert calls == 3
    assert await stores.prompts.count_prompts(query, 10) == 1


async def test_what_others_have_waiting_counts_as_examined(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.adapters.dynamodb_prompt_reads.EXAMINED", 8)
    for number in range(20):
        user = "ann" if number == 19 else "bob"
        new = a_prompt(f"p{number:02d}", f"t{number}", created_at=START + number, user_id=user)
        await accepted(stores, new)
    query = PromptQuery(ACCOUNT, "ann", statuses=tuple(UNFINISHED), limit=2)

    found: list[str] = []
    after, pages = "", 0
    while pages == 0 or after:
        with metered() as bill:
            page = await stores.prompts.prompts(replace(query, after=after))
        assert bill.by_operation["query"] <= 3, "one call reads a bounded part of everybody's turns"
        found += [prompt.id for prompt in page.items]
        after, pages = page.after, pages + 1
    assert found == ["p19"]
    assert pages == 3


@pytest.mark.parametrize(
    "query",
    [
        PromptQuery(ACCOUNT, None, statuses=(Status.CANCELED,)),
        PromptQuery(ACCOUNT, "ann"),
        # The index decides, but for the user: what others have waiting is looked at, too.
        PromptQuery(ACCOUNT, "ann", statuses=tuple(UNFINISHED)),
        PromptQuery(ACCOUNT, "ann", statuses=(Status.RUNNING,)),
    ],
)
async def test_a_count_examines_no_more_than_its_bound(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, query: PromptQuery
) -> None:
    for number in range(12):
        await accepted(stores, a_prompt(f"p{number}", f"t{number}", user_id="bob"))
    monkeypatch.setattr("parley.adapters.dynamodb_prompt_reads.COUNT_EXAMINED", 8)
    monkeypatch.setattr("parley.adapters.dynamodb_prompt_reads.PAGE", 4)
    table = stores.prompts._table  # type: ignore[attr-defined]
    asked = table._query
    monkeypatch.setattr(table, "_query", lambda span, _: asked(span, 4))
    with metered() as bill:
        assert await stores.prompts.count_prompts(query, 1000) == 0
    assert bill.by_operation["query"] <= 2
    with metered() as bill:
        await stores.prompts.count_by_status(query, 1000)
    assert bill.by_operation["query"] <= 2


async def test_a_count_goes_through_all_pages_up_to_its_cap(stores: Stores) -> None:
    for number in range(12):
        await accepted(stores, a_prompt(f"p{number}", f"t{number}"))

    with metered() as bill:
        assert await stores.prompts.count_prompts(PromptQuery(ACCOUNT, "ann"), 5) == 5
    assert bill.by_operation == {"query": 1}


def overtake(stores: Stores, store: Any, meanwhile: Any, times: int = 1) -> None:
    """Let `meanwhile` happen between the reads and the write of the next call."""
    transact = store._table.transact
    left = [times]

    async def overtaken(*arguments: Any, **named: Any) -> None:
        if left[0]:
            left[0] -= 1
            store._table.transact = transact
            await meanwhile()
            store._table.transact = overtaken
        await transact(*arguments, **named)

    store._table.transact = overtaken


def users(user_ids: tuple[str, ...]) -> ThreadChanges:
    return ThreadChanges(user_ids=user_ids)


async def listed(stores: Stores, user_id: str) -> bool:
    return bool((await stores.threads.threads(ACCOUNT, user_id, 5, "")).items)


async def test_users_added_by_two_calls_at_once_end_in_the_lists_of_the_last(
    stores: Stores,
) -> None:
    await stores.threads.create_thread(a_thread())

    async def meanwhile() -> None:
        await stores.threads.update_thread(ACCOUNT, "t1", users(("bob",)), NOW)

    overtake(stores, stores.threads, meanwhile)
    await stores.threads.update_thread(ACCOUNT, "t1", users(("cid",)), NOW)
    stored = await stores.threads.thread(ACCOUNT, "t1")
    assert stored is not None
    assert stored.user_ids == ("cid",)
    assert not await listed(stores, "bob")
    assert await listed(stores, "cid")


async def test_a_change_of_the_title_does_not_bring_back_who_was_taken_away_meanwhile(
    stores: Stores,
) -> None:
    await stores.threads.create_thread(a_thread(user_ids=("bob", "cid")))

    async def meanwhile() -> None:
        await stores.threads.update_thread(ACCOUNT, "t1", users(("cid",)), NOW)

    overtake(stores, stores.threads, meanwhile)
    changed = await stores.threads.update_thread(ACCOUNT, "t1", ThreadChanges("new"), NOW)
    assert (changed.title, changed.user_ids) == ("new", ("cid",))
    assert await stores.threads.thread(ACCOUNT, "t1") == changed
    assert not await listed(stores, "bob")


async def test_an_update_that_is_overtaken_again_and_again_is_busy(stores: Stores) -> None:
    await stores.threads.create_thread(a_thread())
    names = iter(range(100))

    async def meanwhile() -> None:
        await stores.threads.update_thread(ACCOUNT, "t1", users((f"u{next(names)}",)), NOW)

    overtake(stores, stores.threads, meanwhile, times=9)
    with pytest.raises(Busy):
        await stores.threads.update_thread(ACCOUNT, "t1", users(("cid",)), NOW)


async def test_a_message_deleted_while_it_is_replaced_does_not_come_back(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = question_of(await accepted(stores, a_prompt()))
    table = stores.threads._table  # type: ignore[attr-defined]
    update = table.update

    async def overtaken(*arguments: Any) -> Any:
        await stores.threads.delete_message(question)
        return await update(*arguments)

    monkeypatch.setattr(table, "update", overtaken)
    with pytest.raises(TurnTaken):
        await stores.threads.put_message(replace(question, text="new"))
    assert await stores.threads.message(ACCOUNT, "t1", 1, question.part) is None


async def test_a_message_put_while_its_thread_is_deleted_is_refused(stores: Stores) -> None:
    await stores.threads.create_thread(a_thread())

    async def meanwhile() -> None:
        await stores.threads.mark_deleted(ACCOUNT, "t1", NOW)

    overtake(stores, stores.threads, meanwhile)
    with pytest.raises(NotFound):
        await stores.threads.put_message(replace(question_of(a_prompt()), id="note"))


async def test_a_message_sent_again_is_replaced_although_the_index_lags(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stores.threads.create_thread(a_thread())
    table = stores.threads._table  # type: ignore[attr-defined]

    async def lagging(span: Any) -> list[Any]:
        assert span.index == "by_message"
        return []

    monkeypatch.setattr(table, "every", lagging)
    note = replace(question_of(a_prompt()), id="note")
    first = await stores.threads.put_message(note)
    again = await stores.threads.put_message(replace(note, text="new"))
    assert again == replace(first, text="new")
    assert list(await stores.threads.message_by_id(ACCOUNT, "note")) == [again]
    assert (await stores.threads.messages(ACCOUNT, "t1", 10, "")).items == [again]


async def test_a_message_sent_twice_at_once_is_stored_once(stores: Stores) -> None:
    await stores.threads.create_thread(a_thread())
    note = replace(question_of(a_prompt()), id="note")

    async def meanwhile() -> None:
        await stores.threads.put_message(note)
        await stores.threads.update_thread(ACCOUNT, "t1", ThreadChanges("x"), NOW)
        await accepted(stores, a_prompt("p2", turn=2))

    overtake(stores, stores.threads, meanwhile)
    with pytest.raises(TurnTaken):
        await stores.threads.put_message(replace(note, text="new"))
    await stores.threads.put_message(replace(note, text="new"))
    page = await stores.threads.messages(ACCOUNT, "t1", 10, "")
    assert [(message.id, message.text) for message in page.items] == [
        ("note", "new"),
        ("p2", question_of(a_prompt()).text),
    ]


async def test_a_message_put_while_a_turn_is_taken_is_told_so(stores: Stores) -> None:
    await stores.threads.create_thread(a_thread())

    async def meanwhile() -> None:
        await stores.threads.put_message(replace(question_of(a_prompt()), id="other"))

    overtake(stores, stores.threads, meanwhile)
    with pytest.raises(TurnTaken):
        await stores.threads.put_message(replace(question_of(a_prompt()), id="note"))


async def test_a_cancel_requested_during_a_takeover_wins(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = await accepted(stores, a_prompt())
    await claimed(stores, prompt, "tok-1", NOW)
    table = stores.prompts._table  # type: ignore[attr-defined]
    update = table.update
    updates = 0

    async def overtaken(change: Any) -> Any:
        nonlocal updates
        updates += 1
        if updates == 2:  # the first one found the prompt running
            monkeypatch.setattr(table, "update", update)
            await stores.prompts.request_cancel(ACCOUNT, "p1")
        return await update(change)

    monkeypatch.setattr(table, "update", overtaken)
    with pytest.raises(TransitionRefused):
        await claimed(stores, prompt, "tok-2", NOW + LEASE)
    assert updates == 2
    stored = await stores.prompts.prompt(ACCOUNT, "p1")
    assert stored is not None
    assert (stored.lease_token, stored.cancel_requested) == ("tok-1", True)


async def test_of_two_cancels_at_once_one_is_made(stores: Stores) -> None:
    await accepted(stores, a_prompt())

    async def meanwhile() -> None:
        await stores.prompts.cancel_waiting(ACCOUNT, "p1", NOW)

    overtake(stores, stores.prompts, meanwhile)
    with pytest.raises(TransitionRefused):
        await stores.prompts.cancel_waiting(ACCOUNT, "p1", NOW + 1)


async def test_an_attempt_begun_during_an_eviction_is_not_forgotten(stores: Stores) -> None:
    running = await claimed(stores, await accepted(stores, a_prompt()), "tok-1", NOW)

    async def meanwhile() -> None:
        """Another attempt whose lease happens to end at the same millisecond."""
        await stores.prompts.fail(running, NOW, Failure("x", ""), NOW)
        await claimed(stores, running, "tok-2", NOW)

    overtake(stores, stores.prompts, meanwhile)
    evicted = await stores.prompts.evict(running, NOW + 1)
    assert [(a.number, a.outcome) for a in evicted.attempts] == [(1, "failed"), (2, "canceled")]
    assert evicted == await stores.prompts.prompt(ACCOUNT, "p1")


async def test_a_prompt_that_moves_all_the_time_is_busy(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await claimed(stores, await accepted(stores, a_prompt()))
    until = iter(range(NOW, NOW + 100))

    async def meanwhile() -> None:
        await stores.prompts.renew(running, next(until))

    overtake(stores, stores.prompts, meanwhile, times=9)
    with pytest.raises(Busy):
        await stores.prompts.evict(running, NOW)


async def test_a_retried_question_edited_all_the_time_is_busy(stores: Stores) -> None:
    prompt = await accepted(stores, a_prompt())
    canceled = await stores.prompts.cancel_waiting(ACCOUNT, "p1", NOW)
    times = iter(range(NOW, NOW + 100))

    async def meanwhile() -> None:
        edited = replace(question_of(prompt), updated_at=next(times))
        await stores.threads.put_message(edited)

    overtake(stores, stores.prompts, meanwhile, times=9)
    with pytest.raises(Busy):
        await stores.prompts.retry(canceled, 2, NOW, NOW, 1000)
