"""Threads and messages."""

from dataclasses import replace
from typing import Any

import pytest
from parley.core.access import QUESTION_LIMIT_BYTES, TEXT_LIMIT_BYTES
from parley.core.errors import Conflict, Invalid, NotFound, ThreadDeleted
from parley.core.thread import ANSWER, MEMBERS_CAP, QUESTION, Message, Role
from parley.ports import Connection, Conversation, Subscriber, ThreadChanges, ThreadHead

from tests.conformance.material import (
    ACCOUNT,
    ANN,
    OTHER,
    a_prompt,
    a_thread,
    accepted,
    answer_of,
    claimed,
    question_of,
)
from tests.conformance.stores import START, Stores

NOW = START + 10_000
DAY = 24 * 60 * 60 * 1000


def a_message(id_: str, text: str = "hello", **fields: Any) -> Message:
    values: dict[str, Any] = {
        "account": ACCOUNT,
        "thread_id": "t1",
        "turn": 0,
        "part": 0,
        "role": Role.USER,
        "created_at": NOW,
        "updated_at": NOW,
        "user_id": "ann",
    }
    return Message(id=id_, text=text, **values | fields)


async def listed(stores: Stores, user_id: str | None, limit: int = 20) -> list[str]:
    found: list[str] = []
    after = ""
    while True:
        page = await stores.threads.threads(ACCOUNT, user_id, limit, after)
        assert len(page.items) <= limit
        found += [thread.id for thread in page.items]
        after = page.after
        if not after:
            return found


async def every_message(stores: Stores, limit: int, newest_first: bool = False) -> list[str]:
    found: list[str] = []
    after = ""
    while True:
        page = await stores.threads.messages(ACCOUNT, "t1", limit, after, newest_first=newest_first)
        assert len(page.items) <= limit
        found += [message.id for message in page.items]
        after = page.after
        if not after:
            return found


async def test_a_created_thread_is_stored_once(stores: Stores) -> None:
    thread = a_thread(user_ids=("bob", "cid"), topic_ids=("x",), title="")
    assert await stores.threads.thread(ACCOUNT, "t1") is None

    await stores.threads.create_thread(thread)

    assert await stores.threads.thread(ACCOUNT, "t1") == thread
    assert await stores.threads.thread(OTHER, "t1") is None
    with pytest.raises(Conflict):
        await stores.threads.create_thread(thread)
    assert (await stores.prompts.thread_head(ACCOUNT, "t1")).thread == thread


@pytest.mark.parametrize("limit", [1, 2, 20])
async def test_threads_are_listed_newest_first_to_their_users(stores: Stores, limit: int) -> None:
    # The last two were created in the same millisecond.
    creations = ((1, "ann", ()), (2, "bob", ("ann", "bob")), (3, "bob", ()), (3, "ann", ("ann",)))
    for number, (at, creator, users) in enumerate(creations):
        thread = a_thread(f"t{number}", created_by=creator, user_ids=users, created_at=START + at)
        await stores.threads.create_thread(thread)
    await stores.threads.create_thread(a_thread("other", account=OTHER))

    assert await listed(stores, None, limit) == ["t3", "t2", "t1", "t0"]
    assert await listed(stores, "ann", limit) == ["t3", "t1", "t0"]
    assert await listed(stores, "bob", limit) == ["t2", "t1"]
    assert await listed(stores, "nobody", limit) == []


async def test_a_thread_made_by_a_prompt_is_listed(stores: Stores) -> None:
    await accepted(stores, a_prompt())
    await accepted(stores, a_prompt("p2", "t2"), a_thread("t2", user_ids=("bob",), next_turn=2))

    assert sorted(await listed(stores, "ann")) == ["t1", "t2"]
    assert await listed(stores, "bob") == ["t2"]


