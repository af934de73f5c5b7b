"""Static plugins: when they are selected, what the model is offered, what a look-up finds."""

import json

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parley.core.plugin import (
    KEYS_OFFERED,
    RESULT_BYTES,
    StaticPlugin,
    knows,
    lookup,
    offered_keys,
    selected,
    tool_of,
)

CI = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def matches(term: str, text: str) -> bool:
    """Whether a plugin with this term has its turn when somebody says this text."""
    plugin = StaticPlugin("one", 1, directive="search_terms", search_terms=(term,))
    return selected([plugin], text).selected == (plugin,)


@pytest.mark.parametrize(
    ("term", "text"),
    [
        ("courses", "Which courses are there?"),
        ("COURSES", "which courses are there?"),
        ("courses", "COURSES!"),
        ("course", "which courses?"),
        ("machine learning", "Is Machine-Learning taught?"),
        ("machine learning", "Is learning about a machine hard?"),
        ("MachineLearning", "is machine learning hard?"),
        ("MachineLearning", "is learning a machine hard?"),
        ("MachineLearning", "is machinelearning hard?"),
        ("machine learning", "what is MachineLearning?"),
        ("McDonald", "who is mcdonald?"),
        ("what's on", "Whats on?"),
        ("it\u2019s", "it's"),
        ("C++", "do you teach C?"),
        ("caf\u00e9", "a cafe\u0301, please"),
        ("\u00dcbung", "eine \u00fcbung"),
        ("snake_case", "is snake case good?"),
    ],
)
def test_a_text_has_a_term(term, text):
    assert matches(term, text)


@pytest.mark.parametrize(
    ("term", "text"),
    [
        ("developer", "the dev team"),
        ("dev developer", "a developer"),
        ("machine learning", "a machine"),
        ("McDonald", "mc donald"),
        ("C++", "academic matters"),
        ("?!", "what?!"),
        ("", "anything"),
        ("course", ""),
    ],
)
def test_a_text_has_not_a_term(term, text):
    assert not matches(term, text)


TERM = st.text(min_size=1).filter(lambda text: any(c.isascii() and c.isalnum() for c in text))


@CI
@given(st.text(), TERM, st.text())
def test_a_term_is_found_wherever_it_stands(before, term, after):
    assert matches(term, f"{before} {term} {after}")


ASCII_TERM = st.text("abcXYZ .-_", min_size=1).filter(lambda text: any(map(str.isalnum, text)))


@CI
@given(ASCII_TERM, ASCII_TERM)
def test_the_case_of_a_term_and_of_a_text_does_not_matter(term, text):
    if matches(term.lower(), text.lower()):
        assert matches(term.upper(), text.upper())


@CI
@given(st.lists(st.sampled_from(["red", "green", "blue"]), min_size=1), st.randoms())
def test_the_order_of_the_words_does_not_matter(words, random):
    shuffled = random.sample(words, len(words))
    assert matches(" ".join(words), ", then ".join(shuffled))


ALWAYS = StaticPlugin("always", 1)
TERMS = StaticPlugin("terms", 2, directive="search_terms", search_terms=("price", "cost"))
OTHER = StaticPlugin("other", 3, directive="search_terms", search_terms=("weather",))
CHOSEN = StaticPlugin("chosen", 4, directive="llm")
ATTACHED = (TERMS, ALWAYS, CHOSEN, OTHER)


def names(input_text, *user_texts):
    return [plugin.name for plugin in selected(ATTACHED, input_text, user_texts).selected]


def test_without_a_term_only_those_that_always_apply_are_selected():
    assert names("hello", "good day") == ["always"]


def test_a_term_of_the_new_text_selects_in_the_order_of_attachment():
    assert names("What is the price?") == ["terms", "always"]


def test_a_term_of_an_earlier_text_keeps_its_plugin_selected():
    assert names("and then?", "hello", "What does it cost?") == ["terms", "always"]


def test_each_plugin_is_selected_by_a_text_of_its_own():
    assert names("the weather", "the cost") == ["terms", "always", "other"]


def test_a_plugin_that_the_model_chooses_is_offered_and_never_selected():
    for text in ("hello", "chosen llm price"):
        found = selected(ATTACHED, text)
        assert found.offered == (CHOSEN,)
        assert CHOSEN not in found.selected


def test_earlier_texts_are_read_only_as_far_as_needed():
    def texts():
        yield "hello"
        yield "price and weather"
        raise AssertionError("read too far")

    found = selected(ATTACHED, "good day", texts())
    assert [plugin.name for plugin in found.selected] == ["terms", "always", "other"]


