"""The state table: every way a prompt can change, with its actor and its condition.

Each transition is a pure function from the stored prompt to the next one; it raises
`TransitionRefused` when its condition does not hold. The in-memory store applies these
functions, the DynamoDB store states the same conditions as expressions, and the
conformance suite holds the two against each other. Nothing else changes a prompt.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from parley.core.errors import TransitionRefused
from parley.core.prompt import ATTEMPTS_KEPT, Attempt, OpenTurn, Outcome, Prompt, Status, Usage

# Attempts lost with their runner, after which a prompt is given up. It is a cap of its
# own: a prompt that kills runners must not do so `max_retries` times.
LOSS_CAP = 3


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table: who may take it, from which states, to which one, and when."""

    actors: frozenset[str]
    sources: frozenset[Status]
    target: Status | None
    condition: str


def _row(actors: str, sources: str, target: str, condition: str) -> Transition:
    return Transition(
        frozenset(actors.split()),
        frozenset(Status(word) for word in sources.split()),
        Status(target) if target else None,
        condition,
    )


TRANSITIONS: Mapping[str, Transition] = MappingProxyType(
    {
        "accept": _row("api", "", "scheduled", "the id is new and thread.next_turn = turn"),
        "claim": _row(
            "runner",
            "scheduled errored",
            "running",
            "same place, scheduled or errored and due; once a runner was lost, only alone",
        ),
        "claim_expired": _row(
            "runner",
            "running",
            "running",
            "same place, lease expired, no cancel requested, losses below the cap, alone",
        ),
        "renew": _row("runner", "running", "running", "own token"),
        "finish": _row("runner", "running", "completed", "own token"),
        "fail": _row("runner", "running", "errored", "own token, no cancel requested"),
        "abandon": _row("runner", "running", "abandoned", "own token"),
        "give_up": _row(
            "runner sweeper",
            "running",
            "abandoned",
            "lease expired, no cancel requested, and this loss reaches the cap",
        ),
        "request_cancel": _row("api socket sweeper", "running", "running", "none"),
        "cancel_waiting": _row("api socket", "scheduled errored", "canceled", "none"),
        "cancel_running": _row("runner", "running", "canceled", "own token, a cancel requested"),
        "cancel_expired": _row(
            "api socket runner sweeper",
            "running",
            "canceled",
            "lease expired and a cancel requested",
        ),
        "evict": _row(
            "api sweeper",
            "scheduled running errored",
            "canceled",
            "same place, not running unless it was seen so; it or its thread is going away",
        ),
        "retry": _row(
            "api",
            "abandoned canceled",
            "scheduled",
            "same place and status, thread.next_turn = new turn; in a session, its turn + 1",
        ),
        "forget": _row("api", "abandoned", "abandoned", "same place, given up"),
        "remove": _row("api", "completed abandoned canceled", "", "none"),
    }
)


def _check(prompt: Prompt, name: str, condition: bool = True) -> None:
    if prompt.status not in TRANSITIONS[name].sources or not condition:
        raise TransitionRefused(name)


def expired(prompt: Prompt, now: int) -> bool:
    """True if the lease of a running prompt is over, so that others may act on it."""
    return prompt.status is Status.RUNNING and prompt.lease_until <= now


def _last_loss(prompt: Prompt) -> bool:
    return prompt.losses + 1 >= LOSS_CAP


def same_place(prompt: Prompt, seen: Prompt | OpenTurn) -> bool:
    """True if the prompt is where it was seen; turns of a thread are never used twice."""
    return (prompt.thread_id, prompt.turn) == (seen.thread_id, seen.turn)


def claimable(prompt: Prompt, now: int) -> bool:
    """True if an attempt may start now."""
    if prompt.status is Status.SCHEDULED:
        return True
    if prompt.status is Status.ERRORED:
        return prompt.next_attempt_at <= now
    return expired(prompt, now) and not prompt.cancel_requested and not _last_loss(prompt)


def waits_again(prompt: Prompt) -> bool:
    """True if the prompt was retried, and no attempt has begun since.

    Nothing else changes a scheduled prompt, or makes one of another.
    """
    return prompt.status is Status.SCHEDULED and prompt.updated_at > prompt.created_at


