"""Each transition on its own: what it stores, and what it refuses."""

from dataclasses import replace

import pytest
from parley.core import lifecycle
from parley.core.errors import PromptExists, ThreadDeleted, TransitionRefused, TurnTaken
from parley.core.lifecycle import Failure
from parley.core.prompt import Outcome, Prompt, Status, Usage
from parley.core.thread import ANSWER, QUESTION

from tests.conformance.material import (
    ACCOUNT,
    LEASE,
    OTHER,
    a_prompt,
    a_thread,
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


async def test_accept_stores_turn_question_prompt_and_open_turn(stores: Stores) -> None:
    prompt = await accepted(stores, a_prompt(sync=True, model_id="m", max_retries=0))

    head = await stores.prompts.thread_head(ACCOUNT, "t1")
    assert head.thread == a_thread(next_turn=2)
    (turn,) = head.open_turns
    assert turn == replace(turn_of(prompt), due=prompt.created_at + 1000)
    assert await stores.prompts.head(ACCOUNT, "t1") == turn
    assert await stores.prompts.prompt(ACCOUNT, "p1") == prompt
    assert await stores.threads.message(ACCOUNT, "t1", 1, QUESTION) == question_of(prompt)


async def test_accept_numbers_turns_and_lists_them_oldest_first(stores: Stores) -> None:
    for turn in (1, 2, 3):
        await accepted(stores, a_prompt(f"p{turn}", turn=turn))

    head = await stores.prompts.thread_head(ACCOUNT, "t1")
    assert head.thread is not None
    assert head.thread.next_turn == 4
    assert [turn.prompt_id for turn in head.open_turns] == ["p1", "p2", "p3"]


async def test_accept_of_a_taken_turn_is_refused_and_stores_nothing(stores: Stores) -> None:
    await accepted(stores, a_prompt())

    with pytest.raises(TurnTaken):
        await accepted(stores, a_prompt("p2", turn=1))
    with pytest.raises(TurnTaken):
        await accepted(stores, a_prompt("p3", turn=3))
    with pytest.raises(TurnTaken):
        await accepted(stores, a_prompt("p4", "absent", turn=2))

    for id_ in ("p2", "p3", "p4"):
        assert await stores.prompts.prompt(ACCOUNT, id_) is None
    assert len((await stores.prompts.thread_head(ACCOUNT, "t1")).open_turns) == 1
    assert await stores.threads.message(ACCOUNT, "t1", 3, QUESTION) is None


async def test_a_known_id_is_told_before_a_taken_turn(stores: Stores) -> None:
    prompt = await accepted(stores, a_prompt())

    with pytest.raises(PromptExists):
        await accepted(stores, prompt)
    with pytest.raises(PromptExists):
        await accepted(stores, replace(prompt, thread_id="t2"))
    assert (await stores.prompts.thread_head(ACCOUNT, "t2")).thread is None


async def test_accounts_do_not_share_ids(stores: Stores) -> None:
    await accepted(stores, a_prompt())
    await accepted(stores, a_prompt(account=OTHER, fingerprint="other"))

    other = await stores.prompts.prompt(OTHER, "p1")
    assert other is not None
    assert other.fingerprint == "other"


async def test_nothing_is_accepted_into_a_deleted_thread(stores: Stores) -> None:
    await accepted(stores, a_prompt())
    await stores.threads.mark_deleted(ACCOUNT, "t1", NOW)

    with pytest.raises(ThreadDeleted):
        await accepted(stores, a_prompt("p2", turn=2))
    with pytest.raises(ThreadDeleted):
        await accepted(stores, a_prompt("p3"))
    assert await stores.prompts.prompt(ACCOUNT, "p2") is None


async def test_claim_starts_an_attempt(stores: Stores) -> None:
    prompt = await accepted(stores, a_prompt())

    running = await stores.prompts.claim(turn_of(prompt), "tok", NOW, NOW + LEASE, alone=False)

    expected = lifecycle.claim(prompt, turn_of(prompt), "tok", NOW, NOW + LEASE, alone=False)
    assert running == expected == await stored(stores, prompt)


async def test_a_repeated_claim_finds_its_own_token(stores: Stores) -> None:
    prompt = await accepted(stores, a_prompt())
    first = await claimed(stores, prompt, "tok")

    assert await claimed(stores, prompt, "tok") == first
    with pytest.raises(TransitionRefused):
        await claimed(stores, prompt, "another")


async def test_claim_of_an_absent_prompt_is_refused(stores: Stores) -> None:
    with pytest.raises(TransitionRefused):
        await claimed(stores, a_prompt())


async def test_claim_is_bound_to_the_place_that_was_seen(stores: Stores) -> None:
    prompt = await accepted(stores, a_prompt())
    canceled = await stores.prompts.cancel_waiting(ACCOUNT, "p1", NOW)
    await stores.prompts.retry(canceled, 2, NOW, NOW, 1000)

    with pytest.raises(TransitionRefused):
        await claimed(stores, prompt)


async def test_an_errored_prompt_is_claimed_when_it_is_due(stores: Stores) -> None:
    prompt = await accepted(stores, a_prompt())
    running = await claimed(stores, prompt, "tok-1")
    failed = await stores.prompts.fail(running, NOW, Failure("rate", "slow down"), NOW + 2000)

    with pytest.raises(TransitionRefused):
        await claimed(stores, prompt, "tok-2", NOW + 1999)
    again = await claimed(stores, prompt, "tok-2", NOW + 2000)

    at = NOW + 2000
    assert again == lifecycle.claim(failed, turn_of(prompt), "tok-2", at, at + LEASE, alone=True)
    assert again.error == ""


async def test_an_expired_lease_is_taken_over_only_alone(stores: Stores) -> None:
    prompt = await accepted(stores, a_prompt())
    running = await claimed(stores, prompt, "tok-1", NOW)
    turn = turn_of(prompt)
    late = NOW + LEASE

    with pytest.raises(TransitionRefused):
        await stores.prompts.claim(turn, "tok-2", late - 1, late + LEASE, alone=True)
    with pytest.raises(TransitionRefused):
        await stores.prompts.claim(turn, "tok-2", late, late + LEASE, alone=False)
    taken = await stores.prompts.claim(turn, "tok-2", late, late + LEASE, alone=True)

    assert taken == lifecycle.claim(running, turn, "tok-2", late, late + LEASE, alone=True)
    assert (taken.run_count, taken.losses) == (2, 1)
    assert await stored(stores, prompt) == taken


async def test_a_suspect_that_waits_is_claimed_only_alone(stores: Stores) -> None:
    prompt = await accepted(stores, a_prompt())
    await claimed(stores, prompt, "tok-1", NOW)
    late = NOW + LEASE
    taken = await claimed(stores, prompt, "tok-2", late)
    await stores.prompts.fail(taken, late, Failure("x", ""), late)

    with pytest.raises(TransitionRefused):
        await stores.prompts.claim(turn_of(prompt), "tok-3", late, late + LEASE, alone=False)
    assert (await claimed(stores, prompt, "tok-3", late)).run_count == 3


async def test_renew_moves_the_lease_and_tells_of_a_cancel(stores: Stores) -> None:
    prompt = await accepted(stores, a_prompt())
    running = await claimed(stores, prompt)

    renewed = await stores.prompts.renew(running, NOW + LEASE)
    assert (renewed.lease_until, renewed.cancel_requested) == (NOW + LEASE, False)

    await stores.prompts.request_cancel(ACCOUNT, "p1")
    renewed = await stores.prompts.renew(running, NOW + 2 * LEASE)
    assert renewed.cancel_requested
    assert renewed == await stored(stores, prompt)


async def test_finish_stores_the_answer_and_closes_the_turn(stores: Stores) -> None:
    prompt = await accepted(stores, a_prompt())
    running = await claimed(stores, prompt)
    answer = answer_of(prompt, finish_reason="stop", meta={"model": "m"})

    done = await stores.prompts.finish(running, NOW, answer, USAGE)

    assert done == lifecycle.finish(running, "token-1", NOW, answer.id, USAGE)
    assert done == await stored(stores, prompt)
    assert await stores.threads.message(ACCOUNT, "t1", 1, ANSWER) == answer
    assert await stores.prompts.head(ACCOUNT, "t1") is None
    assert (await stores.prompts.due(NOW * 2, 10)).items == []


async def test_finish_repeated_is_a_success_with_the_first_ones_result(stores: Stores) -> None:
    prompt = await accepted(stores, a_prompt())
    running = await claimed(stores, prompt)
    done = await stores.prompts.finish(running, NOW, answer_of(prompt), USAGE)

    assert await stores.prompts.finish(running, NOW + 9, answer_of(prompt, "No."), None) == done
    answer = await stores.threads.message(ACCOUNT, "t1", 1, ANSWER)
    assert answer == answer_of(prompt)


async def test_finish_wins_over_a_cancel_requested_after_the_claim(stores: Stores) -> None:
    prompt = await accepted(stores, a_prompt())
    running = await claimed(stores, prompt)
    await stores.prompts.request_cancel(ACCOUNT, "p1")

    await stores.prompts.finish(running, NOW, answer_of(prompt), None)

    done = await stored(stores, prompt)
    assert (done.status, done.cancel_requested) == (Status.COMPLETED, False)


async def test_fail_makes_the_turn_due_at_the_next_attempt(stores: Stores) -> None:
    prompt = await accepted(stores, a_prompt())
    running = await claimed(stores, prompt)
    failure = Failure("rate_limited", "slow down")

    failed = await stores.prompts.fail(running, NOW, failure, NOW + 4000)

    assert failed == lifecycle.fail(running, "token-1", NOW, failure, NOW + 4000)
    assert failed == await stored(stores, prompt)
    head = await stores.prompts.head(ACCOUNT, "t1")
    assert head is not None
    assert (head.due, head.distance) == (NOW + 4000, 1000)


async def test_fail_is_refused_once_a_cancel_was_requested(stores: Stores) -> None:
    prompt = await accepted(stores, a_prompt())
    running = await claimed(stores, prompt)
    wanted = await stores.prompts.request_cancel(ACCOUNT, "p1")

    with pytest.raises(TransitionRefused):
        await stores.prompts.fail(running, NOW, Failure("x", ""), NOW + 4000)

    assert await stored(stores, prompt) == wanted


async def test_an_older_attempt_does_not_take_a_later_answer_for_its_own(stores: Stores) -> None:
    prompt = await accepted(stores, a_prompt())
    stale = await claimed(stores, prompt, "tok-1", NOW)
    late = NOW + LEASE
    live = await claimed(stores, prompt, "tok-2", late)
    await stores.prompts.finish(live, late, answer_of(prompt, "the later one"), None)

    with pytest.raises(TransitionRefused):
        await stores.prompts.finish(stale, late, answer_of(prompt, "the older one"), None)

    answer = await stores.threads.message(ACCOUNT, "t1", 1, ANSWER)
    assert answer is not None
    assert answer.text == "the later one"


async def test_abandon_closes_the_turn(stores: Stores) -> None:
    prompt = await accepted(stores, a_prompt())
    running = await claimed(stores, prompt)
    failure = Failure("http_400", "no such model")

    ended = await stores.prompts.abandon(running, NOW, failure, Outcome.REFUSED)

    assert ended == lifecycle.abandon(running, "token-1", NOW, failure, Outcome.REFUSED)
    assert ended == await stored(stores, prompt)
    assert await stores.prompts.head(ACCOUNT, "t1") is None


@pytest.mark.parametrize("kept", [True, False])
async def test_cancel_running_keeps_the_partial_text(stores: Stores, kept: bool) -> None:
    prompt = await accepted(stores, a_prompt())
    running = await claimed(stores, prompt)
    partial = answer_of(prompt, "A fr", partial=True) if kept else None
    wanted = await stores.prompts.request_cancel(ACCOUNT, "p1")

    ended = await stores.prompts.cancel_running(running, NOW, partial)

    message_id = partial.id if partial else ""
    assert ended == lifecycle.cancel_running(wanted, "token-1", NOW, message_id)
    assert ended == await stored(stores, prompt)
    assert await stores.threads.message(ACCOUNT, "t1", 1, ANSWER) == partial
    assert await stores.prompts.head(ACCOUNT, "t1") is None


async def test_cancel_running_is_refused_unless_a_cancel_was_requested(stores: Stores) -> None:
    prompt = await accepted(stores, a_prompt())
    running = await claimed(stores, prompt)

    with pytest.raises(TransitionRefused):
        await stores.prompts.cancel_running(running, NOW, answer_of(prompt, partial=True))
    with pytest.raises(TransitionRefused):
        await stores.prompts.cancel_running(replace(running, cancel_requested=True), NOW, None)

    assert await stored(stores, prompt) == running
    assert await stores.threads.message(ACCOUNT, "t1", 1, ANSWER) is None


async def test_an_attempt_without_its_lease_changes_nothing(stores: Stores) -> None:
    prompt = await accepted(stores, a_prompt())
    stale = await claimed(stores, prompt, "tok-1", NOW)
    late = NOW + LEASE
    live = await claimed(stores, prompt, "tok-2", late)
    answer = answer_of(prompt)

    with pytest.raises(TransitionRefused):
        await stores.prompts.renew(stale, late * 2)
    with pytest.raises(TransitionRefused):
        await stores.prompts.finish(stale, late, answer, None)
    with pytest.raises(TransitionRefused):
        await stores.prompts.fail(stale, late, Failure("x", ""), late)
    with pytest.raises(TransitionRefused):
        await stores.prompts.abandon(stale, late, Failure("x", ""), Outcome.FAILED)
    with pytest.raises(TransitionRefused):
        await stores.prompts.cancel_running(stale, late, answer)

    assert await stored(stores, prompt) == live
    assert await stores.threads.message(ACCOUNT, "t1", 1, ANSWER) is None
    head = await stores.prompts.head(ACCOUNT, "t1")
    assert head is not None
    assert head.due == prompt.created_at + 1000


async def test_give_up_after_the_last_loss(stores: Stores) -> None:
    prompt = await accepted(stores, a_prompt())
    at = NOW
    for number in range(lifecycle.LOSS_CAP):
        with pytest.raises(TransitionRefused):
            await stores.prompts.give_up(ACCOUNT, "p1", at)
        await claimed(stores, prompt, f"tok-{number}", at)
        at += LEASE
    before = await stored(stores, prompt)

    with pytest.raises(TransitionRefused):
        await claimed(stores, prompt, "one too many", at)
    given_up = await stores.prompts.give_up(ACCOUNT, "p1", at)

    assert given_up == lifecycle.give_up(before, at) == await stored(stores, prompt)
    assert await stores.prompts.head(ACCOUNT, "t1") is None


async def test_cancel_waiting(stores: Stores) -> None:
    prompt = await accepted(stores, a_prompt())

    canceled = await stores.prompts.cancel_waiting(ACCOUNT, "p1", NOW)

    assert canceled == lifecycle.cancel_waiting(prompt, NOW) == await stored(stores, prompt)
    assert await stores.prompts.head(ACCOUNT, "t1") is None
    with pytest.raises(TransitionRefused):
        await stores.prompts.cancel_waiting(ACCOUNT, "p1", NOW)
    with pytest.raises(TransitionRefused):
        await stores.prompts.request_cancel(ACCOUNT, "p1")


async def test_cancel_expired_needs_the_wish_and_the_end_of_the_lease(stores: Stores) -> None:
    prompt = await accepted(stores, a_prompt())
    running = await claimed(stores, prompt, at=NOW)
    with pytest.raises(TransitionRefused):
        await stores.prompts.cancel_expired(ACCOUNT, "p1", NOW + LEASE)
    wanted = await stores.prompts.request_cancel(ACCOUNT, "p1")
    assert wanted == replace(running, cancel_requested=True)
    with pytest.raises(TransitionRefused):
        await stores.prompts.cancel_expired(ACCOUNT, "p1", NOW + LEASE - 1)
    with pytest.raises(TransitionRefused):
        await claimed(stores, prompt, "tok-2", NOW + LEASE)

    ended = await stores.prompts.cancel_expired(ACCOUNT, "p1", NOW + LEASE)

    assert ended == lifecycle.cancel_expired(wanted, NOW + LEASE) == await stored(stores, prompt)


async def test_evict_takes_a_live_lease_away(stores: Stores) -> None:
    prompt = await accepted(stores, a_prompt())
    running = await claimed(stores, prompt, at=NOW)

    with pytest.raises(TransitionRefused):
        await stores.prompts.evict(prompt, NOW + 1)  # seen waiting: to be asked first
    evicted = await stores.prompts.evict(running, NOW + 1)

    assert evicted == lifecycle.evict(running, running, NOW + 1) == await stored(stores, prompt)
    with pytest.raises(TransitionRefused):
        await stores.prompts.finish(running, NOW + 2, answer_of(prompt), None)
    with pytest.raises(TransitionRefused):
        await stores.prompts.evict(running, NOW + 3)
    with pytest.raises(TransitionRefused):
        await stores.prompts.evict(a_prompt("absent"), NOW)


async def test_evict_leaves_a_new_prompt_of_the_same_id(stores: Stores) -> None:
    seen = await accepted(stores, a_prompt())
    await stores.prompts.cancel_waiting(ACCOUNT, "p1", NOW)
    await stores.prompts.remove(ACCOUNT, "p1")
    again = await accepted(stores, a_prompt("p1", "t2"))

    with pytest.raises(TransitionRefused):
        await stores.prompts.evict(seen, NOW)
    assert await stored(stores, again) == again
