"""Who gets into an llm_client, and which pages may read what it answers."""

from collections.abc import Iterator
from typing import Any

import pytest
from parley.core.resource import Kind
from parley.wire import http

from tests.fakes.provider import Fail
from tests.fakes.world import ACCOUNT
from tests.wire.chat_client import CONFIG, HOST, ORIGIN, SANDBOX, ChatClient, told
from tests.wire.test_http_refusals import stored


@pytest.fixture
def client() -> Iterator[ChatClient]:
    made = ChatClient()
    yield made
    made.close()


DRAFT = f"draft.{ACCOUNT}.api.example.com"
CLOSED = f"closed.{ACCOUNT}.api.example.com"
OTHER = f"other-bot.{ACCOUNT}.api.example.com"
API = "api.example.com"
NEEDED = {"error": "this llm_client needs an API key", "code": "forbidden"}
UNKNOWN = {"error": "no such llm_client", "code": "no_such_llm_client"}

ENTRANCE: list[tuple[str, str, str, int]] = [
    # A deployed one is public; no key does harm, whosever it is.
    (HOST, "/config", "", 200),
    (HOST, "/config", "user-key", 200),
    (HOST, "/config", "client-key", 200),
    (HOST, "/config", "stranger-key", 200),
    (HOST, "/config", "other-client-key", 200),
    (HOST, "/config", "wrong", 200),
    # With a key attached it is the account's keys'.
    (CLOSED, "/config", "", 403),
    (CLOSED, "/config", "admin-key", 200),
    (CLOSED, "/config", "user-key", 200),
    (CLOSED, "/config", "client-key", 403),
    (CLOSED, "/config", "stranger-key", 403),
    (CLOSED, "/config", "wrong", 401),
    # One that is not deployed has no host; the sandbox has it.
    (DRAFT, "/config", "", 404),
    (DRAFT, "/config", "admin-key", 404),
    (DRAFT, "/config", "wrong", 404),
    (API, "/api/v1/llm-clients/3/config", "user-key", 200),
    (API, "/api/v1/llm-clients/3/config", "client-key", 403),
    (f"none.{ACCOUNT}.api.example.com", "/config", "", 404),
    ("courses.school.example", "/config", "", 404),
    # The sandbox always needs a key, whose account says whose numbers are meant.
    (API, f"{SANDBOX}/config", "", 401),
    (API, f"{SANDBOX}/config", "wrong", 401),
    (API, f"{SANDBOX}/config", "user-key", 200),
    (API, f"{SANDBOX}/config", "client-key", 200),
    (API, f"{SANDBOX}/config", "other-client-key", 403),
    (API, f"{SANDBOX}/config", "stranger-key", 200),
    (API, "/api/v1/llm-clients/2/config", "stranger-key", 404),
    (API, "/api/v1/llm-clients/2/config", "client-key", 403),
    (API, "/api/v1/llm-clients/99/config", "user-key", 404),
    (API, "/api/v1/llm-clients/redix/config", "user-key", 404),
]


@pytest.mark.parametrize(("host", "path", "key", "status"), ENTRANCE)
def test_who_gets_in(client: ChatClient, host: str, path: str, key: str, status: int) -> None:
    before = stored(client)
    reply = client.at("POST", path, {}, host=host, key=key)
    assert reply.status == status, reply.text
    assert "error" in reply.json or status == 200
    assert (stored(client) == before) is (status != 200)


def test_the_component_may_send_the_cookie_of_the_site_that_it_is_on(client: ChatClient) -> None:
    """It sends that site's `sessionid`, if it can read one, as its key: nobody's, to us."""
    site = "https://school.example"
    client.describe("stackademy", 1, allowedOrigins=[site])
    cookie = {"authorization": "Bearer x1y2z3-of-another-site", "origin": site}

    config = client.at("POST", "/config/", {"session_key": ""}, **cookie)
    assert config.status == 200
    assert config.headers["access-control-allow-origin"] == site
    said = client.say(config.json["data"]["session_key"], "Hello", **cookie)
    assert told(said)["status"] == 202


def test_a_name_with_an_underscore_has_a_hyphen_in_its_host(client: ChatClient) -> None:
    data = client.at("GET", "/config", host=OTHER).json["data"]
    assert data["chatbot"]["name"] == "other_bot"
    assert data["chatbot"]["url_chatbot"] == f"https://{OTHER}/chat/"


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "", "Token "])
def test_an_empty_bearer_is_anonymous(client: ChatClient, header: str) -> None:
    assert client.at("GET", "/config", authorization=header).status == 200


@pytest.mark.parametrize("header", ["Bearer user-key", "Token user-key", "user-key"])
def test_a_key_comes_in_three_forms(client: ChatClient, header: str) -> None:
    assert client.at("GET", "/config", host=CLOSED, authorization=header).status == 200


