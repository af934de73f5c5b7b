"""What the use cases need from the outside world, as async Protocols.

Every call is an `await`, so that the simulation's scheduler can stand between any two of
them. Store calls are atomic. A store call may raise `core.errors.Busy` for throttling or
contention, when nothing was written, and `core.errors.Unavailable` when it is unknown
whether the call took effect.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar

from parley.core.access import ApiKey, KeyRole, Principal
from parley.core.events import Frame
from parley.core.lifecycle import Failure
from parley.core.model import Catalogue, Model
from parley.core.prompt import OpenTurn, Outcome, Prompt, Status, Usage
from parley.core.resource import Resource
from parley.core.thread import Message, Thread, ToolCall


class Clock(Protocol):
    """Time, and waiting for it."""

    def now(self) -> int:
        """Wall clock, ms since the epoch. For what is stored."""

    def monotonic(self) -> float:
        """Seconds of a clock that never jumps. For what an attempt decides about itself."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class Ids(Protocol):
    """Random names."""

    def new(self, prefix: str) -> str:
        """A fresh id, `prefix_` and at least 80 random bits, within the id pattern."""

    def token(self) -> str:
        """A fresh secret of 256 random bits, 64 lower-case hex digits."""

    def fraction(self) -> float:
        """Uniform in [0, 1): jitter."""


@dataclass(frozen=True, slots=True)
class ThreadHead:
    """A thread with its unfinished turns, oldest first (at most 101)."""

    thread: Thread | None
    open_turns: tuple[OpenTurn, ...]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A thread's head and its newest messages, newest first; `more` if there may be older ones."""

    head: ThreadHead
    messages: tuple[Message, ...] = ()
    more: bool = False


@dataclass(frozen=True, slots=True)
class PromptQuery:
    """Which prompts to list, in creation order.

    `user_id` None means the whole account. Empty tuples do not filter. `limit` is the
    number of prompts to return, `after` an opaque cursor from an earlier page.
    """

    account: str
    user_id: str | None
    ids: tuple[str, ...] = ()
    thread_id: str = ""
    statuses: tuple[Status, ...] = ()
    model_ids: tuple[str, ...] = ()
    descending: bool = False
    limit: int = 20
    after: str = ""


# A count looks at so many prompts of a list at most: what a filter leaves out costs as much
# as what it lets through.
COUNT_EXAMINED = 5000

