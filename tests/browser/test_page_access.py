"""Our own page where there is no chat, where it wants a key, and without JavaScript."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenWindow
from tests.browser.llm_client import LlmClient, applied
from tests.browser.ours import Ours
from tests.e2e.model import Model
from tests.e2e.stack import Stack

PRIVATE = """\
apiVersion: smarter.sh/v1
kind: ApiKey
metadata:
  name: private-page
  description: The key that is attached to the private client.
spec:
  role: user
---
apiVersion: smarter.sh/v1
kind: LLMClient
metadata:
  name: private
  description: A client that wants a key.
  version: 0.1.0
spec:
  apiKey: private-page
  config:
    deployed: true
    appName: A private chat
    appWelcomeMessage: Who are you?
"""
# By promises alone: no frame is drawn between a question and this answer.
REFUSED_AT_ONCE = """() => {
  const json = async () => null;
  window.fetch = async () => ({ status: 401, ok: false, headers: new Headers(), json });
}"""


def test_a_private_chat_asks_for_a_key_and_keeps_it_in_the_tab(
    open_window: OpenWindow, stack: Stack, tmp_path: Path, *, model: Model, word: str
) -> None:
    with applied(stack, tmp_path, "private", PRIVATE) as client:
        window = open_window(client.url)
        window.expect_trouble(r"Failed to load resource.*40[13]")
        form = window.page.get_by_test_id("key-form")
        expect(window.page.get_by_test_id("absence")).to_contain_text("This chat is private")
        window.picture("closed")
        form.get_by_label("Key").fill("prly_wrong")
        form.get_by_role("button").click()
        expect(form.get_by_text("not accepted")).to_be_visible()
        form.get_by_label("Key").fill(stack.user_key)
        form.get_by_role("button").click()

        ours = Ours(window).ready()
        model.told(word, stall_after=8)
        ours.ask(f"What is {word}?")
        # The socket has let the key in as well: without it an answer does not grow.
        expect(ours.said("assistant", state="streaming")).to_have_count(1)
        model.released(word)
        expect(ours.said("assistant", word, "done")).to_have_count(1)
        window.page.reload()
        ours.ready()
        expect(ours.said("assistant", word, "done")).to_have_count(1)
        stored = window.page.evaluate("JSON.stringify(localStorage) + document.cookie")
        assert stack.user_key not in stored


def test_a_refusal_before_the_next_frame_is_told_as_well(
    open_window: OpenWindow, plain: LlmClient
) -> None:
    window = open_window()
    window.expect_trouble(r"Failed to load resource.*401")
    window.page.route("**/config/", lambda route: route.fulfill(status=401, json={}))
    window.page.goto(plain.url)
    form = window.page.get_by_test_id("key-form")
    form.get_by_label("Key").fill("prly_wrong")
    window.page.evaluate(REFUSED_AT_ONCE)

    form.get_by_role("button").click()

    expect(form.get_by_text("not accepted")).to_be_visible()
    expect(form.get_by_label("Key")).to_be_focused()


@pytest.mark.parametrize("path", ["/workbench/", "/workbench/llm-clients/1/prompt/"])
def test_a_link_with_a_key_works_in_a_tab_that_shows_the_page(
    open_window: OpenWindow, stack: Stack, path: str
) -> None:
    window = open_window(f"{stack.api}{path}")
    window.expect_trouble(r"Failed to load resource.*40[13]")
    page = window.page
    form = page.get_by_test_id("key-form")
    ready = page.get_by_test_id("client").or_(page.locator("[data-testid=composer]:enabled"))
    expect(form).to_be_visible()

    # First where one is asked for, then where one is in use, and a wrong one.
    for key in (stack.user_key, stack.admin_key):
        page.evaluate(f"location.hash = 'key={key}'")
        # It is taken out of the address a moment later.
        page.wait_for_function("key => sessionStorage.getItem('parley:key') === key", arg=key)
        expect(ready.first).to_be_visible()
        expect(form).to_have_count(0)
        page.wait_for_url(f"{stack.api}{path}")
    page.evaluate("location.hash = 'key=prly_wrong'")

    expect(form.get_by_text("not accepted")).to_be_visible()
    assert page.url == f"{stack.api}{path}"


def test_where_there_is_no_chat_a_browser_reads_so(
    open_window: OpenWindow, plain: LlmClient
) -> None:
    window = open_window()
    window.expect_trouble(r"Failed to load resource.*404")
    response = window.page.goto(plain.url.replace("plain", "nobody"))

    assert response is not None
    assert response.status == 404
    expect(window.page.get_by_text("This chat is not available")).to_be_visible()


def test_without_javascript_it_says_so_and_shows_nothing_else(
    open_window: OpenWindow, plain: LlmClient, stack: Stack
) -> None:
    window = open_window(java_script_enabled=False)
    for address in (plain.url, f"{stack.api}/workbench/"):
        window.page.goto(address)

        expect(window.page.locator(".noscript")).to_be_in_viewport()
        expect(window.page.get_by_role("button")).to_have_count(0)
        window.picture("noscript")
