"""Threads and messages in memory."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from parley.adapters.memory_prompts import MemoryState, cursor, position
from parley.core.errors import (
    Conflict,
    NoSuchThread,
    ThreadDeleted,
    TransitionRefused,
    WrongCursor,
)
from parley.core.thread import QUESTION, Message, Role, Thread
from parley.ports import Page, ThreadChanges


class MemoryThreads:
    """`ports.ThreadStore`."""

    def __init__(self, state: MemoryState) -> None:
        self.state = state

    def _living(self, account: str, thread_id: str) -> Thread:
        thread = self.state.thread(account, thread_id)
        if thread is None or thread.deleted:
            raise NoSuchThread
        return thread

    async def thread(self, account: str, thread_id: str) -> Thread | None:
        return self.state.thread(account, thread_id)

    async def threads(
        self, account: str, user_id: str | None, limit: int, after: str
    ) -> Page[Thread]:
        return self._page(
            f"threads/{user_id or ''}",
            [
                thread
                for thread in self._alive(account)
                if not thread.client
                and (user_id is None or user_id in (thread.created_by, *thread.user_ids))
            ],
            limit,
            after,
        )

    async def sessions(self, account: str, client: str, limit: int, after: str) -> Page[Thread]:
        found = [one for one in self._alive(account) if one.client and client in ("", one.client)]
        return self._page(f"sessions/{client}", found, limit, after)

    def _alive(self, account: str) -> list[Thread]:
        ids = [id_ for owner, id_ in self.state.threads if owner == account]
        found = [self.state.thread(account, id_) for id_ in ids]
        return [thread for thread in found if thread and not thread.deleted]

    @staticmethod
    def _page(name: str, found: list[Thread], limit: int, after: str) -> Page[Thread]:
        """A cursor is a place in the list: what stood there may be deleted meanwhile."""
        found.sort(key=lambda thread: (thread.created_at, thread.id), reverse=True)
        if after:
            list_, _, place = position(after).partition(" ")
            created_at, _, id_ = place.partition(" ")
            if list_ != name or not created_at.isdigit():
                raise WrongCursor
            found = [one for one in found if (one.created_at, one.id) < (int(created_at), id_)]
        page = found[:limit]
        more = len(found) > len(page) and bool(page)
        return Page(page, cursor(f"{name} {page[-1].created_at} {page[-1].id}") if more else "")

    async def create_thread(self, thread: Thread) -> None:
        stored = self.state.thread(thread.account, thread.id)
        if stored is not None and stored.deleted:
            raise ThreadDeleted("the thread was deleted")
        if stored is not None:
            raise Conflict("a thread with this id exists")
        self.state.threads[thread.account, thread.id] = thread

    async def update_thread(
        self, account: str, thread_id: str, changes: ThreadChanges, now: int
    ) -> Thread:
        changed = changes.applied(self._living(account, thread_id), now)
        self.state.threads[account, thread_id] = changed
        return changed

    async def mark_deleted(
        self, account: str, thread_id: str, now: int, *, older_than: int = 0
    ) -> Thread | None:
        key = (account, thread_id)
        stored = self.state.thread(*key)
        if stored is None:
            return None
        if not stored.deleted:
            if older_than and stored.updated_at >= older_than:
                raise TransitionRefused("mark_deleted")
            mark = replace(stored, deleted=True, updated_at=now, expires_at=0)
            self.state.threads[key] = mark
            self.state.deletions.add(key)
        return self.state.threads[key]

    async def delete_page(self, account: str, thread_id: str, limit: int) -> bool:
        key = (account, thread_id)
        messages = self.state.messages.get(key, {})
        for place in sorted(messages)[:limit]:
            gone = messages.pop(place)
            self._release(gone)
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
            turn, _, part = position(after).partition(".")
            if not (turn.isdigit() and part.isdigit()):
                raise WrongCursor
            last = (int(turn), int(part))
            places = [p for p in places if (p < last if newest_first else p > last)]
        page = places[:limit]
        more = len(places) > len(page)
        after = cursor(f"{page[-1][0]}.{page[-1][1]}") if more else ""
        return Page([stored[place] for place in page], after)

    async def context(
        self, account: str, thread_id: str, turn: int, page: int
    ) -> AsyncIterator[Message]:
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
            if owner == account and message.id == message_id and message.role is not Role.TOOL
        ]

    async def put_message(self, message: Message) -> Message:
        thread = self._living(message.account, message.thread_id)
        messages = self.state.messages.setdefault((message.account, message.thread_id), {})
        for place, stored in messages.items():
            if stored.id == message.id and stored.role is not Role.TOOL:
                messages[place] = replace(
                    stored,
                    text=message.text,
                    asset_ids=message.asset_ids,
                    updated_at=message.updated_at,
                )
                return messages[place]
        if (message.account, message.id) in self.state.message_ids:
            raise Conflict("the id is taken by another message")
        place = (thread.next_turn, QUESTION)
        self.state.message_ids[message.account, message.id] = (message.thread_id, place[0])
        messages[place] = replace(message, turn=place[0], part=place[1])
        self.state.threads[message.account, message.thread_id] = replace(
            thread, next_turn=thread.next_turn + 1, expires_at=0
        )
        return messages[place]

    async def delete_message(self, message: Message) -> None:
        messages = self.state.messages.get((message.account, message.thread_id), {})
        messages.pop((message.turn, message.part), None)
        self._release(message)

    def _release(self, message: Message) -> None:
        """Let go of the id, if it is this message that has it."""
        key = (message.account, message.id)
        if self.state.message_ids.get(key) == (message.thread_id, message.turn):
            del self.state.message_ids[key]
