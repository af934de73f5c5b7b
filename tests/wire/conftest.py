from collections.abc import Iterator

import pytest

from tests.wire.http_client import Client
from tests.wire.twins import Twins


@pytest.fixture
def client() -> Iterator[Client]:
    made = Client()
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Twins]:
    """Two accounts for all that changes nothing in them, or nothing that others look at."""
    made = Twins()
    yield made
    made.close()


@pytest.fixture
def twins() -> Iterator[Twins]:
    made = Twins()
    yield made
    made.close()
