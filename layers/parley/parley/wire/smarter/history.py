"""The session in the config object: as a row, its newest messages, and the rows that the
published component's console shows. All of it is made of the messages that were read anyway.
"""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from parley.core.address import CLIENTS
from parley.core.events import ARGUMENTS_TOLD, told_arguments
from parley.core.llm_client import LlmClient
from parley.core.session import Session
from parley.core.thread import QUESTION, Message, ToolCall
from parley.usecases.sessions import History
from parley.wire.http_calls import ChatCall
from parley.wire.shapes import stamp
from parley.wire.smarter.shapes import ChatItem, called, chat_items, intro_items

Json = dict[str, Any]

SESSION_VERSION = "1.0.0"
# The newest ones: each list is there by two names, and has texts that the history has, too.
ROWS = 50
# 48 bits of a thread's id: JavaScript is exact up to 53.
NUMBER_DIGITS = 12


class Account(TypedDict):
    """Whose it is."""

    accountNumber: str


class Profile(TypedDict):
    """Whose it is, as newer clients read it."""

    account: Account


class SessionRow(TypedDict):
    """The session, without whose browser it was made by."""

    id: Annotated[int, Field(description="Made of the thread's id: the component wants a number.")]
    thread_id: str
    created_at: str
    updated_at: str
    name: str
    description: str
    version: str
    annotations: list[Json]
    session_key: str
    url: str
    user_profile: Profile
    chatbot: Annotated[int, Field(description="The llm_client's number.")]


class HistoryShape(TypedDict):
    """The newest part of the conversation. `after` is where older turns begin, or "".

    The rows of the other lists are those of the same turns, at most 50; their texts end
    after 2 KB. What a call resulted in is shown in the sandbox only.
    """

    chat: SessionRow
    prompt: SessionRow
    chat_history: list[ChatItem]
    chat_tool_call_history: list[Json]
    prompt_tool_call_history: list[Json]
    chat_plugin_usage_history: list[Json]
    prompt_plugin_usage_history: list[Json]
    chatbot_request_history: list[Json]
    plugin_selector_history: list[Json]
    after: str


def profile_of(client: LlmClient) -> Profile:
    return Profile(account=Account(accountNumber=client.account))


def chat_url(call: ChatCall) -> str:
    """Where this caller chats on: the family of addresses that it came by."""
    base = "" if not call.address.sandbox else f"{CLIENTS}/{call.client.hashed_id}"
    return f"{call.request.origin}{base}/chat/"


def session_row(call: ChatCall, session: Session) -> SessionRow:
    """The session as contract 3.2 has it."""
    thread = session.thread
    return SessionRow(
        id=_number(session),
        thread_id=thread.id,
        created_at=stamp(thread.created_at),
        updated_at=stamp(thread.updated_at),
        name=thread.title,
        description="",
        version=SESSION_VERSION,
        annotations=[],
        session_key=session.key,
        url=chat_url(call),
        user_profile=profile_of(session.client),
        chatbot=session.client.number,
    )


def history_of(call: ChatCall, session: Session, history: History) -> HistoryShape:
    """The history as contract 3.2 has it, with the names of each list that ever were."""
    row = session_row(call, session)
    intro = [] if history.after else intro_items(session)
    results = call.address.sandbox
    questions = [message for message in history.messages if message.part == QUESTION]
    asked = {message.turn: message for message in questions}
    tools = _tool_calls(session, history.messages, results=results)
    used = [
        {**tool, "input_text": _text(asked.get(tool["turn"]))} for tool in tools if tool["plugin"]
    ]
    return HistoryShape(
        chat=row,
        prompt=row,
        chat_history=[*intro, *chat_items(history.messages, results=results)],
        chat_tool_call_history=tools,
        prompt_tool_call_history=tools,
        chat_plugin_usage_history=used,
        prompt_plugin_usage_history=used,
        chatbot_request_history=[_request(session, one) for one in questions[-ROWS:]],
        plugin_selector_history=_selected(used),
        after=history.after,
    )


def _number(session: Session) -> int:
    return int(session.thread.id[-NUMBER_DIGITS:], 16)


def _tool_calls(session: Session, messages: Iterable[Message], *, results: bool) -> list[Json]:
    at = {message.turn: message for message in messages}
    rows = [
        _tool_call(session, at[turn], call, results=results)
        for turn in at
        for call in called(messages, turn)
    ]
    return rows[-ROWS:]


def _tool_call(session: Session, newest: Message, call: ToolCall, *, results: bool) -> Json:
    """A call, in the turn whose newest message that is."""
    arguments = told_arguments(call)
    function = {"name": call.name, "arguments": arguments}
    answered = {"role": "tool", "tool_call_id": call.id, "name": call.name}
    return {
        "id": call.id,
        "turn": newest.turn,
        "prompt": {
            "id": _number(session),
            "thread_id": session.thread.id,
            "session_key": session.key,
        },
        "created_at": stamp(newest.created_at),
        "updated_at": stamp(newest.updated_at),
        "plugin": call.plugin or None,
        "function_name": call.name,
        "function_args": arguments,
        "request": [{"id": call.id, "type": "function", "function": function}],
        "response": [answered | {"content": _cut(call.result)}] if results else [],
        "outcome": call.outcome,
        "ms": call.milliseconds,
    }


def _request(session: Session, question: Message) -> Json:
    said = {"role": question.role.value, "content": _cut(question.text)}
    return {
        "id": question.turn,
        "created_at": stamp(question.created_at),
        "updated_at": stamp(question.updated_at),
        "request": {"messages": [said], "session_key": session.key},
        "is_aggregation": False,
    }


def _selected(used: Iterable[Json]) -> list[Json]:
    """One row for each turn and plugin of it that was called."""
    first = {(row["turn"], row["plugin"]): row for row in reversed(list(used))}
    keys = ("turn", "prompt", "created_at", "updated_at", "plugin", "input_text")
    rows = [{key: row[key] for key in keys} for row in reversed(first.values())]
    return [{"id": number} | row for number, row in enumerate(rows, start=1)]


def _text(question: Message | None) -> str:
    return _cut(question.text) if question else ""


def _cut(text: str) -> str:
    return text.encode(errors="replace")[:ARGUMENTS_TOLD].decode(errors="ignore")
