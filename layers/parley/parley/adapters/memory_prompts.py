"""Prompts in memory: the state table made executable."""

import base64
import binascii
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from parley.core import lifecycle
from parley.core.errors import (
    PromptExists,
    ThreadDeleted,
    TransitionRefused,
    TurnTaken,
    WrongCursor,
)
from parley.core.lifecycle import Failure
from parley.core.prompt import OpenTurn, Outcome, Prompt, Status, Usage
from parley.core.thread import ANSWER, QUESTION, Message, Thread
from parley.ports import (
    Conversation,
    Page,
    PromptQuery,
    ThreadHead,
)

ThreadKey = tuple[str, str]
HEAD_LIMIT = 101


@dataclass
class MemoryState:
    """The table. Shared by the stores below, which are views of it.

    `now` is the clock that expiry is read against.
    """

    threads: dict[ThreadKey, Thread] = field(default_factory=dict)
    prompts: dict[ThreadKey, Prompt] = field(default_factory=dict)
    open_turns: dict[ThreadKey, dict[int, OpenTurn]] = field(default_factory=dict)
    messages: dict[ThreadKey, dict[tuple[int, int], Message]] = field(default_factory=dict)
    # The ids of messages that were added by hand: thread and turn of each.
    message_ids: dict[ThreadKey, tuple[str, int]] = field(default_factory=dict)
    deletions: set[ThreadKey] = field(default_factory=set)
    now: Callable[[], int] = lambda: 0

    def thread(self, account: str, thread_id: str) -> Thread | None:
        """A thread that has not expired."""
        found = self.threads.get((account, thread_id))
        expired = found is not None and 0 < found.expires_at <= self.now() // 1000
        return None if expired else found


def cursor(value: str) -> str:
    return base64.urlsafe_b64encode(value.encode()).decode()


def position(cursor: str) -> str:
    try:
        return base64.urlsafe_b64decode(cursor.encode()).decode()
    except (binascii.Error, ValueError):
        raise WrongCursor from None


