"""The store of prompts and their turns, and the shapes it is asked and answers in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from parley.core.lifecycle import Failure
from parley.core.prompt import OpenTurn, Outcome, Prompt, Status, Usage
from parley.core.thread import Message, Thread
from parley.ports.pages import Page

# A count looks at so many prompts of a list at most: what a filter leaves out costs as much
# as what it lets through.
COUNT_EXAMINED = 5000


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
    number of prompts to return, `after` an opaque cursor from an earlier page. `given_up`
    is for dead letters only.
    """

    account: str
    user_id: str | None
    ids: tuple[str, ...] = ()
    thread_id: str = ""
    statuses: tuple[Status, ...] = ()
    model_ids: tuple[str, ...] = ()
    given_up: bool = False
    descending: bool = False
    limit: int = 20
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

    async def cancel_running(self, prompt: Prompt, now: int, partial: Message | None) -> Prompt:
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

    async def forget(self, prompt: Prompt) -> Prompt:
        """A dead letter no more, conditional on its place; it stays abandoned."""

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
