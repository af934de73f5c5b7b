import json
import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.cli import Parley
from tests.e2e.client import Client
from tests.e2e.model import Model
from tests.e2e.queues import Queues
from tests.e2e.sockets import Heard, Socket, following
from tests.e2e.stack import BIN, Stack

OTHER_ACCOUNT = "2718-2818-2845"

Follow = Callable[..., Socket]


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker(pytest.mark.e2e)


@pytest.fixture
def word() -> str:
    """A word of the test's own: its rules and calls of the model are found by it."""
    return f"w{secrets.token_hex(5)}"


@pytest.fixture(scope="session", autouse=True)
def _fast_model(stack: Stack) -> None:
    """Answers come at once; a test that wants to see one coming stalls it."""
    Model(stack.devmodel).told("", chunk_ms=2)


@pytest.fixture
def model(stack: Stack) -> Iterator[Model]:
    """The development model; what the test told it is taken back."""
    control = Model(stack.devmodel)
    yield control
    control.forget_all()


@pytest.fixture(scope="session")
def user(stack: Stack) -> Client:
    return Client(stack.api, stack.user_key)


@pytest.fixture(scope="session")
def admin(stack: Stack) -> Client:
    return Client(stack.api, stack.admin_key)


@pytest.fixture(scope="session")
def stranger(stack: Stack) -> Client:
    """The admin of another account, made the way every account is made."""
    command = [BIN / "parley", "bootstrap", "--stack", stack.stack_name, "--add-key", "--json"]
    command += ["--account", OTHER_ACCOUNT, "--model-name", "parley-dev"]
    command += ["--model-base-url", f"{stack.devmodel}/v1"]
    made = subprocess.run(command, env=stack.environment, capture_output=True, check=True)
    return Client(stack.api, json.loads(made.stdout)["admin_key"])


@pytest.fixture(scope="session")
def queues(stack: Stack) -> Queues:
    return Queues(stack)


@pytest.fixture
def follow(stack: Stack) -> Iterator[Follow]:
    """Opens sockets that follow a thread, and closes them after the test."""
    with ExitStack() as opened:

        def open_one(client: Client, thread_id: str, heard: Heard | None = None) -> Socket:
            return opened.enter_context(following(stack.websocket, client.key, thread_id, heard))

        yield open_one


@pytest.fixture
def parley(stack: Stack, tmp_path: Path) -> Parley:
    """The command line with the user's key."""
    return Parley(stack, stack.user_key, tmp_path)


@pytest.fixture
def parley_admin(stack: Stack, tmp_path: Path) -> Parley:
    return Parley(stack, stack.admin_key, tmp_path)