T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some items and, if there may be more, where the next page starts."""

    items: Sequence[T]
    after: str = ""


class PromptStore(Protocol):
    """The transitions of `core.lifecycle`, each one atomic, and the reads around them.

    A transition whose condition does not hold raises `TransitionRefused`; one on a prompt
    that is not there raises it, too.
    """

    async def thread_head(self, account: str, thread_id: str) -> ThreadHead:
        """The thread and its open turns; one consistent read."""

    async def conversation(self, account: str, thread_id: str, limit: int) -> Conversation:
        """The same with the newest messages, in one consistent read.

        That ends with `limit` items, those of the head among them (which are 102 at most: a
        smaller limit is none), or earlier at 1 MB.
        """

    async def accept(
        self,
        prompt: Prompt,
        question: Message,
        new_thread: Thread | None,
        due: int,
        distance: int,
        *,
        advanced: Thread | None = None,
    ) -> None:
        """Store turn, question, prompt and open turn.

        `new_thread` is the thread to create (its `next_turn` already past this turn), or
        None to advance the existing one; `advanced` is then a session's thread, whose
        time of change and window of turns are stored with it, and its title if this is the
        first turn. A thread with a turn does not expire any more. Raises `PromptExists`
        (checked first) if the id is stored, `TurnTaken` if `thread.next_turn` is not
        `prompt.turn`, if the session has expired or, with `new_thread`, if the thread
        exists, `ThreadDeleted` if it is marked deleted.
        """

    async def prompt(self, account: str, prompt_id: str) -> Prompt | None:
        """A consistent read."""

    async def prompts(self, query: PromptQuery) -> Page[Prompt]:
        """A page in creation order (within one thread: in the order of turns)."""

    async def count_prompts(self, query: PromptQuery, cap: int) -> int:
        """How many prompts match, not counting past `cap`; ignores limit and cursor.

        May count the first `COUNT_EXAMINED` of the list only, in the order of the query.
        """

    async def count_by_status(self, query: PromptQuery, cap: int) -> Mapping[Status, int]:
        """The same for each status apart, in one pass; a status without any may be absent."""

    async def head(self, account: str, thread_id: str) -> OpenTurn | None:
        """The thread's first open turn; consistent."""

    async def claim(
        self, turn: OpenTurn, token: str, now: int, lease_until: int, *, alone: bool
    ) -> Prompt:
        """`claim` or `claim_expired`; success if the token is already the stored one."""

    # The following take the prompt as it was claimed: it carries the lease's token, and
    # under a lease nothing moves but its end and the wish to cancel, which an end clears.

    async def renew(self, prompt: Prompt, lease_until: int) -> Prompt:
        """Move the lease's end. Answers what is stored, a wish to cancel with it."""

    async def finish(
        self,
        prompt: Prompt,
        now: int,
        answer: Message,
        usage: Usage | None,
        rounds: Sequence[Message] = (),
    ) -> Prompt:
        """Answer and rounds of tool calls stored, prompt completed, open turn gone.

        Repeating it after a lost response is a success: the prompt is completed with this
        answer's id, by this very attempt (`lifecycle.finished_by`).
        """

    async def fail(
        self, prompt: Prompt, now: int, failure: Failure, next_attempt_at: int
    ) -> Prompt:
        """Prompt errored; its open turn is due at `next_attempt_at`."""

    async def abandon(self, prompt: Prompt, now: int, failure: Failure, outcome: Outcome) -> Prompt:
        """Prompt abandoned, open turn gone."""

    async def cancel_running(
        self, prompt: Prompt, now: int, partial: Message | None, usage: Usage | None
    ) -> Prompt:
        """Prompt canceled by its attempt, the partial text kept, open turn gone.

        Conditional on a stored wish to cancel, which `prompt` as claimed does not show.
        """

    async def give_up(self, account: str, prompt_id: str, now: int) -> Prompt:
        """Prompt abandoned after its last loss, open turn gone."""

    async def request_cancel(self, account: str, prompt_id: str) -> Prompt:
        """`cancel_requested` set."""

    async def cancel_waiting(self, account: str, prompt_id: str, now: int) -> Prompt:
        """Scheduled or errored prompt canceled, open turn gone."""

    async def cancel_expired(self, account: str, prompt_id: str, now: int) -> Prompt:
        """Prompt whose runner is gone canceled, open turn gone."""

    async def evict(self, prompt: Prompt, now: int) -> Prompt:
        """Unfinished prompt canceled whatever its lease, open turn gone.

        Conditional on the place (thread and turn) being that of `prompt`, and on the prompt
        not running if `prompt` was not.
        """

    async def retry(
        self,
        prompt: Prompt,
        turn: int,
        now: int,
        due: int,
        distance: int,
        *,
        advanced: Thread | None = None,
    ) -> Prompt:
        """New turn at the tail; the question moves with it, a kept partial text is dropped.

        Conditional on the prompt's place and status being those of `prompt`; raises
        `TurnTaken` like `accept`, `ThreadDeleted` if the thread is deleted. `advanced` is a
        session's thread, of which the same is stored as in `accept`.
        """

    async def remove(self, account: str, prompt_id: str) -> None:
        """Delete a terminal prompt; the thread's messages stay."""

    async def due(self, now: int, limit: int, after: str = "") -> Page[OpenTurn]:
        """Open turns whose `due` has come, of all accounts, the longest due first.

        From the index, which may be stale, so a page may have fewer than `limit` turns and
        not be the last, and a turn may be on two pages.
        """

    async def move_due(self, turn: OpenTurn, due: int, distance: int) -> None:
        """Set the next look at an open turn, unless the turn is gone or was moved meanwhile.

        Conditional on the stored `due` being `turn.due`; raises TransitionRefused otherwise.
        """


