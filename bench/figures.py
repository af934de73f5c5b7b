"""Figures of a series of measurements, and the machine they were taken on."""

import hashlib
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

REFERENCE_ROUNDS = 300
DOCUMENT = json.dumps({"text": "What is a banana? " * 100, "numbers": list(range(100))})


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median and 99th percentile."""
    ordered = sorted(values)
    at = min(len(ordered) - 1, int(len(ordered) * 0.99))
    return {"median": round(statistics.median(ordered), 4), "p99": round(ordered[at], 4)}


def cpu_us(work: Callable[[], Any]) -> float:
    """CPU time of this process for one call, µs."""
    start = time.process_time_ns()
    work()
    return (time.process_time_ns() - start) / 1000


def reference_work() -> None:
    """A fixed piece of work of the kind that handlers do: parse, hash, write 3 KB of JSON."""
    value = json.loads(DOCUMENT)
    hashlib.sha256(DOCUMENT.encode()).hexdigest()
    json.dumps(value)


def reference_us() -> dict[str, float]:
    """What the reference work takes here and now, µs of CPU."""
    return summary([cpu_us(reference_work) for _ in range(REFERENCE_ROUNDS)])


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
        "date": time.strftime("%Y-%m-%d"),
    }
