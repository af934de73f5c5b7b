"""The OpenAPI document: committed, served, whole, and true."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from parley.core.address import What, locate
from parley.wire import http, openapi
from pydantic.alias_generators import to_camel

from tests.wire.http_client import Client

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.json"
DOCUMENT: dict[str, Any] = openapi.document()
OPERATIONS = [
    (endpoint, DOCUMENT["paths"][path][endpoint.method.lower()])
    for endpoint in http.ENDPOINTS
    for path in [re.sub(r"<(\w+)>", lambda m: f"{{{to_camel(m[1])}}}", endpoint.path)]
]
ALIASED = "/workbench/llm-clients/{client}/config"
OF_API = {
    path: item
    for path, item in DOCUMENT["paths"].items()
    if "servers" not in item and path != ALIASED
}


def test_the_committed_document_is_the_generated_one() -> None:
    generated = openapi.document_text()
    command = "python -m parley.wire.openapi > docs/openapi.json"
    assert COMMITTED.read_text() == generated, f"run: {command}"


def test_it_is_served_without_a_key(client: Client) -> None:
    reply = client.call("GET", "/openapi.json", key="")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert reply.json == DOCUMENT


def test_every_route_is_in_it_with_its_refusals() -> None:
    assert sum(len(item) for item in OF_API.values()) == len(http.ENDPOINTS)
    for endpoint, operation in OPERATIONS:
        responses = operation["responses"]
        assert {"200", "500"} <= set(responses), endpoint.path
        assert "422" not in responses
        if not endpoint.public:
            assert {"401", "403", "503"} <= set(responses), endpoint.path
        if "requestBody" in operation:
            assert {"400", "415"} <= set(responses), endpoint.path
            # Where whole conversations are posted, one that is too large is told to people.
            assert ("413" in responses) == (endpoint.too_large is None), endpoint.path
        if "{" in endpoint.path.replace("<", "{"):
            assert "400" in responses, endpoint.path
        assert ("202" in responses) == endpoint.may_wait
        assert operation["summary"]
        assert operation["description"]


def test_every_reference_leads_somewhere_and_ids_are_unique() -> None:
    text = json.dumps(DOCUMENT)
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', text)):
        place: Any = DOCUMENT
        for part in reference.split("/"):
            place = place[part]
    ids = [
        item[method]["operationId"]
        for item in DOCUMENT["paths"].values()
        for method in item
        if method != "servers"
    ]
    assert len(set(ids)) == len(ids)
    assert {"addPrompt", "listPrompts", "removePrompt", "subscribeToPromptResponses"} <= set(ids)
    assert DOCUMENT["openapi"].startswith("3.1")
    for path, item in DOCUMENT["paths"].items():
        for operation in (item[method] for method in item if method != "servers"):
            named = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))


def test_an_llm_client_s_own_host_has_its_paths() -> None:
    hosted = {path for path, item in DOCUMENT["paths"].items() if "servers" in item}
    assert hosted == {"/", "/config", "/chat", "/chat/cancel", "/chat/retry"}
    for path in hosted:
        address = locate("x.0000-0000-0001.api.example.com", path)
        assert address is not None
        assert address.what is not What.NOTHING
        assert DOCUMENT["paths"][path]["post"]["security"] == [{"key": []}, {}]
        sandboxed = locate("api.example.com", f"/api/v1/llm-clients/1{path}")
        if sandboxed:
            assert "security" not in OF_API["/api/v1/llm-clients/{client}" + path]["post"]


def test_the_sandbox_s_config_is_also_beside_its_page() -> None:
    address = locate("api.example.com", ALIASED.replace("{client}", "9"))
    assert address is not None
    assert (address.what, address.sandbox) == (What.CONFIG, True)
    assert set(DOCUMENT["paths"][ALIASED]) == {"get", "post"}


def validator(schema: dict[str, Any]) -> Any:
    whole = {**schema, "components": DOCUMENT["components"]}
    return jsonschema.Draft202012Validator(whole)


@pytest.mark.parametrize("name", sorted(DOCUMENT["components"]["schemas"]))
def test_every_schema_is_one(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(DOCUMENT["components"]["schemas"][name])


def test_answers_are_as_it_says(client: Client) -> None:
    client.add("p", template="T {prompt}")
    client.drain()
    client.add("q")
    calls = [
        ("GET", "/prompt-svc/prompt/p", "/prompt-svc/prompt/{promptId}", None),
        ("POST", "/prompt-svc/prompts", "/prompt-svc/prompts", {"query": {"count": True}}),
        ("POST", "/chat-svc/thread/t/messages", "/chat-svc/thread/{threadId}/messages", None),
        ("GET", "/chat-svc/thread/none", "/chat-svc/thread/{threadId}", None),
        ("POST", "/chat-svc/threads", "/chat-svc/threads", None),
        ("GET", "/keys", "/keys", None),
        ("POST", "/keys", "/keys", {}),
        ("GET", "/models", "/models", None),
        ("GET", "/status", "/status", None),
        ("GET", "/dlq", "/dlq", None),
        ("GET", "/health", "/health", None),
    ]
    for method, path, template, body in calls:
        reply = client.call(method, path, body, key="admin-key")
        response = DOCUMENT["paths"][template][method.lower()]["responses"][str(reply.status)]
        schema = response["content"]["application/json"]["schema"]
        validator(schema).validate(reply.json)


def test_a_refusal_is_as_it_says(client: Client) -> None:
    reply = client.call("GET", "/prompt-svc/prompt/none")
    validator(DOCUMENT["components"]["schemas"]["Error"]).validate(reply.json)


def test_importing_the_api_brings_neither_a_provider_nor_the_documents_models() -> None:
    code = "import sys, parley.wire.http; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"openai", "boto3", "parley.wire.openapi"} & set(loaded)
    assert "aws_lambda_powertools.event_handler.openapi.models" not in loaded
