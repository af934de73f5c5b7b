"""Tools that answer what a test says, after the time that it says."""

from collections.abc import Sequence

from parley.core.plugin import StaticPlugin
from parley.ports import ToolResult

from tests.fakes.clock import VirtualClock


class FakeTools:
    """`ports.Tools`. `results` and `seconds` go by the name of the tool."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.results: dict[str, ToolResult] = {}
        self.seconds: dict[str, float] = {}
        self.calls: list[tuple[str, str]] = []
        self.open: list[tuple[str, str]] = []
        self.plugins: Sequence[StaticPlugin] = ()

    async def call(self, name: str, arguments: str, plugins: Sequence[StaticPlugin]) -> ToolResult:
        asked = (name, arguments)
        self.calls.append(asked)
        self.open.append(asked)
        self.plugins = plugins
        try:
            if seconds := self.seconds.get(name):
                await self.clock.sleep(seconds)
            return self.results.get(name, ToolResult(f'["{name}"]'))
        finally:
            self.open.remove(asked)
