"""The published React component, unchanged, against the deployed stack: every flow a user has."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser import ui_chat
from tests.browser.component import OWN_NOISE, Component
from tests.browser.conftest import OpenWindow
from tests.browser.llm_client import LlmClient
from tests.e2e.model import Model
from tests.e2e.waiting import until

SESSION_KEY = re.compile(r"[0-9a-f]{64}")
Show = Callable[..., Component]


@pytest.fixture
def show(open_window: OpenWindow, component_origin: str) -> Show:
    """Opens the site with the component, pointed at an llm_client."""

    def shown(llm_client: LlmClient, *, strict: bool = False) -> Component:
        window = open_window(ui_chat.address(component_origin, llm_client.url, strict=strict))
        if strict:
            window.expect_trouble(*OWN_NOISE)
        return Component(window).ready()

    return shown


def test_it_loads_and_greets(show: Show, stackademy: LlmClient) -> None:
    chatbot = stackademy.config()["chatbot"]

    component = show(stackademy)

    expect(component.header).to_contain_text(chatbot["app_name"])
    expect(component.input).to_have_attribute("data-placeholder", chatbot["app_placeholder"])
    expect(component.message("assistant", chatbot["app_welcome_message"])).to_have_count(1)
    for example in chatbot["app_example_prompts"]:
        expect(component.message("assistant", example)).to_have_count(1)
    assert SESSION_KEY.fullmatch(component.session_key)


def test_a_message_is_answered_and_a_reload_restores_the_session(
    show: Show, plain: LlmClient, word: str
) -> None:
    component = show(plain)
    key = component.session_key

    component.send(f"What is {word}?")
    expect(component.message("assistant", f"You asked: “What is {word}?”")).to_have_count(1)
    expect(component.typing).to_have_count(0)
    component.send(f"And what is {word} again?")
    expect(component.message("assistant", f"You asked: “And what is {word} again?”")).to_have_count(
        1
    )
    before = component.page.locator("section.cs-message").all_inner_texts()
    component.reload()

    expect(component.messages("user")).to_have_count(2)
    assert component.session_key == key
    assert component.page.locator("section.cs-message").all_inner_texts() == before
    assert plain.said(key, "user") == [f"What is {word}?", f"And what is {word} again?"]


def test_text_reaches_the_model_as_it_was_typed(
    show: Show, plain: LlmClient, model: Model, word: str
) -> None:
    typed = f"{word}: is 1<2 && \"2\">'1', see [this](https://example.com/?a=1&b=2)"
    component = show(plain)

    component.send(typed)

    expect(component.message("assistant", word)).to_have_count(1)
    assert model.calls(word)[0]["text"] == typed
    assert plain.said(component.session_key, "user") == [typed]


def test_a_new_chat_is_another_session_and_the_old_one_stays(
    show: Show, plain: LlmClient, word: str
) -> None:
    component = show(plain)
    component.send(f"The first {word}")
    expect(component.message("assistant", word)).to_have_count(1)
    old = component.session_key

    component.start_new_chat()
    expect(component.messages("user")).to_have_count(0)
    component.send(f"The second {word}")
    expect(component.message("assistant", "The second")).to_have_count(1)

    assert plain.said(component.session_key, "user") == [f"The second {word}"]
    assert plain.said(old, "user") == [f"The first {word}"]


def test_a_tool_is_called_and_its_result_is_in_the_answer(
    show: Show, weather: LlmClient, word: str
) -> None:
    component = show(weather)

    component.send(f'{word} calculator {{"expression": "6*7"}}')

    answered = re.compile(r"I called a tool.*42", re.DOTALL)
    expect(component.message("assistant", answered)).to_have_count(1)
    component.reload()
    expect(component.message("assistant", answered)).to_have_count(1)
    # The component would post stored tool messages back as orphans.
    expect(component.messages("tool")).to_have_count(0)
    component.send(f"{word} once more")
    expect(component.message("assistant", f"You asked: “{word} once more”")).to_have_count(1)


def test_an_error_is_shown_in_plain_words_and_the_chat_goes_on(
    show: Show, plain: LlmClient, model: Model, word: str
) -> None:
    model.told(word, fail={"status": 400, "message": f"secret of the provider {word}"})
    component = show(plain)

    component.send(f"What is {word}?")

    error = component.messages("smarter_error")
    expect(error).to_have_count(1)
    assert "Traceback" not in error.inner_text()
    expect(component.typing).to_have_count(0)
    model.told(word, fail=None)
    component.send(f"Then what is {word}, please?")
    expect(component.message("assistant", "Then what is")).to_have_count(1)


def test_a_turn_that_takes_long_says_so_and_its_answer_is_there_later(
    show: Show, plain: LlmClient, model: Model, word: str
) -> None:
    model.told(word, stall_after=3)
    component = show(plain)

    component.send(f"What is {word}?")

    expect(component.messages("smarter")).to_have_count(1)
    model.released(word)
    until(lambda: plain.said(component.session_key, "assistant"), "the answer to be stored")
    component.reload()
    expect(component.message("assistant", f"You asked: “What is {word}?”")).to_have_count(1)


def test_calls_that_react_doubles_are_one_prompt(
    show: Show, plain: LlmClient, model: Model, word: str
) -> None:
    component = show(plain, strict=True)
    window = component.window
    assert len(window.posted("/config/")) == 2

    for number in (1, 2):
        component.send(f"What is {word}{number}?")
        answer = component.message("assistant", f"You asked: “What is {word}{number}?”")
        expect(answer.first).to_be_visible()
        window.until(lambda n=number: len(window.posted("/chat/")) == 2 * n, "the second post")
        expect(component.typing).to_have_count(0)

    key = component.session_key
    assert plain.said(key, "user") == [f"What is {word}1?", f"What is {word}2?"]
    assert len(plain.said(key, "assistant")) == 2
    assert [len(model.calls(f"{word}{number}")) for number in (1, 2)] == [1, 1]
    component.reload()
    expect(component.messages("user")).to_have_count(2)
