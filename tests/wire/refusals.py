"""The table of refusals: what docs/refusals.md shows, and what the tests run.

`python -m tests.wire.refusals > docs/refusals.md` writes the page.
"""

import gzip
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.world import ACCOUNT
from tests.wire.chat_client import HOST
from tests.wire.http_client import Client

PROMPT = "/prompt-svc/prompt"
LIST = "/prompt-svc/prompts"
KB = 1024

# Which code goes with a refusal: by its words, else by its status.
CODES_OF_WORDS = {
    "this call needs an admin key": "admin_needed",
    "no such path": "no_such_path",
    "no such prompt": "no_such_prompt",
    "no such thread": "no_such_thread",
    "no such session": "no_such_session",
    "no such llm_client": "no_such_llm_client",
    "unknown modelId": "unknown_model",
    "the cursor is not one of this list": "wrong_cursor",
    "the thread was deleted": "thread_deleted",
}
CODES = {
    400: "invalid",
    401: "unauthenticated",
    403: "forbidden",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    415: "unsupported_encoding",
    429: "too_many_open_turns",
    501: "not_served",
}


@dataclass(frozen=True)
class Refusal:
    """A call that is refused. `what` and `error` are shown; `given` is what happened before.

    With a `host` it is a call to an llm_client, among those of `chat_client`.
    """

    what: str
    status: int
    error: str
    method: str = "POST"
    path: str = PROMPT
    body: Any = None
    key: str = "user-key"
    headers: dict[str, str] = field(default_factory=dict)
    given: Callable[[Any], object] = lambda _: None
    host: str = ""

    @property
    def code(self) -> str:
        return CODES_OF_WORDS.get(self.error) or CODES[self.status]


def prompt(**fields: Any) -> dict[str, Any]:
    return {"prompt": "hello"} | fields


def query(**fields: Any) -> dict[str, Any]:
    return {"query": fields}


def filtered(field_: str, values: str, op: str = "equals") -> dict[str, Any]:
    return query(filters=[{"fields": [field_], "op": op, "jsonValues": values}])


def model(**fields: Any) -> dict[str, Any]:
    return {
        "models": [
            {"id": "m", "baseUrl": "https://api.example.com/v1", "providerModel": "m"} | fields
        ]
    }


def fill(client: Client) -> None:
    for number in range(100):
        client.add(f"p{number}", "full")


ID_RULE = "must match [A-Za-z0-9_.:-]{1,128}"
PATTERN = "must match pattern '^[A-Za-z0-9_.:-]{1,128}$'"
FILTERS = (
    "query.filters: only filters on one of id, threadId, status, modelId "
    "with equals or isInList are supported"
)
PUBLIC = "baseUrl must name a public host"

