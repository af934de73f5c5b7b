"""What a container remembers of stored things for some seconds."""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

AT_MOST = 1000

K = TypeVar("K")
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """Values by key, each good for so many seconds after it was put.

    The oldest go first: when a value is put, what is out of date is let go of, so that one
    account's large things do not stay in memory that all accounts share, and then what is
    more than `at_most`.
    """

    def __init__(
        self,
        seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
        at_most: int = AT_MOST,
    ) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self._at_most = at_most
        self._values: dict[K, tuple[float, V]] = {}

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        """None for what was never put, and for what is out of date."""
        known = self._values.get(key)
        return known[1] if known and known[0] > self._monotonic() else None

    def put(self, key: K, value: V) -> None:
        now = self._monotonic()
        self._values.pop(key, None)  # A dict is in the order in which its keys came.
        self._values[key] = (now + self._seconds, value)
        while len(self._values) > self._at_most or self._oldest_until() <= now:
            del self._values[next(iter(self._values))]

    def _oldest_until(self) -> float:
        until, _ = next(iter(self._values.values()))
        return until

    def forget(self, key: K) -> None:
        self._values.pop(key, None)

    def forget_all(self) -> None:
        self._values.clear()
