from collections.abc import Iterator

import pytest

from tests.wire.http_client import Client


@pytest.fixture
def client() -> Iterator[Client]:
    made = Client()
    yield made
    made.close()
