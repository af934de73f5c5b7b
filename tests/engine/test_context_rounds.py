"""Contexts with rounds of tool calls and with edited questions."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parley.core.context import ContextBudget, build_context, message_tokens
from parley.core.thread import ANSWER, QUESTION, REPLACES, Message, Role, ToolCall
from parley.ports import ChatMessage
from parley.usecases.asking import spoken

CI = settings(max_examples=300, deadline=None, derandomize=True, database=None)
ROOMY = ContextBudget(turns=1000, tokens=10**9)


def said(turn: int, part: int, text: str, role: Role, **more: object) -> Message:
    message = Message("acc", "t", turn, part, f"m{turn}.{part}", role, text, 0, 0)
    return replace(message, **more)  # type: ignore[arg-type]


def question(turn: int, text: str = "q", replaces: str = "") -> Message:
    meta = {REPLACES: replaces} if replaces else {}
    return said(turn, QUESTION, text, Role.USER, meta=meta)


def a_round(turn: int, number: int, text: str = "", size: int = 1, calls: int = 2) -> Message:
    made = tuple(
        ToolCall(f"c{turn}.{number}.{n}", "f", "a" * size, "r" * size, "ok") for n in range(calls)
    )
    return said(turn, QUESTION + number, text, Role.TOOL, calls=made)


def answer(turn: int, text: str = "a") -> Message:
    return said(turn, ANSWER, text, Role.ASSISTANT)


async def newest_first(messages: Sequence[Message], turn: int) -> AsyncIterator[Message]:
    for message in sorted(messages, key=lambda m: (m.turn, m.part), reverse=True):
        if message.turn <= turn:
            yield message


def context_of(
    messages: Sequence[Message], turn: int, budget: ContextBudget = ROOMY
) -> list[Message]:
    return [*asyncio.run(build_context(newest_first(messages, turn), turn, budget)).messages]


@dataclass(frozen=True)
class Turn:
    """What is stored of a turn; `replaces` counts back."""

    asked: bool
    answered: bool
    rounds: tuple[int, ...]
    size: int
    replaces: int


turns = st.builds(
    Turn,
    asked=st.sampled_from([True, True, True, False]),
    answered=st.sampled_from([True, True, True, False]),
    rounds=st.lists(st.integers(0, 200), max_size=3).map(tuple),
    size=st.integers(0, 200),
    replaces=st.sampled_from([0, 0, 0, 1, 1, 2, 5]),
)


def stored(thread: Sequence[Turn]) -> list[Message]:
    """The messages of a thread, whose last turn has only its question."""
    found = []
    for number, turn in enumerate(thread, start=1):
        newest = number == len(thread)
        if turn.asked or newest:
            replaces = number - turn.replaces
            text = str(replaces) if turn.replaces > 0 and replaces > 0 else ""
            found.append(question(number, "q" * turn.size, text))
        if newest:
            break
        found += [a_round(number, n, "s", size) for n, size in enumerate(turn.rounds, start=1)]
        if turn.answered:
            found.append(answer(number, "a" * turn.size))
    # And a later one, which no context may have.
    return [*found, question(len(thread) + 1), a_round(len(thread) + 1, 1)]


@CI
@given(st.lists(turns, min_size=1, max_size=8), st.integers(1, 10), st.integers(0, 400))
def test_a_context_is_one_that_a_provider_takes(
    thread: list[Turn], window: int, tokens: int
) -> None:
    messages, turn = stored(thread), len(thread)
    context = context_of(messages, turn, ContextBudget(window, tokens))

    assert context[0].role is Role.USER
    assert context[-1] == next(m for m in messages if (m.turn, m.part) == (turn, QUESTION))
    assert all(m.turn <= turn for m in context)
    assert all(m.turn > turn - window for m in context)
    assert context == sorted(context, key=lambda m: (m.turn, m.part))
    assert sum(map(message_tokens, context[:-1])) <= max(tokens - message_tokens(context[-1]), 0), (
        "only the question itself may be over the budget"
    )
    for replaced in replaced_turns(messages, turn):
        assert all(m.turn != replaced for m in context)
    for message in context:
        if message.role is Role.TOOL:
            parts = {m.role for m in context if m.turn == message.turn}
            assert parts == set(Role), "a round without its question or its answer"
    assert_paired(spoken(context))


def replaced_turns(messages: Sequence[Message], turn: int) -> set[int]:
    return {int(m.meta[REPLACES]) for m in messages if m.turn <= turn and REPLACES in m.meta}


def assert_paired(messages: Sequence[ChatMessage]) -> None:
    """Every call is followed by its result, and no result comes without its call."""
    waiting: list[str] = []
    for message in messages:
        if message.role == "tool":
            assert waiting.pop(0) == message.call_id
            continue
        assert not waiting
        waiting = [call.id for call in message.calls]
    assert not waiting


def test_a_round_becomes_calls_and_results_before_the_answer() -> None:
    messages = [question(1), a_round(1, 1), a_round(1, 2, calls=1), answer(1), question(2)]

    said_ = spoken(context_of(messages, 2))

    assert [m.role for m in said_] == [
        *("user", "assistant", "tool", "tool", "assistant", "tool", "assistant", "user")
    ]
    assert said_[1].calls == (ToolCall("c1.1.0", "f", "a"), ToolCall("c1.1.1", "f", "a"))
    assert [(m.call_id, m.text) for m in said_[2:4]] == [("c1.1.0", "r"), ("c1.1.1", "r")]


def texts_of(*rounds_and_answer: str) -> list[str]:
    *rounds, last = rounds_and_answer
    numbered = [a_round(1, n, text, calls=1) for n, text in enumerate(rounds, start=1)]
    messages = [question(1), *numbered, answer(1, last), question(2)]
    return [m.text for m in spoken(context_of(messages, 2)) if m.role == "assistant"]


@pytest.mark.parametrize(
    ("stored_texts", "told"),
    [
        (("A", "A\n\nB"), ["A", "B"]),
        (("", "B"), ["", "B"]),
        (("A", "", "C", "A\n\nC\n\nD"), ["A", "", "C", "D"]),
        (("A", "A"), ["", "A"]),  # the last round said nothing
        (("A", "edited"), ["", "edited"]),
        (("A" * 9, "A\n\nB"), ["", "A\n\nB"]),
    ],
)
def test_what_a_round_said_is_told_once_and_in_its_place(
    stored_texts: tuple[str, ...], told: list[str]
) -> None:
    assert texts_of(*stored_texts) == told


def test_a_round_that_does_not_fit_leaves_question_and_answer() -> None:
    large, small = a_round(1, 1, "A", size=4000), a_round(1, 2, "B")
    messages = [question(1), large, small, answer(1, "A\n\nB\n\nC"), question(2)]

    context = context_of(messages, 2, ContextBudget(20, 100))

    assert context == [question(1), small, answer(1, "A\n\nB\n\nC"), question(2)]
    assert [m.text for m in spoken(context)] == ["q", "", "r", "r", "A\n\nB\n\nC", "q"]


@pytest.mark.parametrize("gone", [QUESTION, ANSWER])
def test_a_round_whose_question_or_answer_is_gone_is_dropped(gone: int) -> None:
    messages = [question(1), a_round(1, 1), answer(1), question(2)]
    left = [m for m in messages if (m.turn, m.part) != (1, gone)]

    assert Role.TOOL not in {m.role for m in context_of(left, 2)}


def test_an_edited_question_takes_the_place_of_its_turn_and_of_those_before() -> None:
    messages = [
        *(question(1), answer(1)),
        *(question(2), a_round(2, 1), answer(2)),
        *(question(3, replaces="2"), answer(3)),
        *(question(4, replaces="3"), answer(4)),
        question(5),
    ]
    assert [m.turn for m in context_of(messages, 5)] == [1, 1, 4, 4, 5]
    assert [m.turn for m in context_of(messages[:-2], 4)] == [1, 1, 4]
    assert [m.turn for m in context_of(messages[:3], 2)] == [1, 1, 2]


@pytest.mark.parametrize("nonsense", ["x", "-1", "2", "3", "²", "1.0"])
def test_a_question_replaces_only_an_earlier_turn(nonsense: str) -> None:
    messages = [question(1), answer(1), question(2, replaces=nonsense)]
    assert len(context_of(messages, 2)) == 3


def test_replaced_turns_are_read_no_further_than_the_budget_goes() -> None:
    messages = [question(n, replaces=str(n - 1)) for n in range(1, 100)]
    read = 0

    async def counting() -> AsyncIterator[Message]:
        nonlocal read
        async for message in newest_first(messages, 99):
            read += 1
            yield message

    context = [*asyncio.run(build_context(counting(), 99, ContextBudget(turns=20))).messages]
    assert (context, read) == ([messages[-1]], 21)
