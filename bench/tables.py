"""The figures as tables for people."""

from collections.abc import Iterator
from typing import Any

from rich.table import Table


def of(results: dict[str, Any]) -> Iterator[Table]:
    """One table per section."""
    yield _cpu(results["own_cpu"], results["machine"])
    yield _start_up(results["start_up"])
    yield _throughput(results["throughput"])
    yield _delivery(results["delivery"])
    yield _lives(results["cost"]["lives"])
    yield _cost(results["cost"])
    yield _idle(results["cost"]["idle_month"])


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    first, *others = columns
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _cpu(own: dict[str, Any], machine: dict[str, Any]) -> Table:
    where = f"{machine['processor']}, Python {machine['python']}, load {machine['load_before']}"
    title = f"Own CPU, stores in memory ({where}; reference {own['reference_us']} µs)"
    table = _table(title, "", "median µs", "p99 µs", "times reference")
    for name, us in own["us"].items():
        table.add_row(name, f"{us['median']:.0f}", f"{us['p99']:.0f}", str(us["references"]))
    return table


def _start_up(start: dict[str, Any]) -> Table:
    title = f"Import, against boto3 and a DynamoDB client ({start['reference_ms']} ms in this run)"
    table = _table(title, "function", "ms", "ratio")
    for name, row in start["functions"].items():
        table.add_row(name, str(row["ms"]), f"{row['ratio']:.2f}")
    return table


def _throughput(found: dict[str, Any]) -> Table:
    title = f"One runner, a model of 200 ms (a sleep of 200 ms took {found['reference_ms']} ms)"
    table = _table(title, "batch", "ms per AWS call", "prompts/s", "billed ms each", "times model")
    for row in found["rows"]:
        table.add_row(
            str(row["batch"]),
            str(row["call_ms"]),
            str(row["prompts_per_second"]),
            str(row["billed_ms_per_prompt"]),
            str(row["of_the_model_s_time"]),
        )
    return table


def _delivery(found: dict[str, Any]) -> Table:
    title = f"Provider's piece to post, ms (waking a task took {found['reference_ms']} ms)"
    table = _table(title, "pieces", "post takes ms", "followers", "median", "p99")
    for row in found["rows"]:
        ms = row["ms"]
        where = (row["pace"], str(row["post_ms"]), str(row["followers"]))
        table.add_row(*where, f"{ms['median']:.2f}", f"{ms['p99']:.2f}")
    return table


def _lives(lives: dict[str, Any]) -> Table:
    table = _table("Counted, per prompt", "what happens", "AWS calls", "write units", "read units")
    for name, row in lives.items():
        table.add_row(name, str(row["calls"]), str(row["writes"]), f"{row['reads']:g}")
    return table


def _cost(cost: dict[str, Any]) -> Table:
    title = f"US cents per 1,000 prompts, us-east-1, prices of {cost['prices']}"
    rows = cost["per_1000"]
    parts = next(iter(rows.values()))["parts"]
    table = _table(title, "an answer of 3 s", *parts, "all")
    for name, row in rows.items():
        cents = [*(row["parts"][part] for part in parts), row["usd"]]
        table.add_row(name, *(f"{usd * 100:.2f}" for usd in cents))
    return table


def _idle(idle: dict[str, float]) -> Table:
    table = _table("USD per month when nobody asks anything (free tiers not taken off)", "", "USD")
    for name, usd in idle.items():
        table.add_row(name, f"{usd:.2f}")
    table.add_section()
    table.add_row("all", f"{sum(idle.values()):.2f}")
    return table
