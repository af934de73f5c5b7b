"""Our own page when the connection is lost, comes back, or never stands."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenWindow
from tests.browser.llm_client import LlmClient
from tests.browser.ours import NO_SOCKETS, Ours, Wires
from tests.browser.window import Window
from tests.e2e.model import Model

OFFLINE = "ERR_INTERNET_DISCONNECTED"


@pytest.fixture
def window(open_window: OpenWindow) -> Window:
    return open_window()


def test_a_lost_connection_is_said_mended_and_caught_up(
    window: Window, plain: LlmClient, model: Model, word: str
) -> None:
    window.expect_trouble(OFFLINE)
    wires = Wires(window)
    ours = Ours(window).open(plain.url)
    model.told(word, stall_after=8)
    ours.ask(f"What is {word}?")
    expect(ours.said("assistant", state="streaming")).to_have_count(1)

    wires.cut()
    expect(ours.banner).to_be_visible()
    window.picture("offline")
    model.released(word)
    model.until_state(word, "completed")
    wires.mend()

    expect(ours.said("assistant", f"You asked: “What is {word}?”", "done")).to_have_count(1)
    expect(ours.banner).to_be_hidden()
    assert wires.made >= 2
    ours.answered(f"And what is {word} again?")


def test_a_socket_that_ended_is_opened_again_without_anybodys_help(
    window: Window, plain: LlmClient, model: Model, word: str
) -> None:
    wires = Wires(window)
    ours = Ours(window).open(plain.url)
    ours.streamed(model, word)
    before = wires.made

    wires.cut(offline=False)
    expect(ours.banner).to_be_visible()
    window.picture("reconnecting")
    ours.answered(f"What is {word} meanwhile?")
    wires.mend()

    expect(ours.banner).to_be_hidden()
    assert wires.made > before
    ours.answered(f"And what is {word} again?")


def test_without_a_socket_it_asks_by_plain_requests(
    window: Window, plain: LlmClient, model: Model, word: str
) -> None:
    window.page.add_init_script(NO_SOCKETS)
    ours = Ours(window).open(plain.url)

    ours.answered(f"What is {word}?")
    model.told(word, fail={"status": 400})
    ours.ask(f"Does {word} fail?")
    expect(ours.said("assistant", state="failed")).to_have_count(1)
    model.told(word, fail=None, stall_after=8)
    ours.ask(f"Can {word} be stopped?")
    expect(ours.stop).to_be_visible()
    model.until_called(word, times=3, chunks=8)
    ours.stop.click()

    expect(ours.said("assistant", state="stopped")).to_have_count(1)


def test_a_question_that_could_not_be_sent_is_not_lost(
    window: Window, plain: LlmClient, word: str
) -> None:
    window.expect_trouble(OFFLINE)
    wires = Wires(window)
    ours = Ours(window).open(plain.url)
    wires.cut()

    ours.ask(f"What is {word}?")
    expect(ours.composer).to_have_value(f"What is {word}?")
    wires.mend()
    expect(ours.banner).to_be_hidden()
    ours.answered(f"What is {word}?")

    expect(ours.said("user")).to_have_count(1)
