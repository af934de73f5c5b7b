"""The command as a process: entry point, stdin, exit codes, Ctrl-C."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.server import ADMIN_KEY, FakeApi

PARLEY = Path(sys.executable).parent / "parley"


@pytest.fixture
def environment(api: FakeApi) -> dict[str, str]:
    return dict(os.environ) | {"PARLEY_API": api.url, "PARLEY_KEY": ADMIN_KEY}


def test_a_pipe_in_and_a_pipe_out(api: FakeApi, environment):
    done = subprocess.run(
        [PARLEY, "prompt", "-"],
        input="What's a banana?",
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "Hello world\n"), done.stderr
    assert next(iter(api.prompts.values())).body["prompt"] == "What's a banana?"


def test_ctrl_c_ends_with_130_and_leaves_the_prompt_alone(api: FakeApi, environment):
    api.script = [("watched", 1), ("start",), ("say", "a long ")]
    command = [PARLEY, "prompt", "x", "--id", "p1", "--stream"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        end = time.monotonic() + 20
        while not (api.prompts.get("p1") and api.prompts["p1"].text):
            assert time.monotonic() < end
            time.sleep(0.05)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=10)
    assert process.returncode == 130
    assert out == "a long "
    assert "parley prompts cancel p1" in error
    assert "Traceback" not in error
    assert api.prompts["p1"].status == "running"


def test_a_reader_that_leaves_is_no_crash(api: FakeApi, environment):
    command = f"{PARLEY} prompt x --stream | true"
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "Traceback" not in done.stderr


def test_help_needs_no_configuration(environment):
    done = subprocess.run(
        [PARLEY, "--help"], capture_output=True, text=True, timeout=30, check=True
    )
    assert "What's a banana?" in done.stdout


def on_a_terminal(command: list[str | Path], environment: dict[str, str]) -> str:
    """What a terminal is sent, control sequences included."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command, env=environment | {"TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        sent = b""
        while True:
            try:
                data = os.read(ours, 4096)
            except OSError:  # Linux's way to say that the other end is closed
                break
            sent += data
            if not data:
                break
        process.wait(timeout=10)
    os.close(ours)
    return sent.decode()


def test_what_a_failed_attempt_said_stays_on_the_screen(api: FakeApi, environment):
    """The moving line must not begin, and so erase, in the middle of the answer's line."""
    api.script = [
        ("watched", 1),
        ("start",),
        ("say", "Half an"),
        ("fail", "cut"),
        ("pause", 0.3),
        ("start",),
        ("say", "A whole \x1b[2Janswer."),
        ("finish",),
    ]
    sent = on_a_terminal([PARLEY, "prompt", "x"], environment)
    assert "Half an\r\n" in sent
    assert "attempt 1 failed (cut)" in sent
    assert "A whole �[2Janswer.\r\n" in sent
    assert "\x1b[2J" not in sent
