"""Calls of tools as servers stream them, one way of streaming at a time."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parley.adapters.openai_calls import StreamedCalls
from parley.core.thread import ToolCall


def part(
    index: int | None = None, id_: str | None = None, name: str | None = None, arguments: Any = None
) -> SimpleNamespace:
    function = SimpleNamespace(name=name, arguments=arguments)
    return SimpleNamespace(index=index, id=id_, function=function)


def whole(*parts: SimpleNamespace) -> tuple[ToolCall, ...]:
    streamed = StreamedCalls()
    for one in parts:
        streamed.take([one])
    return streamed.whole(7)


OSLO, ROME = '{"city": "Oslo"}', '{"city": "Rome"}'


@pytest.mark.parametrize(
    "parts",
    [
        [  # as OpenAI does it
            part(0, "a", "f", ""),
            part(0, None, None, OSLO[:5]),
            part(0, None, None, OSLO[5:]),
            part(1, "b", "g", ""),
            part(1, None, None, ROME),
        ],
        [  # mixed, the name and the id with every part
            part(0, "a", "f", OSLO[:5]),
            part(1, "b", "g", ROME[:5]),
            part(0, "a", "f", OSLO[5:]),
            part(1, "b", "g", ROME[5:]),
        ],
        [part(0, "a", "f", OSLO), part(1, "b", "g", ROME)],
        [part(0, "a", "f", OSLO), part(0, "b", "g", ROME)],
        [part(None, "a", "f", OSLO), part(None, "b", "g", ROME)],
        [part(None, "a", "f", json.loads(OSLO)), part(None, "b", "g", json.loads(ROME))],
        [
            part(None, "a", "f", OSLO[:5]),
            part(None, None, None, OSLO[5:]),
            part(None, "b", "g", ""),
            part(None, "b", None, ROME),
        ],
    ],
)
def test_calls_are_put_together(parts: list[SimpleNamespace]) -> None:
    assert whole(*parts) == (ToolCall("a", "f", OSLO), ToolCall("b", "g", ROME))


@pytest.mark.parametrize(
    "parts",
    [
        [part(None, None, "f", OSLO), part(None, None, "g", ROME)],
        [part(0, "", "f", OSLO), part(0, "", "g", ROME)],
        [part(0, None, "f", OSLO), part(1, "", "g", ROME)],
        [part(0, "i" * 129, "f", OSLO), part(1, None, "g", ROME)],
    ],
)
def test_calls_without_an_id_get_one(parts: list[SimpleNamespace]) -> None:
    assert whole(*parts) == (ToolCall("call_7_1", "f", OSLO), ToolCall("call_7_2", "g", ROME))


def test_two_calls_never_share_an_id() -> None:
    calls = whole(part(0, "a", "f", OSLO), part(1, "a", "f", ROME))
    assert [call.id for call in calls] == ["a", "call_7_2"]


def test_a_call_without_arguments_has_none() -> None:
    assert whole(part(0, "a", "f", "")) == whole(part(0, "a", "f")) == (ToolCall("a", "f", "{}"),)


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [("functions.f", "functions_f"), ("f g", "f_g"), ("n" * 100, "n" * 64), ("grüße", "gr__e")],
)
def test_a_name_that_no_tool_can_have_becomes_one(name: str, cleaned: str) -> None:
    assert [call.name for call in whole(part(0, "a", name, "{}"))] == [cleaned]


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.lists(st.tuples(st.text(max_size=30), st.integers(1, 5)), min_size=1, max_size=8))
def test_however_arguments_are_cut_they_come_out_whole(told: list[tuple[str, int]]) -> None:
    parts: list[SimpleNamespace] = []
    expected = []
    for index, (text, size) in enumerate(told):
        arguments = json.dumps({"text": text})
        expected.append(ToolCall(f"c{index}", "f", arguments))
        cuts = [arguments[at : at + size] for at in range(0, len(arguments), size)]
        parts.append(part(index, f"c{index}", "f", ""))
        parts += [part(index, None, None, cut) for cut in cuts]
    assert whole(*parts) == tuple(expected)