async def test_an_update_changes_title_users_and_topics_only(stores: Stores) -> None:
    thread = a_thread(user_ids=("bob", "cid"), topic_ids=("x",))
    await stores.threads.create_thread(thread)

    changes = ThreadChanges("other", ("bob", "dan", "ann"), ())
    changed = await stores.threads.update_thread(ACCOUNT, "t1", changes, NOW)

    wanted = {"title": "other", "user_ids": ("bob", "dan", "ann"), "topic_ids": ()}
    assert changed == replace(thread, updated_at=NOW, **wanted)
    assert await stores.threads.thread(ACCOUNT, "t1") == changed
    lists = {user: await listed(stores, user) for user in ("ann", "bob", "cid", "dan")}
    assert lists == {"ann": ["t1"], "bob": ["t1"], "cid": [], "dan": ["t1"]}

    await stores.threads.update_thread(ACCOUNT, "t1", ThreadChanges(user_ids=()), NOW)
    assert await listed(stores, "bob") == []


async def test_an_update_keeps_what_it_does_not_give(stores: Stores) -> None:
    thread = a_thread(user_ids=("bob",), topic_ids=("x",))
    await stores.threads.create_thread(thread)
    given = (
        ThreadChanges(title="other"),
        ThreadChanges(user_ids=("cid",)),
        ThreadChanges(topic_ids=("y",)),
    )
    for changes in given:
        thread = changes.applied(thread, NOW)
        assert await stores.threads.update_thread(ACCOUNT, "t1", changes, NOW) == thread
    assert (thread.title, thread.user_ids, thread.topic_ids) == ("other", ("cid",), ("y",))


async def test_all_the_users_that_a_thread_can_have_can_be_replaced(stores: Stores) -> None:
    before = tuple(f"a{number}" for number in range(MEMBERS_CAP))
    after = tuple(f"b{number}" for number in range(MEMBERS_CAP))
    await stores.threads.create_thread(a_thread(user_ids=before))

    await stores.threads.update_thread(ACCOUNT, "t1", ThreadChanges(user_ids=after), NOW)

    assert await listed(stores, "a0") == []
    assert await listed(stores, f"b{MEMBERS_CAP - 1}") == ["t1"]


async def test_an_update_needs_a_living_thread(stores: Stores) -> None:
    with pytest.raises(NotFound):
        await stores.threads.update_thread(ACCOUNT, "t1", ThreadChanges("x"), NOW)
    await stores.threads.create_thread(a_thread())
    await stores.threads.mark_deleted(ACCOUNT, "t1", NOW)
    with pytest.raises(NotFound):
        await stores.threads.update_thread(ACCOUNT, "t1", ThreadChanges("x"), NOW)


async def test_a_deleted_thread_keeps_its_mark_and_leaves_the_lists(stores: Stores) -> None:
    thread = a_thread(user_ids=("bob",))
    await stores.threads.create_thread(thread)
    assert await stores.threads.mark_deleted(ACCOUNT, "absent", NOW) is None

    marked = await stores.threads.mark_deleted(ACCOUNT, "t1", NOW)

    assert marked == replace(thread, deleted=True, updated_at=NOW)
    assert await stores.threads.mark_deleted(ACCOUNT, "t1", NOW + 5) == marked
    assert await stores.threads.thread(ACCOUNT, "t1") == marked
    for user_id in (None, "ann", "bob"):
        assert await listed(stores, user_id) == []
    with pytest.raises(ThreadDeleted):
        await stores.threads.create_thread(thread)
    with pytest.raises(NotFound):
        await stores.threads.put_message(a_message("m1"))