def to_give_up(prompt: Prompt, now: int) -> bool:
    """True if the prompt has lost its last attempt with a runner."""
    return expired(prompt, now) and not prompt.cancel_requested and _last_loss(prompt)


def _ended(
    prompt: Prompt,
    now: int,
    outcome: Outcome,
    reason: str = "",
    usage: Usage | None = None,
) -> tuple[Attempt, ...]:
    """The attempts with the running one added as ended."""
    attempt = Attempt(prompt.run_count, prompt.last_run, now, outcome, reason, usage)
    return (*prompt.attempts, attempt)[-ATTEMPTS_KEPT:]


def _lost(prompt: Prompt) -> tuple[Attempt, ...]:
    return _ended(prompt, prompt.lease_until, Outcome.LOST, "lost")


def _close(prompt: Prompt, now: int, status: Status) -> Prompt:
    """The prompt without its lease, in `status`."""
    return replace(
        prompt,
        status=status,
        updated_at=now,
        lease_token="",
        lease_until=0,
        next_attempt_at=0,
        cancel_requested=False,
        given_up=False,
    )


def claim(
    prompt: Prompt, turn: OpenTurn, token: str, now: int, lease_until: int, *, alone: bool
) -> Prompt:
    """Start an attempt: a fresh token, the end of the lease, attempt + 1.

    Covers `claim` and `claim_expired`. A claim whose answer was lost finds its own token
    stored and is a success ("mine already"), or one message could start two attempts.

    `turn` is the head that the runner saw. The place must still be the same:

        runner                       api
        reads head: X at turn 3
                                     cancels X, retries X: now turn 7 behind 4, 5, 6
        claims X                     <- refused, or 7 would run before 4

    `alone` says that no other prompt is in this invocation. A prompt that has lost a
    runner may be what killed it, so it may not run beside others.
    """
    if prompt.status is Status.RUNNING and prompt.lease_token == token:
        return prompt
    takeover = prompt.status is Status.RUNNING
    suspect = takeover or prompt.losses > 0
    if not same_place(prompt, turn) or not claimable(prompt, now) or (suspect and not alone):
        raise TransitionRefused("claim")
    return replace(
        prompt,
        status=Status.RUNNING,
        updated_at=now,
        run_count=prompt.run_count + 1,
        losses=prompt.losses + takeover,
        attempts=_lost(prompt) if takeover else prompt.attempts,
        last_run=now,
        next_attempt_at=0,
        lease_token=token,
        lease_until=lease_until,
        error="",
        error_code="",
    )


def renew(prompt: Prompt, token: str, lease_until: int) -> Prompt:
    """Move the end of the lease."""
    _check(prompt, "renew", prompt.lease_token == token)
    return replace(prompt, lease_until=lease_until)


def finished_by(prompt: Prompt, claimed: Prompt, message_id: str) -> bool:
    """True if the attempt on `claimed` has finished the prompt already: its answer was lost.

    The answer's id alone does not tell, for it is derived from the turn: an attempt that
    lost its lease must not take the answer of the one after it for its own (I10).
    """
    same = same_place(prompt, claimed) and prompt.run_count == claimed.run_count
    return same and prompt.status is Status.COMPLETED and prompt.response_message_id == message_id


def finish(prompt: Prompt, token: str, now: int, message_id: str, usage: Usage | None) -> Prompt:
    """The answer is there. Wins over a cancel that was requested but not yet committed."""
    _check(prompt, "finish", prompt.lease_token == token)
    return replace(
        _close(prompt, now, Status.COMPLETED),
        response_message_id=message_id,
        attempts=_ended(prompt, now, Outcome.COMPLETED, usage=usage),
    )


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed: a code for everybody, a text for the prompt's owner (I9)."""

    code: str
    detail: str


def fail(prompt: Prompt, token: str, now: int, failure: Failure, next_attempt_at: int) -> Prompt:
    """The attempt failed and will be repeated at `next_attempt_at`.

    Refused when a cancel was asked for, or a prompt that somebody canceled would run again:

        api                          runner
                                     its provider fails
        asks X to cancel itself
                                     X errored       <- refused: it cancels itself instead
        answers 202, still running
    """
    _check(prompt, "fail", prompt.lease_token == token and not prompt.cancel_requested)
    return replace(
        _close(prompt, now, Status.ERRORED),
        next_attempt_at=next_attempt_at,
        failures=prompt.failures + 1,
        error=failure.detail,
        error_code=failure.code,
        attempts=_ended(prompt, now, Outcome.FAILED, failure.code),
    )


