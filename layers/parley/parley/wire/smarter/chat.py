"""Chat: say something and get the answer, read a session, stop a turn, try it again."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from aws_lambda_powertools.event_handler.openapi.params import Query
from pydantic import BeforeValidator, Field
from typing_extensions import TypedDict

from parley.core.access import ID_PATTERN
from parley.core.errors import (
    Busy,
    Conflict,
    Invalid,
    Limited,
    TooLarge,
    TooManyOpenTurns,
    Unavailable,
)
from parley.core.events import prompt_state
from parley.core.session import SESSION_KEY, Session
from parley.usecases.converse import Said, Turned
from parley.usecases.sessions import HISTORY_TURNS
from parley.wire.http_calls import ChatCall, Endpoint
from parley.wire.smarter.config import REFUSES, SessionKeyQuery
from parley.wire.smarter.envelope import ChatAnswer, enveloped, refused
from parley.wire.smarter.history import SessionRow, session_row
from parley.wire.smarter.session_keys import session_key_of
from parley.wire.smarter.shapes import (
    API,
    ChatItem,
    Metadata,
    SnakeBody,
    chat_items,
    intro_items,
)
from parley.wire.smarter.text import as_meant
from parley.wire.smarter.words import TRYING_AGAIN

# So many of the newest messages are looked at. There may be any number of them: the component
# posts all that it ever got, and would be refused for good.
MESSAGES_READ = 2000
# Not the caller's program but the person in front of it is to know: 200 with a message.
TOLD_TO_PEOPLE = (Limited, TooManyOpenTurns, Busy, Unavailable)
SERVER_ROLES = {"assistant", "smarter", "smarter_error", "user"}


class PostedMessage(SnakeBody):
    """A message of the conversation as the page has it; only the last user's is new."""

    role: str
    content: Any = None
    id: Any = None


class Sender(SnakeBody):
    """A message in the form that came before."""

    sender: str
    message: Any = None


def _newest(messages: Any) -> Any:
    return messages[-MESSAGES_READ:] if isinstance(messages, list) else messages


class ChatBody(SnakeBody):
    """What is said, in which session."""

    session_key: str | None = None
    messages: Annotated[list[PostedMessage] | None, BeforeValidator(_newest)] = Field(
        None,
        description="The last one with the role user is what is said. Those before it are not "
        "believed; the `id` of the newest tells which messages the caller had seen. Of more "
        f"than {MESSAGES_READ:,} the last ones are read.",
    )
    wait: Annotated[float, Field(ge=0, le=25, allow_inf_nan=False)] | None = Field(
        None, description="Seconds to wait for the answer; by default the time budget."
    )
    format: Literal["plain"] | None = Field(
        None, description="plain: the text is as it is, without the component's escapes."
    )
    replaces: Annotated[int, Field(ge=1)] | None = Field(
        None, description="The turn whose question this edits: the last one."
    )
    input_text: str | None = Field(None, description="Older form of the last user's message.")
    prompt_history: Annotated[list[Sender] | None, BeforeValidator(_newest)] = Field(
        None, description="Older form of messages."
    )


class TurnBody(SnakeBody):
    """Which turn of which session."""

    prompt_id: Annotated[str, Field(pattern=f"^{ID_PATTERN.pattern}$")]
    session_key: str | None = None


class SessionData(TypedDict):
    """A session as it stands. `after` reads the turns before these, or is empty."""

    session: SessionRow
    messages: list[ChatItem]
    prompts: list[dict[str, Any]]
    after: str


class SessionAnswer(TypedDict):
    """A session in its envelope."""

    data: SessionData
    api: str
    thing: str
    metadata: Metadata


async def chat(call: ChatCall, body: ChatBody, session_key: SessionKeyQuery = "") -> ChatAnswer:
    """Say something. The answer's `data.body` is a JSON text, `data.statusCode` its status.

    What a person should read, a met limit and a failed turn too, is a message in the body's
    `smarter.messages`. A turn that takes longer than the wait goes on without its caller and
    is answered with status 202. The same turn posted twice is one prompt.
    """
    key = session_key_of(call, session_key, body.session_key)
    text, known = input_of(body)
    said = said_by(call, text, known, body.replaces or 0)
    try:
        turned = await call.api.chats.converse(call.client, key, said, seconds_for(call, body.wait))
    except TOLD_TO_PEOPLE as error:
        return refused(call, key, text, error)
    return enveloped(call, turned, text)


def too_large(call: ChatCall) -> ChatAnswer:
    """What is said of a conversation that is too large to be read.

    Nothing but its page can make it smaller, and there a refusal would not be seen.
    """
    sent = session_key_of(call, call.request.query.get("session_key", ""))
    key = sent if SESSION_KEY.fullmatch(sent) else ""
    return refused(call, key, "", TooLarge("the conversation is too large"))


