"""What a function is before its first call: light, and fit for a snapshot."""

import os
import subprocess
import sys

import boto3.session
import pytest
from parley.assembly_api import api_engine
from parley.assembly_runner import runner_engine
from parley.assembly_socket import socket_engine
from parley.assembly_sweeper import sweeper_engine
from parley.settings import ApiSettings, RunnerSettings, SocketSettings, SweeperSettings, read

from tests.functions.stage import ENVIRONMENT

# Whatever a cold start must not pay for, by function.
HEAVY = {
    "api": ["openai", "httpx2", "aws_xray_sdk"],
    "socket": ["openai", "httpx2", "aws_xray_sdk"],
    "sweeper": ["openai", "httpx2", "aws_xray_sdk"],
    "runner": ["aws_xray_sdk"],
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("function", HEAVY)
def test_a_function_imports_only_what_it_uses(function: str) -> None:
    program = f"""
import asyncio, importlib, sys, threading
importlib.import_module("functions.{function}.app")
print([name for name in {HEAVY[function]} if name in sys.modules], threading.active_count())
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **ENVIRONMENT},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["[]", "1"]


def test_engines_are_made_without_a_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """A SnapStart snapshot keeps what is there at the end of the import, for ever."""

    def refuse(*_args: object, **_keywords: object) -> None:
        raise AssertionError("a client was made")

    monkeypatch.setattr(boto3.session.Session, "client", refuse)
    api_engine(read(ApiSettings))
    socket_engine(read(SocketSettings))
    sweeper_engine(read(SweeperSettings))
    runner_engine(read(RunnerSettings))


def test_engines_have_the_figures_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEP_SECONDS", "7")
    runner = runner_engine(read(RunnerSettings))
    api = api_engine(read(ApiSettings))

    assert runner.run.ports.policy == read(RunnerSettings).policy
    assert runner.run.ending.policy == read(RunnerSettings).policy
    assert api.policy == api.accept.policy == read(ApiSettings).policy
    assert api.cancel.ending.policy.sweep == runner.run.ending.policy.sweep == 7
    assert sweeper_engine(read(SweeperSettings)).ending.policy.sweep == 7
    assert socket_engine(read(SocketSettings)).cancel.ending.policy.sweep == 7
    assert socket_engine(read(SocketSettings)).follow.max_connections == 1000


def test_one_catalogue_serves_what_is_accepted_and_what_is_changed() -> None:
    """Or an admin's change would not reach the same process for a minute."""
    api = api_engine(read(ApiSettings))
    assert api.accept.models is api.models
