"""Followers of threads over the WebSocket, strict about what promise I3 says of deltas."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.sync.client import ClientConnection, connect

Frame = dict[str, Any]
# Also for a handshake: the first one may have to wait for a function to start.
FRAME_SECONDS = 90.0


@dataclass
class Heard:
    """The answers of a thread as one follower puts them together."""

    attempts: dict[str, int] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def take(self, frame: Frame) -> None:
        """Add a delta; fails on a gap, on a repeat that differs and on a step back."""
        prompt, attempt, offset = frame["promptId"], frame["attempt"], frame["offset"]
        assert frame["end"] == offset + len(frame["text"])
        assert attempt >= self.attempts.get(prompt, 0), "an older attempt speaks"
        if attempt > self.attempts.get(prompt, 0):
            assert offset == 0, "a new attempt has to start at 0"
            self.attempts[prompt], self.texts[prompt] = attempt, ""
        known = self.texts[prompt]
        assert offset <= len(known), f"a gap: {len(known)} code points are known, not {offset}"
        repeated = known[offset : frame["end"]]
        assert frame["text"].startswith(repeated), "a repeat says something else"
        self.texts[prompt] = known + frame["text"][len(repeated) :]

    def known(self) -> Frame:
        """What a client that comes back says it has."""
        return {
            prompt: {"attempt": attempt, "offset": len(self.texts[prompt])}
            for prompt, attempt in self.attempts.items()
        }


class Socket:
    """One connection; `frames` keeps everything that came over it.

    One that goes on for another is given what that one heard.
    """

    def __init__(self, connection: ClientConnection, heard: Heard | None = None) -> None:
        self.connection = connection
        self.frames: list[Frame] = []
        self.heard = heard or Heard()

    def send(self, action: str, **fields: Any) -> None:
        self.connection.send(json.dumps({"action": action, **fields}))

    def until(self, wanted: Callable[[Frame], bool], what: str) -> Frame:
        """Receive until a frame is what is wanted."""
        while True:
            try:
                frame: Frame = json.loads(self.connection.recv(timeout=FRAME_SECONDS))
            except TimeoutError:
                raise AssertionError(f"waited for {what}; last: {self.frames[-3:]}") from None
            self.frames.append(frame)
            if frame["type"] == "delta":
                self.heard.take(frame)
            if wanted(frame):
                return frame

    def subscribe(self, thread_id: str) -> Frame:
        """Follow a thread, saying what is known of it; the answer, `subscribed` or `error`."""
        self.send("subscribe", threadId=thread_id, known=self.heard.known())
        return self.until(lambda f: f["type"] in {"subscribed", "error"}, "a subscription")

    def until_heard(self, prompt_id: str, words: int, attempt: int = 1) -> str:
        """Receive until so many words of an attempt are there; its text so far."""

        def enough(_: Frame) -> bool:
            text = self.heard.texts.get(prompt_id, "")
            return self.heard.attempts.get(prompt_id, 0) >= attempt and len(text.split()) >= words

        if not enough({}):
            self.until(enough, f"{words} words of {prompt_id}, attempt {attempt}")
        return self.heard.texts[prompt_id]

    def until_status(self, prompt_id: str, status: str) -> Frame:
        """Receive until a prompt is told to be in a status; its state."""
        frame = self.until(
            lambda f: (
                f["type"] == "prompt"
                and f["prompt"]["id"] == prompt_id
                and f["prompt"]["status"] == status
            ),
            f"{prompt_id} to be {status}",
        )
        state: Frame = frame["prompt"]
        return state


def connected(url: str) -> ClientConnection:
    """Raises InvalidStatus if the handshake is refused."""
    return connect(url, open_timeout=FRAME_SECONDS, close_timeout=1, ping_interval=None)


@contextmanager
def open_socket(url: str, key: str, heard: Heard | None = None) -> Iterator[Socket]:
    """A connection with a key; raises InvalidStatus if the handshake is refused."""
    with connected(f"{url}?token={key}") as connection:
        yield Socket(connection, heard)


@contextmanager
def following(url: str, key: str, thread_id: str, heard: Heard | None = None) -> Iterator[Socket]:
    """A connection that follows a thread."""
    with open_socket(url, key, heard) as socket:
        answer = socket.subscribe(thread_id)
        assert answer["type"] == "subscribed", answer
        yield socket
