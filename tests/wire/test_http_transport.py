"""What holds for every call: CORS, preflights, routing, keys first, faults, the log."""

import gzip
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from parley import observability
from parley.core.errors import ParleyError
from parley.wire import http
from parley.wire.errors import STATUS

from tests.fakes.provider import Fail
from tests.wire.http_client import Client, http_event

PROMPT = "/prompt-svc/prompt"
SECRET_TEXT = "sesame-in-the-question"
SECRET_ANSWER = "sesame-in-the-answer"
SECRET_WORDS = "sesame-in-an-exception"


def test_every_answer_has_the_contracts_cors_headers(client: Client) -> None:
    for reply in (client.call("GET", "/health"), client.call("GET", "/nothing", key="")):
        assert reply.headers["access-control-allow-origin"] == "*"
        assert reply.headers["access-control-allow-methods"] == "POST, GET, OPTIONS, PUT, DELETE"
        assert "Authorization" in reply.headers["access-control-allow-headers"]
        assert reply.headers["access-control-allow-credentials"] == "true"


@pytest.mark.parametrize("path", ["/", PROMPT, "/prompt-svc/prompt/x/cancel", "/nothing"])
def test_a_preflight_needs_no_key_and_no_path(client: Client, path: str) -> None:
    reply = client.call("OPTIONS", path, key="", headers={"origin": "https://app.example.com"})
    assert (reply.status, reply.text) == (204, "")
    assert "PUT" in reply.headers["access-control-allow-methods"]
    assert reply.headers["access-control-max-age"] == "7200"


def test_only_listed_origins_are_allowed_where_there_is_a_list() -> None:
    client = Client(allowed_origins=("https://app.example.com",))
    allowed = client.call("GET", "/health", headers={"origin": "https://app.example.com"})
    assert allowed.headers["access-control-allow-origin"] == "https://app.example.com"
    assert allowed.headers["vary"] == "Origin"
    for headers in ({"origin": "https://evil.example.com"}, {}):
        other = client.call("GET", "/health", headers=headers)
        assert "access-control-allow-origin" not in other.headers
        assert (other.status, other.headers["vary"]) == (200, "Origin")
    client.close()


def test_a_wrong_method_names_the_right_ones(client: Client) -> None:
    reply = client.call("PATCH", "/prompt-svc/prompt/x")
    assert (reply.status, reply.headers["allow"]) == (405, "DELETE, GET, HEAD, OPTIONS")


@pytest.mark.parametrize("endpoint", http.ENDPOINTS, ids=lambda e: f"{e.method} {e.path}")
def test_the_key_comes_before_everything_else(client: Client, endpoint: Any) -> None:
    path = endpoint.path.replace("<", "").replace(">", "") + "?wait=x&limit=x"
    for key in ("", "wrong"):
        reply = client.call(endpoint.method, path, b"not json", key=key)
        assert reply.status == (200 if endpoint.public else 401)
    if not endpoint.public:
        assert reply.headers["www-authenticate"] == "Bearer"
        assert client.call(endpoint.method, path, headers={"authorization": "Bearer"}).status == 401


def test_a_body_that_is_far_too_large_is_not_even_decoded(client: Client) -> None:
    reply = client.call("POST", PROMPT, b"x" * (2 * 1024 * 1024))
    assert reply.status == 413


def test_broken_encodings_are_refused(client: Client) -> None:
    headers = {"authorization": "user-key", "content-encoding": "gzip"}
    event = http_event("POST", PROMPT, "a", headers)
    event["isBase64Encoded"] = True
    assert client.send(event).status == 400
    for body in (gzip.compress(b'{"prompt": "x"}')[:-4], gzip.compress(b"{}") * 2):
        reply = client.send(http_event("POST", PROMPT, body, headers))
        assert (reply.status, reply.json) == (
            400,
            {"error": "the body is not valid gzip", "code": "invalid"},
        )
    assert client.send(http_event("POST", "/prompt-svc/prompts", b"", headers)).status == 200


def test_a_stage_in_the_path_is_not_part_of_it(client: Client) -> None:
    event = http_event("GET", "/live/health")
    event["requestContext"]["stage"] = "live"
    assert client.send(event).status == 200


