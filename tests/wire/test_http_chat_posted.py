"""What a page may post: everything it ever had, half characters among it. A refusal of that is
the end of a tab, for the published component posts it again with each message.
"""

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from parley.core.session import session_id
from parley.wire.http_request import CONVERSATION_LIMIT, mended

from tests.fakes.world import ACCOUNT
from tests.wire.chat_client import DOMAIN, SANDBOX, ChatClient, told
from tests.wire.http_client import Reply

CLI = "/api/v1/cli/chat/stackademy/?uid=machine"


@pytest.fixture
def client() -> Iterator[ChatClient]:
    made = ChatClient()
    yield made
    made.close()


def last_said(client: ChatClient, key: str) -> str:
    stored = client.world.state.messages[ACCOUNT, session_id(key)]
    return stored[max(turn for turn, _ in stored), 1].text


@pytest.mark.parametrize("zipped", [False, True])
def test_a_tab_goes_on_after_texts_that_were_refused(client: ChatClient, zipped: bool) -> None:
    key = client.opened()
    refused = {"role": "user", "content": "x" * 1_500_000}
    first = client.say(key, refused["content"])
    assert (first.status, told(first)["status"]) == (200, 413)
    assert told(first)["smarter"]["limit"] == "inputCharacters"

    messages = [refused, refused, refused, {"role": "user", "content": "hello?"}]
    body: Any = json.dumps({"session_key": key, "messages": messages, "wait": 0})
    more = {"content_encoding": "gzip"} if zipped else {}
    reply = client.at("POST", "/chat/", gzip.compress(body.encode()) if zipped else body, **more)

    assert told(reply)["status"] == 202
    assert last_said(client, key) == "hello?"


def test_of_a_list_however_long_the_newest_messages_are_read(client: ChatClient) -> None:
    """What was asked again after a failure is something new, also at the end of a long list."""
    key = client.opened()
    intro = {"role": "assistant", "content": "Welcome!", "id": "intro.1"}
    before = [{"role": "user", "content": "before"}, {"role": "tool", "content": "42"}] * 3000
    posts = [[*before, intro], [*before, intro], [*before, intro, {"role": "user", "content": "x"}]]
    ids = []
    for messages in posts:
        ids.append(told(client.say(key, "hello", *messages))["smarter"]["prompt"]["id"])
        client.drain()
    assert ids[0] == ids[1] != ids[2]


def oversized(client: ChatClient, path: str, **more: Any) -> Reply:
    return client.at("POST", path, "x" * (CONVERSATION_LIMIT + 1), **more)


@pytest.mark.parametrize(
    ("base", "more"), [("", {}), (SANDBOX, {"host": DOMAIN, "key": "user-key"})]
)
@pytest.mark.parametrize("origin", ["", "https://stackademy.0000-0000-0001.api.example.com"])
def test_what_nobody_can_read_is_told_to_the_person(
    client: ChatClient, base: str, more: dict[str, Any], origin: str
) -> None:
    key = client.opened()
    reply = oversized(client, f"{base}/chat/?session_key={key}/", origin=origin, **more)
    body = told(reply)
    assert (reply.status, body["status"], body["id"]) == (200, 413, "error_response")
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.json["metadata"] == {"command": "chat", "thing": "LLMClient"}
    [error] = body["smarter"]["messages"]
    assert error["role"] == "smarter_error"
    assert "start a new chat" in error["content"]
    assert (body["smarter"]["prompt"], body["smarter"]["session_key"]) == (None, key)


def test_what_is_no_key_is_not_repeated(client: ChatClient) -> None:
    for path in ("/chat/", "/chat/?session_key=sesame"):
        assert told(oversized(client, path))["smarter"]["session_key"] == ""


@pytest.mark.parametrize("path", ["/config/", "/chat/cancel/", "/chat/retry/", CLI])
def test_where_no_conversation_is_posted_the_ordinary_limit_holds(
    client: ChatClient, path: str
) -> None:
    more = {"host": DOMAIN, "key": "user-key"} if path == CLI else {}
    reply = client.at("POST", path, "x" * 1_048_577, **more)
    assert (reply.status, reply.json) == (
        413,
        {"error": "the body is larger than 1024 KB", "code": "too_large"},
    )


def test_a_caller_without_a_key_is_refused_before_its_body_is_read(client: ChatClient) -> None:
    assert oversized(client, f"{SANDBOX}/chat/", host=DOMAIN).status == 401


HALF = r"\ud83d"


def test_half_a_character_is_replaced_wherever_it_was_posted(client: ChatClient) -> None:
    key = client.opened()
    before = f'{{"role": "user", "content": "{HALF}", "id": "{HALF}", "{HALF}": 1}}'
    said = rf'{{"role": "user", "content": "cut{HALF} whole\ud83d\ude00 \\{HALF[1:]} \udE00"}}'
    body = f'{{"session_key": "{key}", "wait": 0, "messages": [{before}, {said}]}}'
    reply = client.at("POST", "/chat/", body)
    assert told(reply)["status"] == 202
    assert last_said(client, key) == r"cut� whole😀 \ud83d �"


def test_config_takes_half_a_character_for_what_it_is(client: ChatClient) -> None:
    reply = client.at("POST", "/config/", f'{{"session_key": "", "other": "{HALF}"}}')
    assert reply.status == 200
    reply = client.at("POST", "/config/", f'{{"session_key": "{HALF}"}}')
    assert reply.json == {"error": "session_key must be 64 hexadecimal digits", "code": "invalid"}


@pytest.mark.parametrize("text", [rf'{{"a": "{HALF}"', rf'["{HALF}", NaN]', HALF, "[" * 200_000])
def test_what_is_no_json_is_not_mended(text: str) -> None:
    text += HALF
    assert mended(text) == text
