"""Chat as command lines call it: by the llm_client's name, with a session that sticks to them."""

from typing import Annotated, Any, Literal

from aws_lambda_powertools.event_handler.openapi.params import Query
from typing_extensions import TypedDict

from parley.core.errors import Conflict, Invalid, NotFound
from parley.core.session import Session
from parley.usecases.converse import Said
from parley.usecases.sessions import HISTORY_TURNS
from parley.wire.http_calls import ChatCall, Endpoint
from parley.wire.smarter.chat import (
    TOLD_TO_PEOPLE,
    AfterQuery,
    ChatBody,
    SessionAnswer,
    TurnsQuery,
    input_of,
    page_of,
    said_by,
    seconds_for,
)
from parley.wire.smarter.config import ConfigAnswer, config_of
from parley.wire.smarter.envelope import THING, body_of, refused_body
from parley.wire.smarter.shapes import API, Metadata

Uid = Annotated[str, Query(description="Of the caller's machine; the session sticks to it.")]
NewSession = Annotated[Literal["true", "false"], Query(description="Whether to begin a new one.")]


class CliChatBody(ChatBody):
    """What is said. The session is the one that sticks to the caller."""

    prompt: str | None = None


class CliChatData(TypedDict):
    """What was asked, and the answer as it is in `data` elsewhere, its body an object."""

    request: dict[str, Any]
    response: dict[str, Any]


class CliChatAnswer(TypedDict):
    """An answer in its envelope."""

    data: CliChatData
    api: str
    thing: str
    metadata: Metadata


async def cli_config(
    call: ChatCall, uid: Uid = "", new_session: NewSession = "false"
) -> ConfigAnswer:
    """The config object of the session that sticks to the caller."""
    return await config_of(call, await _session(call, uid, new_session, messages=True))


async def get_cli_config(
    call: ChatCall, uid: Uid = "", new_session: NewSession = "false"
) -> ConfigAnswer:
    """The config object of the session that sticks to the caller."""
    return await cli_config(call, uid, new_session)


async def get_cli_chat(
    call: ChatCall, uid: Uid = "", limit: TurnsQuery = HISTORY_TURNS, after: AfterQuery = ""
) -> SessionAnswer:
    """Read the session that sticks to the caller; one is begun if there is none."""
    session = await _session(call, uid, messages=not after)
    return await page_of(call, session, limit, after)


async def cli_chat(
    call: ChatCall, body: CliChatBody, uid: Uid = "", new_session: NewSession = "false"
) -> CliChatAnswer:
    """Say something in the session that sticks to the caller for a day."""
    plain = {"input_text": body.prompt or body.input_text, "format": "plain"}
    text, known = input_of(body.model_copy(update=plain))
    session = await _session(call, uid, new_session)
    said = said_by(call, text, known, body.replaces or 0)
    status, answer = await _turn(call, session, said, body.wait)
    request = {
        "session_key": session.key,
        "messages": [{"role": "user", "content": text}],
        "session_new": session.new,
    }
    response = {
        "isBase64Encoded": False,
        "statusCode": status,
        "headers": {"Content-Type": "application/json"},
        "body": answer,
    }
    metadata = Metadata(command=call.address.word, thing=THING)
    data = CliChatData(request=request, response=response)
    return CliChatAnswer(data=data, api=API, thing=THING, metadata=metadata)


async def _session(
    call: ChatCall, uid: str, new_session: str = "false", *, messages: bool = False
) -> Session:
    renew = new_session == "true"
    return await call.api.chats.sticky(call.client, call.key, uid, renew=renew, messages=messages)


async def _turn(
    call: ChatCall, session: Session, said: Said, wait: float | None
) -> tuple[int, dict[str, Any]]:
    seconds = seconds_for(call, wait)
    try:
        turned = await call.api.chats.converse(call.client, session.key, said, seconds)
    except TOLD_TO_PEOPLE as error:
        return refused_body(call, session.key, said.text, error)
    return body_of(call, turned, said.text)


TAG = "chat"
PATH = "/api/v1/cli/chat"
REFUSES = (Invalid, NotFound)
ENDPOINTS = (
    Endpoint(
        "GET", f"{PATH}/config/<client>", get_cli_config, TAG, "Read the config", REFUSES, chat=True
    ),
    Endpoint("GET", f"{PATH}/<client>", get_cli_chat, TAG, "Read the session", REFUSES, chat=True),
    Endpoint(
        "POST", f"{PATH}/config/<client>", cli_config, TAG, "Get the config", REFUSES, chat=True
    ),
    Endpoint(
        "POST",
        f"{PATH}/<client>",
        cli_chat,
        TAG,
        "Chat from a command line",
        (*REFUSES, Conflict),
        chat=True,
    ),
)