async def test_a_deletion_is_due_until_its_pages_are_gone(stores: Stores) -> None:
    for turn in (1, 2, 3):
        prompt = await accepted(stores, a_prompt(f"p{turn}", turn=turn))
        running = await claimed(stores, prompt, f"tok-{turn}")
        await stores.prompts.finish(running, NOW, answer_of(prompt), None)
    await stores.threads.put_message(a_message("note"))
    await stores.threads.mark_deleted(ACCOUNT, "t1", NOW)

    pages = 0
    while not await stores.threads.delete_page(ACCOUNT, "t1", 2):
        (due,) = await stores.threads.deletions_due(NOW, 10)
        assert (due.id, due.deleted) == ("t1", True)
        pages += 1
        assert pages < 10

    assert await stores.threads.deletions_due(NOW * 2, 10) == []
    assert await every_message(stores, 10) == []
    for turn in (1, 2, 3):
        assert await stores.prompts.prompt(ACCOUNT, f"p{turn}") is None
    mark = await stores.threads.thread(ACCOUNT, "t1")
    assert mark is not None
    assert mark.deleted
    assert await stores.threads.delete_page(ACCOUNT, "t1", 2)
    await stores.threads.mark_deleted(ACCOUNT, "t1", NOW + DAY)
    assert await stores.threads.deletions_due(NOW * 2, 10) == []


async def test_a_deletion_leaves_a_prompt_that_went_to_another_thread(stores: Stores) -> None:
    await accepted(stores, a_prompt())
    await stores.prompts.cancel_waiting(ACCOUNT, "p1", NOW)
    await stores.prompts.remove(ACCOUNT, "p1")
    again = await accepted(stores, a_prompt("p1", "t2"))
    await stores.threads.mark_deleted(ACCOUNT, "t1", NOW)

    assert await stores.threads.delete_page(ACCOUNT, "t1", 10)
    assert await stores.prompts.prompt(ACCOUNT, "p1") == again


@pytest.mark.parametrize("limit", [1, 2, 3, 20])
async def test_messages_are_paged_by_turn_and_part_in_either_direction(
    stores: Stores, limit: int
) -> None:
    for turn in (1, 2):
        prompt = await accepted(stores, a_prompt(f"p{turn}", turn=turn))
        running = await claimed(stores, prompt, f"tok-{turn}")
        await stores.prompts.finish(running, NOW, answer_of(prompt), None)
    await accepted(stores, a_prompt("p3", turn=3))
    expected = ["p1", "msg_p1.1", "p2", "msg_p2.2", "p3"]

    assert await every_message(stores, limit) == expected
    assert await every_message(stores, limit, newest_first=True) == expected[::-1]


async def test_a_context_never_sees_a_later_turn(stores: Stores) -> None:
    for turn in range(1, 61):
        await accepted(stores, a_prompt(f"p{turn}", turn=turn))
    running = await claimed(stores, a_prompt("p1"))
    await stores.prompts.finish(running, NOW, answer_of(running), None)

    seen = [message.id async for message in stores.threads.context(ACCOUNT, "t1", 55, 40)]

    assert seen == [*(f"p{turn}" for turn in range(55, 1, -1)), "msg_p1.1", "p1"]
    assert [m.id async for m in stores.threads.context(ACCOUNT, "absent", 55, 40)] == []


async def test_a_conversation_is_its_head_and_its_newest_messages(stores: Stores) -> None:
    expected = []
    for turn in range(1, 54):
        prompt = await accepted(stores, a_prompt(f"p{turn}", turn=turn))
        expected.append(prompt.id)
        if turn <= 50:
            running = await claimed(stores, prompt, f"tok-{turn}")
            answer = answer_of(prompt)
            await stores.prompts.finish(running, NOW, answer, None)
            expected.append(answer.id)
    await accepted(stores, a_prompt("another", "t2"))
    # A member and a follower lie in the same partition.
    await stores.threads.update_thread(ACCOUNT, "t1", ThreadChanges(user_ids=("bob",)), NOW)
    await stores.subscribers.add_connection(Connection("c1", ANN, NOW))
    await stores.subscribers.subscribe(Subscriber("c1", ACCOUNT, "t1", "ann", "n"), NOW)

    whole = await stores.prompts.conversation(ACCOUNT, "t1", 150)
    part = await stores.prompts.conversation(ACCOUNT, "t1", 102)

    assert whole.head == part.head == await stores.prompts.thread_head(ACCOUNT, "t1")
    assert [turn.turn for turn in whole.head.open_turns] == [51, 52, 53]
    assert [message.id for message in whole.messages] == expected[::-1]
    assert not whole.more
    # Of 102 items, four are the thread and its open turns.
    assert [message.id for message in part.messages] == expected[:-99:-1]
    assert part.more


