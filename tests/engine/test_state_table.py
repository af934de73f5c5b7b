"""The state table: every transition from every status, with and without its condition."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from parley.core import lifecycle
from parley.core.errors import TransitionRefused
from parley.core.lifecycle import LOSS_CAP, TRANSITIONS, Failure
from parley.core.prompt import (
    ATTEMPTS_KEPT,
    TERMINAL,
    UNFINISHED,
    Attempt,
    OpenTurn,
    Outcome,
    Prompt,
    Status,
    Usage,
)

NOW = 1_000_000
TOKEN = "token-1"
USAGE = Usage(7, 11)
FAILURE = Failure("status_500", "words of the provider")
TURN = OpenTurn("acc", "t", 3, "p", "usr", NOW, 1000)


def a_prompt(status: Status, **fields: Any) -> Prompt:
    """A prompt as it may be in this status: a running one with an expired lease."""
    prompt = Prompt("acc", "p", "t", 3, "usr", status, 0, 0, "f", 5, run_count=2, last_run=500)
    if status is Status.RUNNING:
        prompt = replace(prompt, lease_token=TOKEN, lease_until=NOW)
    if status is Status.ERRORED:
        prompt = replace(prompt, next_attempt_at=NOW, failures=1, error="e", error_code="c")
    return replace(prompt, **fields)


def claim(
    prompt: Prompt, token: str = "token-2", turn: OpenTurn = TURN, *, alone: bool = True
) -> Prompt:
    return lifecycle.claim(prompt, turn, token, NOW, NOW + 30_000, alone=alone)


# How each transition is called when its condition holds, and what the prompt needs for it.
CALLS: dict[str, tuple[dict[str, Any], Callable[[Prompt], Prompt]]] = {
    "claim": ({}, claim),
    "claim_expired": ({}, claim),
    "renew": ({}, lambda p: lifecycle.renew(p, TOKEN, NOW + 9)),
    "finish": ({}, lambda p: lifecycle.finish(p, TOKEN, NOW, "msg", USAGE)),
    "fail": ({}, lambda p: lifecycle.fail(p, TOKEN, NOW, FAILURE, NOW + 9)),
    "abandon": ({}, lambda p: lifecycle.abandon(p, TOKEN, NOW, FAILURE)),
    "give_up": ({"losses": LOSS_CAP - 1}, lambda p: lifecycle.give_up(p, NOW)),
    "request_cancel": ({}, lifecycle.request_cancel),
    "cancel_waiting": ({}, lambda p: lifecycle.cancel_waiting(p, NOW)),
    "cancel_running": (
        {"cancel_requested": True},
        lambda p: lifecycle.cancel_running(p, TOKEN, NOW, "msg"),
    ),
    "cancel_expired": ({"cancel_requested": True}, lambda p: lifecycle.cancel_expired(p, NOW)),
    "evict": ({}, lambda p: lifecycle.evict(p, p, NOW)),
    "retry": ({}, lambda p: lifecycle.retry(p, p, 8, NOW)),
    "forget": ({"given_up": True}, lambda p: lifecycle.forget(p, p)),
}


def test_every_row_that_changes_a_prompt_is_tested_here() -> None:
    assert set(CALLS) | {"accept", "remove"} == set(TRANSITIONS)


def test_every_unfinished_status_has_a_way_to_a_terminal_one() -> None:
    reaches = {status: {status} for status in UNFINISHED}
    for _ in Status:
        for row in TRANSITIONS.values():
            for source in row.sources & UNFINISHED:
                reaches[source] |= {row.target} | reaches.get(row.target, set())  # type: ignore[arg-type]
    assert all(found & TERMINAL for found in reaches.values())


def test_only_a_retry_or_a_removal_leaves_a_terminal_status() -> None:
    leaving = {
        name
        for name, row in TRANSITIONS.items()
        if row.sources & TERMINAL and row.target not in row.sources
    }
    assert leaving == {"retry", "remove"}
    assert Status.COMPLETED not in TRANSITIONS["retry"].sources


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("name", list(CALLS))
def test_a_transition_is_taken_from_its_sources_and_refused_from_every_other_status(
    name: str, status: Status
) -> None:
    fields, call = CALLS[name]
    prompt = a_prompt(status, **fields)
    # One function claims, from waiting and from an expired lease.
    rows = ["claim", "claim_expired"] if name.startswith("claim") else [name]
    row = next((TRANSITIONS[r] for r in rows if status in TRANSITIONS[r].sources), None)
    if row is None:
        with pytest.raises(TransitionRefused):
            call(prompt)
    else:
        assert call(prompt).status is row.target


@pytest.mark.parametrize("status", list(Status))
def test_only_an_ended_prompt_may_be_removed(status: Status) -> None:
    if status.terminal:
        lifecycle.removable(a_prompt(status))
    else:
        with pytest.raises(TransitionRefused):
            lifecycle.removable(a_prompt(status))


RUNNING, SCHEDULED, ERRORED = Status.RUNNING, Status.SCHEDULED, Status.ERRORED
LIVE = {"lease_until": NOW + 1}
BROKEN: list[tuple[str, str, Status, dict[str, Any], Callable[[Prompt], Prompt]]] = [
    ("claim", "back-off not over", ERRORED, {"next_attempt_at": NOW + 1}, claim),
    ("claim", "another turn", SCHEDULED, {"turn": 4}, claim),
    ("claim", "another thread", SCHEDULED, {"thread_id": "u"}, claim),
    ("claim", "a suspect beside others", SCHEDULED, {"losses": 1}, lambda p: claim(p, alone=False)),
    ("claim", "an errored suspect", ERRORED, {"losses": 1}, lambda p: claim(p, alone=False)),
    ("claim_expired", "a live lease", RUNNING, LIVE, claim),
    ("claim_expired", "another turn", RUNNING, {"turn": 4}, claim),
    ("claim_expired", "a cancel requested", RUNNING, {"cancel_requested": True}, claim),
    ("claim_expired", "losses at the cap", RUNNING, {"losses": LOSS_CAP - 1}, claim),
    ("claim_expired", "beside others", RUNNING, {}, lambda p: claim(p, alone=False)),
    ("renew", "another token", RUNNING, {"lease_token": "x"}, CALLS["renew"][1]),
    ("finish", "another token", RUNNING, {"lease_token": "x"}, CALLS["finish"][1]),
    ("fail", "another token", RUNNING, {"lease_token": "x"}, CALLS["fail"][1]),
    ("fail", "a cancel requested", RUNNING, {"cancel_requested": True}, CALLS["fail"][1]),
    ("abandon", "another token", RUNNING, {"lease_token": "x"}, CALLS["abandon"][1]),
    (
        "cancel_running",
        "another token",
        RUNNING,
        {"lease_token": "x", "cancel_requested": True},
        CALLS["cancel_running"][1],
    ),
    ("cancel_running", "no cancel requested", RUNNING, {}, CALLS["cancel_running"][1]),
    (
        "evict",
        "seen waiting, running by now",
        RUNNING,
        {},
        lambda p: lifecycle.evict(p, replace(p, status=SCHEDULED), NOW),
    ),
    ("give_up", "a live lease", RUNNING, LIVE | {"losses": 2}, CALLS["give_up"][1]),
    ("give_up", "losses below the cap", RUNNING, {"losses": 1}, CALLS["give_up"][1]),
    (
        "give_up",
        "a cancel requested",
        RUNNING,
        {"losses": 2, "cancel_requested": True},
        CALLS["give_up"][1],
    ),
    (
        "cancel_expired",
        "a live lease",
        RUNNING,
        LIVE | {"cancel_requested": True},
        CALLS["cancel_expired"][1],
    ),
    ("cancel_expired", "no cancel requested", RUNNING, {}, CALLS["cancel_expired"][1]),
    ("evict", "another turn", SCHEDULED, {}, lambda p: lifecycle.evict(p, replace(p, turn=9), NOW)),
    (
        "evict",
        "another thread",
        SCHEDULED,
        {},
        lambda p: lifecycle.evict(p, replace(p, thread_id="u"), NOW),
    ),
    (
        "retry",
        "another turn",
        Status.CANCELED,
        {},
        lambda p: lifecycle.retry(p, replace(p, turn=9), 10, NOW),
    ),
    (
        "retry",
        "another status than seen",
        Status.CANCELED,
        {},
        lambda p: lifecycle.retry(p, replace(p, status=Status.ABANDONED), 10, NOW),
    ),
    ("forget", "not given up", Status.ABANDONED, {}, CALLS["forget"][1]),
    (
        "forget",
        "another turn",
        Status.ABANDONED,
        {"given_up": True},
        lambda p: lifecycle.forget(p, replace(p, turn=9)),
    ),
]


@pytest.mark.parametrize(
    ("status", "fields", "call"),
    [case[2:] for case in BROKEN],
    ids=[f"{name}: {why}" for name, why, *_ in BROKEN],
)
def test_a_broken_condition_refuses(
    status: Status, fields: dict[str, Any], call: Callable[[Prompt], Prompt]
) -> None:
    with pytest.raises(TransitionRefused):
        call(a_prompt(status, **fields))


def test_a_claim_starts_the_next_attempt_under_a_fresh_lease() -> None:
    claimed = claim(a_prompt(ERRORED))
    assert (claimed.run_count, claimed.last_run) == (3, NOW)
    assert (claimed.lease_token, claimed.lease_until) == ("token-2", NOW + 30_000)
    assert (claimed.error, claimed.error_code, claimed.next_attempt_at) == ("", "", 0)
    assert (claimed.failures, claimed.losses) == (1, 0)


def test_a_claim_that_finds_its_own_token_has_succeeded_already() -> None:
    claimed = claim(a_prompt(SCHEDULED))
    assert claim(claimed) is claimed
    assert claim(claimed, alone=False) is claimed


def test_a_takeover_counts_the_loss_and_writes_it_down() -> None:
    taken = claim(a_prompt(RUNNING))
    assert (taken.losses, taken.failures, taken.run_count) == (1, 0, 3)
    assert taken.attempts == (Attempt(2, 500, NOW, Outcome.LOST, "lost"),)


@pytest.mark.parametrize(
    ("name", "outcome", "reason", "usage"),
    [
        ("finish", Outcome.COMPLETED, "", USAGE),
        ("fail", Outcome.FAILED, "status_500", None),
        ("abandon", Outcome.FAILED, "status_500", None),
        ("cancel_running", Outcome.CANCELED, "", None),
        ("give_up", Outcome.LOST, "lost", None),
        ("cancel_expired", Outcome.LOST, "lost", None),
        ("evict", Outcome.CANCELED, "", None),
    ],
)
def test_every_end_of_an_attempt_writes_it_down_and_takes_the_lease_away(
    name: str, outcome: Outcome, reason: str, usage: Usage | None
) -> None:
    fields, call = CALLS[name]
    ended = call(a_prompt(RUNNING, **fields))
    assert ended.attempts == (Attempt(2, 500, NOW, outcome, reason, usage),)
    assert (ended.lease_token, ended.lease_until, ended.cancel_requested) == ("", 0, False)
    assert ended.run_count == 2
    assert ended.updated_at == NOW


def test_an_eviction_of_a_waiting_prompt_has_no_attempt_to_write_down() -> None:
    assert lifecycle.evict(a_prompt(SCHEDULED), a_prompt(SCHEDULED), NOW).attempts == ()


def test_a_failure_spends_the_retries_and_a_loss_does_not() -> None:
    failed = CALLS["fail"][1](a_prompt(RUNNING, failures=1))
    assert (failed.failures, failed.losses, failed.next_attempt_at) == (2, 0, NOW + 9)
    assert (failed.error, failed.error_code) == ("words of the provider", "status_500")
    given_up = CALLS["give_up"][1](a_prompt(RUNNING, losses=2, failures=1))
    assert (given_up.failures, given_up.losses, given_up.error_code) == (1, 3, "lost")


@pytest.mark.parametrize(
    ("outcome", "given_up"), [(Outcome.FAILED, True), (Outcome.REFUSED, False)]
)
def test_what_was_refused_is_no_dead_letter(outcome: Outcome, given_up: bool) -> None:
    abandoned = lifecycle.abandon(a_prompt(RUNNING), TOKEN, NOW, FAILURE, outcome)
    assert (abandoned.status, abandoned.given_up) == (Status.ABANDONED, given_up)


def test_a_prompt_is_a_dead_letter_until_it_is_retried_or_forgotten() -> None:
    dead = CALLS["give_up"][1](a_prompt(RUNNING, losses=LOSS_CAP - 1))
    assert dead.given_up
    assert not lifecycle.retry(dead, dead, 8, NOW).given_up
    assert lifecycle.forget(dead, dead) == replace(dead, given_up=False)


def test_a_wish_to_cancel_loses_against_a_finish_and_is_cleared_by_it() -> None:
    wanted = lifecycle.request_cancel(a_prompt(RUNNING))
    assert wanted.cancel_requested
    finished = CALLS["finish"][1](wanted)
    assert (finished.status, finished.cancel_requested) == (Status.COMPLETED, False)


def test_a_retry_has_a_fresh_budget_and_its_history() -> None:
    attempts = (Attempt(2, 500, NOW, Outcome.FAILED),)
    spent = a_prompt(
        Status.ABANDONED,
        failures=6,
        losses=2,
        error="e",
        error_code="c",
        attempts=attempts,
        response_message_id="msg",
    )
    retried = lifecycle.retry(spent, spent, 8, NOW)
    assert (retried.turn, retried.failures, retried.losses) == (8, 0, 0)
    assert (retried.error, retried.error_code, retried.response_message_id) == ("", "", "")
    assert (retried.run_count, retried.attempts) == (2, attempts)


def test_only_the_newest_attempts_are_kept() -> None:
    old = tuple(Attempt(n, n, n, Outcome.FAILED) for n in range(ATTEMPTS_KEPT))
    failed = CALLS["fail"][1](a_prompt(RUNNING, attempts=old))
    assert len(failed.attempts) == ATTEMPTS_KEPT
    assert (failed.attempts[0].number, failed.attempts[-1].number) == (1, 2)


@pytest.mark.parametrize(
    ("status", "fields", "claimable", "to_give_up"),
    [
        (SCHEDULED, {}, True, False),
        (ERRORED, {}, True, False),
        (ERRORED, {"next_attempt_at": NOW + 1}, False, False),
        (RUNNING, {}, True, False),
        (RUNNING, LIVE, False, False),
        (RUNNING, {"losses": 2}, False, True),
        (RUNNING, {"losses": 2} | LIVE, False, False),
        (RUNNING, {"losses": 2, "cancel_requested": True}, False, False),
        (RUNNING, {"cancel_requested": True}, False, False),
        (Status.COMPLETED, {}, False, False),
    ],
)
def test_what_may_be_claimed_and_what_is_to_be_given_up(
    status: Status, fields: dict[str, Any], claimable: bool, to_give_up: bool
) -> None:
    prompt = a_prompt(status, **fields)
    assert lifecycle.claimable(prompt, NOW) is claimable
    assert lifecycle.to_give_up(prompt, NOW) is to_give_up


def test_a_finish_is_recognised_as_made_by_the_same_attempt_only() -> None:
    claimed = a_prompt(RUNNING)
    finished = CALLS["finish"][1](claimed)
    assert lifecycle.finished_by(finished, claimed, "msg")
    assert not lifecycle.finished_by(finished, replace(claimed, run_count=1), "msg")
    assert not lifecycle.finished_by(finished, replace(claimed, turn=2), "msg")
    assert not lifecycle.finished_by(finished, claimed, "other")
    assert not lifecycle.finished_by(claimed, claimed, "msg")
