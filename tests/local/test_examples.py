"""What holds for every property test, whatever it says itself."""

import os
import time
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


def test_no_property_has_to_hold_within_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute passes with each look at the clock, as on a machine that does something else."""
    minutes = count()
    monkeypatch.setattr(time, "perf_counter", lambda: 60.0 * next(minutes))

    @settings(max_examples=20)
    @given(st.lists(st.integers()))
    def holds(_: list[int]) -> None:
        pass

    holds()


@pytest.mark.skipif("EXPLORE" in os.environ, reason="other examples are wanted")
def test_the_examples_are_the_same_in_each_run() -> None:
    assert (settings.default.derandomize, settings.default.database) == (True, None)
