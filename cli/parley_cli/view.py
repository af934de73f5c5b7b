"""What has been heard of a thread, and what each frame adds to it.

Pure: frames in, events out. The promise it relies on (I3): what is sent of one attempt has
no gap, a repeat carries the same offset and is discarded here, a higher attempt starts
again at 0. Offsets count code points, as Python's strings do.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Frame = dict[str, Any]

TERMINAL = frozenset({"completed", "abandoned", "canceled"})
UNHEARD = "unheard"
ENDED = TERMINAL | {UNHEARD}


class Gap(Exception):
    """Something was missed: subscribe again, saying what is known."""


class SubscribeRefused(Exception):
    """The thread cannot be followed, or not just now."""


@dataclass(frozen=True)
class Text:
    """More of a prompt's answer."""

    prompt_id: str
    text: str


@dataclass(frozen=True)
class Restarted:
    """Forget what was shown of the answer: a higher attempt begins at its start."""

    prompt_id: str
    attempt: int


@dataclass(frozen=True)
class State:
    """A prompt is in another state than before."""

    prompt_id: str
    state: Frame

    @property
    def status(self) -> str:
        return str(self.state.get("status", ""))


@dataclass(frozen=True)
class Said:
    """A stored message that was not shown as text before."""

    message: Frame


@dataclass(frozen=True)
class Unheard:
    """A prompt ended, or is gone, while nothing was heard: ask the API."""

    prompt_id: str


@dataclass(frozen=True)
class CaughtUp:
    """A subscription stands: what comes now is new."""


@dataclass(frozen=True)
class Tool:
    """The model has called a tool, or has its result."""

    prompt_id: str
    call: Frame


Event = Text | Restarted | State | Said | Unheard | CaughtUp | Tool


@dataclass
class Heard:
    """What is known of one prompt."""

    turn: int = 0
    attempt: int = 0
    text: str = ""
    status: str = ""
    updated_at: int = 0
    cancel_requested: bool = False
    tools: set[str] = field(default_factory=set)


