"""Time that moves only when a test says so, and names without randomness."""

import asyncio
import heapq
import math
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

START_MS = 1_750_000_000_000
# A loop that has not come to rest after so many rounds spins without waiting for anything.
ROUNDS = 10_000


async def settle() -> None:
    """Let every task run until it waits for something that only a test can give."""
    loop = asyncio.get_running_loop()
    for _ in range(ROUNDS):
        await asyncio.sleep(0)
        if not loop._ready:  # type: ignore[attr-defined]
            return
    raise AssertionError("a task spins without ever waiting")


class VirtualClock:
    """`ports.Clock`. Sleepers wake in the order of their time, ties in the order of coming."""

    def __init__(self) -> None:
        self._us = 0
        self._count = 0
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now(self) -> int:
        return START_MS + self._us // 1000

    def monotonic(self) -> float:
        return self._us / 1_000_000

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        wake = self._us + max(math.ceil(seconds * 1_000_000), 0)
        heapq.heappush(self._sleepers, (wake, self._count, future))
        await future

    def next_wake(self) -> float | None:
        """Monotonic seconds of the first sleeper, or None if nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] / 1_000_000 if self._sleepers else None

    def wake_one(self) -> bool:
        """Move to the first sleeper's time and wake it; False if nobody sleeps."""
        if self.next_wake() is None:
            return False
        wake, _, future = heapq.heappop(self._sleepers)
        self._us = max(self._us, wake)
        future.set_result(None)
        return True

    def skip(self, seconds: float) -> None:
        """Move on without waking anybody: what a frozen machine sees."""
        self._us += math.ceil(seconds * 1_000_000)

    async def advance(self, seconds: float) -> None:
        """Let so much time pass, with everything that happens in it."""
        end = self._us + math.ceil(seconds * 1_000_000)
        await settle()
        while (wake := self.next_wake()) is not None and round(wake * 1_000_000) <= end:
            self.wake_one()
            await settle()
        self._us = end

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, moving time whenever everybody waits for it."""
        return await self.finish(asyncio.ensure_future(work))

    async def finish(self, task: "asyncio.Future[T]") -> T:
        """The result of a running task, moving time whenever everybody waits for it."""
        while True:
            await settle()
            if task.done():
                return task.result()
            assert self.wake_one(), "it waits for something that never comes"


class FakeIds:
    """`ports.Ids`: counted, so that a failing run reads the same each time."""

    def __init__(self) -> None:
        self.count = 0

    def new(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}_{self.count:04d}"

    def token(self) -> str:
        self.count += 1
        return f"{self.count:064x}"

    def fraction(self) -> float:
        return 0.5
