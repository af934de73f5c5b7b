"""Connections, subscriptions and watchers in DynamoDB.

| item | pk | sk |
|---|---|---|
| connection | `C#{connection}` | `conn` |
| its subscriptions | `C#{connection}` | `s#{account}#{thread}` |
| live connections of an account | `{account}#C` | the connection |
| followers of a thread | the thread's | `s#{connection}` |
| watcher's marker | the thread's | `s#~http` |
| live text | the prompt's | `live` |

A connection is looked up before its account is known, as API keys and hosts are. All of these
expire, for a connection may end without anyone hearing of it.
"""

import contextlib
from collections.abc import Sequence

from parley.adapters.dynamodb_conditions import PRESENT
from parley.adapters.dynamodb_expressions import (
    Condition,
    ConditionCheck,
    Delete,
    Item,
    Key,
    Put,
    Span,
    Update,
)
from parley.adapters.dynamodb_items import LAST, live_key, plain, taken, thread_pk
from parley.adapters.dynamodb_table import ConditionFailed, Table, TransactionFailed
from parley.core.access import TEXT_LIMIT_BYTES, KeyRole, Principal
from parley.core.errors import Unauthenticated
from parley.ports import UNKNOWN_CONNECTION, Connection, Followers, LiveText, Subscriber

CONNECTION_MS = 2 * 60 * 60 * 1000
WATCH_MS = 60_000
LIVE_MS = 10 * 60 * 1000
OPENER_FIELDS = ("account", "user_id", "role", "key_hash")
# Stored only if there is something in them.
OPENER_RARE = ("client", "made_by", "client_number")
WATCHER = "s#~http"


