"""Who may what besides chat: every other endpoint x every credential (I8).

Prompts and threads are looked at in `test_http_access`; here is what accounts describe, and
what is the same for everybody.
"""

from typing import Any

import pytest
from parley.core.address import CLIENTS
from parley.wire import cli_api, http, llm_clients_api, public

from tests.fakes.world import ACCOUNT, OTHER_ACCOUNT
from tests.wire.test_http_access import ABOUT, MAKING
from tests.wire.test_http_refusals import stored
from tests.wire.twins import ABSENT, API, CLOSED, DEAD, DRAFT, NUMBERS, OPEN, Twins, named

ORDINARY = [e for e in http.ENDPOINTS if not e.chat and not e.public]
SHARED = (*cli_api.ENDPOINTS, *llm_clients_api.ENDPOINTS)
ONLY_ADMINS = {
    *("apply_manifests", "get_manifests", "describe_manifest", "delete_manifest"),
    *("deploy_manifest", "undeploy_manifest", "list_llm_client_keys", "get_llm_client_key"),
}
# Where a user of another account is told, as of all that is in a path, that it is not there.
BY_PATH = {"list_llm_client_keys", "get_llm_client_key"}


@pytest.mark.parametrize("endpoint", ORDINARY, ids=lambda e: e.handler.__name__)
def test_what_is_not_chat_needs_a_key_of_a_person(shared: Twins, endpoint: Any) -> None:
    path = endpoint.path.replace("<", "").replace(">", "")
    before = stored(shared)
    for who in ("nothing", "empty"):
        reply = shared.ask(endpoint.method, path, {}, host=API, credential=who)
        assert (reply.status, reply.json) == (
            401,
            {"error": "no key was sent", "code": "unauthenticated"},
        )
    for who in DEAD:
        reply = shared.ask(endpoint.method, path, {}, host=API, credential=who)
        assert (reply.status, reply.json) == (
            401,
            {"error": "the key is unknown or revoked", "code": "unauthenticated"},
        )
    for who in ("client-key", "closed-client-key", "their-client-key", "token"):
        reply = shared.ask(endpoint.method, path, {}, host=API, credential=who)
        error = "this key is for chatting with its llm_client only"
        assert (reply.status, reply.json) == (403, {"error": error, "code": "forbidden"})
    assert stored(shared) == before


# The paths of what an account describes: {n} is an llm_client's name, {i} its number. Of what
# belongs to it, by id or name, something that is there.
BELONGS = {"plugin_id": "courses", "function_id": "calculator", "key_id": "key", "domain_id": "1"}


def _filled(path: str) -> str:
    for parameter, id_ in BELONGS.items():
        path = path.replace(f"<{parameter}>", id_)
    return path.replace("<client_id>", "{i}")


DESCRIBED: dict[str, str] = {
    **{e.handler.__name__: _filled(e.path) for e in llm_clients_api.ENDPOINTS},
    "get_manifests": "/api/v1/cli/get/LLMClient?name={n}",
    "describe_manifest": "/api/v1/cli/describe/LLMClient?name={n}",
    "delete_manifest": "/api/v1/cli/delete/LLMClient?name={n}",
    "deploy_manifest": "/api/v1/cli/deploy/LLMClient?name={n}",
    "undeploy_manifest": "/api/v1/cli/undeploy/LLMClient?name={n}",
}
# Of nobody's things: the account is the caller's, and apply makes the caller's own.
OWN = {"list_llm_clients", "apply_manifests", "who_am_i", "cli_status", "cli_version"}
OWN |= {"example_manifest", "json_schema", "get_logs"}


def test_every_ordinary_endpoint_has_its_case() -> None:
    described = {e.handler.__name__ for e in SHARED}
    assert described == DESCRIBED.keys() | OWN
    assert {e.handler.__name__ for e in ORDINARY} == described | ABOUT.keys() | MAKING


@pytest.mark.parametrize("who", ["stranger-key", "stranger-user-key"])
@pytest.mark.parametrize(
    "endpoint",
    [e for e in SHARED if e.handler.__name__ not in OWN],
    ids=lambda e: e.handler.__name__,
)
def test_what_another_account_describes_is_not_there(
    shared: Twins, endpoint: Any, who: str
) -> None:
    """The draft is this account's alone; its name and number are nothing in the other."""
    before = stored(shared)
    replies = []
    for name in (DRAFT, ABSENT):
        path = DESCRIBED[endpoint.handler.__name__].format(n=name, i=NUMBERS[name])
        reply = shared.ask(endpoint.method, path, {}, host=API, credential=who)
        replies.append((reply.status, reply.text.replace(name, "*")))
    assert replies[0] == replies[1]
    only_admins = endpoint.handler.__name__ in ONLY_ADMINS - BY_PATH
    assert replies[0][0] == (403 if only_admins and who == "stranger-user-key" else 404)
    assert stored(shared) == before


