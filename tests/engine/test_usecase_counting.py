"""Which addresses share a bound of turns per minute, and how little is kept of them."""

from dataclasses import replace

import pytest
from parley.adapters.memory import MemoryChat
from parley.core.errors import Limited
from parley.core.llm_client import Limits, LlmClient
from parley.usecases.converse import ADDRESS_GROUPS, address_group, count_turn

CLIENT = LlmClient("0000-0000-0001", "adviser", 1)
HOUR = 3_600_000


def group(address: str, account: str = CLIENT.account, minute: int = 1) -> str:
    return address_group(account, address, minute)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"),
        ("2001:db8:1:2::1", "2001:0DB8:0001:0002:0000:0000:0000:0001"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("unknown", "unknown"),
    ],
)
def test_one_network_is_one_group(one: str, other: str) -> None:
    assert group(one) == group(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:3::1"),
        ("192.0.2.1", "192.0.2.2"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2"),
        ("", "unknown"),
    ],
)
def test_networks_are_apart(one: str, other: str) -> None:
    assert group(one) != group(other)


def test_who_shares_a_group_shares_it_in_one_account_for_a_minute() -> None:
    accounts = {group("192.0.2.1", f"0000-0000-{n:04}") for n in range(20)}
    minutes = {group("192.0.2.1", minute=n) for n in range(20)}
    assert min(len(accounts), len(minutes)) > 15


async def test_what_is_counted_does_not_grow_with_the_addresses() -> None:
    chat = MemoryChat()
    client = replace(CLIENT, limits=Limits(client_turns_per_minute=6000))
    for number in range(6000):
        await count_turn(chat, client, f"2001:db8:{number:x}::1", HOUR)
    [minute] = chat.turns.values()
    assert sum(minute.values()) == 6000
    assert ADDRESS_GROUPS * 0.9 < len(minute) <= ADDRESS_GROUPS
    assert {len(name) for name in minute} == {3}


async def test_a_bound_holds_for_all_addresses_of_a_network_and_no_other() -> None:
    chat = MemoryChat()
    client = replace(CLIENT, limits=Limits(address_turns_per_minute=2))
    for last in (1, 2):
        await count_turn(chat, client, f"2001:db8::{last}", HOUR)
    with pytest.raises(Limited) as refused:
        await count_turn(chat, client, "2001:db8::3", HOUR)
    assert refused.value.limit == "addressTurnsPerMinute"
    await count_turn(chat, client, "2001:db8:0:1::3", HOUR)
    await count_turn(chat, client, "2001:db8::3", HOUR + 60_000)
