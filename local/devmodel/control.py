"""What the development model was told to do, and what it did."""

import asyncio
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

CALLS_KEPT = 200
CHUNK_MS = 15

State = Literal["open", "completed", "disconnected", "failed"]


class Failing(BaseModel):
    """Answer with an HTTP error; `count` times, or until told otherwise."""

    model_config = ConfigDict(extra="forbid")

    status: int = Field(ge=300, le=599)
    count: int | None = Field(default=None, ge=0)
    retry_after: str | float | None = None
    message: str = "the development model was told to fail"
    location: str | None = None


class Rule(BaseModel):
    """What to do with calls whose last user text contains `match` (empty: with every call).

    A field that is None says nothing. The `*_after` fields count chunks of the answer:
    `stall_after` waits there until the rule changes or the client goes, `cut_after` ends
    the response there as if it were whole, `reset_after` breaks the connection,
    `error_after` sends an error inside of the stream, `garble_after` something that is no
    JSON. With `after_tools` an `answer` comes after the tools that the question calls for.
    """

    model_config = ConfigDict(extra="forbid")

    match: str = ""
    delay_ms: float | None = Field(default=None, ge=0)
    chunk_ms: float | None = Field(default=None, ge=0)
    fail: Failing | None = None
    stall_after: int | None = Field(default=None, ge=0)
    cut_after: int | None = Field(default=None, ge=0)
    reset_after: int | None = Field(default=None, ge=0)
    error_after: int | None = Field(default=None, ge=0)
    garble_after: int | None = Field(default=None, ge=0)
    error: Any = None
    answer: str | None = None
    after_tools: bool | None = None
    answer_chunks: list[str] | None = None
    finish_reason: str | None = None


@dataclass
class Call:
    """One call as the log shows it. `chunks` counts those sent."""

    no: int
    at: float
    model: str
    text: str
    messages: int
    stream: bool
    state: State = "open"
    status: int = 0
    chunks: int = 0


@dataclass
class Control:
    """The rules in force and the log of calls."""

    rules: dict[str, Rule] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    number: int = 0
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def put(self, told: dict[str, Any]) -> None:
        """Merge into the rule with this `match`; raises ValidationError. A null takes back."""
        match = told.get("match", "")
        known = self.rules.get(match, Rule()).model_dump(exclude_unset=True)
        self.rules[match] = Rule.model_validate(known | told)
        await self._notify()

    async def reset(self, match: str | None) -> None:
        """Forget one rule, or with None every rule and the log."""
        if match is None:
            self.rules.clear()
            self.calls.clear()
        else:
            self.rules.pop(match, None)
        await self._notify()

    def rule(self, text: str) -> Rule:
        """The rules that match, merged: one with a longer `match` wins."""
        merged: dict[str, Any] = {}
        for rule in self._matching(text):
            merged |= rule.model_dump(exclude_none=True)
        return Rule.model_validate(merged)

    def failing(self, text: str) -> Failing | None:
        """The failure for this call, if any, taken off its count."""
        for rule in reversed(self._matching(text)):
            if rule.fail is None or rule.fail.count == 0:
                continue
            if rule.fail.count is not None:
                rule.fail.count -= 1
            return rule.fail
        return None

    async def released(self, text: str, chunks: int) -> None:
        """Wait while a call that has sent so many chunks is to be stalled."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._stalls(text, chunks))

    def open_call(self, model: str, text: str, messages: int, *, stream: bool) -> Call:
        """Log a call."""
        self.number += 1
        call = Call(self.number, time.time(), model, text, messages, stream)
        self.calls = [*self.calls, call][-CALLS_KEPT:]
        return call

    def shown(self, match: str) -> dict[str, Any]:
        """The state as JSON; only calls whose text contains `match`."""
        return {
            "rules": [rule.model_dump(exclude_none=True) for rule in self.rules.values()],
            "calls": [asdict(call) for call in self.calls if match in call.text],
        }

    def _matching(self, text: str) -> list[Rule]:
        matching = [rule for match, rule in self.rules.items() if match in text]
        return sorted(matching, key=lambda rule: len(rule.match))

    def _stalls(self, text: str, chunks: int) -> bool:
        stall_after = self.rule(text).stall_after
        return stall_after is not None and chunks >= stall_after

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
