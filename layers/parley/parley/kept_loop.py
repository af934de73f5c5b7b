"""One event loop for all invocations of a function."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from parley.observability import logger
from parley.usecases.waiting import stop

T = TypeVar("T")


class KeptLoop:
    """Runs coroutines on a loop that is made by the first of them, and then kept.

    Kept, because connections to providers belong to the loop that made them. Made late,
    because a SnapStart snapshot must not contain a selector of another machine.
    """

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    def __call__(self, work: Coroutine[Any, Any, T], /) -> T:
        """The result of `work`, whose every task is over when it returns."""
        return self._runner.run(_whole(work))


async def _whole(work: Coroutine[Any, Any, T]) -> T:
    """A task left over would be frozen, to go on in the next invocation: with a lease that is
    long over, say.
    """
    try:
        return await work
    finally:
        if overdue := asyncio.all_tasks() - {asyncio.current_task()}:
            logger.error("tasks outlived their work", extra={"tasks": len(overdue)})
            await stop(*overdue)
