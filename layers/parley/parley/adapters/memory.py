"""The stores in memory: the reference that the simulation and the fast tests run on.

They apply the functions of `core.lifecycle` directly, so they are the state table made
executable. No call awaits anything inside: each one is atomic, as the ports promise.
"""

import base64
import binascii
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace

from parley.core import lifecycle
from parley.core.access import ApiKey
from parley.core.errors import (
    Conflict,
    Invalid,
    NotFound,
    PromptExists,
    ThreadDeleted,
    TransitionRefused,
    TurnTaken,
)
from parley.core.lifecycle import Failure
from parley.core.model import Catalogue
from parley.core.prompt import OpenTurn, Outcome, Prompt, Usage
from parley.core.thread import ANSWER, QUESTION, Message, Thread
from parley.ports import (
    Connection,
    Followers,
    LiveText,
    Page,
    PromptQuery,
    Subscriber,
    ThreadHead,
)

ThreadKey = tuple[str, str]
HEAD_LIMIT = 101
WATCH_MS = 60_000
CONNECTION_MS = 2 * 60 * 60 * 1000


@dataclass
class MemoryState:
    """The table. Shared by the stores below, which are views of it."""

    threads: dict[ThreadKey, Thread] = field(default_factory=dict)
    prompts: dict[ThreadKey, Prompt] = field(default_factory=dict)
    open_turns: dict[ThreadKey, dict[int, OpenTurn]] = field(default_factory=dict)
    messages: dict[ThreadKey, dict[tuple[int, int], Message]] = field(default_factory=dict)
    deletions: set[ThreadKey] = field(default_factory=set)


def _cursor(value: str) -> str:
    return base64.urlsafe_b64encode(value.encode()).decode()


