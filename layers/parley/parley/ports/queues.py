"""The queues: wake-ups, their receipts, and dead letters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


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
