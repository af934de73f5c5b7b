"""How long a piece of an answer takes from the provider to the call that posts it."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

from parley.core.access import KeyRole, Principal
from parley.core.events import Frame
from parley.core.prompt import Usage
from parley.ports import Connection, Finished, ProviderRequest, Subscriber, TextDelta

from bench.engine import ACCOUNT, Functions, Publisher, functions
from bench.figures import summary

FOLLOWERS = (1, 5, 50)
POST_MS = (0, 15)
# Slower than the pause between two deltas, and a fast model: there pieces share a post.
PACES = {"every 200 ms": (0.2, 12), "every 20 ms": (0.02, 100)}
# Followers are found by the first look, which is under way when the model starts to speak.
LEAD_SECONDS = 0.3


class Watch:
    """When each character came from the provider, and when a post with it began."""

    def __init__(self) -> None:
        self.came: list[float] = []
        self.waits: list[float] = []

    def posted(self, _connection: str, frame: Frame) -> None:
        if frame["type"] == "delta":
            now = time.perf_counter()
            oldest = self.came[frame["offset"] : frame["end"]]
            self.waits += [(now - at) * 1000 for at in oldest]


async def _follow(made: Functions, followers: int) -> None:
    who = Principal(ACCOUNT, "usr_1", KeyRole.USER, "h")
    for number in range(followers):
        now = made.parts.clock.now()
        connection = Connection(f"c{number}", who, now)
        await made.subscribers.add_connection(connection)
        subscriber = Subscriber(connection.id, ACCOUNT, "t", "usr_1", nonce=f"n{number}")
        await made.subscribers.subscribe(subscriber, now)


def _one(followers: int, post_ms: float, pace: float, pieces: int) -> dict[str, float]:
    watch = Watch()

    async def speaking(_: ProviderRequest) -> AsyncGenerator[TextDelta | Finished, None]:
        await asyncio.sleep(LEAD_SECONDS)
        for _piece in range(pieces):
            watch.came.append(time.perf_counter())
            yield TextDelta("x")
            await asyncio.sleep(pace)
        yield Finished("stop", Usage(1, 1))

    with functions(speaking, Publisher(post_ms / 1000, watch.posted)) as made:
        made.post(threadId="t")
        made.loop(_follow(made, followers))
        made.run(made.records(1))
    return summary(watch.waits)


async def _loop_reference() -> float:
    """How long a waiting task takes to run after what it waits for has come, ms."""
    taken = []
    for _ in range(300):
        event, start = asyncio.Event(), 0.0

        async def waiting(event: asyncio.Event = event) -> float:
            await event.wait()
            return time.perf_counter()

        task = asyncio.ensure_future(waiting())
        await asyncio.sleep(0)
        start = time.perf_counter()
        event.set()
        taken.append((await task - start) * 1000)
    return summary(taken)["median"]


def measure() -> dict[str, Any]:
    """ms from piece to post, by pace of the model, duration of a post, and followers."""
    rows = [
        {
            "pace": name,
            "post_ms": post_ms,
            "followers": followers,
            "ms": _one(followers, post_ms, *pace),
        }
        for name, pace in PACES.items()
        for post_ms in POST_MS
        for followers in FOLLOWERS
    ]
    return {"reference_ms": asyncio.run(_loop_reference()), "pause_ms": 80, "rows": rows}