def _expiry(at: int) -> int:
    """A time in ms as `expires_at`, rounded up: nothing expires early."""
    return -(-at // 1000)


def _end(since: int, key_ends: int) -> int:
    """When a connection that began at `since` (ms), or what it follows, expires."""
    end = _expiry(since + CONNECTION_MS)
    return min(end, key_ends) if key_ends else end


def _connection_pk(connection_id: str) -> str:
    return f"C#{connection_id}"


def _connections_pk(account: str) -> str:
    return f"{account}#C"


def _follower_key(account: str, thread_id: str, connection_id: str) -> Key:
    return thread_pk(account, thread_id), f"s#{connection_id}"


def _subscription_key(connection_id: str, account: str, thread_id: str) -> Key:
    return _connection_pk(connection_id), f"s#{account}#{thread_id}"


def _to_connection(item: Item) -> Connection:
    fields = taken(item, (*OPENER_FIELDS, *OPENER_RARE))
    fields |= {"role": KeyRole(item["role"]), "expires_at": item.get("key_expires_at", 0)}
    return Connection(item["id"], Principal(**fields), item["connected_at"])


def _to_subscriber(item: Item) -> Subscriber:
    account, _, thread_id = item["pk"].split("#", 2)
    return Subscriber(
        connection_id=item["sk"].removeprefix("s#"),
        account=account,
        thread_id=thread_id,
        user_id=item["user_id"],
        nonce=item["nonce"],
        known={id_: (attempt, offset) for id_, (attempt, offset) in item["known"].items()},
    )


class DynamoSubscribers:
    """`ports.SubscriberStore`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def add_connection(self, connection: Connection) -> None:
        opener = connection.principal
        fields = {name: getattr(opener, name) for name in OPENER_FIELDS}
        fields |= plain(opener, OPENER_RARE)
        fields |= {"id": connection.id, "connected_at": connection.connected_at}
        # The connection's own end, and its key's.
        fields["expires_at"] = _end(connection.connected_at, opener.expires_at)
        if opener.expires_at:
            fields["key_expires_at"] = opener.expires_at
        await self._table.transact(
            [
                Put({"pk": _connection_pk(connection.id), "sk": "conn", **fields}),
                Put({"pk": _connections_pk(opener.account), "sk": connection.id, **fields}),
            ]
        )

    async def connection(self, connection_id: str) -> Connection | None:
        item = await self._table.get((_connection_pk(connection_id), "conn"))
        return _to_connection(item) if item and "dropped" not in item else None

    def _connections(self, account: str) -> Span:
        live = Condition("#expires_at > :now", {":now": self._table.now_seconds()})
        return Span(_connections_pk(account), condition=live)

    async def count_connections(self, account: str, cap: int) -> int:
        return await self._table.count(self._connections(account), cap)

    async def connections_of_key(self, account: str, key_hash: str) -> Sequence[Connection]:
        items = await self._table.every(self._connections(account))
        mine = (i for i in items if key_hash in {i["key_hash"], i.get("made_by")})
        return [_to_connection(item) for item in mine]

    async def drop_connection(self, connection_id: str) -> None:
        """The connection's own items go last: dropping it again finds what a crash left.

        Race: the connection subscribes while it is dropped, because its key was revoked, and
        is stored after its subscriptions were read here: nobody would end that one. So it is
        marked first, and subscribing is conditional on a connection without the mark.
        """
        pk = _connection_pk(connection_id)
        with contextlib.suppress(ConditionFailed):
            await self._table.update(
                Update((pk, "conn"), sets={"dropped": True}, condition=PRESENT)
            )
        own = await self._table.every(Span(pk))
        elsewhere: list[Key] = []
        for item in own:
            if item["sk"] == "conn":
                elsewhere.append((_connections_pk(item["account"]), connection_id))
            else:
                _, account, thread_id = item["sk"].split("#")
                elsewhere.append(_follower_key(account, thread_id, connection_id))
        await self._table.batch_delete(elsewhere)
        await self._table.batch_delete([(pk, item["sk"]) for item in own])

    async def subscribe(self, subscriber: Subscriber, now: int, ends: int = 0) -> None:
        expires_at = _end(now, ends)
        place = (subscriber.account, subscriber.thread_id)
        pk, sk = _follower_key(*place, subscriber.connection_id)
        own_pk, own_sk = _subscription_key(subscriber.connection_id, *place)
        follower = {
            "pk": pk,
            "sk": sk,
            "user_id": subscriber.user_id,
            "nonce": subscriber.nonce,
            "known": subscriber.known,
            "expires_at": expires_at,
        }
        live = Condition(
            "attribute_not_exists(#dropped) AND #expires_at > :now",
            {":now": self._table.now_seconds()},
        )
        try:
            await self._table.transact(
                [
                    ConditionCheck((own_pk, "conn"), live),
                    Put(follower),
                    Put({"pk": own_pk, "sk": own_sk, "expires_at": expires_at}),
                ]
            )
        except TransactionFailed:
            raise Unauthenticated(UNKNOWN_CONNECTION) from None

    async def unsubscribe(self, connection_id: str, account: str, thread_id: str) -> None:
        """The thread's entry first: while the connection's is there, a drop finds both."""
        await self._table.delete(Delete(_follower_key(account, thread_id, connection_id)))
        await self._table.delete(Delete(_subscription_key(connection_id, account, thread_id)))

    async def followers(self, account: str, thread_id: str) -> Followers:
        items = await self._table.every(Span(thread_pk(account, thread_id), "s#", "s#" + LAST * 2))
        sockets = tuple(_to_subscriber(item) for item in items if item["sk"] != WATCHER)
        return Followers(sockets, watched=len(sockets) < len(items))

    async def watch(self, account: str, thread_id: str, now: int) -> None:
        marker = {
            "pk": thread_pk(account, thread_id),
            "sk": WATCHER,
            "expires_at": _expiry(now + WATCH_MS),
        }
        await self._table.put(Put(marker))

    async def put_live(self, account: str, live: LiveText, now: int) -> None:
        pk, sk = live_key(account, live.prompt_id)
        text = live.text.encode()[:TEXT_LIMIT_BYTES].decode(errors="ignore")
        expires_at = _expiry(now + LIVE_MS)
        fields = {"thread_id": live.thread_id, "turn": live.turn, "attempt": live.attempt}
        await self._table.put(
            Put({"pk": pk, "sk": sk, **fields, "text": text, "expires_at": expires_at})
        )

    async def live(self, account: str, prompt_id: str) -> LiveText | None:
        item = await self._table.get(live_key(account, prompt_id))
        if item is None:
            return None
        return LiveText(prompt_id, item["thread_id"], item["turn"], item["attempt"], item["text"])
