"""The command line's chat, and an admin's calls on sessions."""

from collections.abc import Iterator
from typing import Any

import pytest
from parley.core.resource import Kind
from parley.core.session import session_id

from tests.fakes.provider import Fail
from tests.fakes.world import ACCOUNT
from tests.wire.chat_client import ChatClient
from tests.wire.http_client import Reply

CHAT = "/api/v1/cli/chat/stackademy/?uid=machine-1"
CONFIG = "/api/v1/cli/chat/config/stackademy/?uid=machine-1"
SESSIONS = "/api/v1/sessions"
DAY = 24 * 60 * 60


@pytest.fixture
def client() -> Iterator[ChatClient]:
    made = ChatClient()
    yield made
    made.close()


def cli(client: ChatClient, path: str, body: Any = None, key: str = "user-key") -> Reply:
    sent = {} if body is None else {"wait": 0} | body
    return client.at("POST", path, sent, host="localhost:9357", key=key)


def session_of(client: ChatClient, path: str = CONFIG, key: str = "user-key") -> str:
    reply = cli(client, path, key=key)
    assert reply.status == 200, reply.text
    data = reply.json["data"]
    found: str = data["session_key"] if "session_key" in data else data["request"]["session_key"]
    return found


def test_a_session_sticks_to_key_machine_and_client(client: ChatClient) -> None:
    first = session_of(client)
    assert len(first) == 64
    said = cli(client, CHAT, {"prompt": "hello"}).json["data"]["request"]
    assert said["session_key"] == first
    for path in (CONFIG, CONFIG.replace("/chat/", "/prompt/"), CONFIG.replace("/chat/", "/")):
        assert session_of(client, path) == first
    others = [
        session_of(client, CONFIG.replace("machine-1", "machine-2")),
        session_of(client, CONFIG.replace("stackademy", "other_bot")),
        session_of(client, key="admin-key"),
        session_of(client, key="stranger-key"),
    ]
    assert len({first, *others}) == 5
    assert session_of(client) == first


def test_what_sticks_is_read_with_get_as_at_every_address(client: ChatClient) -> None:
    def got(path: str) -> Any:
        reply = client.at("GET", path, host="localhost:9357", key="user-key")
        assert reply.status == 200, reply.text
        return reply.json["data"]

    empty = got(CHAT)
    assert empty["prompts"] == []
    assert empty["messages"][0]["role"] == "assistant", "the welcome"
    key = got(CONFIG)["session_key"]
    assert key == session_of(client)
    for text in ("hello", "hello again"):
        assert cli(client, CHAT, {"prompt": text}).json["data"]["request"]["session_key"] == key
        client.drain()
    for path in (CHAT, CHAT.replace("/chat/", "/prompt/"), CHAT.replace("?", "?limit=2&")):
        said = [one["content"] for one in got(path)["messages"] if one["role"] == "user"]
        assert said == ["hello", "hello again"]
    newest = got(f"{CHAT}&limit=1")
    assert [one["content"] for one in newest["messages"] if one["role"] == "user"] == [
        "hello again"
    ]
    older = got(f"{CHAT}&after={newest['after']}")
    assert [one["content"] for one in older["messages"] if one["role"] == "user"] == ["hello"]


def test_a_new_session_begins_when_it_is_asked_for(client: ChatClient) -> None:
    first = session_of(client)
    second = session_of(client, f"{CONFIG}&new_session=true")
    assert second != first
    assert session_of(client, f"{CONFIG}&new_session=false") == second


def test_after_a_day_a_new_one_begins(client: ChatClient) -> None:
    first = session_of(client)
    client.run(client.world.clock.sleep(DAY + 60))
    assert session_of(client) != first


def test_one_that_was_deleted_is_followed_by_a_new_one(client: ChatClient) -> None:
    first = session_of(client)
    gone = client.call("DELETE", f"{SESSIONS}/{session_id(first)}", key="admin-key")
    assert gone.status == 200
    assert session_of(client) != first


