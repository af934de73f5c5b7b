"""The real clock, and names from the system's randomness."""

import asyncio
import secrets
import time


class SystemClock:
    """`ports.Clock`."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class RandomIds:
    """`ports.Ids`.

    Everything comes from the system's generator: a generator seeded in the process would
    be part of a SnapStart snapshot, and every restored copy would give the same names.
    """

    def __init__(self) -> None:
        self._random = secrets.SystemRandom()

    def new(self, prefix: str) -> str:
        return f"{prefix}_{secrets.token_hex(12)}"

    def token(self) -> str:
        return secrets.token_hex(32)

    def fraction(self) -> float:
        return self._random.random()
