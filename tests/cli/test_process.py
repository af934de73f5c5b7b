"""The command as a process: entry point, stdin, exit codes, Ctrl-C."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.server import ADMIN_KEY, FakeApi

PARLEY = Path(sys.executable).parent / "parley"
# Only what hangs takes as long.
SECONDS = 60


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
        timeout=SECONDS,
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
        assert process.stdout
        shown = process.stdout.read(len("a long "))
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert (shown, out) == ("a long ", "")
    assert "parley prompts cancel p1" in error
    assert "Traceback" not in error
    assert api.prompts["p1"].status == "running"


def test_help_needs_no_configuration(environment):
    done = subprocess.run(
        [PARLEY, "--help"], capture_output=True, text=True, timeout=SECONDS, check=True
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
        process.wait(timeout=SECONDS)
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


def ended(command: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """A line of the shell, `parley` being what is tested; nothing of it may be a crash."""
    done = subprocess.run(
        ["/bin/bash", "-c", f'parley() {{ {PARLEY} "$@"; }}\n{command}'],
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    return done


@pytest.mark.parametrize("command", ["status", "status --json", "keys list", "prompt x --stream"])
def test_a_reader_that_left_is_told_apart_from_a_refusal(api: FakeApi, environment, command):
    """It has left before anything is written, as with `| true`, which may still be there."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [PARLEY, *command.split()],
            env=environment,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("command", ["status", "status --json", "prompts list --all --json"])
def test_output_that_cannot_be_written_is_an_error(api: FakeApi, environment, command):
    done = ended(f"parley {command} > /dev/full", environment)
    assert done.returncode == 1
    assert "the output cannot be written: No space left on device" in done.stderr


@pytest.mark.parametrize(
    "command", ["apply -f -", "prompt -", "chat stackademy", "models apply -f -"]
)
def test_a_closed_stdin_is_an_empty_one(api: FakeApi, environment, command):
    assert ended(f"parley {command} <&-", environment).returncode == 2
    assert not api.prompts


@pytest.mark.parametrize("command", ["prompt", "chat stackademy -m", "apply -f", "prompts show"])
def test_what_is_typed_in_no_encoding_is_a_usage_error(api: FakeApi, environment, command):
    done = ended(f"parley {command} $'\\xff'", environment)
    assert (done.returncode, "not UTF-8 text" in done.stderr) == (2, True)
    assert not api.calls


@pytest.mark.parametrize(
    "command", ["prompt -", "chat stackademy", "apply -f -", "models apply -f -"]
)
def test_what_is_piped_in_no_encoding_is_a_usage_error(api: FakeApi, environment, command):
    done = ended(f"printf '\\xff' | parley {command}", environment)
    assert (done.returncode, "stdin is not UTF-8 text" in done.stderr) == (2, True)


def test_the_locale_c_neither_garbles_nor_crashes(api: FakeApi, environment):
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    api.script = [("start",), ("say", "Grüße 漢"), ("finish",)]
    done = ended("parley prompt 'Grüße 漢字'", environment | plain)
    assert (done.returncode, done.stdout) == (0, "Gr\\xfc\\xdfe \\u6f22\n")
    assert next(iter(api.prompts.values())).body["prompt"] == "Grüße 漢字"


def test_on_a_narrow_screen_help_names_each_option_whole(environment):
    del environment["TERMINAL_WIDTH"]
    done = ended("parley chat --help", environment | {"COLUMNS": "40"})
    assert "--new-session" in done.stdout
    assert "╭" not in done.stdout
    assert "[bold]" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 50
    assert "╭" in ended("parley chat --help", environment | {"COLUMNS": "80"}).stdout