def test_the_answer_has_what_was_asked_and_an_open_body(client: ChatClient) -> None:
    working = client.start(client.work_after(1))
    reply = cli(client, CHAT, {"prompt": "1 &lt; 2?", "wait": 20})
    assert working.done()
    assert reply.json["metadata"] == {"command": "chat", "thing": "LLMClient"}
    data = reply.json["data"]
    assert data["request"]["messages"] == [{"role": "user", "content": "1 &lt; 2?"}]
    assert data["response"]["statusCode"] == 200
    body = data["response"]["body"]
    assert body["smarter"]["messages"][0]["content"] == "An answer."


def test_a_limit_is_told_there_too(client: ChatClient) -> None:
    cli(client, CHAT, {"prompt": "hello"})
    data = cli(client, CHAT, {"prompt": "hello?"}).json["data"]
    assert data["response"]["statusCode"] == 429
    assert data["response"]["body"]["smarter"]["limit"] == "openTurn"


def test_the_address_is_counted_there_too(client: ChatClient) -> None:
    limits = {"addressTurnsPerMinute": 1, "openTurn": "queue"}
    client.describe("stackademy", 1, limits=limits)
    cli(client, CHAT, {"prompt": "hello"})
    assert client.say(client.opened(), "hello").json["data"]["statusCode"] == 429


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        (CHAT, "", 401),
        (CHAT, "wrong", 401),
        (CHAT, "other-client-key", 403),
        (CHAT, "client-key", 200),
        (CHAT.replace("stackademy", "none"), "user-key", 404),
        (CHAT.replace("stackademy", "draft"), "user-key", 200),
        (CHAT.replace("stackademy", "StackAdemy"), "client-key", 200),
        (CHAT.replace("stackademy", "draft"), "stranger-key", 404),
        (CHAT.partition("?")[0], "user-key", 400),
        (f"{CHAT}&new_session=perhaps", "user-key", 400),
        (CHAT.replace("machine-1", "x" * 201), "user-key", 400),
    ],
)
def test_who_may_and_how(client: ChatClient, path: str, key: str, status: int) -> None:
    assert cli(client, path, {"prompt": "hello"}, key=key).status == status


# --- sessions of the account -----------------------------------------------------------------


def of_admin(client: ChatClient, method: str, path: str, body: Any = None) -> Any:
    reply = client.call(method, path, body, key="admin-key")
    assert reply.status == 200, reply.text
    return reply.json


def test_an_admin_lists_sessions_newest_first(client: ChatClient) -> None:
    keys = []
    for number in range(3):
        keys.append(client.opened())
        client.answered(keys[-1], f"question {number}")
        client.run(client.world.clock.sleep(1))
    other = client.opened(host=f"other-bot.{ACCOUNT}.api.example.com")
    client.answered(other, "hi", host=f"other-bot.{ACCOUNT}.api.example.com")
    page = of_admin(client, "GET", f"{SESSIONS}?llm_client=stackademy&limit=2")
    rest = of_admin(
        client, "GET", f"{SESSIONS}?llm_client=stackademy&limit=2&after={page['after']}"
    )
    found = [*page["sessions"], *rest["sessions"]]
    assert [one["id"] for one in found] == [session_id(key) for key in reversed(keys)]
    assert [one["title"] for one in found] == [f"question {n}" for n in (2, 1, 0)]
    assert {one["llm_client"] for one in found} == {"stackademy"}
    assert len(of_admin(client, "GET", SESSIONS)["sessions"]) == 4
    assert not any(key in str(found) for key in keys)


SOUGHT = [
    ("GET", lambda name: f"{SESSIONS}?llm_client={name}", None),
    *(
        ("POST", lambda name: f"{SESSIONS}/purge", {"older_than_days": 0, "dry_run": dry})
        for dry in (True, False)
    ),
]


@pytest.mark.parametrize(("method", "path", "body"), SOUGHT, ids=["list", "count", "purge"])
def test_sessions_are_found_by_the_name_in_any_case_and_a_misspelt_one_is_said(
    client: ChatClient, method: str, path: Any, body: Any
) -> None:
    def asked(name: str) -> Any:
        sent = body and {"llm_client": name, **body}
        return client.call(method, path(name), sent, key="admin-key")

    client.opened()
    client.run(client.world.clock.sleep(1))
    found = asked("StackAdemy").json
    assert len(found["sessions"]) == 1 if body is None else found["matched"] == 1
    # One without sessions is there; no other name leads to it, as its label in hosts would.
    assert asked("Draft").status == 200
    for name in ("stackadmy", "other-bot"):
        reply = asked(name)
        assert (reply.status, reply.json) == (
            404,
            {"error": "no such llm_client", "code": "no_such_llm_client"},
        )


