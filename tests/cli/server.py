"""A small API that behaves as Parley's does, over real HTTP and real WebSockets.

What comes in is held against the product's own request models, and what goes out over the
socket against its frames, so that this cannot drift from it. Prompts do what a test's
script says. A subscription gets what it does not know yet, as from the runner's pump.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web
from parley.core import errors
from parley.wire.admin import CreateKey, PutModels, RedriveBody
from parley.wire.chat_svc import PageBody
from parley.wire.frames import client_frame
from parley.wire.prompt_query import ListPrompts, Query, asked
from parley.wire.prompt_svc import AddPrompt

from tests.cli.chatting import FakeChat
from tests.cli.scripted import ENDED, STARTED, TERMINAL, Prompt, called, checked
from tests.cli.served import refused

ADMIN_KEY, USER_KEY = "a" * 64, "b" * 64

Step = tuple[Any, ...]


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
    first_page_is_empty: bool = False
    deleted: list[str] = field(default_factory=list)
    chat: FakeChat = field(init=False)
    sockets: list[dict[str, str]] = field(default_factory=list)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.chat = FakeChat(self)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # --- what prompts do

    async def _played(self, prompt: Prompt) -> None:
        """What is wrong with a frame ends its prompt: nobody is to wait for it for ever."""
        try:
            await self.play(prompt)
        except ValueError as error:
            self._end(prompt, "abandoned", "failed", f"the tests' API: {error}")
            raise

    async def play(self, prompt: Prompt) -> None:
        for name, *arguments in self.script:
            if name == "watched":  # wait until somebody has subscribed so many times
                while len(self.subscribed) < arguments[0]:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            elif name == "pause":
                await asyncio.sleep(arguments[0])
            else:
                await self.do(prompt, name, *arguments)

    def begin(self, prompt: Prompt) -> None:
        """Let a prompt do what the script says."""
        task = asyncio.ensure_future(self._played(prompt))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def do(self, prompt: Prompt, name: str, *arguments: Any) -> None:
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
            case "tool":
                await self._tell(prompt, called(prompt, *arguments))
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
                    await subscription.socket.send_json(checked(frame))

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
        self.chat.routes(route)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path in {"/ws", "/health"}:
            return await handler(request)
        body = await request.json() if request.can_read_body else None
        self.calls.append((request.method, request.path_qs, body))
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if key not in {ADMIN_KEY, USER_KEY}:
            return refused(errors.Unauthenticated("the key is unknown or revoked"))
        admin = request.path.split("/")[1] in {"keys", "dlq"} or request.method == "PUT"
        if admin and key != ADMIN_KEY:
            return refused(errors.AdminNeeded())
        if self.busy:
            self.busy -= 1
            return refused(errors.Busy("the service is busy, try again"))
        try:
            answer = await handler(request, body)
        except KeyError:
            return refused(errors.NoSuchPrompt())
        kept = errors.Forbidden("this key may only chat")
        return refused(kept) if answer is None else web.json_response(answer)

    async def add(self, request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        AddPrompt.model_validate(body)
        if stored := self.prompts.get(body["id"]):
            return self._shown(stored)
        thread_id = body.get("threadId") or body["id"]
        turn = 1 + sum(p.thread_id == thread_id for p in self.prompts.values())
        prompt = self.prompts[body["id"]] = Prompt(body["id"], thread_id, turn, body)
        self.begin(prompt)
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
            await self.do(prompt, "cancel")
        return self._shown(prompt)

    async def retry(self, request: web.Request, _: Any) -> dict[str, Any]:
        prompt = self.prompts[request.match_info["id"]]
        prompt.status, prompt.turn = "scheduled", prompt.turn + 1
        self.begin(prompt)
        return self._shown(prompt)

    async def remove(self, request: web.Request, _: Any) -> dict[str, Any]:
        del self.prompts[request.match_info["id"]]
        return {}

    async def found(self, request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        asked(ListPrompts.model_validate(body).query or Query())
        filters = {f["fields"][0]: json.loads(f["jsonValues"]) for f in body["query"]["filters"]}
        found = [p.shape() for p in self.prompts.values() if p.status in filters["status"]]
        return {"prompts": found[: body["query"]["limit"]], "count": 0}

    async def threads(self, request: web.Request, body: Any) -> dict[str, Any]:
        if not PageBody.model_validate(body).after and self.first_page_is_empty:
            return {"threads": [], "after": "behind"}
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
        PageBody.model_validate(body)
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
            PutModels.model_validate(body)
            self.models = body["models"]
        return {"models": self.models}

    async def keys(self, request: web.Request, body: Any) -> dict[str, Any]:
        key = {"id": "key_1", "userId": "ada", "role": "user", "name": "x", "createdAt": STARTED}
        if request.method == "POST":
            CreateKey.model_validate(body)
            return {"key": key | {"role": body["role"]}, "secret": "c" * 64}
        return {"keys": [key, key | {"id": "key_2", "revokedAt": ENDED}]}

    async def revoke(self, request: web.Request, _: Any) -> dict[str, Any]:
        if request.match_info["id"] != "key_1":
            raise KeyError
        return {"key": {"id": "key_1"}}

    async def letters(self, request: web.Request, _: Any) -> dict[str, Any]:
        after, limit = int(request.query.get("after", 0)), int(request.query["limit"])
        page = {"records": self.dead[after : after + limit]}
        more = len(self.dead) > after + limit
        return page | ({"after": str(after + limit)} if more else {})

    async def redrive(self, request: web.Request, body: Any) -> dict[str, Any]:
        wanted = RedriveBody.model_validate(body).prompt_id
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
        self.sockets.append(dict(request.query))
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                client_frame(message.data)
                await self._receive(socket, json.loads(message.data))
        self.subscriptions = [s for s in self.subscriptions if s.socket is not socket]
        return socket

    async def _receive(self, socket: web.WebSocketResponse, frame: dict[str, Any]) -> None:
        if frame["action"] == "ping":
            self.pings += 1
            states = [p.state() for p in self.prompts.values()]
            await socket.send_json(checked({"type": "pong", "prompts": states}))
            return
        async with self._lock:
            await self._subscribe(socket, frame)

    async def _subscribe(self, socket: web.WebSocketResponse, frame: dict[str, Any]) -> None:
        thread_id = frame["threadId"]
        self.subscribed.append(frame)
        if self.refuse_subscribes:
            self.refuse_subscribes -= 1
            error = {"type": "error", "error": "no such thread", "action": "subscribe"}
            await socket.send_json(checked(error))
            return
        mine = [p for p in self.prompts.values() if p.thread_id == thread_id]
        unfinished = [p for p in mine if p.status not in TERMINAL]
        await socket.send_json(
            checked(
                {
                    "type": "subscribed",
                    "threadId": thread_id,
                    "nonce": f"sub_{len(self.subscribed)}",
                    "prompts": [p.state() for p in unfinished],
                    "messages": self._messages(thread_id),
                    "truncated": False,
                }
            )
        )
        for prompt in unfinished:
            known = frame.get("known", {}).get(prompt.id, {})
            offset = known.get("offset", 0) if known.get("attempt") == prompt.attempt else 0
            if offset < len(prompt.text):
                await socket.send_json(checked(self._delta(prompt, offset)))
        self.subscriptions.append(Subscription(socket, thread_id))
