"""Tools and their calls as the chat completions call writes them.

Servers differ in how they stream calls: in parts under an index, as OpenAI does, or each
call whole in one chunk, some without an index, without an id, or with the same index for
all of them.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from parley.core.errors import ProviderFailed
from parley.core.thread import ToolCall
from parley.ports import ChatMessage, Tool

# More than a turn makes at once, for it tells the model of those that it does not make. Of
# those beyond, which nobody in their senses asks for, nothing is kept, nor sent back.
CALLS_KEPT = 64
ARGUMENTS_BYTES = 64 * 1024
LOOKED_AT_BYTES = 16 * ARGUMENTS_BYTES
ID_LENGTH = 128
NAME_LENGTH = 64
NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")


def malformed(detail: str) -> ProviderFailed:
    """Retryable like a 5xx: proxies and restarts make such answers, too."""
    return ProviderFailed("malformed", detail, retryable=True)


def wire_message(message: ChatMessage) -> dict[str, Any]:
    """A message as the provider gets it."""
    if message.calls:
        calls = [_wire_call(call) for call in message.calls]
        return {"role": message.role, "content": message.text or None, "tool_calls": calls}
    written = {"role": message.role, "content": message.text}
    return written | ({"tool_call_id": message.call_id} if message.call_id else {})


def wire_tool(tool: Tool) -> dict[str, Any]:
    """A tool as the provider gets it."""
    function = {"name": tool.name, "description": tool.description}
    return {"type": "function", "function": {**function, "parameters": dict(tool.parameters)}}


def _wire_call(call: ToolCall) -> dict[str, Any]:
    # Some servers parse what they get back and refuse the whole request for a call whose
    # arguments are no object. The model is told in the result that they were none.
    arguments = call.arguments if _is_object(call.arguments) else "{}"
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


@dataclass(slots=True)
class _Call:
    index: int | None
    id: str = ""
    name: str = ""
    parts: list[str] = field(default_factory=list)
    size: int = 0

    last: str = ""

    def add(self, text: str, size: int) -> None:
        if text:
            self.parts.append(text)
            self.size += size
            self.last = text.rstrip()[-1:] or self.last


@dataclass(slots=True)
class StreamedCalls:
    """The calls of one answer, put together as they come: the first 64, 64 KB of arguments.

    The work is bounded, too, however small the deltas are cut: it holds up the event loop,
    and with it the leases of all prompts that the runner is at work on.
    """

    _calls: list[_Call] = field(default_factory=list)
    _bytes: int = 0
    _looked_at: int = 0

    def take(self, deltas: Iterable[Any] | None) -> None:
        """More of the calls. Raises ProviderFailed for too much, TypeError for no text."""
        for delta in deltas or ():
            self._take(delta)

    def _take(self, delta: Any) -> None:
        function = delta.function
        name = _text(getattr(function, "name", None))[:NAME_LENGTH]
        arguments = getattr(function, "arguments", None)
        # Not text but the object itself: some servers do not write it as JSON a second time.
        text = json.dumps(arguments) if isinstance(arguments, dict) else _text(arguments)
        size = len(without_surrogates(text).encode())
        self._bytes += size
        if self._bytes > ARGUMENTS_BYTES:
            raise malformed(f"tool calls with more than {ARGUMENTS_BYTES // 1024} KB of arguments")
        # One that is too long is kept as such, and never used.
        id_ = _text(getattr(delta, "id", None))[: ID_LENGTH + 1]
        call = self._call(getattr(delta, "index", None), id_, name, text)
        call.id = call.id or id_
        call.name = call.name or name
        call.add(text, size)

    def _call(self, index: int | None, id_: str, name: str, text: str) -> _Call:
        """The call that a delta goes on with, else a new one."""
        known = self._known(index, id_, name)
        if known is not None and name and known.name:
            other = bool(id_ and known.id and id_ != known.id)
            if other or (not id_ and text.strip() and self._complete(known)):
                known = None  # whole calls that share an index
        if known is None:
            known = _Call(index)
            # In the place of the one before it, if that is not kept either: parts without
            # an index go to the newest, and must not get into a call that is kept.
            self._calls[CALLS_KEPT:] = [known]
        return known

    def _known(self, index: int | None, id_: str, name: str) -> _Call | None:
        newest_first = self._calls[::-1]
        if index is not None:
            return next((call for call in newest_first if call.index == index), None)
        if id_:
            return next((call for call in newest_first if call.id == id_), None)
        return newest_first[0] if newest_first and not name else None

    def _complete(self, call: _Call) -> bool:
        """True if the arguments are an object already. Raises ProviderFailed for too much work:
        a name with every delta, and each of them as if it were the last.
        """
        if call.last != "}":
            return False
        self._looked_at += call.size
        if self._looked_at > LOOKED_AT_BYTES:
            raise malformed("tool calls whose parts cannot be told from each other")
        return _is_object("".join(call.parts))

    def whole(self, number: int) -> tuple[ToolCall, ...]:
        """The calls; raises ProviderFailed. `number` tells them from those of other rounds.

        A name that no tool can have is made one: the call fails as that of an unknown tool,
        and the provider, which would refuse the name, takes it back.
        """
        calls: list[ToolCall] = []
        ids: set[str] = set()
        for place, call in enumerate(self._calls[:CALLS_KEPT], 1):
            if not call.name:
                raise malformed("a tool call without a name")
            named = bool(call.id) and len(call.id) <= ID_LENGTH and call.id not in ids
            id_ = call.id if named else f"call_{number}_{place}"
            ids.add(id_)
            name = NOT_IN_NAMES.sub("_", call.name)
            calls.append(ToolCall(id_, name, without_surrogates("".join(call.parts)) or "{}"))
        return tuple(calls)


def _text(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError
    return value


def without_surrogates(text: str) -> str:
    """The text with halves of surrogate pairs replaced.

    A provider that splits a JSON escape between two chunks sends them, and no store or
    socket can encode them.
    """
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
