"""A small API that behaves as Parley's does, over real HTTP and real WebSockets.

Prompts do what a test's script says. A subscription gets what it does not know yet, as from
the runner's pump: offsets, attempts and frames are the protocol's.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import WSMsgType, web

ADMIN_KEY, USER_KEY = "a" * 64, "b" * 64
NEVER = "0001-01-01T00:00:00Z"
STARTED = "2026-11-22T07:00:00.000Z"
ENDED = "2026-11-22T07:00:02.500Z"
TERMINAL = {"completed", "abandoned", "canceled"}

Step = tuple[Any, ...]


@dataclass
class Prompt:
    id: str
    thread_id: str
    turn: int
    body: dict[str, Any]
    status: str = "scheduled"
    attempt: int = 0
    text: str = ""
    error: str = ""
    code: str = ""
    updated_at: int = 1
    attempts: list[dict[str, Any]] = field(default_factory=list)

    def state(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "threadId": self.thread_id,
            "turn": self.turn,
            "status": self.status,
            "attempt": self.attempt,
            "errorCode": self.code,
            "nextAttemptAt": int(time.time() * 1000) + 2500 if self.status == "errored" else 0,
            "cancelRequested": False,
            "responseMessageId": f"msg_{self.id}" if self.status == "completed" else "",
            "updatedAt": self.updated_at,
        }

    def shape(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "prompt": self.body["prompt"],
            "threadId": self.thread_id,
            "modelId": self.body.get("modelId", ""),
            "maxRetries": self.body.get("maxRetries", 5),
            "createdAt": STARTED,
            "updatedAt": ENDED,
            "status": self.status,
            "lastRun": STARTED if self.attempt else NEVER,
            "runCount": self.attempt,
            "error": self.error,
            "errorCode": self.code,
            "userId": "ada",
            "turn": self.turn,
            "attempts": self.attempts,
        }

    def answer(self) -> dict[str, Any]:
        return {
            "id": f"msg_{self.id}",
            "threadId": self.thread_id,
            "turn": self.turn,
            "part": 1000,
            "role": "assistant",
            "text": self.text,
            "userId": "",
            "partial": self.status == "canceled",
            "finishReason": "stop",
            "createdAt": 2,
            "truncated": False,
        }

    def question(self) -> dict[str, Any]:
        return self.answer() | {
            "id": self.id,
            "part": 1,
            "role": "user",
            "text": self.body["prompt"],
            "userId": "ada",
            "partial": False,
        }


@dataclass
class Subscription:
    socket: web.WebSocketResponse
    thread_id: str


@dataclass
class FakeApi:
    """State and knobs. `script` is what each added prompt does."""

    script: Sequence[Step] = (("start",), ("say", "Hello"), ("say", " world"), ("finish",))
    socket_status: int = 0
    mute: bool = False
    busy: int = 0
    refuse_subscribes: int = 0
    ahead: int = 0
    port: int = 0
    prompts: dict[str, Prompt] = field(default_factory=dict)
    subscribed: list[dict[str, Any]] = field(default_factory=list)
    subscriptions: list[Subscription] = field(default_factory=list)
    calls: list[tuple[str, str, Any]] = field(default_factory=list)
    pings: int = 0
    models: list[dict[str, Any]] = field(default_factory=list)
    dead: list[dict[str, str]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # --- what prompts do

    async def play(self, prompt: Prompt) -> None:
        for name, *arguments in self.script:
            if name == "watched":  # wait until somebody has subscribed so many times
                while len(self.subscribed) < arguments[0]:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            elif name == "pause":
                await asyncio.sleep(arguments[0])
            else:
                await self._do(prompt, name, *arguments)

    async def _do(self, prompt: Prompt, name: str, *arguments: Any) -> None:
        async with self._lock:
            await self._step(prompt, name, *arguments)

    async def _step(  # noqa: C901, PLR0912
        self, prompt: Prompt, name: str, *arguments: Any
    ) -> None:
        prompt.updated_at += 1
        match name:
            case "start":
                prompt.attempt, prompt.text = prompt.attempt + 1, ""
                prompt.status = "running"
                await self._tell(prompt, self._message(prompt.question()), self._prompt(prompt))
            case "say":
                offset = len(prompt.text)
                prompt.text += arguments[0]
                await self._tell(prompt, self._delta(prompt, offset))
            case "repeat":
                await self._tell(prompt, self._delta(prompt, arguments[0]))
            case "unsent":  # text that no socket hears of
                prompt.text += arguments[0]
            case "frame":
                await self._tell(prompt, arguments[0](prompt))
            case "drop":
                for subscription in list(self.subscriptions):
                    assert subscription.socket._req is not None
                    transport = subscription.socket._req.transport
                    if transport is not None:
                        transport.abort()
                self.subscriptions.clear()
            case "fail":
                self._end(prompt, "errored", "failed", arguments[0])
                await self._tell(prompt, self._prompt(prompt))
            case "abandon":
                self._end(prompt, "abandoned", "failed", arguments[0])
                prompt.error = "the provider said no"
                await self._tell(prompt, self._prompt(prompt))
            case "cancel":
                self._end(prompt, "canceled", "canceled", "")
                await self._tell(prompt, self._message(prompt.answer()), self._prompt(prompt))
            case "finish":
                self._end(prompt, "completed", "completed", "")
                await self._tell(prompt, self._message(prompt.answer()), self._prompt(prompt))
            case "finish_unsaid":
                self._end(prompt, "completed", "completed", "")

    @staticmethod
    def _end(prompt: Prompt, status: str, outcome: str, code: str) -> None:
        prompt.status, prompt.code = status, code
        prompt.attempts.append(
            {
                "number": prompt.attempt,
                "startedAt": STARTED,
                "endedAt": ENDED,
                "outcome": outcome,
                "reason": code,
                "usage": {"promptTokens": 12, "completionTokens": 34},
            }
        )

    def _prompt(self, prompt: Prompt) -> dict[str, Any]:
        return {"type": "prompt", "threadId": prompt.thread_id, "prompt": prompt.state()}

    @staticmethod
    def _message(message: dict[str, Any]) -> dict[str, Any]:
        return {"type": "message", "threadId": message["threadId"], "message": message}

    @staticmethod
    def _delta(prompt: Prompt, offset: int) -> dict[str, Any]:
        return {
            "type": "delta",
            "threadId": prompt.thread_id,
            "promptId": prompt.id,
            "attempt": prompt.attempt,
            "offset": offset,
            "end": len(prompt.text),
            "text": prompt.text[offset:],
        }

    async def _tell(self, prompt: Prompt, *frames: dict[str, Any]) -> None:
        for subscription in list(self.subscriptions):
            if subscription.thread_id == prompt.thread_id and not self.mute:
                for frame in frames:
                    await subscription.socket.send_json(frame)

    # --- HTTP

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard])
        route = app.router.add_route
        route("POST", "/prompt-svc/prompt", self.add)
        route("GET", "/prompt-svc/prompt/{id}", self.get)
        route("POST", "/prompt-svc/prompt/{id}/cancel", self.cancel)
        route("POST", "/prompt-svc/prompt/{id}/retry", self.retry)
        route("DELETE", "/prompt-svc/prompt/{id}", self.remove)
        route("POST", "/prompt-svc/prompts", self.found)
        route("POST", "/chat-svc/threads", self.threads)
        route("GET", "/chat-svc/thread/{id}", self.thread)
        route("DELETE", "/chat-svc/thread/{id}", self.delete_thread)
        route("POST", "/chat-svc/thread/{id}/messages", self.messages)
        route("*", "/models", self.catalogue)
        route("*", "/keys", self.keys)
        route("DELETE", "/keys/{id}", self.revoke)
        route("GET", "/dlq", self.letters)
        route("POST", "/dlq/redrive", self.redrive)
        route("GET", "/status", self.status)
        route("GET", "/health", self.health)
        route("GET", "/ws", self.socket)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path in {"/ws", "/health"}:
            return await handler(request)
        body = await request.json() if request.can_read_body else None
        self.calls.append((request.method, request.path_qs, body))
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if key not in {ADMIN_KEY, USER_KEY}:
            return refused(401, "the key is unknown or revoked")
        admin = request.path.split("/")[1] in {"keys", "dlq"} or request.method == "PUT"
        if admin and key != ADMIN_KEY:
            return refused(403, "this call needs an admin key")
        if self.busy:
            self.busy -= 1
            return refused(503, "the service is busy, try again")
        try:
            return web.json_response(await handler(request, body))
        except KeyError:
            return refused(404, "no such prompt")

    async def add(self, request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        if stored := self.prompts.get(body["id"]):
            return self._shown(stored)
        thread_id = body.get("threadId") or body["id"]
        turn = 1 + sum(p.thread_id == thread_id for p in self.prompts.values())
        prompt = self.prompts[body["id"]] = Prompt(body["id"], thread_id, turn, body)
        task = asyncio.ensure_future(self.play(prompt))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return {"answer": "", "prompt": prompt.shape()}

    def _shown(self, prompt: Prompt) -> dict[str, Any]:
        completed = prompt.status == "completed"
        shape = prompt.shape() | {"ahead": self.ahead}
        body: dict[str, Any] = {"answer": prompt.text if completed else "", "prompt": shape}
        if completed or (prompt.status == "canceled" and prompt.text):
            body["responseMessage"] = prompt.answer()
        return body

    async def get(self, request: web.Request, _: Any) -> dict[str, Any]:
        prompt = self.prompts[request.match_info["id"]]
        end = time.monotonic() + float(request.query.get("wait", 0))
        while prompt.status not in TERMINAL and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return self._shown(prompt)

    async def cancel(self, request: web.Request, _: Any) -> dict[str, Any]:
        prompt = self.prompts[request.match_info["id"]]
        if prompt.status not in TERMINAL:
            await self._do(prompt, "cancel")
        return self._shown(prompt)

    async def retry(self, request: web.Request, _: Any) -> dict[str, Any]:
        prompt = self.prompts[request.match_info["id"]]
        prompt.status, prompt.turn = "scheduled", prompt.turn + 1
        task = asyncio.ensure_future(self.play(prompt))
        self._tasks.add(task)
        return self._shown(prompt)

    async def remove(self, request: web.Request, _: Any) -> dict[str, Any]:
        del self.prompts[request.match_info["id"]]
        return {}

    async def found(self, request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        filters = {f["fields"][0]: json.loads(f["jsonValues"]) for f in body["query"]["filters"]}
        found = [p.shape() for p in self.prompts.values() if p.status in filters["status"]]
        return {"prompts": found[: body["query"]["limit"]], "count": 0}

    async def threads(self, request: web.Request, body: Any) -> dict[str, Any]:
        ids = dict.fromkeys(p.thread_id for p in self.prompts.values())
        return {"threads": [self._thread(id_) for id_ in ids]}

    def _thread(self, id_: str) -> dict[str, Any]:
        return {"id": id_, "title": f"About {id_}", "userIds": ["ada"], "createdAt": STARTED}

    async def thread(self, request: web.Request, _: Any) -> dict[str, Any]:
        id_ = request.match_info["id"]
        if all(p.thread_id != id_ for p in self.prompts.values()):
            return {"exists": False, "thread": None}
        return {"exists": True, "thread": self._thread(id_)}

    async def delete_thread(self, request: web.Request, _: Any) -> dict[str, Any]:
        self.deleted.append(request.match_info["id"])
        return {}

    async def messages(self, request: web.Request, body: Any) -> dict[str, Any]:
        return {"messages": self._messages(request.match_info["id"])}

    def _messages(self, thread_id: str) -> list[dict[str, Any]]:
        said = []
        for prompt in self.prompts.values():
            if prompt.thread_id == thread_id:
                said.append(prompt.question())
                said += [prompt.answer()] if prompt.status in {"completed", "canceled"} else []
        return said

    async def catalogue(self, request: web.Request, body: Any) -> dict[str, Any]:
        if request.method == "PUT":
            self.models = body["models"]
        return {"models": self.models}

    async def keys(self, request: web.Request, body: Any) -> dict[str, Any]:
        key = {"id": "key_1", "userId": "ada", "role": "user", "name": "x", "createdAt": STARTED}
        if request.method == "POST":
            return {"key": key | {"role": body["role"]}, "secret": "c" * 64}
        return {"keys": [key, key | {"id": "key_2", "revokedAt": ENDED}]}

    async def revoke(self, request: web.Request, _: Any) -> dict[str, Any]:
        if request.match_info["id"] != "key_1":
            raise KeyError
        return {"key": {"id": "key_1"}}

    async def letters(self, request: web.Request, _: Any) -> dict[str, Any]:
        return {"records": self.dead}

    async def redrive(self, request: web.Request, body: Any) -> dict[str, Any]:
        wanted = (body or {}).get("promptId")
        retried = [{"id": d["promptId"]} for d in self.dead if wanted in (None, d["promptId"])]
        return {"retried": retried, "obsolete": []}

    async def status(self, request: web.Request, _: Any) -> dict[str, Any]:
        unfinished = {"errored": 0, "running": 2, "scheduled": 1}
        who = {"account": "3141-5926-5359", "userId": "ada", "role": "admin"}
        return who | {"models": 3, "unfinished": unfinished, "version": "0.1.0"}

    async def health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    # --- WebSocket

    async def socket(self, request: web.Request) -> web.StreamResponse:
        if self.socket_status:
            return web.Response(status=self.socket_status)
        if request.query.get("token") not in {ADMIN_KEY, USER_KEY}:
            return web.Response(status=401)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await self._receive(socket, json.loads(message.data))
        self.subscriptions = [s for s in self.subscriptions if s.socket is not socket]
        return socket

    async def _receive(self, socket: web.WebSocketResponse, frame: dict[str, Any]) -> None:
        if frame["action"] == "ping":
            self.pings += 1
            states = [p.state() for p in self.prompts.values()]
            await socket.send_json({"type": "pong", "prompts": states})
            return
        async with self._lock:
            await self._subscribe(socket, frame)

    async def _subscribe(self, socket: web.WebSocketResponse, frame: dict[str, Any]) -> None:
        thread_id = frame["threadId"]
        self.subscribed.append(frame)
        if self.refuse_subscribes:
            self.refuse_subscribes -= 1
            error = {"type": "error", "error": "no such thread", "action": "subscribe"}
            await socket.send_json(error)
            return
        mine = [p for p in self.prompts.values() if p.thread_id == thread_id]
        unfinished = [p for p in mine if p.status not in TERMINAL]
        await socket.send_json(
            {
                "type": "subscribed",
                "threadId": thread_id,
                "nonce": f"sub_{len(self.subscribed)}",
                "prompts": [p.state() for p in unfinished],
                "messages": self._messages(thread_id),
                "truncated": False,
            }
        )
        for prompt in unfinished:
            known = frame.get("known", {}).get(prompt.id, {})
            offset = known.get("offset", 0) if known.get("attempt") == prompt.attempt else 0
            if offset < len(prompt.text):
                await socket.send_json(self._delta(prompt, offset))
        self.subscriptions.append(Subscription(socket, thread_id))


def refused(status: int, error: str) -> web.Response:
    headers = {"Retry-After": "0"} if status == 503 else {}
    return web.json_response({"error": error}, status=status, headers=headers)


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
        assert self._ready.wait(10)
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
