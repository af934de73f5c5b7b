"""The config object: all that a chat page needs to begin, in one call.

Strings are never changed, and nothing is in it that the public may not see: no system
message, no key, nobody's address, no internal URL.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Query
from typing_extensions import TypedDict

from parley.core.errors import Invalid, NotFound
from parley.core.events import prompt_state
from parley.core.llm_client import LlmClient
from parley.core.session import Session
from parley.wire.http_calls import ChatCall, Endpoint
from parley.wire.shapes import stamp
from parley.wire.smarter.history import (
    Account,
    HistoryShape,
    Profile,
    chat_url,
    history_of,
    profile_of,
)
from parley.wire.smarter.hosts import dns_status, tls_status
from parley.wire.smarter.meta_data import meta_data_of
from parley.wire.smarter.naming import Naming, read_naming
from parley.wire.smarter.session_keys import session_key_of
from parley.wire.smarter.shapes import (
    API,
    Metadata,
    SnakeBody,
    Websocket,
    attached_id,
)

SessionKeyQuery = Annotated[
    str, Query(description="64 hex digits; else it is looked for in the body, then in the cookie.")
]

Json = dict[str, Any]


class ConfigBody(SnakeBody):
    """Which session to go on with; a new one without it."""

    session_key: str | None = None


class Chatbot(TypedDict):
    """The llm_client."""

    id: int
    hashed_id: str
    url_chatbot: str
    name: str
    description: str
    version: str
    deployed: bool
    provider: str
    default_model: str
    default_temperature: float | None
    default_max_tokens: int
    default_system_role: str
    app_name: str
    app_assistant: str
    app_welcome_message: str
    app_example_prompts: list[str]
    app_placeholder: str
    app_info_url: str | None
    app_background_image_url: str | None
    app_logo_url: str | None
    app_file_attachment: bool
    created_at: str
    updated_at: str
    annotations: list[Json]
    tags: list[str]
    dns_verification_status: str
    tls_certificate_issuance_status: str
    subdomain: str | None
    custom_domain: str | None
    user_profile: Profile
    account: Account


class LimitsShape(TypedDict):
    """What the page should know before it sends."""

    input_characters: int
    open_turn: str


class ConfigData(TypedDict):
    """What the page begins with."""

    session_key: str
    session_new: bool
    sandbox_mode: bool
    debug_mode: bool
    chatbot: Chatbot
    history: HistoryShape
    prompts: list[Json]
    websocket: Websocket
    limits: LimitsShape
    meta_data: Json
    plugins: Json
    functions: Json


class ConfigAnswer(TypedDict):
    """The config object in its envelope."""

    data: ConfigData
    api: str
    thing: str
    metadata: Metadata


async def get_config(call: ChatCall, session_key: SessionKeyQuery = "") -> ConfigAnswer:
    """The config object. A key that is missing or not known makes a new session."""
    return await _answered(call, session_key, None)


async def open_config(
    call: ChatCall, body: ConfigBody | None = None, session_key: SessionKeyQuery = ""
) -> ConfigAnswer:
    """The config object. A key that is missing or not known makes a new session."""
    return await _answered(call, session_key, body)


async def _answered(call: ChatCall, query: str, body: ConfigBody | None) -> ConfigAnswer:
    key = session_key_of(call, query, body.session_key if body else None)
    session = await call.api.chats.sessions.open(call.client, key, messages=True)
    return await config_of(call, session)


async def config_of(call: ChatCall, session: Session) -> ConfigAnswer:
    """The config object of a session."""
    client = call.client
    history = await call.api.chats.sessions.history(session)
    chatbot = _chatbot(call, await read_naming(call, history))
    data = ConfigData(
        session_key=session.key,
        session_new=session.new,
        sandbox_mode=call.address.sandbox,
        debug_mode=False,
        chatbot=chatbot,
        history=history_of(call, session, history),
        prompts=[prompt_state(prompt) for prompt in history.prompts],
        websocket=websocket_of(call, session),
        limits=LimitsShape(
            input_characters=client.limits.input_characters, open_turn=client.limits.open_turn
        ),
        meta_data=meta_data_of(call, session, chatbot),
        plugins=_attached("plugin", [_plugin(client, one) for one in client.plugins]),
        functions=_attached(
            "function", [_row(client, client.functions, one) for one in client.functions]
        ),
    )
    thing = "ChatConfig"
    metadata = Metadata(command="chat_config", thing=thing)
    return ConfigAnswer(data=data, api=API, thing=thing, metadata=metadata)


def websocket_of(call: ChatCall, session: Session) -> Websocket:
    return Websocket(
        url=call.api.chats.socket_url,
        account=call.client.account,
        llm_client=call.client.name,
        thread_id=session.thread.id,
    )


def _chatbot(call: ChatCall, naming: Naming) -> Chatbot:
    client, look = call.client, call.client.look
    profile = profile_of(client)
    return Chatbot(
        id=client.number,
        hashed_id=client.hashed_id,
        url_chatbot=chat_url(call),
        name=client.name,
        description=client.description,
        version=client.version,
        deployed=client.deployed,
        provider=naming.provider,
        default_model=naming.model,
        default_temperature=client.temperature,
        default_max_tokens=client.max_tokens,
        default_system_role="",
        app_name=look.app_name or client.name,
        app_assistant=look.app_assistant,
        app_welcome_message=look.app_welcome_message,
        app_example_prompts=list(look.app_example_prompts),
        app_placeholder=look.app_placeholder,
        app_info_url=look.app_info_url or None,
        app_background_image_url=look.app_background_image_url or None,
        app_logo_url=look.app_logo_url or None,
        app_file_attachment=look.app_file_attachment,
        created_at=stamp(client.created_at),
        updated_at=stamp(client.updated_at),
        annotations=list(client.annotations),
        tags=list(client.tags),
        dns_verification_status=dns_status(call.api.chats, client),
        tls_certificate_issuance_status=tls_status(call.api.chats, client),
        subdomain=client.dns_name,
        custom_domain=client.custom_domain or None,
        user_profile=profile,
        account=profile["account"],
    )


def _attached(kind: str, rows: list[Json]) -> Json:
    meta_data = {f"total_{kind}s": len(rows), f"{kind}s_returned": len(rows)}
    return {"meta_data": meta_data, f"{kind}s": rows}


def _row(client: LlmClient, names: Sequence[str], name: str) -> Json:
    """Something that is attached; `names` are all of its kind."""
    return {
        "id": attached_id(names, name),
        "name": name,
        "created_at": stamp(client.updated_at),
        "updated_at": stamp(client.updated_at),
        "chatbot": client.number,
    }


def _plugin(client: LlmClient, name: str) -> Json:
    """What there is to know of a plugin without reading it."""
    meta = {"name": name, "pluginClass": "static", "account": {"accountNumber": client.account}}
    return {**_row(client, client.plugins, name), "plugin_meta": meta}


TAG = "chat"
PATH = "/api/v1/llm-clients/<client>/config"
REFUSES = (Invalid, NotFound)
ENDPOINTS = (
    Endpoint("GET", PATH, get_config, TAG, "Get the config object", REFUSES, chat=True),
    Endpoint("POST", PATH, open_config, TAG, "Get the config object", REFUSES, chat=True),
)
