"""The queue of wake-ups with visibility and redelivery, and the dead-letter queue."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from parley.ports import DeadLetter, WakeUp

from tests.fakes.clock import VirtualClock


@dataclass
class Queued:
    """A message. Each receive gives it a new handle; `visible_at` is monotonic seconds."""

    number: int
    wake_up: WakeUp
    alone: bool
    visible_at: float
    receives: int = 0

    @property
    def handle(self) -> str:
        return f"{self.number}.{self.receives}"


# No test needs a fifth of them. Work that wakes itself again and again would go on for ever.
RECEIVES_CAP = 500


class FakeQueue:
    """`ports.WakeUps` and `ports.Receipts`: both queues, the normal one and the solo one."""

    def __init__(self, clock: VirtualClock, visibility: float = 60) -> None:
        self.clock = clock
        self.visibility = visibility
        self.messages: list[Queued] = []
        self.sent: list[tuple[WakeUp, bool]] = []
        self._receives = 0

    async def send(self, wake_up: WakeUp, *, alone: bool = False) -> None:
        self.sent.append((wake_up, alone))
        visible_at = self.clock.monotonic()
        self.messages.append(Queued(len(self.sent), wake_up, alone, visible_at))

    def visible(self, *, alone: bool) -> list[Queued]:
        """What a receive would find now."""
        now = self.clock.monotonic()
        return [m for m in self.messages if m.alone is alone and m.visible_at <= now]

    def next_visible(self) -> float | None:
        """When the next message can be received, or None if there is none."""
        return min((message.visible_at for message in self.messages), default=None)

    def receive(self, limit: int, *, alone: bool) -> list[tuple[str, WakeUp]]:
        """Up to `limit` messages as (handle, wake-up), hidden for the visibility time-out."""
        batch = self.visible(alone=alone)[:limit]
        self._receives += 1
        ids = ", ".join(message.wake_up.prompt_id for message in batch)
        assert self._receives <= RECEIVES_CAP, f"the queue never comes to rest: again {ids}"
        for message in batch:
            message.receives += 1
            message.visible_at = self.clock.monotonic() + self.visibility
        return [(message.handle, message.wake_up) for message in batch]

    def _of(self, handle: str) -> Queued | None:
        number = int(handle.partition(".")[0])
        return next((message for message in self.messages if message.number == number), None)

    def delete(self, handle: str) -> None:
        """What SQS does with a message that is no batch item failure."""
        if (message := self._of(handle)) is not None:
            self.messages.remove(message)

    async def postpone(self, receipt_handle: str, queue_arn: str, seconds: int) -> None:
        message = self._of(receipt_handle)
        if message is not None and message.handle == receipt_handle:
            message.visible_at = self.clock.monotonic() + seconds

    def lose(self, place: int) -> None:
        """A message that never arrives."""
        del self.messages[place]

    def double(self, place: int) -> None:
        """At-least-once delivery: the same message, once more."""
        number = max(message.number for message in self.messages) + 1000
        self.messages.append(replace(self.messages[place], number=number))


class FakeDeadLetters:
    """`ports.DeadLetters`."""

    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []
        self.hidden: set[str] = set()
        self._count = 0

    async def record(self, letter: DeadLetter) -> None:
        self._count += 1
        self.letters.append(replace(letter, handle=f"letter-{self._count}"))

    async def take(self, account: str, limit: int) -> Sequence[DeadLetter]:
        found = [x for x in self.letters if x.account == account and x.handle not in self.hidden]
        self.hidden.update(letter.handle for letter in found[:limit])
        return found[:limit]

    async def give_back(self, letters: Sequence[DeadLetter]) -> None:
        self.hidden.difference_update(letter.handle for letter in letters)

    async def forget(self, letter: DeadLetter) -> None:
        self.letters = [kept for kept in self.letters if kept.handle != letter.handle]

    def of(self, prompt_id: str) -> list[str]:
        """The reasons of the records of a prompt."""
        return [letter.reason for letter in self.letters if letter.prompt_id == prompt_id]
