"""The envelope of a chat answer: contract 4.5, with what a person should read inside."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from typing_extensions import TypedDict

from parley.core.errors import Limited, ParleyError, TooLarge, TooManyOpenTurns
from parley.core.events import prompt_state
from parley.core.prompt import Prompt, Status, Usage
from parley.core.thread import MAX_TOKENS, MODEL, TEMPERATURE, ToolCall
from parley.usecases.converse import Turned
from parley.wire.http_calls import ChatCall
from parley.wire.smarter.naming import naming_of
from parley.wire.smarter.shapes import (
    API,
    ChatItem,
    Metadata,
    arguments_of,
    called,
    chat_items,
    notice,
)
from parley.wire.smarter.words import BUSY, STILL_WORKING, TOO_MANY_OPEN, told, used

THING = "LLMClient"
FAILED_ID = "error_response"
TOO_LARGE = (
    "This conversation has become too large to be sent. Please start a new chat; "
    "a long text or a file may have to be shorter."
)

Json = dict[str, Any]


class ChatData(TypedDict):
    """An answer as a Lambda function gives it."""

    isBase64Encoded: bool
    statusCode: int
    headers: dict[str, str]
    body: str


class ChatAnswer(TypedDict):
    """An answer in its envelope."""

    data: ChatData
    api: str
    thing: str
    metadata: Metadata


def enveloped(
    call: ChatCall, turned: Turned, text: str, working: str = STILL_WORKING
) -> ChatAnswer:
    """The answer that a turn has, or what is to be said because it has none.

    `working` is said as long as there may be one.
    """
    status, body = body_of(call, turned, text, working)
    return _envelope(call, status, body)


def body_of(
    call: ChatCall, turned: Turned, text: str, working: str = STILL_WORKING
) -> tuple[int, Json]:
    """The status and the body of a turn."""
    prompt, answer = turned.prompt, turned.answer
    stored = [m for m in (turned.question, *turned.rounds, answer) if m]
    said = chat_items(stored, results=call.address.sandbox)
    new: list[ChatItem] = [
        {**item, "smarter_is_new": True} for item in said if item["role"] == "assistant"
    ]
    status = 200
    if answer is None or answer.partial:
        role, words, status = told(prompt, working)
        new.append(notice(f"{role}_{prompt.id}.{prompt.turn}", role, words))
    calls = called(turned.rounds, prompt.turn)
    tools = [notice(f"tool_{one.id}", "smarter", used(one)) for one in calls]
    body = _completion(call, prompt, new[0]["content"], answer.finish_reason if answer else "stop")
    asked = turned.question.text if turned.question else text
    meta = answer.meta if answer else {}
    body["model"] = meta.get(MODEL) or body["model"]
    body["metadata"] = _metadata(call, body["model"], calls, asked) | _figures(meta)
    body["smarter"] = _smarter(
        call, turned.session.key, [*tools, *new], calls=calls, prompt=prompt_state(prompt)
    )
    return status, body


def refused(call: ChatCall, key: str, text: str, error: ParleyError) -> ChatAnswer:
    """What is to be said instead of a turn: a limit was met, the conversation is too large,
    or nothing works just now.
    """
    status, body = refused_body(call, key, text, error)
    return _envelope(call, status, body)


def refused_body(call: ChatCall, key: str, text: str, error: ParleyError) -> tuple[int, Json]:
    """The status and the body of what was not taken."""
    words, status = BUSY, 503
    if isinstance(error, Limited):
        words, status = str(error), 413 if error.limit == "inputCharacters" else 429
    elif isinstance(error, TooManyOpenTurns):
        words, status = TOO_MANY_OPEN, 429
    elif isinstance(error, TooLarge):
        words, status = TOO_LARGE, 413
    new = [notice("", "smarter_error", words)]
    body = _completion(call, None, words, "stop")
    body["metadata"] = _metadata(call, body["model"], [], text)
    body["smarter"] = _smarter(call, key, new)
    if isinstance(error, Limited):
        body["smarter"]["limit"] = error.limit
    return status, body


def _envelope(call: ChatCall, status: int, body: Json) -> ChatAnswer:
    data = ChatData(
        isBase64Encoded=False,
        statusCode=status,
        headers={"Content-Type": "application/json"},
        body=json.dumps(body, ensure_ascii=False, separators=(",", ":")),
    )
    metadata = Metadata(command=call.address.word, thing=THING)
    return ChatAnswer(data=data, api=API, thing=THING, metadata=metadata)


def _completion(call: ChatCall, prompt: Prompt | None, text: str, finish_reason: str) -> Json:
    """What a client of an LLM's API reads."""
    good = prompt is not None and prompt.status is not Status.ABANDONED
    return {
        "id": f"chatcmpl-{prompt.id}" if prompt and good else FAILED_ID,
        "object": "chat.completion",
        "created": (prompt.updated_at if prompt else call.api.chats.clock.now()) // 1000,
        "model": naming_of(call).model,
        "choices": [
            {
                "finish_reason": finish_reason or "stop",
                "index": 0,
                "logprobs": None,
                "message": {
                    "role": "assistant",
                    "content": text,
                    "refusal": None,
                    "annotations": [],
                    "audio": None,
                    "function_call": None,
                    "tool_calls": None,
                },
            }
        ],
        "service_tier": None,
        "system_fingerprint": None,
        "usage": _usage(prompt),
    }


def _usage(prompt: Prompt | None) -> Json:
    spent = (prompt.attempts[-1].usage if prompt and prompt.attempts else None) or Usage()
    return {
        "prompt_tokens": spent.prompt_tokens,
        "completion_tokens": spent.completion_tokens,
        "total_tokens": spent.prompt_tokens + spent.completion_tokens,
    }


def _metadata(call: ChatCall, model: str, calls: list[ToolCall], text: str) -> Json:
    return {
        "tool_calls": [_tool_call(call, one) for one in calls] or None,
        "model": model,
        "temperature": call.client.temperature,
        "max_completion_tokens": call.client.max_tokens,
        "input_text": text,
    }


def _figures(meta: Mapping[str, str]) -> Json:
    """What an answer says of how it was asked for; one from before it said that says nothing."""
    if MAX_TOKENS not in meta:
        return {}
    temperature = float(meta[TEMPERATURE]) if TEMPERATURE in meta else None
    return {"temperature": temperature, "max_completion_tokens": int(meta[MAX_TOKENS])}


def _tool_call(call: ChatCall, one: ToolCall) -> Json:
    told_of: Json = {"function_name": one.name, "function_args": arguments_of(one)}
    if one.plugin:
        account = {"accountNumber": call.client.account}
        told_of["smarter_plugin"] = {
            "name": one.plugin,
            "account": account,
            "pluginClass": "static",
        }
    return told_of


def _smarter(
    call: ChatCall,
    key: str,
    new: list[ChatItem],
    *,
    calls: Iterable[ToolCall] = (),
    prompt: Json | None = None,
) -> Json:
    """What the component reads. Its iterations, empty here, would be requests to the model,
    with the system message in them.

    `tools` are the functions that it may call, and the plugins' tools that it has called.
    """
    tools = (*call.client.functions, *(one.name for one in calls if one.plugin))
    return {
        "first_iteration": {},
        "second_iteration": {},
        "messages": new,
        "prompt": prompt,
        "plugins": list(call.client.plugins),
        "tools": list(dict.fromkeys(tools)),
        "session_key": key,
    }
