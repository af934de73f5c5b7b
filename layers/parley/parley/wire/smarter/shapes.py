"""The shapes that chat pages read: messages, and what is around them. snake_case by contract."""

import json
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, NotRequired

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from parley.core.events import told_arguments
from parley.core.session import Session, intro_id
from parley.core.thread import ANSWER, QUESTION, Message, Role, ToolCall, replaced_turn

API = "smarter.sh/v1"
DEEPEST = 100


class SnakeBody(BaseModel):
    """A JSON object of a request: unknown fields are ignored, types are not guessed."""

    model_config = ConfigDict(strict=True, defer_build=True)


class Metadata(TypedDict):
    """What was done, with what."""

    command: str
    thing: str


class ToolCallItem(TypedDict):
    """A call of a tool, as it went. `plugin` is the plugin's name, empty for a function.

    What it resulted in is shown in the sandbox only: it is for the model, and a plugin's
    data may be more than everybody who chats is to see.
    """

    name: str
    plugin: str
    arguments: Annotated[str, Field(description="The first 2 KB of the model's JSON text.")]
    outcome: str
    ms: int
    size: Annotated[int, Field(description="Bytes of the result.")]
    result: NotRequired[str]


class ChatItem(TypedDict):
    """A message as it is shown. An opening one has turn 0; `prompt_id` is its turn's."""

    id: str
    role: Literal["user", "assistant", "smarter", "smarter_error"]
    content: str
    smarter_is_new: bool
    turn: int
    part: int
    created_at: Annotated[int, Field(description="ms since the epoch.")]
    partial: bool
    finish_reason: str
    prompt_id: str
    replaces: Annotated[
        int, Field(description="The turn whose place it takes, as an edit of its question, or 0.")
    ]
    tool_calls: NotRequired[list[ToolCallItem]]


class Websocket(TypedDict):
    """Where to listen, and with what; `url` is empty where there is no socket."""

    url: str
    account: str
    llm_client: str
    thread_id: str


def intro_items(session: Session) -> list[ChatItem]:
    """The messages that the session opens with."""
    thread = session.thread
    return [
        _item(intro_id(number), "assistant", text, created_at=thread.created_at)
        for number, text in enumerate(thread.intro, start=1)
    ]


def chat_items(messages: Sequence[Message], *, results: bool) -> list[ChatItem]:
    """Stored messages as they are shown: the rounds of tool calls in the answer after them.

    `results` says whether what the calls resulted in is shown, too.
    """
    asked = {message.turn: message.id for message in messages if message.part == QUESTION}
    items = []
    for message in messages:
        if message.role is Role.TOOL:
            continue
        item = _item(
            message.id,
            message.role.value,
            message.text,
            turn=message.turn,
            part=message.part,
            created_at=message.created_at,
        )
        item["partial"], item["finish_reason"] = message.partial, message.finish_reason
        item["prompt_id"], item["replaces"] = asked.get(message.turn, ""), replaced_turn(message)
        if message.part == ANSWER and (calls := called(messages, message.turn)):
            item["tool_calls"] = [tool_call_item(call, results=results) for call in calls]
        items.append(item)
    return items


def called(messages: Iterable[Message], turn: int) -> list[ToolCall]:
    """The calls of a turn, in their order."""
    return [call for message in messages if message.turn == turn for call in message.calls]


def attached_id(names: Sequence[str], name: str) -> int:
    """The id of a plugin or function that is attached: its place in the manifest that did so."""
    return names.index(name) + 1


def notice(id_: str, role: Literal["smarter", "smarter_error"], text: str) -> ChatItem:
    """Something that the server says by itself."""
    return {**_item(id_, role, text), "smarter_is_new": True}


def _item(id_: str, role: Any, text: str, **more: int) -> ChatItem:
    return ChatItem(
        id=id_,
        role=role,
        content=text,
        smarter_is_new=False,
        turn=more.get("turn", 0),
        part=more.get("part", 0),
        created_at=more.get("created_at", 0),
        partial=False,
        finish_reason="",
        prompt_id="",
        replaces=0,
    )


def tool_call_item(call: ToolCall, *, results: bool) -> ToolCallItem:
    item = ToolCallItem(
        name=call.name,
        plugin=call.plugin,
        arguments=told_arguments(call),
        outcome=call.outcome,
        ms=call.milliseconds,
        size=len(call.result.encode(errors="replace")),
    )
    if results:
        item["result"] = call.result
    return item


def arguments_of(call: ToolCall) -> Any:
    """The arguments as an object; as the model's own text if they cannot be told as one: what
    is no JSON, or nested more deeply than whoever reads or writes it may be able to follow.
    """
    try:
        arguments = json.loads(call.arguments)
        if _depth(arguments) > DEEPEST:
            return call.arguments
        json.dumps(arguments, allow_nan=False)  # which JSON has not, and is read nevertheless
    except (ValueError, RecursionError):
        return call.arguments
    return arguments


def _depth(value: Any) -> int:
    """How many levels a value has: 1 for a text or an empty list, 2 for a list of texts."""
    depth, level = 0, [value]
    while level:
        depth += 1
        level = [one for outer in level for one in _inside(outer)]
    return depth


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
