"""The llm_clients of an account as resources of the sandbox, and the token of its page."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Query as QueryParam
from typing_extensions import TypedDict

from parley.core.address import CLIENTS, ClientRef, named_host, named_url, sandbox_url, scheme_of
from parley.core.errors import Invalid, NotFound
from parley.core.functions import FUNCTIONS
from parley.core.llm_client import LlmClient, number_of
from parley.core.manifest import API_VERSION, ManifestKind
from parley.core.plugin import tool_of
from parley.wire.fields import PathId
from parley.wire.http_calls import Call, Endpoint
from parley.wire.shapes import stamp
from parley.wire.smarter.hosts import dns_status
from parley.wire.smarter.shapes import attached_id

Json = dict[str, Any]
LIMIT_CAP = 100
DEFAULT_LIMIT = 50

Limit = Annotated[
    int | None, QueryParam(ge=1, le=LIMIT_CAP, description=f"By default {DEFAULT_LIMIT}.")
]
After = Annotated[str | None, QueryParam(description="The `after` of the page before.")]


class Told(TypedDict):
    """What was done, with what."""

    command: str
    thing: str


class Answer(TypedDict):
    """`data`, and around it what it is about."""

    data: Json
    message: str
    api: str
    thing: str
    metadata: Told


class Token(TypedDict):
    """A key that ends by itself. It may only chat, with one llm_client."""

    token: str
    expires_at: Annotated[int, "ms since the epoch"]


def answer(command: str, thing: str, data: Json, message: str = "") -> Answer:
    """The envelope of the calls on manifests and their resources."""
    metadata = Told(command=command, thing=thing)
    return Answer(data=data, message=message, api=API_VERSION, thing=thing, metadata=metadata)


async def list_llm_clients(call: Call, limit: Limit = None, after: After = None) -> Answer:
    """The llm_clients of the account, by name."""
    page = await call.api.chats.clients.page(
        call.principal.account, limit or DEFAULT_LIMIT, after or ""
    )
    data = {"llm_clients": [_listed(call, one) for one in page.items], "after": page.after}
    return _answer(data)


async def get_llm_client(call: Call, client_id: PathId) -> Answer:
    """An llm_client by its id, hashed id or name, with its addresses. Never its system message."""
    client = await _client(call, client_id)
    return _answer({"llm_client": {**_listed(call, client), "status": status_of(call, client)}})


async def list_llm_client_plugins(call: Call, client_id: PathId) -> Answer:
    """The plugins that are attached, in their order."""
    client = await _client(call, client_id)
    items = [
        {
            "id": attached_id(client.plugins, plugin.name),
            "name": plugin.name,
            "description": plugin.description,
            "plugin_class": "static",
            "directive": plugin.directive,
            "function": tool_of(plugin).name,
        }
        for plugin in await call.api.chats.clients.plugins(client)
    ]
    return _answer({"plugins": items})


async def list_llm_client_functions(call: Call, client_id: PathId) -> Answer:
    """The built-in functions that the model may call, as the model is told of them."""
    client = await _client(call, client_id)
    items = [
        {
            "id": attached_id(client.functions, name),
            "name": name,
            "description": FUNCTIONS[name].description,
            "parameters": FUNCTIONS[name].parameters,
        }
        for name in client.functions
        if name in FUNCTIONS
    ]
    return _answer({"functions": items})


async def list_llm_client_keys(call: Call, client_id: PathId) -> Answer:
    """The key that callers need, if one is attached, and the keys for it alone. Admins only."""
    client = await _client(call, client_id)
    keys = await call.api.keys.list(call.principal)
    items = [
        {
            "id": key.id,
            "name": key.name,
            "role": key.role.value,
            "active": not key.revoked_at,
            "attached": bool(client.api_key) and key.name == client.api_key,
            "created_at": stamp(key.created_at),
        }
        for key in keys
        if client.meant_by(key.client, key.client_number)
        or (client.api_key and key.name == client.api_key)
    ]
    return _answer({"apikeys": items, "is_authentication_required": bool(client.api_key)})


async def list_llm_client_domains(call: Call, client_id: PathId) -> Answer:
    """The custom domain, if it has one, and whether it is verified."""
    client = await _client(call, client_id)
    items = []
    if client.custom_domain:
        items = [
            {
                "id": 1,
                "domain_name": client.custom_domain,
                "host": client.host or None,
                "is_verified": bool(client.host),
            }
        ]
    return _answer({"customdomains": items})


async def get_llm_client_plugin(call: Call, client_id: PathId, plugin_id: PathId) -> Answer:
    """One of the plugins that are attached, by its id or name."""
    return _one("plugin", plugin_id, await list_llm_client_plugins(call, client_id))


async def get_llm_client_function(call: Call, client_id: PathId, function_id: PathId) -> Answer:
    """One of the functions that the model may call, by its id or name."""
    return _one("function", function_id, await list_llm_client_functions(call, client_id))


async def get_llm_client_key(call: Call, client_id: PathId, key_id: PathId) -> Answer:
    """One of the keys, by its id or name. Admins only."""
    return _one("apikey", key_id, await list_llm_client_keys(call, client_id))


async def get_llm_client_domain(call: Call, client_id: PathId, domain_id: PathId) -> Answer:
    """The custom domain, by its id, which is 1, or by its name."""
    return _one("customdomain", domain_id, await list_llm_client_domains(call, client_id))


async def create_llm_client_token(call: Call, client_id: PathId) -> Token:
    """A key for the page: it may only chat with this llm_client, and ends after an hour."""
    client = await _client(call, client_id)
    token, expires_at = await call.api.keys.token(call.principal, client.name, client.number)
    return Token(token=token, expires_at=expires_at * 1000)


async def _client(call: Call, client_id: str) -> LlmClient:
    """By its id, or else by its name; raises NotFound."""
    account, number = call.principal.account, number_of(client_id)
    ref = ClientRef(account, number=number) if number else ClientRef(account, client_id.lower())
    return await call.api.chats.clients.find(ref)


def _one(thing: str, id_: str, listed: Answer) -> Answer:
    """What a list has under an id or else under a name; raises NotFound."""
    items: list[Json] = listed["data"][f"{thing}s"]
    for name in ("id", "name", "domain_name"):
        for item in items:
            if str(item.get(name, "")).lower() == id_.lower():
                return _answer({thing: item})
    raise NotFound(f"the llm_client has no such {thing}")


def _answer(data: Json) -> Answer:
    return answer("get", ManifestKind.LLM_CLIENT.value, data)


def _listed(call: Call, client: LlmClient) -> Json:
    return {
        "id": client.number,
        "hashed_id": client.hashed_id,
        "account": client.account,
        "name": client.name,
        "description": client.description,
        "version": client.version,
        "tags": list(client.tags),
        "deployed": client.deployed,
        "provider": client.provider,
        "default_model": client.model,
        "app_name": client.look.app_name or client.name,
        "app_logo_url": client.look.app_logo_url or None,
        "url": status_of(call, client)["url"],
        "url_chatbot": sandbox_url(client.number, call.request.origin),
        "created_at": stamp(client.created_at),
        "updated_at": stamp(client.updated_at),
    }


def status_of(call: Call, client: LlmClient) -> Json:
    """What describe tells of an llm_client besides its manifest; null for what it has not."""
    origin, chats = call.request.origin, call.api.chats
    default_host = named_host(client, chats.domain, chats.environment)
    default_url = named_url(client, chats.domain, chats.environment)
    custom_url = f"{scheme_of(client.host)}://{client.host}/" if client.host else ""
    sandbox = f"{origin}{CLIENTS}/{client.hashed_id}/"
    chat = sandbox_url(client.number, origin)
    named = (custom_url or default_url) if client.deployed else ""
    hostname = (client.host or default_host) if named else call.request.told_host
    return {
        "accountNumber": client.account,
        "username": call.principal.user_id,
        "deployed": client.deployed,
        "defaultHost": default_host or None,
        "defaultUrl": default_url or None,
        "customUrl": custom_url or None,
        "sandboxHost": call.request.told_host,
        "sandboxUrl": sandbox,
        "hostname": hostname,
        "url": named or sandbox,
        "urlLLMClient": chat,
        "urlChatapp": named or f"{origin}/workbench/llm-clients/{client.hashed_id}/prompt/",
        "urlChatConfig": f"{chat}config/",
        "dnsVerificationStatus": dns_status(call.api.chats, client),
    }


TAG = "llm_clients"
ONE = f"{CLIENTS}/<client_id>"
REFUSES = (Invalid, NotFound)


def _of_one(
    path: str, handler: Callable[..., Coroutine[Any, Any, Answer]], summary: str
) -> Endpoint:
    return Endpoint("GET", f"{ONE}{path}", handler, TAG, summary, REFUSES)


ENDPOINTS = (
    Endpoint("GET", CLIENTS, list_llm_clients, TAG, "List llm_clients", (Invalid,)),
    _of_one("", get_llm_client, "Get an llm_client"),
    _of_one("/plugins", list_llm_client_plugins, "List its plugins"),
    _of_one("/plugins/<plugin_id>", get_llm_client_plugin, "Get one of its plugins"),
    _of_one("/functions", list_llm_client_functions, "List its functions"),
    _of_one("/functions/<function_id>", get_llm_client_function, "Get one of its functions"),
    _of_one("/apikeys", list_llm_client_keys, "List its keys"),
    _of_one("/apikeys/<key_id>", get_llm_client_key, "Get one of its keys"),
    _of_one("/customdomains", list_llm_client_domains, "List its domains"),
    _of_one("/customdomains/<domain_id>", get_llm_client_domain, "Get its domain"),
    Endpoint("POST", f"{ONE}/token", create_llm_client_token, TAG, "Make a page's token", REFUSES),
)