async def test_a_conversation_that_is_not_there_has_nothing(stores: Stores) -> None:
    await accepted(stores, a_prompt())
    for account, thread_id in ((ACCOUNT, "absent"), (OTHER, "t1")):
        found = await stores.prompts.conversation(account, thread_id, 150)
        assert found == Conversation(ThreadHead(None, ()))


async def test_a_message_is_found_by_place_and_by_id(stores: Stores) -> None:
    question = question_of(await accepted(stores, a_prompt()))
    other = question_of(await accepted(stores, a_prompt("p2", "t2")))

    assert await stores.threads.message(ACCOUNT, "t1", 1, QUESTION) == question
    assert await stores.threads.message(ACCOUNT, "t1", 1, ANSWER) is None
    assert list(await stores.threads.message_by_id(ACCOUNT, "p1")) == [question]
    assert list(await stores.threads.message_by_id(OTHER, "p1")) == []
    places = [(ACCOUNT, "t2", 1, QUESTION), (ACCOUNT, "t1", 1, QUESTION)]
    found = await stores.threads.messages_at([*places, (ACCOUNT, "t1", 7, QUESTION), places[0]])
    assert {message.id: message for message in found} == {"p1": question, "p2": other}
    assert list(await stores.threads.messages_at([])) == []


async def test_a_question_is_found_by_its_id_after_its_prompt_was_removed(stores: Stores) -> None:
    first = await accepted(stores, a_prompt())
    await stores.prompts.cancel_waiting(ACCOUNT, "p1", NOW)
    await stores.prompts.remove(ACCOUNT, "p1")

    assert list(await stores.threads.message_by_id(ACCOUNT, "p1")) == [question_of(first)]

    second = await accepted(stores, a_prompt(thread_id="t2"))
    found = await stores.threads.message_by_id(ACCOUNT, "p1")
    assert {m.thread_id: m for m in found} == {"t1": question_of(first), "t2": question_of(second)}


async def test_a_prompt_whose_question_was_deleted_can_be_removed(stores: Stores) -> None:
    question = question_of(await accepted(stores, a_prompt()))
    await stores.prompts.cancel_waiting(ACCOUNT, "p1", NOW)
    await stores.threads.delete_message(question)

    await stores.prompts.remove(ACCOUNT, "p1")

    assert await stores.prompts.prompt(ACCOUNT, "p1") is None
    assert list(await stores.threads.message_by_id(ACCOUNT, "p1")) == []


async def test_every_field_of_a_message_survives(stores: Stores) -> None:
    await stores.threads.create_thread(a_thread())
    message = a_message(
        "m1",
        "",
        role=Role.ASSISTANT,
        template="<s>{prompt}</s>",
        finish_reason="length",
        partial=True,
        asset_ids=("a", "b"),
        meta={"model": "m", "empty": ""},
    )

    stored = await stores.threads.put_message(message)

    assert stored == replace(message, turn=1, part=QUESTION)
    assert await stores.threads.message(ACCOUNT, "t1", 1, QUESTION) == stored


