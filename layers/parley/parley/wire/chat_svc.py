"""chat-svc: threads and their messages, with the shapes of the 2024 contract."""

from typing import Annotated, NotRequired

from aws_lambda_powertools.event_handler.openapi.params import Query as QueryParam
from pydantic import Field
from typing_extensions import TypedDict

from parley.core.errors import Conflict, Invalid, NotFound
from parley.core.thread import Message
from parley.ports import Page
from parley.usecases.chat import NewMessage, NewThread
from parley.wire.fields import Body, PathId
from parley.wire.http_calls import Call, Endpoint
from parley.wire.shapes import (
    MessageShape,
    Nothing,
    ThreadShape,
    fitting,
    message_shape,
    texts_of,
    thread_shape,
)

DEFAULT_LIMIT = 100
LIMIT_CAP = 1000
DELETE_SECONDS = 10

Limit = Annotated[
    int | None, QueryParam(ge=1, le=LIMIT_CAP, description=f"By default {DEFAULT_LIMIT}.")
]
After = Annotated[str | None, QueryParam(description="The `after` of the page before.")]


class ThreadBody(Body):
    """What a caller gives of a thread."""

    id: str | None = None
    title: str | None = None
    user_ids: list[str] | None = None
    topic_ids: list[str] | None = None

    def given(self) -> NewThread:
        return NewThread(
            id=self.id or "",
            title=self.title,
            user_ids=None if self.user_ids is None else tuple(self.user_ids),
            topic_ids=None if self.topic_ids is None else tuple(self.topic_ids),
        )


class SaveThread(Body):
    """A thread to store."""

    thread: ThreadBody | None = None

    def given(self) -> NewThread:
        if self.thread is None:
            raise Invalid("missing thread")
        return self.thread.given()


class MessageBody(Body):
    """What a caller gives of a message; the text is in `content`, or in `text`."""

    id: str | None = None
    content: str | None = None
    text: str | None = None
    user_id: str | None = Field(None, description="The caller's, or none for an assistant's.")
    asset_ids: list[str] | None = None


class SaveMessage(Body):
    """A message to store."""

    message: MessageBody | None = None


class PageBody(Body):
    """Which page; the same as in the query string."""

    limit: Annotated[int, Field(ge=1, le=LIMIT_CAP)] | None = None
    after: str | None = None


class OneThread(TypedDict):
    """A thread."""

    thread: ThreadShape


class MaybeThread(TypedDict):
    """A thread, if it is there."""

    exists: bool
    thread: ThreadShape | None


class Threads(TypedDict):
    """A page of threads, newest first."""

    threads: list[ThreadShape]
    after: NotRequired[str]


class Messages(TypedDict):
    """A page of messages, oldest first."""

    messages: list[MessageShape]
    after: NotRequired[str]


async def add_thread(call: Call, body: SaveThread) -> OneThread:
    """Create a thread; the caller is among its users."""
    thread = await call.api.chat.add_thread(call.principal, body.given())
    return OneThread(thread=thread_shape(thread))


async def get_thread(call: Call, thread_id: PathId) -> MaybeThread:
    """The thread, or that the caller has none with this id."""
    thread = await call.api.chat.thread(call.principal, thread_id)
    if thread is None:
        return MaybeThread(exists=False, thread=None)
    return MaybeThread(exists=True, thread=thread_shape(thread))


async def get_threads(
    call: Call, body: PageBody | None = None, limit: Limit = None, after: After = None
) -> Threads:
    """The caller's threads, newest first; for an admin the account's."""
    limit, after = _page(body, limit, after)
    page = await call.api.chat.list_threads(call.principal, limit, after)
    answer = Threads(threads=[thread_shape(thread) for thread in page.items])
    if page.after:
        answer["after"] = page.after
    return answer


async def update_thread(call: Call, thread_id: PathId, body: SaveThread) -> OneThread:
    """Replace what is given of title, users and topics."""
    thread = await call.api.chat.update_thread(call.principal, thread_id, body.given())
    return OneThread(thread=thread_shape(thread))


async def delete_thread(call: Call, thread_id: PathId) -> Nothing:
    """Delete a thread with its messages and prompts; unfinished prompts are canceled."""
    await call.api.delete_thread(call.principal, thread_id, DELETE_SECONDS)
    return Nothing()


async def add_message(call: Call, thread_id: PathId, body: SaveMessage) -> Nothing:
    """Append a message, or replace the text of the caller's message with this id."""
    message = body.message
    if message is None:
        raise Invalid("missing message")
    new = NewMessage(
        thread_id=thread_id,
        text=message.content or message.text or "",
        id=message.id or "",
        user_id=message.user_id or "",
        asset_ids=tuple(message.asset_ids or ()),
    )
    await call.api.chat.add_message(call.principal, new)
    return Nothing()


async def get_messages(
    call: Call,
    thread_id: PathId,
    body: PageBody | None = None,
    limit: Limit = None,
    after: After = None,
) -> Messages:
    """A page of a thread's messages, oldest first."""
    wanted, start = _page(body, limit, after)

    async def fetch(limit: int) -> Page[Message]:
        return await call.api.chat.list_messages(call.principal, thread_id, limit, start)

    page = await fitting(fetch, wanted, texts_of)
    answer = Messages(messages=[message_shape(message) for message in page.items])
    if page.after:
        answer["after"] = page.after
    return answer


async def delete_message(call: Call, message_id: PathId) -> Nothing:
    """Delete a message."""
    await call.api.chat.delete_message(call.principal, message_id)
    return Nothing()


def _page(body: PageBody | None, limit: int | None, after: str | None) -> tuple[int, str]:
    """Limit and cursor, from the query string or the body."""
    body = body or PageBody()
    return limit or body.limit or DEFAULT_LIMIT, after or body.after or ""


TAG = "chat-svc"
THREAD = "/chat-svc/thread/<thread_id>"
ENDPOINTS = (
    Endpoint("POST", "/chat-svc/thread", add_thread, TAG, "Create a thread", (Invalid, Conflict)),
    Endpoint("GET", THREAD, get_thread, TAG, "Get a thread", (Invalid,)),
    Endpoint("POST", "/chat-svc/threads", get_threads, TAG, "List threads", (Invalid,)),
    Endpoint("PUT", THREAD, update_thread, TAG, "Change a thread", (Invalid, NotFound)),
    Endpoint("DELETE", THREAD, delete_thread, TAG, "Delete a thread", (Invalid, NotFound)),
    Endpoint(
        "POST",
        f"{THREAD}/message",
        add_message,
        TAG,
        "Add a message",
        (Invalid, NotFound, Conflict),
    ),
    Endpoint("POST", f"{THREAD}/messages", get_messages, TAG, "List messages", (Invalid, NotFound)),
    Endpoint(
        "DELETE",
        "/chat-svc/message/<message_id>",
        delete_message,
        TAG,
        "Delete a message",
        (Invalid, NotFound, Conflict),
    ),
)
