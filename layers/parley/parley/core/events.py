"""What followers of a thread are told: the frames of the socket, server to client.

Frames are plain JSON objects, built here so that every actor says the same thing the
same way; their published schema is in `wire.frames`. Offsets count code points.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from parley.core.prompt import Prompt
from parley.core.thread import Message, Role, ToolCall, replaced_turn

# API Gateway sends a message over 32 KB as several WebSocket frames and refuses one over
# 128 KB. Deltas are split; other frames are cut and say so.
FRAME_BYTES = 32 * 1024
DELTA_BYTES = 30 * 1024
QUOTES = 2  # around a text in JSON
# How many bytes of a call's arguments followers see.
ARGUMENTS_TOLD = 2048

Frame = dict[str, Any]


def encoded(frame: Frame) -> bytes:
    """The bytes that go over the wire."""
    return json.dumps(frame, ensure_ascii=False, separators=(",", ":")).encode()


def prompt_frame(prompt: Prompt) -> Frame:
    """The state of a prompt, without its text and without a provider's words."""
    return {"type": "prompt", "threadId": prompt.thread_id, "prompt": prompt_state(prompt)}


def prompt_state(prompt: Prompt) -> Frame:
    """The part of a prompt that followers may know."""
    return {
        "id": prompt.id,
        "threadId": prompt.thread_id,
        "turn": prompt.turn,
        "status": prompt.status.value,
        "attempt": prompt.run_count,
        "errorCode": prompt.error_code,
        "nextAttemptAt": prompt.next_attempt_at,
        "cancelRequested": prompt.cancel_requested,
        "responseMessageId": prompt.response_message_id,
        "updatedAt": prompt.updated_at,
    }


def tool_frame(prompt: Prompt, number: int, call: ToolCall, offset: int, *, done: bool) -> Frame:
    """A call of a tool has started or is done, in round `number`, after `offset` of the text."""
    return {
        "type": "tool",
        "threadId": prompt.thread_id,
        "promptId": prompt.id,
        "attempt": prompt.run_count,
        "round": number,
        "callId": call.id,
        "name": call.name,
        "plugin": call.plugin,
        "arguments": told_arguments(call),
        "state": "done" if done else "started",
        "outcome": call.outcome,
        "milliseconds": call.milliseconds,
        "size": len(call.result.encode(errors="replace")),
        "offset": offset,
    }


def told_arguments(call: ToolCall) -> str:
    """The arguments of a call as those who look on are told them: their first 2 KB."""
    return _cut(call.arguments, ARGUMENTS_TOLD)


def _call_state(call: ToolCall, arguments_bytes: int) -> Frame:
    return {
        "id": call.id,
        "name": call.name,
        "plugin": call.plugin,
        "arguments": _cut(call.arguments, arguments_bytes),
        "outcome": call.outcome,
        "milliseconds": call.milliseconds,
        "size": len(call.result.encode(errors="replace")),
    }


def _cut(text: str, size: int) -> str:
    return text.encode(errors="replace")[:size].decode(errors="ignore")


def message_state(message: Message) -> Frame:
    """A message as followers get it. A round of tool calls has them instead of a text."""
    if message.role is Role.TOOL:
        calls = [_call_state(call, ARGUMENTS_TOLD) for call in message.calls]
        return _state(replace(message, text="")) | {"calls": calls}
    return _state(message)


def _state(message: Message) -> Frame:
    return {
        "id": message.id,
        "threadId": message.thread_id,
        "turn": message.turn,
        "part": message.part,
        "role": message.role.value,
        "text": message.text,
        "userId": message.user_id,
        "partial": message.partial,
        "finishReason": message.finish_reason,
        "replaces": replaced_turn(message),
        "createdAt": message.created_at,
        "truncated": False,
    }


def message_frame(message: Message) -> Frame:
    """A stored message; text that does not fit is cut, flagged, and fetched by HTTP."""
    frame = {"type": "message", "threadId": message.thread_id, "message": message_state(message)}
    excess = len(encoded(frame)) - FRAME_BYTES
    if excess > 0:
        frame["message"] = cut_message(message, excess)
    return frame


def cut_message(message: Message, excess: int) -> Frame:
    """The message with at least `excess` encoded bytes less text, flagged as truncated."""
    if message.role is Role.TOOL:
        return _cut_round(message, excess)
    raw = json.dumps(message.text, ensure_ascii=False).encode()
    kept = message.text
    while kept and len(json.dumps(kept, ensure_ascii=False).encode()) > len(raw) - excess - 8:
        kept = kept[: len(kept) * 9 // 10]
    return message_state(message) | {"text": kept, "truncated": True}


def _cut_round(message: Message, excess: int) -> Frame:
    """The round without arguments, then without its last calls."""
    whole = message_state(message)
    room = len(encoded(whole)) - excess
    calls = [_call_state(call, 0) for call in message.calls]
    while True:
        cut = whole | {"calls": calls, "truncated": True}
        if not calls or len(encoded(cut)) <= room:
            return cut
        calls = calls[:-1]


def delta_frames(
    thread_id: str, prompt_id: str, attempt: int, text: str, offset: int
) -> Iterator[Frame]:
    """`text[offset:]` of an attempt as frames that fit: {promptId, attempt, offset, end, text}."""
    start = offset
    while start < len(text):
        end = _fitting_end(text, start)
        yield {
            "type": "delta",
            "threadId": thread_id,
            "promptId": prompt_id,
            "attempt": attempt,
            "offset": start,
            "end": end,
            "text": text[start:end],
        }
        start = end


def _fitting_end(text: str, start: int) -> int:
    """The largest cheap end for which the JSON of text[start:end] stays below DELTA_BYTES."""
    end = min(len(text), start + DELTA_BYTES - QUOTES)
    while len(json.dumps(text[start:end], ensure_ascii=False).encode()) > DELTA_BYTES:
        end = start + (end - start) // 2
    return end


def error_frame(text: str, **echo: str) -> Frame:
    """A refused frame, with what the client needs to recognise which one."""
    return {"type": "error", "error": text, **echo}


def deleted_frame(thread_id: str) -> Frame:
    """The thread was deleted. It repeats no `action`, for nobody has asked."""
    return error_frame("the thread was deleted", threadId=thread_id)