def abandon(
    prompt: Prompt, token: str, now: int, failure: Failure, outcome: Outcome = Outcome.FAILED
) -> Prompt:
    """The attempt failed and will not be repeated: refused, or the retries are used up.

    What was refused is the user's error, and no dead letter.
    """
    _check(prompt, "abandon", prompt.lease_token == token)
    return replace(
        _close(prompt, now, Status.ABANDONED),
        failures=prompt.failures + 1,
        error=failure.detail,
        error_code=failure.code,
        given_up=outcome is not Outcome.REFUSED,
        attempts=_ended(prompt, now, outcome, failure.code),
    )


LOST_DETAIL = "the runner was lost during this attempt, for the last time allowed"


def give_up(prompt: Prompt, now: int) -> Prompt:
    """The last attempt that may be lost with its runner is lost."""
    _check(prompt, "give_up", to_give_up(prompt, now))
    return replace(
        _close(prompt, now, Status.ABANDONED),
        losses=prompt.losses + 1,
        error=LOST_DETAIL,
        error_code="lost",
        given_up=True,
        attempts=_lost(prompt),
    )


def request_cancel(prompt: Prompt) -> Prompt:
    """Ask the running attempt to cancel itself; from now on no one takes the prompt over."""
    _check(prompt, "request_cancel")
    return replace(prompt, cancel_requested=True)


def cancel_waiting(prompt: Prompt, now: int) -> Prompt:
    """Cancel a prompt that no attempt is working on."""
    _check(prompt, "cancel_waiting")
    return _close(prompt, now, Status.CANCELED)


def cancel_running(prompt: Prompt, token: str, now: int, message_id: str) -> Prompt:
    """The attempt cancels itself. `message_id` names the kept partial text, or is empty.

    Only if somebody asked: an attempt that may not write its failure tries this next, and
    what kept it from that may have been anything.
    """
    _check(prompt, "cancel_running", prompt.lease_token == token and prompt.cancel_requested)
    return replace(
        _close(prompt, now, Status.CANCELED),
        response_message_id=message_id,
        attempts=_ended(prompt, now, Outcome.CANCELED),
    )


def cancel_expired(prompt: Prompt, now: int) -> Prompt:
    """Cancel a prompt whose runner is gone."""
    _check(prompt, "cancel_expired", expired(prompt, now) and prompt.cancel_requested)
    return replace(_close(prompt, now, Status.CANCELED), attempts=_lost(prompt))


def evict(prompt: Prompt, seen: Prompt, now: int) -> Prompt:
    """Cancel whatever the state, because the prompt or its thread is going away.

    Taking the token away keeps a live attempt from writing (I10), but it notices a second
    later and speaks until then: so callers ask it to cancel itself first. `seen` is the
    prompt as the caller read it: an id that was removed and added again meanwhile is
    another prompt, and one that was claimed meanwhile has an attempt to be asked.
    """
    unasked = prompt.status is Status.RUNNING and seen.status is not Status.RUNNING
    _check(prompt, "evict", same_place(prompt, seen) and not unasked)
    attempts = prompt.attempts
    if prompt.status is Status.RUNNING:
        attempts = _ended(prompt, now, Outcome.CANCELED)
    return replace(_close(prompt, now, Status.CANCELED), attempts=attempts)


def retry(prompt: Prompt, seen: Prompt, turn: int, now: int) -> Prompt:
    """A new turn at the tail with a fresh budget; `run_count` and `attempts` go on."""
    _check(prompt, "retry", same_place(prompt, seen) and prompt.status is seen.status)
    return replace(
        _close(prompt, now, Status.SCHEDULED),
        turn=turn,
        failures=0,
        losses=0,
        error="",
        error_code="",
        response_message_id="",
    )


def forget(prompt: Prompt, seen: Prompt) -> Prompt:
    """A dead letter no more, for its prompt cannot be tried again; it stays abandoned."""
    _check(prompt, "forget", same_place(prompt, seen) and prompt.given_up)
    return replace(prompt, given_up=False)


def removable(prompt: Prompt) -> None:
    """Raise unless the prompt may be removed."""
    _check(prompt, "remove")
