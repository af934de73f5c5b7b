"""Who may what in chat: every address and endpoint x every credential x every session (I8).

Tables say who is let in. For whoever is not, what is somebody else's gets, byte for byte, the
answer that what is absent gets, and nothing changes.
"""

import copy
import re
from typing import Any

import pytest
from parley.core import address
from parley.core.address import CLIENTS, What
from parley.core.llm_client import hashed_id
from parley.wire import http

from tests.fakes.world import ACCOUNT, OTHER_ACCOUNT
from tests.wire.test_http_refusals import stored
from tests.wire.twins import (
    API,
    CLOSED,
    DEAD,
    DRAFT,
    NUMBERS,
    OPEN,
    THEIRS,
    Twins,
    named,
)

UNKNOWN_KEY = "cd" * 32


# --- every address of chat -------------------------------------------------------------------

# By endpoint: what its address is about, and what is sent besides the session's key.
SAID = {"messages": [{"role": "user", "content": "Hello?"}], "wait": 0}
CHAT: dict[str, tuple[What, Any]] = {
    "get_config": (What.CONFIG, None),
    "open_config": (What.CONFIG, {}),
    "get_chat": (What.CHAT, None),
    "chat": (What.CHAT, SAID),
    "cancel_turn": (What.CANCEL, {"prompt_id": "none"}),
    "retry_turn": (What.RETRY, {"prompt_id": "none"}),
}
# By name, with a session of their own making.
CLI = {
    "get_cli_config": ("GET", "config/"),
    "cli_config": ("POST", "config/"),
    "get_cli_chat": ("GET", ""),
    "cli_chat": ("POST", ""),
}
# What is the same for everybody, whoever they are.
PAGES = {What.PAGE, What.WORKBENCH, What.ASSET, What.NOTHING}
CHAT_ENDPOINTS = [e for e in http.ENDPOINTS if e.chat]
KEYED = [e for e in CHAT_ENDPOINTS if e.handler.__name__ in CHAT]


def test_every_chat_endpoint_and_every_kind_of_address_has_its_case() -> None:
    assert {e.handler.__name__ for e in CHAT_ENDPOINTS} == CHAT.keys() | CLI.keys()
    assert {what for what, _ in CHAT.values()} == {what for what, *_ in address._TAILS.values()}
    assert set(What) == {what for what, _ in CHAT.values()} | {What.ROOT} | PAGES


def tails(endpoint: Any) -> list[str]:
    """The ends of path under which an endpoint of chat is."""
    about, _ = CHAT[endpoint.handler.__name__]
    return ["/".join(tail) for tail, (what, *_) in address._TAILS.items() if what is about]


def bases(place: str) -> list[tuple[str, str]]:
    """Host and path of every form that an address has, e.g. of `sandbox closed`."""
    family, client = place.split()
    number = NUMBERS[client]
    if family == "named":
        return [(named(client), "")]
    ids = (str(number), hashed_id(number))
    return [(API, f"{at}/{id_}") for at in (CLIENTS, "/workbench/llm-clients") for id_ in ids]


def calls(place: str, endpoint: Any) -> list[tuple[str, str]]:
    found = []
    for host, base in bases(place):
        of_page = base.startswith("/workbench")
        ends = [end for end in tails(endpoint) if not of_page or end.endswith("config")]
        if host != API and CHAT[endpoint.handler.__name__][0] is What.CONFIG:
            ends.append("")  # the root of a named host
        found += [(host, f"{base}/{end}") for end in ends]
    return found


# Who gets in: `in`; `own` if it is their own of that number or name; or the status. Who is
# not named here has none (`DEAD`): at a named host that is as good as nothing, unless the
# llm_client needs a key; everywhere else it is refused.
ENTRANCE = """
                 nothing  empty  admin  user  client  token  closed-client  their-admin  their-user  their-client
named stackademy in       in     in     in    in      in     in             in           in          in
named closed     403      403    in     in    403     403    in             403          403         403
named draft      404      404    404    404   404     404    404            404          404         404
named absent     404      404    404    404   404     404    404            404          404         404
sandbox stackademy 401    401    in     in    in      in     403            own          own         own
sandbox closed   401      401    in     in    403     403    in             own          own         403
sandbox draft    401      401    in     in    403     403    403            404          404         403
sandbox absent   401      401    404    404   403     403    403            404          404         403
"""  # noqa: E501 - a table
SENT = {
    "admin": "admin-key",
    "user": "user-key",
    "client": "client-key",
    "closed-client": "closed-client-key",
    "their-admin": "stranger-key",
    "their-user": "stranger-user-key",
    "their-client": "their-client-key",
}
BODIES = {
    "named": {
        "403": {"this llm_client needs an API key", "this key is for another llm_client"},
        "404": {"no such llm_client"},
    },
    "sandbox": {
        "401": {"the sandbox needs an API key"},
        "403": {"this key is for another llm_client"},
        "404": {"no such llm_client"},
    },
}


