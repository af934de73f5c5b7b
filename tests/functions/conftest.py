import pytest

from tests.fakes.world import World
from tests.functions.stage import Told, listening


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Told:
    return listening(monkeypatch, capsys)
