"""What a command says: tables and live text for people, one JSON object for programs.

Answers and titles come from models and other users, so on a terminal they may not steer
it: control characters are shown as a mark, and nothing is read as Rich's markup.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.text import Text

CONTROLS = dict.fromkeys([*range(32), *range(127, 160)], "\N{REPLACEMENT CHARACTER}")
for kept in "\n\t":
    del CONTROLS[ord(kept)]
# Output that goes into a file or a pipe is not cut to the width of a screen.
FILE_WIDTH = 2000
GUTTER = "  "
SMALLEST_CELL = 16
STYLES = {
    "scheduled": "cyan",
    "running": "blue",
    "errored": "yellow",
    "completed": "green",
    "abandoned": "red",
    "canceled": "magenta",
    "failed": "red",
    "refused": "red",
    "lost": "red",
    "ok": "green",
    "warning": "yellow",
    "failing": "red",
}


def harmless(text: str) -> str:
    """The text without characters that a terminal would obey."""
    return text.translate(CONTROLS)


@dataclass
class Output:
    """Where a command's words go. With `json` stdout gets one object and nothing else."""

    json: bool = False
    out: Console = field(default_factory=lambda: _console(stderr=False))
    err: Console = field(default_factory=lambda: _console(stderr=True))

    @property
    def live(self) -> bool:
        """True if somebody watches stdout."""
        return self.out.is_terminal and not self.json

    def result(self, thing: dict[str, Any]) -> None:
        """The one JSON object of a command."""
        sys.stdout.write(json.dumps(thing, ensure_ascii=False, indent=2) + "\n")
        sys.stdout.flush()

    def line(self, thing: dict[str, Any]) -> None:
        """One of many JSON objects, for commands that tell what happens."""
        sys.stdout.write(json.dumps(thing, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def write(self, text: str) -> None:
        """Text as it is: what a model said, piece by piece."""
        stream = sys.stdout
        stream.write(harmless(text) if self.out.is_terminal else text)
        stream.flush()

    def say(self, text: str, style: str = "") -> None:
        """A line for people on stdout."""
        if not self.json:
            self.out.print(Text(harmless(text), style), soft_wrap=True)

    def note(self, text: str, style: str = "dim") -> None:
        """A line beside the result, on stderr; programs do not get it."""
        if not self.json:
            self.err.print(Text(harmless(text), style), soft_wrap=True)

    def error(self, text: str, problems: Sequence[str] = (), refusal: str = "") -> None:
        """Why the command failed; the problems that the text sums up come before it.

        `refusal` is what the API calls it, if it was the API that refused.
        """
        if self.json:
            told: dict[str, Any] = {"error": "\n".join([*problems, text])}
            told |= {"code": refusal} if refusal else {}
            told |= {"problems": list(problems)} if problems else {}
            sys.stderr.write(json.dumps(told, ensure_ascii=False) + "\n")
            return
        for problem in problems:
            self.err.print(Text(harmless(problem)), soft_wrap=True)
        self.err.print(Text.assemble(("error: ", "bold red"), harmless(text)), soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
        """A table. Only its last column is cut: ids are there to be copied.

        Rich's own tables squeeze every column when one is long, ids included.
        """
        cells = [[_cell(value) for value in row] for row in rows]
        heads = [Text(name, "bold") for name in columns]
        widths = [
            max(row[number].cell_len for row in [heads, *cells])
            for number in range(len(columns) - 1)
        ]
        room = self.out.width - sum(widths) - len(GUTTER) * len(widths)
        for row in [heads, *cells]:
            line = Text()
            for cell, width in zip(row[:-1], widths, strict=True):
                line.append(cell).append(" " * (width - cell.cell_len) + GUTTER)
            last = row[-1].copy()
            last.truncate(max(room, SMALLEST_CELL), overflow="ellipsis")
            line.append(last)
            line.rstrip()
            self.out.print(line, soft_wrap=True)

    def facts(self, facts: Sequence[tuple[str, str | Text]]) -> None:
        """Names and values, one to a line; empty ones are left out."""
        given = [(name, value) for name, value in facts if value]
        width = max((len(name) for name, _ in given), default=0)
        for name, value in given:
            line = Text().append(name.ljust(width) + GUTTER, "dim").append(_cell(value))
            self.out.print(line, soft_wrap=True)

    @contextlib.contextmanager
    def waiting(self, text: str) -> Iterator["Waiting"]:
        """A line on stderr that moves while there is nothing else to show."""
        moves = self.err.is_terminal and not self.err.is_dumb_terminal
        waiting = Waiting(self.err, enabled=moves and not self.json)
        waiting.show(text)
        try:
            yield waiting
        finally:
            waiting.hide()


@dataclass
class Waiting:
    """The moving line of `Output.waiting`. Once hidden it stays so until shown again."""

    console: Console
    enabled: bool
    _progress: Progress | None = None

    def show(self, text: str) -> None:
        """Show this instead of what is shown."""
        if not self.enabled:
            return
        self.hide()
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False))
        self._progress = Progress(*columns, console=self.console, transient=True)
        self._progress.add_task(harmless(text))
        self._progress.start()

    def hide(self) -> None:
        """Make room for other output."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


class _Console(Console):
    """A console whose reader may leave: that is for the command to end with, not for Rich."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        raise BrokenPipeError


def _console(*, stderr: bool) -> Console:
    console = _Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = FILE_WIDTH
    return console


def _cell(value: str | Text) -> Text:
    return value if isinstance(value, Text) else Text(harmless(value))


def one_line(text: str, length: int = 200) -> str:
    """The beginning of a text, for a table's cell."""
    line = " ".join(text[: length * 2].split())
    return line if len(line) <= length else line[: length - 1] + "…"


def tool_line(call: Mapping[str, Any]) -> str:
    """A call of a tool in a line: which one, with what, how it ended, how long it took.

    Takes a frame of the socket and an entry of a stored answer's `tool_calls`.
    """
    arguments = one_line(str(call.get("arguments") or ""), 80)
    told = f"{call.get('plugin') or call.get('name')}({'' if arguments == '{}' else arguments})"
    outcome = str(call.get("outcome") or "")
    if not outcome:
        return told
    took = int(call.get("milliseconds", call.get("ms")) or 0)
    return f"{told}: {outcome}, {f'{took} ms' if took < 1000 else span(took / 1000)}"


def status(word: str) -> Text:
    """A state in its colour."""
    return Text(word, STYLES.get(word, ""))


def seconds_of(moment: object) -> float | None:
    """A moment of the API in seconds since the epoch: RFC 3339 text or integer ms."""
    if isinstance(moment, bool) or not moment:
        return None
    if isinstance(moment, int | float):
        return float(moment) / 1000
    try:
        parsed = datetime.fromisoformat(str(moment))
    except ValueError:
        return None
    # Go's zero time: "never" in the prompt-svc contract.
    return parsed.timestamp() if parsed.year > 1 else None


def clock_time(moment: object) -> str:
    """Local date and time, to the second."""
    seconds = seconds_of(moment)
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def age(moment: object, now: float | None = None) -> str:
    """How long ago, in one unit."""
    seconds = seconds_of(moment)
    if seconds is None:
        return ""
    return f"{span(max((now or time.time()) - seconds, 0), whole=True)} ago"


def span(seconds: float, *, whole: bool = False) -> str:
    """A length of time as people say it."""
    if seconds < 60:
        return f"{seconds:.0f} s" if whole else f"{seconds:.1f} s"
    for unit, length in (("min", 60), ("h", 3600), ("d", 86400)):
        if seconds < length * (60 if length < 3600 else 48) or unit == "d":
            return f"{seconds / length:.0f} {unit}"
    return ""
