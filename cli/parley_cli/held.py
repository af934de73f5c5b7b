"""Ctrl-C while something is asked for that may be accepted: noted, and raised afterwards.

An interrupt in the middle of a call would leave without knowing whether the call was
heard. So the first one is only noted until the answer is there; a second one leaves at once.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any, Self


@dataclass
class HeldInterrupt:
    """A block in which the first Ctrl-C is noted, and `told` about.

    `release` ends the holding and raises what was noted. It belongs into the `try` that
    knows what to do then, so that there is no moment between the two.
    """

    told: Callable[[], None]
    noted: bool = False
    _before: Any = None

    def __enter__(self) -> Self:
        try:
            self._before = signal.signal(signal.SIGINT, self._note)
        except ValueError:  # not the main thread: no signals come here
            self._before = None
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        if self.noted:
            raise KeyboardInterrupt
        self.noted = True
        self.told()

    def release(self) -> None:
        """Raises KeyboardInterrupt if one was noted."""
        self.__exit__()
        if self.noted:
            raise KeyboardInterrupt


AGAIN_SECONDS = 0.02


def keep_interrupts() -> None:
    """Let no Ctrl-C be lost.

    Python raises KeyboardInterrupt wherever the program happens to be. In a callback of the
    garbage collector, or a `__del__`, it is told on stderr and ignored: then it is sent again,
    by when the program is somewhere else.
    """
    usual = sys.unraisablehook

    def hook(ignored: Any) -> None:
        if issubclass(ignored.exc_type, KeyboardInterrupt):
            # Sent here, it would be raised here, and ignored as well.
            threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), signal.SIGINT)).start()
        else:
            usual(ignored)

    sys.unraisablehook = hook
