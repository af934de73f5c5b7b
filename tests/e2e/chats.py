"""Visitors of llm_clients: calls at a named host or in the sandbox, and a session's socket."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx

from tests.e2e.sockets import Socket, connected
from tests.e2e.stack import Stack

Json = dict[str, Any]


@dataclass(frozen=True)
class Visitor:
    """Somebody at one llm_client. `key` is sent as a Bearer, None for no header at all."""

    stack: Stack
    client: str
    account: str
    key: str | None = None
    base: str = ""

    @property
    def host(self) -> str:
        """The llm_client's own host, or the API's for who is in the sandbox."""
        own = urlsplit(self.stack.api).netloc
        port = own.partition(":")[2]
        return own if self.base else f"{self.client}.{self.account}.api.localhost:{port}"

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """A call; header names with `_` for `-`."""
        sent = {"host": self.host}
        if self.key is not None:
            sent["authorization"] = f"Bearer {self.key}".strip()
        sent |= {name.replace("_", "-"): text for name, text in headers.items()}
        content = body if isinstance(body, str) or body is None else json.dumps(body)
        url = f"{self.stack.api}{self.base}{path}"
        return httpx.request(method, url, content=content, headers=sent, timeout=40)

    def config(self, session_key: str = "") -> Json:
        """What a page begins with."""
        reply = self.call("POST", "/config/", {"session_key": session_key} if session_key else {})
        assert reply.status_code == 200, reply.text
        data: Json = reply.json()["data"]
        return data

    def opened(self) -> str:
        """The key of a new session."""
        return str(self.config()["session_key"])

    def say(self, session_key: str, text: str, *before: Json, **fields: Any) -> httpx.Response:
        """Post what a person says, with what the page has before it."""
        messages = [*before, {"role": "user", "content": text}]
        body = {"session_key": session_key, "messages": messages, **fields}
        return self.call("POST", "/chat/", body)

    def told(self, session_key: str, text: str, *before: Json, **fields: Any) -> Json:
        """The body of the answer, with the status that it says it has."""
        reply = self.say(session_key, text, *before, **fields)
        assert reply.status_code == 200, reply.text
        data = reply.json()["data"]
        return {**json.loads(data["body"]), "status": data["statusCode"]}

    @contextmanager
    def listening(self, key: str, **query: str) -> Iterator[Socket]:
        """A session's connection; raises InvalidStatus if the handshake is refused."""
        asked = {"session_key": key, "account": self.account, "llm_client": self.client}
        if self.key:
            asked["token"] = self.key
        url = f"{self.stack.websocket}?{urlencode(asked | query)}"
        with connected(url) as connection:
            yield Socket(connection)
