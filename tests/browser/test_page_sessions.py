"""The conversations of this browser: opened again, renamed, removed, taken back."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenWindow
from tests.browser.llm_client import LlmClient
from tests.browser.ours import Ours
from tests.e2e.cli import Parley
from tests.e2e.model import Model
from tests.e2e.stack import Stack

NARROW = {"width": 390, "height": 844}
# No conversation is opened before `opened()`.
GATE = """() => {
  const gate = new Promise((open) => (window.opened = open));
  const { fetch } = window;
  window.fetch = async (url, request) => {
    if (String(url).includes("/config/")) await gate;
    return fetch(url, request);
  };
}"""
# The offer to undo ends with `ended()`, whatever time it is.
OFFER = """() => {
  const { setTimeout } = window;
  window.setTimeout = (act, ms) =>
    ms === 12_000 ? ((window.ended = act), 0) : setTimeout(act, ms);
}"""


@pytest.fixture
def ours(open_window: OpenWindow, plain: LlmClient) -> Ours:
    """Our page of the client `plain`, in a browser that has never been there."""
    return Ours(open_window()).open(plain.url)


def test_past_conversations_are_listed_renamed_and_opened_again(ours: Ours, word: str) -> None:
    ours.answered(f"The first {word}")
    ours.new_chat.click()
    expect(ours.messages).to_have_count(0)
    ours.answered(f"The second {word}")

    ours.look_at_sessions()
    expect(ours.page.get_by_test_id("session")).to_have_text(
        [re.compile(f"The second {word}"), re.compile(f"The first {word}")]
    )
    ours.session(f"The first {word}").hover()
    ours.session(f"The first {word}").get_by_test_id("session-rename").click()
    ours.page.keyboard.type(f"Renamed {word}")
    ours.page.keyboard.press("Enter")
    expect(ours.session(f"Renamed {word}")).to_have_count(1)
    ours.window.picture("sessions")
    ours.page.reload()
    ours.ready()
    expect(ours.said("user", f"The second {word}")).to_have_count(1)
    ours.look_at_sessions()
    ours.session(f"Renamed {word}").get_by_test_id("session-open").click()

    expect(ours.said("user", f"The first {word}")).to_have_count(1)
    expect(ours.said("assistant", f"The first {word}", "done")).to_have_count(1)
    expect(ours.said("user")).to_have_count(1)


def test_a_name_that_is_not_meant_is_left_with_escape(ours: Ours, word: str) -> None:
    ours.answered(f"What is {word}?")
    row = ours.session(word)

    row.hover()
    row.get_by_test_id("session-rename").click()
    ours.page.keyboard.type("Something else")
    ours.page.keyboard.press("Escape")

    expect(row).to_have_count(1)
    expect(row.get_by_role("textbox")).to_have_count(0)
    expect(row.get_by_test_id("session-open")).to_be_focused()


def test_a_name_is_written_to_its_end_whatever_happens_meanwhile(ours: Ours, word: str) -> None:
    ours.answered(f"What is {word}?")
    row = ours.session(word)
    expect(row).to_have_count(1)
    held = ours.held("**/chat/")
    ours.ask(f"And what is {word} then?")
    ours.window.until(lambda: held, "the question to be on its way")

    row.hover()
    row.get_by_test_id("session-rename").click()
    ours.page.keyboard.type("Half a ")
    # Its answer makes the conversation the newest one.
    with ours.page.expect_request_finished():
        held.pop().continue_()
    expect(ours.said("assistant", "then", "done")).to_have_count(1)
    ours.drawn()
    ours.page.keyboard.type("name")
    ours.page.keyboard.press("Enter")

    expect(ours.page.get_by_test_id("session-title")).to_have_text(["Half a name"])
    expect(ours.session("Half a name").get_by_test_id("session-open")).to_be_focused()


def test_who_goes_elsewhere_from_a_name_is_there(ours: Ours, word: str) -> None:
    ours.answered(f"The first {word}")
    ours.new_chat.click()
    ours.answered(f"The second {word}")
    expect(ours.page.get_by_test_id("session")).to_have_count(2)

    for number, go in enumerate(
        (ours.session("The first").get_by_test_id("session-open"), ours.composer)
    ):
        ours.session("second").hover()
        ours.session("second").get_by_test_id("session-rename").click()
        ours.page.keyboard.type(f"No {number}, the second")
        go.click()
        expect(ours.session(f"No {number}, the second")).to_have_count(1)
        expect(ours.said("user")).to_have_text([re.compile(f"The first {word}")])
        expect(ours.composer).to_be_focused()


def test_a_conversation_that_was_removed_from_the_list_can_be_taken_back(
    ours: Ours, word: str
) -> None:
    ours.answered(f"What is {word}?")
    ours.page.evaluate(OFFER)
    undo = ours.page.get_by_test_id("session-undo")

    removed(ours, word)
    expect(ours.page.get_by_text("The conversation stays on the server.")).to_be_visible()
    expect(ours.session(word)).to_have_count(0)
    expect(ours.messages).to_have_count(0)
    ours.window.picture("removed")
    # Who uses the keyboard is at the button, and afterwards where one asks.
    expect(undo).to_be_focused()
    expect(ours.page.get_by_test_id("welcome")).to_be_visible()
    expect(undo).to_be_focused()
    ours.page.keyboard.press("Enter")

    expect(ours.session(word)).to_have_count(1)
    expect(undo).to_be_hidden()
    expect(ours.said("assistant", word, "done")).to_have_count(1)
    expect(ours.composer).to_be_focused()


def test_one_that_is_not_shown_comes_back_under_its_name(ours: Ours, word: str) -> None:
    ours.answered(f"The first {word}")
    renamed(ours, f"The first {word}", f"Renamed {word}")
    ours.new_chat.click()
    ours.answered(f"The second {word}")
    expect(ours.session(f"The second {word}")).to_have_count(1)
    before = ours.page.get_by_test_id("session-title").all_text_contents()
    ours.page.evaluate(OFFER)

    removed(ours, f"Renamed {word}")
    expect(ours.session(f"Renamed {word}")).to_have_count(0)
    expect(ours.said("user", f"The second {word}")).to_have_count(1)
    ours.page.get_by_test_id("session-undo").click()

    expect(ours.session(f"Renamed {word}")).to_have_count(1)
    expect(ours.sessions.locator(":focus")).to_have_count(1)
    assert ours.page.get_by_test_id("session-title").all_text_contents() == before
    expect(ours.said("user", f"The second {word}")).to_have_count(1)
    ours.page.reload()
    ours.ready()
    expect(ours.session(f"Renamed {word}")).to_have_count(1)


def test_a_removal_can_be_taken_back_for_twelve_seconds(ours: Ours, word: str) -> None:
    ours.answered(f"What is {word}?")
    ours.page.evaluate(OFFER)

    removed(ours, word)
    undo = ours.page.get_by_test_id("session-undo")
    expect(undo).to_be_visible()
    ours.page.evaluate("ended()")

    expect(undo).to_be_hidden()
    expect(ours.composer).to_be_focused()
    ours.page.reload()
    ours.ready()
    expect(ours.session(word)).to_have_count(0)


def test_what_is_asked_while_a_new_chat_is_opened_is_sent_when_it_is_there(
    ours: Ours, word: str
) -> None:
    ours.answered(f"The first {word}")
    ours.page.evaluate(GATE)

    ours.new_chat.click()
    expect(ours.new_chat).to_be_disabled()
    ours.page.keyboard.type(f"The second {word}")
    ours.page.keyboard.press("Enter")
    expect(ours.page.get_by_text("sent as soon as the conversation is open")).to_be_visible()
    ours.window.picture("waiting")
    ours.page.evaluate("opened()")

    expect(ours.said("assistant", f"The second {word}", "done")).to_have_count(1)
    expect(ours.said("user")).to_have_count(1)
    expect(ours.composer).to_have_value("")
    expect(ours.composer).to_be_focused()


def test_an_edit_of_a_conversation_that_was_left_changes_no_other(ours: Ours, word: str) -> None:
    ours.answered(f"The first {word}")
    ours.new_chat.click()
    ours.answered(f"The second {word}")
    expect(ours.session(f"The first {word}")).to_have_count(1)
    ours.composer.fill("Half a question")
    ours.edit.click()
    expect(ours.composer).to_have_value(f"The second {word}")

    ours.session(f"The first {word}").get_by_test_id("session-open").click()
    expect(ours.said("assistant", f"The first {word}", "done")).to_have_count(1)
    expect(ours.page.get_by_text("Editing your last question")).to_be_hidden()
    expect(ours.composer).to_have_value("Half a question")
    ours.answered(f"The third {word}")

    expect(ours.said("user")).to_have_text([re.compile("The first"), re.compile("The third")])


def test_what_was_asked_of_a_conversation_that_was_left_goes_to_no_other(
    ours: Ours, word: str
) -> None:
    ours.answered(f"The first {word}")
    expect(ours.session(word)).to_have_count(1)
    ours.page.evaluate(GATE)

    ours.new_chat.click()
    expect(ours.new_chat).to_be_disabled()
    ours.page.keyboard.type(f"The second {word}")
    ours.page.keyboard.press("Enter")
    ours.session(word).get_by_test_id("session-open").click()
    expect(ours.page.get_by_text("sent as soon as")).to_be_hidden()
    ours.page.evaluate("opened()")

    expect(ours.said("assistant", f"The first {word}", "done")).to_have_count(1)
    expect(ours.new_chat).to_be_enabled()
    expect(ours.composer).to_have_value(f"The second {word}")
    expect(ours.said("user")).to_have_count(1)


def test_an_offer_that_ends_while_the_new_chat_is_opened_leaves_the_focus_there(
    ours: Ours, word: str
) -> None:
    ours.answered(f"What is {word}?")
    expect(ours.session(word)).to_have_count(1)
    ours.page.evaluate(OFFER)
    ours.page.evaluate(GATE)

    removed(ours, word)
    expect(ours.new_chat).to_be_disabled()
    expect(ours.page.get_by_test_id("session-undo")).to_be_focused()
    ours.page.evaluate("ended()")
    expect(ours.composer).to_be_focused()
    ours.page.evaluate("opened()")

    expect(ours.new_chat).to_be_enabled()
    expect(ours.composer).to_be_focused()


def test_a_session_that_is_deleted_while_it_is_shown_is_followed_by_a_new_one(
    ours: Ours, model: Model, stack: Stack, tmp_path: Path, word: str
) -> None:
    parley = Parley(stack, stack.admin_key, tmp_path)
    ours.streamed(model, word)
    listed = parley.json("sessions", "list", "--llm-client", "plain")
    [session] = [one for one in listed["sessions"] if word in one["title"]]

    parley("sessions", "delete", session["id"], "--yes")

    # Nobody touches the page: its socket was told.
    expect(ours.notice).to_contain_text("no longer there, so a new one was started")
    expect(ours.messages).to_have_count(0)
    expect(ours.session(word)).to_have_count(0)
    ours.window.picture("deleted")
    ours.answered(f"And what is {word} now?")


def renamed(ours: Ours, title: str, name: str) -> None:
    """Give a conversation another name."""
    ours.session(title).hover()
    ours.session(title).get_by_test_id("session-rename").click()
    ours.page.keyboard.type(name)
    ours.page.keyboard.press("Enter")
    expect(ours.session(name)).to_have_count(1)


def removed(ours: Ours, title: str) -> None:
    """Take a conversation from the list."""
    ours.session(title).hover()
    ours.session(title).get_by_test_id("session-remove").click()


def test_the_drawer_of_a_narrow_window_is_used_by_keyboard(
    open_window: OpenWindow, plain: LlmClient, word: str
) -> None:
    ours = Ours(open_window(viewport=NARROW)).open(plain.url)
    ours.answered(f"What is {word}?")
    expect(ours.page.get_by_test_id("session")).to_have_count(1)
    menu, keys = ours.page.get_by_test_id("menu"), ours.page.keyboard

    menu.press("Enter")
    expect(ours.session(word).get_by_test_id("session-open")).to_be_focused()
    expect(menu).to_have_attribute("aria-expanded", "true")
    expect(ours.page.locator("#main")).to_have_attribute("inert", "")
    for _ in range(8):
        keys.press("Tab")
        assert ours.page.evaluate("document.activeElement.closest('#main, .skip') === null")
    keys.press("Escape")
    expect(menu).to_be_focused()
    expect(ours.sessions).not_to_be_visible()
    expect(menu).to_have_attribute("aria-expanded", "false")
    expect(ours.page.locator("[inert]")).to_have_count(0)

    menu.press("Enter")
    ours.page.evaluate("document.activeElement.blur()")
    keys.press("Escape")
    expect(menu).to_be_focused()
    # Nothing stays out of reach when the window becomes wide meanwhile.
    menu.press("Enter")
    ours.page.set_viewport_size({"width": 1280, "height": 800})
    expect(ours.page.locator("[inert]")).to_have_count(0)


def test_escape_closes_the_drawer_and_stops_no_answer(
    open_window: OpenWindow, plain: LlmClient, model: Model, word: str
) -> None:
    ours = Ours(open_window(viewport=NARROW)).open(plain.url)
    model.told(word, stall_after=8)
    ours.ask(f"What is {word}?")
    expect(ours.said("assistant", state="streaming")).to_have_count(1)

    ours.look_at_sessions()
    ours.page.keyboard.press("Escape")
    expect(ours.sessions).not_to_be_visible()
    ours.drawn()
    expect(ours.stop).to_be_enabled()
    model.released(word)

    expect(ours.said("assistant", f"You asked: “What is {word}?”", "done")).to_have_count(1)
