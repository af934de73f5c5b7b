"""Run a prompt that a wake-up points at: claim, answer, finish; or fail, cancel, give up.

The story of the runner, from the wake-up to the moment when its message may be deleted.
"""

import contextlib
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from parley.core import lifecycle
from parley.core.backoff import next_attempt_at
from parley.core.errors import Busy, ProviderFailed, TransitionRefused, Unavailable
from parley.core.events import message_frame, prompt_frame
from parley.core.lifecycle import Failure
from parley.core.prompt import OpenTurn, Outcome, Prompt, Status
from parley.core.thread import (
    ANSWER,
    QUESTION,
    Message,
    Role,
    answer_id,
    round_id,
)
from parley.ports import DeadLetter, DeadLetters, Ids, WakeUp
from parley.usecases.attempt import Attempt, AttemptPorts
from parley.usecases.ending import Ending
from parley.usecases.observing import Observer
from parley.usecases.take_over import take_over
from parley.usecases.verdicts import Answered, CancelAsked, Failed, LeaseLost, Round, Verdict
from parley.usecases.waiting import every

T = TypeVar("T")

COMMIT_PAUSE_SECONDS = 0.2
CLAIM_TRIES = 3
# Together with its calls and their results a round must fit in an item of 400 KB.
ROUND_TEXT_BYTES = 32 * 1024


@dataclass(frozen=True, slots=True)
class Done:
    """The wake-up's message may be deleted."""


@dataclass(frozen=True, slots=True)
class Again:
    """The wake-up's message is to be shown again after so many seconds."""

    seconds: int


Result = Done | Again


class LeaseOver(Exception):
    """The attempt may not write any more; what it wrote last may or may not have arrived."""


