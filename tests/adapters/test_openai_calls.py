"""Calls of tools as servers stream them, one way of streaming at a time."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parley.adapters import openai_calls
from parley.adapters.openai_calls import (
    ARGUMENTS_BYTES,
    CALLS_KEPT,
    LOOKED_AT_BYTES,
    StreamedCalls,
)
from parley.core.errors import ProviderFailed
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


@pytest.mark.parametrize("indexed", [True, False])
def test_of_too_many_calls_the_first_are_kept_whole(indexed: bool) -> None:
    """What belongs to a call that is not kept must not get into one that is."""
    names = [f"f{number}" for number in range(CALLS_KEPT + 40)]
    parts = []
    for number, name in enumerate(names):
        index = number if indexed else None
        parts += [part(index, f"c{number}", name, OSLO[:5]), part(index, None, None, OSLO[5:])]
    assert whole(*parts) == tuple(
        ToolCall(f"c{number}", name, OSLO) for number, name in enumerate(names[:CALLS_KEPT])
    )


def test_no_more_calls_are_held_than_are_kept() -> None:
    """Each delta is looked for among them."""
    streamed = StreamedCalls()
    streamed.take(part(index, None, "f") for index in range(10_000))
    assert len(streamed._calls) == CALLS_KEPT + 1
    streamed.take([part(1, None, None, OSLO)])
    assert [call.arguments for call in streamed.whole(7)[:3]] == ["{}", OSLO, "{}"]


def test_of_too_many_arguments_no_more_are_looked_at() -> None:
    deltas = iter([part(0, None, None, "x" * 1024) for _ in range(100)])
    with pytest.raises(ProviderFailed, match="malformed") as caught:
        StreamedCalls().take(deltas)
    assert caught.value.detail == "tool calls with more than 64 KB of arguments"
    assert len(list(deltas)) == 100 - 64 - 1


@pytest.mark.parametrize("half", [chr(0xD800), chr(0xDFFF), "a" + chr(0xD800)])
def test_the_bound_of_arguments_is_that_of_what_is_stored(half: str) -> None:
    """A half of a surrogate pair is stored as a character of three bytes."""
    streamed = StreamedCalls()
    fitting = ARGUMENTS_BYTES // len(half.replace(half[-1], "\ufffd").encode())
    streamed.take([part(0, "a", "f", half) for _ in range(fitting)])
    (call,) = streamed.whole(1)
    assert ARGUMENTS_BYTES - 4 < len(call.arguments.encode()) <= ARGUMENTS_BYTES
    with pytest.raises(ProviderFailed, match="malformed"):
        streamed.take([part(0, None, None, half)])


@pytest.mark.parametrize("last", ["}", "} \n"])
def test_parts_with_the_name_in_each_are_looked_at_so_often_only(
    last: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at = []
    monkeypatch.setattr(openai_calls, "_is_object", lambda text: bool(looked_at.append(len(text))))
    streamed = StreamedCalls()
    with pytest.raises(ProviderFailed, match="malformed") as caught:
        streamed.take(part(0, None, "f", last) for _ in range(ARGUMENTS_BYTES // len(last)))
    assert "cannot be told from each other" in caught.value.detail
    assert 0 < sum(looked_at) <= LOOKED_AT_BYTES


def test_white_space_between_two_calls_does_not_make_them_one() -> None:
    parts = [part(0, None, "f", text) for text in ('{"a":1}', "\n", '{"a":2}', "\n")]
    assert [json.loads(call.arguments) for call in whole(*parts)] == [{"a": 1}, {"a": 2}]


nested = st.recursive(
    st.text("a}{", max_size=3), lambda inner: st.dictionaries(st.just("k"), inner)
)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.integers(1, 5), st.lists(st.builds(dict, k=nested), min_size=1, max_size=8))
def test_calls_that_share_an_index_and_have_no_id_are_told_apart_by_their_ends(
    size: int, told: list[dict[str, Any]]
) -> None:
    texts = [json.dumps(arguments) for arguments in told]
    cuts = [text[at : at + size] for text in texts for at in range(0, len(text), size)]
    assert [call.arguments for call in whole(*(part(0, None, "f", cut) for cut in cuts))] == texts
