"""What importing each function takes, against importing boto3 and making a DynamoDB client.

Fresh processes, one after the other in turn, so that a busy machine slows all of them alike.
"""

import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.budgets.test_imports import hidden_from, in_layer
from tests.functions.stage import ENVIRONMENT

ROUNDS = 7
ROOT = Path(__file__).parents[1]
BOTO3 = "import boto3; boto3.client('dynamodb', region_name='us-east-1')"
PROBE = """
import importlib.abc, sys, time
hidden = frozenset({hidden!r})
class Hide(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if path is None and name in hidden:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Hide())
start = time.perf_counter()
{statement}
print((time.perf_counter() - start) * 1000)
"""


def _milliseconds(statement: str, hidden: list[str]) -> float:
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(hidden=hidden, statement=statement)],
        cwd=ROOT,
        env={**os.environ, **ENVIRONMENT, "POWERTOOLS_LOG_LEVEL": "CRITICAL"},
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout.splitlines()[-1])


def measure() -> dict[str, Any]:
    """Medians, ms, and as multiples of the reference; one round before is thrown away."""
    base, provider = in_layer("base"), in_layer("provider")
    of_base, of_runner = hidden_from(base), hidden_from(base | provider)
    statements = {"boto3 and a DynamoDB client": (BOTO3, of_base)}
    for name in ("api", "socket", "sweeper", "runner"):
        hidden = of_runner if name == "runner" else of_base
        statements[name] = (f"import functions.{name}.app", hidden)
    taken: dict[str, list[float]] = {name: [] for name in statements}
    for _ in range(ROUNDS + 1):
        for name, (statement, hidden) in statements.items():
            taken[name].append(_milliseconds(statement, hidden))
    medians = {name: statistics.median(values[1:]) for name, values in taken.items()}
    reference = medians.pop("boto3 and a DynamoDB client")
    return {
        "rounds": ROUNDS,
        "reference_ms": round(reference),
        "functions": {
            name: {"ms": round(ms), "ratio": round(ms / reference, 2)}
            for name, ms in medians.items()
        },
    }