def _uncursor(cursor: str) -> str:
    try:
        return base64.urlsafe_b64decode(cursor.encode()).decode()
    except (binascii.Error, ValueError):
        raise Invalid("the cursor is not one of this list") from None


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
        return ThreadHead(self.state.threads.get((account, thread_id)), tuple(turns[:HEAD_LIMIT]))

    def _advance(self, account: str, thread_id: str, turn: int, new: Thread | None) -> None:
        key = (account, thread_id)
        thread = self.state.threads.get(key)
        if thread is not None and thread.deleted:
            raise ThreadDeleted("the thread was deleted")
        if new is not None:
            if thread is not None:
                raise TurnTaken
            self.state.threads[key] = new
        elif thread is None or thread.next_turn != turn:
            raise TurnTaken
        else:
            self.state.threads[key] = replace(thread, next_turn=turn + 1)

    async def accept(
        self, prompt: Prompt, question: Message, new_thread: Thread | None, due: int, distance: int
    ) -> None:
        key = (prompt.account, prompt.id)
        if key in self.state.prompts:
            raise PromptExists
        self._advance(prompt.account, prompt.thread_id, prompt.turn, new_thread)
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
            last = _uncursor(query.after)
            if last not in ids:
                raise Invalid("the cursor is not one of this list")
            found = found[ids.index(last) + 1 :]
        page = found[: query.limit]
        more = len(found) > len(page)
        return Page(page, _cursor(page[-1].id) if more and page else "")

    async def count_prompts(self, query: PromptQuery, cap: int) -> int:
        return min(len(self._matching(query)), cap)

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
        self, prompt: Prompt, now: int, answer: Message, usage: Usage | None
    ) -> Prompt:
        stored = await self.prompt(prompt.account, prompt.id)
        if stored and lifecycle.finished_by(stored, prompt, answer.id):
            return stored
        changed = self._change(
            prompt.account,
            prompt.id,
            lambda p: lifecycle.finish(p, prompt.lease_token, now, answer.id, usage),
        )
        self._messages(answer.account, answer.thread_id)[answer.turn, answer.part] = answer
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

    async def cancel_running(
        self, prompt: Prompt, now: int, partial: Message | None, usage: Usage | None
    ) -> Prompt:
        message_id = partial.id if partial else ""
        changed = self._change(
            prompt.account,
            prompt.id,
            lambda p: lifecycle.cancel_running(p, prompt.lease_token, now, message_id, usage),
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

    async def retry(self, prompt: Prompt, turn: int, now: int, due: int, distance: int) -> Prompt:
        stored = await self.prompt(prompt.account, prompt.id)
        if stored is None:
            raise TransitionRefused("absent")
        changed = lifecycle.retry(stored, prompt, turn, now)
        messages = self._messages(prompt.account, prompt.thread_id)
        question = messages.get((prompt.turn, QUESTION))
        if question is None:
            raise TransitionRefused("retry")
        self._advance(prompt.account, prompt.thread_id, turn, None)
        del messages[prompt.turn, QUESTION]
        messages.pop((prompt.turn, ANSWER), None)
        messages[turn, QUESTION] = replace(question, turn=turn)
        self.state.prompts[prompt.account, prompt.id] = changed
        self._mark_open(changed, due, distance)
        return changed

    async def remove(self, account: str, prompt_id: str) -> None:
        stored = self.state.prompts.get((account, prompt_id))
        if stored is None:
            raise TransitionRefused("absent")
        lifecycle.removable(stored)
        del self.state.prompts[account, prompt_id]

    async def due(self, now: int, limit: int) -> Sequence[OpenTurn]:
        turns = [turn for open_ in self.state.open_turns.values() for turn in open_.values()]
        return sorted((t for t in turns if t.due <= now), key=lambda t: t.due)[:limit]

    async def move_due(self, turn: OpenTurn, due: int, distance: int) -> None:
        turns = self._open(turn.account, turn.thread_id)
        stored = turns.get(turn.turn)
        if stored is None or stored.due != turn.due:
            raise TransitionRefused("move_due")
        turns[turn.turn] = replace(stored, due=due, distance=distance)


class MemoryThreads:
    """`ports.ThreadStore`."""

    def __init__(self, state: MemoryState) -> None:
        self.state = state

    def _living(self, account: str, thread_id: str) -> Thread:
        thread = self.state.threads.get((account, thread_id))
        if thread is None or thread.deleted:
            raise NotFound("no such thread")
        return thread

    async def thread(self, account: str, thread_id: str) -> Thread | None:
        return self.state.threads.get((account, thread_id))

    async def threads(
        self, account: str, user_id: str | None, limit: int, after: str
    ) -> Page[Thread]:
        found = [
            thread
            for thread in self.state.threads.values()
            if thread.account == account
            and not thread.deleted
            and (user_id is None or user_id in (thread.created_by, *thread.user_ids))
        ]
        found.sort(key=lambda thread: (thread.created_at, thread.id), reverse=True)
        if after:
            ids = [thread.id for thread in found]
            last = _uncursor(after)
            if last not in ids:
                raise Invalid("the cursor is not one of this list")
            found = found[ids.index(last) + 1 :]
        page = found[:limit]
        return Page(page, _cursor(page[-1].id) if len(found) > len(page) else "")

    async def create_thread(self, thread: Thread) -> None:
        stored = self.state.threads.get((thread.account, thread.id))
        if stored is not None and stored.deleted:
            raise ThreadDeleted("the thread was deleted")
        if stored is not None:
            raise Conflict("a thread with this id exists")
        self.state.threads[thread.account, thread.id] = thread

    async def update_thread(self, thread: Thread) -> None:
        stored = self._living(thread.account, thread.id)
        self.state.threads[thread.account, thread.id] = replace(
            stored,
            title=thread.title,
            user_ids=thread.user_ids,
            topic_ids=thread.topic_ids,
            updated_at=thread.updated_at,
        )

    async def mark_deleted(self, account: str, thread_id: str, now: int) -> Thread | None:
        key = (account, thread_id)
        stored = self.state.threads.get(key)
        if stored is None:
            return None
        if not stored.deleted:
            self.state.threads[key] = replace(stored, deleted=True, updated_at=now)
            self.state.deletions.add(key)
        return self.state.threads[key]

    async def delete_page(self, account: str, thread_id: str, limit: int) -> bool:
        key = (account, thread_id)
        messages = self.state.messages.get(key, {})
        for place in sorted(messages)[:limit]:
            gone = messages.pop(place)
            prompt = self.state.prompts.get((account, gone.id))
            if prompt is not None and prompt.thread_id == thread_id:
                del self.state.prompts[account, gone.id]
        if messages:
            return False
        self.state.deletions.discard(key)
        return True

    async def deletions_due(self, now: int, limit: int) -> Sequence[Thread]:
        return [self.state.threads[key] for key in sorted(self.state.deletions)[:limit]]

    async def messages(
        self, account: str, thread_id: str, limit: int, after: str, *, newest_first: bool = False
    ) -> Page[Message]:
        stored = self.state.messages.get((account, thread_id), {})
        places = sorted(stored, reverse=newest_first)
        if after:
            turn, _, part = _uncursor(after).partition(".")
            if not (turn.isdigit() and part.isdigit()):
                raise Invalid("the cursor is not one of this list")
            last = (int(turn), int(part))
            places = [p for p in places if (p < last if newest_first else p > last)]
        page = places[:limit]
        more = len(places) > len(page)
        cursor = _cursor(f"{page[-1][0]}.{page[-1][1]}") if more else ""
        return Page([stored[place] for place in page], cursor)

    async def context(self, account: str, thread_id: str, turn: int) -> AsyncIterator[Message]:
        stored = self.state.messages.get((account, thread_id), {})
        for place in sorted(stored, reverse=True):
            if place[0] <= turn and place in stored:
                yield stored[place]

    async def message(self, account: str, thread_id: str, turn: int, part: int) -> Message | None:
        return self.state.messages.get((account, thread_id), {}).get((turn, part))

    async def messages_at(self, places: Sequence[tuple[str, str, int, int]]) -> Sequence[Message]:
        found = [await self.message(*place) for place in places]
        return [message for message in found if message is not None]

    async def message_by_id(self, account: str, message_id: str) -> Sequence[Message]:
        return [
            message
            for (owner, _), messages in self.state.messages.items()
            for message in messages.values()
            if owner == account and message.id == message_id
        ]

    async def put_message(self, message: Message) -> Message:
        thread = self._living(message.account, message.thread_id)
        messages = self.state.messages.setdefault((message.account, message.thread_id), {})
        for place, stored in messages.items():
            if stored.id == message.id:
                messages[place] = replace(
                    stored,
                    text=message.text,
                    asset_ids=message.asset_ids,
                    updated_at=message.updated_at,
                )
                return messages[place]
        place = (thread.next_turn, QUESTION)
        messages[place] = replace(message, turn=place[0], part=place[1])
        self.state.threads[message.account, message.thread_id] = replace(
            thread, next_turn=thread.next_turn + 1
        )
        return messages[place]

    async def delete_message(self, message: Message) -> None:
        messages = self.state.messages.get((message.account, message.thread_id), {})
        messages.pop((message.turn, message.part), None)


class MemorySubscribers:
    """`ports.SubscriberStore`. `now` is the clock that expiry is read against."""

    def __init__(self, now: Callable[[], int]) -> None:
        self.now = now
        self.connections: dict[str, Connection] = {}
        self.sockets: dict[tuple[str, str, str], Subscriber] = {}
        self.subscribed_until: dict[tuple[str, str, str], int] = {}
        self.watchers: dict[ThreadKey, int] = {}
        self.texts: dict[ThreadKey, LiveText] = {}

    def _live(self, connection: Connection) -> bool:
        return connection.connected_at + CONNECTION_MS > self.now()

    async def add_connection(self, connection: Connection) -> None:
        self.connections[connection.id] = connection

    async def connection(self, connection_id: str) -> Connection | None:
        found = self.connections.get(connection_id)
        return found if found and self._live(found) else None

    def _of(self, account: str) -> list[Connection]:
        return [c for c in self.connections.values() if c.account == account and self._live(c)]

    async def count_connections(self, account: str, cap: int) -> int:
        return min(len(self._of(account)), cap)

    async def connections_of_key(self, account: str, key_hash: str) -> Sequence[Connection]:
        return [c for c in self._of(account) if c.key_hash == key_hash]

    async def drop_connection(self, connection_id: str) -> None:
        self.connections.pop(connection_id, None)
        for key in [key for key in self.sockets if key[2] == connection_id]:
            del self.sockets[key]

    async def subscribe(self, subscriber: Subscriber, now: int) -> None:
        key = (subscriber.account, subscriber.thread_id, subscriber.connection_id)
        self.sockets[key] = subscriber
        self.subscribed_until[key] = now + CONNECTION_MS

    async def unsubscribe(self, connection_id: str, account: str, thread_id: str) -> None:
        self.sockets.pop((account, thread_id, connection_id), None)

    async def followers(self, account: str, thread_id: str) -> Followers:
        sockets = [
            subscriber
            for key, subscriber in self.sockets.items()
            if key[:2] == (account, thread_id) and self.subscribed_until[key] > self.now()
        ]
        watched = self.watchers.get((account, thread_id), 0) > self.now()
        return Followers(tuple(sockets), watched)

    async def watch(self, account: str, thread_id: str, now: int) -> None:
        self.watchers[account, thread_id] = now + WATCH_MS

    async def put_live(self, account: str, live: LiveText, now: int) -> None:
        self.texts[account, live.prompt_id] = live

    async def live(self, account: str, prompt_id: str) -> LiveText | None:
        return self.texts.get((account, prompt_id))


class MemoryAccounts:
    """`ports.KeyStore` and `ports.CatalogueStore`."""

    def __init__(self) -> None:
        self.accounts: dict[str, str] = {}
        self.by_hash: dict[str, ApiKey] = {}
        self.catalogues: dict[str, Catalogue] = {}

    async def create_account(self, account: str, name: str, now: int) -> None:
        if account in self.accounts:
            raise Conflict("the account exists")
        self.accounts[account] = name

    async def put_key(self, key: ApiKey) -> None:
        self.by_hash[key.hash] = key

    async def key(self, hash_: str) -> ApiKey | None:
        return self.by_hash.get(hash_)

    async def keys(self, account: str) -> Sequence[ApiKey]:
        found = [key for key in self.by_hash.values() if key.account == account]
        return sorted(found, key=lambda key: (key.created_at, key.id))

    async def revoke_key(self, account: str, key_id: str, now: int) -> ApiKey | None:
        for key in self.by_hash.values():
            if key.account == account and key.id == key_id:
                revoked = replace(key, revoked_at=key.revoked_at or now)
                self.by_hash[key.hash] = revoked
                return revoked
        return None

    async def catalogue(self, account: str) -> Catalogue:
        return self.catalogues.get(account, Catalogue())

    async def put_catalogue(self, account: str, catalogue: Catalogue) -> None:
        self.catalogues[account] = catalogue
