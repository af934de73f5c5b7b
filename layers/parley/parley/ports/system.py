"""The machine: time, and randomness."""

from typing import Protocol


class Clock(Protocol):
    """Time, and waiting for it."""

    def now(self) -> int:
        """Wall clock, ms since the epoch. For what is stored."""

    def monotonic(self) -> float:
        """Seconds of a clock that never jumps. For what an attempt decides about itself."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class Ids(Protocol):
    """Random names."""

    def new(self, prefix: str) -> str:
        """A fresh id, `prefix_` and at least 80 random bits, within the id pattern."""

    def token(self) -> str:
        """A fresh secret of 256 random bits, 64 lower-case hex digits."""

    def fraction(self) -> float:
        """Uniform in [0, 1): jitter."""
