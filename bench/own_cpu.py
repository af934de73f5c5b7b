"""Parley's own CPU for accepting a prompt and for an attempt: the handlers on stores in memory."""

import gc
from typing import Any

from bench.engine import functions
from bench.figures import cpu_us, reference_us, summary

ROUNDS = 1000
WARM = 100


def measure() -> dict[str, Any]:
    """µs of CPU, each also as a multiple of the reference work of the same run."""
    before = reference_us()["median"]
    with functions() as made:
        accepts = [cpu_us(made.post) for _ in range(WARM + ROUNDS)][WARM:]
        batches = [made.records(1) for _ in range(WARM + ROUNDS)]
        gc.collect()
        attempts = [cpu_us(lambda b=batch: made.run(b)) for batch in batches][WARM:]
    after = reference_us()["median"]
    reference = (before + after) / 2
    found = {"accept": summary(accepts), "attempt": summary(attempts)}
    for figures in found.values():
        figures["references"] = round(figures["median"] / reference, 1)
    return {"reference_us": round(reference, 1), "rounds": ROUNDS, "warm": WARM, "us": found}
