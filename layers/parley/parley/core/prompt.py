"""A prompt: one unit of queued work, the state of one turn. Small, and no text in it.

Times are integer milliseconds since the epoch everywhere in `core`, `usecases` and
`adapters`; `wire` turns them into RFC 3339.
"""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """The six words of the prompt-svc contract."""

    SCHEDULED = "scheduled"
    RUNNING = "running"
    ERRORED = "errored"
    COMPLETED = "completed"
    ABANDONED = "abandoned"
    CANCELED = "canceled"

    @property
    def terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset({Status.COMPLETED, Status.ABANDONED, Status.CANCELED})
UNFINISHED = frozenset(Status) - TERMINAL


class Outcome(StrEnum):
    """How an attempt ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    REFUSED = "refused"
    CANCELED = "canceled"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as the provider counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One ended execution of a prompt. `ended_at` of a lost one is the end of its lease."""

    number: int
    started_at: int
    ended_at: int
    outcome: Outcome
    reason: str = ""
    usage: Usage | None = None


# A prompt that is retried again and again keeps the newest of its attempts: the item
# stays small, `run_count` still says how many there were.
ATTEMPTS_KEPT = 30


@dataclass(frozen=True, slots=True)
class Prompt:
    """The state of one turn.

    `fingerprint` identifies the submitted content (I7). `failures` and `losses` are the
    parts of the retry budget already spent; both start anew with a retry, `run_count`
    never does. `lease_token` and `lease_until` are set while running only. `client` names
    the llm_client of a session's turn, `client_number` says which one of that name it was.
    `given_up` says that it was abandoned after its retries or losses, and that nobody has
    dealt with that since: it is among the account's dead letters.
    """

    account: str
    id: str
    thread_id: str
    turn: int
    user_id: str
    status: Status
    created_at: int
    updated_at: int
    fingerprint: str
    max_retries: int
    sync: bool = False
    model_id: str = ""
    client: str = ""
    client_number: int = 0
    run_count: int = 0
    failures: int = 0
    losses: int = 0
    last_run: int = 0
    next_attempt_at: int = 0
    lease_token: str = ""
    lease_until: int = 0
    cancel_requested: bool = False
    error: str = ""
    error_code: str = ""
    given_up: bool = False
    response_message_id: str = ""
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenTurn:
    """Marks an unfinished prompt in its thread.

    `due` says when the sweeper looks at it next, `distance` (ms) how far the look after
    that will be.
    """

    account: str
    thread_id: str
    turn: int
    prompt_id: str
    user_id: str
    due: int
    distance: int
