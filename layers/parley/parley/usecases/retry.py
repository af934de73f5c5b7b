"""Try a prompt again that was given up or canceled."""

import contextlib
from dataclasses import dataclass
from typing import Protocol

from parley.core import lifecycle, session
from parley.core.access import Principal
from parley.core.errors import (
    Busy,
    Conflict,
    NoSuchPrompt,
    ThreadDeleted,
    TooManyOpenTurns,
    TransitionRefused,
    TurnTaken,
    Unavailable,
)
from parley.core.policy import OPEN_TURNS_CAP, Policy
from parley.core.prompt import Prompt, Status
from parley.core.thread import Thread
from parley.ports import Clock, Ids, PromptStore, ThreadHead
from parley.usecases.accept import ACCEPT_TRIES, JITTER_SECONDS
from parley.usecases.ending import Ending
from parley.usecases.observing import TurnObserver
from parley.usecases.read import owned


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
                await self.ending.wake(prompt)
        return prompt