def entrance() -> list[tuple[str, str, str]]:
    head, *rows = (line.split() for line in ENTRANCE.strip().splitlines())
    found = []
    for family, client, *outcomes in rows:
        place = f"{family} {client}"
        found += [
            (place, SENT.get(who, who), outcome)
            for who, outcome in zip(head, outcomes, strict=True)
        ]
        nothing = outcomes[head.index("nothing")]
        dead = nothing if family == "named" and nothing != "403" else "401"
        found += [(place, who, dead) for who in DEAD]
    return found


@pytest.mark.parametrize(("place", "who", "outcome"), entrance())
def test_who_gets_in_where(shared: Twins, place: str, who: str, outcome: str) -> None:
    """With a session key that nobody has: whoever is in gets a new session, or a 404 of it."""
    before = stored(shared)
    for endpoint in KEYED:
        _, body = CHAT[endpoint.handler.__name__]
        for host, path in calls(place, endpoint):
            sent = None if body is None else {**body, "session_key": UNKNOWN_KEY}
            query = f"?session_key={UNKNOWN_KEY}" if body is None else ""
            reply = shared.ask(endpoint.method, path + query, sent, host=host, credential=who)
            _judge(reply, place, who, outcome)
    if outcome not in {"in", "own"}:
        assert stored(shared) == before


def _judge(reply: Any, place: str, who: str, outcome: str) -> None:
    if outcome in {"in", "own"}:
        if reply.status == 200:
            chatbot = reply.json["data"]["chatbot"]
            assert chatbot["account"]["accountNumber"] == (
                OTHER_ACCOUNT if outcome == "own" else ACCOUNT
            )
            assert reply.json["data"]["session_new"]
            assert (THEIRS in reply.text) is (outcome == "own")
        else:
            assert (reply.status, reply.json) == (
                404,
                {"error": "no such session", "code": "no_such_session"},
            )
        return
    assert reply.status == int(outcome), reply.text
    assert THEIRS not in reply.text
    assert reply.json.keys() == {"error", "code"}
    if who in DEAD and outcome == "401":
        assert reply.json["error"] == "the key is unknown or revoked"
    else:
        assert reply.json["error"] in BODIES[place.partition(" ")[0]][outcome]


@pytest.mark.parametrize(
    ("place", "who", "outcome"), [row for row in entrance() if row[0].startswith("sandbox")]
)
def test_the_command_lines_form_lets_the_same_in(
    shared: Twins, place: str, who: str, outcome: str
) -> None:
    name = place.split()[1]
    for word in ("chat", "prompt"):
        for method, middle in CLI.values():
            path = f"/api/v1/cli/{word}/{middle}{name}/?uid=machine"
            body = {"prompt": "Hello?", "wait": 0} if (method, middle) == ("POST", "") else None
            reply = shared.ask(method, path, body, host=API, credential=who)
            if outcome in {"in", "own"}:
                assert reply.status == 200
                assert THEIRS not in reply.text or outcome == "own"
            else:
                _judge(reply, place, who, outcome)


# --- every session ---------------------------------------------------------------------------

# Where a caller is in, and with what.
INSIDE = [
    (OPEN, named(OPEN), "", "nothing"),
    (CLOSED, named(CLOSED), "", "user-key"),
    (OPEN, API, f"{CLIENTS}/1", "user-key"),
    (DRAFT, API, f"{CLIENTS}/3", "admin-key"),
    (CLOSED, API, f"{CLIENTS}/4", "closed-client-key"),
]


def plain(reply: Any) -> tuple[int, str]:
    """The answer without what is new in each of them: keys, ids and numbers of sessions, times."""
    new = (
        r'(?<="id":)\d+(?=,"thread_id":)'
        r"|[0-9a-f]{64}|ses_[0-9a-f]{40}|\d{4}-\d\d-\d\dT[\d:.]+Z|\d{13}"
    )
    return reply.status, re.sub(new, "*", reply.text)


