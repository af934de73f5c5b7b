"""Our own page in long conversations: older messages, and the way back to the newest."""

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import OpenWindow
from tests.browser.llm_client import LlmClient
from tests.browser.ours import Ours
from tests.e2e.model import Model

TURNS = 5
SHOWN = 2


@pytest.fixture
def long_ago(open_window: OpenWindow, plain: LlmClient, word: str) -> Ours:
    """A conversation of which config gives the newest turns only, as after many more of them."""
    ours = Ours(open_window(viewport={"width": 1000, "height": 500})).open(plain.url)
    for number in range(TURNS):
        ours.answered(f"Question {number} about {word}")

    def cut(route: Route) -> None:
        config = plain.config(route.request.post_data_json["session_key"])
        config["history"] |= plain.history(config["session_key"], SHOWN)
        route.fulfill(json={"data": config})

    ours.page.route("**/config/", cut)
    ours.page.reload()
    return ours.ready()


def test_older_messages_are_shown_when_they_are_asked_for(long_ago: Ours) -> None:
    questions = long_ago.said("user")
    older = long_ago.page.get_by_test_id("older")
    expect(questions).to_have_count(SHOWN)

    older.click()

    expect(questions).to_have_count(TURNS)
    for number in range(TURNS):
        expect(questions.nth(number)).to_contain_text(f"Question {number}")
    expect(older).to_be_hidden()
    # What one was reading stays where it was.
    expect(questions.nth(TURNS - SHOWN)).to_be_in_viewport()


def test_who_reads_above_is_left_there_and_can_come_back(
    long_ago: Ours, model: Model, word: str
) -> None:
    model.told(f"{word} stall", stall_after=8)
    long_ago.ask(f"{word} stall")
    newest = long_ago.said("assistant").last
    expect(newest).to_have_attribute("data-state", "streaming")
    expect(newest).to_be_in_viewport()

    long_ago.said("user").first.hover()
    long_ago.page.mouse.wheel(0, -5000)
    back = long_ago.page.get_by_test_id("newest")
    expect(back).to_be_visible()
    model.released(f"{word} stall")
    expect(newest).to_have_attribute("data-state", "done")
    expect(newest).not_to_be_in_viewport()
    back.click()

    expect(newest.get_by_text("as a stream")).to_be_in_viewport()
    expect(back).to_be_hidden()


def test_who_begins_to_read_above_is_not_taken_back_by_the_next_word(
    long_ago: Ours, model: Model, word: str
) -> None:
    model.told(f"{word} stall", stall_after=8, answer="And so on. " * 200)
    long_ago.ask(f"{word} stall")
    newest = long_ago.said("assistant").last
    expect(newest).to_have_attribute("data-state", "streaming")
    frame, at_end = (
        long_ago.page.locator("#scroll"),
        "it => it.scrollTop + it.clientHeight + 1 >= it.scrollHeight",
    )
    long_ago.window.until(lambda: frame.evaluate(at_end), "the page to be at the end")

    long_ago.page.mouse.move(500, 200)
    long_ago.page.mouse.wheel(0, -30)
    long_ago.window.until(lambda: not frame.evaluate(at_end), "the page to be scrolled")
    model.released(f"{word} stall")

    expect(newest).to_have_attribute("data-state", "done")
    expect(long_ago.page.get_by_test_id("newest")).to_be_visible()


def test_what_takes_room_from_the_end_leaves_it_in_sight(long_ago: Ours) -> None:
    end = long_ago.said("assistant").last.get_by_test_id("copy-answer")
    expect(end).to_be_in_viewport()

    long_ago.composer.fill("A line.\n" * 8)

    expect(end).to_be_in_viewport(ratio=1)
    # And who reads above stays there.
    long_ago.page.mouse.move(500, 200)
    long_ago.page.mouse.wheel(0, -5000)
    first = long_ago.said("user").first
    expect(first).to_be_in_viewport()
    long_ago.composer.fill("A line.")
    long_ago.drawn()
    expect(first).to_be_in_viewport()
