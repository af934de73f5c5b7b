"""The addresses at which a session is read, and what one read costs at each from a cold start."""

import asyncio
import json
from dataclasses import dataclass, field, replace
from typing import Any

from parley.core.llm_client import LlmClient
from parley.core.resource import Kind

from tests.budgets.world import ACCOUNT, KEY, World

HOST = "stackademy.1111-1111-1111.api.example.com"
API_HOST = "api.example.com"
CUSTOM_HOST = "chat.example.org"
SANDBOX = "/api/v1/llm-clients"
CLIENT = LlmClient(ACCOUNT, "stackademy", 1, deployed=True)
SESSION_KEY = "5e" * 32


@dataclass(frozen=True)
class Family:
    """A way to come to a session.

    `credential` is "key", "token" (a page's) or empty. `reads` are the calls that read the
    table, `writes` the others. A session that sticks to the caller is not in the `body`.
    """

    path: str
    reads: int
    method: str = "POST"
    host: str = HOST
    credential: str = ""
    writes: tuple[str, ...] = ()
    sticky: bool = False
    spec: dict[str, Any] = field(default_factory=dict)

    def arranged(self, world: World) -> "Caller":
        """A caller, once the llm_client is described as it has to be."""
        store = world.parts.resources
        client = asyncio.run(store.resource(ACCOUNT, Kind.LLM_CLIENT, "stackademy"))
        assert client is not None
        host = self.host if self.host == CUSTOM_HOST else ""
        asyncio.run(store.replace(replace(client, spec=client.spec | self.spec, host=host)))
        caller = Caller(self, {"host": self.host}, SESSION_KEY)
        if self.credential:
            caller = replace(caller, headers=caller.headers | {"authorization": self._key(world)})
        if self.sticky:
            caller = replace(caller, session_key=caller.asked(world)["session_key"])
        return caller

    def _key(self, world: World) -> str:
        if self.credential == "key":
            return KEY
        answer = world.call(f"{SANDBOX}/1/token/", {}, {"authorization": KEY})
        token: str = json.loads(answer["body"])["token"]
        return token


@dataclass(frozen=True)
class Caller:
    """Somebody who reads a session."""

    family: Family
    headers: dict[str, str]
    session_key: str

    def asked(self, world: World) -> dict[str, Any]:
        """What a read of the session has as `data`."""
        family = self.family
        named = {} if family.sticky else {"session_key": self.session_key}
        path = f"{family.path}?session_key={self.session_key}" if family.method == "GET" else ""
        answer = world.call(path or family.path, named, self.headers, family.method)
        assert answer["statusCode"] == 200, answer
        data: dict[str, Any] = json.loads(answer["body"])["data"]
        return data


# The llm_client, the session, the states of its prompts; a key is one read more.
FAMILIES = {
    "named": Family("/config/", 3),
    "named, with a key": Family("/config/", 4, credential="key", spec={"apiKey": "the key"}),
    "custom host": Family("/config/", 3, host=CUSTOM_HOST),
    "sandbox": Family(f"{SANDBOX}/1/config/", 4, host=API_HOST, credential="key"),
    # The token's first use also looks whether the key that made it still is good.
    "hashed id, with a page's token": Family(
        f"{SANDBOX}/{CLIENT.hashed_id}/config/", 5, host=API_HOST, credential="token"
    ),
    # Which session it is, is asked by a write that is refused.
    "command line": Family(
        "/api/v1/cli/chat/config/stackademy/?uid=machine",
        4,
        host=API_HOST,
        credential="key",
        writes=("put_item",),
        sticky=True,
    ),
    "read of the session": Family("/chat/", 3, method="GET"),
}
