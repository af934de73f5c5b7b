"""A caller of llm_clients' addresses: Parley in memory, with some llm_clients described."""

import json
from dataclasses import replace
from typing import Any

from parley.core.access import ApiKey, KeyRole, key_hash
from parley.core.resource import Kind, Resource

from tests.fakes.world import ACCOUNT, OTHER_ACCOUNT
from tests.wire.http_client import Client, Reply, http_event

DOMAIN = "api.example.com"
HOST = f"stackademy.{ACCOUNT}.{DOMAIN}"
ORIGIN = f"https://{HOST}"
SOCKET = "wss://sockets.example.com/live"
SANDBOX = "/api/v1/llm-clients/1"
SYSTEM = "sesame: the system message"
CONFIG = {
    "deployed": True,
    "defaultSystemRole": SYSTEM,
    "defaultModel": "model",
    "appName": "Stackademy",
    "appWelcomeMessage": "Welcome!",
    "appExamplePrompts": ["What is the_weather?", "<b>&amp;"],
}
# Key, role, and the one llm_client that it is for.
CHAT_KEYS = {"client-key": "stackademy", "other-client-key": "other-bot"}


class ChatClient(Client):
    """Calls at the named host of `stackademy`, without a key, unless told otherwise."""

    def __init__(self, **chats: Any) -> None:
        super().__init__(chats={"domain": DOMAIN, "socket_url": SOCKET, **chats})
        self.describe("stackademy", 1)
        self.describe("other_bot", 2, functions=[])
        self.describe("draft", 3, config=CONFIG | {"deployed": False})
        self.describe("closed", 4, apiKey="the key")
        self.describe("stackademy", 1, account=OTHER_ACCOUNT)
        for key, name in CHAT_KEYS.items():
            self.world.accounts.by_hash[key_hash(key)] = ApiKey(
                ACCOUNT, key, key_hash(key), "usr_1", KeyRole.CLIENT, key, 0, client=name
            )

    def describe(self, name: str, number: int, account: str = ACCOUNT, **spec: Any) -> Resource:
        """An llm_client, as its manifest would store it."""
        now = self.world.clock.now()
        spec = {"config": CONFIG, "functions": ["calculator"], "plugins": ["courses"]} | spec
        made = Resource(account, Kind.LLM_CLIENT, name, now, now, spec=spec, number=number)
        self.world.resources.stored[account, Kind.LLM_CLIENT, name] = made
        self.api.chats.clients.forget()
        return made

    def changed(self, name: str = "stackademy", **fields: Any) -> None:
        """The llm_client with other fields of its own, e.g. its host."""
        at = (ACCOUNT, Kind.LLM_CLIENT, name)
        self.world.resources.stored[at] = replace(self.world.resources.stored[at], **fields)
        self.api.chats.clients.forget()

    def at(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        host: str = HOST,
        key: str = "",
        origin: str = "",
        **headers: str,
    ) -> Reply:
        """A call; header names with `_` for `-`."""
        sent = {name.replace("_", "-"): text for name, text in headers.items()}
        sent |= {"host": host} | ({"authorization": f"Bearer {key}"} if key else {})
        return self.send(
            http_event(method, path, body, sent | ({"origin": origin} if origin else {}))
        )

    def opened(self, path: str = "/config/", **more: Any) -> str:
        """The key of a new session."""
        session_key: str = self.at("POST", path, {}, **more).json["data"]["session_key"]
        return session_key

    def say(self, session_key: str, text: str, *before: dict[str, Any], **more: Any) -> Reply:
        """Post something that a person says, with what the page has before it; nobody waits."""
        body = {"session_key": session_key, "wait": 0} | more.pop("body", {})
        body["messages"] = [*before, {"role": "user", "content": text}]
        return self.at("POST", more.pop("path", "/chat/"), body, **more)

    def answered(self, session_key: str, text: str, *before: dict[str, Any], **more: Any) -> Any:
        """The body of the answer to what is said, which the runner gives meanwhile."""
        body = {"wait": 20} | more.pop("body", {})
        working = self.start(self.work_after(1))
        reply = self.say(session_key, text, *before, body=body, **more)
        assert working.done()
        assert reply.status == 200, reply.text
        return told(reply)


def told(reply: Reply) -> Any:
    """The body of a chat answer, with its status as `status`."""
    data = reply.json["data"]
    return {**json.loads(data["body"]), "status": data["statusCode"]}
