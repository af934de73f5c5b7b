"""Ctrl-C wherever it comes."""

import subprocess
import sys

import pytest

# It comes where Python ignores what is raised; without it being sent again, nobody leaves.
PROGRAM = """
import os, signal, sys, threading
{keep}

class Closed:
    def __del__(self):
        {raised}

try:
    closed = Closed()
    del closed
    threading.Event().wait({seconds})
    print("waited")
except KeyboardInterrupt:
    print("left")
"""
KEEP = "from parley_cli.held import keep_interrupts; keep_interrupts()"
INTERRUPTED = "os.kill(os.getpid(), signal.SIGINT); [None for _ in range(1000)]"


def said(keep: str, raised: str, seconds: float) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(keep=keep, raised=raised, seconds=seconds)
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)


@pytest.mark.parametrize(("keep", "what"), [(KEEP, "left\n"), ("", "waited\n")])
def test_an_interrupt_that_python_ignores_comes_again(keep: str, what: str) -> None:
    ended = said(keep, INTERRUPTED, seconds=30 if keep else 0.5)
    assert ended.stdout == what
    assert ("Exception ignored" in ended.stderr) == (not keep)


def test_other_errors_that_python_ignores_are_told_as_ever() -> None:
    ended = said(KEEP, "raise ValueError('as ever')", seconds=0)
    assert "ValueError: as ever" in ended.stderr
