"""Cancel a prompt, retry one that was given up, remove one; and delete a thread."""

import contextlib
from dataclasses import dataclass
from typing import Protocol

from parley.core import lifecycle, session
from parley.core.access import Principal
from parley.core.errors import (
    Busy,
    Conflict,
    NoSuchPrompt,
    NoSuchThread,
    NotFound,
    ThreadDeleted,
    TooManyOpenTurns,
    TransitionRefused,
    TurnTaken,
    Unavailable,
)
from parley.core.policy import OPEN_TURNS_CAP, Policy
from parley.core.prompt import OpenTurn, Prompt, Status
from parley.core.thread import Thread
from parley.ports import Clock, Ids, PromptStore, ThreadHead, ThreadStore, WakeUp
from parley.usecases.accept import ACCEPT_TRIES, JITTER_SECONDS
from parley.usecases.ending import Ending
from parley.usecases.observing import TurnObserver
from parley.usecases.waiting import every, poll

DECISIONS = 20
DELETE_PAGE = 100
AT_ONCE = 10


async def owned(prompts: PromptStore, principal: Principal, prompt_id: str) -> Prompt:
    """The caller's own prompt (an admin's: any of the account); raises NotFound."""
    prompt = await prompts.prompt(principal.account, prompt_id)
    if prompt is None or not principal.owns(prompt):
        raise NoSuchPrompt
    return prompt


async def stopped(prompts: PromptStore, clock: Clock, prompt: Prompt, end: float) -> Prompt:
    """The prompt when its attempt is over, or as it is at `end` (monotonic seconds)."""

    async def look() -> Prompt:
        return await prompts.prompt(prompt.account, prompt.id) or prompt

    def over(found: Prompt) -> bool:
        return found.status is not Status.RUNNING or lifecycle.expired(found, clock.now())

    return await poll(clock, max(end - clock.monotonic(), 0), look, over)


