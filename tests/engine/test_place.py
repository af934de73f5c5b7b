"""Which place is meant: what holds for all names."""

from hypothesis import given, settings
from hypothesis import strategies as st
from parley.core.place import STATES, Place, best, in_words, parts_of

CI = settings(max_examples=100, deadline=None, derandomize=True, database=None)
TEXT = st.text(max_size=8) | st.sampled_from(["Paris", "TX", "Texas", "US", "ca", "U.K.", "??"])
PLACE = st.builds(
    Place, TEXT, st.just(1.0), st.just(2.0), country=TEXT, country_code=TEXT, admin1=TEXT
)


@CI
@given(st.lists(PLACE, max_size=5), TEXT, st.lists(TEXT, max_size=3))
def test_one_of_the_places_is_meant_or_none(places, name, qualifiers):
    found = best(places, name, qualifiers)
    assert found is None or found in places
    if places and not any(map(str.strip, qualifiers)):
        assert found is not None


@CI
@given(st.lists(TEXT, max_size=5), st.text(min_size=1))
def test_a_place_is_found_by_its_whole_name(others, name):
    name = name.replace(",", " ").strip() or "Paris"
    texas = Place(name, 1.0, 2.0, "United States", "US", "Texas")
    asked, qualifiers = parts_of(in_words(texas))
    nowhere = [Place(other, 1.0, 1.0) for other in (*others, name)]
    assert best([*nowhere, texas], asked, qualifiers) == texas


def test_a_larger_place_with_a_longer_name_is_not_meant():
    larger, meant, smaller = (
        Place(name, 1.0, number) for number, name in enumerate(("South Paris", "Paris", "PARIS"))
    )
    assert best([larger, meant, smaller], "paris", ()) == meant
    assert best([larger], "paris", ()) == larger


def test_every_state_is_known_by_its_letters():
    for code, states in STATES.items():
        for letters, name in states.items():
            elsewhere = Place("X", 1.0, 1.0, "Y", code, "Elsewhere")
            there = Place("X", 1.0, 2.0, "Y", code, name)
            assert best([elsewhere, there], "X", (letters.upper(),)) == there, letters
    assert [len(states) for states in STATES.values()] == [51, 13, 8]
