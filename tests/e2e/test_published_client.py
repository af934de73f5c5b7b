"""The published npm client, used unchanged; its tests are in tests/clients, in its own language."""

import pytest

from tests.e2e.node import CLIENTS, run_node
from tests.e2e.stack import Stack


@pytest.mark.parametrize("file", sorted(path.name for path in CLIENTS.glob("*.test.mjs")))
def test_the_published_client_works(stack: Stack, file: str) -> None:
    run_node(["--test", file], {"PARLEY_API": stack.api, "PARLEY_KEY": stack.user_key})
