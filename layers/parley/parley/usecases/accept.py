"""Add a prompt: store it and its question durably, then hint that there is work.

Flow "accept" of the architecture page; promises I4 (stored before answered), I5 (turns are
numbered in commit order) and I7 (the same id twice runs nothing twice).
"""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Protocol

from parley.core.access import Principal, check_question, checked_id, checked_text
from parley.core.backoff import MAX_RETRIES_CAP
from parley.core.errors import (
    Busy,
    Conflict,
    Invalid,
    NoSuchThread,
    PromptExists,
    ThreadDeleted,
    TooLarge,
    TooManyOpenTurns,
    TurnTaken,
    Unavailable,
)
from parley.core.policy import OPEN_TURNS_CAP, CallPolicy
from parley.core.prompt import Prompt, Status
from parley.core.thread import (
    COMPLETION_LIMIT_BYTES,
    QUESTION,
    REPLACES,
    Message,
    Role,
    Thread,
    rendered_size,
    title_of,
)
from parley.ports import (
    Clock,
    Ids,
    Models,
    PromptStore,
    ThreadHead,
    WakeUp,
    WakeUps,
)
from parley.usecases.observing import TurnObserver

# With ten writers racing for the turns of one thread, the unluckiest wins its turn in the
# tenth round at the latest; past that it is better to tell the caller.
ACCEPT_TRIES = 12
JITTER_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class NewPrompt:
    """What a caller submits. Empty ids are made; `max_retries` None is the default.

    `client` and `client_number` are the llm_client's of a session's turn, `replaces` is the
    turn (0 for none) whose question this one is an edit of.
    """

    text: str
    id: str = ""
    thread_id: str = ""
    model_id: str = ""
    template: str = ""
    max_retries: int | None = None
    sync: bool = False
    client: str = ""
    client_number: int = 0
    replaces: int = 0


class Rules(Protocol):
    """What a kind of thread asks of a new turn, and how its thread looks with it."""

    async def admit(self, principal: Principal, head: ThreadHead, /) -> str:
        """Raise if the turn may not be added to what was just read.

        The id of an unfinished prompt that it is a repetition of, or "". May be called
        again for the same turn, with what was read anew after a conflict.
        """

    def started(self, principal: Principal, new: NewPrompt, now: int, /) -> Thread:
        """The thread that begins with this turn; its `next_turn` is 2."""

    def advanced(self, thread: Thread, new: NewPrompt, now: int, /) -> Thread | None:
        """The thread with what else the turn changes of it; None for nothing."""


class PlainRules:
    """Those of threads that belong to users: whoever sees one may add to it."""

    async def admit(self, principal: Principal, head: ThreadHead) -> str:
        if head.thread is None:
            return ""
        if not principal.sees(head.thread):
            raise NoSuchThread
        if head.thread.deleted:
            raise ThreadDeleted("the thread was deleted")
        if head.thread.client:
            raise Conflict("the thread is a session: its llm_client's chat address adds to it")
        return ""

    def started(self, principal: Principal, new: NewPrompt, now: int) -> Thread:
        return Thread(
            account=principal.account,
            id=new.thread_id,
            title=title_of(new.text),
            created_by=principal.user_id,
            created_at=now,
            updated_at=now,
            user_ids=(principal.user_id,),
            next_turn=2,
        )

    def advanced(self, _thread: Thread, _new: NewPrompt, _now: int) -> Thread | None:
        return None


PLAIN = PlainRules()


def question_of(prompt: Prompt, new: NewPrompt) -> Message:
    """The message in which a prompt's question is stored, before it is changed."""
    return Message(
        account=prompt.account,
        thread_id=prompt.thread_id,
        turn=prompt.turn,
        part=QUESTION,
        id=prompt.id,
        role=Role.USER,
        text=new.text,
        created_at=prompt.created_at,
        updated_at=prompt.created_at,
        user_id=prompt.user_id,
        template=new.template,
        meta={REPLACES: str(new.replaces)} if new.replaces else {},
    )


