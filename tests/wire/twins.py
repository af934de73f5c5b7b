"""Two accounts with llm_clients of the same names, and every kind of credential there is."""

from dataclasses import replace
from typing import Any

from parley.core.access import ApiKey, KeyRole, key_hash
from parley.core.llm_client import client_of
from parley.core.resource import Kind

from tests.fakes.world import ACCOUNT, OTHER_ACCOUNT
from tests.wire.chat_client import CONFIG, ChatClient
from tests.wire.http_client import Reply, http_event

API = "api.example.com"
OPEN, DRAFT, CLOSED, ABSENT = "stackademy", "draft", "closed", "absent"
NUMBERS = {OPEN: 1, DRAFT: 3, CLOSED: 4, ABSENT: 99}
THEIRS = "theirs only, and secret"

# Keys of llm_clients besides `client-key`, which is for the open one: account and llm_client.
CLIENT_KEYS = {
    "closed-client-key": (ACCOUNT, CLOSED),
    "their-client-key": (OTHER_ACCOUNT, OPEN),
}
# What is no credential, and what has stopped to be one.
DEAD = (
    "wrong-key",
    "expired-token",
    "revoked-key",
    "orphaned-token",
    "a session's key",
    "their session's key",
)


def named(client: str, account: str = ACCOUNT) -> str:
    """The host of an llm_client."""
    return f"{client}.{account}.{API}"


class Twins(ChatClient):
    """The account has an open, a closed and a draft llm_client; the other one no draft."""

    def __init__(self, **chats: Any) -> None:
        super().__init__(**chats)
        config = CONFIG | {"appWelcomeMessage": THEIRS}
        self.describe(OPEN, 1, account=OTHER_ACCOUNT, config=config)
        self.describe(CLOSED, 4, account=OTHER_ACCOUNT, config=config, apiKey="theirs")
        for key, (account, client) in CLIENT_KEYS.items():
            self.put_key(key, account, KeyRole.CLIENT, client=client)
        now = self.world.clock.now()
        for_page: dict[str, Any] = {"client": OPEN, "made_by": key_hash("user-key")}
        ends = now // 1000 + 3600
        self.put_key("token", ACCOUNT, KeyRole.CLIENT, expires_at=ends, **for_page)
        self.put_key("expired-token", ACCOUNT, KeyRole.CLIENT, expires_at=now // 1000, **for_page)
        self.put_key("revoked-key", ACCOUNT, KeyRole.ADMIN, revoked_at=now)
        for_page["made_by"] = key_hash("revoked-key")
        self.put_key("orphaned-token", ACCOUNT, KeyRole.CLIENT, expires_at=ends, **for_page)
        # A session of each llm_client, by account and name; each with a turn that is over.
        self.sessions: dict[tuple[str, str], str] = {}
        self.prompts: dict[tuple[str, str], str] = {}
        for account, kind, name in list(self.world.resources.stored):
            # The worlds of the tests describe some more, which have no config.
            if kind is Kind.LLM_CLIENT and name in NUMBERS:
                self.sessions[account, name] = self.chatted(account, name)

    def put_key(self, key: str, account: str, role: KeyRole, **more: Any) -> None:
        stored = ApiKey(account, key, key_hash(key), "usr_1", role, key, 0)
        self.world.accounts.by_hash[stored.hash] = replace(stored, **more)

    def chatted(self, account: str, name: str) -> str:
        """The key of a session in which something was said and answered."""
        client = client_of(self.world.resources.stored[account, Kind.LLM_CLIENT, name])
        session = self.run(self.world.sessions.open(client, ""))
        key = session.key
        turned = self.run(self.world.saying(key, f"{account} {name}", "", client))
        self.prompts[account, name] = turned.prompt.id
        self.drain()
        return key

    def sent(self, credential: str) -> dict[str, str]:
        """The header that a credential is sent in."""
        said = {
            "nothing": None,
            "empty": "Bearer ",
            "a session's key": f"Bearer {self.sessions[ACCOUNT, OPEN]}",
            "their session's key": f"Bearer {self.sessions[OTHER_ACCOUNT, OPEN]}",
        }.get(credential, f"Bearer {credential}")
        return {} if said is None else {"authorization": said}

    def ask(
        self, method: str, path: str, body: Any = None, *, host: str, credential: str = "nothing"
    ) -> Reply:
        """A call with a credential."""
        return self.send(http_event(method, path, body, {"host": host, **self.sent(credential)}))
