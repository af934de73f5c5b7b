"""A publisher whose connections can be slow, gone, or silent about what arrived."""

from collections import defaultdict
from collections.abc import Callable
from enum import Enum

from parley.core.events import FRAME_BYTES, Frame, encoded
from parley.ports import Post

from tests.fakes.clock import VirtualClock


class Fate(Enum):
    """What becomes of a post."""

    DELIVERED = "delivered"
    GONE = "gone"
    ARRIVED_UNKNOWN = "it arrived, nobody tells"
    LOST_UNKNOWN = "it did not arrive, nobody tells"


class FakePublisher:
    """`ports.Publisher`. Everything that arrives is in `frames`, by connection."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.frames: dict[str, list[Frame]] = defaultdict(list)
        self.closed: set[str] = set()
        self.disconnected: list[str] = []
        self.seconds: dict[str, float] = {}
        self.fates: dict[str, list[Fate]] = {}
        self.on_arrival: Callable[[str, Frame], None] | None = None

    async def post(self, connection_id: str, frame: Frame) -> Post:
        """Takes the connection's `seconds`, then the next of its `fates` (else: delivered)."""
        assert len(encoded(frame)) <= FRAME_BYTES, "a frame over 32 KB"
        if connection_id in self.seconds:
            await self.clock.sleep(self.seconds[connection_id])
        fates = self.fates.get(connection_id)
        fate = fates.pop(0) if fates else Fate.DELIVERED
        if connection_id in self.closed or fate is Fate.GONE:
            return Post.GONE
        if fate is not Fate.LOST_UNKNOWN:
            self.frames[connection_id].append(frame)
            if self.on_arrival:
                self.on_arrival(connection_id, frame)
        return Post.DELIVERED if fate is Fate.DELIVERED else Post.UNKNOWN

    async def disconnect(self, connection_id: str) -> None:
        self.closed.add(connection_id)
        self.disconnected.append(connection_id)

    def states(self, connection_id: str, prompt_id: str) -> list[str]:
        """The statuses that a connection was told of a prompt, in order."""
        return [
            frame["prompt"]["status"]
            for frame in self.frames[connection_id]
            if frame["type"] == "prompt" and frame["prompt"]["id"] == prompt_id
        ]

    def deltas(self, connection_id: str, prompt_id: str, attempt: int = 1) -> list[Frame]:
        """The deltas of an attempt that arrived at a connection."""
        return [
            frame
            for frame in self.frames[connection_id]
            if frame["type"] == "delta"
            and (frame["promptId"], frame["attempt"]) == (prompt_id, attempt)
        ]

    def messages(self, connection_id: str, role: str = "assistant") -> list[Frame]:
        """The messages that arrived at a connection."""
        return [
            frame["message"]
            for frame in self.frames[connection_id]
            if frame["type"] == "message" and frame["message"]["role"] == role
        ]
