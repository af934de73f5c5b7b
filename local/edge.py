"""The edge: one address for the HTTP API and the WebSocket API.

It stands where DNS, certificates and API Gateway's custom domains stand on AWS: every path goes
to the HTTP API with its `Host` kept, `/ws` goes to the WebSocket API.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from aiohttp import (
    ClientSession,
    ClientTimeout,
    ClientWebSocketResponse,
    DummyCookieJar,
    WSMsgType,
    WSServerHandshakeError,
    web,
)
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

# RFC 9110, section 7.6.1: these belong to one connection.
HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
# API Gateway's payload limit, so that what passes here passes there.
LARGEST_BODY = 10 * 1024 * 1024
# Codes that say a peer ended without a code; they must not be sent.
NO_CODE = {1005, 1006, 1015}


@dataclass(frozen=True)
class Targets:
    """Where the two APIs are in the emulator."""

    http: str
    socket: str


def end_to_end(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """The headers that are meant for the other end."""
    return CIMultiDict((k, v) for k, v in headers.items() if k.lower() not in HOP_BY_HOP)


async def forward_http(
    request: web.Request, session: ClientSession, target: str
) -> web.StreamResponse:
    """Pass a call on, path and query byte by byte, and stream both bodies."""
    url = URL(target + request.raw_path, encoded=True)
    body = request.content.iter_any() if request.can_read_body else None
    async with session.request(
        request.method, url, headers=end_to_end(request.headers), data=body, allow_redirects=False
    ) as answer:
        response = web.StreamResponse(status=answer.status, headers=end_to_end(answer.headers))
        await response.prepare(request)
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
        return response


async def pump(
    source: ClientWebSocketResponse | web.WebSocketResponse,
    sink: ClientWebSocketResponse | web.WebSocketResponse,
) -> None:
    """Pass on frames until the source closes, then close the sink with the same code."""
    async for message in source:
        if message.type is WSMsgType.TEXT:
            await sink.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await sink.send_bytes(message.data)
    code = source.close_code
    await sink.close(code=1000 if code is None or code in NO_CODE else code)


async def forward_socket(
    request: web.Request, session: ClientSession, target: str
) -> web.StreamResponse:
    """Connect to the WebSocket API first, so that its refusal becomes the answer to the upgrade."""
    url = URL(f"{target}?{request.url.raw_query_string}", encoded=True)
    own = {name for name in request.headers if name.lower().startswith("sec-websocket-")}
    headers = end_to_end(request.headers)
    for name in own:
        headers.popall(name, None)
    try:
        upstream = await session.ws_connect(url, headers=headers, max_msg_size=0)
    except WSServerHandshakeError as refused:
        return web.json_response({"message": refused.message}, status=refused.status)
    async with upstream:
        client = web.WebSocketResponse(max_msg_size=0)
        await client.prepare(request)
        pumps = [
            asyncio.create_task(pump(client, upstream)),
            asyncio.create_task(pump(upstream, client)),
        ]
        _done, pending = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        results = await asyncio.gather(*pumps, return_exceptions=True)
        for result in results:
            # A peer that is gone in the middle of a frame is an ordinary end of a socket.
            if isinstance(result, BaseException) and not isinstance(
                result, ConnectionError | asyncio.CancelledError
            ):
                raise result
        return client


def application(targets: Targets) -> web.Application:
    """The edge as an aiohttp application."""
    app = web.Application(client_max_size=LARGEST_BODY)
    session_key: web.AppKey[ClientSession] = web.AppKey("session", ClientSession)

    async def session_of(app: web.Application) -> AsyncIterator[None]:
        async with ClientSession(
            timeout=ClientTimeout(total=None, connect=10),
            auto_decompress=False,
            cookie_jar=DummyCookieJar(),
        ) as session:
            app[session_key] = session
            yield

    def forwarding(
        handler: Callable[[web.Request, ClientSession, str], Awaitable[web.StreamResponse]],
        target: str,
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await handler(request, request.app[session_key], target)

        return handle

    app.cleanup_ctx.append(session_of)
    app.router.add_get("/ws", forwarding(forward_socket, targets.socket))
    app.router.add_route("*", "/{path:.*}", forwarding(forward_http, targets.http))
    return app


@contextlib.asynccontextmanager
async def serving(targets: Targets, port: int) -> AsyncIterator[None]:
    """Serve the edge on loopback while the context is open."""
    runner = web.AppRunner(application(targets), access_log=None, shutdown_timeout=2)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield
    finally:
        await runner.cleanup()
