"""What 1,000 prompts cost on AWS: calls and units counted on moto, times a dated price table."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.budgets.meter import POST, Bill
from tests.budgets.scenarios import SCENARIOS, counted
from tests.budgets.world import World, world
from tests.fakes.provider import End, Say, Wait

PRICES = json.loads((Path(__file__).parent / "prices.json").read_text())
EACH = PRICES["per_unit"]
ASSUMED = PRICES["assumptions"]
PROMPTS = 1000
MONTH_SECONDS = 30.4 * 24 * 3600
SNAPSTART_FUNCTIONS = 2
QUEUES = 2
FRAME_BYTES = 32 * 1024

Story = Callable[[World], Awaitable[None]]


def _speaks(made: World) -> None:
    """The model answers for as long as is assumed, piece by piece."""
    pause = 1 / ASSUMED["pieces_per_second"]
    pieces = round(ASSUMED["model_seconds"] / pause)
    made.provider.scripts.append([*[Wait(pause), Say("banana ")] * pieces, End()])


async def _usual(made: World) -> None:
    prompt = await made.accept("t")
    _speaks(made)
    await made.run(prompt)


async def _waited_for(made: World) -> None:
    """A synchronous caller: its call reads the prompt until it is over."""
    prompt = await made.accept("t", sync=True)
    waiting = asyncio.ensure_future(made.api.read.show(made.principal, prompt.id, wait=25))
    _speaks(made)
    await made.run(prompt)
    await made.clock.finish(waiting)


def _bill(story: Story, *, turns_before: int = 1, followers: int = 0) -> Bill:
    async def told() -> Bill:
        with world() as made:
            await made.seed()
            await made.warm_up()
            made.fill("t", turns_before)
            await made.follow("t", followers)
            with made.meter.bill() as bill:
                await story(made)
            return bill

    return asyncio.run(told())


def price(bill: Bill, *, batch: int, sync: bool, log_bytes: float, own_ms: float) -> dict[str, Any]:
    """USD per 1,000 prompts by service."""
    posts = [call for call in bill.calls if call.operation == POST]
    call_seconds = ASSUMED["aws_call_ms"] / 1000
    api_seconds = 3 * call_seconds + own_ms / 1000 + (ASSUMED["model_seconds"] if sync else 0)
    runner_seconds = (ASSUMED["model_seconds"] + 5 * call_seconds) / batch + own_ms / 1000
    gigabytes = (log_bytes + ASSUMED["lambda_log_bytes"] * (1 + 1 / batch)) / 1e9
    gb_seconds = ASSUMED["memory_gb"] * EACH["lambda_gb_second_arm64"]
    parts = {
        "writes": bill.writes * EACH["dynamodb_write_unit"],
        "reads": bill.reads * EACH["dynamodb_read_unit"],
        "queue": (1 + 2 / batch) * EACH["sqs_request"] + EACH["sqs_fair_queue_request"],
        "API": api_seconds * gb_seconds + EACH["lambda_request"],
        "runner": runner_seconds * gb_seconds + EACH["lambda_request"] / batch,
        "gateway": EACH["http_api_request"],
        "sockets": _sockets(posts),
        "logs": gigabytes * EACH["log_gb"],
    }
    return {name: round(usd * PROMPTS, 6) for name, usd in parts.items()}


def _sockets(posts: list[Any]) -> float:
    if not posts:
        return 0
    messages = sum(-(-call.sent // FRAME_BYTES) for call in posts)
    minutes = ASSUMED["follower_minutes"] * EACH["websocket_minute"]
    return float(messages * EACH["websocket_message"] + minutes)


def idle_month(alarms: int) -> dict[str, float]:
    """USD for a month in which nobody asks anything; free tiers are not taken off."""
    sweeps = MONTH_SECONDS / 60
    gb_seconds = ASSUMED["memory_gb"] * EACH["lambda_gb_second_arm64"]
    each_sweep = (
        8 * EACH["dynamodb_read_unit"]
        + EACH["lambda_request"]
        + EACH["scheduler_invocation"]
        + ASSUMED["sweep_seconds"] * gb_seconds
    )
    cached = SNAPSTART_FUNCTIONS * ASSUMED["memory_gb"] * MONTH_SECONDS
    polls = QUEUES * ASSUMED["pollers_per_queue"] * MONTH_SECONDS / ASSUMED["poll_seconds"]
    return {
        "SnapStart snapshots, one version of api and socket": cached
        * EACH["snapstart_cache_gb_second"],
        "sweeper": sweeps * each_sweep,
        "polling of two queues": polls * EACH["sqs_request"],
        "alarms": alarms * EACH["alarm_month"],
    }


def measure(log_bytes: float, own_ms: float) -> dict[str, Any]:
    """Prices by kind of prompt, what they consist of, and the bill of everything counted."""
    usual, long = _bill(_usual), _bill(_usual, turns_before=999)
    waited, followed = _bill(_waited_for), _bill(_usual, followers=1)
    kinds = {
        "short thread, alone": (usual, 1, False),
        "short thread, batch of 10": (usual, 10, False),
        "turn 1,000, alone": (long, 1, False),
        "synchronous, alone": (waited, 1, True),
        "synchronous, batch of 10": (waited, 10, True),
        "one follower, alone": (followed, 1, False),
    }
    rows = {}
    for name, (bill, batch, sync) in kinds.items():
        parts = price(bill, batch=batch, sync=sync, log_bytes=log_bytes, own_ms=own_ms)
        calls, writes, reads = bill.figures
        counts = {"calls": calls, "writes": writes, "reads": reads}
        rows[name] = counts | {"usd": round(sum(parts.values()), 4), "parts": parts}
    alarms = (
        (Path(__file__).parents[1] / "template.yaml")
        .read_text()
        .count("Type: AWS::CloudWatch::Alarm")
    )
    idle = {name: round(usd, 2) for name, usd in idle_month(alarms).items()}
    return {"prices": PRICES["checked"], "per_1000": rows, "idle_month": idle, "lives": lives()}


def lives() -> dict[str, Any]:
    """Calls and units of everything that can happen to a prompt."""
    found = {}
    for name in SCENARIOS:
        with world() as made:
            bill = asyncio.run(counted(made, name))
        calls, writes, reads = bill.figures
        found[name] = {
            "calls": calls,
            "writes": writes,
            "reads": reads,
            "by_operation": bill.by_operation,
        }
    return found
