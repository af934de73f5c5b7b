"""The command as a process: entry point, stdin, exit codes, Ctrl-C."""

import os
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
