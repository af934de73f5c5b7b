"""The workbench: the account's llm_clients, for who has a key."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import OpenWindow
from tests.browser.llm_client import LlmClient
from tests.browser.ours import Ours
from tests.e2e.stack import Stack

REFUSED = re.compile("not accepted")
UNAUTHORIZED = r"Failed to load resource.*40[13]"


def enter(page: Page, key: str) -> None:
    """Fill in the form that asks for a key."""
    form = page.get_by_test_id("key-form")
    form.get_by_label("Key").fill(key)
    form.get_by_role("button").click()


def test_it_asks_for_a_key_lists_the_clients_and_opens_one(
    open_window: OpenWindow, stack: Stack, word: str
) -> None:
    window = open_window(f"{stack.api}/workbench/")
    window.expect_trouble(UNAUTHORIZED)
    window.picture("key")
    enter(window.page, "prly_wrong")
    expect(window.page.get_by_text(REFUSED)).to_be_visible()
    enter(window.page, stack.admin_key)

    expect(window.page.get_by_test_id("client")).not_to_have_count(0)
    window.picture("clients")
    window.page.get_by_test_id("client").filter(has_text="plain").get_by_test_id(
        "client-open"
    ).click()

    ours = Ours(window).ready()
    assert re.search(r"/workbench/llm-clients/[^/]+/prompt/$", window.page.url)
    ours.answered(f"What is {word}?")
    window.page.reload()
    ours.ready()
    expect(ours.said("assistant", word, "done")).to_have_count(1)


def test_a_long_list_is_shown_to_its_end(open_window: OpenWindow, stack: Stack) -> None:
    window = open_window()
    pages = {"": ("first", "a b"), "a b": ("second", "c"), "c": ("third", "")}

    def answer(route: Route) -> None:
        asked = parse_qs(urlsplit(route.request.url).query).get("after", [""])
        name, after = pages[asked[0]]
        clients = [{"id": 1, "name": name, "deployed": False}]
        route.fulfill(json={"data": {"llm_clients": clients, "after": after}})

    window.page.route("**/api/v1/llm-clients/*", answer)
    window.page.goto(f"{stack.api}/workbench/#key={stack.admin_key}")

    found = window.page.get_by_test_id("client")
    expect(found).to_have_text([re.compile(name) for name, _ in pages.values()])


@pytest.mark.parametrize("path", ["/workbench/", "/workbench/llm-clients/1/prompt/"])
def test_a_key_in_the_fragment_opens_it_and_leaves_the_address(
    open_window: OpenWindow, stack: Stack, path: str
) -> None:
    window = open_window(f"{stack.api}{path}#key={stack.admin_key}")

    ready = window.page.get_by_test_id("client").or_(
        window.page.locator("[data-testid=composer]:enabled")
    )
    expect(ready.first).to_be_visible()
    assert window.page.url == f"{stack.api}{path}"
    assert stack.admin_key not in window.page.content()
    assert stack.admin_key not in window.page.evaluate(
        "JSON.stringify(localStorage) + document.cookie"
    )


def test_the_sandbox_shows_what_a_tool_has_answered(
    open_window: OpenWindow, stack: Stack, weather: LlmClient, word: str
) -> None:
    number = weather.config()["chatbot"]["id"]
    at = f"{stack.api}/workbench/llm-clients/{number}/prompt/#key={stack.admin_key}"
    ours = Ours(open_window(at)).ready()
    ours.ask(f'{word} calculator {{"expression": "6*7"}}')

    expect(ours.said("assistant", "I called a tool", "done")).to_have_count(1)
    expect(ours.tools.locator("pre")).to_have_count(2)
    expect(ours.tools.locator("pre").first).to_be_hidden()
    ours.tools.locator("summary").click()
    expect(ours.tools.locator("pre").first).to_contain_text("6*7")
    expect(ours.tools).to_contain_text(re.compile(r"\d m?s.*Size of the result"))
    expect(ours.tools.locator("pre").last).to_contain_text("42")
    ours.window.picture("result")
    ours.page.reload()
    ours.ready()
    expect(ours.tools.locator("pre").last).to_contain_text("42")


def test_another_tab_has_to_ask_again(open_window: OpenWindow, stack: Stack) -> None:
    first = open_window(f"{stack.api}/workbench/#key={stack.admin_key}")
    expect(first.page.get_by_test_id("client").first).to_be_visible()

    second = open_window(f"{stack.api}/workbench/", context=first.page.context)

    expect(second.page.get_by_test_id("key-form")).to_be_visible()
