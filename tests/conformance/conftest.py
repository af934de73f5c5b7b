from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.stores import (
    Stores,
    dynamo_stores,
    emulator_client,
    memory_stores,
    moto_client,
    new_table,
)

IMPLEMENTATIONS: list[Any] = [
    "memory",
    "moto",
    pytest.param("emulator", marks=pytest.mark.emulator),
]


@pytest.fixture(scope="module", params=IMPLEMENTATIONS)
def implementation(request: pytest.FixtureRequest) -> Iterator[tuple[str, Any]]:
    if request.param == "memory":
        yield "memory", None
    elif request.param == "moto":
        with moto_client() as client:
            yield "moto", client
    else:
        yield "emulator", emulator_client(request.getfixturevalue("emulator"))


@pytest.fixture
def stores(implementation: tuple[str, Any]) -> Iterator[Stores]:
    """Empty stores of each implementation in turn."""
    name, client = implementation
    if name == "memory":
        yield memory_stores()
        return
    table = new_table(client)
    yield dynamo_stores(client, table, threads=1 if name == "moto" else 8)
    client.delete_table(TableName=table)
