"""The `parley` command as a process of its own."""

import json
import os
import subprocess
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

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        """A command that is still running."""
        return subprocess.Popen(
            [BIN / "parley", *arguments],
            env=self.environment | environment,
            cwd=self.home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(
        self, *arguments: str, code: int = 0, stdin: str = "", **environment: str
    ) -> Ended:
        """Run a command to its end, which has to have this exit code."""
        process = self.start(*arguments, **environment)
        try:
            out, err = process.communicate(stdin, timeout=SECONDS)
        finally:
            process.kill()
        assert process.returncode == code, f"parley {arguments}: {process.returncode}\n{out}{err}"
        return Ended(out, err)

    def json(self, *arguments: str, code: int = 0, stdin: str = "") -> dict[str, Any]:
        """The one object that a command prints with --json."""
        content: dict[str, Any] = json.loads(self(*arguments, "--json", code=code, stdin=stdin).out)
        return content
