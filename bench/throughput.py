"""Prompts per second and billed time per prompt through one runner, with a model of 200 ms."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

from parley.core.prompt import Usage
from parley.ports import Finished, ProviderRequest, TextDelta

from bench.engine import functions
from bench.figures import summary

MODEL_SECONDS = 0.2
CALL_MS = (0, 5)
INVOCATIONS = {1: 20, 10: 15}


async def slow(_: ProviderRequest) -> AsyncGenerator[TextDelta | Finished, None]:
    await asyncio.sleep(MODEL_SECONDS)
    yield TextDelta("A banana is a fruit.")
    yield Finished("stop", Usage(10, 5))


async def _sleep() -> float:
    start = time.perf_counter()
    await asyncio.sleep(MODEL_SECONDS)
    return time.perf_counter() - start


def _one(batch: int, call_ms: float) -> dict[str, Any]:
    with functions(slow, call_seconds=call_ms / 1000) as made:
        for _ in range(batch * (INVOCATIONS[batch] + 1)):
            made.post()
        made.run(made.records(batch))
        taken = []
        for _ in range(INVOCATIONS[batch]):
            records = made.records(batch)
            start = time.perf_counter()
            made.run(records)
            taken.append(time.perf_counter() - start)
    median = summary(taken)["median"]
    return {
        "batch": batch,
        "call_ms": call_ms,
        "prompts_per_second": round(batch / median, 1),
        "billed_ms_per_prompt": round(median / batch * 1000, 1),
        "of_the_model_s_time": round(median / MODEL_SECONDS, 2),
    }


def measure() -> dict[str, Any]:
    """One invocation after the other, as one runner works; stores in memory."""
    reference = summary([asyncio.run(_sleep()) for _ in range(5)])["median"]
    rows = [_one(batch, call_ms) for call_ms in CALL_MS for batch in INVOCATIONS]
    return {"reference_ms": round(reference * 1000, 1), "rows": rows}
