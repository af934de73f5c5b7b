"""A command on a terminal of its own: typed to, read from, interrupted."""

import codecs
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

PARLEY = Path(sys.executable).parent / "parley"
SECONDS = 60


class Terminal:
    """A command of `parley` as a person has it before them."""

    def __init__(self, environment: dict[str, str], *words: str) -> None:
        self.ours, theirs = pty.openpty()
        self.sent = ""
        self.read = 0
        # What is there to be read may end in the middle of a character.
        self._text = codecs.getincrementaldecoder("utf-8")()
        self.process = subprocess.Popen(
            [PARLEY, *words],
            env=environment | {"TERM": "dumb"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def until(self, words: str) -> str:
        """What is shown next, up to these words."""
        end = time.monotonic() + SECONDS
        while (at := self.sent.find(words, self.read)) < 0:
            ready = select.select([self.ours], [], [], max(end - time.monotonic(), 0))[0]
            assert ready, f"{words!r} was not shown: {self.sent!r}"
            try:
                data = os.read(self.ours, 4096)
            except OSError:
                data = b""
            assert data, f"it ended without {words!r}: {self.sent!r}"
            self.sent += self._text.decode(data)
        said, self.read = self.sent[self.read : at + len(words)], at + len(words)
        return said

    def type(self, text: str) -> None:
        os.write(self.ours, f"{text}\n".encode())

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def interrupt_at_the_prompt(self) -> None:
        """Interrupt what waits for a line.

        One that comes just before readline listens is seen with the end of the line, so
        there is one.
        """
        self.interrupt()
        self.type("")

    def leave(self) -> int:
        """Interrupt it until it ends, as people do; the exit code.

        An interrupt between the handler of the one before it and the next wait for the network
        is seen by Python only when that wait is over.
        """
        for _ in range(SECONDS):
            self.interrupt()
            if self._ended(1):
                return self.process.wait(SECONDS)
        raise AssertionError(f"it did not end: {self.sent!r}")

    def end(self) -> int:
        """The exit code."""
        assert self._ended(SECONDS), f"it did not end: {self.sent!r}"
        return self.process.wait(SECONDS)

    def _ended(self, seconds: float) -> bool:
        """Read what it still writes, as a terminal would; True when that is over."""
        end = time.monotonic() + seconds
        while select.select([self.ours], [], [], max(end - time.monotonic(), 0))[0]:
            try:
                data = os.read(self.ours, 4096)
            except OSError:
                data = b""
            if not data:
                return True
            self.sent += self._text.decode(data)
        return False

    def close(self) -> None:
        """Whatever has become of it."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.ours)
