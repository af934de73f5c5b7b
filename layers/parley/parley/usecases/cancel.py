"""Cancel a prompt, in whatever state it is."""

from dataclasses import dataclass

from parley.core import lifecycle
from parley.core.access import Principal
from parley.core.errors import Busy, TransitionRefused
from parley.core.policy import Policy
from parley.core.prompt import Prompt, Status
from parley.ports import Clock, PromptStore
from parley.usecases.ending import Ending
from parley.usecases.read import owned
from parley.usecases.waiting import poll

# How often a use case decides anew because the prompt moved while it acted.
DECISIONS = 20


async def stopped(prompts: PromptStore, clock: Clock, prompt: Prompt, end: float) -> Prompt:
    """The prompt when its attempt is over, or as it is at `end` (monotonic seconds)."""

    async def look() -> Prompt:
        return await prompts.prompt(prompt.account, prompt.id) or prompt

    def over(found: Prompt) -> bool:
        return found.status is not Status.RUNNING or lifecycle.expired(found, clock.now())

    return await poll(clock, max(end - clock.monotonic(), 0), look, over)


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
            prompt = await stopped(self.prompts, self.clock, prompt, end)
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
