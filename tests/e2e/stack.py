"""The local stack that the end-to-end tests share: one real `python -m local.stack`.

It runs with times shortened to what tests can wait for, and with IAM enforced, as always.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx

from local.emulator import ROOT_KEY, Aws, free_port
from local.processes import function_processes
from local.seed import EXAMPLES
from tests.e2e.connections import connected_to
from tests.e2e.waiting import until

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PARAMETERS = {
    # Longer than a busy machine makes a runner stand still: what is lost is run again.
    "LeaseSeconds": "10",
    "BackoffBaseSeconds": "0.2",
    "SweepSeconds": "2",
    "SyncBudgetSeconds": "8",
}
SWEEP_EVERY = "1"
# Goes on with the spec that the examples end with.
ROOM = """
  limits:
    sessionTurnsPerMinute: 1000
    addressTurnsPerMinute: 6000
    clientTurnsPerMinute: 6000
"""
# A first build brings the layers' packages.
START_SECONDS = 480
END_SECONDS = 60


@dataclass(frozen=True)
class Stack:
    """What a test needs to know of the running stack; the fields are those of its file."""

    file: Path
    log: Path
    api: str
    websocket: str
    account: str
    admin_key: str
    user_key: str
    devmodel: str
    aws_endpoint: str
    aws_region: str
    stack_name: str
    emulator_pid: int
    home: Path
    outputs: dict[str, str]

    @property
    def where_logs_are(self) -> str:
        """For the report of a failed test."""
        return f"{self.log}\n{self.home}/*.log"

    @property
    def environment(self) -> dict[str, str]:
        """For AWS tools: they reach the emulator and nothing else."""
        return Aws(self.aws_endpoint).environment()

    def client(self, service: str, **credentials: str) -> Any:
        """A boto3 client of the emulator; its root unless other credentials are given."""
        root = {"aws_access_key_id": ROOT_KEY, "aws_secret_access_key": ROOT_KEY}
        return boto3.client(
            service,
            endpoint_url=self.aws_endpoint,
            region_name=self.aws_region,
            **(credentials or root),
        )

    def kill_runners(self) -> int:
        """Kill -9 every runner that speaks with the model; how many there were.

        None that is still starting: the emulator then ends all others of the function, too, and
        takes away the directories of those that start, which fail and have the same effect.
        """
        running = function_processes(self.emulator_pid, self.outputs["RunnerFunctionName"])
        speaking = connected_to(int(self.devmodel.rpartition(":")[2]), running)
        for pid in speaking:
            with suppress(ProcessLookupError):  # it has ended since it was found
                os.kill(pid, signal.SIGKILL)
        return len(speaking)


@contextmanager
def running(directory: Path) -> Iterator[Stack]:
    """A stack for as long as the context is open; its end has to be a clean one."""
    file, log = directory / "stack.json", directory / "stack.log"
    settings = {
        "PORT": str(free_port()),
        "STACK_FILE": str(file),
        "STACK_PARAMETERS": " ".join(f"{name}={value}" for name, value in PARAMETERS.items()),
        "SWEEP_EVERY": SWEEP_EVERY,
    }
    unwanted = {"KEEP", "LLM_BASE_URL"}
    environment = {k: v for k, v in os.environ.items() if k not in unwanted} | settings
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "local.stack"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        until(
            lambda: file.exists() or process.poll() is not None,
            f"the stack to start, see {log}",
            START_SECONDS,
        )
        assert process.poll() is None, f"the stack did not start:\n{log.read_text()}"
        yield described(file, log)
    finally:
        end(process)
    assert process.returncode == 0, f"the stack did not end well:\n{log.read_text()}"
    assert not file.exists()


def make_room(stack: Stack) -> None:
    """Let the seeded llm_clients take as many turns a minute as the tests, all from one address."""
    for name in EXAMPLES:
        manifest = (ROOT / "examples" / name).read_text() + ROOM
        answer = httpx.post(
            f"{stack.api.replace('localhost', '127.0.0.1')}/api/v1/cli/apply/",
            content=manifest.encode(),
            headers={
                "Authorization": f"Bearer {stack.admin_key}",
                "Content-Type": "application/yaml",
            },
            timeout=40,
        )
        assert answer.status_code == 200, answer.text


def described(file: Path, log: Path) -> Stack:
    """The stack as its file describes it."""
    told = json.loads(file.read_text())
    told |= {"file": file, "log": log, "home": Path(told["home"])}
    return Stack(**{name: told[name] for name in Stack.__dataclass_fields__})


def end(process: "subprocess.Popen[bytes]") -> None:
    """Ask the stack to end; kill it if it does not."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
