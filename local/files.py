"""The files of a local stack: what clients are told while it runs, what its next run is left.

There are keys in them, so they are for the user only.
"""

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from local.deployment import STACK_NAME
from local.emulator import REGION
from local.options import Options
from local.plan import Plan
from local.seed import Seeded, seed


def forget(options: Options) -> None:
    """Delete what an earlier stack has stored."""
    for name in ("state", "s3"):
        shutil.rmtree(options.home / name, ignore_errors=True)
    (options.home / "seeded.json").unlink(missing_ok=True)


async def seed_once(plan: Plan) -> Seeded:
    """Seed, unless the kept data is seeded already: keys are shown only once."""
    path = plan.options.home / "seeded.json"
    if path.exists():
        kept: Seeded = json.loads(path.read_text())
        return kept
    seeded = await seed(STACK_NAME, plan.aws.environment(), plan.provider, plan.edge)
    if plan.options.keep:
        write_private(path, dict(seeded))
    return seeded


@contextlib.contextmanager
def stack_file(options: Options, content: Mapping[str, object]) -> Iterator[None]:
    """The file that clients read. Its presence says that the stack is ready."""
    write_private(options.stack_file, content)
    try:
        yield
    finally:
        options.stack_file.unlink(missing_ok=True)


def description(
    plan: Plan, outputs: Mapping[str, str], seeded: Seeded, emulator_pid: int
) -> dict[str, object]:
    """What the stack's file says."""
    port = plan.options.port
    return {
        "api": f"http://localhost:{port}",
        "websocket": f"ws://localhost:{port}/ws",
        **seeded,
        "devmodel": plan.devmodel,
        "aws_endpoint": plan.aws.endpoint,
        "aws_region": REGION,
        "stack_name": STACK_NAME,
        "home": str(plan.options.home),
        "parameters": plan.parameters,
        "outputs": outputs,
        "emulator_pid": emulator_pid,
    }


def write_private(path: Path, content: Mapping[str, object]) -> None:
    """Write JSON whole or not at all, and for the user only: there are keys in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".writing")
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(content, indent=2) + "\n")
    fresh.replace(path)
