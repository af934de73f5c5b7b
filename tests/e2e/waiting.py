"""Waiting for conditions. No test sleeps for a time that somebody guessed."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

SECONDS = 90.0
PAUSE_SECONDS = 0.1


def until(look: Callable[[], T], what: str, seconds: float = SECONDS) -> T:
    """The first true value of `look`; fails the test, saying what was awaited and last seen."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}; last seen: {seen!r}"
        time.sleep(PAUSE_SECONDS)
    return seen