def fingerprint(new: NewPrompt) -> str:
    """Identifies the content of a submission: text, thread, model, template and retries.

    As it was submitted: a default that a later deployment changes is no other content.
    """
    content = [new.text, new.thread_id, new.model_id, new.template, new.max_retries]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Accept:
    """Stores a prompt as the next turn of its thread."""

    prompts: PromptStore
    models: Models
    wake_ups: WakeUps
    clock: Clock
    ids: Ids
    policy: CallPolicy
    observer: TurnObserver

    async def __call__(self, principal: Principal, new: NewPrompt, rules: Rules = PLAIN) -> Prompt:
        """The stored prompt: a new one, or the one that the same submission made before.

        Raises Invalid, TooLarge, NotFound (a thread of somebody else), Conflict (the id
        has other content), TooManyOpenTurns, ThreadDeleted, Busy; and what `rules` raise.
        """
        new = self._completed(new)
        try:
            await self._check_model(principal, new)
        except Invalid as refused:
            # What was accepted before stays so: the catalogue may have changed since (I7).
            stored = await self._repeated(principal, new, refused)
        else:
            stored = await self._store(principal, new, rules)
        if stored.status is Status.SCHEDULED:
            await self._wake(stored)
        return stored

    def _completed(self, new: NewPrompt) -> NewPrompt:
        """The submission, checked, with its ids filled in."""
        checked_text(new.text, "prompt")
        if new.template:
            checked_text(new.template, "template")
            check_question(new.text, new.template)
        prompt_id = checked_id(new.id or self.ids.new("prom"), "id")
        thread_id = checked_id(new.thread_id or prompt_id, "threadId")
        if not 0 <= (new.max_retries or 0) <= MAX_RETRIES_CAP:
            raise Invalid(f"maxRetries must be from 0 to {MAX_RETRIES_CAP}")
        return replace(new, id=prompt_id, thread_id=thread_id)

    async def _check_model(self, principal: Principal, new: NewPrompt) -> None:
        if new.client:
            return  # its llm_client says which model, when the attempt starts
        model = await self.models.resolve(principal.account, new.model_id)
        template = new.template or model.template
        if template and rendered_size(template, new.text) > COMPLETION_LIMIT_BYTES:
            limit = COMPLETION_LIMIT_BYTES // 1024
            raise TooLarge(f"template with prompt in its places is larger than {limit} KB")

    async def _store(self, principal: Principal, new: NewPrompt, rules: Rules) -> Prompt:
        for _ in range(ACCEPT_TRIES):
            head = await self.prompts.thread_head(principal.account, new.thread_id)
            if same := await rules.admit(principal, head):
                gone = Busy("the prompt has just ended")
                return await self._repeated(principal, replace(new, id=same), gone)
            if len(head.open_turns) >= OPEN_TURNS_CAP:
                return await self._repeated(
                    principal,
                    new,
                    TooManyOpenTurns(f"the thread has {OPEN_TURNS_CAP} unfinished prompts"),
                )
            try:
                stored = await self._commit(principal, new, head.thread, rules)
            except PromptExists:
                return await self._repeated(principal, new, Busy("the id was in use"))
            except (TurnTaken, Busy, Unavailable):
                # A lost response: if it was stored, the next round meets its own id (I7).
                # Two accepts read the same next_turn; one commits, the condition on it
                # refuses the other, which reads again: turns have no holes.
                await self.clock.sleep(self.ids.fraction() * JITTER_SECONDS)
            else:
                self.observer.accepted(stored)
                return stored
        raise Busy("the thread is busy")

    async def _commit(
        self, principal: Principal, new: NewPrompt, thread: Thread | None, rules: Rules
    ) -> Prompt:
        now = self.clock.now()
        turn = thread.next_turn if thread else 1
        retries = self.policy.default_max_retries if new.max_retries is None else new.max_retries
        prompt = Prompt(
            account=principal.account,
            id=new.id,
            thread_id=new.thread_id,
            turn=turn,
            user_id=principal.user_id,
            status=Status.SCHEDULED,
            created_at=now,
            updated_at=now,
            fingerprint=fingerprint(new),
            max_retries=retries,
            sync=new.sync,
            model_id=new.model_id,
            client=new.client,
            client_number=new.client_number,
        )
        sweep = self.policy.sweep_ms
        await self.prompts.accept(
            prompt,
            question_of(prompt, new),
            None if thread else rules.started(principal, new, now),
            due=now + sweep,
            distance=sweep,
            advanced=rules.advanced(thread, new, now) if thread else None,
        )
        return prompt

    async def _repeated(self, principal: Principal, new: NewPrompt, otherwise: Exception) -> Prompt:
        """The prompt that this submission made before; raises `otherwise` if there is none."""
        stored = await self.prompts.prompt(principal.account, new.id)
        if stored is None:
            raise otherwise
        if stored.fingerprint != fingerprint(new) or stored.user_id != principal.user_id:
            raise Conflict("the id is taken by another prompt")
        return stored

    async def _wake(self, prompt: Prompt) -> None:
        try:
            await self.wake_ups.send(WakeUp(prompt.account, prompt.id, prompt.thread_id))
        except (Busy, Unavailable):
            # The prompt is stored; the sweeper finds it when its open turn is due (I11).
            return