async def evicted(prompts: PromptStore, clock: Clock, prompt: Prompt, end: float) -> Prompt | None:
    """End a prompt that is going away; None if it ended by itself.

    A running attempt is asked first and given until `end`, and only what runs on, or has
    lost its runner, loses its lease. Else the attempt would go on speaking until it looks:

        api                          runner
        evicts X, says: canceled
                                     posts the next delta of X
                                     looks: another's, and stops

    Raises TransitionRefused if the prompt has moved meanwhile.
    """
    if prompt.status is Status.RUNNING:
        if not prompt.cancel_requested:
            prompt = await prompts.request_cancel(prompt.account, prompt.id)
        prompt = await stopped(prompts, clock, prompt, end)
    if prompt.status.terminal:
        return None
    return await prompts.evict(prompt, clock.now())


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancels a prompt in whatever state it is."""

    prompts: PromptStore
    ending: Ending
    clock: Clock
    policy: Policy

    async def __call__(self, principal: Principal, prompt_id: str) -> Prompt:
        """The prompt as it is afterwards: canceled, another end that won, or still running.

        Not running: one transition. Running: the attempt is asked and given up to 3 s.
        Its lease expired: nobody is left to ask, so it is canceled from here.
        """
        end = self.clock.monotonic() + self.policy.cancel_wait
        for _ in range(DECISIONS):
            prompt = await owned(self.prompts, principal, prompt_id)
            if prompt.status.terminal:
                return prompt
            try:
                if (canceled := await self._step(prompt)) is not None:
                    await self.ending.hint(canceled)
                    return canceled
            except TransitionRefused:
                # The prompt moved between the read and the write: decide anew.
                continue
            # Its attempt may have failed instead, which leaves a prompt that waits for its
            # next one: that is no end, so it is looked at again.
            prompt = await self._wait(prompt, end)
            if prompt.status is Status.RUNNING and self.clock.monotonic() >= end:
                return prompt
        raise Busy("the prompt keeps changing")

    async def _step(self, prompt: Prompt) -> Prompt | None:
        """Take one transition; the canceled prompt, or None if the attempt was asked."""
        now = self.clock.now()
        if prompt.status is not Status.RUNNING:
            return await self.prompts.cancel_waiting(prompt.account, prompt.id, now)
        if not prompt.cancel_requested:
            prompt = await self.prompts.request_cancel(prompt.account, prompt.id)
        if lifecycle.expired(prompt, now):
            return await self.prompts.cancel_expired(prompt.account, prompt.id, now)
        return None

    async def _wait(self, prompt: Prompt, end: float) -> Prompt:
        return await stopped(self.prompts, self.clock, prompt, end)


class RetryRules(Protocol):
    """What else has to hold for a prompt to be tried again."""

    async def admit(self, head: ThreadHead, /) -> None:
        """Raise unless what was just read allows it. Called again after a conflict."""


class NoRules:
    """Of whoever may try again as often as they like."""

    async def admit(self, _head: ThreadHead) -> None:
        return


FREELY = NoRules()


@dataclass(frozen=True, slots=True)
class Retry:
    """Gives an abandoned or canceled prompt a new turn at the tail and a fresh budget."""

    prompts: PromptStore
    ending: Ending
    clock: Clock
    ids: Ids
    policy: Policy
    observer: TurnObserver

    async def __call__(
        self, principal: Principal, prompt_id: str, rules: RetryRules = FREELY
    ) -> Prompt:
        """The scheduled prompt; one that was retried and still waits is answered as it is.

        Raises Conflict if it is in another state, or is not the last of its session;
        NotFound, ThreadDeleted, TooManyOpenTurns, Busy; and what `rules` raise.
        """
        tried = 0
        for _ in range(ACCEPT_TRIES):
            prompt = await owned(self.prompts, principal, prompt_id)
            if prompt.turn == tried or lifecycle.waits_again(prompt):
                return await self._woken(prompt)
            if prompt.status not in lifecycle.TRANSITIONS["retry"].sources:
                raise Conflict(f"a {prompt.status.value} prompt cannot be retried")
            thread = await self._admitted(principal, prompt, rules)
            tried = thread.next_turn
            try:
                retried = await self._commit(prompt, thread)
            except (TurnTaken, Busy, Unavailable):
                # A lost response: if it was stored, the next round meets its own turn (I7).
                await self.clock.sleep(self.ids.fraction() * JITTER_SECONDS)
            except TransitionRefused:
                if await self._question_gone(prompt):
                    raise Conflict("the question was deleted") from None
            else:
                self.observer.accepted(retried)
                return await self._woken(retried)
        raise Busy("the thread is busy")

    async def _admitted(self, principal: Principal, prompt: Prompt, rules: RetryRules) -> Thread:
        """The thread as it was read, if the prompt may have its next turn.

        In a session only the last question is tried again, whoever asks for it. Race:

            retry of turn 1                 question, or edit of turn 1
            reads next_turn 2
                                            commits turn 2
            commits turn 2  <- refused: it reads next_turn 3, and that it is not the last

        Else two turns would be open where one may be, and an edit would replace nothing.
        """
        head = await self.prompts.thread_head(prompt.account, prompt.thread_id)
        thread = head.thread
        if thread is None or thread.deleted:
            raise ThreadDeleted("the thread was deleted")
        if not principal.sees(thread):
            # Its owner was taken out of the thread: what is asked there is not theirs.
            raise NoSuchPrompt
        if thread.client and thread.next_turn != prompt.turn + 1:
            raise Conflict("only the last question can be tried again")
        if len(head.open_turns) >= OPEN_TURNS_CAP:
            raise TooManyOpenTurns(f"the thread has {OPEN_TURNS_CAP} unfinished prompts")
        await rules.admit(head)
        return thread

    async def _commit(self, prompt: Prompt, thread: Thread) -> Prompt:
        now, sweep = self.clock.now(), self.policy.sweep_ms
        advanced = session.retried(thread, now) if thread.client else None
        turn, due = thread.next_turn, now + sweep
        return await self.prompts.retry(prompt, turn, now, due, sweep, advanced=advanced)

    async def _question_gone(self, prompt: Prompt) -> bool:
        """True if nothing but the missing question can have refused the retry."""
        return await self.prompts.prompt(prompt.account, prompt.id) == prompt

    async def _woken(self, prompt: Prompt) -> Prompt:
        """The prompt, whose turn is hinted at: a repetition may be all that does so."""
        if prompt.status is Status.SCHEDULED:
            # It is stored; if the hint is lost, the sweeper finds it (I11).
            with contextlib.suppress(Busy, Unavailable):
                wake_up = WakeUp(prompt.account, prompt.id, prompt.thread_id)
                await self.ending.wake_ups.send(wake_up)
        return prompt


@dataclass(frozen=True, slots=True)
class Remove:
    """Removes a prompt; an unfinished one is canceled first, and its attempt asked to stop."""

    prompts: PromptStore
    ending: Ending
    clock: Clock

    async def __call__(self, principal: Principal, prompt_id: str) -> None:
        """Raises NotFound. The thread keeps its messages."""
        end = self.clock.monotonic() + self.ending.policy.cancel_wait
        prompt = await owned(self.prompts, principal, prompt_id)
        unknown = 0
        for _ in range(DECISIONS):
            try:
                if not prompt.status.terminal:
                    gone = await evicted(self.prompts, self.clock, prompt, end)
                    if gone is not None:
                        await self.ending.hint(gone)
                await self.prompts.remove(prompt.account, prompt.id)
            except TransitionRefused:
                pass
            except Unavailable:
                # It may have taken effect: another look tells, and then it is no 404.
                unknown += 1
                if unknown > 1:
                    raise
            else:
                return
            try:
                prompt = await owned(self.prompts, principal, prompt_id)
            except NotFound:
                return  # it was there, and it is gone
        raise Busy("the prompt keeps changing")


@dataclass(frozen=True, slots=True)
class DeleteThread:
    """Deletes a thread with its messages and prompts, and tells those who follow it.

    What was begun the sweeper finishes.
    """

    prompts: PromptStore
    threads: ThreadStore
    ending: Ending
    clock: Clock

    async def __call__(
        self, principal: Principal, thread_id: str, budget: float, *, older_than: int = 0
    ) -> None:
        """Deletes for `budget` seconds; the rest is due to the sweeper. Raises NotFound.

        With `older_than` (ms) only what was last changed before: else Conflict.
        """
        account, now = principal.account, self.clock.now()
        thread = await self.threads.thread(account, thread_id)
        if thread is None or thread.deleted or not principal.sees(thread):
            raise NoSuchThread
        try:
            await self.threads.mark_deleted(account, thread_id, now, older_than=older_than)
        except TransitionRefused:
            raise Conflict("the thread was used meanwhile") from None
        until = self.clock.monotonic() + budget
        await self.ending.tell_deleted(account, thread_id, budget)
        await self.go_on(account, thread_id, until)

    async def go_on(self, account: str, thread_id: str, until: float) -> None:
        """Cancel what is unfinished, then delete in pages, until nothing is left or it is late.

        The mark refuses every later accept and retry, so once no turn is open none will
        be again, and an evicted attempt can write nothing: nothing resurrects the thread.
        """
        head = await self.prompts.thread_head(account, thread_id)
        # The newest first: the head is the one that may have to be waited for, and when its
        # attempt ends there shall be no next turn to wake.
        turns = head.open_turns[::-1]
        for start in range(0, len(turns), AT_ONCE):
            if self.clock.monotonic() >= until:
                return
            batch = turns[start : start + AT_ONCE]
            if not all(await every(self._evict(turn, until) for turn in batch)):
                return
        while self.clock.monotonic() < until:
            if await self.threads.delete_page(account, thread_id, DELETE_PAGE):
                return

    async def _evict(self, turn: OpenTurn, until: float) -> bool:
        """True when the turn is open no longer."""
        end = min(self.clock.monotonic() + self.ending.policy.cancel_wait, until)
        for _ in range(DECISIONS):
            prompt = await self.prompts.prompt(turn.account, turn.prompt_id)
            if prompt is None or not lifecycle.same_place(prompt, turn) or prompt.status.terminal:
                return True
            try:
                gone = await evicted(self.prompts, self.clock, prompt, end)
            except TransitionRefused:
                continue  # it was claimed meanwhile, say, or ended by itself
            if gone is not None:
                await self.ending.push_hint(gone)
            return True
        return False
