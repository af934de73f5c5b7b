"""A small server that speaks the chat API's shapes, for looking at the page without a stack.

    .venv/bin/python -m tests.page.fake_server 9700

serves the page, its API on a named host (`/`), the sandbox (key `goodkey`), the workbench and
the socket. What a question contains decides what happens: weather, code, long, slow, fail, flaky,
limit. `POST /_fake/{what}` moves the world: drop (ends sockets), sockets-off, sockets-on,
forget (sessions), down, up, gone, closed.
"""

import asyncio
import json
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web
from parley.wire.page import page_answer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
KEY = "goodkey"
WELCOME = (
    "Welcome to Stackademy! I help you to find a course that fits. What would you like to learn?"
)
EXAMPLES = [
    "Do you offer any courses on AI?",
    "What is the weather in Lisbon?",
    "Show me some Python code",
    "How much does a certificate cost?",
]
PLAIN = (
    "Yes, we do. There are **three courses** on artificial intelligence this term:\n\n"
    "1. *Foundations of Machine Learning*, 8 weeks, for beginners\n"
    "2. *Language Models in Practice*, 6 weeks, with a project\n"
    "3. *Responsible AI*, 4 weeks, evenings\n\n"
    "| Course | Starts | Price |\n|---|---|---:|\n| Foundations | 12 January | €480 |\n"
    "| Language Models | 2 February | €620 |\n| Responsible AI | 9 March | €290 |\n\n"
    "You can read more on [our site](https://stackademy.example/courses). "
    "Shall I tell you what you would need to know beforehand?"
)
CODE = (
    "Here is a small example. It reads a file and counts its words:\n\n```python\n"
    "from collections import Counter\nfrom pathlib import Path\n\n\n"
    "def most_common(path: str, n: int = 10) -> list[tuple[str, int]]:\n"
    '    """The words of a file that are used most often."""\n'
    "    words = Path(path).read_text().lower().split()\n"
    "    return Counter(words).most_common(n)\n```\n\n"
    'Call `most_common("notes.txt")` and you get pairs of a word and its count.\n\n'
    "> Split by white space is the simplest way; punctuation stays with its word.\n"
)
WEATHER = "It is **17 °C** in Lisbon at the moment, with a light wind from the sea. ☀️ 🌊"
UNFINISHED = {"scheduled", "running", "errored"}


