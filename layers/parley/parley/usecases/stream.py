"""The thread stream over HTTP, for prompt-svc clients.

A Lambda behind an HTTP API cannot stream, so one call waits for something new, answers it
as complete events and ends; the client comes back with the id of the last event. An id is
`turn.attempt.offset`: everything before that place has been delivered.
"""

from dataclasses import dataclass
from enum import StrEnum

from parley.core.access import Principal
from parley.core.errors import Invalid, NoSuchThread
from parley.core.policy import CallPolicy
from parley.core.prompt import Prompt, Status
from parley.core.thread import ANSWER, QUESTION, Message
from parley.ports import Clock, PromptStore, SubscriberStore, ThreadHead, ThreadStore

POLL_SECONDS = 0.5
RETRY_SOON_MS = 100
RETRY_LATER_MS = 10_000
TURNS_PER_CALL = 50
# A Lambda's answer may have 6 MB. A character can take six bytes of it, and the last turn
# of a call adds at most 300 KB of text to this.
TEXT_PER_CALL = 500_000


class EventType(StrEnum):
    """The `type` of the later contract, and the ends that it lacks."""

    PROGRESS = "progress"
    DONE = "done"
    RESTARTED = "restarted"
    CANCELED = "canceled"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class Place:
    """How far a watcher has got."""

    turn: int
    attempt: int
    offset: int

    def __str__(self) -> str:
        return f"{self.turn}.{self.attempt}.{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Place":
        """The place in a `Last-Event-ID`; raises Invalid."""
        parts = text.split(".")
        if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
            raise Invalid("Last-Event-ID must be an id that this stream sent")
        if any(len(part) > 12 for part in parts):
            raise Invalid("Last-Event-ID must be an id that this stream sent")
        return cls(*(int(part) for part in parts))

    def next_turn(self) -> "Place":
        return Place(self.turn + 1, 0, 0)


@dataclass(frozen=True, slots=True)
class ThreadEvent:
    """One event; `place` is where the watcher is after it."""

    place: Place
    type: EventType
    prompt_id: str
    text: str = ""
    message_id: str = ""
    finish_reason: str = ""
    created_at: int = 0


@dataclass(frozen=True, slots=True)
class Streamed:
    """What a call answers: events, where the watcher is now, and when to come back (ms)."""

    events: tuple[ThreadEvent, ...]
    place: Place
    retry_ms: int


@dataclass(frozen=True, slots=True)
class Stream:
    """Answers calls of the thread stream."""

    prompts: PromptStore
    threads: ThreadStore
    subscribers: SubscriberStore
    clock: Clock
    policy: CallPolicy

    async def __call__(
        self, principal: Principal, thread_id: str, last_event_id: str, wait: float
    ) -> Streamed:
        """Events after `last_event_id`, waiting up to `wait` seconds for the first.

        Without an id the stream begins with the first unfinished turn. With nothing
        unfinished it answers at once, to be asked again later. Raises NotFound for a
        thread of somebody else; one that is absent has nothing to tell yet.
        """
        end = self.clock.monotonic() + min(wait, self.policy.sync_budget)
        head = await self.prompts.thread_head(principal.account, thread_id)
        if head.thread is not None and not principal.sees(head.thread):
            raise NoSuchThread
        if head.thread is None or head.thread.deleted:
            return Streamed((), Place(1, 0, 0), RETRY_LATER_MS)
        place = Place.parse(last_event_id) if last_event_id else _start(head)
        if place.turn < head.thread.next_turn:
            await self.subscribers.watch(principal.account, thread_id, self.clock.now())
        while True:
            streamed = await self._new(head, place)
            if streamed.events or not _unfinished(head, streamed.place):
                return streamed
            if self.clock.monotonic() >= end:
                return streamed
            place = streamed.place
            await self.clock.sleep(min(POLL_SECONDS, max(end - self.clock.monotonic(), 0)))
            head = await self.prompts.thread_head(principal.account, thread_id)
            if head.thread is None or head.thread.deleted:
                return Streamed((), place, RETRY_LATER_MS)

    async def _new(self, head: ThreadHead, place: Place) -> Streamed:
        """The events that are there after `place`."""
        events: list[ThreadEvent] = []
        thread = head.thread
        for _ in range(TURNS_PER_CALL):
            if thread is None or place.turn >= thread.next_turn:
                break
            question = await self.threads.message(thread.account, thread.id, place.turn, QUESTION)
            prompt = await self.prompts.prompt(thread.account, question.id) if question else None
            if prompt is None or (prompt.thread_id, prompt.turn) != (thread.id, place.turn):
                place = place.next_turn()  # said by hand, moved by a retry, or removed
                continue
            news, place = await self._of_turn(prompt, place)
            events += news
            if not prompt.status.terminal or _size(events) > TEXT_PER_CALL:
                break
        waiting = bool(thread and place.turn < thread.next_turn)
        return Streamed(tuple(events), place, RETRY_SOON_MS if waiting else RETRY_LATER_MS)

    async def _of_turn(self, prompt: Prompt, place: Place) -> tuple[list[ThreadEvent], Place]:
        if not prompt.status.terminal:
            live = await self.subscribers.live(prompt.account, prompt.id)
            # What is kept of an older attempt is no news; the new one starts at 0.
            if live is None or prompt.status is not Status.RUNNING:
                return [], place
            # Nor is what a removed prompt of the same id left behind.
            here = (prompt.thread_id, prompt.turn, prompt.run_count)
            if (live.thread_id, live.turn, live.attempt) != here:
                return [], place
            return _progress(prompt, live.attempt, live.text, place)
        answer = await self.threads.message(prompt.account, prompt.thread_id, prompt.turn, ANSWER)
        events, place = _progress(prompt, prompt.run_count, answer.text if answer else "", place)
        end = place.next_turn()
        return [*events, _end(prompt, answer, end)], end


def _size(events: list[ThreadEvent]) -> int:
    return sum(len(event.text) for event in events)


def _start(head: ThreadHead) -> Place:
    if head.open_turns:
        return Place(head.open_turns[0].turn, 0, 0)
    return Place(head.thread.next_turn if head.thread else 1, 0, 0)


def _unfinished(head: ThreadHead, place: Place) -> bool:
    return any(turn.turn >= place.turn for turn in head.open_turns)


def _progress(
    prompt: Prompt, attempt: int, text: str, place: Place
) -> tuple[list[ThreadEvent], Place]:
    """The text after `place`, announced as restarted if the watcher saw an older attempt."""
    events: list[ThreadEvent] = []
    offset = place.offset
    if place.attempt != attempt:
        offset = 0
        if place.offset:
            start = Place(prompt.turn, attempt, 0)
            events.append(ThreadEvent(start, EventType.RESTARTED, prompt.id))
    here = Place(prompt.turn, attempt, max(offset, len(text)))
    if len(text) > offset:
        events.append(
            ThreadEvent(
                here,
                EventType.PROGRESS,
                prompt.id,
                text=text[offset:],
                created_at=prompt.last_run,
            )
        )
    return events, here


def _end(prompt: Prompt, answer: Message | None, place: Place) -> ThreadEvent:
    kinds = {
        Status.COMPLETED: EventType.DONE,
        Status.CANCELED: EventType.CANCELED,
        Status.ABANDONED: EventType.ABANDONED,
    }
    return ThreadEvent(
        place,
        kinds[prompt.status],
        prompt.id,
        message_id=answer.id if answer else "",
        finish_reason=(answer.finish_reason if answer else "") or prompt.status.value,
        created_at=prompt.updated_at,
    )
