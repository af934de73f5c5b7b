"""The toolbox: whatever a model asks for, and whatever becomes of it, is a result."""

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parley.core.functions import FUNCTIONS
from parley.core.plugin import RESULT_BYTES, StaticPlugin, tool_of
from parley.ports import ToolResult, Tools
from parley.usecases.tools import ARGUMENTS_CHARACTERS, CALL_SECONDS, Toolbox

from tests.fakes.clock import VirtualClock

PLUGIN = StaticPlugin(
    "school", 7, static_data={"price": {"EUR": 10}, "book": "x" * 20_000, "half": "\ud83d"}
)
PLUGIN_TOOL = "smarter_plugin_0000000007"


class FakeWeather:
    """Answers what it was told to, or raises it, after so many seconds."""

    def __init__(self, clock, answer=None, seconds=0.0):
        self.clock = clock
        self.answer = answer
        self.seconds = seconds
        self.asked = []
        self.ended = False

    async def forecast(self, arguments):
        self.asked.append(arguments)
        try:
            await self.clock.sleep(self.seconds)
        finally:
            self.ended = True
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Told:
    """Keeps what broke."""

    def __init__(self):
        self.broke = []

    def tool_broke(self, name, error):
        self.broke.append((name, error))


def toolbox(answer=None, seconds=0.0):
    clock = VirtualClock()
    return Toolbox(clock, FakeWeather(clock, answer, seconds), Told())


async def call(box: Toolbox, name, arguments, plugins=(PLUGIN,)) -> ToolResult:
    tools: Tools = box
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return await box.clock.run(tools.call(name, text, plugins))


def error_of(result: ToolResult) -> str:
    assert result.failed
    (answer,) = json.loads(result.text)
    assert list(answer) == ["error"]
    return answer["error"]


async def test_a_function_is_called():
    result = await call(toolbox(), "calculator", {"expression": "6 * 7"})
    assert result == ToolResult('[{"result": 42}]')


async def test_the_date_calculator_is_called():
    asked = {"dates": ["2024-02-28"], "operation": "add", "days": 2}
    result = await call(toolbox(), "date_calculator", asked)
    assert result == ToolResult('[{"result": "2024-03-01"}]')


async def test_the_weather_is_asked():
    box = toolbox([{"location": "Reykjavík"}])
    result = await call(box, "get_current_weather", {"location": "Reykjavik"})
    assert result == ToolResult('[{"location": "Reykjavík"}]')
    assert box.weather.asked == [{"location": "Reykjavik"}]


async def test_a_plugin_is_looked_up():
    assert tool_of(PLUGIN).name == PLUGIN_TOOL
    result = await call(toolbox(), PLUGIN_TOOL, {"inquiry_type": "price"})
    assert result == ToolResult('{"EUR": 10}')


async def test_a_long_value_of_a_plugin_is_cut_and_no_failure():
    result = await call(toolbox(), PLUGIN_TOOL, {"inquiry_type": "book"})
    assert not result.failed
    assert "cut" in json.loads(result.text)["note"]
    assert len(result.text.encode()) <= RESULT_BYTES


async def test_a_result_can_be_stored_although_the_data_has_half_a_character():
    result = await call(toolbox(), PLUGIN_TOOL, {"inquiry_type": "half"})
    assert result.text.encode() == b'"?"'


async def test_every_function_that_is_described_can_be_called():
    for name in FUNCTIONS:
        result = await call(toolbox([{"location": "x"}]), name, {})
        assert "there is no function" not in result.text


@pytest.mark.parametrize("name", ["", "rm", "smarter_plugin_0000000008", "CALCULATOR"])
async def test_an_unknown_function_is_told_as_data(name):
    assert "there is no function" in error_of(await call(toolbox(), name, {}))


async def test_a_plugin_that_the_turn_does_not_have_is_unknown():
    result = await call(toolbox(), PLUGIN_TOOL, {"inquiry_type": "price"}, plugins=())
    assert "there is no function" in error_of(result)


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "null",
        "[]",
        '"text"',
        "{",
        "{'expression': 1}",
        "[" * 50_000,
        '{"expression": ' + "9" * 5000 + "}",
        '{"expression": "' + "1" * ARGUMENTS_CHARACTERS + '"}',
    ],
)
async def test_arguments_that_are_no_json_object_are_told_as_data(arguments):
    result = await call(toolbox(), "calculator", arguments)
    assert error_of(result) == "the arguments are not a JSON object"


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("calculator", {"expression": "1 / 0"}, "division by zero"),
        ("date_calculator", {"operation": "add", "dates": ["x"]}, "YYYY-MM-DD"),
        (PLUGIN_TOOL, {"inquiry_type": "rent"}, "not known"),
        (PLUGIN_TOOL, {"inquiry_type": ["price"]}, "must be a text"),
        (PLUGIN_TOOL, {}, "must be a text"),
    ],
)
async def test_an_error_of_a_function_is_a_failed_call(name, arguments, said):
    assert said in error_of(await call(toolbox(), name, arguments))


async def test_an_error_of_the_weather_is_a_failed_call():
    box = toolbox([{"error": "no such place"}])
    assert error_of(await call(box, "get_current_weather", {})) == "no such place"
    assert box.observer.broke == []


async def test_a_function_that_breaks_is_told_without_what_it_said_and_operators_hear_of_it():
    error = RuntimeError("a secret")
    box = toolbox(error)
    said = error_of(await call(box, "get_current_weather", {}))
    assert "RuntimeError" in said
    assert "secret" not in said
    assert box.observer.broke == [("get_current_weather", error)]


async def test_a_function_that_is_too_slow_is_ended_and_told():
    box = toolbox([{"location": "x"}], seconds=CALL_SECONDS + 1)
    assert "longer than 20 s" in error_of(await call(box, "get_current_weather", {}))
    assert box.weather.ended
    assert box.clock.monotonic() == CALL_SECONDS


async def test_a_function_may_take_its_time():
    box = toolbox([{"location": "x"}], seconds=CALL_SECONDS - 1)
    assert not (await call(box, "get_current_weather", {})).failed


async def test_a_result_that_is_too_large_is_a_failed_call():
    box = toolbox([{"location": "x" * RESULT_BYTES}])
    assert "more than 16 KB" in error_of(await call(box, "get_current_weather", {}))


async def test_a_turn_that_is_canceled_ends_its_call():
    box = toolbox([{"location": "x"}], seconds=5)
    task = asyncio.ensure_future(box.call("get_current_weather", "{}", ()))
    await box.clock.advance(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert box.weather.ended


NAMES = st.text() | st.sampled_from([*FUNCTIONS, PLUGIN_TOOL])
TEXTS = st.text() | st.dictionaries(
    st.text() | st.sampled_from(["expression", "dates", "inquiry_type", "operation"]),
    st.none() | st.text() | st.integers() | st.floats() | st.lists(st.text()),
).map(json.dumps)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(NAMES, TEXTS)
def test_whatever_is_called_a_small_text_of_json_comes_back(name, arguments):
    result = asyncio.run(call(toolbox([{"location": "x"}]), name, arguments))
    assert len(result.text.encode()) <= RESULT_BYTES
    json.loads(result.text)
