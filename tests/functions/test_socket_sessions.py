"""Sessions on the socket: whose key opens what, and what ends it (I8)."""

from dataclasses import replace
from typing import Any

import pytest
from parley.core.access import ApiKey, KeyRole, key_hash
from parley.core.llm_client import client_of
from parley.core.resource import Kind, Resource
from parley.core.session import session_id
from parley.ports import UNKNOWN_CONNECTION
from parley.usecases.chat import NewThread
from parley.usecases.clients import REMEMBER_SECONDS as CLIENT_SECONDS
from parley.usecases.keys import REMEMBER_SECONDS as KEY_SECONDS
from parley.usecases.keys import TOKEN_SECONDS, issue

from tests.fakes.sessions import SessionWorld
from tests.fakes.world import ACCOUNT, ADMIN, OTHER_ACCOUNT, STRANGER, USER
from tests.functions.stage import Told
from tests.functions.test_socket import Stage

OPEN, SIBLING, CLOSED, DRAFT = "open", "sibling", "closed", "draft"
UNKNOWN = "cd" * 32


class Sessions(Stage):
    """A session of each llm_client of two accounts; keys by name, empty for none."""

    def __init__(self, world: SessionWorld, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(world, monkeypatch)
        self.world: SessionWorld = world
        self.sessions: dict[tuple[str, str], str] = {}
        for account in (ACCOUNT, OTHER_ACCOUNT):
            for number, name in enumerate((OPEN, SIBLING, CLOSED, DRAFT), 1):
                made = self.described(name, number, account)
                session = self.run(world.sessions.open(client_of(made), ""))
                self.sessions[account, name] = session.key
        self.tokens = {
            "": "",
            "wrong": "wrong",
            "user": self.user,
            "stranger": self.stranger,
            "open's": self.client_key(OPEN),
            "closed's": self.client_key(CLOSED),
            "a session": self.sessions[ACCOUNT, OPEN],
        }

    def described(self, name: str, number: int, account: str = ACCOUNT, **spec: Any) -> Resource:
        config = {"deployed": name != DRAFT}
        spec = {"config": config, **({"apiKey": "k"} if name == CLOSED else {}), **spec}
        made = Resource(account, Kind.LLM_CLIENT, name, 0, 0, spec=spec, number=number)
        self.world.resources.stored[account, Kind.LLM_CLIENT, name] = made
        return made

    def run(self, work: Any) -> Any:
        return self.loop.kept(self.world.clock.run(work))

    def client_key(self, client: str) -> str:
        blank = ApiKey(ACCOUNT, f"key-{client}", "", "usr_9", KeyRole.CLIENT, "", 0, client=client)
        return str(self.run(issue(self.world.accounts, self.world.ids, blank))[1])

    def enter(self, id_: str = "c1", *, of: str = OPEN, token: str = "", **query: str) -> int:
        """Connect with the session of an llm_client, unless the query says otherwise."""
        asked = {
            "session_key": self.sessions[ACCOUNT, of],
            "account": ACCOUNT,
            "llm_client": of,
            "token": self.tokens[token],
        }
        sent = {name: text for name, text in (asked | query).items() if text}
        return int(self.event("$connect", id_, queryStringParameters=sent)["statusCode"])

    def thread(self, name: str = OPEN, account: str = ACCOUNT) -> str:
        return session_id(self.sessions[account, name])

    def say(self, text: str, name: str = OPEN, account: str = ACCOUNT) -> str:
        """Say something in a session; the id of its prompt."""
        stored = self.world.resources.stored[account, Kind.LLM_CLIENT, name]
        saying = self.world.saying(self.sessions[account, name], text, "", client_of(stored))
        return str(self.run(saying).prompt.id)

    def subscribe(self, thread_id: str, id_: str = "c1") -> dict[str, Any]:
        [frame] = self.send({"action": "subscribe", "threadId": thread_id}, id_)
        return frame

    def ended(self, id_: str = "c1") -> bool:
        """True if the connection is closed and forgotten with all that it followed."""
        followed = [key for key in self.world.memory.sockets if key[2] == id_]
        return (
            id_ in self.world.publisher.disconnected
            and id_ not in self.world.memory.connections
            and not followed
        )


@pytest.fixture
def stage(world: SessionWorld, monkeypatch: pytest.MonkeyPatch) -> Sessions:
    return Sessions(world, monkeypatch)


# --- the handshake ---------------------------------------------------------------------------

# The llm_client whose session it is, the API key besides, and what becomes of it.
HANDSHAKES = [
    (OPEN, "", 200),
    (OPEN, "user", 200),
    (OPEN, "open's", 200),
    (OPEN, "stranger", 200),  # as good as none, as on the llm_client's host
    (OPEN, "closed's", 200),  # and another llm_client's
    (OPEN, "wrong", 200),  # as is one that nobody has
    (OPEN, "a session", 200),
    (CLOSED, "", 403),
    (CLOSED, "user", 200),
    (CLOSED, "closed's", 200),
    (CLOSED, "open's", 403),
    (CLOSED, "stranger", 403),
    (CLOSED, "wrong", 401),
    (DRAFT, "", 404),
    (DRAFT, "user", 200),
    (DRAFT, "open's", 404),
    (DRAFT, "stranger", 404),
    (DRAFT, "wrong", 404),
]


@pytest.mark.parametrize(("of", "token", "status"), HANDSHAKES)
def test_who_opens_a_session_s_connection(
    stage: Sessions, of: str, token: str, status: int
) -> None:
    assert stage.enter(of=of, token=token) == status
    connections = list(stage.world.memory.connections.values())
    if status != 200:
        assert connections == []
        return
    [stored] = [connection.principal for connection in connections]
    assert (stored.account, stored.user_id, stored.client) == (ACCOUNT, stage.thread(of), of)
    assert stored.role is KeyRole.SESSION
    ours = token in {"user", f"{of}'s"}
    assert stored.key_hash == (key_hash(stage.tokens[token]) if ours else "")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"session_key": UNKNOWN}, 404),
        ({"session_key": "x"}, 400),
        ({"session_key": ""}, 401),
        ({"account": OTHER_ACCOUNT}, 404),
        ({"account": ""}, 404),
        ({"account": f"{ACCOUNT}#R#LLMClient"}, 404),
        ({"account": "x" * 5000}, 404),
        ({"account": "\u0660000-0000-0001"}, 404),
        ({"llm_client": SIBLING}, 404),
        ({"llm_client": DRAFT}, 404),
        ({"llm_client": "absent"}, 404),
        ({"llm_client": ""}, 404),
        ({"llm_client": "x" * 5000}, 404),
        ({"llm_client": "open#x"}, 404),
        ({"llm_client": "op\u0435n"}, 404),
    ],
)
def test_a_session_belongs_to_one_llm_client_of_one_account(
    stage: Sessions, query: dict[str, str], status: int
) -> None:
    """Another's session is told in the same way as one that nobody has."""
    assert stage.enter(**query) == status
    assert stage.world.memory.connections == {}


