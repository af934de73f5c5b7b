"""An aiohttp application on a thread of its own, as the commands block theirs."""

import asyncio
import threading
from collections.abc import Callable
from typing import Self

from aiohttp import web
from parley.core.errors import ParleyError
from parley.wire.errors import refusal_of


def refused(error: ParleyError) -> web.Response:
    """The answer to a call that fails, as the API gives it, but without a pause."""
    told = refusal_of(error)
    headers = {"Retry-After": "0"} if told.status == 503 else {}
    return web.json_response(told.body, status=told.status, headers=headers)


class Served:
    """The API on a thread of its own, as the commands block theirs."""

    def __init__(self, app: Callable[[], web.Application]) -> None:
        self._app = app
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=0.1)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        self._loop.run_until_complete(site.start())
        self.port = runner.addresses[0][1]
        self._ready.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()
