"""Waiting on the clock of the ports, so that tests decide what time it is."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from parley.ports import Clock

T = TypeVar("T")

POLL_FIRST_SECONDS = 0.1
POLL_LAST_SECONDS = 1.0
POLL_GROWTH = 1.3


async def stop(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel tasks and wait until they are over, whatever they raise on the way out."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def every(works: Iterable[Awaitable[T]]) -> list[T]:
    """The results of all works. Waits for all of them before it raises the first failure,
    so that none is left running behind its caller's back.
    """
    results = await asyncio.gather(*works, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]


async def within(clock: Clock, seconds: float, work: Awaitable[T]) -> T | None:
    """The result of `work`, or None (and `work` canceled) if it takes longer."""
    task: asyncio.Future[T] = asyncio.ensure_future(work)
    timer = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait((task, timer), return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        await stop(task, timer)


async def poll(
    clock: Clock, seconds: float, look: Callable[[], Awaitable[T]], done: Callable[[T], bool]
) -> T:
    """Look until `done` or until the time is used up; the last look either way.

    The pauses grow: most answers come soon, and a caller who waits long should not cost
    a read every moment.
    """
    end = clock.monotonic() + seconds
    pause = POLL_FIRST_SECONDS
    found = await look()
    while not done(found) and clock.monotonic() < end:
        await clock.sleep(min(pause, max(end - clock.monotonic(), 0)))
        pause = min(pause * POLL_GROWTH, POLL_LAST_SECONDS)
        found = await look()
    return found
