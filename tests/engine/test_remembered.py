"""What a container remembers, and what it lets go of."""

import gc
import weakref

from parley.core.remembered import Remembered


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Large:
    """Something that one can see the end of."""


def test_a_value_is_good_for_its_seconds() -> None:
    clock = Clock()
    remembered = Remembered[str, int](5, clock)
    remembered.put("a", 1)
    for now, found in ((0, 1), (4.9, 1), (5, None)):
        clock.now = now
        assert remembered.get("a") == found
    assert remembered.get("b") is None


def test_putting_again_begins_its_seconds_anew() -> None:
    clock = Clock()
    remembered = Remembered[str, int](5, clock)
    remembered.put("a", 1)
    clock.now = 3
    remembered.put("b", 1)
    remembered.put("a", 2)
    clock.now = 7
    assert (remembered.get("a"), remembered.get("b")) == (2, 1)


def test_what_is_out_of_date_does_not_stay_in_memory() -> None:
    clock = Clock()
    remembered = Remembered[str, Large](5, clock)
    large = Large()
    gone = weakref.ref(large)
    remembered.put("a", large)
    del large
    clock.now = 5
    remembered.put("b", Large())
    gc.collect()
    assert gone() is None
    assert remembered.get("b")


def test_the_oldest_go_when_there_are_too_many() -> None:
    remembered = Remembered[int, str](5, Clock(), at_most=3)
    for key in (1, 2, 3, 1, 4):
        remembered.put(key, "x")
    assert [key for key in range(1, 5) if remembered.get(key)] == [1, 3, 4]
    assert len(remembered) == 3


def test_what_is_forgotten_is_gone() -> None:
    remembered = Remembered[int, str](5, Clock())
    remembered.put(1, "x")
    remembered.put(2, "x")
    remembered.forget(1)
    remembered.forget(7)
    assert (remembered.get(1), remembered.get(2)) == (None, "x")
    remembered.forget_all()
    assert len(remembered) == 0