@dataclass
class ThreadView:
    """The state of following one thread; it outlives any number of connections.

    `history` is how many of the messages that are there already are worth an event.
    """

    history: int = 20
    heard: dict[str, Heard] = field(default_factory=dict)
    said: set[str] = field(default_factory=set)
    subscribed: bool = False

    @property
    def idle(self) -> bool:
        """True if no prompt that was heard of is unfinished."""
        return all(heard.status in ENDED for heard in self.heard.values())

    def known(self) -> dict[str, dict[str, int]]:
        """For `subscribe`: how far each unfinished prompt was heard."""
        return {
            prompt_id: {"attempt": heard.attempt, "offset": len(heard.text)}
            for prompt_id, heard in self.heard.items()
            if heard.attempt and heard.status not in ENDED
        }

    def take(self, frame: Frame) -> Iterator[Event]:
        """The events of a frame; raises Gap, SubscribeRefused. Unknown types say nothing."""
        match frame.get("type"):
            case "subscribed":
                yield from self._subscribed(frame)
            case "prompt":
                yield from self._state(frame.get("prompt") or {})
            case "delta":
                yield from self._delta(frame)
            case "message":
                yield from self._message(frame.get("message") or {})
            case "tool":
                yield from self._tool(frame)
            case "pong":
                yield from self._pong(frame)
            case "error" if frame.get("action") in (None, "", "subscribe"):
                raise SubscribeRefused(str(frame.get("error") or "the socket refused"))

    def _subscribed(self, frame: Frame) -> Iterator[Event]:
        states = frame.get("prompts") or []
        messages = frame.get("messages") or []
        if not self.subscribed:
            old = len(messages) - self.history
            self.said |= {str(message.get("id")) for message in messages[: max(old, 0)]}
            self.subscribed = True
        for message in messages:
            yield from self._message(message)
        for state in states:
            yield from self._state(state)
        listed = {state.get("id") for state in states}
        for prompt_id, heard in self.heard.items():
            if heard.status not in ENDED and prompt_id not in listed:
                heard.status = UNHEARD
                yield Unheard(prompt_id)
        yield CaughtUp()

    def _pong(self, frame: Frame) -> Iterator[Event]:
        """States read from the store. A running attempt that was not heard of is a gap."""
        for state in frame.get("prompts") or []:
            heard = self.heard.get(str(state.get("id")))
            ended = state.get("status") in TERMINAL
            if heard is None and ended:
                continue  # before our time
            if heard is not None and ended and heard.status not in ENDED:
                heard.status = UNHEARD
                yield Unheard(str(state["id"]))
                continue
            if heard is not None and int(state.get("attempt") or 0) > heard.attempt:
                raise Gap
            yield from self._state(state)

    def _state(self, state: Frame) -> Iterator[Event]:
        prompt_id = str(state.get("id") or "")
        heard = self.heard.setdefault(prompt_id, Heard())
        updated_at, attempt = int(state.get("updatedAt") or 0), int(state.get("attempt") or 0)
        turn = int(state.get("turn") or 0)
        # Repeats and late frames: a turn and an attempt only ever grow.
        if (turn, attempt, updated_at) < (heard.turn, heard.attempt, heard.updated_at):
            return
        before = (heard.status, heard.turn, heard.attempt, heard.cancel_requested)
        yield from self._attempt(prompt_id, heard, attempt)
        heard.turn, heard.updated_at = turn, updated_at
        heard.status = str(state.get("status") or "")
        heard.cancel_requested = bool(state.get("cancelRequested"))
        if before != (heard.status, heard.turn, heard.attempt, heard.cancel_requested):
            yield State(prompt_id, state)

    @staticmethod
    def _attempt(prompt_id: str, heard: Heard, attempt: int) -> Iterator[Event]:
        if attempt <= heard.attempt:
            return
        heard.attempt = attempt
        heard.tools = set()
        if heard.text:
            heard.text = ""
            yield Restarted(prompt_id, attempt)

    def _delta(self, frame: Frame) -> Iterator[Event]:
        prompt_id = str(frame["promptId"])
        heard = self.heard.setdefault(prompt_id, Heard())
        attempt, offset = int(frame["attempt"]), int(frame["offset"])
        if attempt < heard.attempt:
            return
        if attempt > heard.attempt and offset:
            raise Gap
        yield from self._attempt(prompt_id, heard, attempt)
        if offset > len(heard.text):
            raise Gap
        fresh = str(frame["text"])[len(heard.text) - offset :]
        if fresh:
            heard.text += fresh
            yield Text(prompt_id, fresh)

    def _tool(self, frame: Frame) -> Iterator[Event]:
        """A call of a tool, each of its states once; one of an earlier attempt is obsolete."""
        prompt_id, attempt = str(frame["promptId"]), int(frame.get("attempt") or 0)
        heard = self.heard.setdefault(prompt_id, Heard())
        if attempt < heard.attempt:
            return
        yield from self._attempt(prompt_id, heard, attempt)
        seen = f"{frame.get('round')} {frame.get('callId')} {frame.get('state')}"
        if seen not in heard.tools:
            heard.tools.add(seen)
            yield Tool(prompt_id, frame)

    def _message(self, message: Frame) -> Iterator[Event]:
        """A stored message; an answer completes what was streamed of it.

        A follower that came too late for the deltas gets the answer as a message alone.
        """
        message_id = str(message.get("id") or "")
        if message_id in self.said:
            return
        self.said.add(message_id)
        text, streamed = str(message.get("text") or ""), self._streamed(message)
        if streamed is None:
            # A round of tool calls was told call by call, if anything was.
            if message.get("role") != "tool" or not self._heard_turn(message):
                yield Said(message)
            return
        prompt_id, heard = streamed
        if text.startswith(heard.text):
            rest = text[len(heard.text) :]
        else:
            # The end of another attempt than the one that was heard.
            yield Restarted(prompt_id, heard.attempt)
            rest = text
        heard.text = text
        if rest:
            yield Text(prompt_id, rest)

    def _streamed(self, message: Frame) -> tuple[str, Heard] | None:
        """The prompt that a message answers, if any of its answer was heard."""
        if message.get("role") != "assistant" or message.get("truncated"):
            return None
        return self._heard_turn(message)

    def _heard_turn(self, message: Frame) -> tuple[str, Heard] | None:
        """The prompt of a message's turn, if its attempt was followed."""
        for prompt_id, heard in self.heard.items():
            if heard.turn and heard.turn == message.get("turn") and heard.attempt:
                return prompt_id, heard
        return None
