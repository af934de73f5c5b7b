"""What a fresh local stack is given: an account with two keys, a model, and llm_clients.

It is done with `parley bootstrap` and `parley apply`, as for a stack on AWS.
"""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from local.processes import StackError

ACCOUNT = "3141-5926-5359"
ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ("stackademy.yaml", "weather.yaml", "plain.yaml")
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


async def seed(stack_name: str, env: Mapping[str, str], provider: Provider, api: str) -> Seeded:
    """Put the account, its keys, the model and the llm_clients into a deployed stack.

    `env` makes AWS tools talk to the emulator. Raises StackError with what `parley` says.
    """
    # Which stack is meant is said here; the caller's file may be of the one before.
    env = {name: text for name, text in env.items() if not name.startswith("PARLEY_")}
    command = ["bootstrap", "--stack", stack_name, "--account", ACCOUNT, "--user-key"]
    command += ["--model-base-url", provider["base_url"], "--model-name", provider["model"]]
    made = await parley(command, {**env, "PARLEY_MODEL_KEY": provider["key"]})
    files = [word for name in EXAMPLES for word in ("--file", str(ROOT / "examples" / name))]
    access = {"PARLEY_API": api, "PARLEY_KEY": made["admin_key"]}
    await parley(["apply", *files], {**env, **access})
    return {"admin_key": made["admin_key"], "user_key": made["user_key"], "account": ACCOUNT}


async def parley(words: Sequence[str], env: Mapping[str, str]) -> dict[str, str]:
    """What a command answers with --json; raises StackError with what it says if it fails."""
    process = await asyncio.create_subprocess_exec(
        str(PARLEY),
        *words,
        "--json",
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    if process.returncode != 0:
        raise StackError(f"parley {words[0]} failed:\n{err.decode()}{out.decode()}")
    made: dict[str, str] = json.loads(out)
    return made
