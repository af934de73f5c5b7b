"""Connections, subscriptions, watchers and live text."""

from dataclasses import replace
from typing import Any

import pytest
from parley.core.access import KeyRole
from parley.core.errors import Unauthenticated
from parley.ports import Connection, LiveText, Subscriber

from tests.conformance.material import ACCOUNT, ANN, OTHER, a_prompt, accepted
from tests.conformance.stores import START, Stores

HOURS = 60 * 60 * 1000


def a_connection(id_: str = "c1=", **fields: Any) -> Connection:
    return Connection(id_, replace(ANN, **fields), START)


def a_subscriber(connection_id: str = "c1=", thread_id: str = "t1") -> Subscriber:
    known = {"p1": (2, 17), "p2": (1, 0)}
    return Subscriber(connection_id, ACCOUNT, thread_id, "ann", f"nonce-{connection_id}", known)


async def test_a_connection_lives_for_two_hours(stores: Stores) -> None:
    await stores.subscribers.add_connection(a_connection())
    of_session = a_connection(
        "c2=", account=OTHER, role=KeyRole.SESSION, client="weather", client_number=7, key_hash=""
    )
    await stores.subscribers.add_connection(of_session)

    assert await stores.subscribers.connection("c1=") == a_connection()
    assert await stores.subscribers.connection("c2=") == of_session
    assert await stores.subscribers.connection("absent") is None
    assert await stores.subscribers.count_connections(ACCOUNT, 10) == 1

    stores.clock.ms += 2 * HOURS
    assert await stores.subscribers.connection("c1=") is None
    assert await stores.subscribers.count_connections(ACCOUNT, 10) == 0
    assert list(await stores.subscribers.connections_of_key(ACCOUNT, "h")) == []


async def test_connections_are_counted_up_to_the_cap_and_found_by_key(stores: Stores) -> None:
    for number in range(3):
        await stores.subscribers.add_connection(a_connection(f"c{number}"))
    revoked = a_connection("c9", key_hash="hash-2")
    await stores.subscribers.add_connection(revoked)

    assert await stores.subscribers.count_connections(ACCOUNT, 2) == 2
    assert await stores.subscribers.count_connections(ACCOUNT, 9) == 4
    assert list(await stores.subscribers.connections_of_key(ACCOUNT, "hash-2")) == [revoked]