@dataclass
class Session:
    key: str
    thread_id: str
    items: list[dict[str, Any]] = field(default_factory=list)
    prompts: dict[str, dict[str, Any]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    running: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    partial: dict[str, str] = field(default_factory=dict)
    sockets: set[web.WebSocketResponse] = field(default_factory=set)
    sending: set[asyncio.Task[None]] = field(default_factory=set)

    def tell(self, frame: dict[str, Any]) -> None:
        for socket in set(self.sockets):
            task = asyncio.ensure_future(_send(socket, frame))
            self.sending.add(task)
            task.add_done_callback(self.sending.discard)

    @property
    def next_turn(self) -> int:
        turns = [item["turn"] for item in self.items] + [p["turn"] for p in self.prompts.values()]
        return max(turns, default=0) + 1


async def _send(socket: web.WebSocketResponse, frame: dict[str, Any]) -> None:
    if not socket.closed:
        await socket.send_str(json.dumps(frame))


def now() -> int:
    return int(time.time() * 1000)


def chat_item(**known: Any) -> dict[str, Any]:
    """A message as it is shown; what is not said is as in an answer that has just come."""
    return {
        "role": "assistant",
        "smarter_is_new": False,
        "turn": 0,
        "part": 0,
        "created_at": now(),
        "partial": False,
        "finish_reason": "",
        "prompt_id": "",
        "replaces": 0,
        **known,
    }


class Fake:
    """The world: sessions, and what is broken in it."""

    def __init__(self, *, pace: float = 0.03) -> None:
        self.sessions: dict[str, Session] = {}
        self.broken: set[str] = set()
        self.pace = pace
        self.page_size = 50
        self.limit = 2000
        self.ancestors: tuple[str, ...] = ("http://localhost:9701",)
        self.look: dict[str, str] = {}
        self.asked: list[dict[str, Any]] = []

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self.guard])
        for base in ("", "/api/v1/llm-clients/{id}"):
            app.router.add_post(f"{base}/config/", self.config)
            app.router.add_post(f"{base}/chat/", self.chat)
            app.router.add_get(f"{base}/chat/", self.history)
            app.router.add_post(f"{base}/chat/cancel/", self.cancel)
            app.router.add_post(f"{base}/chat/retry/", self.retry)
        app.router.add_post("/api/v1/llm-clients/{id}/token/", self.token)
        app.router.add_get("/api/v1/llm-clients/", self.clients)
        app.router.add_get("/ws", self.socket)
        app.router.add_post("/_fake/{what}", self.move)
        app.router.add_get("/{path:.*}", self.page)
        return app

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        path = request.path
        api = request.method == "POST" or path == "/chat/" or path.startswith("/api/")
        if not api or path.startswith("/_fake/"):
            return await handler(request)
        if "down" in self.broken:
            return web.json_response({"error": "unavailable"}, status=503)
        if "gone" in self.broken:
            return web.json_response({"error": "no such llm_client"}, status=404)
        if "closed" in self.broken:
            return web.json_response({"error": "a key is needed"}, status=403)
        if path.startswith("/api/"):
            bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if not (bearer == KEY or bearer.startswith("token-")):
                return web.json_response({"error": "unknown key"}, status=401)
        return await handler(request)

    # --- the page ------------------------------------------------------------

    async def page(self, request: web.Request) -> web.Response:
        answer = page_answer(
            request.path,
            socket_url=f"ws://{request.host}/ws",
            frame_ancestors=self.ancestors,
            if_none_match=request.headers.get("If-None-Match", ""),
        )
        if answer is None:
            return web.json_response({"error": "not found"}, status=404)
        return web.Response(
            status=answer["statusCode"], headers=answer["headers"], body=answer["body"].encode()
        )

    async def token(self, request: web.Request) -> web.Response:
        token = f"token-{secrets.token_hex(4)}"
        return web.json_response({"token": token, "expires_at": now() + 3_600_000})

    async def clients(self, request: web.Request) -> web.Response:
        rows = [
            ("stackademy", "Stackademy", "Helps students to find a course.", True),
            ("weather", "Weather", "Answers questions about the weather, with functions.", True),
            ("plain", "Plain", "Nothing but a model.", False),
        ]
        clients = [
            {
                "id": number,
                "hashed_id": "",
                "name": name,
                "description": description,
                "version": "0.1.0",
                "deployed": deployed,
                "url": f"http://{name}.3141-5926-5359.api.localhost:9357/",
                "app_name": app_name,
            }
            for number, (name, app_name, description, deployed) in enumerate(rows, 1)
        ]
        return web.json_response({"data": {"llm_clients": clients}})

    # --- sessions ------------------------------------------------------------

    def opened(self, key: str) -> tuple[Session, bool]:
        if key in self.sessions:
            return self.sessions[key], False
        key = secrets.token_hex(32)
        self.sessions[key] = Session(key, f"ses_{key[:40]}")
        return self.sessions[key], True

    async def config(self, request: web.Request) -> web.Response:
        body = await request.json()
        session, new = self.opened(body.get("session_key") or "")
        items, after = self.part(session, "")
        chatbot = {
            "id": 1,
            "name": "stackademy",
            "app_name": "Stackademy",
            "app_assistant": "Stan, your course adviser",
            "app_welcome_message": WELCOME,
            "app_example_prompts": EXAMPLES,
            "app_placeholder": "Ask about courses, dates or prices",
            "app_info_url": "https://stackademy.example/",
            "app_background_image_url": "",
            "app_logo_url": "",
        }
        data = {
            "session_key": session.key,
            "session_new": new,
            "chatbot": chatbot | self.look,
            "history": {"chat_history": items, "after": after},
            "prompts": list(session.prompts.values()),
            "websocket": {
                "url": f"ws://{request.host}/ws",
                "account": "3141-5926-5359",
                "llm_client": "stackademy",
                "thread_id": session.thread_id,
            },
            "limits": {"input_characters": self.limit, "open_turn": "refuse"},
        }
        return web.json_response({"data": data, "api": "smarter.sh/v1"})

    def part(self, session: Session, after: str) -> tuple[list[dict[str, Any]], str]:
        replaced = {item.get("replaces") for item in session.items}
        items = [item for item in session.items if item["turn"] not in replaced]
        turns = sorted({item["turn"] for item in items}, reverse=True)
        if after:
            turns = [turn for turn in turns if turn < int(after)]
        page = turns[: self.page_size]
        more = str(page[-1]) if len(turns) > len(page) else ""
        return [item for item in items if item["turn"] in page], more

    async def history(self, request: web.Request) -> web.Response:
        session = self.sessions.get(request.query.get("session_key", ""))
        if session is None:
            return web.json_response({"error": "no such session"}, status=404)
        items, after = self.part(session, request.query.get("after", ""))
        prompts = list(session.prompts.values())[-5:]
        data = {"messages": items, "prompts": prompts, "after": after}
        return web.json_response({"data": data})

    # --- turns ---------------------------------------------------------------

    async def chat(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.asked.append(body)
        session = self.sessions.get(body["session_key"])
        if session is None:
            return web.json_response({"error": "no such session"}, status=404)
        text = body["messages"][-1]["content"]
        if "limit" in text:
            return self.answer(
                None,
                429,
                "You have asked 10 times within a minute, which is as often as this chat allows. "
                "Please wait a moment.",
            )
        prompt = self.state(session, f"chat_{secrets.token_hex(8)}", session.next_turn)
        self.question(session, prompt, text, body.get("replaces"))
        await asyncio.sleep(self.pace)
        self.begin(session, prompt["id"])
        if body.get("wait"):
            await asyncio.wait([session.running[prompt["id"]]], timeout=min(body["wait"], 5))
        return self.answer(session, 200, prompt=session.prompts[prompt["id"]])

    def question(
        self, session: Session, prompt: dict[str, Any], text: str, replaces: int | None = None
    ) -> None:
        item = chat_item(
            id=prompt["id"], role="user", content=text, turn=prompt["turn"], part=1
        ) | {"prompt_id": prompt["id"], "replaces": replaces or 0}
        session.items.append(item)
        session.texts[prompt["id"]] = text

    def state(self, session: Session, prompt_id: str, turn: int, **more: Any) -> dict[str, Any]:
        before = session.prompts.get(prompt_id, {})
        session.prompts[prompt_id] = {
            "id": prompt_id,
            "threadId": session.thread_id,
            "turn": turn,
            "status": "scheduled",
            "attempt": before.get("attempt", 0),
            "errorCode": "",
            "nextAttemptAt": 0,
            "cancelRequested": False,
            "responseMessageId": "",
            "updatedAt": now(),
        } | more
        return session.prompts[prompt_id]

    def told(self, session: Session, prompt_id: str, **more: Any) -> None:
        prompt = self.state(session, prompt_id, session.prompts[prompt_id]["turn"], **more)
        session.tell({"type": "prompt", "threadId": session.thread_id, "prompt": prompt})

    def message(self, session: Session, item: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": item["id"],
            "threadId": session.thread_id,
            "turn": item["turn"],
            "part": item["part"],
            "role": item["role"],
            "text": item["content"],
            "userId": "",
            "partial": item["partial"],
            "finishReason": item["finish_reason"],
            "replaces": item["replaces"],
            "createdAt": item["created_at"],
            "truncated": False,
        }

    def begin(self, session: Session, prompt_id: str) -> None:
        session.running[prompt_id] = asyncio.ensure_future(self.run(session, prompt_id))

    async def run(self, session: Session, prompt_id: str) -> None:
        text = session.texts[prompt_id].lower()
        attempt = session.prompts[prompt_id]["attempt"] + 1
        self.told(session, prompt_id, status="running", attempt=attempt)
        question = next(item for item in session.items if item["id"] == prompt_id)
        session.tell(
            {
                "type": "message",
                "threadId": session.thread_id,
                "message": self.message(session, question),
            }
        )
        tools: list[dict[str, Any]] = []
        if "think" in text:
            await asyncio.sleep(3600)
        if "weather" in text:
            tools = await self.tools(session, prompt_id, attempt)
        if "flaky" in text and attempt == 1:
            await self.stream(session, prompt_id, attempt, "This attempt will be lost in the mid")
            self.told(
                session, prompt_id, status="errored", errorCode="timeout", nextAttemptAt=now()
            )
            await asyncio.sleep(self.pace * 40)
            await self.run(session, prompt_id)
            return
        if "fail" in text and attempt == 1:
            await self.stream(session, prompt_id, attempt, "I was about to say")
            self.told(
                session, prompt_id, status="abandoned", errorCode="server_error", attempt=attempt
            )
            return
        answer = CODE if "code" in text else WEATHER if tools else PLAIN
        if "slow" in text or "long" in text:
            answer = "\n\n".join([PLAIN.split("\n\n|", maxsplit=1)[0]] * 12)
        await self.stream(session, prompt_id, attempt, answer, slow="slow" in text)
        self.finish(session, prompt_id, answer, tools)

    async def tools(self, session: Session, prompt_id: str, attempt: int) -> list[dict[str, Any]]:
        calls = [
            ("get_current_weather", '{"location": "Lisbon", "unit": "celsius"}', "ok", 412),
            ("date_calculator", '{"start": "today", "add": "1 fortnite"}', "failed", 3),
        ]
        done = []
        for number, (name, arguments, outcome, ms) in enumerate(calls):
            frame = {
                "type": "tool",
                "threadId": session.thread_id,
                "promptId": prompt_id,
                "attempt": attempt,
                "round": 1,
                "callId": f"call_{number}",
                "name": name,
                "plugin": "",
                "arguments": arguments,
                "offset": 0,
            }
            session.tell(frame | {"state": "started", "outcome": "", "milliseconds": 0, "size": 0})
            await asyncio.sleep(self.pace * 20)
            session.tell(
                frame | {"state": "done", "outcome": outcome, "milliseconds": ms, "size": 312}
            )
            done.append(
                {
                    "name": name,
                    "plugin": "",
                    "arguments": arguments,
                    "outcome": outcome,
                    "ms": ms,
                    "size": 312,
                    "result": '{"temperature": 17, "wind": "light"}'
                    if outcome == "ok"
                    else '{"error": "unknown unit: fortnite"}',
                }
            )
        return done

    async def stream(
        self, session: Session, prompt_id: str, attempt: int, answer: str, *, slow: bool = False
    ) -> None:
        offset = 0
        session.partial[prompt_id] = ""
        while offset < len(answer):
            end = min(offset + 7, len(answer))
            session.partial[prompt_id] = answer[:end]
            session.tell(
                {
                    "type": "delta",
                    "threadId": session.thread_id,
                    "promptId": prompt_id,
                    "attempt": attempt,
                    "offset": offset,
                    "end": end,
                    "text": answer[offset:end],
                }
            )
            offset = end
            await asyncio.sleep(self.pace * (4 if slow else 1))

    def finish(
        self,
        session: Session,
        prompt_id: str,
        text: str,
        tools: list[dict[str, Any]],
        *,
        partial: bool = False,
    ) -> None:
        prompt = session.prompts[prompt_id]
        item = chat_item(
            id=f"msg_{prompt_id}.{prompt['turn']}",
            content=text,
            turn=prompt["turn"],
            part=1000,
            partial=partial,
            finish_reason="" if partial else "stop",
            prompt_id=prompt_id,
        ) | ({"tool_calls": tools} if tools else {})
        if text:
            session.items.append(item)
        status = "canceled" if partial else "completed"
        self.told(session, prompt_id, status=status, attempt=prompt["attempt"])
        if text:
            session.tell(
                {
                    "type": "message",
                    "threadId": session.thread_id,
                    "message": self.message(session, item),
                }
            )

    def stop(self, session: Session, prompt_id: str) -> None:
        task = session.running.get(prompt_id)
        if task and not task.done():
            task.cancel()
            self.finish(session, prompt_id, session.partial.get(prompt_id, ""), [], partial=True)

    async def cancel(self, request: web.Request) -> web.Response:
        body = await request.json()
        session = self.sessions[body["session_key"]]
        self.stop(session, body["prompt_id"])
        return self.answer(session, 200, prompt=session.prompts[body["prompt_id"]])

    async def retry(self, request: web.Request) -> web.Response:
        body = await request.json()
        session, prompt_id = self.sessions[body["session_key"]], body["prompt_id"]
        question = next(item for item in session.items if item["id"] == prompt_id)
        turn = session.next_turn
        question["turn"] = turn
        prompt = self.state(session, prompt_id, turn)
        self.begin(session, prompt_id)
        return self.answer(session, 200, prompt=prompt)

    def answer(
        self,
        session: Session | None,
        status: int,
        error: str = "",
        prompt: dict[str, Any] | None = None,
    ) -> web.Response:
        messages = (
            [chat_item(id="x", role="smarter_error", content=error, smarter_is_new=True)]
            if error
            else []
        )
        if session and prompt:
            messages += [
                item
                for item in session.items
                if item["prompt_id"] == prompt["id"]
                and item["role"] == "assistant"
                and item["turn"] == prompt["turn"]
            ]
        body = {
            "id": "x",
            "smarter": {"messages": messages, "prompt": prompt, "plugins": [], "tools": []},
        }
        data = {"isBase64Encoded": False, "statusCode": status, "body": json.dumps(body)}
        return web.json_response({"data": data, "api": "smarter.sh/v1"})

    # --- the socket ----------------------------------------------------------

    async def socket(self, request: web.Request) -> web.StreamResponse:
        session = self.sessions.get(request.query.get("session_key", ""))
        if session is None or "sockets" in self.broken:
            return web.json_response({"error": "refused"}, status=401)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for received in socket:
            if received.type is not WSMsgType.TEXT:
                break
            frame = json.loads(received.data)
            if frame["action"] == "subscribe":
                session.sockets.add(socket)
                await _send(socket, self.subscribed(session))
                await self.catch_up(session, socket, frame.get("known") or {})
            elif frame["action"] == "cancel":
                self.stop(session, frame["promptId"])
            elif frame["action"] == "ping":
                await _send(socket, self.pong(session, frame.get("threadId", "")))
        session.sockets.discard(socket)
        return socket

    def pong(self, session: Session, thread_id: str) -> dict[str, Any]:
        if not thread_id:
            return {"type": "pong", "prompts": []}
        prompts = list(session.prompts.values())[-5:]
        return {"type": "pong", "threadId": thread_id, "prompts": prompts}

    def subscribed(self, session: Session) -> dict[str, Any]:
        prompts = [one for one in session.prompts.values() if one["status"] in UNFINISHED]
        messages = [self.message(session, item) for item in session.items[-20:]]
        return {
            "type": "subscribed",
            "threadId": session.thread_id,
            "nonce": "n",
            "prompts": prompts,
            "messages": messages,
            "truncated": False,
        }

    async def catch_up(
        self, session: Session, socket: web.WebSocketResponse, known: dict[str, Any]
    ) -> None:
        for prompt in session.prompts.values():
            text = session.partial.get(prompt["id"], "")
            if prompt["status"] != "running" or not text:
                continue
            had = known.get(prompt["id"], {})
            offset = had.get("offset", 0) if had.get("attempt") == prompt["attempt"] else 0
            await _send(
                socket,
                {
                    "type": "delta",
                    "threadId": session.thread_id,
                    "promptId": prompt["id"],
                    "attempt": prompt["attempt"],
                    "offset": offset,
                    "end": len(text),
                    "text": text[offset:],
                },
            )

    # --- the world -----------------------------------------------------------

    async def move(self, request: web.Request) -> web.Response:
        what, query = request.match_info["what"], request.query
        if what in {"drop", "sockets-off"}:
            for session in self.sessions.values():
                for socket in list(session.sockets):
                    await socket.close()
        self.change(what)
        for _ in range(int(query.get("turns", "0"))):
            for session in self.sessions.values():
                self.fill(session)
        self.pace = float(query.get("pace", self.pace))
        self.page_size = int(query.get("page", self.page_size))
        if what == "look":
            self.look = dict(query)
        return web.json_response({})

    def change(self, what: str) -> None:
        if what == "forget":
            self.sessions.clear()
        elif what == "up":
            self.broken.clear()
        elif what == "sockets-on":
            self.broken.discard("sockets")
        elif what in {"down", "gone", "closed", "sockets-off"}:
            self.broken.add(what.removesuffix("-off"))

    def fill(self, session: Session) -> None:
        turn = session.next_turn
        prompt = self.state(
            session, f"chat_{secrets.token_hex(8)}", turn, status="completed", attempt=1
        )
        self.question(session, prompt, f"Question number {turn}")
        session.items.append(
            chat_item(
                id=f"msg_{prompt['id']}.{turn}",
                content=f"Answer number {turn}.",
                turn=turn,
                part=1000,
                finish_reason="stop",
                prompt_id=prompt["id"],
            )
        )


if __name__ == "__main__":
    web.run_app(Fake().app(), host="127.0.0.1", port=int(sys.argv[1]), print=None)
