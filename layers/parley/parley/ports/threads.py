"""The store of threads, sessions among them, with their messages and the figures of chat."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from parley.core.thread import Message, Thread
from parley.ports.pages import Page


@dataclass(frozen=True, slots=True)
class ThreadChanges:
    """What to change of a thread; None keeps what is stored."""

    title: str | None = None
    user_ids: tuple[str, ...] | None = None
    topic_ids: tuple[str, ...] | None = None

    def applied(self, thread: Thread, now: int) -> Thread:
        """The thread with these changes."""
        return replace(
            thread,
            title=thread.title if self.title is None else self.title,
            user_ids=thread.user_ids if self.user_ids is None else self.user_ids,
            topic_ids=thread.topic_ids if self.topic_ids is None else self.topic_ids,
            updated_at=now,
        )


class ThreadStore(Protocol):
    """Threads and messages as chat-svc shows them, and as context."""

    async def thread(self, account: str, thread_id: str) -> Thread | None:
        """Consistent; a deleted thread is returned with its mark."""

    async def threads(
        self, account: str, user_id: str | None, limit: int, after: str
    ) -> Page[Thread]:
        """A user's threads (None: the account's), newest first."""

    async def create_thread(self, thread: Thread) -> None:
        """Raises Conflict if the id exists, ThreadDeleted if it is marked deleted.

        A thread with a client is a session: it is in the lists of sessions and in no other.
        """

    async def sessions(self, account: str, client: str, limit: int, after: str) -> Page[Thread]:
        """The sessions of an llm_client (empty: of the account), newest first.

        Those that have expired are left out, and looked at in bounds: a page may be empty
        and not be the last.
        """

    async def update_thread(
        self, account: str, thread_id: str, changes: ThreadChanges, now: int
    ) -> Thread:
        """Change what is given and nothing else; the thread as it is then.

        Raises NotFound if it is absent or deleted.
        """

    async def mark_deleted(
        self, account: str, thread_id: str, now: int, *, older_than: int = 0
    ) -> Thread | None:
        """Mark deleted, and make the rest of the deletion due; None if it never existed.

        With `older_than` (ms) only if it was last changed before: raises TransitionRefused
        otherwise. One that is marked already stays so, and is returned.
        """

    async def delete_page(self, account: str, thread_id: str, limit: int) -> bool:
        """Delete up to `limit` items of a thread marked deleted; True when none is left.

        Call only once the thread has no open turns. The mark itself stays for a week.
        """

    async def deletions_due(self, now: int, limit: int) -> Sequence[Thread]:
        """Threads marked deleted whose deletion is not finished."""

    async def messages(
        self, account: str, thread_id: str, limit: int, after: str, *, newest_first: bool = False
    ) -> Page[Message]:
        """A page of a thread's messages by turn and part; consistent."""

    def context(self, account: str, thread_id: str, turn: int, page: int) -> AsyncIterator[Message]:
        """Messages of turns up to `turn`, newest first, read page by page as consumed.

        `page` is the number of messages of one read, which ends earlier at 1 MB.
        """

    async def message(self, account: str, thread_id: str, turn: int, part: int) -> Message | None:
        """One message by its place."""

    async def messages_at(self, places: Sequence[tuple[str, str, int, int]]) -> Sequence[Message]:
        """Messages by (account, thread, turn, part); absent ones are left out; any order."""

    async def message_by_id(self, account: str, message_id: str) -> Sequence[Message]:
        """The messages with this id: more than one only if a removed prompt's id was reused.

        Rounds of tool calls are not found by an id.
        """

    async def put_message(self, message: Message) -> Message:
        """Append as a turn of its own, or replace the text of the message with this id.

        The `turn` and `part` of the argument are ignored; returns the message as stored.
        Raises NotFound if the thread is absent or deleted, Conflict if a message that was
        added to another thread has the id, TurnTaken on contention: look again then, for it
        may have been by a message with this id.
        """

    async def delete_message(self, message: Message) -> None:
        """Delete one message; absent is a success."""


@dataclass(frozen=True, slots=True)
class TurnCounts:
    """Which bound of an llm_client's minute a turn met, if any."""

    client_full: bool = False
    address_full: bool = False


class ChatStore(Protocol):
    """What chat keeps besides its threads."""

    async def count_turn(
        self, account: str, client: str, address: str, minute: int, caps: tuple[int, int]
    ) -> TurnCounts:
        """Count a turn of a minute, unless a bound is met.

        `address` is one of at most 1024 groups of addresses, three hex digits. `caps`
        are those of the llm_client and of one address. One conditional write.
        """

    async def sticky(self, account: str, id_: str, fresh: str, now: int, *, renew: bool) -> str:
        """The random text kept under an id for 24 h: the stored one, else `fresh`, stored now.

        `renew` stores `fresh` in any case.
        """
