"""What the endpoints are made of: the use cases behind them, the call at hand, a route."""

import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from parley.core.access import ID_PATTERN, Principal
from parley.core.address import Address
from parley.core.errors import ParleyError
from parley.core.llm_client import LlmClient
from parley.core.policy import CallPolicy
from parley.ports import Clock
from parley.usecases.accept import Accept
from parley.usecases.cancel import Cancel
from parley.usecases.catalogue import Models
from parley.usecases.chat import Chat
from parley.usecases.clients import Clients
from parley.usecases.converse import Converse
from parley.usecases.dead_letters import Redrive
from parley.usecases.keys import Authenticate, Keys
from parley.usecases.manifests import Manifests
from parley.usecases.read import ReadPrompts
from parley.usecases.remove import DeleteThread, Remove
from parley.usecases.retry import Retry
from parley.usecases.sessions import Sessions
from parley.usecases.sticky import StickySessions
from parley.usecases.stream import Stream
from parley.wire.http_request import Request

T = TypeVar("T")


class RunToEnd(Protocol):
    """Runs a coroutine to its end on the event loop that is kept across calls."""

    def __call__(self, work: Coroutine[Any, Any, T], /) -> T: ...


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A call and how it was answered: all that logs and metrics may know of it (I9).

    `route` is the template of the path, or empty if there is none; `ids` are the valid
    ids in the path; `account` is empty until the caller is known.
    """

    method: str
    route: str
    ids: dict[str, str]
    account: str
    status: int
    milliseconds: float


class HttpObserver(Protocol):
    """Receives the events that the API's logs and metrics are made of."""

    def answered(self, call: CallRecord) -> None:
        """A call was answered."""

    def failed(self, error: Exception) -> None:
        """A call ended in an unexpected error. Only its type may be told (I9)."""


@dataclass(frozen=True, slots=True)
class Chats:
    """The use cases of chat sessions, and what addresses are made of.

    `domain` is the API's own (`api.example.com`, may have a port), empty if llm_clients
    have no hosts; `environment` is empty for production; `socket_url` is where pages
    listen, empty if they cannot.
    """

    clients: Clients
    sessions: Sessions
    converse: Converse
    sticky: StickySessions
    clock: Clock
    domain: str = ""
    environment: str = ""
    socket_url: str = ""


@dataclass(frozen=True, slots=True)
class Api:
    """The use cases that the HTTP API calls, and what its deployment sets."""

    authenticate: Authenticate
    accept: Accept
    read: ReadPrompts
    cancel: Cancel
    retry: Retry
    remove: Remove
    stream: Stream
    chat: Chat
    delete_thread: DeleteThread
    models: Models
    keys: Keys
    redrive: Redrive
    chats: Chats
    policy: CallPolicy
    manifests: Manifests
    local_providers: bool = False
    allowed_origins: tuple[str, ...] = ("*",)


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated call; `started` is by the process's monotonic clock."""

    api: Api
    principal: Principal
    started: float
    request: Request

    def seconds(self) -> float:
        """How long the call has been going on. API Gateway gives it 30 s in all."""
        return time.monotonic() - self.started


@dataclass(frozen=True, slots=True)
class ChatCall:
    """One call of an llm_client's address, which `client` lets in.

    `caller` is whose API key was sent, None if there was none; `key` is that key. `foreign`
    says that it is a page's which may not read the answer.
    """

    api: Api
    client: LlmClient
    caller: Principal | None
    key: str
    started: float
    request: Request
    address: Address
    foreign: bool

    @property
    def key_hash(self) -> str:
        """Of the API key, if it is one of the llm_client's account."""
        ours = self.caller is not None and self.caller.account == self.client.account
        return self.caller.key_hash if self.caller and ours else ""

    def seconds(self) -> float:
        """How long the call has been going on. API Gateway gives it 30 s in all."""
        return time.monotonic() - self.started


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A route. `handler` takes the `Call` first, then what the router validated.

    `refuses` are the errors that are particular to it; what every route may answer is not
    repeated. `public` ones are called without a key; they get no `Call`. `chat` ones are
    an llm_client's: they get a `ChatCall`, and their path has a `<client>` that only says
    which one it was. `manifests` ones read manifests from the request's text themselves.
    To `too_large` ones whole conversations are posted: it answers what is larger even than
    those may be.
    """

    method: str
    path: str
    handler: Callable[..., Coroutine[Any, Any, Any]]
    tag: str
    summary: str
    refuses: Sequence[type[ParleyError]] = ()
    may_wait: bool = False
    stream: bool = False
    public: bool = False
    chat: bool = False
    manifests: bool = False
    too_large: Callable[[ChatCall], Any] | None = None

    def match(self, path: str) -> dict[str, str] | None:
        """The path's parameters, or None if the path is another's."""
        mine, theirs = self.path.split("/"), path.split("/")
        if len(mine) != len(theirs):
            return None
        found = {}
        for name, value in zip(mine, theirs, strict=True):
            if name.startswith("<") and value:
                found[name.strip("<>")] = value
            elif name != value:
                return None
        return found


def valid_ids(parameters: dict[str, str]) -> dict[str, str]:
    """Those that are ids: anything else in a path may be text and is kept out of logs."""
    return {name: text for name, text in parameters.items() if ID_PATTERN.fullmatch(text)}
