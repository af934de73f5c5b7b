import pytest

from tests.fakes.sessions import SessionWorld
from tests.functions.stage import Told, listening


@pytest.fixture
def world() -> SessionWorld:
    return SessionWorld()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Told:
    return listening(monkeypatch, capsys)