def test_every_error_that_a_caller_may_get_has_a_status() -> None:
    def kinds(of: type[ParleyError]) -> Iterator[type[ParleyError]]:
        for kind in of.__subclasses__():
            yield kind
            yield from kinds(kind)

    known = [kind for kind in kinds(ParleyError) if kind.__module__.startswith("parley.core")]
    assert known
    assert all(any(parent in STATUS for parent in kind.__mro__) for kind in known)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that is logged, by Powertools' logger and by anybody else, at any level."""
    stream = io.StringIO()
    root = logging.getLogger()
    handler = logging.StreamHandler(stream)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    powertools = logging.StreamHandler(stream)
    observability.logger.addHandler(powertools)
    powertools.setFormatter(observability.logger.registered_formatter)
    yield stream
    observability.logger.removeHandler(powertools)
    root.removeHandler(handler)
    root.setLevel(level)


def leaks(text: str) -> list[str]:
    secrets = (SECRET_TEXT, SECRET_ANSWER, SECRET_WORDS, "user-key", "admin-key")
    return [secret for secret in secrets if secret in text]


def test_an_unexpected_error_is_told_by_its_type_only(
    log: io.StringIO, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POWERTOOLS_DEV", "true")
    client = Client(observability.CallsObserver())

    async def broken(*_: object) -> None:
        raise RuntimeError(SECRET_WORDS)

    monkeypatch.setattr(client.world.models, "resolve", broken)
    reply = client.call("POST", PROMPT, {"prompt": SECRET_TEXT})
    assert (reply.status, reply.json) == (
        500,
        {"error": "internal error", "code": "internal_error"},
    )
    assert reply.headers["access-control-allow-origin"] == "*"
    assert "RuntimeError" in log.getvalue()
    printed = capsys.readouterr()
    assert not leaks(log.getvalue() + printed.out + printed.err)
    client.close()


def test_an_answer_that_breaks_its_shape_is_a_fault_of_ours(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.wire.shapes.stamp", lambda _: None)
    reply = client.call("POST", PROMPT, {"prompt": SECRET_TEXT})
    assert (reply.status, reply.json) == (
        500,
        {"error": "internal error", "code": "internal_error"},
    )


def test_no_text_and_no_key_is_logged(log: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    client = Client(observability.CallsObserver())
    client.world.provider.scripts.append([Fail(retryable=False)])
    body = {"id": "p", "threadId": "t", "prompt": SECRET_TEXT, "template": SECRET_ANSWER}
    client.call("POST", PROMPT, body)
    client.call("POST", PROMPT, {**body, "prompt": SECRET_ANSWER})
    client.call("POST", PROMPT, json.dumps(body)[:-1])
    client.call("POST", PROMPT, {**body, "maxRetries": SECRET_TEXT})
    client.call("GET", f"{PROMPT}/{SECRET_TEXT}%20{SECRET_TEXT}")
    client.call("POST", "/chat-svc/thread/t/message", {"message": {"content": SECRET_ANSWER}})
    client.call("POST", "/chat-svc/thread", {"thread": {"title": SECRET_TEXT}})
    client.drain()
    for method, path in [
        ("GET", f"{PROMPT}/p"),
        ("POST", "/prompt-svc/prompts"),
        ("POST", "/chat-svc/thread/t/messages"),
        ("GET", "/prompt-svc/prompts/t/responses/subscribe"),
    ]:
        assert client.call(method, path, {}).status == 200
    made = client.call("POST", "/keys", {"name": "x"}, key="admin-key").json["secret"]
    printed = capsys.readouterr()
    everything = log.getvalue() + printed.out + printed.err
    assert '"route":"/prompt-svc/prompt"' in everything.replace(" ", "")
    assert not leaks(everything)
    assert made not in everything
    client.close()


def test_refusals_do_not_repeat_what_was_sent(client: Client) -> None:
    bodies: list[Any] = [
        {"prompt": SECRET_TEXT, "sync": SECRET_TEXT},
        {"prompt": SECRET_TEXT, "id": SECRET_TEXT + "/"},
        {"prompt": [SECRET_TEXT]},
        {"prompt": "x", "modelId": SECRET_TEXT},
        f'{{"prompt": "{SECRET_TEXT}"',
    ]
    for body in bodies:
        reply = client.call("POST", PROMPT, body)
        assert reply.status == 400
        assert not leaks(reply.text)


def test_a_call_is_told_with_its_route_and_valid_ids(client: Client) -> None:
    client.add("p")
    client.call("GET", f"{PROMPT}/p")
    client.call("GET", f"{PROMPT}/not%20an%20id")
    client.call("GET", "/nothing")
    told = client.observer.calls[1:]
    assert [(call.route, call.ids, call.account, call.status) for call in told] == [
        (f"{PROMPT}/<prompt_id>", {"prompt_id": "p"}, "0000-0000-0001", 200),
        (f"{PROMPT}/<prompt_id>", {}, "0000-0000-0001", 400),
        ("", {}, "", 404),
    ]
