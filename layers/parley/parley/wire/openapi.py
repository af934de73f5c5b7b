"""The OpenAPI document: what Powertools generates from the routes, with our refusals.

`python -m parley.wire.openapi > docs/openapi.json` writes the committed one.
"""

import copy
import json
import re
import sys
from typing import Any, Never

from aws_lambda_powertools.event_handler.openapi.models import (
    HTTPBearer,
    License,
    Tag,
)
from pydantic.alias_generators import to_camel

from parley.core.address import CLIENTS
from parley.core.errors import (
    Busy,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    ParleyError,
    TooLarge,
    TooManyOpenTurns,
    Unauthenticated,
)
from parley.wire import http
from parley.wire.errors import INTERNAL, NotServed, UnsupportedEncoding, status_of
from parley.wire.http_calls import Endpoint
from parley.wire.public import VERSION

Json = dict[str, Any]

ABOUT = (
    "Durable LLM prompts and chat. The key goes into `Authorization`, as `Bearer KEY`, `Token KEY` "
    'or bare. Every refusal is `{"error": text, "code": word}`. Unknown fields of a request are '
    "ignored."
)
TAGS = {
    "chat": (
        "llm_clients: chat, and what a chat page needs. Each call is also on the llm_client's own "
        "host, there without a key unless one is attached to it; `/prompt` stands for `/chat` "
        "everywhere, `/chat/config` for `/config`, with or without a slash at the end."
    ),
    "llm_clients": "The llm_clients of the account.",
    "cli": "Manifests, as command lines call them.",
    "sessions": "Chat sessions, for admins.",
    "prompt-svc": "Add prompts, wait for them, follow their thread.",
    "chat-svc": "Threads and messages.",
    "account": "Models, keys, dead letters, status.",
    "public": "Without a key.",
}
REFUSALS: dict[type[ParleyError], str] = {
    Invalid: "The request breaks a rule; the text says which.",
    Unauthenticated: "No key, or an unknown or revoked one.",
    Forbidden: "The key may not do this: it takes another role, or a key of the llm_client.",
    NotFound: "Absent, or another account's.",
    Conflict: "The id is taken by other content, or the state does not allow the call.",
    TooLarge: "A text over 300 KB or another limit, or a body over 1 MB.",
    UnsupportedEncoding: "The body is compressed with something else than gzip.",
    TooManyOpenTurns: "The thread has 100 unfinished prompts.",
    NotServed: "The contract has this call, and this service does not do what it is for.",
    Busy: "Busy or unavailable just now; try again.",
}
MANIFESTS = {
    "required": True,
    "description": "Manifests: YAML of one or several documents, or JSON: an object, an array, "
    'or {"manifests": [...]}. At most 1 MB. See docs/manifests.md.',
    "content": {
        "application/yaml": {"schema": {"type": "string"}},
        "application/json": {"schema": {"type": ["object", "array"]}},
    },
}
ERROR_SCHEMA = {
    "type": "object",
    "title": "Error",
    "description": "A refusal.",
    "properties": {
        "error": {"type": "string", "description": "For people."},
        "code": {
            "type": "string",
            "description": "For programs: what kind of refusal it is, such as not_found or "
            "no_such_thread. There are more, and new ones may come; the status says the rest.",
        },
        "errors": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Of manifests: every problem, with its document and path.",
        },
    },
    "required": ["error", "code"],
}
NAMED_HOST = {
    "url": "https://{name}.{account}.{apiDomain}",
    "description": "The llm_client's own host; production has no environment in it.",
    "variables": {
        "name": {"default": "stackademy"},
        "account": {"default": "3141-5926-5359"},
        "apiDomain": {"default": "api.example.com"},
    },
}
PAGE_AT_ROOT = "A caller that accepts `text/html` gets the chat page."
RETRY_AFTER = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}


def document() -> Json:
    """The document as an object."""
    routes = http.router(_unanswered)
    text = routes.get_openapi_json_schema(
        title="Parley",
        version=VERSION,
        description=ABOUT,
        license_info=License(name="MIT"),
        tags=[Tag(name=name, description=about) for name, about in TAGS.items()],
        security_schemes={"key": HTTPBearer(type="http", scheme="bearer")},
        security=[{"key": []}],
    )
    generated: Json = json.loads(text)
    schemas = generated["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError", "ResponseValidationError"):
        schemas.pop(name, None)
    schemas["Error"] = ERROR_SCHEMA
    generated["components"]["responses"] = _responses()
    paths = _paths(generated["paths"])
    generated["paths"] = paths | _aliases(paths)
    return generated


