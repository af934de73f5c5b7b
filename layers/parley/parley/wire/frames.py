"""The frames of the WebSocket, both ways: what `docs/asyncapi.json` publishes.

What a client sends is checked against these models. What the server sends is built in
`core.events` and `usecases.follow`; tests hold it against the models here. Clients are to
ignore fields and frame types that they do not know. Times are ms since the epoch, offsets
count code points.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails, from_json

from parley.core.access import ID_PATTERN
from parley.core.errors import Invalid
from parley.core.events import FRAME_BYTES
from parley.core.policy import OPEN_TURNS_CAP
from parley.core.prompt import Status
from parley.core.thread import Role
from parley.wire.errors import expected

Id = Annotated[str, StringConstraints(pattern=f"^{ID_PATTERN.pattern}$")]
Count = Annotated[int, Field(ge=0, le=2**53 - 1)]
Known = Annotated[
    dict[Id, "KnownText"],
    Field(
        max_length=2 * OPEN_TURNS_CAP,
        description="What the client already has, by prompt id: it is not sent again.",
    ),
]


class _Frame(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, frozen=True, strict=True)


# --- client to server --------------------------------------------------------


class KnownText(_Frame):
    """How much of which attempt a client has."""

    attempt: Count
    offset: Count


class Subscribe(_Frame):
    """Follow a thread; answered with `subscribed`. Repeating it starts anew."""

    action: Literal["subscribe"]
    thread_id: Id
    known: Known = Field(default_factory=dict)


class Unsubscribe(_Frame):
    """Stop following a thread. Not answered; what is under way may still arrive."""

    action: Literal["unsubscribe"]
    thread_id: Id


class Cancel(_Frame):
    """Cancel an own prompt; answered with `prompt`, still `running` if it takes long."""

    action: Literal["cancel"]
    prompt_id: Id


class Ping(_Frame):
    """Keep the connection (it ends after 10 idle minutes); answered with `pong`."""

    action: Literal["ping"]
    thread_id: Id | None = None


ClientFrame = Annotated[Subscribe | Unsubscribe | Cancel | Ping, Field(discriminator="action")]
CLIENT_FRAMES: dict[str, type[_Frame]] = {
    "subscribe": Subscribe,
    "unsubscribe": Unsubscribe,
    "cancel": Cancel,
    "ping": Ping,
}


# --- server to client --------------------------------------------------------


class PromptState(_Frame):
    """The state of a prompt, without its text."""

    model_config = ConfigDict(strict=False)

    id: str
    thread_id: str
    turn: Annotated[int, Field(ge=1)]
    status: Status
    attempt: Annotated[Count, Field(description="Number of attempts started so far.")]
    error_code: Annotated[str, Field(description="Why the last attempt failed, or empty.")]
    next_attempt_at: Annotated[Count, Field(description="For `errored`; otherwise 0.")]
    cancel_requested: bool
    response_message_id: Annotated[str, Field(description="The answer's message, or empty.")]
    updated_at: Count


class CallState(_Frame):
    """A call of a tool that is over, without its result."""

    id: str
    name: str
    plugin: Annotated[str, Field(description="Its plugin's name; empty for a function.")]
    arguments: Annotated[str, Field(description="JSON text, cut at 2 KB or to fit.")]
    outcome: Annotated[str, Field(description="`ok` or `failed`.")]
    milliseconds: Count
    size: Annotated[Count, Field(description="Bytes of the result.")]


class MessageState(_Frame):
    """A message of the thread, in the order of `turn`, then `part`.

    One with the role `tool` is a round of calls that the model made before its answer: it
    has `calls` instead of a text, for what the model said meanwhile is in the answer.
    """

    model_config = ConfigDict(strict=False)

    id: str
    thread_id: str
    turn: Annotated[int, Field(ge=1)]
    part: Annotated[int, Field(ge=1)]
    role: Role
    text: str
    user_id: Annotated[str, Field(description="Who wrote it; empty for an answer.")]
    partial: Annotated[bool, Field(description="True for what is kept of a canceled answer.")]
    finish_reason: str
    replaces: Annotated[
        Count,
        Field(description="The turn whose place it takes, as an edit of its question, or 0."),
    ]
    created_at: Count
    truncated: Annotated[bool, Field(description="It is cut to fit: fetch the message by HTTP.")]
    calls: Annotated[list[CallState], Field(description="Of the role `tool` only.")] = []


class Subscribed(_Frame):
    """The answer to `subscribe`: the thread as it is, and from now on every change."""

    type: Literal["subscribed"]
    thread_id: str
    nonce: Annotated[str, Field(description="New with each subscription.")]
    prompts: Annotated[list[PromptState], Field(description="Unfinished, by turn.")]
    messages: Annotated[list[MessageState], Field(description="The newest, oldest first.")]
    truncated: Annotated[bool, Field(description="The thread has older messages than these.")]


class PromptChanged(_Frame):
    """A prompt of the thread started, failed or ended. May repeat a state."""

    type: Literal["prompt"]
    thread_id: str
    prompt: PromptState


class Delta(_Frame):
    """More of an answer: `text` is what stands from `offset` up to `end`.

    Deltas of an attempt have no gap. One that lies before what the client has is a repeat
    and can be discarded; a higher `attempt` starts again at 0.
    """

    type: Literal["delta"]
    thread_id: str
    prompt_id: str
    attempt: Annotated[int, Field(ge=1)]
    offset: Count
    end: Count
    text: str


class ToolCalled(_Frame):
    """A call of a tool started or is done; stands after `offset` code points of the text.

    May repeat: calls are told apart by prompt, `attempt`, `round` and `callId`. A higher
    `attempt` starts anew: what its predecessor called is of no concern any more.
    """

    type: Literal["tool"]
    thread_id: str
    prompt_id: str
    attempt: Annotated[int, Field(ge=1)]
    round: Annotated[int, Field(ge=1)]
    call_id: str
    name: str
    plugin: Annotated[str, Field(description="Its plugin's name; empty for a function.")]
    arguments: Annotated[str, Field(description="JSON text, cut at 2 KB.")]
    state: Literal["started", "done"]
    outcome: Annotated[str, Field(description="`ok` or `failed`; empty until it is done.")]
    milliseconds: Count
    size: Annotated[Count, Field(description="Bytes of the result; 0 until it is done.")]
    offset: Count


class MessageAdded(_Frame):
    """A message was stored: the question when its attempt starts, then the whole answer."""

    type: Literal["message"]
    thread_id: str
    message: MessageState


class Pong(_Frame):
    """The answer to `ping`; one with a thread has that thread's newest prompts.

    A client that reads a state here that it was not told of subscribes again.
    """

    type: Literal["pong"]
    thread_id: str | None = None
    prompts: list[PromptState]


class Error(_Frame):
    """A frame was refused; what it had of these three is repeated.

    One that nobody asked for has a `threadId` and no `action`: that thread was deleted.
    """

    type: Literal["error"]
    error: str
    action: str | None = None
    thread_id: str | None = None
    prompt_id: str | None = None


SERVER_FRAMES: dict[str, type[_Frame]] = {
    "subscribed": Subscribed,
    "prompt": PromptChanged,
    "delta": Delta,
    "tool": ToolCalled,
    "message": MessageAdded,
    "pong": Pong,
    "error": Error,
}


# --- reading what a client sent ----------------------------------------------


class FrameRefused(Invalid):
    """What was sent is no frame. `echo` is what the answer may repeat of it."""

    def __init__(self, text: str, echo: dict[str, str]) -> None:
        super().__init__(text)
        self.echo = echo


_CLIENT_FRAME: TypeAdapter[ClientFrame] = TypeAdapter(ClientFrame)
ECHOED = ("action", "threadId", "promptId")


def client_frame(body: str) -> ClientFrame:
    """What a client sent; raises FrameRefused, whose text repeats none of the values.

    Unknown fields are ignored.
    """
    if len(body.encode(errors="replace")) > FRAME_BYTES:
        raise FrameRefused(f"a frame must not be larger than {FRAME_BYTES // 1024} KB", {})
    try:
        value = from_json(body)
    except ValueError:
        raise FrameRefused("Invalid JSON", {}) from None
    if not isinstance(value, dict):
        raise FrameRefused("a frame must be an object", {})
    if value.get("action") not in list(CLIENT_FRAMES):
        raise FrameRefused(f"action must be one of {', '.join(CLIENT_FRAMES)}", _echo(value))
    try:
        return _CLIENT_FRAME.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise FrameRefused(_said(first), _echo(value)) from None


def echo(frame: ClientFrame) -> dict[str, str]:
    """What an error frame repeats of a frame."""
    return _echo(frame.model_dump(by_alias=True))


def _echo(value: dict[str, Any]) -> dict[str, str]:
    """Only what has the form of an id: an echo must not carry text."""
    return {
        name: value[name]
        for name in ECHOED
        if isinstance(value.get(name), str) and ID_PATTERN.fullmatch(value[name])
    }


def _said(problem: ErrorDetails) -> str:
    """The field and the rule. Keys of `known` are the client's, so only their field is named."""
    field = next((str(part) for part in problem["loc"][1:2]), "frame")
    return f"{field}: {expected(problem['type'], problem['msg'])}"