async def test_a_put_message_takes_a_turn_or_replaces_its_text(stores: Stores) -> None:
    await accepted(stores, a_prompt())
    with pytest.raises(NotFound):
        await stores.threads.put_message(a_message("m1", thread_id="absent"))

    first = await stores.threads.put_message(a_message("m1", asset_ids=("a",)))
    second = await stores.threads.put_message(a_message("m2"))
    await accepted(stores, a_prompt("p4", turn=4))
    again = await stores.threads.put_message(
        a_message("m1", "bye", updated_at=NOW + 5, created_at=NOW + 5, role=Role.ASSISTANT)
    )

    assert (first.turn, second.turn) == (2, 3)
    assert again == replace(first, text="bye", asset_ids=(), updated_at=NOW + 5)
    assert await every_message(stores, 10) == ["p1", "m1", "m2", "p4"]


async def test_the_largest_question_is_stored_with_its_template(stores: Stores) -> None:
    await stores.threads.create_thread(a_thread())
    template = "y" * (QUESTION_LIMIT_BYTES - TEXT_LIMIT_BYTES)
    assets = tuple(f"{number:0128}" for number in range(100))
    largest = a_message("m", "x" * TEXT_LIMIT_BYTES, template=template, asset_ids=assets)

    stored = await stores.threads.put_message(largest)

    assert await stores.threads.message(ACCOUNT, "t1", 1, QUESTION) == stored


async def test_the_id_of_a_message_is_taken_until_it_is_deleted(stores: Stores) -> None:
    for id_ in ("t1", "t2", "t3"):
        await stores.threads.create_thread(a_thread(id_))
    await stores.threads.create_thread(a_thread("t2", account=OTHER))
    one = await stores.threads.put_message(a_message("m"))
    with pytest.raises(Conflict):
        await stores.threads.put_message(a_message("m", thread_id="t2"))
    await stores.threads.put_message(a_message("m", thread_id="t2", account=OTHER))
    assert list(await stores.threads.message_by_id(ACCOUNT, "m")) == [one]

    await stores.threads.delete_message(one)
    two = await stores.threads.put_message(a_message("m", thread_id="t2"))
    await stores.threads.delete_message(one)
    with pytest.raises(Conflict):
        await stores.threads.put_message(a_message("m", thread_id="t3"))
    assert list(await stores.threads.message_by_id(ACCOUNT, "m")) == [two]

    await stores.threads.mark_deleted(ACCOUNT, "t2", NOW)
    while not await stores.threads.delete_page(ACCOUNT, "t2", 1):
        pass
    three = await stores.threads.put_message(a_message("m", thread_id="t3"))
    assert list(await stores.threads.message_by_id(ACCOUNT, "m")) == [three]


async def test_a_question_whose_id_a_message_took_is_deleted_alone(stores: Stores) -> None:
    question = question_of(await accepted(stores, a_prompt("m")))
    await stores.prompts.cancel_waiting(ACCOUNT, "m", NOW)
    await stores.prompts.remove(ACCOUNT, "m")
    await stores.threads.create_thread(a_thread("t2"))
    said = await stores.threads.put_message(a_message("m", thread_id="t2"))

    await stores.threads.delete_message(question)

    assert list(await stores.threads.message_by_id(ACCOUNT, "m")) == [said]
    await stores.threads.create_thread(a_thread("t3"))
    with pytest.raises(Conflict):
        await stores.threads.put_message(a_message("m", thread_id="t3"))


async def test_a_deleted_message_is_gone(stores: Stores) -> None:
    question = question_of(await accepted(stores, a_prompt()))

    await stores.threads.delete_message(question)
    await stores.threads.delete_message(question)

    assert await stores.threads.message(ACCOUNT, "t1", 1, QUESTION) is None
    assert list(await stores.threads.message_by_id(ACCOUNT, "p1")) == []


@pytest.mark.parametrize("after", ["rubbish", "é", "AAAA", "W10="])
async def test_a_malformed_cursor_is_refused(stores: Stores, after: str) -> None:
    await stores.threads.create_thread(a_thread())
    with pytest.raises(Invalid):
        await stores.threads.threads(ACCOUNT, None, 5, after)
    with pytest.raises(Invalid):
        await stores.threads.messages(ACCOUNT, "t1", 5, after)
