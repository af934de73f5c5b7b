"""`python -m local.update [STACK_FILE]` (`make update`): deploy changed sources again.

Without an argument it is the stack that PORT and STACK_FILE mean, as in `make run`. It keeps
running, with its data, its keys and the parameters it was started with. STACK_PARAMETERS
changes some of them; one that is not named keeps the value it had.
"""

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from local.deployment import LOCAL, build, built, deploy, locked
from local.emulator import Aws, forget_aws_settings
from local.options import read_options, read_parameters
from local.processes import StackError
from local.report import Progress


async def update(stack: Mapping[str, Any]) -> None:
    """Build if need be and deploy into the running stack that its file describes."""
    parameters = stack["parameters"] | read_parameters(os.environ)
    progress = Progress()
    async with locked(LOCAL / "build.lock"):
        if not built():
            with progress.step("Building"):
                await build()
        with progress.step("Deploying"):
            aws = Aws(stack["aws_endpoint"])
            await deploy(aws, parameters, Path(stack["home"]) / "deploy.log")


def running(arguments: Sequence[str], env: Mapping[str, str]) -> Path:
    """The file of the stack that is meant; StackError if that one is not running."""
    file = Path(arguments[0]) if arguments else read_options(env).stack_file
    if not file.exists():
        raise StackError(f"no {file}: that local stack is not running.")
    return file


def main() -> int:
    """Update the stack; the exit status."""
    forget_aws_settings()
    try:
        stack_file = running(sys.argv[1:], os.environ)
        asyncio.run(update(json.loads(stack_file.read_text())))
    except StackError as error:
        print(f"\nmake update: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