@pytest.mark.parametrize("name", sorted(ONLY_ADMINS))
def test_a_user_does_not_change_what_the_account_describes(shared: Twins, name: str) -> None:
    endpoint = next(e for e in SHARED if e.handler.__name__ == name)
    path = DESCRIBED.get(name, endpoint.path).format(n=OPEN, i=NUMBERS[OPEN])
    before = stored(shared)
    reply = shared.ask(endpoint.method, path, {}, host=API, credential="user-key")
    assert (reply.status, reply.json) == (
        403,
        {"error": "this call needs an admin key", "code": "admin_needed"},
    )
    assert stored(shared) == before


def test_lists_are_of_the_caller_s_account(twins: Twins) -> None:
    for who, mine in (("admin-key", ACCOUNT), ("stranger-key", OTHER_ACCOUNT)):
        data = twins.ask("GET", CLIENTS, host=API, credential=who).json["data"]
        assert {one["account"] for one in data["llm_clients"]} == {mine}
        told = twins.ask("POST", "/api/v1/cli/get/LLMClient", host=API, credential=who)
        assert (DRAFT in told.text) is (mine == ACCOUNT)
        found = twins.ask("GET", "/api/v1/sessions", host=API, credential=who).json["sessions"]
        theirs = {one["title"].split()[0] for one in found if one["turns"]}
        assert theirs == {mine}


LISTS = [
    ("GET", f"{CLIENTS}?limit=1&after={{}}", "data"),
    ("POST", "/api/v1/cli/get/LLMClient?limit=1&after={}", "data"),
    ("GET", "/api/v1/sessions?limit=1&after={}", ""),
]


@pytest.mark.parametrize(("method", "path", "inside"), LISTS)
def test_a_cursor_leads_only_through_the_caller_s_own(
    shared: Twins, method: str, path: str, inside: str
) -> None:
    mine = shared.ask(method, path.format(""), host=API, credential="admin-key").json
    mine = mine[inside] if inside else mine
    after = mine.get("after") or mine["metadata"]["after"]
    reply = shared.ask(method, path.format(after), host=API, credential="stranger-key")
    assert reply.status in {200, 400}
    assert ACCOUNT not in reply.text
    assert DRAFT not in reply.text


def test_an_id_or_name_of_two_accounts_is_two_things(twins: Twins) -> None:
    path = "/api/v1/cli/undeploy/LLMClient?name=stackademy"
    assert twins.ask("POST", path, host=API, credential="stranger-key").status == 200
    assert twins.ask("GET", "/config/", host=named(OPEN, OTHER_ACCOUNT)).status == 404
    assert twins.ask("GET", "/config/", host=named(OPEN)).status == 200


# --- what everybody gets ---------------------------------------------------------------------

EVERYBODY = [*(e.path for e in public.ENDPOINTS), "/workbench/", "/embed.js", "/page/app.js"]
EVERYBODY += ["/workbench/llm-clients/1/prompt/", "/workbench/llm-clients/99/prompt/"]


def test_public_endpoints_are_those_that_are_known_to_be() -> None:
    assert {e.path for e in http.ENDPOINTS if e.public} == {"/health", "/openapi.json"}


@pytest.mark.parametrize("path", EVERYBODY)
def test_what_is_for_everybody_is_the_same_for_everybody(shared: Twins, path: str) -> None:
    expected = shared.ask("GET", path, host=API)
    assert expected.status == 200
    for who in ("admin-key", "stranger-key", "client-key", *DEAD):
        assert shared.ask("GET", path, host=API, credential=who) == expected


def test_the_page_tells_nothing_of_whose_it_is(shared: Twins) -> None:
    html = {"accept": "text/html"}
    pages = {
        place: shared.at("GET", "/", host=named(*place), **html)
        for place in [(OPEN,), (CLOSED,), (OPEN, OTHER_ACCOUNT), (DRAFT,), (ABSENT,)]
    }
    assert pages[OPEN,] == pages[CLOSED,] == pages[OPEN, OTHER_ACCOUNT]
    assert pages[OPEN,].status == 200
    assert pages[DRAFT,] == pages[ABSENT,]
    assert pages[DRAFT,].status == 404
