"""Which messages of a thread a model gets to see."""

from collections.abc import AsyncIterable
from dataclasses import dataclass

from parley.core.thread import CALLED_UP, Message, Role, replaced_turn

CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class ContextBudget:
    """How much of a thread goes to the model: the newest turns, up to so many tokens."""

    turns: int = 20
    tokens: int = 8000


@dataclass(frozen=True, slots=True)
class Context:
    """Messages, oldest first, of so many tokens.

    `whole` says that nothing of the thread was left out for its age or its size. `called_up`
    is `CALLED_UP` of the newest answer that has it, whether or not there was room for that.
    """

    messages: tuple[Message, ...]
    tokens: int
    whole: bool
    called_up: str = ""


def estimated_tokens(text: str) -> int:
    """A token count without a tokenizer: four characters each, rounded up.

    The budget protects from oversized requests; the exact figure comes back from the
    provider as usage.
    """
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def message_tokens(message: Message) -> int:
    """What a message adds to a request. A round's own text is part of its answer's."""
    if message.role is not Role.TOOL:
        return estimated_tokens(message.text)
    parts = (part for call in message.calls for part in (call.name, call.arguments, call.result))
    return sum(map(estimated_tokens, parts))


async def build_context(
    newest_first: AsyncIterable[Message], turn: int, budget: ContextBudget
) -> Context:
    """The messages for turn `turn`.

    Takes from `newest_first` until the budget is filled and reads no further, so the cost
    does not grow with the thread. The question itself always goes, whatever its size. A
    later question already stored is never seen: the reader starts at `turn`. An answer
    whose question did not fit is dropped, for a context starts with a question. A turn
    that an edit has replaced is left out, even if the edit was edited itself.

    A round of tool calls is one message, so that a call and its result stay together. It
    goes only between its question and its answer; one that does not fit is left out alone,
    for the answer says what came of it.
    """
    taken: list[Message] = []
    replaced: set[int] = set()
    tokens = 0
    whole, cut = False, False
    called_up = ""
    async for message in newest_first:
        if message.turn not in replaced:
            called_up = called_up or message.meta.get(CALLED_UP, "")
        cost = message_tokens(message)
        fits = not taken or tokens + cost <= budget.tokens
        if taken and message.turn <= turn - budget.turns:
            break
        left_out = message.turn in replaced or (message.role is Role.TOOL and not fits)
        if not left_out and not fits:
            break
        # Newest first, the question that replaces a turn comes before that turn.
        replaced.add(replaced_turn(message))
        if not left_out:
            taken.append(message)
            tokens += cost
        cut = cut or not fits
    else:
        whole = not cut
    taken.reverse()
    messages = tuple(_begun_with_a_question(_without_orphans(taken)))
    return Context(messages, sum(map(message_tokens, messages)), whole, called_up)


def _without_orphans(messages: list[Message]) -> list[Message]:
    """Without rounds whose question or answer is not there: they may have been deleted."""
    asked = {m.turn for m in messages if m.role is Role.USER}
    answered = {m.turn for m in messages if m.role is Role.ASSISTANT}
    whole = asked & answered
    return [m for m in messages if m.role is not Role.TOOL or m.turn in whole]


def _begun_with_a_question(messages: list[Message]) -> list[Message]:
    start = 0
    while start < len(messages) - 1 and messages[start].role is not Role.USER:
        start += 1
    return messages[start:]
