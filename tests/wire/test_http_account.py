"""Models, keys, dead letters and status over HTTP."""

from typing import Any

import pytest

from tests.fakes.provider import Fail
from tests.wire.http_client import ACCOUNT, Client

MODEL = {
    "id": "gpt",
    "baseUrl": "https://api.example.com/v1",
    "providerModel": "gpt-4o-mini",
    "template": "[INST] {prompt} [/INST]",
    "secret": "openai",
    "context": {"turns": 10, "tokens": 4000},
    "maxTokens": 800,
    "default": True,
}


def put(client: Client, *models: Any, key: str = "admin-key") -> Any:
    return client.call("PUT", "/models", {"models": list(models)}, key=key)


def test_the_catalogue_is_replaced_and_shown_to_users(client: Client) -> None:
    small = {"id": "small", "baseUrl": "https://8.8.8.8", "providerModel": "s"}
    assert put(client, MODEL, small).status == 200
    seen = client.call("GET", "/models").json["models"]
    assert seen[0] == MODEL
    assert seen[1] | small | {"default": False, "secret": ""} == seen[1]
    assert client.call("GET", "/models", key="stranger-key").json["models"][0]["id"] == "model"
    assert client.add("p", modelId="gpt")["modelId"] == "gpt"
    assert put(client, *seen).json["models"] == seen  # as it was shown it can be put back


@pytest.mark.parametrize(
    "url",
    [
        *("http://api.example.com", "ftp://api.example.com", "api.example.com", "https://", ""),
        *("https://localhost", "https://LOCALHOST.", "https://x.localhost", "https://intranet"),
        *("https://metadata.google.internal", "https://printer.local", "https://169.254.169.254"),
        *("https://127.0.0.1:8443/v1", "https://127.1", "https://2130706433", "https://0x7f.0.0.1"),
        *("https://0177.0.0.1", "https://10.1.2.3", "https://172.16.0.1", "https://192.168.0.1"),
        *("https://100.64.0.1", "https://0.0.0.0", "https://[::1]", "https://[fe80::1]"),
        *("https://[fd00::1]", "https://[::ffff:10.0.0.1]", "https://[::ffff:127.0.0.1]"),
        *("https://[2002:7f00:1::]", "https://[64:ff9b::10.0.0.1]", "https://224.0.0.1"),
        *("https://a@api.example.com", "https://api.example.com/?key=x", "https://a.b/#f"),
        *("https://api.example.com:0", "https://api.example.com:99999", "https://a b.example.com"),
        *("https://api.example.com/\nx", "https://api.example.com\\@10.0.0.1", "https://[::1"),
    ],
)
def test_a_provider_must_be_public_and_encrypted(client: Client, url: str) -> None:
    reply = put(client, {**MODEL, "baseUrl": url})
    assert (reply.status, reply.json["error"].startswith("baseUrl")) == (400, True)


@pytest.mark.parametrize(
    "url",
    ["https://api.openai.com/v1", "https://1.1.1.1/v1", "https://[2606:4700::1111]/v1"],
)
def test_a_public_provider_is_taken(client: Client, url: str) -> None:
    assert put(client, {**MODEL, "baseUrl": url}).status == 200


def test_local_providers_are_taken_where_the_deployment_says_so() -> None:
    client = Client(local_providers=True)
    assert put(client, {**MODEL, "baseUrl": "http://127.0.0.1:9358/v1"}).status == 200
    assert put(client, {**MODEL, "baseUrl": "file:///etc/passwd"}).status == 400
    client.close()


def test_one_model_may_be_the_default(client: Client) -> None:
    reply = put(client, MODEL, {**MODEL, "id": "other"})
    assert (reply.status, reply.json) == (
        400,
        {"error": "models: only one may be the default", "code": "invalid"},
    )


def test_a_key_is_shown_once_and_works_until_it_is_revoked(client: Client) -> None:
    reply = client.call("POST", "/keys", {"name": "laptop", "userId": "usr_9"}, key="admin-key")
    made, secret = reply.json["key"], reply.json["secret"]
    assert made | {"userId": "usr_9", "role": "user", "name": "laptop"} == made
    assert len(secret) == 64
    assert client.call("GET", "/status", key=secret).json["userId"] == "usr_9"
    listing = client.call("GET", "/keys", key="admin-key")
    assert made in listing.json["keys"]
    assert secret not in listing.text
    revoked = client.call("DELETE", f"/keys/{made['id']}", key="admin-key").json["key"]
    assert revoked["revokedAt"] == made["createdAt"]
    client.world.clock.skip(60)
    assert client.call("GET", "/status", key=secret).status == 401


def test_a_clients_key_says_which_llm_client_it_is_for(client: Client) -> None:
    new = {"role": "client", "llmClient": "StackAdemy"}
    made = client.call("POST", "/keys", new, key="admin-key").json["key"]
    assert (made["role"], made["llmClient"]) == ("client", "stackademy")
    assert made in client.call("GET", "/keys", key="admin-key").json["keys"]
    refused = client.call("POST", "/keys", {"role": "client"}, key="admin-key")
    assert (refused.status, refused.json["error"][:9]) == (400, "llmClient")
    absent = client.call("POST", "/keys", new | {"llmClient": "nope"}, key="admin-key")
    assert (absent.status, "no LLMClient nope" in absent.json["error"]) == (404, True)


def test_dead_letters_are_listed_and_redriven(client: Client) -> None:
    client.world.provider.otherwise = lambda _: [Fail()]
    client.add("p", maxRetries=0)
    client.add("q", "u", maxRetries=0)
    client.drain()
    listing = client.call("GET", "/dlq", key="admin-key").json["records"]
    assert [record["promptId"] for record in listing] == ["q", "p"]
    first = client.call("GET", "/dlq?limit=1", key="admin-key").json
    assert first["records"] == listing[:1]
    rest = client.call("GET", f"/dlq?limit=1&after={first['after']}", key="admin-key").json
    assert rest == {"records": listing[1:]}
    one = client.call("POST", "/dlq/redrive", {"promptId": "q"}, key="admin-key").json
    assert one == {
        "retried": [{"id": "q", "threadId": "u", "turn": 2, "status": "scheduled"}],
        "obsolete": [],
    }
    client.call("DELETE", "/prompt-svc/prompt/p")
    rest = client.call("POST", "/dlq/redrive", key="admin-key").json
    assert rest == {"retried": [], "obsolete": [{"promptId": "p", "reason": listing[1]["reason"]}]}
    assert client.call("GET", "/dlq", key="admin-key").json == {"records": []}


def test_status_counts_what_is_unfinished(client: Client) -> None:
    client.add("p")
    client.add("q", "u", key="other-user-key")
    own = client.call("GET", "/status").json
    assert own == {
        "account": ACCOUNT,
        "userId": "usr_1",
        "role": "user",
        "models": 1,
        "unfinished": {"scheduled": 1, "running": 0, "errored": 0},
        "version": own["version"],
    }
    assert client.world.conductor.calls("prompts.count_by_status") == 1
    assert client.call("GET", "/status", key="admin-key").json["unfinished"]["scheduled"] == 2


def test_health_needs_no_key(client: Client) -> None:
    assert client.call("GET", "/health", key="").json["status"] == "ok"
