"""The chat calls of the tests' API: one llm_client, whose turns do what a test's script says.

What comes in is held against the product's own request models, what is said of a session
has the product's shapes.
"""

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web
from parley.wire.smarter.chat import ChatBody, TurnBody, input_of
from parley.wire.smarter.config import ConfigBody
from parley.wire.smarter.shapes import ChatItem

from tests.cli.scripted import Prompt

if TYPE_CHECKING:
    from tests.cli.server import FakeApi

ACCOUNT, CLIENT, NUMBER = "3141-5926-5359", "stackademy", 7
WELCOME = "Welcome to Stackademy!"


def item(id_: str, role: Any, content: str, **more: Any) -> ChatItem:
    shown: Any = {
        "id": id_,
        "role": role,
        "content": content,
        "smarter_is_new": False,
        "turn": 0,
        "part": 0,
        "created_at": 1,
        "partial": False,
        "finish_reason": "",
        "prompt_id": "",
        "replaces": 0,
    }
    return shown | more


class FakeChat:
    """Sessions by their key; a session's thread is `ses_` and the key's beginning."""

    def __init__(self, api: "FakeApi") -> None:
        self.api = api
        self.keys: list[str] = []
        self.posted: list[dict[str, Any]] = []
        self.refuse = ""
        self.chat_only = False
        # Whether it says nothing of a turn that is to be stopped, and loses an answer.
        self.deaf = False
        self.lossy = False
        # What happens while a question is on its way, before it is accepted.
        self.at_post: Callable[[], Awaitable[None]] = nothing
        # The calls of tools that a read of the session tells.
        self.called: list[Any] = []
        self.said = 0

    def routes(self, route: Any) -> None:
        base = "/api/v1/llm-clients/{client}/"
        route("GET", base, self.client)
        route("POST", "/api/v1/cli/chat/config/{client}/", self.config)
        route("POST", f"{base}config/", self.config)
        route("POST", f"{base}chat/", self.chat)
        route("GET", f"{base}chat/", self.history)
        route("POST", f"{base}chat/cancel/", self.cancel)
        route("POST", f"{base}chat/retry/", self.retry)

    async def client(self, request: web.Request, _: Any) -> Any:
        if self.chat_only:
            return None
        if request.match_info["client"] != CLIENT:
            raise KeyError
        return {"data": {"llm_client": {"id": NUMBER, "name": CLIENT, "account": ACCOUNT}}}

    async def config(self, request: web.Request, body: Any) -> dict[str, Any]:
        assert request.match_info["client"] in {str(NUMBER), CLIENT}
        key = ConfigBody.model_validate(body or {}).session_key or ""
        if key not in self.keys:
            key = f"{len(self.keys) + 1:064x}"
            self.keys.append(key)
        return {
            "data": {
                "session_key": key,
                "chatbot": {
                    "id": NUMBER,
                    "name": CLIENT,
                    "app_name": "Stackademy",
                    "app_assistant": "Stan",
                    "account": {"accountNumber": ACCOUNT},
                },
                "history": {"chat_history": self._items(key)},
                "prompts": [prompt.state() for prompt in self._prompts(key)[-1:]],
                "websocket": {
                    "url": f"ws://127.0.0.1:{self.api.port}/ws",
                    "account": ACCOUNT,
                    "llm_client": CLIENT,
                    "thread_id": thread_of(key),
                },
            }
        }

    async def chat(self, _request: web.Request, body: Any) -> dict[str, Any]:
        asked = ChatBody.model_validate(body)
        assert asked.session_key in self.keys
        assert (asked.wait, asked.format) == (0, "plain")
        self.posted.append(body)
        await self.at_post()
        text, point = input_of(asked)
        if self.refuse:
            return answered([item("", "smarter_error", self.refuse)], None)
        if point in [prompt.body["point"] for prompt in self._prompts(asked.session_key)]:
            same = next(p for p in self._prompts(asked.session_key) if p.body["point"] == point)
            return answered([], same.state())
        self.said += 1
        id_ = f"chat_{self.said}"
        new = {"prompt": text, "id": id_, "threadId": thread_of(asked.session_key), "point": point}
        turn = 1 + len(self._prompts(asked.session_key))
        prompt = self.api.prompts[id_] = Prompt(id_, new["threadId"], turn, new)
        self.api.begin(prompt)
        if self.lossy:
            self.lossy = False
            raise web.HTTPBadGateway
        return answered([item("", "smarter", "still working")], prompt.state())

    async def history(self, request: web.Request, _: Any) -> dict[str, Any]:
        key = request.query["session_key"]
        assert key in self.keys
        states = [prompt.state() for prompt in self._prompts(key)[-1:]]
        return {"data": {"messages": self._items(key), "prompts": states, "after": ""}}

    async def cancel(self, _request: web.Request, body: Any) -> dict[str, Any]:
        prompt = self.api.prompts[TurnBody.model_validate(body).prompt_id]
        if not self.deaf:
            await self.api.do(prompt, "cancel")
        return answered([], prompt.state())

    async def retry(self, _request: web.Request, body: Any) -> dict[str, Any]:
        await self.at_post()
        prompt = self.api.prompts[TurnBody.model_validate(body).prompt_id]
        prompt.status, prompt.turn, prompt.updated_at = "scheduled", prompt.turn + 1, 99
        self.api.begin(prompt)
        return answered([], prompt.state())

    def _prompts(self, key: str) -> list[Prompt]:
        return [p for p in self.api.prompts.values() if p.thread_id == thread_of(key)]

    def _items(self, key: str) -> list[ChatItem]:
        items = [item("intro.1", "assistant", WELCOME)]
        for prompt in self._prompts(key):
            items.append(item(prompt.id, "user", prompt.body["prompt"], prompt_id=prompt.id))
            if prompt.status in {"completed", "canceled"}:
                more = {"prompt_id": prompt.id, "partial": prompt.status == "canceled"}
                more |= {"tool_calls": self.called} if self.called else {}
                items.append(item(f"msg_{prompt.id}", "assistant", prompt.text, **more))
        return items


async def nothing() -> None:
    pass


def thread_of(key: str) -> str:
    return f"ses_{key[-8:]}"


def answered(messages: list[ChatItem], state: Any) -> dict[str, Any]:
    smarter = {"messages": messages, "prompt": state}
    return {"data": {"statusCode": 200, "body": json.dumps({"smarter": smarter})}}
