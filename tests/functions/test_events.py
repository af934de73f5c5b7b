"""The files for `sam local invoke` are events that the handlers understand."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from parley.assembly_runner import Runner
from parley.core.access import ApiKey, KeyRole, key_hash
from parley.kept_loop import KeptLoop
from parley.observability import CallsObserver, TurnsObserver
from parley.wire.http import Http

from tests.fakes.sessions import SessionWorld
from tests.fakes.world import ACCOUNT, World
from tests.functions.stage import Context, SetAside, Told, WorldLoop, function, socket_of
from tests.wire.http_client import api_of

EVENTS = {path.stem: path for path in Path("events").glob("*.json")}
FED = {"api", "runner", "socket_connect", "socket_subscribe", "sweeper"}
TOKEN = "0" * 64


def event(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(EVENTS[name].read_text())
    return loaded


def handled(name: str, app: Any) -> dict[str, Any]:
    answer: dict[str, Any] = app.handler(event(name), Context())
    return answer


@pytest.fixture
def world() -> SessionWorld:
    made = SessionWorld()
    key = ApiKey(ACCOUNT, "key_1", key_hash(TOKEN), "usr_1", KeyRole.USER, "", 0)
    made.accounts.by_hash[key.hash] = key
    return made


def stage(name: str, engine: Any, world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    app = function(name)
    monkeypatch.setattr(app, "engine", engine)
    monkeypatch.setattr(app, "loop", WorldLoop(app.loop, world))
    return app


def test_every_function_has_an_event_and_every_event_is_fed_here() -> None:
    assert EVENTS.keys() == FED
    assert {name.partition("_")[0] for name in EVENTS} == {"api", "runner", "socket", "sweeper"}


def test_the_api_accepts_the_prompt_of_its_event(
    world: SessionWorld, monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    app = function("api")
    loop = WorldLoop(KeptLoop(), world)
    world.accept = replace(world.accept, observer=TurnsObserver())
    monkeypatch.setattr(app, "http", Http(api_of(world), loop, CallsObserver()))

    answer = handled("api", app)

    assert answer["statusCode"] == 200
    assert json.loads(answer["body"])["prompt"]["id"] == "prompt-1"
    assert world.status("prompt-1") == "scheduled"
    assert told.metrics == {"PromptsAccepted": [1]}
    assert told.said("accepted")[0]["prompt_id"] == "prompt-1"
    assert told.said("answered")[0]["status"] == 200
    assert "banana" not in told.text
    assert TOKEN not in told.text


def test_the_runner_answers_the_prompt_of_its_event(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters = SetAside()
    run = replace(world.run, dead_letters=letters)
    app = stage("runner", Runner(run, world.queue, letters, world.clock), world, monkeypatch)
    app.loop.kept(world.add("prompt-1", "thread-1"))

    assert handled("runner", app) == {"batchItemFailures": []}

    assert world.status("prompt-1") == "completed"
    assert letters.aside == []


def test_the_socket_connects_and_subscribes(
    world: SessionWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = stage("socket", socket_of(world), world, monkeypatch)
    app.loop.kept(world.add("prompt-1", "thread-1"))

    assert handled("socket_connect", app) == {"statusCode": 200}
    assert handled("socket_subscribe", app) == {"statusCode": 200}

    [[frame]] = world.publisher.frames.values()
    assert (frame["type"], frame["threadId"]) == ("subscribed", "thread-1")


def test_the_sweeper_sweeps(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    app = stage("sweeper", world.sweep, world, monkeypatch)
    assert handled("sweeper", app) == {"turns": 0}
