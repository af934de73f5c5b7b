"""Remove a prompt, or delete a thread with all that is in it."""

from dataclasses import dataclass

from parley.core import lifecycle
from parley.core.access import Principal
from parley.core.errors import (
    Busy,
    Conflict,
    NoSuchThread,
    NotFound,
    TransitionRefused,
    Unavailable,
)
from parley.core.prompt import OpenTurn, Prompt, Status
from parley.ports import Clock, PromptStore, ThreadStore
from parley.usecases.cancel import DECISIONS, stopped
from parley.usecases.ending import Ending
from parley.usecases.read import owned
from parley.usecases.waiting import every

DELETE_PAGE = 100
AT_ONCE = 10


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
