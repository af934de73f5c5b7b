"""The sweeper's handler."""

from typing import Any

import pytest

from tests.fakes.world import World
from tests.functions.stage import Context, WorldLoop, function

app = function("sweeper")


def test_a_prompt_whose_wake_up_was_lost_is_woken(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = WorldLoop(app.loop, world)
    monkeypatch.setattr(app, "engine", world.sweep)
    monkeypatch.setattr(app, "loop", loop)
    loop.kept(world.add("p1"))
    world.queue.lose(0)
    world.clock.skip(61)

    assert app.handler({}, Context(55)) == {"turns": 1}

    assert [message.wake_up.prompt_id for message in world.queue.messages] == ["p1"]


@pytest.mark.parametrize(("remaining", "budget"), [(55, 45), (30, 22), (5, -3)])
def test_a_sweep_ends_within_its_invocation(
    world: World, monkeypatch: pytest.MonkeyPatch, remaining: float, budget: float
) -> None:
    given: list[float] = []

    async def engine(seconds: float) -> int:
        given.append(seconds)
        return 0

    monkeypatch.setattr(app, "engine", engine)
    app.handler({}, Context(remaining))

    assert given == [budget]


def test_an_unexpected_error_is_raised_without_its_words(
    monkeypatch: pytest.MonkeyPatch, told: Any
) -> None:
    async def engine(_seconds: float) -> int:
        raise ValueError("the-secret-text")

    monkeypatch.setattr(app, "engine", engine)
    with pytest.raises(Exception, match=r"^ValueError$") as raised:
        app.handler({}, Context(55))

    assert raised.value.__suppress_context__
    assert told.said("crashed")[0]["error"] == "ValueError"
    assert "the-secret-text" not in told.text
