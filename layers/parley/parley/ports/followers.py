"""Who follows a thread: sockets, the frames posted to them, and watchers over HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from parley.core.access import Principal
from parley.core.events import Frame

UNKNOWN_CONNECTION = "the connection is not known: connect again"


@dataclass(frozen=True, slots=True)
class Connection:
    """A live WebSocket connection, who opened it, and when (ms).

    It is good for as long as the key that it was opened with.
    """

    id: str
    principal: Principal
    connected_at: int


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A connection that follows a thread.

    `nonce` is new with each subscribe: sent offsets belong to it. `known` is what the
    client already has: prompt id → (attempt, offset).
    """

    connection_id: str
    account: str
    thread_id: str
    user_id: str
    nonce: str
    known: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Followers:
    """Who follows a thread: sockets, and whether someone watches over HTTP."""

    sockets: tuple[Subscriber, ...]
    watched: bool


@dataclass(frozen=True, slots=True)
class LiveText:
    """The text of a running attempt, for watchers over HTTP.

    Thread and turn tell the prompt from a later one that uses its id again: an attempt may
    write its text a last time after its prompt was removed.
    """

    prompt_id: str
    thread_id: str
    turn: int
    attempt: int
    text: str


class SubscriberStore(Protocol):
    """Connections, subscriptions and watchers' markers."""

    async def add_connection(self, connection: Connection) -> None:
        """Store it, to expire after the 2 h a connection can live, or with its key."""

    async def connection(self, connection_id: str) -> Connection | None:
        """Consistent; expired ones are absent."""

    async def count_connections(self, account: str, cap: int) -> int:
        """Live connections of the account, not counting past `cap`."""

    async def connections_of_key(self, account: str, key_hash: str) -> Sequence[Connection]:
        """Live connections opened with a key, or with one that this key made."""

    async def drop_connection(self, connection_id: str) -> None:
        """Delete the connection and all its subscriptions; absent is a success."""

    async def subscribe(self, subscriber: Subscriber, now: int, ends: int = 0) -> None:
        """Store or replace, to expire after 2 h, or at `ends` (seconds, 0 for no such time).

        Raises Unauthenticated if the connection is not there any more.
        """

    async def unsubscribe(self, connection_id: str, account: str, thread_id: str) -> None:
        """Delete; absent is a success."""

    async def followers(self, account: str, thread_id: str) -> Followers:
        """Consistent; expired ones are absent."""

    async def watch(self, account: str, thread_id: str, now: int) -> None:
        """Leave a watcher's marker for 60 s."""

    async def put_live(self, account: str, live: LiveText, now: int) -> None:
        """Store the text of a running attempt (cut at the message limit)."""

    async def live(self, account: str, prompt_id: str) -> LiveText | None:
        """Consistent; expired ones are absent."""


class Post(Enum):
    """What became of a frame that was posted to a connection."""

    DELIVERED = "delivered"
    GONE = "gone"
    UNKNOWN = "unknown"


class Publisher(Protocol):
    """Posts frames to WebSocket connections."""

    async def post(self, connection_id: str, frame: Frame) -> Post:
        """GONE if the connection is closed; UNKNOWN if it may or may not have arrived."""

    async def disconnect(self, connection_id: str) -> None:
        """Close a connection; a closed one is a success."""
