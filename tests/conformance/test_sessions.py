"""Sessions: threads that belong to an llm_client, and that expire until somebody asks."""

from dataclasses import replace
from typing import Any

import pytest
from parley.core.errors import (
    Conflict,
    Invalid,
    NotFound,
    ThreadDeleted,
    TransitionRefused,
    TurnTaken,
)
from parley.core.prompt import Prompt
from parley.core.thread import ANSWER, QUESTION, Message, Role, Thread, ToolCall
from parley.ports import PromptQuery, ThreadChanges

from tests.conformance.material import (
    ACCOUNT,
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
EXPIRES = (START + DAY) // 1000


def a_session(id_: str = "s1", client: str = "weather", **fields: Any) -> Thread:
    values: dict[str, Any] = {
        "title": "New chat",
        "created_by": id_,
        "user_ids": (id_,),
        "client": client,
        "client_number": 7,
        "intro": ("Welcome!", "- Ask me"),
        "expires_at": EXPIRES,
    }
    return a_thread(id_, **values | fields)


def turn_in(session: Thread, turn: int = 1, id_: str = "p1", **fields: Any) -> Prompt:
    return a_prompt(id_, session.id, turn, user_id=session.id, client=session.client, **fields)


def moved(session: Thread, turn: int = 1, **fields: Any) -> Thread:
    """The session as the use case hands it over with a turn."""
    values: dict[str, Any] = {"updated_at": NOW, "minute": 28_333_333, "minute_turns": turn}
    return replace(session, title="About rain", expires_at=0, **values | fields)


async def asked(stores: Stores, session: Thread, turn: int = 1, id_: str = "p1") -> Prompt:
    """Accept a turn of a stored session."""
    prompt, advanced = turn_in(session, turn, id_), moved(session, turn)
    question = question_of(prompt)
    await stores.prompts.accept(prompt, question, None, NOW, 1000, advanced=advanced)
    return prompt


async def listed(stores: Stores, client: str, limit: int = 20, account: str = ACCOUNT) -> list[str]:
    found: list[str] = []
    after = ""
    while True:
        page = await stores.threads.sessions(account, client, limit, after)
        assert len(page.items) <= limit
        found += [thread.id for thread in page.items]
        after = page.after
        if not after:
            return found


def a_round(prompt: Prompt, number: int, *calls: ToolCall) -> Message:
    place = (prompt.account, prompt.thread_id, prompt.turn, QUESTION + number)
    return Message(*place, f"round_{number}", Role.TOOL, "Let me see.", NOW, NOW, calls=calls)


async def test_a_session_is_stored_with_all_that_makes_it_one(stores: Stores) -> None:
    session = a_session()

    await stores.threads.create_thread(session)

    assert await stores.threads.thread(ACCOUNT, "s1") == session
    assert (await stores.prompts.thread_head(ACCOUNT, "s1")).thread == session
    assert await stores.threads.thread(OTHER, "s1") is None
    with pytest.raises(Conflict):
        await stores.threads.create_thread(session)


@pytest.mark.parametrize("limit", [1, 2, 20])
async def test_sessions_are_listed_newest_first_by_client_and_by_account(
    stores: Stores, limit: int
) -> None:
    for number, client in enumerate(("weather", "plain", "weather", "weather")):
        await stores.threads.create_thread(
            a_session(f"s{number}", client, created_at=START + number)
        )
    await stores.threads.create_thread(a_session("other", account=OTHER))
    await stores.threads.create_thread(a_thread())
    await stores.threads.mark_deleted(ACCOUNT, "s2", NOW)

    assert await listed(stores, "weather", limit) == ["s3", "s0"]
    assert await listed(stores, "plain", limit) == ["s1"]
    assert await listed(stores, "absent", limit) == []
    assert await listed(stores, "", limit) == ["s3", "s1", "s0"]
    assert await listed(stores, "", limit, OTHER) == ["other"]


async def test_sessions_are_in_no_list_of_threads(stores: Stores) -> None:
    await stores.threads.create_thread(a_session(user_ids=("s1", "ann")))
    await stores.threads.create_thread(a_thread())

    for user_id in (None, "ann"):
        page = await stores.threads.threads(ACCOUNT, user_id, 20, "")
        assert [thread.id for thread in page.items] == ["t1"]
    assert not (await stores.threads.threads(ACCOUNT, "s1", 20, "")).items

    changed = await stores.threads.update_thread(
        ACCOUNT, "s1", ThreadChanges("mine", user_ids=("s1", "ann", "bob")), NOW
    )
    assert (changed.title, changed.expires_at) == ("mine", EXPIRES)
    assert not (await stores.threads.threads(ACCOUNT, "bob", 20, "")).items


async def test_a_cursor_of_one_list_is_none_of_another(stores: Stores) -> None:
    for number in range(3):
        await stores.threads.create_thread(a_session(f"s{number}", created_at=START + number))
    page = await stores.threads.sessions(ACCOUNT, "weather", 1, "")
    assert page.after
    with pytest.raises(Invalid):
        await stores.threads.sessions(ACCOUNT, "plain", 1, page.after)


async def test_a_session_that_nobody_used_expires(stores: Stores) -> None:
    await stores.threads.create_thread(a_session())
    stores.clock.ms = EXPIRES * 1000 - 1
    assert await stores.threads.thread(ACCOUNT, "s1") is not None

    stores.clock.ms += 1

    assert await stores.threads.thread(ACCOUNT, "s1") is None
    assert (await stores.prompts.thread_head(ACCOUNT, "s1")).thread is None
    assert await listed(stores, "weather") == []
    assert await listed(stores, "") == []
    assert await stores.threads.mark_deleted(ACCOUNT, "s1", NOW) is None
    with pytest.raises(NotFound):
        await stores.threads.update_thread(ACCOUNT, "s1", ThreadChanges("x"), NOW)


async def test_an_expired_session_can_be_made_anew(stores: Stores) -> None:
    await stores.threads.create_thread(a_session())
    stores.clock.ms = EXPIRES * 1000
    again = a_session(created_at=NOW, expires_at=EXPIRES + 1000, intro=("Hello again!",))

    await stores.threads.create_thread(again)

    assert await stores.threads.thread(ACCOUNT, "s1") == again
    assert await listed(stores, "weather") == ["s1"]


async def test_the_first_turn_makes_a_session_stay(stores: Stores) -> None:
    session = a_session()
    await stores.threads.create_thread(session)

    prompt = await asked(stores, session)

    stores.clock.ms += 2 * DAY
    expected = replace(moved(session), next_turn=2)
    head = await stores.prompts.thread_head(ACCOUNT, "s1")
    assert head.thread == expected == await stores.threads.thread(ACCOUNT, "s1")
    assert [turn.prompt_id for turn in head.open_turns] == ["p1"]
    assert await stores.prompts.prompt(ACCOUNT, "p1") == prompt
    assert prompt.client == "weather"
    assert await listed(stores, "weather") == ["s1"]


async def test_a_session_may_begin_with_its_first_turn(stores: Stores) -> None:
    session = a_session(next_turn=2, minute=7, minute_turns=1)
    prompt = turn_in(session)

    await stores.prompts.accept(prompt, question_of(prompt), session, NOW, 1000)

    stores.clock.ms += 2 * DAY
    assert await stores.threads.thread(ACCOUNT, "s1") == replace(session, expires_at=0)
    assert await listed(stores, "weather") == ["s1"]


async def test_a_turn_of_an_expired_session_is_refused_and_loses_nothing(stores: Stores) -> None:
    # A caller read the session while it lived, and its turn arrives when it does not.
    session = a_session()
    await stores.threads.create_thread(session)
    stores.clock.ms = EXPIRES * 1000

    with pytest.raises(TurnTaken):
        await asked(stores, session)

    assert await stores.prompts.prompt(ACCOUNT, "p1") is None
    assert await stores.threads.thread(ACCOUNT, "s1") is None
    prompt = turn_in(session)
    anew = a_session(next_turn=2, created_at=NOW)
    await stores.prompts.accept(prompt, question_of(prompt), anew, NOW, 1000)
    assert await stores.threads.thread(ACCOUNT, "s1") == replace(anew, expires_at=0)
    assert await stores.threads.message(ACCOUNT, "s1", 1, QUESTION) == question_of(prompt)


async def test_a_late_turn_does_not_change_the_session_made_anew_but_joins_it(
    stores: Stores,
) -> None:
    session = a_session()
    await stores.threads.create_thread(session)
    stores.clock.ms = EXPIRES * 1000
    await stores.threads.create_thread(a_session(created_at=NOW, expires_at=EXPIRES + 1000))

    await asked(stores, session)

    stored = await stores.threads.thread(ACCOUNT, "s1")
    assert stored is not None
    assert (stored.created_at, stored.next_turn, stored.expires_at) == (NOW, 2, 0)


async def test_a_later_turn_counts_and_keeps_the_title(stores: Stores) -> None:
    session = a_session()
    await stores.threads.create_thread(session)
    await asked(stores, session)
    seen = await stores.threads.thread(ACCOUNT, "s1")
    assert seen is not None
    await stores.threads.update_thread(ACCOUNT, "s1", ThreadChanges("renamed"), NOW)

    await asked(stores, seen, 2, "p2")

    stored = await stores.threads.thread(ACCOUNT, "s1")
    assert stored is not None
    assert (stored.title, stored.minute_turns, stored.next_turn) == ("renamed", 2, 3)


async def test_a_message_put_into_a_session_makes_it_stay(stores: Stores) -> None:
    await stores.threads.create_thread(a_session())
    note = replace(question_of(a_prompt(thread_id="s1")), id="note")

    await stores.threads.put_message(note)

    stores.clock.ms += 2 * DAY
    assert await stores.threads.thread(ACCOUNT, "s1") == replace(
        a_session(), expires_at=0, next_turn=2
    )


@pytest.mark.parametrize("used", [False, True])
async def test_the_mark_of_a_deleted_session_outlives_the_session(
    stores: Stores, used: bool
) -> None:
    session = a_session()
    await stores.threads.create_thread(session)
    if used:
        await asked(stores, session)
        await stores.prompts.cancel_waiting(ACCOUNT, "p1", NOW)

    marked = await stores.threads.mark_deleted(ACCOUNT, "s1", NOW)

    assert marked is not None
    assert (marked.deleted, marked.expires_at) == (True, 0)
    stores.clock.ms += 2 * DAY
    assert [due.id for due in await stores.threads.deletions_due(stores.clock.ms, 9)] == ["s1"]
    assert await stores.threads.delete_page(ACCOUNT, "s1", 10)
    mark = await stores.threads.thread(ACCOUNT, "s1")
    assert mark is not None
    assert (mark.deleted, mark.expires_at) == (True, 0)
    assert await listed(stores, "") == []
    with pytest.raises(ThreadDeleted):
        await stores.threads.create_thread(session)
    with pytest.raises(ThreadDeleted):
        await asked(stores, session, 2 if used else 1, "p2")


async def test_a_session_is_only_marked_if_nobody_has_used_it_since(stores: Stores) -> None:
    session = a_session(updated_at=NOW, expires_at=0)
    await stores.threads.create_thread(session)

    with pytest.raises(TransitionRefused):
        await stores.threads.mark_deleted(ACCOUNT, "s1", NOW + DAY, older_than=NOW)
    assert await stores.threads.thread(ACCOUNT, "s1") == session

    marked = await stores.threads.mark_deleted(ACCOUNT, "s1", NOW + DAY, older_than=NOW + 1)
    assert marked is not None
    assert marked.deleted
    again = await stores.threads.mark_deleted(ACCOUNT, "s1", NOW + 2 * DAY, older_than=NOW + 1)
    assert again == marked, "it is marked already, whenever that was"
    assert await stores.threads.mark_deleted(ACCOUNT, "s2", NOW, older_than=NOW) is None


CALLS = (
    ToolCall("c1", "get_current_weather", '{"location":"Wien"}', '{"celsius":21}', "ok", 310),
    ToolCall("c2", "calculator", '{"expression":"1/0"}', '{"error":"division"}', "failed"),
)


async def test_rounds_are_stored_with_the_answer(stores: Stores) -> None:
    prompt = await accepted(stores, a_prompt())
    running = await claimed(stores, prompt)
    rounds = [a_round(prompt, 1, *CALLS), a_round(prompt, 2, CALLS[0])]

    done = await stores.prompts.finish(running, NOW, answer_of(prompt), None, rounds)

    page = await stores.threads.messages(ACCOUNT, "t1", 10, "")
    assert list(page.items) == [question_of(prompt), *rounds, answer_of(prompt)]
    context = [message async for message in stores.threads.context(ACCOUNT, "t1", 1, 40)]
    assert context == list(page.items)[::-1]
    assert await stores.threads.message(ACCOUNT, "t1", 1, 2) == rounds[0]
    assert list(await stores.threads.message_by_id(ACCOUNT, "round_1")) == []
    named = await stores.prompts.prompts(PromptQuery(ACCOUNT, "ann", thread_id="t1"))
    assert list(named.items) == [done]

    # Its answer was lost: the same rounds again, and another attempt's, change nothing.
    other = [a_round(prompt, 1, CALLS[1]), a_round(prompt, 3, CALLS[1])]
    assert await stores.prompts.finish(running, NOW + 9, answer_of(prompt), None, other) == done
    assert (await stores.threads.messages(ACCOUNT, "t1", 10, "")).items == page.items


async def test_rounds_of_an_attempt_without_its_lease_are_not_stored(stores: Stores) -> None:
    prompt = await accepted(stores, a_prompt())
    running = await claimed(stores, prompt)
    await stores.prompts.evict(running, NOW)

    with pytest.raises(TransitionRefused):
        await stores.prompts.finish(
            running, NOW, answer_of(prompt), None, [a_round(prompt, 1, *CALLS)]
        )

    assert await stores.threads.message(ACCOUNT, "t1", 1, 2) is None


async def test_a_turn_that_is_retried_takes_its_question_along_and_no_rounds(
    stores: Stores,
) -> None:
    session = a_session()
    await stores.threads.create_thread(session)
    await asked(stores, session)
    canceled = await stores.prompts.cancel_waiting(ACCOUNT, "p1", NOW)

    again = await stores.prompts.retry(canceled, 2, NOW, NOW, 1000)

    assert (again.turn, again.client) == (2, "weather")
    page = await stores.threads.messages(ACCOUNT, "s1", 10, "")
    assert [(m.turn, m.part) for m in page.items] == [(2, QUESTION)]


async def test_a_retry_counts_in_the_window_of_its_session(stores: Stores) -> None:
    session = a_session()
    await stores.threads.create_thread(session)
    await asked(stores, session)
    canceled = await stores.prompts.cancel_waiting(ACCOUNT, "p1", NOW)
    seen = await stores.threads.thread(ACCOUNT, "s1")
    assert seen is not None
    await stores.threads.update_thread(ACCOUNT, "s1", ThreadChanges("renamed"), NOW)

    advanced = moved(seen, 2, updated_at=NOW + DAY)
    await stores.prompts.retry(canceled, 2, NOW + DAY, NOW, 1000, advanced=advanced)

    stored = await stores.threads.thread(ACCOUNT, "s1")
    assert stored == replace(advanced, title="renamed", next_turn=3)


async def test_a_retry_that_is_refused_changes_nothing_of_its_session(stores: Stores) -> None:
    session = a_session()
    await stores.threads.create_thread(session)
    await asked(stores, session)
    canceled = await stores.prompts.cancel_waiting(ACCOUNT, "p1", NOW)
    await asked(stores, session, 2, "p2")
    before = await stores.threads.thread(ACCOUNT, "s1")
    assert before is not None

    advanced = moved(before, 9, updated_at=NOW + DAY)
    with pytest.raises(TurnTaken):
        await stores.prompts.retry(canceled, 2, NOW + DAY, NOW, 1000, advanced=advanced)

    assert await stores.threads.thread(ACCOUNT, "s1") == before


async def test_a_deletion_takes_the_rounds_too(stores: Stores) -> None:
    prompt = await accepted(stores, a_prompt())
    running = await claimed(stores, prompt)
    rounds = [a_round(prompt, number, *CALLS) for number in range(1, 9)]
    await stores.prompts.finish(running, NOW, answer_of(prompt), None, rounds)
    await stores.threads.mark_deleted(ACCOUNT, "t1", NOW)

    pages = 1
    while not await stores.threads.delete_page(ACCOUNT, "t1", 3):
        pages += 1
        assert pages < 10

    assert not (await stores.threads.messages(ACCOUNT, "t1", 20, "")).items
    assert await stores.threads.message(ACCOUNT, "t1", 1, ANSWER) is None
    assert await stores.prompts.prompt(ACCOUNT, "p1") is None