def test_the_sessions_of_a_deleted_llm_client_are_listed_and_purged(client: ChatClient) -> None:
    client.opened()
    del client.world.resources.stored[ACCOUNT, Kind.LLM_CLIENT, "stackademy"]
    client.api.chats.clients.forget()
    client.run(client.world.clock.sleep(1))
    assert of_admin(client, "GET", f"{SESSIONS}?llm_client=stackademy")["sessions"]
    body = {"llm_client": "stackademy", "older_than_days": 0, "dry_run": False}
    assert of_admin(client, "POST", f"{SESSIONS}/purge", body)["deleted"] == 1


def test_an_admin_reads_and_deletes_a_session(client: ChatClient) -> None:
    key = client.opened()
    client.answered(key, "hello")
    path = f"{SESSIONS}/{session_id(key)}"
    session = of_admin(client, "GET", path)["session"]
    assert (session["turns"], session["title"], session["llm_client"]) == (1, "hello", "stackademy")
    assert of_admin(client, "DELETE", path) == {}
    assert client.call("GET", path, key="admin-key").status == 404
    assert client.say(key, "hello?").status == 404


def test_an_admin_reads_how_the_newest_turn_stands_and_those_without_an_answer(
    client: ChatClient,
) -> None:
    key = client.opened()
    path = f"{SESSIONS}/{session_id(key)}"
    assert of_admin(client, "GET", path)["prompts"] == []
    client.world.provider.scripts += [[Fail("status_401", retryable=False)]]
    failed = client.answered(key, "Which key?")["smarter"]["prompt"]["id"]
    for text in ("One?", "Two?"):
        client.answered(key, text)
    assert [one["status"] for one in of_admin(client, "GET", path)["prompts"]] == [
        "abandoned",
        "completed",
    ]
    client.say(key, "Three?")
    told = of_admin(client, "GET", path)["prompts"]
    assert [(one["turn"], one["status"]) for one in told] == [(1, "abandoned"), (4, "scheduled")]
    assert told[0] == {
        "id": failed,
        "turn": 1,
        "status": "abandoned",
        "errorCode": "status_401",
        "error": client.world.prompt(failed).error,
    }
    assert told[0]["error"]


def test_a_session_that_was_not_used_says_when_it_expires(client: ChatClient) -> None:
    path = f"{SESSIONS}/{session_id(client.opened())}"
    assert of_admin(client, "GET", path)["session"]["expires_at"] == "2025-06-16T15:06:40.000Z"


def test_a_purge_says_first_what_it_would_do(client: ChatClient) -> None:
    old = client.opened()
    client.answered(old, "long ago")
    client.run(client.world.clock.sleep(91 * DAY))
    fresh = client.opened()
    client.answered(fresh, "now")
    body = {"llm_client": "stackademy", "older_than_days": 90}
    dry = of_admin(client, "POST", f"{SESSIONS}/purge", body)
    assert dry == {"examined": 2, "matched": 1, "deleted": 0, "dry_run": True}
    done = of_admin(client, "POST", f"{SESSIONS}/purge", {**body, "dry_run": False})
    assert done == {"examined": 2, "matched": 1, "deleted": 1, "dry_run": False}
    assert client.say(old, "hello?").status == 404
    assert client.say(fresh, "hello?").status == 200


@pytest.mark.parametrize("key", ["user-key", "stranger-key"])
def test_nobody_else_sees_or_deletes_them(client: ChatClient, key: str) -> None:
    session = client.opened()
    client.answered(session, "hello")
    status = 403 if key == "user-key" else 404
    for method in ("GET", "DELETE"):
        assert client.call(method, f"{SESSIONS}/{session_id(session)}", key=key).status == status
    listed = client.call("GET", SESSIONS, key=key)
    assert listed.status == 403 or listed.json["sessions"] == []
    client.run(client.world.clock.sleep(1))
    body = {"older_than_days": 0, "dry_run": False}
    client.call("POST", f"{SESSIONS}/purge", body, key=key)
    assert client.say(session, "hello again").status == 200