@dataclass(frozen=True, slots=True)
class ThreadChanges:
    """What to change of a thread; None keeps what is stored."""

    title: str | None = None
    user_ids: tuple[str, ...] | None = None
    topic_ids: tuple[str, ...] | None = None

    def applied(self, thread: Thread, now: int) -> Thread:
        """The thread with these changes."""
        return replace(
            thread,
            title=thread.title if self.title is None else self.title,
            user_ids=thread.user_ids if self.user_ids is None else self.user_ids,
            topic_ids=thread.topic_ids if self.topic_ids is None else self.topic_ids,
            updated_at=now,
        )


class ThreadStore(Protocol):
    """Threads and messages as chat-svc shows them, and as context."""

    async def thread(self, account: str, thread_id: str) -> Thread | None:
        """Consistent; a deleted thread is returned with its mark."""

    async def threads(
        self, account: str, user_id: str | None, limit: int, after: str
    ) -> Page[Thread]:
        """A user's threads (None: the account's), newest first."""

    async def create_thread(self, thread: Thread) -> None:
        """Raises Conflict if the id exists, ThreadDeleted if it is marked deleted.

        A thread with a client is a session: it is in the lists of sessions and in no other.
        """

    async def sessions(self, account: str, client: str, limit: int, after: str) -> Page[Thread]:
        """The sessions of an llm_client (empty: of the account), newest first.

        Those that have expired are left out.
        """

    async def update_thread(
        self, account: str, thread_id: str, changes: ThreadChanges, now: int
    ) -> Thread:
        """Change what is given and nothing else; the thread as it is then.

        Raises NotFound if it is absent or deleted.
        """

    async def mark_deleted(
        self, account: str, thread_id: str, now: int, *, older_than: int = 0
    ) -> Thread | None:
        """Mark deleted, and make the rest of the deletion due; None if it never existed.

        With `older_than` (ms) only if it was last changed before: raises TransitionRefused
        otherwise. One that is marked already stays so, and is returned.
        """

    async def delete_page(self, account: str, thread_id: str, limit: int) -> bool:
        """Delete up to `limit` items of a thread marked deleted; True when none is left.

        Call only once the thread has no open turns. The mark itself stays for a week.
        """

    async def deletions_due(self, now: int, limit: int) -> Sequence[Thread]:
        """Threads marked deleted whose deletion is not finished."""

    async def messages(
        self, account: str, thread_id: str, limit: int, after: str, *, newest_first: bool = False
    ) -> Page[Message]:
        """A page of a thread's messages by turn and part; consistent."""

    def context(
        self, account: str, thread_id: str, turn: int, page: int = 40
    ) -> AsyncIterator[Message]:
        """Messages of turns up to `turn`, newest first, read page by page as consumed.

        `page` is the number of messages of one read, which ends earlier at 1 MB.
        """

    async def message(self, account: str, thread_id: str, turn: int, part: int) -> Message | None:
        """One message by its place."""

    async def messages_at(self, places: Sequence[tuple[str, str, int, int]]) -> Sequence[Message]:
        """Messages by (account, thread, turn, part); absent ones are left out; any order."""

    async def message_by_id(self, account: str, message_id: str) -> Sequence[Message]:
        """The messages with this id: more than one only if a removed prompt's id was reused.

        Rounds of tool calls are not found by an id.
        """

    async def put_message(self, message: Message) -> Message:
        """Append as a turn of its own, or replace the text of the message with this id.

        The `turn` and `part` of the argument are ignored; returns the message as stored.
        Raises NotFound if the thread is absent or deleted, Conflict if a message that was
        added to another thread has the id, TurnTaken on contention: look again then, for it
        may have been by a message with this id.
        """

    async def delete_message(self, message: Message) -> None:
        """Delete one message; absent is a success."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A live WebSocket connection.

    `made_by` and `expires_at` (seconds, 0 for never) are those of the key that it was
    opened with: it is good for as long as that is.
    """

    id: str
    account: str
    user_id: str
    role: str
    key_hash: str
    connected_at: int
    client: str = ""
    made_by: str = ""
    expires_at: int = 0
    client_number: int = 0

    @property
    def principal(self) -> Principal:
        """Who opened it."""
        return Principal(
            self.account,
            self.user_id,
            KeyRole(self.role),
            self.key_hash,
            self.client,
            self.made_by,
            self.expires_at,
        )


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A connection that follows a thread.

    `nonce` is new with each subscribe: sent offsets belong to it. `known` is what the
    client already has: prompt id → (attempt, offset).
    """

    connection_id: str
    account: str
    thread_id: str
    user_id: str
    nonce: str
    known: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Followers:
    """Who follows a thread: sockets, and whether someone watches over HTTP."""

    sockets: tuple[Subscriber, ...]
    watched: bool


@dataclass(frozen=True, slots=True)
class LiveText:
    """The text of a running attempt, for watchers over HTTP.

    Thread and turn tell the prompt from a later one that uses its id again: an attempt may
    write its text a last time after its prompt was removed.
    """

    prompt_id: str
    thread_id: str
    turn: int
    attempt: int
    text: str


UNKNOWN_CONNECTION = "the connection is not known: connect again"


class SubscriberStore(Protocol):
    """Connections, subscriptions and watchers' markers."""

    async def add_connection(self, connection: Connection) -> None:
        """Store it, to expire after the 2 h a connection can live, or with its key."""

    async def connection(self, connection_id: str) -> Connection | None:
        """Consistent; expired ones are absent."""

    async def count_connections(self, account: str, cap: int) -> int:
        """Live connections of the account, not counting past `cap`."""

    async def connections_of_key(self, account: str, key_hash: str) -> Sequence[Connection]:
        """Live connections opened with a key, or with one that this key made."""

    async def drop_connection(self, connection_id: str) -> None:
        """Delete the connection and all its subscriptions; absent is a success."""

    async def subscribe(self, subscriber: Subscriber, now: int, ends: int = 0) -> None:
        """Store or replace, to expire after 2 h, or at `ends` (seconds, 0 for no such time).

        Raises Unauthenticated if the connection is not there any more.
        """

    async def unsubscribe(self, connection_id: str, account: str, thread_id: str) -> None:
        """Delete; absent is a success."""

    async def followers(self, account: str, thread_id: str) -> Followers:
        """Consistent; expired ones are absent."""

    async def watch(self, account: str, thread_id: str, now: int) -> None:
        """Leave a watcher's marker for 60 s."""

    async def put_live(self, account: str, live: LiveText, now: int) -> None:
        """Store the text of a running attempt (cut at the message limit)."""

    async def live(self, account: str, prompt_id: str) -> LiveText | None:
        """Consistent; expired ones are absent."""


