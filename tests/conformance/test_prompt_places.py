"""Retry, removal, and the work due: what becomes of a prompt's place."""

from dataclasses import replace

import pytest
from parley.core import lifecycle
from parley.core.errors import ThreadDeleted, TransitionRefused, TurnTaken
from parley.core.prompt import Prompt, Usage
from parley.core.thread import QUESTION
from parley.ports import Page

from tests.conformance.material import (
    ACCOUNT,
    OTHER,
    a_prompt,
    accepted,
    answer_of,
    claimed,
    question_of,
    turn_of,
)
from tests.conformance.stores import START, Stores

NOW = START + 10_000
USAGE = Usage(12, 34)


async def stored(stores: Stores, prompt: Prompt) -> Prompt:
    found = await stores.prompts.prompt(prompt.account, prompt.id)
    assert found is not None
    return found


async def test_retry_moves_the_question_and_drops_the_partial_text(stores: Stores) -> None:
    prompt = await accepted(stores, a_prompt())
    running = await claimed(stores, prompt)
    partial = answer_of(prompt, "A fr", partial=True)
    await stores.prompts.request_cancel(ACCOUNT, "p1")
    canceled = await stores.prompts.cancel_running(running, NOW, partial)
    await accepted(stores, a_prompt("p2", turn=2))

    retried = await stores.prompts.retry(canceled, 3, NOW, NOW + 1000, 500)

    assert retried == lifecycle.retry(canceled, canceled, 3, NOW) == await stored(stores, prompt)
    head = await stores.prompts.thread_head(ACCOUNT, "t1")
    assert [(t.turn, t.prompt_id) for t in head.open_turns] == [(2, "p2"), (3, "p1")]
    assert (head.open_turns[1].due, head.open_turns[1].distance) == (NOW + 1000, 500)
    page = await stores.threads.messages(ACCOUNT, "t1", 10, "")
    assert [(m.turn, m.part, m.id) for m in page.items] == [
        (2, QUESTION, "p2"),
        (3, QUESTION, "p1"),
    ]
    assert page.items[1] == replace(question_of(prompt), turn=3)


async def test_retry_refuses_what_has_moved(stores: Stores) -> None:
    prompt = await accepted(stores, a_prompt())
    with pytest.raises(TransitionRefused):
        await stores.prompts.retry(prompt, 2, NOW, NOW, 1000)
    canceled = await stores.prompts.cancel_waiting(ACCOUNT, "p1", NOW)
    with pytest.raises(TurnTaken):
        await stores.prompts.retry(canceled, 3, NOW, NOW, 1000)
    await stores.prompts.retry(canceled, 2, NOW, NOW, 1000)
    with pytest.raises(TransitionRefused):
        await stores.prompts.retry(canceled, 3, NOW + 1, NOW, 1000)
    again = await stores.prompts.cancel_waiting(ACCOUNT, "p1", NOW)
    await stores.threads.mark_deleted(ACCOUNT, "t1", NOW)
    with pytest.raises(ThreadDeleted):
        await stores.prompts.retry(again, 3, NOW, NOW, 1000)


async def test_retry_without_a_question_is_refused(stores: Stores) -> None:
    prompt = await accepted(stores, a_prompt())
    canceled = await stores.prompts.cancel_waiting(ACCOUNT, "p1", NOW)
    await stores.threads.delete_message(question_of(prompt))

    with pytest.raises(TransitionRefused):
        await stores.prompts.retry(canceled, 2, NOW, NOW, 1000)


async def test_remove_takes_ended_prompts_only_and_leaves_messages(stores: Stores) -> None:
    prompt = await accepted(stores, a_prompt())
    with pytest.raises(TransitionRefused):
        await stores.prompts.remove(ACCOUNT, "p1")
    await stores.prompts.cancel_waiting(ACCOUNT, "p1", NOW)

    await stores.prompts.remove(ACCOUNT, "p1")

    assert await stores.prompts.prompt(ACCOUNT, "p1") is None
    assert await stores.threads.message(ACCOUNT, "t1", 1, QUESTION) == question_of(prompt)
    with pytest.raises(TransitionRefused):
        await stores.prompts.remove(ACCOUNT, "p1")


@pytest.mark.parametrize("transition", ["give_up", "cancel_waiting", "cancel_expired"])
async def test_transitions_of_an_absent_prompt_are_refused(stores: Stores, transition: str) -> None:
    with pytest.raises(TransitionRefused):
        await getattr(stores.prompts, transition)(ACCOUNT, "absent", NOW)
    with pytest.raises(TransitionRefused):
        await stores.prompts.request_cancel(ACCOUNT, "absent")


async def test_due_lists_open_turns_of_all_accounts_longest_due_first(stores: Stores) -> None:
    first = await accepted(stores, a_prompt("p1", "t1"))
    second = await accepted(stores, a_prompt("p2", "t2", account=OTHER, created_at=START + 500))
    await accepted(stores, a_prompt("p3", "t3", created_at=NOW))

    due = (await stores.prompts.due(START + 5000, 10)).items

    assert [turn.prompt_id for turn in due] == ["p1", "p2"]
    assert due[1] == replace(turn_of(second), due=second.created_at + 1000)
    assert (await stores.prompts.due(START + 5000, 1)).items == [due[0]]
    assert due[0].due == first.created_at + 1000
    assert await stores.prompts.due(START, 10) == Page([])


async def test_pages_of_what_is_due_go_on_past_what_stays_due(stores: Stores) -> None:
    for n in range(7):
        await accepted(stores, a_prompt(f"p{n}", f"t{n}", created_at=START + n // 2))

    found: list[str] = []
    after = ""
    for _ in range(10):
        page = await stores.prompts.due(NOW, 3, after)
        found += [turn.prompt_id for turn in page.items]
        after = page.after
        if not after:
            break

    assert set(found) == {f"p{n}" for n in range(7)}
    assert not after


async def test_move_due_moves_only_what_was_seen(stores: Stores) -> None:
    await accepted(stores, a_prompt())
    (seen,) = (await stores.prompts.due(NOW, 10)).items

    await stores.prompts.move_due(seen, NOW + 2000, 2000)

    head = await stores.prompts.head(ACCOUNT, "t1")
    assert head == replace(seen, due=NOW + 2000, distance=2000)
    with pytest.raises(TransitionRefused):
        await stores.prompts.move_due(seen, NOW + 4000, 4000)
    await stores.prompts.cancel_waiting(ACCOUNT, "p1", NOW)
    with pytest.raises(TransitionRefused):
        await stores.prompts.move_due(head, NOW + 4000, 4000)
    assert await stores.prompts.head(ACCOUNT, "t1") is None
