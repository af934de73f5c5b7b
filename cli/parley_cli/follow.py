"""Follow a thread over its WebSocket, through lost connections, without loss or repetition."""

import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from parley_cli.config import Target, socket_beside
from parley_cli.errors import CliError, NotAuthenticated, Refused, Unreachable
from parley_cli.view import Event, Gap, SubscribeRefused, ThreadView

OPEN_SECONDS = 10.0
# API Gateway closes a socket that was silent for 10 min, and an answer to a ping is the
# only sign of life of one that is half open.
PING_SECONDS = 15.0
PONG_SECONDS = 10.0
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
SUBSCRIBE_TRIES = 5
FRAME_BYTES = 1024 * 1024


class Lost(Exception):
    """The connection ended or fell silent."""


@dataclass
class Follower:
    """Events of one thread for as long as they are asked for.

    `tries` is how often in a row connecting may fail: afterwards Unreachable is raised.
    None goes on for ever. `told` is called when the connection was lost. `session` is what a
    chat session's thread is opened with beside the key: session_key, account, llm_client.
    """

    target: Target
    thread_id: str
    tries: int | None = None
    view: ThreadView = field(default_factory=ThreadView)
    told: Callable[[str], None] = lambda _: None
    session: Mapping[str, str] = field(default_factory=dict, repr=False)

    def events(self) -> Generator[Event]:
        """Raises NotAuthenticated, Refused (the thread, after some tries), Unreachable."""
        failures = refusals = 0
        while True:
            try:
                with self._open() as socket:
                    self._send(socket, self._subscription())
                    for event in self._heard(socket):
                        if event is None:
                            failures = refusals = 0
                            continue
                        yield event
            except Gap:
                # Nothing is wrong with the API: say what is known and go on from there.
                time.sleep(FIRST_PAUSE)
                continue
            except SubscribeRefused as refused:
                refusals += 1
                if refusals >= SUBSCRIBE_TRIES:
                    raise Refused(str(refused)) from None
            except Lost as lost:
                failures += 1
                if self.tries is not None and failures >= self.tries:
                    raise Unreachable(str(lost)) from None
                if failures == 1:
                    self.told(f"{lost}; connecting again")
            time.sleep(min(FIRST_PAUSE * 2 ** max(failures - 1, 0), LONGEST_PAUSE))

    def _subscription(self) -> dict[str, Any]:
        frame: dict[str, Any] = {"action": "subscribe", "threadId": self.thread_id}
        known = self.view.known()
        return frame | {"known": known} if known else frame

    def _open(self) -> ClientConnection:
        url = self.target.websocket or socket_beside(self.target.api)
        query = urlencode({**self.session, "token": self.target.key})
        try:
            return connect(
                f"{url}?{query}",
                open_timeout=OPEN_SECONDS,
                close_timeout=1,
                max_size=FRAME_BYTES,
                ping_interval=None,
            )
        except InvalidStatus as refused:
            raise _refusal(refused.response.status_code, url) from None
        except (OSError, WebSocketException) as error:
            # Neither may be shown as it is or chained: its text may hold the URL, and so the key.
            raise Lost(f"{url} could not be reached ({type(error).__name__})") from None

    def _heard(self, socket: ClientConnection) -> Iterator[Event | None]:
        """Events; None once the subscription stands."""
        while True:
            frame = self._next(socket)
            if frame.get("type") == "subscribed":
                yield None
            yield from self.view.take(frame)

    def _next(self, socket: ClientConnection) -> dict[str, Any]:
        """The next frame; after a while of silence, whatever comes after a ping."""
        frame = self._received(socket, PING_SECONDS)
        if frame is None:
            self._send(socket, {"action": "ping", "threadId": self.thread_id})
            frame = self._received(socket, PONG_SECONDS)
        if frame is None:
            raise Lost("the socket fell silent")
        return frame

    @staticmethod
    def _send(socket: ClientConnection, frame: dict[str, Any]) -> None:
        try:
            socket.send(json.dumps(frame))
        except ConnectionClosed:
            raise Lost("the socket was closed") from None

    @staticmethod
    def _received(socket: ClientConnection, seconds: float) -> dict[str, Any] | None:
        try:
            data = socket.recv(timeout=seconds)
        except TimeoutError:
            return None
        except ConnectionClosed:
            raise Lost("the socket was closed") from None
        try:
            frame = json.loads(data)
        except ValueError:
            raise Lost("the socket sent something that is no JSON") from None
        return frame if isinstance(frame, dict) else {}


def _refusal(status: int, url: str) -> CliError | Lost:
    """A refused upgrade: final, unless the other side is having trouble."""
    if status in {401, 403}:
        return NotAuthenticated(f"{url} refused the key (HTTP {status})")
    if status == 429 or status >= 500:
        return Lost(f"{url} answered HTTP {status}")
    return Unreachable(f"{url} is no socket (HTTP {status})")