class KeyStore(Protocol):
    """API keys, accounts and users."""

    async def create_account(self, account: str, name: str, now: int) -> None:
        """Raises Conflict if it exists."""

    async def accounts(self) -> Sequence[tuple[str, str, int]]:
        """Number, name and time of creation (ms) of every account, oldest first.

        For operators with access to the table; no call of the API asks for it.
        """

    async def put_key(self, key: ApiKey) -> None:
        """Store a new key by its hash, and in its account's list."""

    async def key(self, hash_: str) -> ApiKey | None:
        """A key by its hash, revoked ones included."""

    async def keys(self, account: str) -> Sequence[ApiKey]:
        """The keys of an account, oldest first."""

    async def revoke_key(self, account: str, key_id: str, now: int) -> ApiKey | None:
        """Mark revoked; None if the account has no such key."""


class CatalogueStore(Protocol):
    """The models of an account."""

    async def catalogue(self, account: str) -> Catalogue:
        """Empty if none was put."""

    async def put_catalogue(self, account: str, catalogue: Catalogue) -> None:
        """Replace the whole, its version becoming one more.

        Conditional on the stored version being `catalogue.version`; raises
        TransitionRefused otherwise.
        """

    async def catalogue_and_client(
        self, account: str, client: str
    ) -> tuple[Catalogue, Resource | None]:
        """The catalogue with the LLMClient of this name, if any; one consistent read."""


