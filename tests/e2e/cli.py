"""The `parley` command as a process of its own."""

import json
import os
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.stack import BIN, Stack

SECONDS = 90


@dataclass(frozen=True)
class Ended:
    """What a command said, on stdout and on stderr."""

    out: str
    err: str


@dataclass
class Running:
    """A command that is still running."""

    arguments: tuple[str, ...]
    process: "subprocess.Popen[str]"
    said: str = ""

    def until(self, word: str) -> str:
        """What it says on stdout, up to a word."""
        assert self.process.stdout is not None
        while word not in self.said:
            character = self.process.stdout.read(1)
            assert character, f"it ended without {word}: {self.said}"
            self.said += character
        return self.said

    def end(self, code: int | None = 0, stdin: str = "") -> Ended:
        """Wait for its end, which has to have this exit code; any, for None."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        killer = threading.Timer(SECONDS, self.process.kill)
        killer.start()
        with self.process:
            if stdin:
                self.process.stdin.write(stdin)
            self.process.stdin.close()
            # Not by `communicate`, which would pass over what `until` has read ahead.
            out = self.said + self.process.stdout.read()
            err = self.process.stderr.read()
        killer.cancel()
        ended = f"parley {self.arguments}: {self.process.returncode}\n{out}{err}"
        assert code in {None, self.process.returncode}, ended
        return Ended(out, err)


@dataclass(frozen=True)
class Parley:
    """Runs commands with one key; nothing of the caller's own settings is seen by them."""

    stack: Stack
    key: str
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PARLEY_", "XDG_"))}
        return kept | {
            "HOME": str(self.home),
            "PARLEY_API": self.stack.api,
            "PARLEY_WEBSOCKET": self.stack.websocket,
            "PARLEY_KEY": self.key,
        }

    def start(self, *arguments: str, **environment: str) -> "Running":
        """Begin a command."""
        process = subprocess.Popen(
            [BIN / "parley", *arguments],
            env=self.environment | environment,
            cwd=self.home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return Running(arguments, process)

    def __call__(
        self, *arguments: str, code: int | None = 0, stdin: str = "", **environment: str
    ) -> Ended:
        """Run a command to its end, which has to have this exit code."""
        return self.start(*arguments, **environment).end(code, stdin)

    def json(self, *arguments: str, code: int = 0, stdin: str = "") -> dict[str, Any]:
        """The one object that a command prints with --json."""
        content: dict[str, Any] = json.loads(self(*arguments, "--json", code=code, stdin=stdin).out)
        return content
