"""The product's own HTTP API over Parley in memory, behind a port: what it really answers.

Time is the tests' own there, and after each call the runner does all there is to do: an
answer is there as soon as it is asked for. It has no socket.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiohttp import web

from tests.wire.http_client import Client, http_event

HEADERS = ("authorization", "content-type")


class RealApi:
    """An API with the keys of `tests.wire.http_client`."""

    def __init__(self, **flags: Any) -> None:
        self._flags = flags
        self.port = 0
        self.client: Client
        self.calls: list[str] = []
        self.lose: Callable[[str], bool] = lambda _: False
        self.refuse: dict[str, Any] = {}
        # One thread, for one call at a time: the world in memory is nobody's but its loop's.
        self._thread = ThreadPoolExecutor(1)
        self._thread.submit(self._make).result()

    def _make(self) -> None:
        self.client = Client(**self._flags)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.text() or None
        loop = asyncio.get_running_loop()
        sent = {name: request.headers[name] for name in HEADERS if name in request.headers}
        self.calls.append(f"{request.method} {request.path_qs}")
        if self.refuse:
            return web.json_response(self.refuse, status=400)
        event = http_event(request.method, request.path_qs, body, sent)
        reply = await loop.run_in_executor(self._thread, self._call, event)
        if self.lose(request.path):
            return web.Response(status=502, text="the answer was lost")
        return web.Response(status=reply.status, text=reply.text, content_type="application/json")

    def _call(self, event: dict[str, Any]) -> Any:
        reply = self.client.send(event)
        self.client.drain()
        return reply

    def close(self) -> None:
        self._thread.submit(self.client.close).result()
        self._thread.shutdown()
