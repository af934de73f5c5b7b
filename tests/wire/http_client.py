"""A caller of the HTTP API: events as API Gateway sends them, over Parley in memory."""

import asyncio
import base64
import json
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from parley.core.access import ApiKey, KeyRole, Principal, key_hash
from parley.usecases.clients import Clients
from parley.usecases.sticky import StickySessions
from parley.wire.http import Http
from parley.wire.http_calls import Api, CallRecord, Chats

from tests.fakes.manifests import manifests_of
from tests.fakes.sessions import SessionWorld
from tests.fakes.world import ACCOUNT, ADMIN, OTHER_ACCOUNT, OTHER_USER, STRANGER, USER

T = TypeVar("T")

STRANGER_USER = Principal(OTHER_ACCOUNT, "usr_1", KeyRole.USER, "")
KEYS = {
    "user-key": USER,
    "other-user-key": OTHER_USER,
    "admin-key": ADMIN,
    "stranger-key": STRANGER,
    "stranger-user-key": STRANGER_USER,
}


@dataclass
class Reply:
    """An answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Recorder:
    """An observer that remembers."""

    calls: list[CallRecord] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)

    def answered(self, call: CallRecord) -> None:
        self.calls.append(call)

    def failed(self, error: Exception) -> None:
        self.errors.append(error)


def chats_of(world: SessionWorld, **flags: Any) -> Chats:
    return Chats(
        clients=Clients(world.resources, world.clock.monotonic),
        sessions=world.sessions,
        converse=world.converse,
        sticky=StickySessions(world.sessions, world.turns, world.clock, world.ids),
        clock=world.clock,
        **flags,
    )


def api_of(world: SessionWorld, chats: dict[str, Any] | None = None, **flags: Any) -> Api:
    at = chats_of(world, **(chats or {}))
    return Api(
        authenticate=world.authenticate,
        accept=world.accept,
        read=world.read,
        cancel=world.cancel,
        retry=world.retry,
        remove=world.remove,
        stream=world.stream,
        chat=world.chat,
        delete_thread=world.delete_thread,
        models=world.models,
        keys=world.keys,
        redrive=world.redrive,
        chats=at,
        manifests=manifests_of(world, world.resources, at.clients),
        policy=world.policy,
        **flags,
    )


class Client:
    """Calls the API as the user of the account, unless another key is given."""

    def __init__(self, observer: Any = None, **flags: Any) -> None:
        self.world = SessionWorld()
        self.observer = observer or Recorder()
        self._runner = asyncio.Runner()
        for key, who in KEYS.items():
            self.world.accounts.by_hash[key_hash(key)] = ApiKey(
                who.account, f"key_{key}", key_hash(key), who.user_id, who.role, key, 0
            )
        self.api = api_of(self.world, **flags)
        self.http = Http(self.api, self.run, self.observer)

    def close(self) -> None:
        self._runner.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`; time moves whenever everybody waits for it."""
        return self._runner.run(self.world.clock.run(work))

    def start(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Something that goes on while calls are made."""
        return self._runner.get_loop().create_task(work)

    def drain(self) -> None:
        """Let the runner do all there is to do."""
        self._runner.run(self.world.drain())

    async def work_after(self, seconds: float) -> None:
        """A runner that looks into the queue after so many seconds."""
        await self.world.clock.sleep(seconds)
        await self.world.invocation(self.world.queue.receive(10, alone=False))

    def send(self, event: dict[str, Any]) -> Reply:
        answer = self.http.resolve(event, None)
        assert answer.get("isBase64Encoded") in {None, False}
        headers = {name.lower(): value for name, value in answer["headers"].items()}
        return Reply(answer["statusCode"], headers, answer["body"])

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str = "user-key",
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """Call; `body` is sent as JSON, a str or bytes as it is."""
        sent = {"authorization": f"Bearer {key}"} if key else {}
        return self.send(http_event(method, path, body, {**sent, **(headers or {})}))

    def add(self, prompt_id: str, thread_id: str = "t", key: str = "user-key", **more: Any) -> Any:
        """Add a prompt; its JSON."""
        body = {"id": prompt_id, "threadId": thread_id, "prompt": f"ask {prompt_id}", **more}
        reply = self.call("POST", "/prompt-svc/prompt", body, key=key)
        assert reply.status == 200, reply.text
        return reply.json["prompt"]


def http_event(
    method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    """An event of an HTTP API, payload format 2.0. Bytes go as base64."""
    path, _, query = path.partition("?")
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"host": "api.example.com", **(headers or {})},
        "requestContext": {
            "stage": "$default",
            "http": {"method": method, "path": path, "sourceIp": "192.0.2.1"},
        },
        "isBase64Encoded": isinstance(body, bytes),
    }
    if query:
        event["queryStringParameters"] = dict(parse_qsl(query, keep_blank_values=True))
    if isinstance(body, bytes):
        event["body"] = base64.b64encode(body).decode()
    elif body is not None:
        event["body"] = body if isinstance(body, str) else json.dumps(body)
    return event


__all__ = ["ACCOUNT", "OTHER_ACCOUNT", "Client", "Recorder", "Reply", "http_event"]
