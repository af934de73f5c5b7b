"""The real clock and the real names."""

import time

import pytest
from parley.adapters.system import RandomIds, SystemClock, WakefulClock
from parley.core.access import ID_PATTERN


async def test_the_clock_goes_on() -> None:
    clock = SystemClock()
    wall, ticks = clock.now(), clock.monotonic()
    await clock.sleep(0.002)
    assert clock.now() > wall > 1_700_000_000_000
    assert clock.monotonic() - ticks >= 0.002


def test_names_are_fresh_and_within_the_pattern() -> None:
    ids = RandomIds()
    names = {ids.new("prompt") for _ in range(100)}
    assert len(names) == 100
    assert all(name.startswith("prompt_") and ID_PATTERN.fullmatch(name) for name in names)
    tokens = {ids.token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(bytes.fromhex(token)) == 32 and token.islower() for token in tokens)
    assert all(0 <= ids.fraction() < 1 for _ in range(100))


def test_the_clock_of_memories_moves_while_the_machine_is_frozen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = WakefulClock()
    before, frozen = clock.monotonic(), time.time() + 3600

    monkeypatch.setattr(time, "time", lambda: frozen)

    assert clock.monotonic() - before >= 3599


def test_the_clock_of_memories_never_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = WakefulClock()
    before, earlier = clock.monotonic(), time.time() - 3600

    monkeypatch.setattr(time, "time", lambda: earlier)

    assert clock.monotonic() >= before