KEYS = [
    Refusal("no key", 401, "no key was sent", body=prompt(), key=""),
    Refusal("an unknown key", 401, "the key is unknown or revoked", body=prompt(), key="wrong"),
    Refusal(
        "a revoked key",
        401,
        "the key is unknown or revoked",
        body=prompt(),
        given=lambda c: c.call("DELETE", "/keys/key_user-key", key="admin-key"),
    ),
    Refusal(
        "a user's key where an admin's is needed",
        403,
        "this call needs an admin key",
        "PUT",
        "/models",
        model(),
    ),
    Refusal(
        "a key whose name is over 100 characters",
        400,
        "name is longer than 100 characters",
        path="/keys",
        body={"name": "x" * 101},
        key="admin-key",
    ),
    Refusal(
        "revoking the key of the call",
        400,
        "a key cannot revoke itself",
        "DELETE",
        "/keys/key_admin-key",
        key="admin-key",
    ),
]
BODIES = [
    Refusal("a path that does not exist", 404, "no such path", path="/prompt-svc/types"),
    Refusal(
        "a method that the path does not answer", 405, "this path answers OPTIONS, POST", "GET"
    ),
    Refusal("a body over 1 MB", 413, "the body is larger than 1024 KB", body="x" * (KB * KB + 1)),
    Refusal(
        "a compressed body over 1 MB",
        413,
        "the body is larger than 1024 KB",
        body=gzip.compress(b" " * (KB * KB + 1)),
        headers={"content-encoding": "gzip"},
    ),
    Refusal(
        "a body that says gzip and is not",
        400,
        "the body is not valid gzip",
        body=b"{}",
        headers={"content-encoding": "gzip"},
    ),
    Refusal(
        "a gzip body that is said to be JSON or text",
        400,
        "a gzip body needs another Content-Type than JSON or text, such as application/gzip",
        body="\x1f\ufffd",
        headers={"content-encoding": "gzip"},
    ),
    Refusal(
        "a body compressed otherwise",
        415,
        "a body may be plain or gzip",
        body=b"{}",
        headers={"content-encoding": "br"},
    ),
    Refusal("no body where one is needed", 400, "Invalid JSON"),
    Refusal("a body that is not JSON", 400, "Invalid JSON", body="{"),
    Refusal("a body that is not UTF-8", 400, "Invalid JSON", body=b'{"prompt": "\xff"}'),
    Refusal("half of a surrogate pair", 400, "Invalid JSON", body='{"prompt": "\\ud83c"}'),
    Refusal("NaN", 400, "Invalid JSON", body='{"prompt": "hello", "maxRetries": NaN}'),
    Refusal("a body nested too deeply", 400, "Invalid JSON", body="[" * 100_000),
    Refusal("a JSON array", 400, "the body must be a JSON object", body="[]"),
    Refusal("JSON null", 400, "the body must be a JSON object", body="null"),
]
PROMPTS = [
    Refusal("no prompt", 400, "prompt: must be given", body={"sync": True}),
    Refusal("a blank prompt", 400, "prompt must not be blank", body=prompt(prompt=" \n")),
    Refusal(
        "a prompt that is no text",
        400,
        "prompt: must be a valid string",
        body=prompt(prompt=1),
    ),
    Refusal(
        "a field of a wrong type",
        400,
        "sync: must be a valid boolean",
        body=prompt(sync="yes"),
    ),
    Refusal(
        "a nested field of a wrong type",
        400,
        "parameters.textToText.template: must be a valid string",
        body=prompt(parameters={"textToText": {"template": 1}}),
    ),
    Refusal("an unknown modelId", 400, "unknown modelId", body=prompt(modelId="none")),
    Refusal("an id outside the form", 400, f"id {ID_RULE}", body=prompt(id="a/b")),
    Refusal("an id over 128 characters", 400, f"id {ID_RULE}", body=prompt(id="a" * 129)),
    Refusal("a threadId outside the form", 400, f"threadId {ID_RULE}", body=prompt(threadId="ä")),
    Refusal(
        "maxRetries below 0", 400, "maxRetries must be from 0 to 20", body=prompt(maxRetries=-1)
    ),
    Refusal(
        "maxRetries over 20", 400, "maxRetries must be from 0 to 20", body=prompt(maxRetries=21)
    ),
    Refusal(
        "maxRetries that is no integer",
        400,
        "maxRetries: must be a valid integer",
        body=prompt(maxRetries="3"),
    ),
    Refusal(
        "a text over 300 KB",
        413,
        "prompt is larger than 300 KB",
        body=prompt(prompt="x" * (300 * KB + 1)),
    ),
    Refusal(
        "a template over 300 KB",
        413,
        "template is larger than 300 KB",
        body=prompt(template="ä" * (150 * KB + 1)),
    ),
    Refusal(
        "a text and a template over 350 KB together",
        413,
        "prompt and template are together larger than 350 KB",
        body=prompt(prompt="x" * (200 * KB), template="x" * (150 * KB + 1)),
    ),
    Refusal(
        "a template that is over 1 MB with the prompt in its places",
        413,
        "template with prompt in its places is larger than 1024 KB",
        body=prompt(prompt="x" * (64 * KB), template="{prompt}" * 17),
    ),
    Refusal(
        "the same id with other content",
        409,
        "the id is taken by another prompt",
        body=prompt(id="p", threadId="t"),
        given=lambda c: c.add("p"),
    ),
    Refusal(
        "the id of another user's prompt",
        409,
        "the id is taken by another prompt",
        body=prompt(id="p", threadId="mine"),
        given=lambda c: c.add("p", key="other-user-key"),
    ),
    Refusal(
        "a thread with 100 unfinished prompts",
        429,
        "the thread has 100 unfinished prompts",
        body=prompt(threadId="full"),
        given=fill,
    ),
    Refusal(
        "another user's thread",
        404,
        "no such thread",
        body=prompt(threadId="t"),
        given=lambda c: c.add("p", key="other-user-key"),
    ),
    Refusal(
        "a deleted thread",
        409,
        "the thread was deleted",
        body=prompt(threadId="t"),
        given=lambda c: (c.add("p"), c.call("DELETE", "/chat-svc/thread/t")),
    ),
    Refusal("a prompt that is not there", 404, "no such prompt", "GET", f"{PROMPT}/none"),
    Refusal(
        "another account's prompt",
        404,
        "no such prompt",
        "GET",
        f"{PROMPT}/p",
        given=lambda c: c.add("p", key="stranger-key"),
    ),
    Refusal(
        "an id in the path outside the form", 400, f"promptId: {PATTERN}", "GET", f"{PROMPT}/a%20b"
    ),
    Refusal(
        "wait that is no number",
        400,
        "wait: must be a valid number",
        "GET",
        f"{PROMPT}/p?wait=long",
    ),
    Refusal(
        "wait below 0",
        400,
        "wait: must be greater than or equal to 0",
        "GET",
        f"{PROMPT}/p?wait=-1",
    ),
    Refusal(
        "retrying what is not abandoned or canceled",
        409,
        "a completed prompt cannot be retried",
        path=f"{PROMPT}/p/retry",
        given=lambda c: (c.add("p"), c.drain()),
    ),
    Refusal(
        "removing what is not there",
        404,
        "no such prompt",
        path="/prompt-svc/remove",
        body={"promptId": "none"},
    ),
    Refusal(
        "removing without promptId",
        400,
        "promptId: must be given",
        path="/prompt-svc/remove",
        body={},
    ),
    Refusal(
        "a Last-Event-ID of something else",
        400,
        "Last-Event-ID must be an id that this stream sent",
        "GET",
        f"{LIST}/t/responses/subscribe",
        headers={"last-event-id": "x"},
        given=lambda c: c.add("p"),
    ),
]
QUERIES = [
    Refusal("a filter on another field", 400, FILTERS, path=LIST, body=filtered("prompt", '["a"]')),
    Refusal(
        "another operator", 400, FILTERS, path=LIST, body=filtered("id", '["a"]', "startsWith")
    ),
    Refusal(
        "a filter on several fields",
        400,
        FILTERS,
        path=LIST,
        body=query(filters=[{"fields": ["id", "status"], "op": "equals", "jsonValues": '["a"]'}]),
    ),
    Refusal(
        "values that are no JSON array of strings",
        400,
        "query: jsonValues must be a JSON array of strings, as a string",
        path=LIST,
        body=filtered("id", "a"),
    ),
    Refusal(
        "equals with several values",
        400,
        "query.filters: equals takes one value in jsonValues",
        path=LIST,
        body=filtered("id", '["a", "b"]'),
    ),
    Refusal(
        "over 100 values",
        400,
        "query.filters: jsonValues takes at most 100 values",
        path=LIST,
        body=filtered("id", json.dumps([str(n) for n in range(101)]), "isInList"),
    ),
    Refusal(
        "several threads",
        400,
        "query.filters: threadId takes one value",
        path=LIST,
        body=filtered("threadId", '["a", "b"]', "isInList"),
    ),
    Refusal(
        "a status that there is not",
        400,
        "query.filters: status is one of scheduled, "
        "running, errored, completed, abandoned, canceled",
        path=LIST,
        body=filtered("status", '["done"]'),
    ),
    Refusal(
        "another order",
        400,
        "query.orderBys: only createdAt, ascending or descending, is supported",
        path=LIST,
        body=query(orderBys=[{"field": "status"}]),
    ),
    Refusal(
        "a limit over 100",
        400,
        "query.limit: must be less than or equal to 100",
        path=LIST,
        body=query(limit=101),
    ),
    Refusal(
        "a cursor of several values",
        400,
        "query: jsonAfter holds the one `after` of the page before",
        path=LIST,
        body=query(jsonAfter='["x", "y"]'),
    ),
    Refusal(
        "a cursor of something else",
        400,
        "the cursor is not one of this list",
        path=LIST,
        body=query(jsonAfter='["x"]'),
    ),
]
CHAT = [
    Refusal("a thread without `thread`", 400, "missing thread", path="/chat-svc/thread", body={}),
    Refusal(
        "a thread whose id is taken",
        409,
        "a thread with this id exists",
        path="/chat-svc/thread",
        body={"thread": {"id": "t"}},
        given=lambda c: c.add("p"),
    ),
    Refusal(
        "a title over 1000 characters",
        400,
        "title is longer than 1000 characters",
        path="/chat-svc/thread",
        body={"thread": {"title": "x" * 1001}},
    ),
    Refusal(
        "a thread of over 49 users, the caller among them",
        400,
        "userIds can hold 49 ids at most",
        path="/chat-svc/thread",
        body={"thread": {"userIds": [f"u{n}" for n in range(49)]}},
    ),
    Refusal(
        "changing a thread to over 49 users",
        400,
        "userIds can hold 49 ids at most",
        "PUT",
        "/chat-svc/thread/t",
        {"thread": {"userIds": [f"u{n}" for n in range(50)]}},
        given=lambda c: c.add("p"),
    ),
    Refusal(
        "over 50 topics",
        400,
        "topicIds can hold 50 ids at most",
        path="/chat-svc/thread",
        body={"thread": {"topicIds": [f"t{n}" for n in range(51)]}},
    ),
    Refusal(
        "messages of a thread that is not there",
        404,
        "no such thread",
        path="/chat-svc/thread/none/messages",
    ),
    Refusal(
        "a message without `message`",
        400,
        "missing message",
        path="/chat-svc/thread/t/message",
        body={},
        given=lambda c: c.add("p"),
    ),
    Refusal(
        "a blank message",
        400,
        "content must not be blank",
        path="/chat-svc/thread/t/message",
        body={"message": {"content": ""}},
        given=lambda c: c.add("p"),
    ),
    Refusal(
        "over 100 assets",
        400,
        "assetIds can hold 100 ids at most",
        path="/chat-svc/thread/t/message",
        body={"message": {"content": "x", "assetIds": [f"a{n}" for n in range(101)]}},
        given=lambda c: c.add("p"),
    ),
    Refusal(
        "an asset's id outside the form",
        400,
        f"assetIds {ID_RULE}",
        path="/chat-svc/thread/t/message",
        body={"message": {"content": "x", "assetIds": ["a b"]}},
        given=lambda c: c.add("p"),
    ),
    Refusal(
        "deleting the question of an unfinished prompt",
        409,
        "the prompt of this message is unfinished: cancel it first",
        "DELETE",
        "/chat-svc/message/p",
        given=lambda c: c.add("p"),
    ),
    Refusal(
        "a limit that is no number",
        400,
        "limit: must be a valid integer",
        path="/chat-svc/threads?limit=all",
    ),
]
MODELS = [
    Refusal(
        "over 100 models",
        400,
        "models: must have at most 100 items, not 101",
        body={"models": model()["models"] * 101},
    ),
    Refusal(
        "a provider without TLS",
        400,
        "baseUrl must begin with https://",
        body=model(baseUrl="http://api.example.com"),
    ),
    Refusal(
        "a provider at a private address", 400, PUBLIC, body=model(baseUrl="https://10.0.0.1/v1")
    ),
    Refusal(
        "a provider at the metadata address",
        400,
        PUBLIC,
        body=model(baseUrl="https://169.254.169.254/v1"),
    ),
    Refusal("a provider at a local name", 400, PUBLIC, body=model(baseUrl="https://localhost/v1")),
    Refusal(
        "a provider whose host is not plain ASCII",
        400,
        "baseUrl must name its host in plain ASCII, an international name in its xn-- form",
        body=model(baseUrl="https://127\u30020.0.1/v1"),
    ),
    Refusal(
        "a provider with credentials in its URL",
        400,
        "baseUrl must not carry credentials, a query or a fragment",
        body=model(baseUrl="https://user:pass@api.example.com/v1"),
    ),
    Refusal(
        "a model twice",
        400,
        "models: ids must be unique",
        body={"models": model()["models"] * 2},
    ),
    Refusal(
        "a model's template over 8 KB",
        413,
        "models: a template is larger than 8 KB",
        body=model(template="ä" * (4 * KB + 1)),
    ),
    Refusal(
        "models over 300 KB together",
        413,
        "models are together larger than 300 KB",
        body={
            "models": [model(id=f"m{n}", template="x" * (8 * KB))["models"][0] for n in range(40)]
        },
    ),
]
MODELS = [
    Refusal(row.what, row.status, row.error, "PUT", "/models", row.body, "admin-key")
    for row in MODELS
]