@dataclass(frozen=True, slots=True)
class Run:
    """Looks at the prompt of a wake-up and does what its state calls for."""

    ports: AttemptPorts
    ending: Ending
    dead_letters: DeadLetters
    ids: Ids
    observer: Observer

    async def __call__(self, wake_up: WakeUp, *, alone: bool, deadline: float) -> Result:
        """Returns what is to become of the wake-up's message.

        `alone`: no other prompt is in this invocation. `deadline`: monotonic seconds by
        which attempts must have ended.
        """
        turn = await self._turn_of(wake_up)
        if turn is None:
            return await self._settle(wake_up, alone=alone)
        claimed = await self._claim(turn, alone=alone)
        if claimed is None:
            return await self._settle(wake_up, alone=alone)
        prompt, lease_end = claimed
        self.observer.claimed(prompt, turn, self.ports.clock.now())
        attempt = Attempt(prompt, self.ports, self.observer, lease_end, deadline)
        try:
            verdict = await attempt.run()
            now = self.ports.clock.now()
            self.observer.attempted(prompt, verdict, attempt.first_token_at, now)
            return await self._conclude(attempt, verdict)
        except (LeaseOver, TransitionRefused):
            # The lease went to another attempt, the prompt was evicted, or this very
            # write took effect and its response was lost: the stored state says which.
            # Whoever has the word now, this attempt has not (I10).
            await attempt.delivery.abort()
            return await self._settle(wake_up, alone=alone)
        finally:
            await attempt.delivery.abort()

    async def _turn_of(self, wake_up: WakeUp) -> OpenTurn | None:
        """The head of the prompt's thread, if it is this prompt's turn.

        Turns only grow and the head leaves only by ending, so once a turn was seen at the
        head, no earlier one can be open again: the claim, conditional on the turn, needs
        no second look (I5).
        """
        thread_id = wake_up.thread_id
        if not thread_id:
            prompt = await self.ports.prompts.prompt(wake_up.account, wake_up.prompt_id)
            if prompt is None:
                return None
            thread_id = prompt.thread_id
        head = await self.ports.prompts.head(wake_up.account, thread_id)
        return head if head is not None and head.prompt_id == wake_up.prompt_id else None

    async def _claim(self, turn: OpenTurn, *, alone: bool) -> tuple[Prompt, float] | None:
        """The claimed prompt and the monotonic end of its lease, or None if refused."""
        token = self.ids.token()
        clock, policy = self.ports.clock, self.ports.policy
        for last in range(CLAIM_TRIES - 1, -1, -1):
            lease_end = clock.monotonic() + policy.lease
            now = clock.now()
            try:
                prompt = await self.ports.prompts.claim(
                    turn, token, now, now + policy.lease_ms, alone=alone
                )
            except TransitionRefused:
                return None
            except (Busy, Unavailable):
                # The claim may have taken effect: asking again with the same token finds
                # it ("mine already") instead of waiting for a lease that nobody keeps.
                if not last:
                    raise
                await clock.sleep(COMMIT_PAUSE_SECONDS)
                continue
            stored_end = clock.monotonic() + (prompt.lease_until - clock.now()) / 1000
            return prompt, min(lease_end, stored_end)
        raise AssertionError("unreachable")

    async def _settle(self, wake_up: WakeUp, *, alone: bool) -> Result:
        """No attempt is to be started by this wake-up: do what the stored state calls for."""
        prompt = await self.ports.prompts.prompt(wake_up.account, wake_up.prompt_id)
        if prompt is None:
            return Done()
        now = self.ports.clock.now()
        if prompt.status.terminal:
            # Its runner may have died between the commit and the push.
            await self.ending(prompt)
            return Done()
        suspect = prompt.losses > 0 and not alone
        if prompt.status is Status.ERRORED and not (suspect and lifecycle.claimable(prompt, now)):
            # At least a second: it may have become due since the claim was refused.
            return Again(max(math.ceil((prompt.next_attempt_at - now) / 1000), 1))
        if lifecycle.expired(prompt, now):
            # Refused: somebody else has acted on it by now, and goes on with it.
            with contextlib.suppress(TransitionRefused):
                await take_over(
                    prompt,
                    now,
                    prompts=self.ports.prompts,
                    ending=self.ending,
                    dead_letters=self.dead_letters,
                    observer=self.observer,
                )
            return Done()
        if suspect and prompt.status is not Status.RUNNING:
            await self.ending.wake(prompt, alone=True)
        # Parked behind an earlier turn (whoever ends it wakes this one), or running with
        # a live lease: both go on without this wake-up.
        return Done()

    async def _conclude(self, attempt: Attempt, verdict: Verdict) -> Result:
        if isinstance(verdict, LeaseLost):
            self.observer.lease_lost(attempt.prompt)
            raise LeaseOver
        if isinstance(verdict, Answered):
            return await self._finish(attempt, verdict)
        await attempt.delivery.abort()
        if isinstance(verdict, CancelAsked):
            return await self._cancel(attempt)
        return await self._fail(attempt, verdict)

    async def _finish(self, attempt: Attempt, answered: Answered) -> Result:
        prompts, clock = self.ports.prompts, self.ports.clock
        answer = self._message(attempt, answered.text, answered.finish_reason)
        rounds = [self._round(attempt, one) for one in answered.rounds]
        # Repeating is safe: the answer's key is derived, and a finish that took effect is
        # recognised by it (I2).
        prompt = await self._write(
            attempt,
            lambda: prompts.finish(attempt.prompt, clock.now(), answer, answered.usage, rounds),
        )
        self.observer.completed(prompt)
        # At once, and each whatever becomes of the other: slow followers delay no next turn.
        told = attempt.delivery.close([message_frame(answer), prompt_frame(prompt)])
        await every([told, self.ending.wake_next(prompt.account, prompt.thread_id)])
        return Done()

    async def _cancel(self, attempt: Attempt) -> Result:
        prompts, clock = self.ports.prompts, self.ports.clock
        text = attempt.delivery.text
        partial = self._message(attempt, text, "canceled", partial=True) if text else None
        prompt = await self._write(
            attempt, lambda: prompts.cancel_running(attempt.prompt, clock.now(), partial)
        )
        await self.ending(prompt)
        return Done()

    async def _fail(self, attempt: Attempt, failed: Failed) -> Result:
        prompts, failure = self.ports.prompts, failed.failure
        now = self.ports.clock.now()
        base = self.ports.policy.backoff_base
        again = next_attempt_at(attempt.prompt, failure, now, base)
        stored = Failure(failure.reason, failure.detail)
        if again is None:
            return await self._abandon(attempt, failure, stored)
        try:
            prompt = await self._write(
                attempt, lambda: prompts.fail(attempt.prompt, now, stored, again)
            )
        except TransitionRefused:
            # A cancel was asked for at the same moment. Or the lease is another's: then
            # this is refused, too.
            return await self._cancel(attempt)
        await self.ending.push(prompt)
        return Again(math.ceil((again - now) / 1000))

    async def _abandon(self, attempt: Attempt, failure: ProviderFailed, stored: Failure) -> Result:
        prompts, clock = self.ports.prompts, self.ports.clock
        outcome = Outcome.FAILED if failure.retryable else Outcome.REFUSED
        if failure.retryable:
            # Before the commit: a crash in between leaves a record too many (redriving it
            # is refused and forgets it), never an abandoned prompt that nobody hears of.
            letter = DeadLetter(attempt.prompt.account, attempt.prompt.id, failure.reason)
            await self._write(attempt, lambda: self.dead_letters.record(letter))
        prompt = await self._write(
            attempt, lambda: prompts.abandon(attempt.prompt, clock.now(), stored, outcome)
        )
        self.observer.abandoned(prompt)
        await self.ending(prompt)
        return Done()

    async def _write(self, attempt: Attempt, write: Callable[[], Awaitable[T]]) -> T:
        """Write, repeated while it is unknown whether it took effect.

        Raises LeaseOver when the lease is over before that is known.
        """
        while True:
            try:
                return await write()
            except (Busy, Unavailable):
                await self.ports.clock.sleep(COMMIT_PAUSE_SECONDS)
                if not attempt.valid():
                    raise LeaseOver from None

    def _round(self, attempt: Attempt, one: Round) -> Message:
        """A round as it is stored; a long text is cut, for the answer has it whole."""
        prompt = attempt.prompt
        text = one.text.encode()[:ROUND_TEXT_BYTES].decode(errors="ignore")
        return replace(
            self._message(attempt, text, ""),
            part=QUESTION + one.number,
            id=round_id(prompt.id, prompt.turn, one.number),
            role=Role.TOOL,
            calls=one.calls,
            meta={},
        )

    def _message(
        self, attempt: Attempt, text: str, finish_reason: str, *, partial: bool = False
    ) -> Message:
        prompt, now = attempt.prompt, self.ports.clock.now()
        return Message(
            account=prompt.account,
            thread_id=prompt.thread_id,
            turn=prompt.turn,
            part=ANSWER,
            id=answer_id(prompt.id, prompt.turn),
            role=Role.ASSISTANT,
            text=text,
            created_at=now,
            updated_at=now,
            finish_reason=finish_reason,
            partial=partial,
            meta=attempt.meta,
        )
