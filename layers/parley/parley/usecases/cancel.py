"""Cancel a prompt, retry one that was given up, remove one; and delete a thread."""

import contextlib
from dataclasses import dataclass

from parley.core import lifecycle
from parley.core.access import Principal
from parley.core.errors import (
    Busy,
    Conflict,
    NotFound,
    ThreadDeleted,
    TooManyOpenTurns,
    TransitionRefused,
    TurnTaken,
    Unavailable,
)
from parley.core.policy import OPEN_TURNS_CAP, Policy
from parley.core.prompt import OpenTurn, Prompt, Status
from parley.ports import Clock, Ids, PromptStore, ThreadStore, WakeUp
from parley.usecases.accept import ACCEPT_TRIES, JITTER_SECONDS
from parley.usecases.ending import Ending
from parley.usecases.waiting import every, poll

DECISIONS = 20
DELETE_PAGE = 100
AT_ONCE = 10


async def owned(prompts: PromptStore, principal: Principal, prompt_id: str) -> Prompt:
    """The caller's own prompt (an admin's: any of the account); raises NotFound."""
    prompt = await prompts.prompt(principal.account, prompt_id)
    if prompt is None or not principal.owns(prompt):
        raise NotFound("no such prompt")
    return prompt


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
        async def look() -> Prompt:
            return await self.prompts.prompt(prompt.account, prompt.id) or prompt

        def over(found: Prompt) -> bool:
            return found.status is not Status.RUNNING or lifecycle.expired(found, self.clock.now())

        return await poll(self.clock, max(end - self.clock.monotonic(), 0), look, over)


@dataclass(frozen=True, slots=True)
class Retry:
    """Gives an abandoned or canceled prompt a new turn at the tail and a fresh budget."""

    prompts: PromptStore
    ending: Ending
    clock: Clock
    ids: Ids
    policy: Policy

    async def __call__(self, principal: Principal, prompt_id: str) -> Prompt:
        """The scheduled prompt. Raises Conflict if it is not abandoned or canceled."""
        for _ in range(ACCEPT_TRIES):
            prompt = await owned(self.prompts, principal, prompt_id)
            if prompt.status not in lifecycle.TRANSITIONS["retry"].sources:
                raise Conflict(f"a {prompt.status.value} prompt cannot be retried")
            head = await self.prompts.thread_head(prompt.account, prompt.thread_id)
            if head.thread is None or head.thread.deleted:
                raise ThreadDeleted("the thread was deleted")
            if len(head.open_turns) >= OPEN_TURNS_CAP:
                raise TooManyOpenTurns(f"the thread has {OPEN_TURNS_CAP} unfinished prompts")
            now, sweep = self.clock.now(), self.policy.sweep_ms
            turn = head.thread.next_turn
            try:
                retried = await self.prompts.retry(prompt, turn, now, now + sweep, sweep)
            except (TurnTaken, Busy):
                await self.clock.sleep(self.ids.fraction() * JITTER_SECONDS)
            except TransitionRefused:
                if await self._question_gone(prompt):
                    raise Conflict("the question was deleted") from None
            else:
                await self._wake(retried)
                return retried
        raise Busy("the thread is busy")

    async def _question_gone(self, prompt: Prompt) -> bool:
        """True if nothing but the missing question can have refused the retry."""
        return await self.prompts.prompt(prompt.account, prompt.id) == prompt

    async def _wake(self, prompt: Prompt) -> None:
        wake_up = WakeUp(prompt.account, prompt.id, prompt.thread_id)
        try:
            await self.ending.wake_ups.send(wake_up)
        except (Busy, Unavailable):
            return  # stored; the sweeper finds it (I11)


@dataclass(frozen=True, slots=True)
class Remove:
    """Removes a prompt; an unfinished one is canceled first, and its attempt stopped."""

    prompts: PromptStore
    ending: Ending
    clock: Clock

    async def __call__(self, principal: Principal, prompt_id: str) -> None:
        """Raises NotFound. The thread keeps its messages."""
        for _ in range(DECISIONS):
            prompt = await owned(self.prompts, principal, prompt_id)
            try:
                if not prompt.status.terminal:
                    evicted = await self.prompts.evict(prompt, self.clock.now())
                    await self.ending.hint(evicted)
                await self.prompts.remove(prompt.account, prompt.id)
            except TransitionRefused:
                continue
            return
        raise Busy("the prompt keeps changing")


@dataclass(frozen=True, slots=True)
class DeleteThread:
    """Deletes a thread with its messages and prompts. What was begun the sweeper finishes."""

    prompts: PromptStore
    threads: ThreadStore
    ending: Ending
    clock: Clock

    async def __call__(self, principal: Principal, thread_id: str, budget: float) -> None:
        """Raises NotFound. Deletes for `budget` seconds; the rest is due to the sweeper."""
        thread = await self.threads.thread(principal.account, thread_id)
        if thread is None or thread.deleted or not principal.sees(thread):
            raise NotFound("no such thread")
        await self.threads.mark_deleted(principal.account, thread_id, self.clock.now())
        await self.go_on(principal.account, thread_id, self.clock.monotonic() + budget)

    async def go_on(self, account: str, thread_id: str, until: float) -> bool:
        """Cancel what is unfinished, then delete in pages; True when nothing is left.

        The mark refuses every later accept and retry, so once no turn is open none will
        be again, and an evicted attempt can write nothing: nothing resurrects the thread.
        """
        head = await self.prompts.thread_head(account, thread_id)
        for start in range(0, len(head.open_turns), AT_ONCE):
            if self.clock.monotonic() >= until:
                return False
            turns = head.open_turns[start : start + AT_ONCE]
            await every(self._evict(turn) for turn in turns)
        while self.clock.monotonic() < until:
            if await self.threads.delete_page(account, thread_id, DELETE_PAGE):
                return True
        return False

    async def _evict(self, turn: OpenTurn) -> None:
        prompt = await self.prompts.prompt(turn.account, turn.prompt_id)
        if prompt is None or not lifecycle.same_place(prompt, turn):
            return
        try:
            evicted = await self.prompts.evict(prompt, self.clock.now())
        except TransitionRefused:
            return  # it ended by itself
        with contextlib.suppress(Busy, Unavailable):
            await self.ending.push(evicted)
