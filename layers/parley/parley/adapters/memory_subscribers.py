"""Connections, subscriptions and watchers in memory."""

from collections.abc import Callable, Sequence

from parley.core.errors import Unauthenticated
from parley.ports import (
    UNKNOWN_CONNECTION,
    Connection,
    Followers,
    LiveText,
    Subscriber,
)

ThreadKey = tuple[str, str]
WATCH_MS = 60_000
CONNECTION_MS = 2 * 60 * 60 * 1000


def _end(since: int, key_ends: int) -> int:
    """When a connection that began at `since` expires, in ms; `key_ends` is in seconds."""
    end = since + CONNECTION_MS
    return min(end, key_ends * 1000) if key_ends else end


class MemorySubscribers:
    """`ports.SubscriberStore`. `now` is the clock that expiry is read against."""

    def __init__(self, now: Callable[[], int]) -> None:
        self.now = now
        self.connections: dict[str, Connection] = {}
        self.sockets: dict[tuple[str, str, str], Subscriber] = {}
        self.subscribed_until: dict[tuple[str, str, str], int] = {}
        self.watchers: dict[ThreadKey, int] = {}
        self.texts: dict[ThreadKey, LiveText] = {}

    def _live(self, connection: Connection) -> bool:
        return _end(connection.connected_at, connection.principal.expires_at) > self.now()

    async def add_connection(self, connection: Connection) -> None:
        self.connections[connection.id] = connection

    async def connection(self, connection_id: str) -> Connection | None:
        found = self.connections.get(connection_id)
        return found if found and self._live(found) else None

    def _of(self, account: str) -> list[Connection]:
        opened = self.connections.values()
        return [c for c in opened if c.principal.account == account and self._live(c)]

    async def count_connections(self, account: str, cap: int) -> int:
        return min(len(self._of(account)), cap)

    async def connections_of_key(self, account: str, key_hash: str) -> Sequence[Connection]:
        keys = [(c, c.principal) for c in self._of(account)]
        return [c for c, opener in keys if key_hash in {opener.key_hash, opener.made_by}]

    async def drop_connection(self, connection_id: str) -> None:
        self.connections.pop(connection_id, None)
        for key in [key for key in self.sockets if key[2] == connection_id]:
            del self.sockets[key]

    async def subscribe(self, subscriber: Subscriber, now: int, ends: int = 0) -> None:
        if await self.connection(subscriber.connection_id) is None:
            raise Unauthenticated(UNKNOWN_CONNECTION)
        key = (subscriber.account, subscriber.thread_id, subscriber.connection_id)
        self.sockets[key] = subscriber
        self.subscribed_until[key] = _end(now, ends)

    async def unsubscribe(self, connection_id: str, account: str, thread_id: str) -> None:
        self.sockets.pop((account, thread_id, connection_id), None)

    async def followers(self, account: str, thread_id: str) -> Followers:
        sockets = [
            subscriber
            for key, subscriber in self.sockets.items()
            if key[:2] == (account, thread_id) and self.subscribed_until[key] > self.now()
        ]
        watched = self.watchers.get((account, thread_id), 0) > self.now()
        return Followers(tuple(sockets), watched)

    async def watch(self, account: str, thread_id: str, now: int) -> None:
        self.watchers[account, thread_id] = now + WATCH_MS

    async def put_live(self, account: str, live: LiveText, now: int) -> None:
        self.texts[account, live.prompt_id] = live

    async def live(self, account: str, prompt_id: str) -> LiveText | None:
        return self.texts.get((account, prompt_id))
