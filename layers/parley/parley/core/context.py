"""Which messages of a thread a model gets to see."""

from collections.abc import AsyncIterable
from dataclasses import dataclass

from parley.core.thread import Message, Role

CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class ContextBudget:
    """How much of a thread goes to the model: the newest turns, up to so many tokens."""

    turns: int = 20
    tokens: int = 8000


def estimated_tokens(text: str) -> int:
    """A token count without a tokenizer: four characters each, rounded up.

    The budget protects from oversized requests; the exact figure comes back from the
    provider as usage.
    """
    return -(-len(text) // CHARACTERS_PER_TOKEN)


async def build_context(
    newest_first: AsyncIterable[Message], turn: int, budget: ContextBudget
) -> list[Message]:
    """The messages for turn `turn`, oldest first.

    Takes from `newest_first` until the budget is filled and reads no further, so the cost
    does not grow with the thread. The question itself always goes, whatever its size. A
    later question already stored is never seen: the reader starts at `turn`. An answer
    whose question did not fit is dropped, for a context starts with a question.
    """
    taken: list[Message] = []
    tokens = 0
    async for message in newest_first:
        too_old = message.turn <= turn - budget.turns
        tokens += estimated_tokens(message.text)
        if taken and (too_old or tokens > budget.tokens):
            break
        taken.append(message)
    while len(taken) > 1 and taken[-1].role is Role.ASSISTANT:
        taken.pop()
    taken.reverse()
    return taken
