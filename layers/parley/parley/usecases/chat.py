"""Threads and messages, as chat-svc shows them."""

from dataclasses import dataclass

from parley.core.access import Principal, check_question, checked_id, checked_text
from parley.core.errors import (
    Busy,
    Conflict,
    Invalid,
    NoSuchMessage,
    NoSuchThread,
    TransitionRefused,
    TurnTaken,
)
from parley.core.thread import DEFAULT_TITLE, MEMBERS_CAP, QUESTION, Message, Role, Thread
from parley.ports import (
    Clock,
    Ids,
    Page,
    PromptStore,
    SubscriberStore,
    ThreadChanges,
    ThreadStore,
)
from parley.usecases.accept import ACCEPT_TRIES, JITTER_SECONDS

TITLE_CAP = 1000
TOPICS_CAP = 50
ASSETS_CAP = 100
UNFINISHED = "the prompt of this message is unfinished: cancel it first"


@dataclass(frozen=True, slots=True)
class NewThread:
    """What a caller gives of a thread; None keeps what is there (or the default)."""

    id: str = ""
    title: str | None = None
    user_ids: tuple[str, ...] | None = None
    topic_ids: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class NewMessage:
    """What a caller gives of a message."""

    thread_id: str
    text: str
    id: str = ""
    user_id: str = ""
    asset_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chat:
    """The calls on threads and messages. A thread belongs to its creator and its users."""

    threads: ThreadStore
    prompts: PromptStore
    subscribers: SubscriberStore
    clock: Clock
    ids: Ids

    async def thread(self, principal: Principal, thread_id: str) -> Thread | None:
        """The thread, or None if it is absent or not the caller's."""
        thread = await self.threads.thread(principal.account, thread_id)
        if thread is None or thread.deleted or not principal.sees(thread):
            return None
        return thread

    async def _own(self, principal: Principal, thread_id: str) -> Thread:
        thread = await self.thread(principal, thread_id)
        if thread is None:
            raise NoSuchThread
        return thread

    async def list_threads(self, principal: Principal, limit: int, after: str) -> Page[Thread]:
        """The caller's threads (an admin's: the account's), newest first."""
        user = None if principal.admin else principal.user_id
        return await self.threads.threads(principal.account, user, limit, after)

    async def add_thread(self, principal: Principal, new: NewThread) -> Thread:
        """Create a thread; the caller is among its users.

        Raises Invalid, Conflict if the id exists.
        """
        now = self.clock.now()
        thread = Thread(
            account=principal.account,
            id=checked_id(new.id or self.ids.new("thr"), "id"),
            title=_title(new.title) or DEFAULT_TITLE,
            created_by=principal.user_id,
            created_at=now,
            updated_at=now,
            user_ids=_members((*(new.user_ids or ()), principal.user_id)),
            topic_ids=_topics(new.topic_ids or ()),
        )
        await self.threads.create_thread(thread)
        return thread

    async def update_thread(self, principal: Principal, thread_id: str, new: NewThread) -> Thread:
        """Replace what is given; raises NotFound, Invalid."""
        changes = ThreadChanges(
            title=_title(new.title) or None,
            user_ids=None if new.user_ids is None else _members(new.user_ids),
            topic_ids=None if new.topic_ids is None else _topics(new.topic_ids),
        )
        await self._own(principal, thread_id)
        thread = await self.threads.update_thread(
            principal.account, thread_id, changes, self.clock.now()
        )
        if new.user_ids is not None:
            await self._unsubscribe_former(thread)
        return thread

    async def _unsubscribe_former(self, thread: Thread) -> None:
        """End the subscriptions of whoever may not see the thread any more."""
        followers = await self.subscribers.followers(thread.account, thread.id)
        for subscriber in followers.sockets:
            connection = await self.subscribers.connection(subscriber.connection_id)
            if connection is None or not connection.principal.sees(thread):
                await self.subscribers.unsubscribe(
                    subscriber.connection_id, thread.account, thread.id
                )

    async def add_message(self, principal: Principal, new: NewMessage) -> Message:
        """Append a message, or replace the text of the caller's message with this id.

        A message with a `user_id` is a user's, which can only be the caller; one without
        is an assistant's. Raises NotFound, Conflict (the id is used elsewhere), Busy.
        """
        await self._own(principal, new.thread_id)
        if new.user_id not in ("", principal.user_id):
            raise Conflict("userId must be the caller's or absent")
        now = self.clock.now()
        assets = _ids(new.asset_ids, "assetIds", ASSETS_CAP)
        message = Message(
            account=principal.account,
            thread_id=new.thread_id,
            turn=0,
            part=QUESTION,
            id=checked_id(new.id or self.ids.new("msg"), "id"),
            role=Role.USER if new.user_id else Role.ASSISTANT,
            text=checked_text(new.text, "content"),
            created_at=now,
            updated_at=now,
            user_id=new.user_id,
            asset_ids=assets,
        )
        for _ in range(ACCEPT_TRIES):
            await self._check_place(message)
            try:
                return await self.threads.put_message(message)
            except (TurnTaken, Busy):
                await self.clock.sleep(self.ids.fraction() * JITTER_SECONDS)
        raise Busy("the thread is busy")

    async def _check_place(self, message: Message) -> None:
        """Refuse an id that is taken in another thread, or by a prompt's question or answer."""
        if await self.prompts.prompt(message.account, message.id) is not None:
            raise Conflict("the id is taken by a prompt")
        for stored in await self.threads.message_by_id(message.account, message.id):
            same = (stored.thread_id, stored.user_id) == (message.thread_id, message.user_id)
            if not same or stored.part != QUESTION:
                raise Conflict("the id is taken by another message")
            # The question of a removed prompt keeps its template.
            check_question(message.text, stored.template, "content")

    async def list_messages(
        self, principal: Principal, thread_id: str, limit: int, after: str
    ) -> Page[Message]:
        """A page of a thread's messages, oldest first; raises NotFound."""
        await self._own(principal, thread_id)
        return await self.threads.messages(principal.account, thread_id, limit, after)

    async def delete_message(self, principal: Principal, message_id: str) -> None:
        """Delete a message of one of the caller's threads, a question of theirs with its prompt.

        Raises NotFound; Conflict for the question of an unfinished prompt, which is still
        needed: cancel it first.
        """
        found = False
        for message in await self.threads.message_by_id(principal.account, message_id):
            if await self.thread(principal, message.thread_id) is None:
                continue
            await self._remove_prompt_of(principal, message)
            await self.threads.delete_message(message)
            found = True
        if not found:
            raise NoSuchMessage

    async def _remove_prompt_of(self, principal: Principal, message: Message) -> None:
        """Remove the prompt whose question the message is; raises Conflict.

        Left behind it could not be tried again, and the deletion of its thread, which finds
        prompts by their questions, would not come to it. Before the question, so that a
        crash in between leaves a question that can be deleted.

        Race: a retry reopens the prompt and moves the question, after it was seen ended. So
        the removal is refused, and the question is one of an unfinished prompt again.
        """
        # Another's prompt stays: they may still ask for it, and its id is not to run again.
        prompt = await self.prompts.prompt(message.account, message.id)
        if prompt is None or (prompt.thread_id, prompt.turn) != (message.thread_id, message.turn):
            return
        if not prompt.status.terminal:
            raise Conflict(UNFINISHED)
        if not principal.owns(prompt):
            return
        try:
            await self.prompts.remove(prompt.account, prompt.id)
        except TransitionRefused:
            if await self.prompts.prompt(prompt.account, prompt.id) is not None:
                raise Conflict(UNFINISHED) from None


def _title(title: str | None) -> str:
    stripped = (title or "").strip()
    if len(stripped) > TITLE_CAP:
        raise Invalid(f"title is longer than {TITLE_CAP} characters")
    return stripped


def _members(ids: tuple[str, ...]) -> tuple[str, ...]:
    return _ids(ids, "userIds", MEMBERS_CAP)


def _topics(ids: tuple[str, ...]) -> tuple[str, ...]:
    return _ids(ids, "topicIds", TOPICS_CAP)


def _ids(ids: tuple[str, ...], name: str, cap: int) -> tuple[str, ...]:
    """Each of the ids once, checked."""
    unique = tuple(dict.fromkeys(ids))
    if len(unique) > cap:
        raise Invalid(f"{name} can hold {cap} ids at most")
    return tuple(checked_id(id_, name) for id_ in unique)
