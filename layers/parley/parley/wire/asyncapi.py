"""`docs/asyncapi.json`, generated: `python -m parley.wire.asyncapi > docs/asyncapi.json`."""

import json
import sys
from typing import Any

from pydantic.json_schema import models_json_schema

from parley.wire.frames import CLIENT_FRAMES, SERVER_FRAMES

FRAMES = CLIENT_FRAMES | SERVER_FRAMES
ANSWERED_BY = {"subscribe": "subscribed", "cancel": "prompt", "ping": "pong"}
SESSION = ["session_key", "account", "llm_client"]
QUERY = {
    "token": "API key. With a session only if its llm_client needs one.",
    "session_key": "Key of a chat session: the connection may follow its thread and no other.",
    "account": "The session's account.",
    "llm_client": "Name of the session's llm_client.",
}
CHANNEL = {"$ref": "#/channels/socket"}
INFO = {
    "title": "Parley: following threads",
    "version": "1.0.0",
    "description": (
        "JSON frames over a WebSocket. The handshake answers 400 for a malformed session key, "
        "401 for a wrong key, 403 for one that may not follow this, 404 for a session or an "
        "llm_client that is not there, 429 when the account has too many connections. "
        "Receivers ignore fields and types they do not know."
    ),
    "license": {"name": "MIT"},
}
KEY = {"$ref": "#/components/securitySchemes/key"}
SERVERS = {
    "local": {"host": "localhost:9357", "pathname": "/ws", "protocol": "ws", "security": [KEY]},
    "aws": {
        "host": "{api}.execute-api.{region}.amazonaws.com",
        "pathname": "/live",
        "protocol": "wss",
        "variables": {
            "api": {"description": "Output SocketApiId of the stack."},
            "region": {"description": "Region of the stack."},
        },
        "security": [KEY],
    },
}


def document() -> dict[str, Any]:
    """The AsyncAPI 3 description of the WebSocket, from the server's point of view."""
    return {
        "asyncapi": "3.0.0",
        "info": INFO,
        "defaultContentType": "application/json",
        "servers": SERVERS,
        "channels": {"socket": _channel()},
        "operations": _operations(),
        "components": _components(),
    }


def _channel() -> dict[str, Any]:
    query = {
        "type": "object",
        "properties": {
            name: {"type": "string", "description": text} for name, text in QUERY.items()
        },
        "anyOf": [{"required": ["token"]}, {"required": SESSION}],
    }
    return {
        "address": "/",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in FRAMES},
        "bindings": {"ws": {"method": "GET", "query": query}},
    }


def _components() -> dict[str, Any]:
    _, definitions = models_json_schema(
        [(model, "validation") for model in FRAMES.values()],
        by_alias=True,
        ref_template="#/components/schemas/{model}",
    )
    messages = {
        name: {
            "name": name,
            "title": model.__name__,
            "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
        }
        for name, model in FRAMES.items()
    }
    return {
        "messages": messages,
        "schemas": definitions["$defs"],
        "securitySchemes": {"key": {"type": "httpApiKey", "in": "query", "name": "token"}},
    }


def _operations() -> dict[str, Any]:
    received = {
        name: {"action": "receive", "channel": CHANNEL, "messages": [_message(name)]}
        | ({"reply": _reply(ANSWERED_BY[name])} if name in ANSWERED_BY else {})
        for name in CLIENT_FRAMES
    }
    sent = {
        "tell": {
            "action": "send",
            "channel": CHANNEL,
            "messages": [_message(name) for name in SERVER_FRAMES],
        }
    }
    return received | sent


def _reply(name: str) -> dict[str, Any]:
    return {"channel": CHANNEL, "messages": [_message(name), _message("error")]}


def _message(name: str) -> dict[str, str]:
    return {"$ref": f"#/channels/socket/messages/{name}"}


def text() -> str:
    """The file as it is committed."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