def said_by(call: ChatCall, text: str, known: str, replaces: int) -> Said:
    """What the caller says, with what is counted and kept of the caller."""
    return Said(text, known, call.request.source_ip, replaces, call.key_hash)


def seconds_for(call: ChatCall, wait: float | None) -> float:
    """How long this call may wait for an answer."""
    left = max(call.api.policy.sync_budget - call.seconds(), 0)
    return left if wait is None else min(wait, left)


def input_of(body: ChatBody) -> tuple[str, str]:
    """What is said, and what marks the point of the conversation at which it is said.

    That is the id of our newest message that was posted along, and how many questions the
    caller has put behind it already: whoever repeats a text after a failure says it again,
    whoever posts the same list again does not. Empty without such an id. Raises Invalid.
    """
    messages = _messages(body)
    last = max((n for n, one in enumerate(messages) if one.role == "user"), default=-1)
    if last < 0:
        raise Invalid('messages: one with the role "user" is needed')
    content = messages[last].content
    if not isinstance(content, str) or not content.strip():
        raise Invalid("messages: the last user's content must be a text that is not blank")
    text = content if body.format == "plain" else as_meant(content)
    return text, _point(messages[:last])


def _messages(body: ChatBody) -> list[PostedMessage]:
    """The posted messages, the older forms among them."""
    older = [
        PostedMessage(role=one.sender, content=one.message) for one in body.prompt_history or []
    ]
    said = [PostedMessage(role="user", content=body.input_text)] if body.input_text else []
    return [*(body.messages or older), *said]


def _point(before: Sequence[PostedMessage]) -> str:
    behind = 0
    for message in reversed(before):
        if message.role in SERVER_ROLES and _is_id(message.id):
            return f"{message.id}+{behind}" if behind else str(message.id)
        behind += message.role == "user"
    return ""


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and ID_PATTERN.fullmatch(value) is not None


TurnsQuery = Annotated[int, Query(ge=1, le=HISTORY_TURNS, description="Turns.")]
AfterQuery = Annotated[str, Query(max_length=1024, description="`after` of the page before.")]


async def get_chat(
    call: ChatCall,
    session_key: SessionKeyQuery = "",
    limit: TurnsQuery = HISTORY_TURNS,
    after: AfterQuery = "",
) -> SessionAnswer:
    """Read a session: its newest turns, oldest first; with `after` the ones before those."""
    key = session_key_of(call, session_key)
    session = await call.api.chats.sessions.require(call.client, key, messages=not after)
    return await page_of(call, session, limit, after)


async def page_of(call: ChatCall, session: Session, limit: int, after: str) -> SessionAnswer:
    """A page of a session."""
    history = await call.api.chats.sessions.history(session, limit, after)
    intro = [] if history.after else intro_items(session)
    data = SessionData(
        session=session_row(call, session),
        messages=[*intro, *chat_items(history.messages, results=call.address.sandbox)],
        prompts=[prompt_state(prompt) for prompt in history.prompts],
        after=history.after,
    )
    thing = "Prompt"
    metadata = Metadata(command=call.address.word, thing=thing)
    return SessionAnswer(data=data, api=API, thing=thing, metadata=metadata)


async def cancel_turn(
    call: ChatCall, body: TurnBody, session_key: SessionKeyQuery = ""
) -> ChatAnswer:
    """Stop a turn. What there is of its answer is kept."""
    key = session_key_of(call, session_key, body.session_key)
    turned = await call.api.chats.converse.cancel(call.client, key, body.prompt_id)
    return enveloped(call, turned, "")


async def retry_turn(
    call: ChatCall, body: TurnBody, session_key: SessionKeyQuery = ""
) -> ChatAnswer:
    """Try the last turn again, which failed or was stopped. Answers at once, with 202."""
    key = session_key_of(call, session_key, body.session_key)
    chats = call.api.chats
    try:
        prompt = await chats.converse.retry(
            call.client, key, body.prompt_id, call.request.source_ip
        )
    except TOLD_TO_PEOPLE as error:
        return refused(call, key, "", error)
    session = await chats.sessions.require(call.client, key)
    return enveloped(call, Turned(session, prompt), "", TRYING_AGAIN)


TAG = "chat"
PATH = "/api/v1/llm-clients/<client>/chat"
ENDPOINTS = (
    Endpoint("GET", PATH, get_chat, TAG, "Read a session", REFUSES, chat=True),
    Endpoint("POST", PATH, chat, TAG, "Chat", (*REFUSES, Conflict), chat=True, too_large=too_large),
    Endpoint("POST", f"{PATH}/cancel", cancel_turn, TAG, "Stop a turn", REFUSES, chat=True),
    Endpoint(
        "POST",
        f"{PATH}/retry",
        retry_turn,
        TAG,
        "Try a turn again",
        (*REFUSES, Conflict),
        chat=True,
    ),
)
