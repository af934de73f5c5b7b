"""The published frames and those that are really sent are the same."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from parley.core.prompt import Status
from parley.core.resource import Kind
from parley.usecases.clients import Clients
from parley.usecases.sessions import Sessions
from parley.wire import asyncapi
from parley.wire.frames import (
    CLIENT_FRAMES,
    SERVER_FRAMES,
    CallState,
    FrameRefused,
    KnownText,
    MessageState,
    PromptState,
    client_frame,
    echo,
)
from parley.wire.socket import Socket

from tests.fakes.provider import SILENT, Ask, End, Fail, Say, Wait
from tests.fakes.world import USER, World

PUBLISHED = Path("docs/asyncapi.json")

CLIENT_EXAMPLES: list[dict[str, Any]] = [
    {
        "action": "subscribe",
        "threadId": "t",
        "known": {"p1": {"attempt": 1, "offset": 7}},
    },
    {"action": "subscribe", "threadId": "t"},
    {"action": "unsubscribe", "threadId": "t"},
    {"action": "cancel", "promptId": "p1"},
    {"action": "ping"},
    {"action": "ping", "threadId": "t"},
]


async def sent(world: World) -> list[dict[str, Any]]:
    """Every frame of a thread that has seen everything: waiting, streaming, failing, ends."""
    socket = Socket(
        authenticate=world.authenticate,
        clients=Clients(world.resources, world.clock.monotonic),
        sessions=Sessions(
            world.accept.prompts, world.read.threads, world.delete_thread, world.clock, world.ids
        ),
        follow=world.follow,
        cancel=world.cancel,
        publisher=world.publisher,
    )
    await world.connect("c1")
    world.authenticate.remembered.put(USER.key_hash, USER)

    async def said(frame: dict[str, Any]) -> None:
        await world.clock.run(socket.receive("c1", json.dumps(frame)))

    world.provider.scripts = [
        (Say("one"), Wait(1), Say("two"), End()),
        (Fail(),),
        (Say("x" * 40_000), End()),
        (Say("part"), SILENT),
        (Fail(),),
    ]
    await world.add("p1")
    await world.add("p2", max_retries=0)
    await said({"action": "subscribe", "threadId": "t"})
    await world.drain()
    await world.add("p3")
    await world.drain()
    await world.add("p4")
    runner = world.runner()
    await world.clock.advance(2)
    await said({"action": "subscribe", "threadId": "t"})
    cancel = socket.receive("c1", json.dumps({"action": "cancel", "promptId": "p4"}))
    canceling = asyncio.ensure_future(cancel)
    await world.clock.advance(0.1)
    await said({"action": "ping", "threadId": "t"})
    await world.clock.finish(canceling)
    await world.clock.advance(10)
    assert not runner.alive()
    world.describe(Kind.LLM_CLIENT, "weather", functions=["calculator"])
    world.provider.scripts += [(Ask((("calculator", '{"a": 1}'), ("missing", "{}"))),)]
    await world.add("p5", client="weather")
    await world.drain()
    await said({"action": "subscribe", "threadId": "t"})
    await world.add("p6")
    world.runner()
    await world.clock.advance(0.1)
    await said({"action": "ping", "threadId": "t"})
    await said({"action": "subscribe", "threadId": "absent"})
    await said({"action": "cancel", "promptId": "absent"})
    await said({"action": "ping"})
    return world.publisher.frames["c1"]


@pytest.fixture
async def frames() -> list[dict[str, Any]]:
    return await sent(World())


def parts(frame: dict[str, Any]) -> Iterator[tuple[type[Any], dict[str, Any]]]:
    """A frame and the states in it, each with its model."""
    yield SERVER_FRAMES[frame["type"]], frame
    for state in [*frame.get("prompts", []), frame.get("prompt")]:
        if state:
            yield PromptState, state
    for state in [*frame.get("messages", []), frame.get("message")]:
        if state:
            yield MessageState, state
            for call in state.get("calls", []):
                yield CallState, call


def test_what_is_sent_has_the_fields_of_its_model_and_no_others(
    frames: list[dict[str, Any]],
) -> None:
    for frame in frames:
        model = SERVER_FRAMES[frame["type"]].model_validate(frame)
        assert model.model_dump(mode="json", by_alias=True, exclude_unset=True) == frame


def test_what_is_sent_is_valid_by_the_published_schema(frames: list[dict[str, Any]]) -> None:
    published = json.loads(PUBLISHED.read_text())
    for frame in frames:
        payload = published["components"]["messages"][frame["type"]]["payload"]
        jsonschema.validate(frame, {**payload, "components": published["components"]})


def test_every_published_field_is_really_sent(frames: list[dict[str, Any]]) -> None:
    seen: dict[type[Any], set[str]] = defaultdict(set)
    for frame in frames:
        for model, part in parts(frame):
            seen[model] |= part.keys()
    expected = {*SERVER_FRAMES.values(), PromptState, MessageState, CallState}
    assert seen == {
        model: {field.alias for field in model.model_fields.values()} for model in expected
    }


def test_the_frames_here_show_every_kind_of_thing(frames: list[dict[str, Any]]) -> None:
    """The tests above prove only as much as the scenario contains."""
    states = [part for frame in frames for model, part in parts(frame) if model is PromptState]
    messages = [part for frame in frames for model, part in parts(frame) if model is MessageState]
    assert {state["status"] for state in states} == set(Status)
    assert any(state["nextAttemptAt"] for state in states)
    assert any(state["cancelRequested"] for state in states)
    assert any(state["errorCode"] for state in states)
    assert any(state["responseMessageId"] for state in states)
    assert {message["role"] for message in messages} == {"user", "assistant", "tool"}
    tools = [frame for frame in frames if frame["type"] == "tool"]
    assert {frame["state"] for frame in tools} == {"started", "done"}
    assert {frame["outcome"] for frame in tools} == {"", "ok", "failed"}
    assert any(message["truncated"] for message in messages)
    assert any(message["partial"] for message in messages)
    echoed = {key for frame in frames if frame["type"] == "error" for key in frame}
    assert echoed == {"type", "error", "action", "threadId", "promptId"}


@pytest.mark.parametrize("example", CLIENT_EXAMPLES)
def test_what_a_client_sends_is_read(example: dict[str, Any]) -> None:
    frame = client_frame(json.dumps(example))

    assert isinstance(frame, CLIENT_FRAMES[example["action"]])
    assert frame.model_dump(by_alias=True, exclude_unset=True) == example
    assert echo(frame) == {k: v for k, v in example.items() if k != "known"}


def test_the_examples_show_every_field_of_a_client() -> None:
    for name, model in CLIENT_FRAMES.items():
        shown = {key for example in CLIENT_EXAMPLES for key in example if example["action"] == name}
        assert shown == {field.alias for field in model.model_fields.values()}
    known = {key for e in CLIENT_EXAMPLES for place in e.get("known", {}).values() for key in place}
    assert known == {field.alias for field in KnownText.model_fields.values()}


def test_the_examples_are_valid_by_the_published_schema() -> None:
    published = json.loads(PUBLISHED.read_text())
    for example in CLIENT_EXAMPLES:
        payload = published["components"]["messages"][example["action"]]["payload"]
        jsonschema.validate(example, {**payload, "components": published["components"]})


def test_fields_that_nobody_knows_are_ignored() -> None:
    assert client_frame('{"action":"ping","since":"tomorrow"}').action == "ping"


def test_more_known_prompts_than_a_thread_can_have_are_refused() -> None:
    known = {f"p{n}": {"attempt": 1, "offset": 1} for n in range(201)}
    with pytest.raises(FrameRefused, match="known"):
        client_frame(json.dumps({"action": "subscribe", "threadId": "t", "known": known}))


def test_the_published_description_is_the_generated_one() -> None:
    assert PUBLISHED.read_text() == asyncapi.text(), (
        "run: python -m parley.wire.asyncapi > docs/asyncapi.json"
    )


def test_every_reference_of_the_description_leads_somewhere() -> None:
    document = asyncapi.document()

    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if "$ref" in value:
                yield value["$ref"]
            for part in value.values():
                yield from references(part)
        if isinstance(value, list):
            for part in value:
                yield from references(part)

    found = set(references(document))
    assert found
    for reference in found:
        place: Any = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
