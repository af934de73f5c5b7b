"""What a fresh local stack is given: an account with two keys, and a model.

It is done with `parley bootstrap`, as for a stack on AWS.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from local.processes import StackError

ACCOUNT = "3141-5926-5359"
PARLEY = Path(sys.executable).parent / "parley"


class Seeded(TypedDict):
    """The account of the local stack and its two keys."""

    admin_key: str
    user_key: str
    account: str


class Provider(TypedDict):
    """An OpenAI-compatible endpoint. `key` may be empty."""

    base_url: str
    model: str
    key: str


async def seed(stack_name: str, env: Mapping[str, str], provider: Provider) -> Seeded:
    """Put the account, its keys and the model into a deployed stack.

    `env` makes AWS tools talk to the emulator. Raises StackError with what `parley` says.
    """
    command = [str(PARLEY), "bootstrap", "--json", "--stack", stack_name, "--account", ACCOUNT]
    command += ["--user-key", "--model-base-url", provider["base_url"]]
    command += ["--model-name", provider["model"]]
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**env, "PARLEY_MODEL_KEY": provider["key"]},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    if process.returncode != 0:
        raise StackError(f"parley bootstrap failed:\n{err.decode()}{out.decode()}")
    made = json.loads(out)
    return {"admin_key": made["admin_key"], "user_key": made["user_key"], "account": ACCOUNT}
