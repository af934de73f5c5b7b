"""The server that the page is looked at with says what the real one says."""

import json
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse
from aiohttp.test_utils import TestClient, TestServer
from parley.core.prompt import Status
from parley.wire.frames import SERVER_FRAMES, PromptState
from parley.wire.smarter.config import LimitsShape
from parley.wire.smarter.shapes import ChatItem, Websocket
from pydantic import TypeAdapter

from tests.page.fake_server import Fake

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "::1"])

Json = dict[str, Any]


class Tab:
    """A page with its socket, and all that it was told."""

    def __init__(self, http: Any, config: Json, socket: ClientWebSocketResponse) -> None:
        self.http = http
        self.config = config
        self.socket = socket
        self.frames: list[Json] = []
        self.items: list[Json] = list(config["history"]["chat_history"])
        self.states: list[Json] = list(config["prompts"])

    async def heard(self, last: Any) -> None:
        """Listen until a new frame for which `last` is true."""
        while True:
            self.frames.append(await self.socket.receive_json(timeout=60))
            if last(self.frames[-1]):
                return

    async def said(self, frame: Json, type_: str) -> None:
        await self.socket.send_json(frame)
        await self.heard(lambda heard: heard["type"] == type_)

    async def posted(self, path: str, **body: Any) -> str:
        """Call it; the id of the prompt that it is about."""
        key = self.config["session_key"]
        answer = await self.http.post(path, json={"session_key": key, **body})
        smarter = json.loads((await answer.json())["data"]["body"])["smarter"]
        self.items += smarter["messages"]
        self.states += [smarter["prompt"]] if smarter["prompt"] else []
        return str(smarter["prompt"]["id"]) if smarter["prompt"] else ""

    async def asked(self, text: str, **more: Any) -> str:
        return await self.posted("/chat/", messages=[{"role": "user", "content": text}], **more)

    async def ended(self) -> None:
        """Listen until the newest turn is over."""
        await self.heard(
            lambda frame: frame["type"] == "prompt" and Status(frame["prompt"]["status"]).terminal
        )

    async def read(self) -> None:
        path = f"/chat/?session_key={self.config['session_key']}"
        data = (await (await self.http.get(path)).json())["data"]
        self.items += data["messages"]
        self.states += data["prompts"]


async def played(fake: Fake) -> Tab:
    """Everything that can happen to a question."""
    async with TestClient(TestServer(fake.app())) as http:
        config = (await (await http.post("/config/", json={})).json())["data"]
        socket = await http.ws_connect(f"/ws?session_key={config['session_key']}")
        tab = Tab(http, config, socket)
        thread_id = config["websocket"]["thread_id"]
        await tab.said({"action": "subscribe", "threadId": thread_id}, "subscribed")
        for text in ("weather", "flaky", "Hello"):
            await tab.asked(text)
            await tab.ended()
        await tab.asked("Hullo", replaces=3)
        await tab.ended()
        failed = await tab.asked("fail")
        await tab.ended()
        await tab.posted("/chat/retry/", prompt_id=failed)
        await tab.ended()
        thinking = await tab.asked("think")
        await tab.heard(lambda frame: frame["type"] == "message")
        await tab.posted("/chat/cancel/", prompt_id=thinking)
        await tab.ended()
        await tab.asked("limit")
        await tab.said({"action": "ping"}, "pong")
        await tab.said({"action": "ping", "threadId": thread_id}, "pong")
        await tab.said({"action": "subscribe", "threadId": thread_id}, "subscribed")
        await tab.read()
        await socket.close()
        return tab


@pytest.fixture
async def tab() -> Tab:
    return await played(Fake(pace=0))


def holds(shape: Any, value: Json) -> None:
    """All fields of the shape, and no others, are there."""
    checked = TypeAdapter(shape).validate_python(value)
    dumped = TypeAdapter(shape).dump_python(checked, mode="json", by_alias=True, exclude_unset=True)
    assert dumped == value


async def test_its_messages_are_chat_items(tab: Tab) -> None:
    assert {item["role"] for item in tab.items} == {"user", "assistant", "smarter_error"}
    assert any("tool_calls" in item for item in tab.items)
    assert {item["replaces"] for item in tab.items} == {0, 3}
    for item in tab.items:
        holds(ChatItem, item)


async def test_its_frames_are_published_ones(tab: Tab) -> None:
    told = {frame["type"] for frame in tab.frames}
    assert told == set(SERVER_FRAMES) - {"error"}
    assert any(frame["type"] == "pong" and frame["prompts"] for frame in tab.frames)
    for frame in tab.frames:
        holds(SERVER_FRAMES[frame["type"]], frame)
    for state in tab.states:
        holds(PromptState, state)


async def test_its_config_says_where_to_listen_and_what_is_allowed(tab: Tab) -> None:
    holds(Websocket, tab.config["websocket"])
    holds(LimitsShape, tab.config["limits"])
