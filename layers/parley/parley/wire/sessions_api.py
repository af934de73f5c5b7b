"""The sessions of an account, for its admins: list, read, delete, purge."""

from typing import Annotated, NotRequired

from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import Field
from typing_extensions import TypedDict

from parley.core.address import ClientRef
from parley.core.errors import Invalid, NoSuchLlmClient, NotFound
from parley.core.prompt import Prompt
from parley.core.thread import Thread
from parley.wire.http_calls import Call, Endpoint
from parley.wire.shapes import Nothing, Time, stamp
from parley.wire.smarter.shapes import SnakeBody

PAGE_CAP = 100
DAY_MS = 24 * 60 * 60 * 1000
DAYS_CAP = 36_500

# Whatever has another form is no session's id, and is told as one that nobody has.
SessionId = Annotated[str, Path(description="`ses_` and 40 hexadecimal digits; never the key.")]
Name = Annotated[str, Query(max_length=63, description="An llm_client; by default all of them.")]
After = Annotated[str, Query(max_length=1024, description="`after` of the page before.")]


class SessionShape(TypedDict):
    """A session. Its key is only its holder's, and is stored nowhere."""

    id: str
    llm_client: str
    title: str
    turns: int
    created_at: Time
    updated_at: Time
    expires_at: NotRequired[Annotated[Time, Field(description="Unless somebody asks something.")]]


class SessionList(TypedDict):
    """A page of sessions, newest first. `after` is there if there may be more."""

    sessions: list[SessionShape]
    after: NotRequired[str]


class TurnShape(TypedDict):
    """How a turn stands. `error` has the provider's words, for admins only."""

    id: Annotated[str, Field(description="Of its prompt.")]
    turn: int
    status: str
    errorCode: str
    error: str


class OneSession(TypedDict):
    """A session, with the newest of its turns and those that were not completed."""

    session: SessionShape
    prompts: Annotated[
        list[TurnShape], Field(description="Oldest first; the newest 100 that were not completed.")
    ]


class PurgeBody(SnakeBody):
    """Which sessions to delete. One call works on one page of them."""

    llm_client: Annotated[str, Field(max_length=63)] | None = Field(
        None, description="By default the sessions of all llm_clients."
    )
    older_than_days: Annotated[float, Field(ge=0, le=DAYS_CAP, allow_inf_nan=False)] = Field(
        description="Days since anybody said something in it."
    )
    dry_run: bool = Field(True, description="Only count. It is so unless false is sent.")
    after: Annotated[str, Field(max_length=1024)] | None = Field(
        None, description="`after` of the call before."
    )


class Purge(TypedDict):
    """What was done on this page. With `after` the next call goes on."""

    examined: int
    matched: int
    deleted: int
    dry_run: bool
    after: NotRequired[str]


async def list_sessions(
    call: Call,
    llm_client: Name = "",
    limit: Annotated[int, Query(ge=1, le=PAGE_CAP)] = 50,
    after: After = "",
) -> SessionList:
    """The sessions of the account, or of one of its llm_clients, newest first."""
    name = llm_client.lower()  # as names are stored
    found = await call.api.chats.sessions.list(call.principal, name, limit, after)
    if not (found.items or found.after or after):
        await _check_name(call, name)
    answer = SessionList(sessions=[session_shape(thread) for thread in found.items])
    if found.after:
        answer["after"] = found.after
    return answer


async def get_session(call: Call, session_id: SessionId) -> OneSession:
    """A session. Its messages are read like those of any thread, under its id."""
    sessions = call.api.chats.sessions
    thread = await sessions.show(call.principal, session_id)
    prompts = [turn_shape(prompt) for prompt in await sessions.unanswered(thread)]
    return OneSession(session=session_shape(thread), prompts=prompts)


async def delete_session(call: Call, session_id: SessionId) -> Nothing:
    """Delete a session with its messages; what is unfinished in it is canceled first."""
    await call.api.chats.sessions.delete(call.principal, session_id)
    return Nothing()


async def purge_sessions(call: Call, body: PurgeBody) -> Purge:
    """Delete old sessions, a page with each call, or count them first (`dry_run`)."""
    chats = call.api.chats
    name = (body.llm_client or "").lower()
    older_than = int(chats.clock.now() - body.older_than_days * DAY_MS)
    done = await chats.sessions.purge(
        call.principal,
        name,
        older_than,
        body.after or "",
        dry_run=body.dry_run,
    )
    if not (done.examined or done.after or body.after):
        await _check_name(call, name)
    answer = Purge(
        examined=done.examined, matched=done.matched, deleted=done.deleted, dry_run=body.dry_run
    )
    if done.after:
        answer["after"] = done.after
    return answer


async def _check_name(call: Call, name: str) -> None:
    """Raise NotFound for a name that no llm_client has: it may be misspelt.

    Asked only where there are no sessions: those of a deleted llm_client are there still.
    """
    if not name:
        return
    client = await call.api.chats.clients.find(ClientRef(call.principal.account, name))
    if client.name != name:
        raise NoSuchLlmClient  # found by its label in hosts, in which _ is -


def session_shape(thread: Thread) -> SessionShape:
    shape = SessionShape(
        id=thread.id,
        llm_client=thread.client,
        title=thread.title,
        turns=thread.next_turn - 1,
        created_at=stamp(thread.created_at),
        updated_at=stamp(thread.updated_at),
    )
    if thread.expires_at:
        shape["expires_at"] = stamp(thread.expires_at * 1000)
    return shape


def turn_shape(prompt: Prompt) -> TurnShape:
    return TurnShape(
        id=prompt.id,
        turn=prompt.turn,
        status=prompt.status.value,
        errorCode=prompt.error_code,
        error=prompt.error,
    )


TAG = "sessions"
PATH = "/api/v1/sessions"
REFUSES = (Invalid, NotFound)
ENDPOINTS = (
    Endpoint("GET", PATH, list_sessions, TAG, "List sessions", REFUSES),
    Endpoint(
        "POST",
        f"{PATH}/purge",
        purge_sessions,
        TAG,
        "Purge sessions",
        REFUSES,
    ),
    Endpoint("GET", f"{PATH}/<session_id>", get_session, TAG, "Get a session", REFUSES),
    Endpoint(
        "DELETE",
        f"{PATH}/<session_id>",
        delete_session,
        TAG,
        "Delete a session",
        REFUSES,
    ),
)