def test_a_session_s_turns_know_which_key_was_used(client: ChatClient) -> None:
    key = client.opened(key="user-key", host=CLOSED)
    assert client.say(key, "hello", host=CLOSED).status == 403
    assert client.say(key, "hello", host=CLOSED, key="user-key").status == 200


def test_a_namesake_of_a_deleted_llm_client_has_none_of_its_sessions(client: ChatClient) -> None:
    key = client.opened()
    client.answered(key, "my secret question")
    client.describe("stackademy", 9)
    assert client.say(key, "and on").status == 404
    assert client.at("GET", f"/chat/?session_key={key}").status == 404
    for path in ("cancel", "retry"):
        body = {"session_key": key, "prompt_id": "p"}
        assert client.at("POST", f"/chat/{path}/", body).status == 404
    anew = client.at("POST", "/config/", {"session_key": key}).json["data"]
    assert anew["session_new"]
    assert anew["session_key"] != key
    assert "my secret question" not in str(anew)


def test_nor_is_a_command_line_s_session_inherited(client: ChatClient) -> None:
    path = "/api/v1/cli/chat/config/stackademy/?uid=laptop"
    first, again = (client.at("POST", path, {}, host=API, key="user-key") for _ in range(2))
    session_key = first.json["data"]["session_key"]
    assert again.json["data"]["session_key"] == session_key
    client.describe("stackademy", 9)
    anew = client.at("POST", path, {}, host=API, key="user-key").json["data"]
    assert anew["session_new"]
    assert anew["session_key"] != session_key


ORDINARY = [e for e in http.ENDPOINTS if not e.public and not e.chat]


@pytest.mark.parametrize("endpoint", ORDINARY, ids=lambda e: f"{e.method} {e.path}")
def test_a_clients_key_opens_nothing_else(client: ChatClient, endpoint: Any) -> None:
    path = endpoint.path.replace("<", "").replace(">", "")
    before = stored(client)
    for key in ("client-key", "other-client-key"):
        reply = client.call(endpoint.method, path, {}, key=key)
        error = "this key is for chatting with its llm_client only"
        assert (reply.status, reply.json) == (403, {"error": error, "code": "forbidden"})
    assert stored(client) == before


def test_a_session_key_is_no_api_key(client: ChatClient) -> None:
    key = client.opened()
    assert client.call("GET", "/status", key=key).status == 401
    assert client.at("POST", f"{SANDBOX}/chat/config/", {}, host=API, key=key).status == 401


@pytest.mark.parametrize(
    "path", ["/health", "/ws", "/prompt-svc/prompts", f"{SANDBOX}/config", "/chat/other"]
)
def test_a_named_host_has_only_its_chat(client: ChatClient, path: str) -> None:
    for method in ("GET", "POST"):
        reply = client.at(method, path, key="admin-key")
        assert (reply.status, reply.json) == (
            404,
            {"error": "no such path", "code": "no_such_path"},
        )


@pytest.mark.parametrize(("method", "path"), [("PUT", "/chat/"), ("GET", "/chat/cancel/")])
def test_a_wrong_method_names_the_right_ones(client: ChatClient, method: str, path: str) -> None:
    reply = client.at(method, path)
    assert reply.status == 405
    assert "POST" in reply.headers["allow"]


# --- pages ---------------------------------------------------------------------------------


