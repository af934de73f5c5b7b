"""Our own page on the deployed stack: asking, stopping, retrying, editing, and coming back."""

import re

import pytest
from parley.wire.page import LOCAL_ORIGINS
from playwright.sync_api import expect

from tests.browser.conftest import OpenWindow
from tests.browser.llm_client import LlmClient
from tests.browser.ours import Ours
from tests.e2e.model import Model


@pytest.fixture
def ours(open_window: OpenWindow, plain: LlmClient) -> Ours:
    """Our page of the client `plain`, in a browser that has never been there."""
    return Ours(open_window()).open(plain.url)


def test_it_greets_and_offers_examples_that_ask(
    open_window: OpenWindow, stackademy: LlmClient
) -> None:
    chatbot = stackademy.config()["chatbot"]
    ours = Ours(open_window()).open(stackademy.url)

    expect(ours.page.get_by_role("heading", level=1)).to_have_text(chatbot["app_name"])
    expect(ours.composer).to_have_attribute("placeholder", chatbot["app_placeholder"])
    expect(ours.page.get_by_text(chatbot["app_welcome_message"])).to_be_visible()
    expect(ours.examples).to_have_text(chatbot["app_example_prompts"])
    ours.window.picture("welcome")
    example = chatbot["app_example_prompts"][0]
    ours.examples.first.click()

    expect(ours.said("user", example)).to_have_count(1)
    expect(ours.said("assistant", "development model", "done")).to_have_count(1)
    expect(ours.examples).to_have_count(0)


def test_an_answer_streams_in_and_a_reload_restores_it(
    ours: Ours, plain: LlmClient, model: Model, word: str
) -> None:
    model.told(word, stall_after=8)
    ours.ask(f"What is {word}?")

    streaming = ours.said("assistant", "I am Parley's development model", "streaming")
    expect(streaming).to_have_count(1)
    expect(ours.stop).to_be_visible()
    ours.window.picture("streaming")
    model.released(word)
    expect(ours.said("assistant", f"You asked: “What is {word}?”", "done")).to_have_count(1)
    expect(ours.stop).to_be_hidden()
    before = ours.messages.all_text_contents()
    ours.page.reload()
    ours.ready()

    expect(ours.messages).to_have_text(before)
    assert len(model.calls(word)) == 1


def test_a_reload_in_the_middle_of_an_answer_loses_nothing_of_it(
    ours: Ours, model: Model, word: str
) -> None:
    model.told(word, stall_after=8)
    ours.ask(f"What is {word}?")
    expect(ours.said("assistant", state="streaming")).to_have_count(1)

    ours.page.reload()
    ours.ready()
    expect(ours.said("user", word)).to_have_count(1)
    model.released(word)

    expect(ours.said("assistant", f"You asked: “What is {word}?”", "done")).to_have_count(1)
    assert len(model.calls(word)) == 1


def test_stop_keeps_what_was_said_and_ends_the_models_call(
    ours: Ours, model: Model, word: str
) -> None:
    model.told(word, stall_after=8)
    ours.ask(f"What is {word}?")
    expect(ours.said("assistant", "I am Parley's development model", "streaming")).to_have_count(1)

    ours.stop.click()

    stopped = ours.said("assistant", "I am Parley's development model", "stopped")
    expect(stopped).to_have_count(1)
    model.until_state(word, "disconnected")
    ours.window.picture("stopped")
    ours.page.reload()
    ours.ready()
    expect(stopped).to_have_count(1)
    ours.answered("And now?")
    expect(ours.retry).to_have_count(0)


def test_a_stopped_turn_can_be_tried_again(ours: Ours, model: Model, word: str) -> None:
    model.told(word, stall_after=8)
    ours.ask(f"What is {word}?")
    expect(ours.said("assistant", state="streaming")).to_have_count(1)
    ours.stop.click()
    expect(ours.said("assistant", state="stopped")).to_have_count(1)
    model.told(word, stall_after=None)

    ours.retry.click()

    expect(ours.said("assistant", f"You asked: “What is {word}?”", "done")).to_have_count(1)
    for _ in ("as it came", "after a reload"):
        expect(ours.said("user")).to_have_count(1)
        expect(ours.said("assistant")).to_have_count(1)
        expect(ours.retry).to_have_count(0)
        ours.page.reload()
        ours.ready()


def test_a_failed_turn_can_be_retried(ours: Ours, model: Model, word: str) -> None:
    model.told(word, fail={"status": 400, "message": f"secret of the provider {word}"})
    ours.ask(f"What is {word}?")
    expect(ours.said("assistant", state="failed")).to_have_count(1)
    expect(ours.page.get_by_text("secret of the provider")).to_have_count(0)
    ours.window.picture("failed")

    model.told(word, fail=None)
    ours.retry.click()

    expect(ours.said("assistant", f"You asked: “What is {word}?”", "done")).to_have_count(1)
    expect(ours.said("user")).to_have_count(1)
    ours.page.reload()
    ours.ready()
    expect(ours.messages).to_have_count(2)


