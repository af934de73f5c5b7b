"""The real clock and the real names."""

from parley.adapters.system import RandomIds, SystemClock
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
