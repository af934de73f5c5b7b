"""Find what lost wake-ups and lost runners left behind, and make it move again (I1, I11)."""

import asyncio
from dataclasses import dataclass

from parley.core import lifecycle
from parley.core.errors import TransitionRefused
from parley.core.policy import SWEEP_DISTANCE_CAP_MS, Policy
from parley.core.prompt import OpenTurn, Prompt, Status
from parley.ports import Clock, DeadLetters, PromptStore, ThreadStore
from parley.usecases.ending import Ending
from parley.usecases.observing import Observer
from parley.usecases.remove import DeleteThread
from parley.usecases.take_over import take_over

PAGE = 100
AT_ONCE = 10


@dataclass(frozen=True, slots=True)
class Sweep:
    """Looks at every open turn that is due."""

    prompts: PromptStore
    threads: ThreadStore
    ending: Ending
    delete_thread: DeleteThread
    dead_letters: DeadLetters
    clock: Clock
    policy: Policy
    observer: Observer

    async def __call__(self, budget: float) -> int:
        """Look for at most `budget` seconds; how many turns were looked at.

        An error of one look is raised after all the others: one prompt that cannot be
        looked at must not keep the rest of all accounts waiting.
        """
        until = self.clock.monotonic() + budget
        seen: set[OpenTurn] = set()
        failed: list[BaseException] = []
        after = ""
        while self.clock.monotonic() < until:
            # Always forward: what cannot be looked at stays due, and a page full of that
            # must not hide what became due after it.
            page = await self.prompts.due(self.clock.now(), PAGE, after)
            fresh = [turn for turn in page.items if turn not in seen]
            for start in range(0, len(fresh), AT_ONCE):
                if self.clock.monotonic() >= until:
                    break
                batch = fresh[start : start + AT_ONCE]
                seen.update(batch)
                looks = [self._look(turn) for turn in batch]
                failed += [e for e in await asyncio.gather(*looks, return_exceptions=True) if e]
            after = page.after
            if not after:
                break
        for thread in await self.threads.deletions_due(self.clock.now(), PAGE):
            if self.clock.monotonic() >= until:
                break
            deletion = self.delete_thread.go_on(thread.account, thread.id, until)
            results = await asyncio.gather(deletion, return_exceptions=True)
            failed += [result for result in results if isinstance(result, BaseException)]
        if failed:
            raise failed[0]
        return len(seen)

    async def _look(self, turn: OpenTurn) -> None:
        prompt = await self.prompts.prompt(turn.account, turn.prompt_id)
        if prompt is None or prompt.status.terminal or not lifecycle.same_place(prompt, turn):
            return  # gone since the index was written
        try:
            if prompt.status is Status.RUNNING:
                await self._look_at_running(turn, prompt)
            else:
                await self._look_at_waiting(turn, prompt)
        except TransitionRefused:
            return  # it moved since it was read: whoever moved it takes care of it

    async def _look_at_running(self, turn: OpenTurn, prompt: Prompt) -> None:
        now = self.clock.now()
        if not lifecycle.expired(prompt, now):
            await self.prompts.move_due(turn, prompt.lease_until + 1, turn.distance)
            return
        ended = await take_over(
            prompt,
            now,
            prompts=self.prompts,
            ending=self.ending,
            dead_letters=self.dead_letters,
            observer=self.observer,
        )
        if not ended:
            await self.prompts.move_due(turn, now + self.policy.sweep_ms, turn.distance)

    async def _look_at_waiting(self, turn: OpenTurn, prompt: Prompt) -> None:
        now = self.clock.now()
        if not lifecycle.claimable(prompt, now):
            await self.prompts.move_due(turn, prompt.next_attempt_at, turn.distance)
            return
        head = await self.prompts.head(turn.account, turn.thread_id)
        if head is not None and head.turn == turn.turn:
            await self.ending.wake(prompt, alone=prompt.losses > 0)
        # Each look doubles the distance to the next one, so that the wake-ups of a
        # backlog are not multiplied by the sweeps that see it waiting.
        distance = min(turn.distance * 2, max(SWEEP_DISTANCE_CAP_MS, self.policy.sweep_ms))
        await self.prompts.move_due(turn, now + distance, distance)
