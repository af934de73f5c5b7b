"""A browser sends the session cookie with whatever any page posts: whose pages may use it."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.world import ACCOUNT
from tests.wire.chat_client import ORIGIN, SANDBOX, ChatClient, told
from tests.wire.test_http_refusals import stored

SHOP = "https://shop.example"
SAID = {"messages": [{"role": "user", "content": "hello"}], "wait": 0}
TURN = {"prompt_id": "none"}
REFUSED = {
    "error": "a page of another site cannot use this site's session cookie: "
    "its origin is not in the llm_client's allowedOrigins",
    "code": "forbidden",
}


@pytest.fixture
def client() -> Iterator[ChatClient]:
    made = ChatClient()
    made.describe("stackademy", 1, allowedOrigins=[SHOP])
    yield made
    made.close()


def cookie(key: str) -> dict[str, str]:
    """What a browser adds to a form's post, which needs no preflight."""
    return {"cookie": f"theme=dark; session_key={key}", "content_type": "text/plain"}


@pytest.mark.parametrize("origin", ["https://evil.example", "http://shop.example", "null"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/config/", None),
        ("POST", "/config/", {"session_key": ""}),
        ("POST", "/chat/config/", None),
        ("GET", "/chat/", None),
        ("POST", "/chat/", SAID),
        ("POST", "/chat/", SAID | {"session_key": ""}),
        ("POST", "/prompt/?session_key=", SAID),
        ("POST", "/chat/cancel/", TURN),
        ("POST", "/chat/retry/", TURN),
    ],
)
def test_a_page_of_another_site_does_nothing_with_it(
    client: ChatClient, method: str, path: str, body: Any, origin: str
) -> None:
    sent = cookie(client.opened())
    before = stored(client)
    reply = client.at(method, path, body, origin=origin, **sent)
    assert (reply.status, reply.json) == (403, REFUSED)
    assert "access-control-allow-origin" not in reply.headers
    assert stored(client) == before


@pytest.mark.parametrize("origin", [SHOP, ORIGIN, ""])
def test_its_own_pages_allowed_ones_and_programs_go_on_with_it(
    client: ChatClient, origin: str
) -> None:
    key = client.opened()
    config = client.at("POST", "/config/", {"session_key": ""}, origin=origin, **cookie(key))
    assert config.json["data"]["session_key"] == key
    said = client.at("POST", "/chat/", SAID, origin=origin, **cookie(key))
    assert told(said)["smarter"]["session_key"] == key


def test_so_do_pages_of_this_machine_where_the_api_is_on_it() -> None:
    local = ChatClient(domain="api.localhost:9357")
    at = {"host": f"stackademy.{ACCOUNT}.api.localhost:9357", "origin": "http://localhost:8080"}
    key = local.opened(**at)
    said = local.at("POST", "/chat/", SAID, **at, **cookie(key))
    assert told(said)["smarter"]["session_key"] == key
    local.close()


@pytest.mark.parametrize("path", ["/chat/?session_key={key}/", "/chat/"], ids=["query", "body"])
def test_who_sends_the_key_itself_needs_no_cookie(client: ChatClient, path: str) -> None:
    key, another = client.opened(), client.opened()
    at = path.format(key=key)
    body = SAID if "?" in at else SAID | {"session_key": key}
    said = client.at("POST", at, body, origin="https://evil.example", **cookie(another))
    assert told(said)["smarter"]["session_key"] == key


def test_nor_does_a_page_use_it_in_the_sandbox_by_its_key(client: ChatClient) -> None:
    at = {"host": "api.example.com", "key": "user-key"}
    sent = cookie(client.opened(f"{SANDBOX}/config/", **at))
    refused = client.at(
        "POST", f"{SANDBOX}/chat/", SAID, origin="https://evil.example", **at, **sent
    )
    assert (refused.status, refused.json) == (403, REFUSED)
    assert client.at("POST", f"{SANDBOX}/chat/", SAID, origin=SHOP, **at, **sent).status == 200


def test_a_page_without_the_cookie_is_asked_nothing_more(client: ChatClient) -> None:
    """Where no session is anybody's, none can be used; limits are for what it costs."""
    assert client.at("POST", "/config/", {}, origin="https://evil.example").status == 200