async def test_a_connection_belongs_to_the_maker_of_its_key_too(stores: Stores) -> None:
    of_token = a_connection("c1=", key_hash="token", made_by="maker", expires_at=START // 1000 + 60)
    await stores.subscribers.add_connection(of_token)
    await stores.subscribers.add_connection(a_connection("c2="))

    assert await stores.subscribers.connection("c1=") == of_token
    for hash_ in ("token", "maker"):
        assert list(await stores.subscribers.connections_of_key(ACCOUNT, hash_)) == [of_token]


async def test_a_connection_and_what_it_follows_end_with_its_key(stores: Stores) -> None:
    ends = START // 1000 + 60
    await stores.subscribers.add_connection(a_connection(expires_at=ends))
    await stores.subscribers.subscribe(a_subscriber(), START, ends)
    await stores.subscribers.add_connection(a_connection("c2="))
    await stores.subscribers.subscribe(a_subscriber("c2="), START)

    stores.clock.ms = ends * 1000 - 1000
    followers = await stores.subscribers.followers(ACCOUNT, "t1")
    assert len(followers.sockets) == 2
    stores.clock.ms = ends * 1000
    followers = await stores.subscribers.followers(ACCOUNT, "t1")
    assert followers.sockets == (a_subscriber("c2="),)
    assert await stores.subscribers.connection("c1=") is None
    assert await stores.subscribers.count_connections(ACCOUNT, 10) == 1


async def test_a_key_that_ends_late_does_not_lengthen_a_connection(stores: Stores) -> None:
    ends = START // 1000 + 3 * HOURS // 1000
    await stores.subscribers.add_connection(a_connection(expires_at=ends))
    await stores.subscribers.subscribe(a_subscriber(), START, ends)
    stores.clock.ms += 2 * HOURS
    assert await stores.subscribers.connection("c1=") is None
    assert (await stores.subscribers.followers(ACCOUNT, "t1")).sockets == ()


async def test_a_dropped_connection_takes_its_subscriptions_along(stores: Stores) -> None:
    await stores.subscribers.add_connection(a_connection())
    await stores.subscribers.add_connection(a_connection("c2="))
    for thread_id in [f"t{number}" for number in range(1, 31)]:
        await stores.subscribers.subscribe(a_subscriber(thread_id=thread_id), START)
    await stores.subscribers.subscribe(a_subscriber("c2="), START)

    await stores.subscribers.drop_connection("c1=")
    await stores.subscribers.drop_connection("c1=")

    assert await stores.subscribers.connection("c1=") is None
    assert await stores.subscribers.count_connections(ACCOUNT, 10) == 1
    followers = await stores.subscribers.followers(ACCOUNT, "t1")
    assert followers.sockets == (a_subscriber("c2="),)
    assert (await stores.subscribers.followers(ACCOUNT, "t30")).sockets == ()


async def test_a_subscription_replaces_the_one_before(stores: Stores) -> None:
    await stores.subscribers.add_connection(a_connection())
    await stores.subscribers.subscribe(a_subscriber(), START)
    renewed = replace(a_subscriber(), nonce="another", known={})
    await stores.subscribers.subscribe(renewed, START)

    followers = await stores.subscribers.followers(ACCOUNT, "t1")
    assert (followers.sockets, followers.watched) == ((renewed,), False)
    assert (await stores.subscribers.followers(OTHER, "t1")).sockets == ()

    await stores.subscribers.unsubscribe("c1=", ACCOUNT, "t1")
    await stores.subscribers.unsubscribe("c1=", ACCOUNT, "t1")
    assert (await stores.subscribers.followers(ACCOUNT, "t1")).sockets == ()


async def test_a_connection_that_is_gone_cannot_subscribe(stores: Stores) -> None:
    async def refused(connection_id: str) -> None:
        with pytest.raises(Unauthenticated):
            await stores.subscribers.subscribe(a_subscriber(connection_id), stores.clock.now())
        assert (await stores.subscribers.followers(ACCOUNT, "t1")).sockets == ()

    await refused("never-there")
    await stores.subscribers.add_connection(a_connection("dropped"))
    await stores.subscribers.drop_connection("dropped")
    await refused("dropped")
    await stores.subscribers.add_connection(a_connection("expired"))
    stores.clock.ms += 2 * HOURS
    await refused("expired")


async def test_a_watcher_is_remembered_for_a_minute(stores: Stores) -> None:
    await stores.subscribers.add_connection(a_connection())
    await stores.subscribers.subscribe(a_subscriber(), START)
    await stores.subscribers.watch(ACCOUNT, "t1", stores.clock.now())

    followers = await stores.subscribers.followers(ACCOUNT, "t1")
    assert (followers.sockets, followers.watched) == ((a_subscriber(),), True)

    stores.clock.ms += 30_000
    await stores.subscribers.watch(ACCOUNT, "t1", stores.clock.now())
    stores.clock.ms += 59_000
    assert (await stores.subscribers.followers(ACCOUNT, "t1")).watched
    stores.clock.ms += 1_000
    assert not (await stores.subscribers.followers(ACCOUNT, "t1")).watched


async def test_live_text_is_the_newest_one_put(stores: Stores) -> None:
    assert await stores.subscribers.live(ACCOUNT, "p1") is None
    await stores.subscribers.put_live(ACCOUNT, LiveText("p1", "t1", 1, 1, "A fr"), START)
    await stores.subscribers.put_live(ACCOUNT, LiveText("p1", "t1", 1, 2, ""), START)

    assert await stores.subscribers.live(ACCOUNT, "p1") == LiveText("p1", "t1", 1, 2, "")
    assert await stores.subscribers.live(OTHER, "p1") is None


async def test_a_thread_is_no_follower_of_itself(stores: Stores) -> None:
    await accepted(stores, a_prompt())
    followers = await stores.subscribers.followers(ACCOUNT, "t1")
    assert (followers.sockets, followers.watched) == ((), False)
