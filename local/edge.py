"""The edge: one address for the HTTP API and the WebSocket API.

It stands where DNS, certificates and API Gateway's custom domains stand on AWS: every path goes
to the HTTP API with its `Host` kept, `/ws` goes to the WebSocket API.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aiohttp import (
    ClientSession,
    ClientTimeout,
    ClientWebSocketResponse,
    DummyCookieJar,
    WSCloseCode,
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
# A peer that ended without a close frame has one of these, which must not be sent.
NO_CODE = {None, 1005, 1006, 1015}

Socket = ClientWebSocketResponse | web.WebSocketResponse


@dataclass(frozen=True)
class Targets:
    """Where the two APIs are in the emulator, and how to invoke the API's function directly."""

    http: str
    socket: str
    invoke: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


def end_to_end(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """The headers that are meant for the other end."""
    return CIMultiDict((k, v) for k, v in headers.items() if k.lower() not in HOP_BY_HOP)


async def pump(source: Socket, sink: Socket) -> int:
    """Pass on frames until the source closes; the code to close the sink with."""
    async for message in source:
        if message.type is WSMsgType.TEXT:
            await sink.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await sink.send_bytes(message.data)
    code = source.close_code
    return WSCloseCode.GOING_AWAY if code is None or code in NO_CODE else code


async def join(client: Socket, upstream: Socket) -> None:
    """Pass on frames both ways until either side closes, then close the other the same way."""
    pumps = [
        asyncio.ensure_future(pump(client, upstream)),
        asyncio.ensure_future(pump(upstream, client)),
    ]
    code: int = WSCloseCode.GOING_AWAY
    try:
        ended, _pending = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        # A peer that is gone while a frame is passed on is an ordinary end of a socket.
        with contextlib.suppress(ConnectionError):
            code = ended.pop().result()
    finally:
        # Both must have stopped reading before either socket is closed: closing wakes a reader.
        for task in pumps:
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        await asyncio.gather(upstream.close(code=code), client.close(code=code))


@dataclass(frozen=True)
class Edge:
    """The handlers of the edge."""

    targets: Targets
    session: ClientSession

    async def http(self, request: web.Request) -> web.StreamResponse:
        """Pass a call on, its path and query byte by byte, and stream both bodies."""
        if (request.content_length or 0) > LARGEST_BODY:
            return web.json_response({"message": "Request Entity Too Large"}, status=413)
        url = URL(self.targets.http + request.raw_path, encoded=True)
        body = request.content.iter_any() if request.can_read_body else None
        headers = end_to_end(request.headers)
        async with self.session.request(
            request.method, url, headers=headers, data=body, allow_redirects=False
        ) as answer:
            response = web.StreamResponse(status=answer.status, headers=end_to_end(answer.headers))
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response

    async def preflight(self, request: web.Request) -> web.StreamResponse:
        """Invoke the function with an OPTIONS call.

        API Gateway routes OPTIONS like any method when it has no CORS configuration of its own.
        The emulator refuses it instead, so this one method goes round its HTTP API.
        """
        answer = await self.targets.invoke(
            {
                "version": "2.0",
                "routeKey": "$default",
                "rawPath": request.path,
                "rawQueryString": request.query_string,
                "headers": {name.lower(): value for name, value in request.headers.items()},
                "requestContext": {
                    "requestId": "preflight",
                    "stage": "$default",
                    "http": {"method": "OPTIONS", "path": request.path, "sourceIp": "127.0.0.1"},
                },
                "isBase64Encoded": False,
            }
        )
        return web.Response(
            status=answer["statusCode"],
            headers={name: str(value) for name, value in answer.get("headers", {}).items()},
            text=answer.get("body", ""),
        )

    async def socket(self, request: web.Request) -> web.StreamResponse:
        """Connect to the WebSocket API first: its refusal is the answer to the upgrade."""
        client = web.WebSocketResponse(max_msg_size=0)
        if not client.can_prepare(request):
            return web.json_response({"message": "Upgrade Required"}, status=426)
        url = URL(f"{self.targets.socket}?{request.url.raw_query_string}", encoded=True)
        headers = end_to_end(request.headers)
        for name in set(headers):
            if name.lower().startswith("sec-websocket-"):
                headers.popall(name)
        try:
            upstream = await self.session.ws_connect(url, headers=headers, max_msg_size=0)
        except WSServerHandshakeError as refused:
            message = HTTPStatus(refused.status).phrase
            return web.json_response({"message": message}, status=refused.status)
        async with upstream:
            # Who asked may be gone before the answer, as well as while frames are passed on.
            with contextlib.suppress(ConnectionError):
                await client.prepare(request)
                await join(client, upstream)
            return client


@contextlib.asynccontextmanager
async def serving(targets: Targets, port: int) -> AsyncIterator[None]:
    """Serve the edge on loopback while the context is open."""
    async with ClientSession(
        timeout=ClientTimeout(total=None, connect=10),
        auto_decompress=False,
        # What aiohttp would add where the client sent nothing.
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        cookie_jar=DummyCookieJar(),
    ) as session:
        edge = Edge(targets, session)
        app = web.Application()
        app.router.add_get("/ws", edge.socket)
        app.router.add_route("OPTIONS", "/{path:.*}", edge.preflight)
        app.router.add_route("*", "/{path:.*}", edge.http)
        # A body goes on as it came: its headers say how it is encoded, and how long it is.
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=2, auto_decompress=False)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            yield
        finally:
            await runner.cleanup()
