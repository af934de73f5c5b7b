"""Sessions: open one, read one back, list them, remove them.

Whoever holds a session key may read and go on with that session; an admin may list, read
and remove those of the account, by id: nobody but the holder ever has the key.
"""

import contextlib
import json
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace

from parley.core.access import Principal
from parley.core.errors import Conflict, NoSuchSession, NotFound, WrongCursor
from parley.core.llm_client import LlmClient
from parley.core.prompt import Prompt, Status
from parley.core.session import (
    SESSION_ID,
    Newest,
    Session,
    belongs,
    checked_session_key,
    opened,
    session_id,
)
from parley.core.thread import QUESTION, Message, Thread, replaced_turn
from parley.ports import (
    Clock,
    Conversation,
    Ids,
    Page,
    PromptQuery,
    PromptStore,
    ThreadStore,
)
from parley.usecases.remove import DeleteThread
from parley.usecases.waiting import every

HISTORY_TURNS = 50
# One read: 50 turns with a round of tool calls in some of them.
HISTORY_MESSAGES = 150
# As JSON without any character beyond ASCII. Pages post back all that they were given and what
# was said since, in a body of 6 MB; a read of the table, whose bytes are never more than these,
# ends at 1 MiB.
HISTORY_BYTES = 600_000
# What a message takes besides its texts, and so does each of its calls.
ITEM_BYTES = 250
UNANSWERED = tuple(status for status in Status if status is not Status.COMPLETED)
UNANSWERED_SHOWN = 100
PURGE_PAGE = 50
PURGE_SECONDS = 15.0
NO_TURN = 10**9
CURSOR = re.compile(r"[0-9]{1,9}\.[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class History:
    """The newest part of a conversation, oldest first.

    `messages` are whole turns: question, rounds of tool calls, answer; those whose
    question was edited are left out. `prompts` are the states of the newest turn and of
    all unfinished ones. `after` is the cursor of older turns, or empty.
    """

    messages: tuple[Message, ...] = ()
    prompts: tuple[Prompt, ...] = ()
    after: str = ""


@dataclass(frozen=True, slots=True)
class Purged:
    """What one step of a purge did. `after` is where the next one starts, or empty."""

    examined: int
    matched: int
    deleted: int
    after: str


@dataclass(frozen=True, slots=True)
class Sessions:
    """The calls on sessions.

    Whoever asks for a session's `messages` along with it has its history in one read less.
    """

    prompts: PromptStore
    threads: ThreadStore
    delete_thread: DeleteThread
    clock: Clock
    ids: Ids

    async def open(self, client: LlmClient, key: str, *, messages: bool = False) -> Session:
        """The session of a key; a new one under a key of its own if that is empty or unknown.

        A caller's own choice of a key is never taken: whoever plants a key in somebody's
        browser could read along. Raises Invalid for a malformed key.
        """
        if key and (known := await self._known(client, checked_session_key(key), messages)):
            return known
        for _ in range(2):
            try:
                return await self._made(client, self.ids.token())
            except Conflict:
                continue
        raise AssertionError("two random keys of 256 bits were taken")

    async def resume(self, client: LlmClient, key: str, *, messages: bool = False) -> Session:
        """The session of a key that the server itself has made; opened now if there is none.

        Raises Conflict if there was one, which is deleted or has expired.
        """
        return await self._known(client, key, messages) or await self._made(client, key)

    async def _made(self, client: LlmClient, key: str) -> Session:
        thread = opened(key, client, self.clock.now())
        await self.threads.create_thread(thread)
        return Session(key, client, thread, new=True)

    async def require(self, client: LlmClient, key: str, *, messages: bool = False) -> Session:
        """The session of a key; raises NotFound, Invalid."""
        known = await self._known(client, checked_session_key(key), messages)
        if known is None:
            raise NoSuchSession
        return known

    async def _known(self, client: LlmClient, key: str, messages: bool) -> Session | None:
        place = (client.account, session_id(key))
        if messages:
            found = await self.prompts.conversation(*place, HISTORY_MESSAGES)
        else:
            found = Conversation(await self.prompts.thread_head(*place))
        head = found.head
        if head.thread is None or not belongs(head.thread, client, self.clock.now()):
            return None
        newest = Newest(found.messages, found.more) if messages else None
        return Session(key, client, head.thread, open_turns=head.open_turns, newest=newest)

    async def history(
        self, session: Session, limit_turns: int = HISTORY_TURNS, after: str = ""
    ) -> History:
        """Up to so many of the newest turns (before `after`); at most two reads, the messages
        and the states of prompts.

        Raises WrongCursor for what is no cursor of an earlier page.
        """
        thread = session.thread
        newest = thread.next_turn - 1
        before, hidden = _position(after)
        until = min(before - 1, newest)
        if until <= 0:
            return History()
        taken, more = await self._newest(session, until, limit_turns)
        asked = [m for m in taken if m.part == QUESTION]
        states = await self._states(session, asked[:1] if until == newest else [])
        return History(_unreplaced(taken, hidden), states, _cursor(taken[-1]) if more else "")

    async def _newest(self, session: Session, until: int, turns: int) -> tuple[list[Message], bool]:
        """Messages of the newest whole turns up to `until`, newest first; True for more."""
        thread = session.thread
        along = session.newest if until == thread.next_turn - 1 else None
        reading = (
            _each(along.messages)
            if along
            else self.threads.context(thread.account, thread.id, until, HISTORY_MESSAGES)
        )
        taken: list[Message] = []
        seen: set[int] = set()  # counted, as a retry leaves a gap in the numbers
        size = 0
        more = along is not None and along.more
        async for message in reading:
            if message.turn > until:
                continue  # asked while the thread was read
            size += _size(message)
            full = len(taken) >= HISTORY_MESSAGES - 1 or size > HISTORY_BYTES
            if taken and (len(seen | {message.turn}) > turns or full):
                more = True
                break
            seen.add(message.turn)
            taken.append(message)
        more = more and bool(taken)
        return (_whole_turns(taken) if more else taken), more

    async def _states(self, session: Session, newest: Sequence[Message]) -> tuple[Prompt, ...]:
        ids = {turn.prompt_id for turn in session.open_turns[:10]}
        ids |= {question.id for question in newest}
        if not ids:
            return ()
        account = session.thread.account
        query = PromptQuery(account, None, ids=tuple(sorted(ids)), limit=len(ids))
        found = (await self.prompts.prompts(query)).items
        return tuple(sorted(found, key=lambda prompt: prompt.turn))

    # --- by an admin

    async def list(
        self, principal: Principal, client_name: str, limit: int, after: str
    ) -> Page[Thread]:
        """The sessions of an llm_client (empty: of the account), newest first; admins only."""
        principal.require_admin()
        return await self.threads.sessions(principal.account, client_name, limit, after)

    async def show(self, principal: Principal, id_: str) -> Thread:
        """The thread of a session; admins only. Raises NotFound."""
        principal.require_admin()
        thread = None
        if SESSION_ID.fullmatch(id_):
            thread = await self.threads.thread(principal.account, id_)
        if thread is None or thread.deleted or not thread.client:
            raise NoSuchSession
        return thread

    async def unanswered(self, thread: Thread) -> tuple[Prompt, ...]:
        """The prompts of the newest turn and of those without a whole answer, oldest first.

        Of the latter the newest 100, as far back as one list call looks.
        """
        newest = PromptQuery(thread.account, None, thread_id=thread.id, descending=True, limit=1)
        rest = replace(newest, statuses=UNANSWERED, limit=UNANSWERED_SHOWN)
        pages = await every(self.prompts.prompts(query) for query in (newest, rest))
        found = {prompt.id: prompt for page in pages for prompt in page.items}
        return tuple(sorted(found.values(), key=lambda prompt: prompt.turn))

    async def delete(self, principal: Principal, id_: str) -> None:
        """Delete a session with its messages and prompts; admins only. Raises NotFound."""
        thread = await self.show(principal, id_)
        await self.delete_thread(principal, thread.id, PURGE_SECONDS)

    async def purge(
        self,
        principal: Principal,
        client_name: str,
        older_than: int,
        after: str = "",
        *,
        dry_run: bool = True,
    ) -> Purged:
        """Delete the sessions of one page that nobody has used since `older_than` (ms).

        Admins only; to be called again with `after` until that is empty. Deletes for a
        bounded time: what it has begun the sweeper finishes, what it has not reached is
        on the next page.
        """
        page = await self.list(principal, client_name, PURGE_PAGE, after)
        old = [thread for thread in page.items if thread.updated_at < older_than]
        deleted = 0 if dry_run else await self._delete_all(principal, old, older_than)
        return Purged(len(page.items), len(old), deleted, page.after)

    async def _delete_all(
        self, principal: Principal, threads: Sequence[Thread], older_than: int
    ) -> int:
        """Mark all of them deleted, with whatever time is left for the deletion itself.

        How many it were, without those that somebody else has deleted since they were
        listed, or goes on with.
        """
        until = self.clock.monotonic() + PURGE_SECONDS
        deleted = 0
        for thread in threads:
            left = max(until - self.clock.monotonic(), 0)
            with contextlib.suppress(NotFound, Conflict):
                await self.delete_thread(principal, thread.id, left, older_than=older_than)
                deleted += 1
        return deleted


async def _each(messages: Iterable[Message]) -> AsyncIterator[Message]:
    for message in messages:
        yield message


def _size(message: Message) -> int:
    """The bytes that a page gets of a message, at most, and would post back."""
    texts = [message.text]
    for call in message.calls:
        texts += (call.arguments, call.result)
    items = 1 + len(message.calls)
    return ITEM_BYTES * items + sum(len(json.dumps(text)) for text in texts)


def _whole_turns(newest_first: list[Message]) -> list[Message]:
    """Without the oldest turn, if the reading stopped inside of it.

    A turn that is larger than a page all by itself is shown without its beginning.
    """
    oldest = newest_first[-1]
    others = [message for message in newest_first if message.turn != oldest.turn]
    return newest_first if oldest.part == QUESTION or not others else others


def _unreplaced(newest_first: Iterable[Message], hidden: int) -> tuple[Message, ...]:
    """Oldest first, without turn `hidden` and those that a later question is an edit of."""
    kept: list[Message] = []
    replaced = {hidden}
    for message in newest_first:
        if message.part == QUESTION:
            replaced.add(replaced_turn(message))
        if message.turn not in replaced:
            kept.append(message)
    return tuple(reversed(kept))


def _cursor(oldest: Message) -> str:
    """Where the next page begins: before this turn, of which it may have to hide one."""
    return f"{oldest.turn}.{replaced_turn(oldest)}"


def _position(cursor: str) -> tuple[int, int]:
    """What `_cursor` made; from the beginning for an empty one. Raises WrongCursor."""
    if not cursor:
        return NO_TURN, 0
    if not CURSOR.fullmatch(cursor):
        raise WrongCursor
    before, hidden = cursor.split(".")
    return int(before), int(hidden)
