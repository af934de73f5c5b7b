"""Do what a model asks for: call a function or look something up in a plugin.

Nothing that goes wrong ends a turn. The model is told, as data, and makes the best of it.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parley.core.functions import Results, calculator, date_calculator, failed
from parley.core.functions.spec import quoted
from parley.core.plugin import INQUIRY, RESULT_BYTES, StaticPlugin, knows, lookup
from parley.ports import Clock, ToolResult, Weather
from parley.usecases.observing import ToolObserver
from parley.usecases.waiting import within

CALL_SECONDS = 20.0
ARGUMENTS_CHARACTERS = 64 * 1024

Arguments = Mapping[str, Any]


@dataclass(frozen=True)
class Toolbox:
    """`ports.Tools`: the functions of `core.functions`, and the plugins that a turn has."""

    clock: Clock
    weather: Weather
    observer: ToolObserver

    async def call(self, name: str, arguments: str, plugins: Sequence[StaticPlugin]) -> ToolResult:
        """Call by name with the model's JSON text. Takes 20 s and answers 16 KB at most.

        Whether the llm_client offers the function is the caller's to know.
        """
        work = self._work(name, plugins)
        if work is None:
            return _failure(f"there is no function {quoted(name)}")
        given = _parsed(arguments)
        if given is None:
            return _failure("the arguments are not a JSON object")
        try:
            result = await within(self.clock, CALL_SECONDS, work(given))
        except Exception as error:  # noqa: BLE001 - whatever it is, the turn goes on without it
            self.observer.tool_broke(name, error)
            # Its text may hold what the user said, or an address of ours.
            return _failure(f"{name} failed unexpectedly ({type(error).__name__})")
        if result is None:
            return _failure(f"{name} took longer than {CALL_SECONDS:.0f} s")
        return _bounded(result, name)

    def _work(
        self, name: str, plugins: Sequence[StaticPlugin]
    ) -> Callable[[Arguments], Awaitable[ToolResult]] | None:
        for plugin in plugins:
            if plugin.tool_name == name:
                return lambda given: _looked_up(plugin, given)
        functions: dict[str, Callable[[Arguments], Awaitable[ToolResult]]] = {
            "get_current_weather": self._forecast,
            "calculator": _calculated,
            "date_calculator": _dated,
        }
        return functions.get(name)

    async def _forecast(self, given: Arguments) -> ToolResult:
        return _result(await self.weather.forecast(given))


async def _calculated(given: Arguments) -> ToolResult:
    return _result(calculator(given))


async def _dated(given: Arguments) -> ToolResult:
    return _result(date_calculator(given))


async def _looked_up(plugin: StaticPlugin, given: Arguments) -> ToolResult:
    inquiry = given.get(INQUIRY)
    if not isinstance(inquiry, str):
        return _failure(f"{INQUIRY} must be a text")
    return ToolResult(lookup(plugin, inquiry), failed=not knows(plugin, inquiry))


def _parsed(arguments: str) -> dict[str, Any] | None:
    if len(arguments) > ARGUMENTS_CHARACTERS:
        return None
    try:
        given = json.loads(arguments)
    except (ValueError, RecursionError):
        return None
    return given if isinstance(given, dict) else None


def _result(results: Results) -> ToolResult:
    text = json.dumps(results, ensure_ascii=False)
    return ToolResult(text, failed=any("error" in result for result in results))


def _bounded(result: ToolResult, name: str) -> ToolResult:
    """The result as it can be stored: within the limit, without halves of characters."""
    encoded = result.text.encode(errors="replace")
    if len(encoded) > RESULT_BYTES:
        return _failure(f"{name} answered more than {RESULT_BYTES // 1024} KB")
    return ToolResult(encoded.decode(), failed=result.failed)


def _failure(text: str) -> ToolResult:
    return _bounded(_result(failed(text)), "")