def document_text() -> str:
    """The document as it is committed and served."""
    return json.dumps(document(), indent=1, sort_keys=True) + "\n"


def _responses() -> Json:
    """Each refusal once, to be referred to."""
    kinds = {**REFUSALS, Exception: "A fault of ours."}
    return {
        _name(status_of(kind)): {
            "description": about,
            "content": _content({"$ref": "#/components/schemas/Error"}),
            **({"headers": RETRY_AFTER} if kind is Busy else {}),
        }
        for kind, about in kinds.items()
    }


def _paths(paths: Json) -> Json:
    """The paths with parameters named as in the contract, and each with its refusals."""
    for endpoint in http.ENDPOINTS:
        operation = paths[_generated_path(endpoint)][endpoint.method.lower()]
        responses = operation["responses"]
        for generated in ("422", "500"):
            responses.pop(generated, None)
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "path":
                parameter["name"] = to_camel(parameter["name"])
        if endpoint.may_wait:
            responses["202"] = _accepted(responses["200"])
        if endpoint.stream:
            responses["200"]["content"] = {"text/event-stream": {"schema": {"type": "string"}}}
        if endpoint.manifests:
            operation["requestBody"] = MANIFESTS
        for status in _refusals(endpoint, has_body="requestBody" in operation):
            responses[str(status)] = {"$ref": f"#/components/responses/{_name(status)}"}
        if endpoint.public:
            operation["security"] = []
    return {_camel_path(path): item for path, item in paths.items()}


def _aliases(paths: Json) -> Json:
    """The other addresses of an llm_client's calls: on its own host, and beside its page."""
    base = f"{CLIENTS}/{{client}}"
    config = paths[f"{base}/config"]
    root = _at_host(config, "AtRoot")
    root["get"]["description"] += f" {PAGE_AT_ROOT}"
    return {
        **{
            path.removeprefix(base): _at_host(item, "AtHost")
            for path, item in paths.items()
            if path.startswith((f"{base}/config", f"{base}/chat"))
        },
        "/": root,
        "/workbench/llm-clients/{client}/config": _renamed(config, "InWorkbench"),
    }


def _at_host(item: Json, suffix: str) -> Json:
    """A call as the llm_client's own host answers it: nothing names it, and no key is needed."""
    here = _renamed(item, suffix)
    for operation in here.values():
        operation["parameters"] = [
            one for one in operation["parameters"] if one["name"] != "client"
        ]
        operation["security"] = [{"key": []}, {}]
    return {**here, "servers": [NAMED_HOST]}


def _renamed(item: Json, suffix: str) -> Json:
    """A copy with ids of its own."""
    here: Json = copy.deepcopy(item)
    for operation in here.values():
        operation["operationId"] += suffix
    return here


def _refusals(endpoint: Endpoint, *, has_body: bool) -> list[int]:
    kinds: set[type[Exception]] = {Exception, *endpoint.refuses}
    if not endpoint.public:
        # Keys for chatting are refused by every other call, and their llm_client's by others.
        kinds |= {Unauthenticated, Forbidden, Busy}
    if endpoint.chat:
        kinds |= {NotFound}
    if has_body:
        kinds |= {TooLarge, UnsupportedEncoding}
    if endpoint.too_large:
        kinds -= {TooLarge}  # told in an answer
    return sorted({status_of(kind) for kind in kinds})


def _accepted(answered: Json) -> Json:
    location = {"description": "Where to wait on.", "schema": {"type": "string"}}
    return {
        "description": "It is not over yet: the prompt as it is.",
        "content": answered["content"],
        "headers": {"Location": location, **RETRY_AFTER},
    }


def _content(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _name(status: int) -> str:
    return f"Refused{status}" if status != INTERNAL.status else "Failed"


def _generated_path(endpoint: Endpoint) -> str:
    return endpoint.path.replace("<", "{").replace(">", "}")


def _camel_path(path: str) -> str:
    return re.sub(r"{(\w+)}", lambda name: f"{{{to_camel(name[1])}}}", path)


def _unanswered(_endpoint: Endpoint, _validated: Json) -> Never:
    raise AssertionError("the document is generated from the routes, none is called")


if __name__ == "__main__":
    sys.stdout.write(document_text())
