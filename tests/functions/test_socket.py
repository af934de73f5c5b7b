"""The socket's handler: handshakes by status, frames by posts, and nothing that leaks."""

import json
from dataclasses import replace
from typing import Any

import pytest
from parley.core.access import ApiKey, KeyRole, Principal
from parley.core.errors import Busy, Unavailable
from parley.usecases.keys import issue

from tests.fakes.chaos import BEFORE
from tests.fakes.provider import SILENT
from tests.fakes.publisher import Fate
from tests.fakes.sessions import SessionWorld
from tests.fakes.world import ACCOUNT, OTHER_ACCOUNT, USER
from tests.functions.stage import Context, Told, WorldLoop, function, socket_of

app = function("socket")

SECRET = "the-secret-text"


class Stage:
    """The handler over a world, with three keys."""

    def __init__(self, world: SessionWorld, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.loop = WorldLoop(app.loop, world)
        self.engine = socket_of(world)
        monkeypatch.setattr(app, "engine", self.engine)
        monkeypatch.setattr(app, "loop", self.loop)
        self.user = self.key("usr_1")
        self.other_user = self.key("usr_2")
        self.admin = self.key("usr_admin", role=KeyRole.ADMIN)
        self.stranger = self.key("usr_1", account=OTHER_ACCOUNT, role=KeyRole.ADMIN)

    def key(self, user: str, account: str = ACCOUNT, role: KeyRole = KeyRole.USER) -> str:
        blank = ApiKey(account, f"key-{user}", "", user, role, "", 0)
        return self.loop.kept(issue(self.world.accounts, self.world.ids, blank))[1]

    def event(self, route: str, connection_id: str, **fields: Any) -> dict[str, Any]:
        answer: dict[str, Any] = app.handler(
            {"requestContext": {"routeKey": route, "connectionId": connection_id}, **fields},
            Context(),
        )
        return answer

    def connect(self, token: str | None, connection_id: str = "c1") -> int:
        query = None if token is None else {"token": token}
        answer = self.event("$connect", connection_id, queryStringParameters=query)
        return int(answer["statusCode"])

    def send(self, frame: Any, connection_id: str = "c1") -> list[dict[str, Any]]:
        """What the connection gets after a frame."""
        before = len(self.frames(connection_id))
        body = frame if isinstance(frame, str) else json.dumps(frame)
        assert self.event("$default", connection_id, body=body) == {"statusCode": 200}
        return self.frames(connection_id)[before:]

    def frames(self, connection_id: str = "c1") -> list[dict[str, Any]]:
        return self.world.publisher.frames[connection_id]

    def add(self, id_: str, thread_id: str = "t", who: Principal = USER) -> None:
        self.loop.kept(self.world.add(id_, thread_id, text=SECRET, who=who))


@pytest.fixture
def stage(world: SessionWorld, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(world, monkeypatch)


@pytest.mark.parametrize("form", ["{}", "Bearer {}", "Token {}"])
def test_a_key_opens_a_connection_and_nothing_is_posted(stage: Stage, form: str) -> None:
    assert stage.connect(form.format(stage.user)) == 200

    assert stage.world.memory.connections["c1"].principal.user_id == "usr_1"
    assert stage.frames() == []


@pytest.mark.parametrize("token", [None, "", "wrong", "Bearer"])
def test_without_a_good_key_the_handshake_is_refused(stage: Stage, token: str | None) -> None:
    assert stage.connect(token) == 401
    assert stage.world.memory.connections == {}


def test_with_too_many_connections_the_handshake_is_refused(stage: Stage) -> None:
    follow = replace(stage.world.follow, max_connections=1)
    app.engine = replace(stage.engine, follow=follow)
    assert stage.connect(stage.user, "c1") == 200
    assert stage.connect(stage.user, "c2") == 429
    assert stage.connect(stage.stranger, "c3") == 200


@pytest.mark.parametrize("error", [Busy("x"), Unavailable("x")])
def test_a_handshake_that_cannot_be_checked_is_refused(stage: Stage, error: Exception) -> None:
    for look in (0, 1):
        stage.world.conductor.fail("accounts.key", BEFORE, error, skip=look)
        assert stage.connect(stage.user) == 503
        assert stage.world.memory.connections == {}
        stage.world.authenticate.remembered.forget_all()


def test_a_closed_connection_is_forgotten(stage: Stage) -> None:
    stage.add("p1")
    stage.connect(stage.user)
    stage.send({"action": "subscribe", "threadId": "t"})

    assert stage.event("$disconnect", "c1") == {"statusCode": 200}

    assert stage.world.memory.connections == {}
    assert stage.world.memory.sockets == {}


def test_a_subscription_is_answered_with_the_thread_as_it_is(stage: Stage) -> None:
    stage.add("p1")
    stage.connect(stage.user)

    [frame] = stage.send({"action": "subscribe", "threadId": "t", "more": 1})

    assert (frame["type"], frame["threadId"]) == ("subscribed", "t")
    assert [prompt["id"] for prompt in frame["prompts"]] == ["p1"]
    assert [message["text"] for message in frame["messages"]] == [SECRET]


def test_what_a_client_knows_is_kept_with_its_subscription(stage: Stage) -> None:
    stage.add("p1")
    stage.connect(stage.user)

    known = {"p1": {"attempt": 1, "offset": 7}}
    stage.send({"action": "subscribe", "threadId": "t", "known": known})

    [subscriber] = stage.world.memory.sockets.values()
    assert subscriber.known == {"p1": (1, 7)}


def test_an_end_of_a_subscription_is_silent(stage: Stage) -> None:
    stage.add("p1")
    stage.connect(stage.user)
    stage.send({"action": "subscribe", "threadId": "t"})

    assert stage.send({"action": "unsubscribe", "threadId": "t"}) == []
    assert stage.world.memory.sockets == {}


def test_a_ping_is_answered_with_the_states_of_a_thread(stage: Stage) -> None:
    stage.add("p1")
    stage.connect(stage.user)

    assert stage.send({"action": "ping"}) == [{"type": "pong", "prompts": []}]
    [pong] = stage.send({"action": "ping", "threadId": "t"})
    assert [prompt["status"] for prompt in pong["prompts"]] == ["scheduled"]


def test_an_own_prompt_can_be_canceled(stage: Stage) -> None:
    stage.add("p1")
    stage.connect(stage.user)

    [frame] = stage.send({"action": "cancel", "promptId": "p1"})

    assert (frame["type"], frame["prompt"]["status"]) == ("prompt", "canceled")
    assert stage.world.status("p1") == "canceled"


def test_canceling_a_silent_model_answers_after_its_wait(stage: Stage) -> None:
    """No runner looks while the socket waits: the answer is the prompt, still running."""
    stage.world.provider.scripts = [(SILENT,)]
    stage.add("p1")
    stage.connect(stage.user)
    [(_, wake_up)] = stage.world.queue.receive(10, alone=False)

    async def claimed() -> None:
        head = await stage.world.run.ports.prompts.head(ACCOUNT, wake_up.thread_id)
        now = stage.world.clock.now()
        assert head is not None
        await stage.world.run.ports.prompts.claim(head, "token", now, now + 30_000, alone=True)

    stage.loop.kept(claimed())
    [frame] = stage.send({"action": "cancel", "promptId": "p1"})

    state = frame["prompt"]
    assert (state["status"], state["cancelRequested"]) == ("running", True)


@pytest.mark.parametrize("who", ["other_user", "stranger"])
def test_what_is_anothers_looks_like_what_is_absent(stage: Stage, who: str) -> None:
    stage.add("p1")
    stage.connect(getattr(stage, who))

    for action, name, mine, none in [
        ("subscribe", "threadId", "t", "absent"),
        ("ping", "threadId", "t", "absent"),
        ("cancel", "promptId", "p1", "absent"),
    ]:
        [foreign] = stage.send({"action": action, name: mine})
        [absent] = stage.send({"action": action, name: none})
        assert foreign == {"type": "error", "error": foreign["error"], "action": action, name: mine}
        assert foreign | {name: none} == absent

    assert stage.world.status("p1") == "scheduled"
    assert stage.world.memory.sockets == {}


def test_an_admin_follows_and_cancels_what_is_the_accounts(stage: Stage) -> None:
    stage.add("p1")
    stage.connect(stage.admin)
    assert stage.send({"action": "subscribe", "threadId": "t"})[0]["type"] == "subscribed"
    assert stage.send({"action": "cancel", "promptId": "p1"})[-1]["prompt"]["id"] == "p1"


@pytest.mark.parametrize(
    ("body", "said", "echo"),
    [
        ("", "Invalid JSON", {}),
        ("{" + SECRET, "Invalid JSON", {}),
        ("[" * 20_000, "Invalid JSON", {}),
        ("[]", "must be an object", {}),
        ("{}", "action must be one of", {}),
        ({"action": SECRET + " !"}, "action must be one of", {}),
        ({"action": ["subscribe"]}, "action must be one of", {}),
        ({"action": "dance", "threadId": "t"}, "one of", {"action": "dance", "threadId": "t"}),
        ({"action": "subscribe"}, "threadId: must be given", {"action": "subscribe"}),
        ({"action": "subscribe", "threadId": 7}, "threadId: ", {"action": "subscribe"}),
        ({"action": "subscribe", "threadId": f"{SECRET} x"}, "threadId: ", {"action": "subscribe"}),
        ({"action": "cancel", "promptId": "t" * 129}, "promptId: ", {"action": "cancel"}),
        (
            {"action": "subscribe", "threadId": "t", "known": {f"{SECRET} x": {}}},
            "known: ",
            {"action": "subscribe", "threadId": "t"},
        ),
        (
            {
                "action": "subscribe",
                "threadId": "t",
                "known": {"p": {"attempt": True, "offset": 0}},
            },
            "known: ",
            {"action": "subscribe", "threadId": "t"},
        ),
        (
            {"action": "subscribe", "threadId": "t", "known": {"p": {"attempt": 1, "offset": -1}}},
            "known: ",
            {"action": "subscribe", "threadId": "t"},
        ),
        ({"action": "ping", "threadId": "t", "pad": "x" * 40_000}, "larger than 32 KB", {}),
    ],
)
def test_what_is_no_frame_gets_an_error_that_repeats_no_text(
    stage: Stage, told: Told, body: Any, said: str, echo: dict[str, str]
) -> None:
    stage.add("p1")
    stage.connect(stage.user)

    [frame] = stage.send(body)

    assert frame.pop("type") == "error"
    assert said in frame["error"]
    assert SECRET not in frame.pop("error")
    assert frame == echo
    assert SECRET not in told.text


def test_a_revoked_key_ends_its_connection_within_a_minute(stage: Stage) -> None:
    stage.add("p1")
    stage.connect(stage.user)
    stage.send({"action": "subscribe", "threadId": "t"})
    admin = Principal(ACCOUNT, "usr_admin", KeyRole.ADMIN, "")
    [key] = [k for k in stage.world.accounts.by_hash.values() if k.user_id == "usr_1"][:1]
    stage.loop.kept(stage.world.accounts.revoke_key(admin.account, key.id, 1))

    stage.world.clock.skip(60)
    [frame] = stage.send({"action": "ping"})

    assert (frame["type"], frame["error"]) == ("error", "the key is unknown or revoked")
    assert stage.world.publisher.disconnected == ["c1"]
    assert stage.world.memory.connections == {}
    assert stage.world.memory.sockets == {}


def test_a_key_that_was_revoked_a_moment_ago_opens_no_connection(stage: Stage) -> None:
    """It is still remembered, and a connection that only listens is never asked again."""
    stage.connect(stage.user, "c1")
    [key] = [k for k in stage.world.accounts.by_hash.values() if k.user_id == "usr_1"][:1]
    stage.loop.kept(stage.world.accounts.revoke_key(ACCOUNT, key.id, 1))

    assert stage.connect(stage.user, "c2") == 401

    assert stage.world.memory.connections.keys() == {"c1"}


def test_a_connection_that_is_not_known_is_ended(stage: Stage) -> None:
    [frame] = stage.send({"action": "ping"}, "unheard-of")

    assert frame["type"] == "error"
    assert stage.world.publisher.disconnected == ["unheard-of"]


@pytest.mark.parametrize("port", ["subscribers.connection", "threads.thread"])
def test_what_is_busy_says_so_and_stays_connected(stage: Stage, port: str) -> None:
    stage.connect(stage.user)
    stage.world.conductor.fail(port, BEFORE, Busy("try again"))

    [frame] = stage.send({"action": "subscribe", "threadId": "t"})

    assert (frame["type"], frame["error"]) == ("error", "try again")
    assert "c1" in stage.world.memory.connections


def test_a_connection_that_is_gone_is_forgotten(stage: Stage) -> None:
    stage.connect(stage.user)
    stage.world.publisher.fates["c1"] = [Fate.GONE]

    stage.send({"action": "ping"})

    assert stage.world.memory.connections == {}


def test_an_answer_that_may_be_lost_is_posted_again(stage: Stage) -> None:
    stage.connect(stage.user)
    stage.world.publisher.fates["c1"] = [Fate.LOST_UNKNOWN]

    assert stage.send({"action": "ping"}) == [{"type": "pong", "prompts": []}]


def test_no_key_is_logged(stage: Stage, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_LOGGER_LOG_EVENT", "true")
    stage.connect(stage.user)
    stage.connect("wrong-" + stage.user)

    assert told.said("refused")[0]["error"] == "Unauthenticated"
    assert stage.user not in told.text