def test_the_last_question_can_be_asked_in_other_words(
    ours: Ours, plain: LlmClient, model: Model, word: str
) -> None:
    ours.answered(f"A first question about {word}")
    ours.answered(f"What is {word}, wrongly?")

    ours.edit.click()
    expect(ours.composer).to_have_value(f"What is {word}, wrongly?")
    ours.window.picture("editing")
    ours.answered(f"What is {word}, rightly?")

    expect(ours.said("user")).to_have_count(2)
    expect(ours.said("user", "wrongly")).to_have_count(0)
    # The model hears the question and what was before it, not what it replaces.
    alone = model.calls(f"{word}, wrongly")[0]["messages"]
    assert model.calls(f"{word}, rightly")[0]["messages"] == alone
    ours.page.reload()
    ours.ready()
    expect(ours.said("user")).to_have_text(
        [re.compile(f"first question about {word}"), re.compile(f"{word}, rightly")]
    )


def test_two_tabs_show_the_same_conversation(
    ours: Ours, open_window: OpenWindow, plain: LlmClient, word: str
) -> None:
    ours.answered(f"What is {word}?")
    other = Ours(open_window(context=ours.page.context)).open(plain.url)
    expect(other.said("assistant", word, "done")).to_have_count(1)

    ours.answered(f"And what else is {word}?")

    expect(other.said("assistant", f"And what else is {word}?", "done")).to_have_count(1)


def test_an_edit_in_one_tab_is_seen_in_the_other(
    ours: Ours, open_window: OpenWindow, plain: LlmClient, word: str
) -> None:
    ours.answered(f"What is {word}, wrongly?")
    other = Ours(open_window(context=ours.page.context)).open(plain.url)
    expect(other.said("assistant", "wrongly", "done")).to_have_count(1)

    ours.edit.click()
    ours.answered(f"What is {word}, rightly?")

    expect(other.said("assistant", "rightly", "done")).to_have_count(1)
    expect(other.said("user")).to_have_text([re.compile(f"{word}, rightly")])
    expect(other.said("assistant")).to_have_count(1)


def test_an_edit_that_is_not_meant_gives_the_draft_back(ours: Ours, word: str) -> None:
    ours.answered(f"What is {word}?")
    for leave in ("Cancel", "Escape"):
        ours.composer.fill("Half a question")
        ours.edit.click()
        expect(ours.composer).to_have_value(f"What is {word}?")
        ours.composer.fill("Something else")
        if leave == "Cancel":
            ours.page.get_by_role("button", name="Cancel").click()
        else:
            ours.page.keyboard.press("Escape")

        expect(ours.composer).to_have_value("Half a question")
        expect(ours.page.get_by_text("Editing your last question")).to_be_hidden()
    ours.composer.press("Enter")

    expect(ours.said("user")).to_have_text([re.compile(word), re.compile("Half a question")])


def test_a_question_is_there_at_once_and_is_the_same_when_it_is_taken(
    ours: Ours, word: str
) -> None:
    held = ours.held("**/chat/")
    ours.ask(f"What is {word}?")
    ours.window.until(lambda: held, "the question to be on its way")
    question = ours.said("user", word)
    expect(question).to_have_attribute("data-state", "pending")
    # Somebody may have begun to read it aloud, or to select it.
    question.evaluate("it => { it.dataset.mark = 'mine' }")
    held.pop().continue_()

    expect(question).to_have_attribute("data-state", "sent")
    expect(question).to_have_attribute("data-mark", "mine")


def test_everything_can_be_done_by_keyboard(ours: Ours, model: Model, word: str) -> None:
    model.told(word, stall_after=8)
    keys = ours.page.keyboard
    expect(ours.composer).to_be_focused()

    keys.type(f"What is {word}?")
    keys.press("Shift+Enter")
    keys.type("In a few words, please.")
    keys.press("Enter")
    expect(ours.said("user", f"What is {word}?\nIn a few words")).to_have_count(1)
    expect(ours.said("assistant", state="streaming")).to_have_count(1)
    walk_to(ours, "stop")
    keys.press("Enter")
    expect(ours.said("assistant", state="stopped")).to_have_count(1)
    walk_to(ours, "new-chat")
    keys.press("Enter")

    expect(ours.messages).to_have_count(0)
    expect(ours.composer).to_be_focused()


def walk_to(ours: Ours, name: str) -> None:
    """Press Tab until the focus is there; it has to be visible, and to be there within a round."""
    seen: list[str] = []
    for _ in range(60):
        ours.page.keyboard.press("Tab")
        focused = ours.page.evaluate("document.activeElement.dataset.testid ?? ''")
        if focused == name:
            return
        seen.append(focused)
    pytest.fail(f"the focus never came to {name}, but to {seen}")


@pytest.mark.parametrize("text", ["<img src=x onerror=alert(1)>", "**not bold"])
def test_what_is_said_is_shown_as_it_was_said(ours: Ours, text: str, word: str) -> None:
    ours.ask(f"{word} {text}")

    expect(ours.said("user", f"{word} {text}")).to_have_count(1)
    expect(ours.said("assistant", word, "done")).to_have_count(1)
    expect(ours.messages.locator("img")).to_have_count(0)


