"""What a person is told of a turn that gave no answer. Never a provider's words (I9)."""

from typing import Literal

from parley.core.prompt import Prompt, Status
from parley.core.thread import ToolCall

STILL_WORKING = (
    "This answer is taking longer than usual and will keep running: "
    "come back in a moment, or reload, to see it."
)
TRYING_AGAIN = "I am trying again."
STOPPED = "This answer was stopped."
BUSY = "The service is busy just now. Please send your message again in a moment."
TOO_MANY_OPEN = (
    "This conversation has too many unanswered messages. Please wait for the answers first."
)
OTHERWISE = "Something went wrong on the way to your answer. Please try again."

_AGAIN_LATER = "The assistant could not be reached. Please try again in a moment."
_BUSY_MODEL = (
    "The assistant is receiving too many requests right now. Please try again in a minute."
)
_TOO_SLOW = "The assistant took too long to answer. Please try again."
_BROKEN_OFF = "The assistant's answer broke off. Please try again."
_NO_END = (
    "The assistant looked things up again and again and came to no answer. Please ask differently."
)
_SET_UP = "The assistant is not set up correctly. Please tell whoever runs this page."
_REFUSED = "The assistant could not take this message. Please say it differently."

# By error code: what is said, and the status that stands for it in the answer.
TOLD: dict[str, tuple[str, int]] = {
    "rate_limited": (_BUSY_MODEL, 503),
    "connect": (_AGAIN_LATER, 502),
    "server_error": (_AGAIN_LATER, 502),
    "unavailable": (_AGAIN_LATER, 503),
    "conflict": (_AGAIN_LATER, 502),
    "timeout": (_TOO_SLOW, 504),
    "timeout_first_token": (_TOO_SLOW, 504),
    "timeout_between_tokens": (_TOO_SLOW, 504),
    "time_limit": (_TOO_SLOW, 504),
    "cut": (_BROKEN_OFF, 502),
    "malformed": (_BROKEN_OFF, 502),
    "lost": (_BROKEN_OFF, 502),
    "tool_rounds": (_NO_END, 502),
    "secret_unavailable": (_AGAIN_LATER, 503),
    "secret_missing": (_SET_UP, 502),
    "unknown_model": (_SET_UP, 502),
    "misconfigured": (_SET_UP, 502),
    "redirected": (_SET_UP, 502),
    "no_access": (_SET_UP, 502),
    "too_large": (
        "This conversation is larger than the assistant can take. Please start a new chat.",
        413,
    ),
    "refused": (_REFUSED, 502),
    "client_gone": ("This chat was deleted before your message was answered.", 410),
    "question_gone": ("The message was deleted before it was answered.", 410),
}


def used(call: ToolCall) -> str:
    """That a tool was called for an answer."""
    name = call.plugin or call.name
    return f"Used {name}." if call.outcome == "ok" else f"Tried {name}, which failed."


def told(
    prompt: Prompt, working: str = STILL_WORKING
) -> tuple[Literal["smarter", "smarter_error"], str, int]:
    """Role, text and status of what is said of a turn without an answer."""
    if prompt.status is Status.CANCELED:
        return "smarter", STOPPED, 200
    if not prompt.status.terminal:
        return "smarter", working, 202
    text, status = TOLD.get(prompt.error_code, (OTHERWISE, 502))
    return "smarter_error", text, status
