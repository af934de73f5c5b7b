"""A prompt of the tests' API, in the shapes that the API gives it."""

import time
from dataclasses import dataclass, field
from typing import Any

from parley.wire.frames import SERVER_FRAMES

NEVER = "0001-01-01T00:00:00Z"
STARTED = "2026-11-22T07:00:00.000Z"
ENDED = "2026-11-22T07:00:02.500Z"
TERMINAL = {"completed", "abandoned", "canceled"}


@dataclass
class Prompt:
    id: str
    thread_id: str
    turn: int
    body: dict[str, Any]
    status: str = "scheduled"
    attempt: int = 0
    text: str = ""
    error: str = ""
    code: str = ""
    updated_at: int = 1
    attempts: list[dict[str, Any]] = field(default_factory=list)

    def state(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "threadId": self.thread_id,
            "turn": self.turn,
            "status": self.status,
            "attempt": self.attempt,
            "errorCode": self.code,
            "nextAttemptAt": int(time.time() * 1000) + 2500 if self.status == "errored" else 0,
            "cancelRequested": False,
            "responseMessageId": f"msg_{self.id}" if self.status == "completed" else "",
            "updatedAt": self.updated_at,
        }

    def shape(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "prompt": self.body["prompt"],
            "threadId": self.thread_id,
            "modelId": self.body.get("modelId", ""),
            "maxRetries": self.body.get("maxRetries", 5),
            "createdAt": STARTED,
            "updatedAt": ENDED,
            "status": self.status,
            "lastRun": STARTED if self.attempt else NEVER,
            "runCount": self.attempt,
            "error": self.error,
            "errorCode": self.code,
            "userId": "ada",
            "turn": self.turn,
            "attempts": self.attempts,
        }

    def answer(self) -> dict[str, Any]:
        return {
            "id": f"msg_{self.id}",
            "threadId": self.thread_id,
            "turn": self.turn,
            "part": 1000,
            "role": "assistant",
            "text": self.text,
            "userId": "",
            "partial": self.status == "canceled",
            "finishReason": "stop",
            "replaces": 0,
            "createdAt": 2,
            "truncated": False,
        }

    def question(self) -> dict[str, Any]:
        return self.answer() | {
            "id": self.id,
            "part": 1,
            "role": "user",
            "text": self.body["prompt"],
            "userId": "ada",
            "partial": False,
        }


def checked(frame: dict[str, Any]) -> dict[str, Any]:
    """The frame, which the product's schema must know."""
    SERVER_FRAMES[frame["type"]].model_validate(frame)
    return frame


def called(prompt: Prompt, name: str, state: str, outcome: str) -> dict[str, Any]:
    """A call of a tool, as followers are told of it."""
    return {
        "type": "tool",
        "threadId": prompt.thread_id,
        "promptId": prompt.id,
        "attempt": prompt.attempt,
        "round": 1,
        "callId": "call_1",
        "name": name,
        "plugin": "",
        "arguments": '{"expression": "1+1"}',
        "state": state,
        "outcome": outcome,
        "milliseconds": 1500 if outcome else 0,
        "size": 3,
        "offset": len(prompt.text),
    }