def test_nothing_is_selected_of_nothing():
    assert selected((), "hello") == selected((), "")
    assert selected((), "hello").selected == ()


TEXT = st.text() | st.sampled_from(["the price", "the weather and the cost", "hello"])


@CI
@given(st.permutations(ATTACHED), TEXT, st.lists(TEXT))
def test_an_earlier_text_selects_what_it_did_as_the_new_one(plugins, text, texts):
    first = selected(plugins, text, texts)
    assert first == selected(plugins, "", [*texts, text])
    assert set(numbers(first.selected)) >= set(numbers(selected(plugins, text).selected)) >= {1}
    assert numbers(first.offered) == [4]


def numbers(plugins):
    return [plugin.number for plugin in plugins]


NESTED = {
    "courses": [{"title": "AI", "price": 10}, {"title": "Art", "teachers": {"lead": "Ann"}}],
    "price": {"currency": "EUR"},
    "about": "A school",
}


def plugin(data, **more):
    return StaticPlugin("school", 11, "About the school", static_data=data, **more)


def test_a_plugin_has_a_tool_with_its_number_in_ten_digits():
    assert tool_of(plugin(NESTED)).name == "smarter_plugin_0000000011"
    assert StaticPlugin("x", 12_345).tool_name == "smarter_plugin_0000012345"


def test_the_keys_offered_are_those_further_out_first_and_each_once():
    keys = ("courses", "price", "about", "currency", "title", "teachers", "lead")
    assert offered_keys(plugin(NESTED)) == keys


def test_the_tool_takes_one_of_the_keys():
    tool = tool_of(plugin(NESTED))
    assert tool.description == "About the school"
    jsonschema.Draft202012Validator.check_schema(dict(tool.parameters))
    jsonschema.validate({"inquiry_type": "lead"}, tool.parameters)
    for wrong in ({"inquiry_type": "rent"}, {}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, tool.parameters)


def test_a_plugin_without_data_offers_no_empty_choice():
    assert "enum" not in tool_of(plugin({})).parameters["properties"]["inquiry_type"]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("about", "A school"),
        ("currency", "EUR"),
        ("lead", "Ann"),
        ("teachers", {"lead": "Ann"}),
        ("title", "AI"),
        ("price", {"currency": "EUR"}),
        ("courses", NESTED["courses"]),
    ],
)
def test_a_look_up_finds_the_outermost_value_wherever_it_is(key, expected):
    assert json.loads(lookup(plugin(NESTED), key)) == expected


def test_an_unknown_key_is_told_as_data_with_those_that_are_known():
    (answer,) = json.loads(lookup(plugin(NESTED), "rent"))
    assert list(answer) == ["error"]
    for word in ("'rent'", "'price'", "'lead'"):
        assert word in answer["error"]


def test_a_long_value_is_cut_and_says_so():
    for text in ("x" * 40_000, "\u20ac" * 20_000, '"\n' * 20_000, "\U0001f600" * 9_000):
        found = lookup(plugin({"book": text}), "book")
        assert RESULT_BYTES * 0.9 < len(found.encode()) <= RESULT_BYTES
        cut = json.loads(found)
        assert "cut" in cut["note"]
        assert json.dumps(text, ensure_ascii=False).startswith(cut["text"])


def test_a_value_that_just_fits_is_whole():
    text = "x" * (RESULT_BYTES - 2)
    assert json.loads(lookup(plugin({"book": text}), "book")) == text
    assert "note" in json.loads(lookup(plugin({"book": text + "x"}), "book"))


DATA = st.dictionaries(
    st.text(),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    ),
    max_size=8,
)


@CI
@given(DATA)
def test_every_key_that_is_offered_is_found(data):
    school = plugin(data)
    keys = offered_keys(school)
    assert len(keys) == len(set(keys)) <= KEYS_OFFERED
    assert set(keys) >= set(list(data)[:KEYS_OFFERED])
    for key in keys:
        assert knows(school, key)
        found = lookup(school, key)
        assert len(found.encode(errors="replace")) <= RESULT_BYTES
        json.loads(found)


@CI
@given(DATA, st.text())
def test_every_look_up_answers_json(data, key):
    answer = json.loads(lookup(plugin(data), key))
    if not knows(plugin(data), key):
        assert list(answer[0]) == ["error"]
