"""What chat keeps: turns counted by the minute, texts that stay for a day."""

import pytest
from parley.ports import TurnCounts

from tests.conformance.material import ACCOUNT, OTHER
from tests.conformance.stores import START, Stores

MINUTE = START // 60_000
DAY = 24 * 60 * 60 * 1000
FREE = TurnCounts()
CLIENT_FULL = TurnCounts(client_full=True)
ADDRESS_FULL = TurnCounts(address_full=True)


async def counted(
    stores: Stores,
    address: str = "aaaa",
    *,
    caps: tuple[int, int] = (3, 2),
    minute: int = MINUTE,
    client: str = "weather",
    account: str = ACCOUNT,
) -> TurnCounts:
    return await stores.chat.count_turn(account, client, address, minute, caps)


async def test_an_address_has_its_bound(stores: Stores) -> None:
    assert [await counted(stores) for _ in range(4)] == [FREE, FREE, ADDRESS_FULL, ADDRESS_FULL]
    # What was refused is not counted: there is a place left for another address.
    assert await counted(stores, "bbbb") == FREE


async def test_an_llm_client_has_its_bound_over_all_addresses(stores: Stores) -> None:
    for address in ("aaaa", "bbbb", "cccc"):
        assert await counted(stores, address) == FREE
    assert await counted(stores, "dddd") == CLIENT_FULL
    assert await counted(stores, "aaaa") == CLIENT_FULL
    assert await counted(stores, "aaaa", caps=(3, 1)) == TurnCounts(True, True)
    assert await counted(stores, "dddd", caps=(4, 1)) == FREE


async def test_minutes_llm_clients_and_accounts_are_counted_apart(stores: Stores) -> None:
    caps = (1, 1)
    assert await counted(stores, caps=caps) == FREE
    assert await counted(stores, caps=caps) == TurnCounts(True, True)
    assert await counted(stores, caps=caps, minute=MINUTE + 1) == FREE
    assert await counted(stores, caps=caps, client="plain") == FREE
    assert await counted(stores, caps=caps, account=OTHER) == FREE


@pytest.mark.parametrize(
    ("caps", "answer"), [((0, 5), CLIENT_FULL), ((5, 0), ADDRESS_FULL), ((0, 0), (True, True))]
)
async def test_a_bound_of_none_lets_nothing_through(
    stores: Stores, caps: tuple[int, int], answer: TurnCounts | tuple[bool, bool]
) -> None:
    expected = TurnCounts(*answer) if isinstance(answer, tuple) else answer
    assert await counted(stores, caps=caps) == expected


async def test_a_sticky_text_stays_for_a_day(stores: Stores) -> None:
    chat, now = stores.chat, START
    assert await chat.sticky(ACCOUNT, "id", "first", now, renew=False) == "first"
    assert await chat.sticky(ACCOUNT, "id", "second", now + DAY - 1000, renew=False) == "first"
    assert await chat.sticky(ACCOUNT, "id2", "other", now, renew=False) == "other"
    assert await chat.sticky(OTHER, "id", "foreign", now, renew=False) == "foreign"

    stores.clock.ms = now + DAY
    assert await chat.sticky(ACCOUNT, "id", "third", now + DAY, renew=False) == "third"
    assert await chat.sticky(ACCOUNT, "id", "fourth", now + DAY, renew=False) == "third"


async def test_a_renewed_sticky_text_begins_its_day_anew(stores: Stores) -> None:
    chat, now = stores.chat, START
    await chat.sticky(ACCOUNT, "id", "first", now, renew=False)
    assert await chat.sticky(ACCOUNT, "id", "second", now + DAY - 1000, renew=True) == "second"
    stores.clock.ms = now + DAY
    assert await chat.sticky(ACCOUNT, "id", "third", now + DAY, renew=False) == "second"