def test_nothing_that_a_model_says_runs_or_loads(ours: Ours, model: Model, word: str) -> None:
    evil = "<script>alert(1)</script> <img src=x onerror=alert(2)> ![i](https://example.com/i.png)"
    model.told(word, answer=f"{evil} [click](javascript:alert(3)) and that was {word}")
    dialogs: list[str] = []
    ours.page.on("dialog", lambda dialog: dialogs.append(dialog.message))

    ours.ask(f"Attack {word}")

    answer = ours.said("assistant", f"and that was {word}", "done")
    expect(answer).to_have_count(1)
    expect(answer).to_contain_text("<script>alert(1)</script> <img src=x onerror=alert(2)>")
    expect(answer.locator("script, img, [onerror]")).to_have_count(0)
    expect(answer.get_by_text("click")).not_to_have_attribute("href", re.compile("javascript"))
    asked = [request.url for request in ours.window.requests]
    assert not [url for url in asked if "example.com" in url]
    assert dialogs == []


def test_the_page_may_load_and_be_framed_by_nothing_else(
    open_window: OpenWindow, plain: LlmClient
) -> None:
    window = open_window()
    answer = window.page.goto(plain.url)
    assert answer
    policy = answer.headers["content-security-policy"]

    directives = dict(one.strip().partition(" ")[::2] for one in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == "'self'"
    # And by the sites of this machine, where the API is as well.
    assert set(directives["frame-ancestors"].split()) == {"'self'", *LOCAL_ORIGINS}
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    Ours(window).ready()


def test_a_text_that_is_too_long_is_kept_back(ours: Ours, plain: LlmClient) -> None:
    limit = plain.config()["limits"]["input_characters"]

    ours.composer.fill("x" * (limit + 1))
    expect(ours.send_button).to_be_disabled()
    expect(ours.page.get_by_text("1 character too many")).to_be_visible()
    ours.composer.press("Enter")
    ours.drawn()
    expect(ours.messages).to_have_count(0)
    ours.composer.fill("x" * limit)

    expect(ours.send_button).to_be_enabled()


def test_a_tools_work_is_told_in_plain_words(
    open_window: OpenWindow, weather: LlmClient, word: str
) -> None:
    ours = Ours(open_window()).open(weather.url)
    ours.ask(f'{word} calculator {{"expression": "6*7"}}')

    expect(ours.said("assistant", "I called a tool", "done")).to_have_count(1)
    for _ in ("as it came", "after a reload"):
        expect(ours.tools).to_have_count(1)
        # How long it took, and with what it was asked, is for the workbench.
        expect(ours.tools).to_have_text("Calculatordone")
        expect(ours.tools).to_have_attribute("data-outcome", "ok")
        ours.window.picture("tool")
        ours.page.reload()
        ours.ready()


def test_code_has_a_button_that_copies_it(
    open_window: OpenWindow, plain: LlmClient, model: Model, word: str
) -> None:
    code = "print('1 < 2')\nfor x in 'ab':\n    print(x)"
    model.told(word, answer=f"Try this:\n\n```python\n{code}\n```\n\nThat is **all**.")
    window = open_window(permissions=["clipboard-read", "clipboard-write"])
    ours = Ours(window).open(plain.url)
    ours.ask(f"Show me {word}")
    expect(ours.said("assistant", "That is all.", "done")).to_have_count(1)

    # It says so for two seconds: here for good.
    ours.page.evaluate("window.setTimeout = () => 0")
    button = ours.page.get_by_test_id("copy")
    button.click()

    expect(button).to_contain_text("Copied")
    assert ours.page.evaluate("navigator.clipboard.readText()") == code


def test_an_empty_answer_says_so_and_can_be_asked_for_again(
    ours: Ours, model: Model, word: str
) -> None:
    model.told(word, answer="")
    ours.ask(f"What is {word}?")

    expect(ours.said("assistant", "The assistant answered nothing.", "done")).to_have_count(1)
    ours.window.picture("empty")
    model.told(word, answer=None)
    ours.retry.click()

    expect(ours.said("assistant", f"You asked: “What is {word}?”", "done")).to_have_count(1)
    expect(ours.said("user")).to_have_count(1)
    ours.page.reload()
    ours.ready()
    expect(ours.messages).to_have_count(2)


def test_a_question_before_the_answer_is_there_waits_with_a_hint_and_over_a_reload(
    ours: Ours, model: Model, word: str
) -> None:
    model.told(word, stall_after=8)
    ours.ask(f"What is {word}?")
    expect(ours.said("assistant", state="streaming")).to_have_count(1)

    ours.ask("And why?")
    hint = ours.page.get_by_text("Wait for the answer, or press Escape to stop it.")
    expect(hint).to_be_visible()
    expect(ours.composer).to_have_value("And why?")
    ours.window.picture("hint")
    ours.page.reload()
    ours.ready()
    expect(ours.composer).to_have_value("And why?")
    model.released(word)
    expect(ours.said("assistant", state="done")).to_have_count(1)
    expect(hint).to_be_hidden()
    ours.composer.press("Enter")

    expect(ours.said("user", "And why?")).to_have_count(1)
    expect(ours.composer).to_have_value("")
