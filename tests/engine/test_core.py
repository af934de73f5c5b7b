"""Back-off, context, titles, keys and frames: the parts of the domain without a state."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parley.core.access import (
    TEXT_LIMIT_BYTES,
    KeyRole,
    Principal,
    bare_key,
    checked_id,
    checked_text,
    key_hash,
)
from parley.core.backoff import backoff_ms, next_attempt_at
from parley.core.context import ContextBudget, build_context, estimated_tokens
from parley.core.errors import Forbidden, Invalid, ProviderFailed, TooLarge
from parley.core.events import (
    FRAME_BYTES,
    cut_message,
    delta_frames,
    encoded,
    error_frame,
    message_frame,
    message_state,
    prompt_frame,
)
from parley.core.model import Catalogue, Model
from parley.core.prompt import Prompt, Status
from parley.core.thread import (
    ANSWER,
    QUESTION,
    REPLACES,
    Message,
    Role,
    Thread,
    answer_id,
    title_of,
)

from tests.fakes.world import Figures

CI = settings(max_examples=60, deadline=None, derandomize=True, database=None)

# Cheap to write and dear to encode: control characters take six bytes each, quotes two,
# emoji four for one code point.
texts = st.one_of(
    st.text(max_size=300),
    st.builds(
        lambda unit, times: unit * times,
        st.sampled_from(["a", "\x00", '"\\', "é", "☃", "😀", "👨‍👩‍👧", "\x1f😀\n"]),
        st.integers(0, 40_000),
    ),
)

long_id = "i" * 128


def a_prompt(**fields: object) -> Prompt:
    prompt = Prompt("acc", "p", "t", 3, "usr", Status.RUNNING, 0, 0, "f", max_retries=5)
    return replace(prompt, **fields)  # type: ignore[arg-type]


def a_message(text: str, turn: int = 1, part: int = QUESTION, id_: str = "p") -> Message:
    role = Role.USER if part == QUESTION else Role.ASSISTANT
    return Message("acc", "t", turn, part, id_, role, text, 0, 0)


# --- back-off -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attempt", "seconds"),
    [(0, 1), (1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (9, 256), (10, 512), (11, 512), (99, 512)],
)
def test_the_back_off_doubles_up_to_512_seconds(attempt: int, seconds: int) -> None:
    assert backoff_ms(1, attempt) == seconds * 1000


@pytest.mark.parametrize(
    ("failures", "retry_after", "wait"),
    [
        (0, None, 1000),
        (2, None, 4000),
        (0, 0.5, 1000),  # the back-off is longer
        (0, 7.25, 7250),  # the provider's wish is longer
        (4, 10, 16_000),
        (0, 900, 900_000),
        (0, 900.5, None),  # longer than a caller can be asked to wait
        (5, None, None),  # the retries are used up
        (5, 1, None),
    ],
)
def test_when_a_failed_attempt_is_repeated(
    failures: int, retry_after: float | None, wait: int | None
) -> None:
    failed = ProviderFailed("status_429", "", retryable=True, retry_after=retry_after)
    at = next_attempt_at(a_prompt(failures=failures), failed, 5000, 1)
    assert at == (None if wait is None else 5000 + wait)


def test_what_the_provider_refuses_is_not_repeated() -> None:
    refused = ProviderFailed("status_400", "", retryable=False)
    assert next_attempt_at(a_prompt(), refused, 0, 1) is None


@CI
@given(st.integers(0, 20), st.integers(0, 20), st.floats(0, 2000))
def test_a_repeat_never_comes_before_the_back_off_or_the_providers_wish(
    failures: int, retries: int, retry_after: float
) -> None:
    failed = ProviderFailed("x", "", retryable=True, retry_after=retry_after)
    at = next_attempt_at(a_prompt(failures=failures, max_retries=retries), failed, 0, 1)
    assert (at is None) == (failures >= retries or retry_after > 900)
    if at is not None:
        assert at >= backoff_ms(1, failures + 1)
        assert at >= int(retry_after * 1000)


def test_the_times_of_the_policy_leave_room_for_two_failed_renewals() -> None:
    policy = Figures()
    assert policy.renew_every * 2 < policy.lease - policy.lease_margin
    assert (policy.lease_ms, policy.sweep_ms) == (30_000, 60_000)


# --- context --------------------------------------------------------------------------


class Read:
    """The messages of a thread, newest first, counting how many were read."""

    def __init__(self, messages: list[Message]) -> None:
        self.messages = messages
        self.count = 0

    async def newest_first(self) -> AsyncIterator[Message]:
        for message in self.messages:
            self.count += 1
            yield message


def context_of(read: Read, turn: int, budget: ContextBudget) -> list[Message]:
    return [*asyncio.run(build_context(read.newest_first(), turn, budget)).messages]


def a_thread(sizes: list[int], answered: list[bool]) -> list[Message]:
    """Newest first; the last turn has no answer yet."""
    found = []
    for turn, (size, has_answer) in enumerate(zip(sizes, answered, strict=False), start=1):
        found.append(a_message("q" * size, turn))
        if has_answer and turn < len(sizes):
            found.append(a_message("a" * size, turn, ANSWER))
    return found[::-1]


@CI
@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=40),
    st.lists(st.booleans(), min_size=40, max_size=40),
    st.integers(1, 10),
    st.integers(1, 500),
)
def test_a_context_is_the_newest_part_that_fits_and_begins_with_a_question(
    sizes: list[int], answered: list[bool], turns: int, tokens: int
) -> None:
    thread = a_thread(sizes, answered)
    turn = len(sizes)
    read = Read(thread)
    context = context_of(read, turn, ContextBudget(turns, tokens))

    assert context[-1] == thread[0]
    assert context == thread[: len(context)][::-1]
    assert context[0].role is Role.USER
    assert all(message.turn > turn - turns for message in context)
    if len(context) > 1:
        assert sum(estimated_tokens(message.text) for message in context) <= tokens
    assert read.count <= 2 * turns + 1


def test_the_question_itself_goes_whatever_its_size() -> None:
    read = Read([a_message("q" * 10_000, 2), a_message("a", 1, ANSWER), a_message("q", 1)])
    context = context_of(read, 2, ContextBudget(5, 10))
    assert [message.turn for message in context] == [2]


def test_nothing_is_read_once_the_budget_is_filled() -> None:
    read = Read(a_thread([4] * 1000, [True] * 1000))
    context_of(read, 1000, ContextBudget(3, 1_000_000))
    assert read.count == 6


def test_an_answer_whose_question_does_not_fit_is_dropped() -> None:
    read = Read([a_message("now", 2), a_message("a" * 8, 1, ANSWER), a_message("q" * 4000, 1)])
    context = context_of(read, 2, ContextBudget(5, 100))
    assert [message.text for message in context] == ["now"]


# --- titles, ids, keys -------------------------------------------------------------------


@CI
@given(st.text())
def test_a_title_is_cut_on_a_character(text: str) -> None:
    title = title_of(text)
    assert text.startswith(title)
    assert len(title) == min(len(text), 100)


def test_an_answers_id_follows_from_its_prompt_and_its_turn() -> None:
    assert answer_id("p", 7) == "msg_p.7"


@pytest.mark.parametrize("good", ["a", "A-z_0.9:x", "x" * 128])
def test_an_id_within_the_pattern_is_taken(good: str) -> None:
    assert checked_id(good, "id") == good


@pytest.mark.parametrize("bad", ["", "x" * 129, "a b", "a/b", "é", "a\n", "#"])
def test_an_id_outside_the_pattern_is_refused(bad: str) -> None:
    with pytest.raises(Invalid, match="id must match"):
        checked_id(bad, "id")


@pytest.mark.parametrize("blank", ["", " ", "\n\t"])
def test_a_blank_text_is_refused(blank: str) -> None:
    with pytest.raises(Invalid, match="blank"):
        checked_text(blank, "prompt")


def test_a_text_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(Invalid, match="Unicode"):
        checked_text("half of a pair: \ud83d", "prompt")


def test_a_text_is_measured_in_bytes() -> None:
    fitting = "é" * (TEXT_LIMIT_BYTES // 2)
    assert checked_text(fitting, "prompt") == fitting
    with pytest.raises(TooLarge, match="300 KB"):
        checked_text(fitting + "x", "prompt")


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("Bearer k", "k"),
        ("bearer  k", "k"),
        ("Token k", "k"),
        ("k", "k"),
        (" k ", "k"),
        ("", ""),
        ("Bearer", ""),
        ("Basic k", ""),
        ("Bearer k l", ""),
    ],
)
def test_a_key_comes_as_bearer_as_token_or_bare(header: str, key: str) -> None:
    assert bare_key(header) == key


def test_a_key_is_stored_as_its_hash() -> None:
    assert key_hash("k") != "k"
    assert len(key_hash("k")) == 64


def test_who_sees_a_thread_and_owns_a_prompt() -> None:
    thread = Thread("acc", "t", "", "usr", 0, 0, user_ids=("friend",))
    cases = [
        ("acc", "usr", KeyRole.USER, True, True),
        ("acc", "friend", KeyRole.USER, True, False),
        ("acc", "else", KeyRole.USER, False, False),
        ("acc", "else", KeyRole.ADMIN, True, True),
        ("other", "usr", KeyRole.ADMIN, False, False),
        ("other", "usr", KeyRole.USER, False, False),
    ]
    for account, user, role, sees, owns in cases:
        principal = Principal(account, user, role, "")
        assert (principal.sees(thread), principal.owns(a_prompt())) == (sees, owns)


def test_an_admins_call_needs_an_admin() -> None:
    Principal("acc", "usr", KeyRole.ADMIN, "").require_admin()
    with pytest.raises(Forbidden):
        Principal("acc", "usr", KeyRole.USER, "").require_admin()


# --- models ---------------------------------------------------------------------------------


def test_an_empty_model_id_means_the_default_or_else_the_first() -> None:
    first, second = Model("a", "u", "m"), Model("b", "u", "m", default=True)
    assert Catalogue((first, second)).resolve("") is second
    assert Catalogue((first,)).resolve("") is first
    assert Catalogue((first, second)).resolve("a") is first


@pytest.mark.parametrize("models", [(), (Model("a", "u", "m"),)])
def test_an_unknown_model_is_refused(models: tuple[Model, ...]) -> None:
    with pytest.raises(Invalid, match="unknown modelId"):
        Catalogue(models).resolve("x")


def test_an_account_without_models_has_no_default() -> None:
    with pytest.raises(Invalid, match="no models"):
        Catalogue().resolve("")


# --- frames ---------------------------------------------------------------------------------


@CI
@given(texts, st.integers(0, 500))
def test_deltas_together_are_the_text_and_each_fits_a_frame(text: str, offset: int) -> None:
    frames = list(delta_frames(long_id, long_id, 2**31, text, offset))
    assert "".join(frame["text"] for frame in frames) == text[offset:]
    at = offset
    for frame in frames:
        assert frame["offset"] == at
        assert frame["end"] == at + len(frame["text"])
        assert len(encoded(frame)) <= FRAME_BYTES
        at = frame["end"]


@CI
@given(texts)
def test_a_message_is_told_whole_or_cut_to_fit_and_says_so(text: str) -> None:
    message = replace(a_message(text), id=long_id, thread_id=long_id, user_id=long_id)
    frame = message_frame(message)
    told = frame["message"]
    assert len(encoded(frame)) <= FRAME_BYTES
    assert text.startswith(told["text"])
    assert told["truncated"] == (told["text"] != text)
    if told["truncated"]:
        assert len(encoded(frame)) > FRAME_BYTES // 2, "cut by more than it had to be"


@CI
@given(texts, st.integers(1, 50_000))
def test_a_cut_takes_at_least_what_is_asked_or_everything(text: str, excess: int) -> None:
    message = a_message(text)
    cut = cut_message(message, excess)
    less = len(encoded(message_state(message))) - len(encoded(cut))
    assert less >= excess or cut["text"] == ""


def test_followers_are_told_which_turn_an_edit_takes_the_place_of() -> None:
    edit = replace(a_message("hello"), part=QUESTION, turn=3, meta={REPLACES: "2"})
    assert message_frame(edit)["message"]["replaces"] == 2
    assert cut_message(edit, 3)["replaces"] == 2
    for other in (replace(edit, meta={}), replace(edit, part=ANSWER), replace(edit, turn=2)):
        assert message_state(other)["replaces"] == 0


def test_a_prompts_frame_has_no_word_of_the_provider() -> None:
    frame = prompt_frame(a_prompt(error="secret words", error_code="status_500"))
    assert b"secret words" not in encoded(frame)
    assert frame["prompt"]["errorCode"] == "status_500"


def test_an_errors_frame_says_what_it_is_about() -> None:
    assert error_frame("no", action="subscribe") == {
        "type": "error",
        "error": "no",
        "action": "subscribe",
    }
