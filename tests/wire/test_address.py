"""Every form of address, read by the one parser; and what we print is what it reads."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parley.core.address import (
    ENVIRONMENTS,
    Address,
    ClientRef,
    What,
    locate,
    named_host,
    named_url,
    sandbox_url,
)
from parley.core.llm_client import LlmClient, hashed_id

ACCOUNT = "3141-5926-5359"
STACKADEMY = ClientRef(account=ACCOUNT, name="stackademy")
PRODUCTION = f"stackademy.{ACCOUNT}.api.example.com"
ALPHA = f"stackademy.{ACCOUNT}.alpha.api.example.com"
LOCAL = f"stackademy.{ACCOUNT}.api.localhost:9357"
CUSTOM = "courses.school.example"
NINE = ClientRef(number=9)
API = "api.example.com"
AT = "/api/v1/llm-clients"

# Host, path, whom it is for, and what.
CHATS = [
    (PRODUCTION, "/chat/", STACKADEMY, What.CHAT),
    (PRODUCTION, "/chat", STACKADEMY, What.CHAT),
    (PRODUCTION, "/prompt/", STACKADEMY, What.CHAT),
    (PRODUCTION, "/prompt", STACKADEMY, What.CHAT),
    (PRODUCTION, "/config/", STACKADEMY, What.CONFIG),
    (PRODUCTION, "/chat/config/", STACKADEMY, What.CONFIG),
    (PRODUCTION, "/prompt/config", STACKADEMY, What.CONFIG),
    (PRODUCTION, "/chat/cancel/", STACKADEMY, What.CANCEL),
    (PRODUCTION, "/prompt/cancel", STACKADEMY, What.CANCEL),
    (PRODUCTION, "/chat/retry", STACKADEMY, What.RETRY),
    (PRODUCTION, "/", STACKADEMY, What.ROOT),
    (PRODUCTION, "", STACKADEMY, What.ROOT),
    (ALPHA, "/chat/", STACKADEMY, What.CHAT),
    (f"stackademy.{ACCOUNT}.local.api.example.com", "/chat/", STACKADEMY, What.CHAT),
    (f"stackademy.{ACCOUNT}.beta.api.example.com", "/chat/", STACKADEMY, What.CHAT),
    (f"stackademy.{ACCOUNT}.next.api.example.com", "/chat/", STACKADEMY, What.CHAT),
    (f"stackademy.{ACCOUNT}.prod.api.example.com", "/chat/", STACKADEMY, What.CHAT),
    (f"stackademy.{ACCOUNT}.api.deep.er.example.com", "/chat/", STACKADEMY, What.CHAT),
    (LOCAL, "/chat/", STACKADEMY, What.CHAT),
    (f"StackAdemy.{ACCOUNT}.API.Example.COM:443", "/chat/", STACKADEMY, What.CHAT),
    (f"{PRODUCTION}.", "/chat/", STACKADEMY, What.CHAT),
    (f"a-b-c.{ACCOUNT}.api.example.com", "/chat", ClientRef(ACCOUNT, "a-b-c"), What.CHAT),
    (f"api.{ACCOUNT}.api.example.com", "/chat", ClientRef(ACCOUNT, "api"), What.CHAT),
    (f"alpha.{ACCOUNT}.api.example.com", "/chat", ClientRef(ACCOUNT, "alpha"), What.CHAT),
    (f"{ACCOUNT}.{ACCOUNT}.api.example.com", "/chat", ClientRef(ACCOUNT, ACCOUNT), What.CHAT),
    (CUSTOM, "/chat/", ClientRef(host=CUSTOM), What.CHAT),
    (f"{CUSTOM.upper()}:8443", "/prompt/config/", ClientRef(host=CUSTOM), What.CONFIG),
    (CUSTOM, "/", ClientRef(host=CUSTOM), What.ROOT),
    ("chat.shop.localhost", "/config", ClientRef(host="chat.shop.localhost"), What.CONFIG),
    (API, f"{AT}/9/chat/", NINE, What.CHAT),
    ("localhost:9357", f"{AT}/9/chat", NINE, What.CHAT),
    (API, f"{AT}/9/prompt/", NINE, What.CHAT),
    (API, f"{AT}/rMTAwMDAwOQx/chat/", NINE, What.CHAT),
    (API, f"{AT}/rMTAwMDAwOQx/prompt/config/", NINE, What.CONFIG),
    (API, f"{AT}/9/config", NINE, What.CONFIG),
    (API, f"{AT}/9/chat/config", NINE, What.CONFIG),
    (API, f"{AT}/9/chat/cancel/", NINE, What.CANCEL),
    (API, f"{AT}/9/chat/retry/", NINE, What.RETRY),
    (CUSTOM, f"{AT}/9/chat/", NINE, What.CHAT),
    (API, f"{AT}/redix/chat/", ClientRef(), What.CHAT),
    (API, f"{AT}/0/chat/", ClientRef(), What.CHAT),
    (API, f"{AT}/-1/chat/", ClientRef(), What.CHAT),
    (API, "/workbench/llm-clients/rMTAwMDAwOQx/config/", NINE, What.CONFIG),
    (API, "/workbench/llm-clients/9/config", NINE, What.CONFIG),
    (API, "/workbench/llm-clients/9/chat/config/", NINE, What.CONFIG),
    (API, "/workbench/llm-clients/rMTAwMDAwOQx/prompt/config", NINE, What.CONFIG),
    (API, "/workbench/llm-clients/9/prompt/", NINE, What.PAGE),
    (API, "/workbench/llm-clients/rMTAwMDAwOQx/chat/", NINE, What.PAGE),
    (API, "/workbench/", ClientRef(), What.WORKBENCH),
    (API, "/api/v1/cli/chat/stackademy/", ClientRef(name="stackademy"), What.CHAT),
    (API, "/api/v1/cli/prompt/stackademy", ClientRef(name="stackademy"), What.CHAT),
    (API, "/api/v1/cli/chat/config/a-b_c/", ClientRef(name="a-b_c"), What.CONFIG),
    (API, "/api/v1/cli/prompt/config/x", ClientRef(name="x"), What.CONFIG),
    (API, "/api/v1/cli/config/stackademy/", ClientRef(name="stackademy"), What.CONFIG),
    (API, "/api/v1/cli/chat/StackAdemy/", ClientRef(name="stackademy"), What.CHAT),
    (API, "/api/v1/cli/chat/config/", ClientRef(name="config"), What.CHAT),
    (API, "/api/v1/cli/chat/no name/", ClientRef(), What.CHAT),
]
STATIC = [
    (API, "/embed.js", What.ASSET),
    (PRODUCTION, "/embed.js", What.ASSET),
    (CUSTOM, "/page/app.0123abcd.js", What.ASSET),
    (PRODUCTION, "/page/app.css", What.ASSET),
    (API, "/page/0123456789abcdef/vendor/marked.esm.js", What.ASSET),
]
# A named host answers for its llm_client and nothing else.
NOTHING = [
    (PRODUCTION, "/health"),
    (PRODUCTION, "/ws"),
    (PRODUCTION, "/prompt-svc/prompt"),
    (PRODUCTION, f"{AT}/9/chat/"),
    (PRODUCTION, "/api/v1/cli/chat/stackademy/"),
    (PRODUCTION, "/workbench/"),
    (PRODUCTION, "/chat/chat"),
    (PRODUCTION, "//chat"),
    (PRODUCTION, "/Chat"),
    (PRODUCTION, "/page"),
    (API, "/api/v1/cli/chat"),
    (API, "/api/v1/cli/chat/config/x/y"),
    (API, "/api/v1/cli/config/"),
    (API, "/api/v1/cli/config/config/x"),
]
ORDINARY = [
    (API, "/"),
    (API, "/chat/"),
    (API, "/config/"),
    (API, "/prompt-svc/prompt"),
    (API, f"{AT}/"),
    (API, f"{AT}/9/"),
    (API, f"{AT}/9/plugins/"),
    (API, f"{AT}/9/token/"),
    (API, f"{AT}/9/chat/other"),
    (API, "/api/v1/cli/apply"),
    (API, "/api/v1/sessions/"),
    (API, "/workbench/llm-clients/9/"),
    (API, "/workbench/llm-clients/9/chat/cancel"),
    (API, "/workbench/llm-clients/9/config/x"),
    (CUSTOM, "/health"),
    (CUSTOM, "/prompt-svc/prompt"),
    ("localhost:9357", "/chat/"),
    ("127.0.0.1:9357", "/chat/"),
    ("[::1]:9357", "/chat/"),
    ("abc123.execute-api.eu-central-1.amazonaws.com", "/chat/"),
    ("alpha.api.example.com", "/chat/"),
    ("parley.example.com", "/chat/"),
    ("", "/chat/"),
    ("no host", "/chat/"),
    ("münchen.example", "/chat/"),
    ("a..example", "/chat/"),
    ("-a.example", "/chat/"),
    (f"{'a' * 64}.example", "/chat/"),
]
# What looks like a named host and is not, and so can only be somebody's custom host.
NOT_NAMED = [
    f"stackademy.{ACCOUNT}.gamma.api.example.com",
    f"stackademy.{ACCOUNT}.example.com",
    f"stackademy.{ACCOUNT}.api",
    "stackademy.3141-5926.api.example.com",
    "stackademy.31415-5926-5359.api.example.com",
    "stackademy.3141-5926-535a.api.example.com",
    f"x.stackademy.{ACCOUNT}.api.example.com",
    f"{ACCOUNT}.api.example.com",
]


def test_the_table_is_long_enough_to_be_one() -> None:
    assert len(CHATS) + len(STATIC) + len(NOTHING) + len(ORDINARY) + len(NOT_NAMED) >= 60


@pytest.mark.parametrize(("host", "path", "ref", "what"), CHATS)
def test_a_chat_address(host: str, path: str, ref: ClientRef, what: What) -> None:
    found = locate(host, path)
    assert found is not None
    assert (found.ref, found.what) == (ref, what)
    named = bool(ref.host) or bool(ref.account)
    static = what in {What.PAGE, What.WORKBENCH}
    assert found.sandbox is not (named or static)
    assert found.word == ("prompt" if "/prompt" in path else "chat")


@pytest.mark.parametrize(("host", "path", "what"), STATIC)
def test_a_static_address(host: str, path: str, what: What) -> None:
    assert locate(host, path) == Address(ClientRef(), what)


@pytest.mark.parametrize(("host", "path"), NOTHING)
def test_an_address_of_nothing(host: str, path: str) -> None:
    found = locate(host, path)
    assert found is not None
    assert found.what is What.NOTHING


@pytest.mark.parametrize(("host", "path"), ORDINARY)
def test_an_ordinary_call(host: str, path: str) -> None:
    assert locate(host, path, ["Parley.example.com:443"]) is None


@pytest.mark.parametrize("host", NOT_NAMED)
def test_a_host_that_is_no_named_one(host: str) -> None:
    found = locate(host, "/chat/")
    assert found is not None
    assert found.ref == ClientRef(host=host)


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/", "/api/v1/llm-clients/stackademy/config"),
        ("/config/", "/api/v1/llm-clients/stackademy/config"),
        ("/prompt/config/", "/api/v1/llm-clients/stackademy/config"),
        ("/prompt/", "/api/v1/llm-clients/stackademy/chat"),
        ("/prompt/cancel", "/api/v1/llm-clients/stackademy/chat/cancel"),
        ("/chat/retry/", "/api/v1/llm-clients/stackademy/chat/retry"),
    ],
)
def test_each_form_leads_to_the_one_route(path: str, route: str) -> None:
    found = locate(PRODUCTION, path)
    assert found is not None
    assert found.route == route
    sandbox = locate(API, f"{AT}/stackademy{'/config' if path == '/' else path}")
    assert sandbox is not None
    assert sandbox.route == route


def test_the_command_line_s_forms_lead_to_its_own_routes() -> None:
    for word in ("chat", "prompt"):
        chat = locate(API, f"/api/v1/cli/{word}/x/")
        config = locate(API, f"/api/v1/cli/{word}/config/x/")
        assert chat is not None
        assert config is not None
        assert (chat.route, config.route) == ("/api/v1/cli/chat/x", "/api/v1/cli/chat/config/x")


def test_in_the_sandbox_the_caller_says_the_account() -> None:
    sandbox, named = locate(API, f"{AT}/9/chat/"), locate(PRODUCTION, "/chat/")
    assert sandbox is not None
    assert named is not None
    assert sandbox.of("0000-0000-0001") == ClientRef("0000-0000-0001", number=9)
    assert named.of("0000-0000-0001") == STACKADEMY


LABELS = st.text(string.ascii_lowercase + string.digits + "-_", min_size=1, max_size=50).filter(
    lambda name: name[0] not in "-_" and name[-1] not in "-_"
)
CLIENTS = st.builds(
    LlmClient,
    account=st.from_regex(r"\A[0-9]{4}-[0-9]{4}-[0-9]{4}\Z"),
    name=LABELS,
    number=st.integers(1, 10**8),
)
DOMAINS = st.sampled_from(["api.example.com", "api.localhost:9357", "api.x-y.co.uk:443"])
TAILS = st.sampled_from(["", "chat", "prompt/", "config", "chat/config/", "prompt/config/"])


@given(CLIENTS, DOMAINS, st.sampled_from(["", *ENVIRONMENTS]), TAILS)
def test_the_named_url_that_we_print_is_the_llm_clients(
    client: LlmClient, domain: str, environment: str, tail: str
) -> None:
    scheme, _, rest = named_url(client, domain, environment).partition("://")
    host, _, path = rest.partition("/")
    assert scheme == ("http" if "localhost" in domain else "https")
    assert host == named_host(client, domain, environment)
    found = locate(host, f"/{path}{tail}", [domain])
    assert found is not None
    assert found.ref == ClientRef(client.account, client.name.replace("_", "-"))
    assert found.what is not What.NOTHING
    assert not found.sandbox


@given(CLIENTS, st.sampled_from(["https://api.example.com", "http://localhost:9357"]))
def test_the_sandbox_url_that_we_print_is_the_llm_clients(client: LlmClient, api: str) -> None:
    host, _, path = sandbox_url(client.number, api).partition("://")[2].partition("/")
    for id_ in (str(client.number), hashed_id(client.number)):
        found = locate(host, f"/{path}".replace(f"/{client.number}/", f"/{id_}/"))
        assert found is not None
        assert (found.ref, found.what) == (ClientRef(number=client.number), What.CHAT)
        assert found.sandbox


@given(st.text(max_size=80), st.text(max_size=80))
def test_nothing_makes_it_fail(host: str, path: str) -> None:
    locate(host, path)
    locate(PRODUCTION, path)


def test_without_a_domain_no_host_is_printed() -> None:
    client = LlmClient(ACCOUNT, "x", 1)
    assert (named_host(client, ""), named_url(client, "")) == ("", "")