class Models(Protocol):
    """What model ids stand for."""

    async def resolve(self, account: str, model_id: str) -> Model:
        """The model with this id, or the default for an empty one; raises Invalid."""


@dataclass(frozen=True, slots=True)
class WakeUp:
    """A hint to look at a prompt, never the truth. `thread_id` may be missing."""

    account: str
    prompt_id: str
    thread_id: str = ""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A prompt given up. `handle` is what `forget` needs; empty when it is being written."""

    account: str
    prompt_id: str
    reason: str
    handle: str = ""


class WakeUps(Protocol):
    """The queue of wake-ups. Any of them may be lost, doubled, late or a ghost (I11)."""

    async def send(self, wake_up: WakeUp, *, alone: bool = False) -> None:
        """`alone`: to the queue whose messages run one in an invocation."""


class Receipts(Protocol):
    """The received messages of the queue."""

    async def postpone(self, receipt_handle: str, queue_arn: str, seconds: int) -> None:
        """Show the message again after so many seconds; one that is gone is a success."""


class DeadLetters(Protocol):
    """The dead-letter queue."""

    async def record(self, letter: DeadLetter) -> None:
        """Add a record."""

    async def set_aside(self, message_id: str, body: str) -> None:
        """Add what came on the queue of wake-ups and is none, for an operator to look at."""

    async def take(self, account: str, limit: int) -> Sequence[DeadLetter]:
        """Records of the account, hidden for some seconds; foreign ones are given back."""

    async def give_back(self, letters: Sequence[DeadLetter]) -> None:
        """Make taken records visible again."""

    async def forget(self, letter: DeadLetter) -> None:
        """Delete a taken record."""


class Post(Enum):
    """What became of a frame that was posted to a connection."""

    DELIVERED = "delivered"
    GONE = "gone"
    UNKNOWN = "unknown"


class Publisher(Protocol):
    """Posts frames to WebSocket connections."""

    async def post(self, connection_id: str, frame: Frame) -> Post:
        """GONE if the connection is closed; UNKNOWN if it may or may not have arrived."""

    async def disconnect(self, connection_id: str) -> None:
        """Close a connection; a closed one is a success."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call; `parameters` is the JSON schema of its arguments."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message as a provider gets it.

    An assistant's may carry the calls it asked for; one of the role `tool` answers the
    call `call_id`.
    """

    role: str
    text: str
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class ProviderRequest:
    """One call to a provider: chat completions, or completions if `completion` is set.

    `temperature` None leaves it to the provider.
    """

    model: Model
    api_key: str
    messages: tuple[ChatMessage, ...] = ()
    completion: str = ""
    tools: tuple[Tool, ...] = ()
    temperature: float | None = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of an answer. Always the last event; a stream without it was cut.

    `calls` are the tools that the model wants called before it goes on, without results.
    """

    finish_reason: str
    usage: Usage | None
    calls: tuple[ToolCall, ...] = ()


class Provider(Protocol):
    """An OpenAI-compatible endpoint."""

    def stream(self, request: ProviderRequest) -> AsyncGenerator[TextDelta | Finished, None]:
        """The answer as it comes; raises ProviderFailed. Closing the iterator ends the call."""


class Secrets(Protocol):
    """The parameter store."""

    async def secret(self, account: str, name: str) -> str:
        """The value; raises ProviderFailed (not retryable, `secret_missing`) if absent."""