def test_a_browser_gets_the_page_of_a_named_host(client: ChatClient) -> None:
    client.describe("stackademy", 1, allowedOrigins=["https://shop.example"])
    page = client.at("GET", "/", accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["vary"] == "Origin, Accept"
    policy = page.headers["content-security-policy"]
    assert "wss://sockets.example.com" in policy
    assert "frame-ancestors 'self' https://shop.example" in policy
    config = client.at("GET", "/", accept="application/json")
    assert config.json["thing"] == "ChatConfig"
    assert config.headers["vary"] == "Origin, Accept"
    assert client.at("POST", "/", {}, accept="text/html").json["thing"] == "ChatConfig"


def test_the_page_asks_for_a_key_itself(client: ChatClient) -> None:
    assert client.at("GET", "/", host=CLOSED, accept="text/html").status == 200


@pytest.mark.parametrize("host", [DRAFT, f"none.{ACCOUNT}.api.example.com", "chat.school.example"])
def test_where_there_is_no_chat_a_browser_gets_a_page_that_says_so(
    client: ChatClient, host: str
) -> None:
    page = client.at("GET", "/", host=host, accept="text/html", if_none_match="*")
    assert page.status == 404
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["cache-control"] == "no-store"
    assert "etag" not in page.headers
    # The same for what is hidden as for what is not there: nothing of it is in the page.
    assert page.text == client.at("GET", "/", accept="text/html").text
    for answer in (
        client.at("GET", "/", host=host, accept="application/json"),
        client.at("POST", "/", {}, host=host, accept="text/html"),
        client.at("GET", "/config", host=host, accept="text/html"),
    ):
        assert (answer.status, answer.json) == (404, UNKNOWN)


def test_a_browser_at_the_apis_own_host_is_led_to_the_workbench(client: ChatClient) -> None:
    page = client.at("GET", "/", host=API, accept="text/html,*/*;q=0.8")
    assert (page.status, page.headers["location"]) == (302, "/workbench/")
    assert page.headers["vary"] == "Accept"
    assert client.at("GET", "/", host=API, accept="application/json").status == 404
    assert client.at("POST", "/", {}, host=API, accept="text/html").status == 404


@pytest.mark.parametrize("domain", ["api.localhost:9357", "api.example.com"])
def test_sites_of_this_machine_may_frame_the_page_of_an_api_on_it(domain: str) -> None:
    client = ChatClient(domain=domain)
    client.describe("stackademy", 1, allowedOrigins=["https://shop.example"])
    page = client.at("GET", "/", host=f"stackademy.{ACCOUNT}.{domain}", accept="text/html")
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors 'self' https://shop.example" in policy
    assert ("http://localhost:*" in policy) is ("localhost" in domain)
    client.close()


def test_a_page_is_not_sent_twice(client: ChatClient) -> None:
    page = client.at("GET", "/", accept="text/html")
    again = client.at("GET", "/", accept="text/html", if_none_match=page.headers["etag"])
    assert (again.status, again.text) == (304, "")


@pytest.mark.parametrize(
    "path",
    [
        "/workbench/",
        "/workbench/llm-clients/9/prompt/",
        "/workbench/llm-clients/rMTAwMDAwOQx/prompt",
    ],
)
def test_the_workbench_is_there_for_everybody_and_empty(client: ChatClient, path: str) -> None:
    page = client.at("GET", path, host=API)
    assert (page.status, page.headers["content-type"][:9]) == (200, "text/html")
    refused = client.at("POST", path, host=API)
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("host", [HOST, API, "courses.school.example"])
def test_assets_are_on_every_host(client: ChatClient, host: str) -> None:
    script = client.at("GET", "/embed.js", host=host)
    assert (script.status, script.headers["content-type"][:15]) == (200, "text/javascript")
    assert client.at("GET", "/page/app.js", host=host).status == 200
    assert client.at("GET", "/page/none.js", host=host).status == 404
    assert client.at("GET", "/page/../settings.py", host=host).status == 404


# --- CORS ----------------------------------------------------------------------------------

SHOP = "https://shop.example"
ALLOWED = {
    "access-control-allow-origin": SHOP,
    "access-control-allow-credentials": "true",
    "vary": "Origin",
}


@pytest.fixture
def embedded(client: ChatClient) -> ChatClient:
    client.describe("stackademy", 1, allowedOrigins=[SHOP])
    client.describe("closed", 4, allowedOrigins=[SHOP], apiKey="the key")
    return client


def allow_headers(reply: Any) -> set[str]:
    return {name for name in reply.headers if name.startswith("access-control-allow")}


@pytest.mark.parametrize(
    ("host", "path", "status"),
    [
        (HOST, "/config", 200),
        (HOST, "/config?session_key=x", 400),
        (CLOSED, "/config", 403),
        (HOST, "/chat/nothing", 404),
        (HOST, f"/chat?session_key={'ab' * 32}", 404),
    ],
)
def test_an_allowed_page_reads_answers_and_refusals(
    embedded: ChatClient, host: str, path: str, status: int
) -> None:
    reply = embedded.at("GET", path, host=host, origin=SHOP)
    assert reply.status == status
    assert ALLOWED.items() <= reply.headers.items()


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://shop.example", ""])
def test_no_other_page_does(embedded: ChatClient, origin: str) -> None:
    for method in ("GET", "OPTIONS"):
        reply = embedded.at(method, "/config", origin=origin)
        assert not allow_headers(reply)
        assert reply.headers["vary"] == "Origin"


# The header names of contract 5. The component sets `user-agent` with every call, for which
# Firefox and Safari ask.
ASKED_FOR = {
    "accept",
    "accept-encoding",
    "authorization",
    "content-type",
    "dnt",
    "origin",
    "user-agent",
    "x-api-key",
    "x-csrftoken",
    "x-requested-with",
}


@pytest.mark.parametrize("path", ["/", "/config/", "/chat/", "/chat/config/", "/prompt/cancel/"])
def test_a_preflight_is_answered_for_the_client(embedded: ChatClient, path: str) -> None:
    reply = embedded.at("OPTIONS", path, origin=SHOP)
    assert (reply.status, reply.text) == (204, "")
    assert reply.headers["access-control-allow-origin"] == SHOP
    assert reply.headers["access-control-allow-methods"] == "GET, POST, OPTIONS"
    named = set(reply.headers["access-control-allow-headers"].split(", "))
    assert named >= ASKED_FOR
    assert reply.headers["access-control-max-age"] == "7200"


def test_its_own_hosts_are_allowed(client: ChatClient) -> None:
    client.changed(host="courses.school.example")
    for host in (HOST, "courses.school.example"):
        for origin in (ORIGIN, "https://courses.school.example"):
            reply = client.at("GET", "/config", host=host, origin=origin)
            assert reply.headers["access-control-allow-origin"] == origin


@pytest.mark.parametrize("origin", ["http://localhost:8080", "http://127.0.0.1:5173"])
def test_pages_of_this_machine_are_allowed_where_the_api_is_on_it(origin: str) -> None:
    local, remote = ChatClient(domain="api.localhost:9357"), ChatClient()
    host = f"stackademy.{ACCOUNT}.api.localhost:9357"
    reply = local.at("GET", "/config", host=host, origin=origin)
    assert reply.headers["access-control-allow-origin"] == origin
    assert not allow_headers(remote.at("GET", "/config", origin=origin))
    for made in (local, remote):
        made.close()


def test_in_the_sandbox_the_answer_decides_and_not_the_preflight(embedded: ChatClient) -> None:
    path = f"{SANDBOX}/chat/config/"
    for origin, allowed in ((SHOP, True), ("https://evil.example", False)):
        preflight = embedded.at("OPTIONS", path, host=API, origin=origin)
        assert preflight.headers["access-control-allow-origin"] == origin
        reply = embedded.at("POST", path, {}, host=API, origin=origin, key="user-key")
        assert (reply.status, bool(allow_headers(reply))) == (200, allowed)


def test_the_other_calls_keep_their_cors(client: ChatClient) -> None:
    reply = client.call("GET", "/health", headers={"origin": "https://evil.example"})
    assert reply.headers["access-control-allow-origin"] == "*"


def test_a_fault_of_ours_has_cors_headers_too(
    embedded: ChatClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded.at("GET", "/config", origin=SHOP)

    monkeypatch.setattr("parley.wire.smarter.config._chatbot", lambda _: 1 / 0)
    reply = embedded.at("GET", "/config", origin=SHOP)
    assert (reply.status, reply.json) == (
        500,
        {"error": "internal error", "code": "internal_error"},
    )
    assert ALLOWED.items() <= reply.headers.items()


def test_a_call_is_told_with_its_route_and_account(client: ChatClient) -> None:
    client.at("GET", "/prompt/config/")
    told = client.observer.calls[-1]
    assert told.route == "/api/v1/llm-clients/<client>/config"
    assert (told.account, told.ids, told.status) == (ACCOUNT, {"client": "stackademy"}, 200)
    client.at("GET", "/config", host=DRAFT)
    assert client.observer.calls[-1].account == ""


def test_undeploying_closes_the_host(client: ChatClient) -> None:
    assert client.at("GET", "/config").status == 200
    client.describe("stackademy", 1, config=CONFIG | {"deployed": False})
    assert client.at("GET", "/config").json == UNKNOWN
    assert (ACCOUNT, Kind.LLM_CLIENT, "stackademy") in client.world.resources.stored


def test_attaching_a_key_closes_it_to_the_public(client: ChatClient) -> None:
    client.describe("stackademy", 1, apiKey="the key")
    assert client.at("GET", "/config").json == NEEDED


def test_an_admin_reads_why_a_turn_of_the_accounts_llm_client_failed(client: ChatClient) -> None:
    """A session's owner is nobody who could ask; other users and accounts are told nothing."""
    key = client.opened()
    client.world.provider.scripts.append([Fail("refused", retryable=False)])
    prompt_id = client.answered(key, "why?")["smarter"]["prompt"]["id"]
    at = f"/prompt-svc/prompt/{prompt_id}"
    prompt = client.at("GET", at, host=API, key="admin-key").json["prompt"]
    assert (prompt["prompt"], prompt["errorCode"]) == ("why?", "refused")
    assert "words of the provider" in prompt["error"]
    [listed] = client.at(
        "POST",
        "/prompt-svc/prompts",
        {
            "query": {
                "filters": [{"fields": ["status"], "op": "isInList", "jsonValues": '["abandoned"]'}]
            }
        },
        host=API,
        key="admin-key",
    ).json["prompts"]
    assert (listed["prompt"], listed["error"]) == ("why?", prompt["error"])
    for other in ("user-key", "stranger-key"):
        assert client.at("GET", at, host=API, key=other).status == 404
