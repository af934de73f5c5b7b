from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from parley_cli.main import app
from typer.testing import CliRunner, Result

from tests.cli.real import RealApi
from tests.cli.served import Served
from tests.cli.server import ADMIN_KEY, FakeApi

Run = Callable[..., Result]
LOOPBACK = ["127.0.0.1", "::1", "localhost"]


def pytest_itemcollected(item: pytest.Item) -> None:
    """These tests speak to servers of their own, and to nothing beyond this machine."""
    item.add_marker(pytest.mark.allow_hosts(LOOPBACK))


@pytest.fixture
def api() -> Iterator[FakeApi]:
    fake = FakeApi()
    with Served(fake.app) as served:
        fake.port = served.port
        yield fake


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No configuration but a test's own, and no pauses that only politeness asks for."""
    for name in ("API", "KEY", "WEBSOCKET", "MODEL_KEY", "STACK"):
        monkeypatch.delenv(f"PARLEY_{name}", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    # Typer makes its output as wide as this, and plain.
    monkeypatch.setenv("TERMINAL_WIDTH", "120")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command against the API with an admin's key."""
    monkeypatch.setenv("PARLEY_API", api.url)
    monkeypatch.setenv("PARLEY_KEY", ADMIN_KEY)

    def run_(*arguments: str, **options: Any) -> Result:
        return CliRunner().invoke(app, list(arguments), **options)

    return run_


@pytest.fixture
def real() -> Iterator[RealApi]:
    """The product's own API, in memory."""
    found = RealApi(chats={"domain": "api.example.com"})
    with Served(found.app) as served:
        found.port = served.port
        yield found
    found.close()


@pytest.fixture
def run_real(real: RealApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command against the product's own API with an admin's key."""
    monkeypatch.setenv("PARLEY_API", f"http://127.0.0.1:{real.port}")
    monkeypatch.setenv("PARLEY_KEY", "admin-key")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("parley_cli.api.FIRST_PAUSE", 0.01)
    return lambda *words, **options: CliRunner().invoke(app, list(words), **options)
