"""`python -m bench`: measures, prints tables, writes bench/results.json. About two minutes."""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from io import TextIOBase
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import tables
from bench.figures import machine

RESULTS = Path(__file__).parent / "results.json"


class Counting(TextIOBase):
    """Where the functions' logs go: nowhere, counted."""

    def __init__(self) -> None:
        self.bytes = 0

    def write(self, text: str) -> int:
        self.bytes += len(text.encode())
        return len(text)


def main() -> None:
    """Every section in turn, quietly; then the tables."""
    os.environ["POWERTOOLS_LOG_LEVEL"] = "INFO"
    console = Console(file=sys.__stdout__, width=None if sys.stdout.isatty() else 110)
    results: dict[str, Any] = {"machine": machine()}
    logs = Counting()

    def section(name: str, title: str, call: Callable[[Any], Any]) -> Any:
        console.print(f"[dim]{title} ...[/dim]", end=" ")
        start = time.monotonic()
        # The functions' logger writes to what standard output was when it was made.
        with redirect_stdout(logs):
            results[name] = call(importlib.import_module(f"bench.{name}"))
        console.print(f"[dim]{time.monotonic() - start:.0f} s[/dim]")
        return results[name]

    own = section("own_cpu", "CPU per prompt and per attempt", lambda m: m.measure())
    prompts = own["rounds"] + own["warm"]
    own["log_bytes_per_prompt"] = round(logs.bytes / prompts)
    own_ms = own["us"]["attempt"]["median"] / 1000
    section("start_up", "Imports, in fresh processes", lambda m: m.measure())
    section("throughput", "One runner", lambda m: m.measure())
    section("delivery", "From the provider to the socket", lambda m: m.measure())
    section("cost", "Calls, units and prices", lambda m: m.measure(logs.bytes / prompts, own_ms))
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    for table in tables.of(results):
        console.print(table)
    console.print(f"[dim]All figures: {RESULTS.relative_to(Path.cwd())}[/dim]")


main()
