"""Processes that the local stack starts, and only those, ended by their ids."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

GRACE_SECONDS = 5.0


class StackError(Exception):
    """Something the user has to know about; its text is the whole message."""


@dataclass(frozen=True)
class Child:
    """A process in a session of its own, so that it and what it starts can be ended together.

    The session also keeps a Ctrl-C in the terminal from reaching it: the stack ends its
    processes in an order, the edge before what it forwards to.
    """

    name: str
    process: asyncio.subprocess.Process
    log: Path

    @property
    def pid(self) -> int:
        """The id of the process, which is also the id of its process group."""
        return self.process.pid

    def last_words(self, lines: int = 15) -> str:
        """The end of what it has written, for an error message."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    async def stop(self) -> None:
        """Ask it to end, wait a little, then kill its whole process group."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), GRACE_SECONDS)
        with contextlib.suppress(ProcessLookupError):  # Nothing of the group may be left.
            os.killpg(self.pid, signal.SIGKILL)
        await self.process.wait()


async def start(name: str, command: Sequence[str], log: Path, env: Mapping[str, str]) -> Child:
    """Start a process that writes to `log`."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(env),
            start_new_session=True,
        )
    return Child(name, process, log)


async def run(what: str, command: Sequence[str], log: Path, env: Mapping[str, str]) -> None:
    """Run a command to its end; raise StackError with the end of its output when it fails."""
    child = await start(what, command, log, env)
    try:
        status = await child.process.wait()
    finally:
        await child.stop()
    if status != 0:
        raise StackError(
            f"{what} failed (status {status}). The end of {log}:\n{child.last_words(30)}"
        )


def delete_behind(directory: Path) -> None:
    """Delete a directory without making anybody wait.

    Each process of a function leaves its layers unpacked, some 1,500 files: on a disk that
    discards what is freed, deleting those of a long run takes more than a minute.
    """
    if not directory.exists():
        return
    doomed = directory.with_name(f"{directory.name}.{time.time_ns()}")
    directory.rename(doomed)
    subprocess.Popen(
        ["rm", "-rf", "--", str(doomed)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def function_processes(emulator_pid: int, function_name: str) -> list[int]:
    """Ids of the processes in which the emulator runs a function, for tests that kill one.

    The emulator keeps a pool of child processes per function, one per concurrent invocation.
    Each is `python {TMPDIR}/ministack-lambda-{function name}-{random}/_worker.py`. One that was
    killed is noticed at once: its invocation counts as failed, so the messages of its batch stay
    hidden for their visibility time-out, as on AWS; the next invocation starts another process.
    """
    listing = subprocess.run(
        # -ww: nothing is cut to a screen's width, which pytest leaves in the environment.
        ["ps", "-Aww", "-o", "pid=,ppid=,args="],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found: list[int] = []
    for line in listing.splitlines():
        pid, parent, arguments = line.split(None, 2)
        if int(parent) == emulator_pid and f"/ministack-lambda-{function_name}-" in arguments:
            found.append(int(pid))
    return found