def test_an_llm_client_s_name_is_meant_in_any_case(stage: Sessions) -> None:
    assert stage.enter(llm_client=OPEN.upper()) == 200


@pytest.mark.parametrize("query", [{"llm_client": "x" * 5000}, {"account": f"{ACCOUNT}#"}])
def test_what_can_be_no_llm_client_is_not_looked_for(
    stage: Sessions, query: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table takes no key of that length, and an account stands in front of each key."""
    monkeypatch.setattr(stage.engine.clients, "resources", None)
    assert stage.enter(**query) == 404


@pytest.mark.parametrize("token", ["open's", "closed's"])
def test_a_key_for_chatting_alone_opens_nothing(stage: Sessions, token: str) -> None:
    assert stage.connect(stage.tokens[token]) == 403
    assert stage.world.memory.connections == {}


def test_no_session_key_is_stored_or_logged(
    stage: Sessions, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_LOGGER_LOG_EVENT", "true")
    stage.enter()
    stage.subscribe(stage.thread())
    stage.enter("c2", session_key=UNKNOWN)
    for key in (stage.sessions[ACCOUNT, OPEN], UNKNOWN):
        assert key not in told.text
        assert key not in str(vars(stage.world.memory))


# --- what a session's connection may do ------------------------------------------------------


def foreign_threads(stage: Sessions) -> list[str]:
    """Threads of everybody else; one of them has the session among its users."""
    stage.add("p-user", "of-a-user")
    shared = NewThread("shared", user_ids=(stage.thread(),))
    stage.run(stage.world.chat.add_thread(USER, shared))
    others = [session_id(key) for place, key in stage.sessions.items() if place != (ACCOUNT, OPEN)]
    return [*others, "of-a-user", "shared"]


@pytest.mark.parametrize("action", ["subscribe", "ping"])
def test_a_session_s_connection_follows_its_own_thread_only(stage: Sessions, action: str) -> None:
    stage.enter()
    [absent] = stage.send({"action": action, "threadId": "absent"})
    assert (absent["type"], absent["error"]) == ("error", "no such thread")
    for thread in foreign_threads(stage):
        [frame] = stage.send({"action": action, "threadId": thread})
        assert frame == absent | {"threadId": thread}
    assert stage.world.memory.sockets == {}
    [own] = stage.send({"action": action, "threadId": stage.thread()})
    assert own["type"] == {"subscribe": "subscribed", "ping": "pong"}[action]


def test_nobody_else_s_key_follows_a_session(stage: Sessions) -> None:
    """Of the account's keys an admin's does; a user's needs the session's key besides."""
    for name in ("user", "other_user", "stranger"):
        stage.connect(getattr(stage, name), name)
        assert stage.subscribe(stage.thread(), name)["error"] == "no such thread"
    stage.connect(stage.admin, "admin")
    assert stage.subscribe(stage.thread(), "admin")["type"] == "subscribed"


def test_a_session_s_connection_cancels_its_own_turns_only(stage: Sessions) -> None:
    stage.add("of-a-user")
    others = [
        stage.say("sibling's", SIBLING),
        stage.say("theirs", OPEN, OTHER_ACCOUNT),
        "of-a-user",
    ]
    mine = stage.say("mine")
    stage.enter()
    [absent] = stage.send({"action": "cancel", "promptId": "absent"})
    for prompt in others:
        [frame] = stage.send({"action": "cancel", "promptId": prompt})
        assert frame == absent | {"promptId": prompt}
    assert {p.status.value for p in stage.world.state.prompts.values()} == {"scheduled"}
    [frame] = stage.send({"action": "cancel", "promptId": mine})
    assert frame["prompt"]["status"] == "canceled"


def test_a_session_hears_nothing_of_another(stage: Sessions) -> None:
    stage.enter("c1")
    stage.subscribe(stage.thread(), "c1")
    stage.enter("c2", of=SIBLING)
    stage.subscribe(stage.thread(SIBLING), "c2")
    before = len(stage.frames("c2"))
    stage.say("for the first alone")
    stage.loop.kept(stage.world.drain())
    assert "message" in [frame["type"] for frame in stage.frames("c1")]
    assert len(stage.frames("c2")) == before


# --- what ends an open connection ------------------------------------------------------------

CLOSINGS: dict[str, Any] = {
    "it is undeployed": lambda stage: stage.described(OPEN, 1, config={"deployed": False}),
    "a key is attached": lambda stage: stage.described(OPEN, 1, apiKey="k"),
    "it is deleted": lambda stage: stage.world.resources.stored.pop(
        (ACCOUNT, Kind.LLM_CLIENT, OPEN)
    ),
}


@pytest.mark.parametrize("closing", CLOSINGS)
def test_an_open_connection_ends_when_its_llm_client_is_closed(
    stage: Sessions, closing: str
) -> None:
    stage.enter()
    stage.subscribe(stage.thread())
    CLOSINGS[closing](stage)
    stage.world.clock.skip(CLIENT_SECONDS + 1)

    [frame] = stage.send({"action": "ping"})

    assert frame["type"] == "error"
    assert stage.ended()
    assert stage.enter("c2") in {403, 404}


def test_who_has_a_key_stays_when_one_is_attached(stage: Sessions) -> None:
    stage.enter(token="user")
    stage.described(OPEN, 1, apiKey="k")
    stage.world.clock.skip(CLIENT_SECONDS + 1)
    assert stage.send({"action": "ping"}) == [{"type": "pong", "prompts": []}]


def test_revoking_a_key_ends_its_sessions_connections_at_once(stage: Sessions) -> None:
    """Also those that only listen: they are closed by whoever revokes the key."""
    stage.enter("c1", of=CLOSED, token="closed's")
    stage.subscribe(stage.thread(CLOSED), "c1")
    stage.enter("c2", of=CLOSED, token="user")

    stage.run(stage.world.keys.revoke(ADMIN, "key-closed"))

    assert stage.ended("c1")
    assert not stage.ended("c2")


@pytest.mark.parametrize("of", [OPEN, CLOSED])
def test_a_revoked_key_is_refused_by_a_process_that_remembers_it(stage: Sessions, of: str) -> None:
    """As if the connection had not been found when the key was revoked."""
    stage.enter(of=of, token="user")
    hash_ = key_hash(stage.user)
    stored = stage.world.accounts.by_hash[hash_]
    stage.world.accounts.by_hash[hash_] = replace(stored, revoked_at=1)
    assert KEY_SECONDS < 60
    stage.world.clock.skip(60)

    [frame] = stage.send({"action": "ping"})

    assert frame["error"] == "the key is unknown or revoked"
    assert stage.ended()


def with_a_token(stage: Sessions) -> str:
    """Connect with a token that the user's key made for a page, and follow; the maker's id."""
    maker = stage.run(stage.world.authenticate(stage.user))
    stage.tokens["page"], _ = stage.run(stage.world.keys.token(maker, OPEN, 1))
    assert stage.enter(token="page") == 200
    assert stage.subscribe(stage.thread())["type"] == "subscribed"
    [id_] = [k.id for k in stage.world.accounts.by_hash.values() if k.hash == maker.key_hash]
    return id_


def test_a_token_s_connection_ends_at_once_with_the_key_that_made_it(stage: Sessions) -> None:
    maker = with_a_token(stage)
    stage.enter("c2")

    stage.run(stage.world.keys.revoke(ADMIN, maker))

    assert stage.ended()
    assert not stage.ended("c2")
    stage.world.clock.skip(60)
    assert stage.enter("c3", token="page") == 200
    assert stage.world.memory.connections["c3"].principal.key_hash == ""  # as anybody's


def test_a_token_s_connection_that_only_listens_ends_with_the_token(stage: Sessions) -> None:
    with_a_token(stage)
    stage.enter("c2")
    stage.subscribe(stage.thread(), "c2")
    stage.world.clock.skip(TOKEN_SECONDS)
    heard = len(stage.frames())

    stage.say("after the token's hour")
    stage.loop.kept(stage.world.drain())

    assert len(stage.frames()) == heard
    assert "message" in [frame["type"] for frame in stage.frames("c2")]
    [frame] = stage.send({"action": "ping"})
    assert frame["error"] == UNKNOWN_CONNECTION
    assert stage.ended()


def test_deleting_a_session_ends_what_follows_it(stage: Sessions) -> None:
    stage.enter()
    stage.subscribe(stage.thread())
    stage.say("never to be answered")

    stage.run(stage.world.sessions.delete(ADMIN, stage.thread()))
    told = {"type": "error", "error": "the thread was deleted", "threadId": stage.thread()}
    assert told in stage.frames()
    heard = len(stage.frames())
    stage.loop.kept(stage.world.drain())

    assert len(stage.frames()) == heard
    for action in ("subscribe", "ping"):
        [frame] = stage.send({"action": action, "threadId": stage.thread()})
        assert frame["error"] == "no such thread"
    assert stage.enter("c2") == 404


def test_an_admin_of_another_account_deletes_no_session(stage: Sessions) -> None:
    stage.enter()
    stage.subscribe(stage.thread())
    with pytest.raises(Exception, match="no such session"):
        stage.run(stage.world.sessions.delete(STRANGER, stage.thread()))
    assert stage.subscribe(stage.thread())["type"] == "subscribed"


def test_a_connection_ends_when_another_llm_client_has_the_name_of_its_own(
    stage: Sessions,
) -> None:
    assert stage.enter() == 200
    assert stage.subscribe(stage.thread())["type"] == "subscribed"
    stage.described(OPEN, 9)  # deleted, and described anew
    stage.world.clock.skip(CLIENT_SECONDS + 1)

    [frame] = stage.send({"action": "ping"})

    assert frame["error"] == "no such llm_client"
    assert stage.ended()
    assert stage.enter("c2") == 404