class MemoryPrompts:
    """`ports.PromptStore`."""

    def __init__(self, state: MemoryState) -> None:
        self.state = state

    def _open(self, account: str, thread_id: str) -> dict[int, OpenTurn]:
        return self.state.open_turns.setdefault((account, thread_id), {})

    def _messages(self, account: str, thread_id: str) -> dict[tuple[int, int], Message]:
        return self.state.messages.setdefault((account, thread_id), {})

    def _change(
        self, account: str, prompt_id: str, transition: Callable[[Prompt], Prompt]
    ) -> Prompt:
        stored = self.state.prompts.get((account, prompt_id))
        if stored is None:
            raise TransitionRefused("absent")
        changed = transition(stored)
        self.state.prompts[account, prompt_id] = changed
        if changed.status.terminal:
            self._open(account, changed.thread_id).pop(stored.turn, None)
        return changed

    async def thread_head(self, account: str, thread_id: str) -> ThreadHead:
        turns = sorted(self._open(account, thread_id).values(), key=lambda turn: turn.turn)
        return ThreadHead(self.state.thread(account, thread_id), tuple(turns[:HEAD_LIMIT]))

    async def conversation(self, account: str, thread_id: str, limit: int) -> Conversation:
        head = await self.thread_head(account, thread_id)
        stored = self._messages(account, thread_id)
        room = max(limit, HEAD_LIMIT + 1) - len(head.open_turns) - (head.thread is not None)
        newest = [stored[place] for place in sorted(stored, reverse=True)[:room]]
        return Conversation(head, tuple(newest), len(newest) < len(stored))

    def _begin(self, new: Thread) -> None:
        thread = self.state.thread(new.account, new.id)
        if thread is not None and thread.deleted:
            raise ThreadDeleted("the thread was deleted")
        if thread is not None:
            raise TurnTaken
        self.state.threads[new.account, new.id] = replace(new, expires_at=0)

    def _advance(
        self, account: str, thread_id: str, turn: int, advanced: Thread | None = None
    ) -> None:
        thread = self.state.thread(account, thread_id)
        if thread is not None and thread.deleted:
            raise ThreadDeleted("the thread was deleted")
        if thread is None or thread.next_turn != turn:
            raise TurnTaken
        if advanced is not None:
            thread = replace(
                thread,
                title=advanced.title if turn == 1 else thread.title,
                updated_at=advanced.updated_at,
                minute=advanced.minute,
                minute_turns=advanced.minute_turns,
            )
        moved = replace(thread, next_turn=turn + 1, expires_at=0)
        self.state.threads[account, thread_id] = moved

    async def accept(
        self,
        prompt: Prompt,
        question: Message,
        new_thread: Thread | None,
        due: int,
        distance: int,
        *,
        advanced: Thread | None = None,
    ) -> None:
        key = (prompt.account, prompt.id)
        if key in self.state.prompts:
            raise PromptExists
        if new_thread is not None:
            self._begin(new_thread)
        else:
            self._advance(prompt.account, prompt.thread_id, prompt.turn, advanced)
        self.state.prompts[key] = prompt
        self._messages(prompt.account, prompt.thread_id)[prompt.turn, QUESTION] = question
        self._mark_open(prompt, due, distance)

    def _mark_open(self, prompt: Prompt, due: int, distance: int) -> None:
        self._open(prompt.account, prompt.thread_id)[prompt.turn] = OpenTurn(
            prompt.account, prompt.thread_id, prompt.turn, prompt.id, prompt.user_id, due, distance
        )

    async def prompt(self, account: str, prompt_id: str) -> Prompt | None:
        return self.state.prompts.get((account, prompt_id))

    def _matching(self, query: PromptQuery) -> list[Prompt]:
        def matches(prompt: Prompt) -> bool:
            return (
                prompt.account == query.account
                and query.user_id in (None, prompt.user_id)
                and (not query.given_up or prompt.given_up)
                and (not query.ids or prompt.id in query.ids)
                and query.thread_id in ("", prompt.thread_id)
                and (not query.statuses or prompt.status in query.statuses)
                and (not query.model_ids or prompt.model_id in query.model_ids)
            )

        def order(prompt: Prompt) -> tuple[int, str]:
            return (prompt.turn if query.thread_id else prompt.created_at), prompt.id

        found = [prompt for prompt in self.state.prompts.values() if matches(prompt)]
        return sorted(found, key=order, reverse=query.descending)

    async def prompts(self, query: PromptQuery) -> Page[Prompt]:
        found = self._matching(query)
        if query.after:
            ids = [prompt.id for prompt in found]
            last = position(query.after)
            if last not in ids:
                raise WrongCursor
            found = found[ids.index(last) + 1 :]
        page = found[: query.limit]
        more = len(found) > len(page)
        return Page(page, cursor(page[-1].id) if more and page else "")

    async def count_prompts(self, query: PromptQuery, cap: int) -> int:
        return min(len(self._matching(query)), cap)

    async def count_by_status(self, query: PromptQuery, cap: int) -> Mapping[Status, int]:
        counts = Counter(prompt.status for prompt in self._matching(query))
        return {status: min(count, cap) for status, count in counts.items()}

    async def head(self, account: str, thread_id: str) -> OpenTurn | None:
        turns = self._open(account, thread_id)
        return turns[min(turns)] if turns else None

    async def claim(
        self, turn: OpenTurn, token: str, now: int, lease_until: int, *, alone: bool
    ) -> Prompt:
        return self._change(
            turn.account,
            turn.prompt_id,
            lambda p: lifecycle.claim(p, turn, token, now, lease_until, alone=alone),
        )

    async def renew(self, prompt: Prompt, lease_until: int) -> Prompt:
        return self._change(
            prompt.account,
            prompt.id,
            lambda p: lifecycle.renew(p, prompt.lease_token, lease_until),
        )

    async def finish(
        self,
        prompt: Prompt,
        now: int,
        answer: Message,
        usage: Usage | None,
        rounds: Sequence[Message] = (),
    ) -> Prompt:
        stored = await self.prompt(prompt.account, prompt.id)
        if stored and lifecycle.finished_by(stored, prompt, answer.id):
            return stored
        changed = self._change(
            prompt.account,
            prompt.id,
            lambda p: lifecycle.finish(p, prompt.lease_token, now, answer.id, usage),
        )
        messages = self._messages(answer.account, answer.thread_id)
        messages.update(((said.turn, said.part), said) for said in (answer, *rounds))
        return changed

    async def fail(
        self, prompt: Prompt, now: int, failure: Failure, next_attempt_at: int
    ) -> Prompt:
        changed = self._change(
            prompt.account,
            prompt.id,
            lambda p: lifecycle.fail(p, prompt.lease_token, now, failure, next_attempt_at),
        )
        turns = self._open(prompt.account, prompt.thread_id)
        turns[prompt.turn] = replace(turns[prompt.turn], due=next_attempt_at)
        return changed

    async def abandon(self, prompt: Prompt, now: int, failure: Failure, outcome: Outcome) -> Prompt:
        return self._change(
            prompt.account,
            prompt.id,
            lambda p: lifecycle.abandon(p, prompt.lease_token, now, failure, outcome),
        )

    async def cancel_running(self, prompt: Prompt, now: int, partial: Message | None) -> Prompt:
        message_id = partial.id if partial else ""
        changed = self._change(
            prompt.account,
            prompt.id,
            lambda p: lifecycle.cancel_running(p, prompt.lease_token, now, message_id),
        )
        if partial:
            self._messages(partial.account, partial.thread_id)[partial.turn, partial.part] = partial
        return changed

    async def give_up(self, account: str, prompt_id: str, now: int) -> Prompt:
        return self._change(account, prompt_id, lambda p: lifecycle.give_up(p, now))

    async def request_cancel(self, account: str, prompt_id: str) -> Prompt:
        return self._change(account, prompt_id, lifecycle.request_cancel)

    async def cancel_waiting(self, account: str, prompt_id: str, now: int) -> Prompt:
        return self._change(account, prompt_id, lambda p: lifecycle.cancel_waiting(p, now))

    async def cancel_expired(self, account: str, prompt_id: str, now: int) -> Prompt:
        return self._change(account, prompt_id, lambda p: lifecycle.cancel_expired(p, now))

    async def evict(self, prompt: Prompt, now: int) -> Prompt:
        return self._change(prompt.account, prompt.id, lambda p: lifecycle.evict(p, prompt, now))

    async def retry(
        self,
        prompt: Prompt,
        turn: int,
        now: int,
        due: int,
        distance: int,
        *,
        advanced: Thread | None = None,
    ) -> Prompt:
        stored = await self.prompt(prompt.account, prompt.id)
        if stored is None:
            raise TransitionRefused("absent")
        changed = lifecycle.retry(stored, prompt, turn, now)
        messages = self._messages(prompt.account, prompt.thread_id)
        question = messages.get((prompt.turn, QUESTION))
        if question is None:
            raise TransitionRefused("retry")
        self._advance(prompt.account, prompt.thread_id, turn, advanced)
        del messages[prompt.turn, QUESTION]
        messages.pop((prompt.turn, ANSWER), None)
        messages[turn, QUESTION] = replace(question, turn=turn)
        self.state.prompts[prompt.account, prompt.id] = changed
        self._mark_open(changed, due, distance)
        return changed

    async def forget(self, prompt: Prompt) -> Prompt:
        return self._change(prompt.account, prompt.id, lambda p: lifecycle.forget(p, prompt))

    async def remove(self, account: str, prompt_id: str) -> None:
        stored = self.state.prompts.get((account, prompt_id))
        if stored is None:
            raise TransitionRefused("absent")
        lifecycle.removable(stored)
        del self.state.prompts[account, prompt_id]

    async def due(self, now: int, limit: int, after: str = "") -> Page[OpenTurn]:
        def place(turn: OpenTurn) -> str:
            return f"{turn.due:015d} {turn.account} {turn.thread_id} {turn.turn:010d}"

        turns = [turn for open_ in self.state.open_turns.values() for turn in open_.values()]
        found = sorted((t for t in turns if t.due <= now and place(t) > after), key=place)
        return Page(found[:limit], place(found[limit - 1]) if len(found) > limit else "")

    async def move_due(self, turn: OpenTurn, due: int, distance: int) -> None:
        turns = self._open(turn.account, turn.thread_id)
        stored = turns.get(turn.turn)
        if stored is None or stored.due != turn.due:
            raise TransitionRefused("move_due")
        turns[turn.turn] = replace(stored, due=due, distance=distance)