WRONG = "ab" * 32
MALFORMED = "session_key must be 64 hexadecimal digits"
NO_CLIENT = "no such llm_client"
NEEDS_KEY = "this llm_client needs an API key"
SANDBOX = "/api/v1/llm-clients/1"
SAID = {"messages": [{"role": "user", "content": "hello"}]}
CLOSED = f"closed.{ACCOUNT}.api.example.com"
DRAFT = f"draft.{ACCOUNT}.api.example.com"
API = "api.example.com"


def said(**fields: Any) -> dict[str, Any]:
    return SAID | fields


def of_host(
    what: str,
    status: int,
    error: str,
    path: str = "/chat/",
    body: Any = None,
    *,
    host: str = HOST,
    key: str = "",
    **more: Any,
) -> Refusal:
    """A call to an llm_client that is refused."""
    method = more.pop("method", "POST")
    return Refusal(what, status, error, method, path, body, key, host=host, **more)


ENTRANCE = [
    of_host("an llm_client that does not exist", 404, NO_CLIENT, host=f"x.{ACCOUNT}.api.e.com"),
    of_host("the host of one that is not deployed", 404, NO_CLIENT, body=SAID, host=DRAFT),
    of_host("a host that is nobody's", 404, NO_CLIENT, body=SAID, host="chat.shop.example"),
    of_host("another path of its host", 404, "no such path", "/prompt-svc/prompt"),
    of_host(
        "a wrong key where one is attached",
        401,
        "the key is unknown or revoked",
        host=CLOSED,
        key="wrong",
    ),
    of_host("no key where one is attached", 403, NEEDS_KEY, body=SAID, host=CLOSED),
    of_host("another account's key there", 403, NEEDS_KEY, host=CLOSED, key="stranger-key"),
    of_host(
        "the key of another llm_client there",
        403,
        "this key is for another llm_client",
        host=CLOSED,
        key="other-client-key",
    ),
    of_host(
        "no key in the sandbox", 401, "the sandbox needs an API key", f"{SANDBOX}/chat/", host=API
    ),
    of_host(
        "a number of another account",
        404,
        NO_CLIENT,
        "/api/v1/llm-clients/2/chat/",
        host=API,
        key="stranger-key",
    ),
    of_host(
        "a client's key on any other call",
        403,
        "this key is for chatting with its llm_client only",
        "/status",
        method="GET",
        host=API,
        key="client-key",
    ),
    of_host(
        "a method that the path does not answer",
        405,
        "this path answers GET, HEAD, OPTIONS, POST",
        method="PUT",
    ),
]
SESSIONS = [
    of_host("a malformed session_key", 400, MALFORMED, "/config/", {"session_key": "x"}),
    of_host("one in the query", 400, MALFORMED, "/config/?session_key=x"),
    of_host("one in the cookie", 400, MALFORMED, "/config/", headers={"cookie": "session_key=x"}),
    of_host(
        "one in the cookie only, sent for a page of another site",
        403,
        "a page of another site cannot use this site's session cookie: "
        "its origin is not in the llm_client's allowedOrigins",
        body=SAID,
        headers={"cookie": f"session_key={WRONG}", "origin": "https://evil.example"},
    ),
    of_host(
        "chat with a session_key that nobody was given",
        404,
        "no such session",
        body=said(session_key=WRONG),
    ),
    of_host("reading a session without its key", 400, "session_key is needed", method="GET"),
    of_host(
        "reading one that does not exist",
        404,
        "no such session",
        f"/chat/?session_key={WRONG}",
        method="GET",
    ),
    of_host(
        "a session_key that is no text",
        400,
        "session_key: must be a valid string",
        "/config/",
        {"session_key": 1},
    ),
]
SAYING = [
    of_host("no body", 400, "Invalid JSON"),
    of_host("no message of a user", 400, 'messages: one with the role "user" is needed', body={}),
    of_host(
        "a user's message that is no text",
        400,
        "messages: the last user's content must be a text that is not blank",
        body={"messages": [{"role": "user", "content": ["hello"]}]},
    ),
    of_host(
        "a blank one",
        400,
        "messages: the last user's content must be a text that is not blank",
        body={"messages": [{"role": "user", "content": " "}]},
    ),
    of_host(
        "a message without a role",
        400,
        "messages.0.role: must be given",
        body={"messages": [{"content": "hello"}]},
    ),
    of_host("wait over 25", 400, "wait: must be less than or equal to 25", body=said(wait=26)),
    of_host("another format", 400, "format: must be 'plain'", body=said(format="markdown")),
    of_host(
        "replaces that is no turn",
        400,
        "replaces: must be greater than or equal to 1",
        body=said(replaces=0),
    ),
    of_host("no prompt_id to stop", 400, "prompt_id: must be given", "/chat/cancel/", {}),
    of_host(
        "a limit of turns over 50",
        400,
        "limit: must be less than or equal to 50",
        "/chat/?limit=51",
        method="GET",
    ),
]
CLI_CHAT = "/api/v1/cli/chat/stackademy/"
COMMAND_LINE = [
    of_host(
        "chat from a command line without uid",
        400,
        "uid must have 1 to 200 characters",
        CLI_CHAT,
        SAID,
        host=API,
        key="user-key",
    ),
    of_host(
        "new_session that is neither true nor false",
        400,
        "new_session: must be 'true' or 'false'",
        f"{CLI_CHAT}?uid=x&new_session=yes",
        SAID,
        host=API,
        key="user-key",
    ),
    Refusal(
        "manifests that are not UTF-8",
        400,
        "the body is not valid UTF-8",
        path="/api/v1/cli/apply",
        body=b"kind: \xff",
        key="admin-key",
    ),
    Refusal(
        "a query parameter that apply does not have",
        400,
        "apply has one query parameter, dry_run, also spelt dryRun or dry-run",
        path="/api/v1/cli/apply?dryrun=true",
        body={},
        key="admin-key",
    ),
    Refusal(
        "deleting the model of what names none",
        409,
        "Model model answers whatever names no model: make another the default first (apply it "
        "with default: true)",
        path="/api/v1/cli/delete/model?name=model",
        body={},
        key="admin-key",
    ),
    Refusal(
        "logs, which this API does not serve",
        501,
        "the logs of LLMClient manifests are not served by this API: whoever operates the stack "
        "reads them in its CloudWatch log groups",
        path="/api/v1/cli/logs/LLMClient",
        body={},
    ),
]
OF_ADMINS = [
    Refusal("a user's key", 403, "this call needs an admin key", "GET", "/api/v1/sessions"),
    Refusal(
        "those of an llm_client that neither is there nor has any",
        404,
        NO_CLIENT,
        "GET",
        "/api/v1/sessions?llm_client=stackadmy",
        key="admin-key",
    ),
    Refusal(
        "a session that does not exist",
        404,
        "no such session",
        "DELETE",
        f"/api/v1/sessions/ses_{'0' * 40}",
        key="admin-key",
    ),
    Refusal(
        "an id that is no session's",
        404,
        "no such session",
        "GET",
        "/api/v1/sessions/t",
        key="admin-key",
    ),
    Refusal(
        "a purge without an age",
        400,
        "older_than_days: must be given",
        path="/api/v1/sessions/purge",
        body={},
        key="admin-key",
    ),
    Refusal(
        "a purge of a negative age",
        400,
        "older_than_days: must be greater than or equal to 0",
        path="/api/v1/sessions/purge",
        body={"older_than_days": -1},
        key="admin-key",
    ),
]

