"""The edge passes calls on as they come."""

import gzip
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession, web

from local.edge import Targets, serving


async def told(request: web.Request) -> web.Response:
    """What came, byte by byte."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    body = (await request.read()).hex()
    return web.json_response({"path": request.raw_path, "headers": headers, "body": body})


async def refused(request: web.Request) -> web.Response:
    return web.Response(status=403)


async def never(call: dict[str, Any]) -> dict[str, Any]:
    raise AssertionError(call)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
async def edge() -> AsyncIterator[str]:
    """The address of an edge before two APIs: one tells what it gets, one refuses all sockets."""
    app = web.Application()
    app.router.add_route("*", "/http/{path:.*}", told)
    app.router.add_get("/socket", refused)
    runner = web.AppRunner(app, auto_decompress=False)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    port = free_port()
    async with serving(Targets(f"{base}/http", f"{base}/socket", never), port):
        yield f"http://127.0.0.1:{port}"
    await runner.cleanup()


async def test_an_encoded_body_goes_on_as_it_came(edge: str) -> None:
    body = gzip.compress(json.dumps({"text": "Grüße " * 100}).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    async with (
        ClientSession() as session,
        session.post(f"{edge}/a%2Fb/?q=%20", data=body, headers=headers) as answer,
    ):
        got = await answer.json()

    assert bytes.fromhex(got["body"]) == body
    assert got["path"] == "/http/a%2Fb/?q=%20"
    assert got["headers"]["content-encoding"] == "gzip"
    assert got["headers"]["host"] == edge.removeprefix("http://")


async def test_the_refusal_of_a_socket_is_the_answer_to_the_upgrade(edge: str) -> None:
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    async with (
        ClientSession() as session,
        session.get(f"{edge}/ws", headers=headers) as answer,
    ):
        assert answer.status == 403
        assert await answer.json() == {"message": "Forbidden"}