def asked(twins: Twins, endpoint: Any, at: tuple[str, str, str], key: str, prompt: str) -> Any:
    host, base, who = at
    what, body = CHAT[endpoint.handler.__name__]
    tail = tails(endpoint)[0]
    if body is None:
        path = f"{base}/{tail}/?session_key={key}"
        return twins.ask(endpoint.method, path, host=host, credential=who)
    sent = {**body, "session_key": key}
    if what in {What.CANCEL, What.RETRY}:
        sent["prompt_id"] = prompt
    return twins.ask(endpoint.method, f"{base}/{tail}/", sent, host=host, credential=who)


@pytest.mark.parametrize("endpoint", KEYED, ids=lambda e: e.handler.__name__)
@pytest.mark.parametrize("inside", INSIDE, ids=" ".join)
def test_a_session_is_of_one_llm_client_and_unknown_elsewhere(
    twins: Twins, inside: tuple[str, str, str, str], endpoint: Any
) -> None:
    client, *where = inside
    at = (where[0], where[1], where[2])
    unknown = plain(asked(twins, endpoint, at, UNKNOWN_KEY, "none"))
    before = _of_sessions(twins)
    for (account, name), key in twins.sessions.items():
        if (account, name) == (ACCOUNT, client):
            continue
        reply = asked(twins, endpoint, at, key, twins.prompts[account, name])
        assert plain(reply) == unknown, (account, name)
        assert key not in reply.text
        assert _of_sessions(twins) == before
    own = asked(twins, endpoint, at, twins.sessions[ACCOUNT, client], "none")
    prompt_named = endpoint.handler.__name__ in {"cancel_turn", "retry_turn"}
    assert (own.status, own.status == 200) == ((404, False) if prompt_named else (200, True))


def _of_sessions(twins: Twins) -> Any:
    """What is stored of the sessions that were there: new ones may be made."""
    state = twins.world.state
    known = {(account, prompt.thread_id) for (account, _), prompt in state.prompts.items()}
    threads = {key: thread for key, thread in state.threads.items() if key in known}
    return copy.deepcopy((threads, state.prompts, {key: state.messages[key] for key in known}))


@pytest.mark.parametrize("endpoint", KEYED[-2:], ids=lambda e: e.handler.__name__)
def test_a_session_reaches_no_prompt_of_another(twins: Twins, endpoint: Any) -> None:
    at = (named(OPEN), "", "nothing")
    key = twins.sessions[ACCOUNT, OPEN]
    twins.add("of-a-user")
    absent = asked(twins, endpoint, at, key, "none")
    assert (absent.status, absent.json) == (
        404,
        {"error": "no such prompt", "code": "no_such_prompt"},
    )
    before = _of_sessions(twins)
    others = [id_ for place, id_ in twins.prompts.items() if place != (ACCOUNT, OPEN)]
    for prompt in [*others, "of-a-user"]:
        assert asked(twins, endpoint, at, key, prompt) == absent
    assert _of_sessions(twins) == before


def test_two_sessions_of_one_llm_client_do_not_see_each_other(twins: Twins) -> None:
    mine, other = twins.opened(), twins.sessions[ACCOUNT, OPEN]
    twins.say(mine, "mine alone", {"role": "assistant", "content": "", "id": "intro.1"})
    prompt = twins.prompts[ACCOUNT, OPEN]
    for path in ("/chat/cancel/", "/chat/retry/"):
        body = {"session_key": mine, "prompt_id": prompt}
        assert twins.at("POST", path, body).json == {
            "error": "no such prompt",
            "code": "no_such_prompt",
        }
    for path in ("/config/", "/chat/"):
        assert "mine alone" not in twins.at("GET", f"{path}?session_key={other}").text
    # Where one may read on is a number within the session, and says nothing of another's.
    page = twins.at("GET", f"/chat/?session_key={other}&after=2.0")
    assert "mine alone" not in page.text


@pytest.mark.parametrize("planted", [UNKNOWN_KEY, "0" * 64])
def test_a_planted_key_is_not_taken_over(twins: Twins, planted: str) -> None:
    for path, body in (("/config/", {"session_key": planted}), ("/config/", None)):
        query = "" if body else f"?session_key={planted}"
        data = twins.at("POST" if body else "GET", path + query, body).json["data"]
        assert data["session_new"]
        assert data["session_key"] != planted
    assert twins.at("GET", "/config/", cookie=f"session_key={planted}").json["data"]["session_new"]
    assert twins.say(planted, "Hello?").json == {
        "error": "no such session",
        "code": "no_such_session",
    }