TABLE = {
    "Keys": KEYS,
    "Requests": BODIES,
    "Prompts": PROMPTS,
    "The list's query": QUERIES,
    "Threads and messages": CHAT,
    "Models": MODELS,
    "Entering an llm_client": ENTRANCE,
    "Session keys": SESSIONS,
    "Chat": [*SAYING, *COMMAND_LINE],
    "Sessions of an account": OF_ADMINS,
}

HEAD = """# Refusals

What the HTTP API refuses. Every refusal is `{"error": text, "code": word}` with CORS headers, and
nothing is stored. Besides, any call may be answered 503 (`busy`, `unavailable`) with `Retry-After`
when the table or a queue is, and 500 (`internal_error`) for a fault of Parley's own.

Of a chat, what a person should read (a limit that was met, a conversation that is too large, a turn
that failed, a service that is busy) is no refusal: it is a message in an answer with status 200;
see [chat](chat.md). Half of a surrogate pair is replaced there. Whether a page may read the
refusals of an llm_client depends on its origin, as for every answer.

The tests run from the same table, which is in `tests/wire/refusals.py`
(`python -m tests.wire.refusals > docs/refusals.md`).
"""


def page() -> str:
    """The page of the table."""
    lines = [HEAD]
    for title, rows in TABLE.items():
        lines += [f"## {title}\n", "| refused | status | code | error | example |"]
        lines.append("|---|---|---|---|---|")
        for row in rows:
            call = f"{row.method} {row.path.partition('?')[0]}"
            told = f"{row.status} | `{row.code}` | {_cell(row.error)}"
            lines.append(f"| {row.what} | {told} | `{call}` |")
        lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    sys.stdout.write(page())
