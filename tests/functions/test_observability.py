"""What is told of prompts and errors."""

from dataclasses import replace

import pytest
from parley.core.prompt import Attempt, OpenTurn, Outcome, Prompt, Status
from parley.core.thread import ToolCall
from parley.observability import CallsObserver, PromptsObserver, metrics, unexpected, waited
from parley.usecases.verdicts import Answered, Round

from tests.functions.stage import Told

NOW = 100_000
PROMPT = Prompt("a", "p", "t", 1, "u", Status.RUNNING, 40_000, NOW, "f", 5, run_count=2)
TURN = OpenTurn("a", "t", 1, "p", "u", 70_000, 60_000)


def after(outcome: Outcome, ended_at: int) -> Prompt:
    return replace(PROMPT, attempts=(Attempt(1, 50_000, ended_at, outcome),))


@pytest.mark.parametrize(
    ("prompt", "due", "delay"),
    [
        (PROMPT, 70_000, 60_000),  # the first attempt: since it was accepted
        (after(Outcome.FAILED, 60_000), 70_000, 30_000),  # since its back-off was over
        (after(Outcome.FAILED, 60_000), 160_000, None),  # a sweep has moved the turn
        (after(Outcome.LOST, 80_000), 70_000, 20_000),  # since the lease of the lost one ended
        (after(Outcome.CANCELED, 90_000), 150_000, None),  # retried, nothing says when
    ],
)
def test_a_delay_counts_from_the_moment_an_attempt_could_have_begun(
    prompt: Prompt, due: int, delay: int | None
) -> None:
    assert waited(prompt, replace(TURN, due=due), NOW) == delay


def test_a_delay_that_is_not_known_is_not_counted(told: Told) -> None:
    PromptsObserver().claimed(after(Outcome.CANCELED, 90_000), replace(TURN, due=150_000), NOW)
    assert "queue_delay_ms" not in told.said("claimed")[0]
    assert "QueueDelay" not in metrics.metric_set


def fail() -> None:
    raise ValueError("the-secret-text")


def test_of_an_unexpected_error_type_and_place_are_told(told: Told) -> None:
    with pytest.raises(ValueError, match="secret") as raised:
        fail()
    CallsObserver().failed(raised.value)
    unexpected(ValueError("the-secret-text"), "never raised")

    [line] = told.said("call failed")
    assert line["error"] == "ValueError"
    assert line["place"].startswith("test_observability.py:")
    assert "the-secret-text" not in told.text


@pytest.mark.parametrize("what", ["delivery failed", "provider broke"])
def test_of_what_broke_the_prompt_and_the_type_are_told(told: Told, what: str) -> None:
    tell = getattr(PromptsObserver(), what.replace(" ", "_"))
    tell(PROMPT, ValueError("the-secret-text"))

    [line] = told.said(what)
    assert (line["error"], line["prompt_id"], line["attempt"]) == ("ValueError", "p", 2)
    assert "the-secret-text" not in told.text


def test_of_a_tool_that_broke_its_name_and_the_type_are_told(told: Told) -> None:
    PromptsObserver().tool_broke("calculator", KeyError("the-secret-text"))

    [line] = told.said("tool broke")
    assert (line["level"], line["tool"], line["error"]) == ("ERROR", "calculator", "KeyError")
    assert "the-secret-text" not in told.text


def test_of_rounds_of_tool_calls_only_numbers_are_told(told: Told) -> None:
    calls = tuple(
        ToolCall("id", "the-tool", "the-arguments", "the-result", outcome)
        for outcome in ("ok", "failed", "failed")
    )
    rounds = (Round(1, "the-text", calls), Round(2, "", calls[:1]))
    PromptsObserver().attempted(PROMPT, Answered("x", "stop", None, rounds), 0, NOW)
    PromptsObserver().attempted(PROMPT, Answered("x", "stop", None), 0, NOW)

    with_tools, without = told.said("attempted")
    counts = ("tool_rounds", "tool_calls", "tool_calls_failed")
    assert [with_tools[name] for name in counts] == [2, 4, 2]
    assert without.keys().isdisjoint(counts)
    assert "the-" not in told.text
