"""Every row of the table of refusals: status, words, headers, and nothing stored."""

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.wire.chat_client import HOST, ORIGIN, ChatClient
from tests.wire.http_client import Client
from tests.wire.refusals import TABLE, Refusal, page

ROWS = [(f"{title}: {row.what}", row) for title, rows in TABLE.items() for row in rows]
REFUSALS = Path(__file__).parents[2] / "docs" / "refusals.md"


def stored(client: Client) -> Any:
    """Everything that a call could have changed."""
    world = client.world
    for kept in (world.state.open_turns, world.state.messages):
        for key in [key for key, items in kept.items() if not items]:
            del kept[key]  # made by a read
    return copy.deepcopy(
        (
            # But for the clock that it reads.
            {name: kept for name, kept in vars(world.state).items() if name != "now"},
            world.resources.stored,
            world.accounts.by_hash,
            world.accounts.catalogues,
            [(item.number, item.wake_up) for item in world.queue.messages],
            world.letters.letters,
        )
    )


@pytest.mark.parametrize("row", [row for _, row in ROWS], ids=[name for name, _ in ROWS])
def test_a_refusal_says_why_and_stores_nothing(row: Refusal) -> None:
    client = ChatClient() if row.host else Client()
    row.given(client)
    before = stored(client)
    headers = {"host": row.host or "api.example.com", "origin": ORIGIN, **row.headers}
    reply = client.call(row.method, row.path, row.body, key=row.key, headers=headers)
    told = {"error": row.error, "code": row.code}
    assert (reply.status, reply.json) == (row.status, told)
    assert reply.headers["content-type"] == "application/json"
    if not row.host:
        assert reply.headers["access-control-allow-origin"] == "*"
    elif row.host == HOST:
        allowed = ORIGIN if headers["origin"] == ORIGIN else None
        assert reply.headers.get("access-control-allow-origin") == allowed
    assert stored(client) == before
    assert not client.observer.errors
    client.close()


def test_the_page_shows_the_table() -> None:
    assert REFUSALS.read_text() == page(), "run: python -m tests.wire.refusals > docs/refusals.md"
