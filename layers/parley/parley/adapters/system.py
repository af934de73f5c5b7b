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


class WakefulClock(SystemClock):
    """A clock for what may be remembered only so long: keys, secrets, catalogues.

    Between invocations an execution environment is frozen, and a monotonic clock may stand
    still meanwhile: "for a minute" would become hours. So this one moves by whichever of
    the two clocks has moved further. (A lease needs no such thing: an attempt never spans
    invocations, and a wall clock that is set forward must not end it.)
    """

    def __init__(self) -> None:
        self._wall = time.time()
        self._steady = time.monotonic()

    def monotonic(self) -> float:
        return max(time.time() - self._wall, time.monotonic() - self._steady)


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
