"""Our own page inside of other people's sites, where its llm_client allows it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import FrameLocator, expect

from tests.browser import ui_chat
from tests.browser.component import Component
from tests.browser.conftest import OpenWindow
from tests.browser.llm_client import LlmClient, applied
from tests.browser.site import self_signed, serving
from tests.e2e.stack import Stack

MANIFEST = """\
apiVersion: smarter.sh/v1
kind: LLMClient
metadata:
  name: embedded
  description: A client that a shop has on its site.
  version: 0.1.0
spec:
  config:
    deployed: true
    appName: The shop's assistant
    appWelcomeMessage: What are you looking for?
  allowedOrigins: ["https://shop.test:{port}"]
"""
PAGE = """\
<!doctype html>
<link rel="icon" href="data:,">
<title>A shop</title>
<h1>A shop</h1>
{embedded}
"""


FRAME = '<iframe src="{url}" width="420" height="560" title="Chat"></iframe>'
SCRIPT = '<script src="{url}embed.js" async></script>'
LEFT = '<script src="{url}embed.js" data-position="left" data-title="Ask us" async></script>'
OPEN = '<script src="{url}embed.js" data-open async></script>'
TAGS = {"frame": FRAME, "script": SCRIPT, "left": LEFT, "open": OPEN}
# The shop's certificate is nobody's.
VISITOR: dict[str, Any] = {
    "viewport": {"width": 800, "height": 700},
    "ignore_https_errors": True,
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """The directory of the shop's pages, and the port that they are served on."""
    certificate = self_signed(tmp_path_factory.mktemp("certificate"), "shop.test")
    directory = tmp_path_factory.mktemp("shop")
    (directory / "production").symlink_to(ui_chat.built() / "production")
    with serving(directory, certificate) as port:
        yield directory, port


@pytest.fixture(scope="module")
def embedded(stack: Stack, shop: tuple[Path, int]) -> Iterator[LlmClient]:
    """A client that https://shop.test may show, with pages there that do."""
    directory, port = shop
    with applied(stack, directory, "embedded", MANIFEST.format(port=port)) as client:
        for name, how in TAGS.items():
            content = PAGE.format(embedded=how.format(url=client.url))
            (directory / f"{name}.html").write_text(content)
        yield client


@pytest.fixture
def port(embedded: LlmClient, shop: tuple[Path, int]) -> int:
    """Where the shop's pages are, once there is something to embed."""
    return shop[1]


def test_a_site_that_is_allowed_shows_it_in_a_frame(
    open_window: OpenWindow, port: int, word: str
) -> None:
    window = open_window(f"https://shop.test:{port}/frame.html", **VISITOR)

    ask(window.page.frame_locator("iframe"), f"What is {word}?")


def test_one_line_puts_it_on_a_site(open_window: OpenWindow, port: int, word: str) -> None:
    window = open_window(f"https://shop.test:{port}/script.html", **VISITOR)

    window.page.get_by_role("button").click()

    ask(window.page.frame_locator("iframe"), f"What is {word}?")


def test_its_button_loads_it_when_it_is_wanted_and_keys_close_it(
    open_window: OpenWindow, port: int, embedded: LlmClient
) -> None:
    window = open_window(f"https://shop.test:{port}/left.html", **VISITOR)
    button = window.page.get_by_role("button", name="Ask us")
    chat = window.page.get_by_role("dialog", name="Ask us")
    composer = window.page.frame_locator("iframe").get_by_test_id("composer")
    box = button.bounding_box()
    assert box is not None
    assert box["x"] < 100
    assert embedded.url not in [request.url for request in window.requests]

    button.press("Enter")
    expect(composer).to_be_enabled()
    expect(button).to_have_attribute("aria-expanded", "true")
    # The site has nothing to say about it.
    window.page.evaluate("postMessage('parley:close', '*')")
    window.page.evaluate("new Promise(requestAnimationFrame)")
    expect(chat).to_be_visible()
    composer.press("Escape")
    expect(chat).to_be_hidden()
    expect(button).to_be_focused()

    button.press("Enter")
    expect(chat).to_be_visible()
    window.page.mouse.click(VISITOR["viewport"]["width"] - 20, 20)
    window.page.keyboard.press("Escape")
    expect(chat).to_be_hidden()
    expect(button).to_be_focused()
    assert [request.url for request in window.requests].count(embedded.url) == 1


def test_it_can_be_open_from_the_start(open_window: OpenWindow, port: int) -> None:
    window = open_window(f"https://shop.test:{port}/open.html", **VISITOR)

    expect(window.page.frame_locator("iframe").get_by_test_id("composer")).to_be_enabled()
    box = window.page.get_by_role("button").bounding_box()
    assert box is not None
    assert box["x"] > VISITOR["viewport"]["width"] - 100


def test_a_site_that_is_not_allowed_cannot_frame_it(open_window: OpenWindow, port: int) -> None:
    window = open_window(**VISITOR)
    window.expect_trouble("frame-ancestors", "net::ERR_BLOCKED_BY_RESPONSE")

    window.page.goto(f"https://elsewhere.test:{port}/frame.html")

    window.until(lambda: window.troubled_by("frame-ancestors"), "the browser to refuse")
    expect(window.page.frame_locator("iframe").get_by_test_id("composer")).to_have_count(0)


def test_a_site_that_is_not_allowed_reads_what_to_do(open_window: OpenWindow, port: int) -> None:
    window = open_window(**VISITOR)
    window.expect_trouble("frame-ancestors", "net::ERR_BLOCKED_BY_RESPONSE", "Parley: ")
    window.page.goto(f"https://elsewhere.test:{port}/script.html")

    window.page.get_by_role("button").click()

    expect(window.page.get_by_text("The chat cannot be shown here")).to_be_visible()
    origin = re.escape(f"add https://elsewhere.test:{port} to spec.allowedOrigins")
    window.until(lambda: window.troubled_by(origin), "the console to say what to do")


def test_a_page_that_is_shown_is_not_apologised_for(open_window: OpenWindow, port: int) -> None:
    window = open_window(**VISITOR)
    window.page.clock.install()
    window.page.goto(f"https://shop.test:{port}/script.html")

    window.page.get_by_role("button").click()
    expect(window.page.frame_locator("iframe").get_by_test_id("composer")).to_be_enabled()
    window.page.clock.fast_forward(60_000)

    expect(window.page.get_by_text("The chat cannot be shown here")).to_be_hidden()


def test_a_site_on_this_machine_may_frame_it_in_development(
    open_window: OpenWindow, shop: tuple[Path, int], embedded: LlmClient, word: str
) -> None:
    with serving(shop[0]) as port:
        window = open_window(f"http://localhost:{port}/frame.html")

        ask(window.page.frame_locator("iframe"), f"What is {word}?")


def test_the_published_component_works_on_a_site_that_is_allowed(
    open_window: OpenWindow, embedded: LlmClient, port: int, word: str
) -> None:
    address = ui_chat.address(f"https://shop.test:{port}", embedded.url)
    component = Component(open_window(address, **VISITOR)).ready()

    component.send(f"What is {word}?")

    expect(component.message("assistant", f"You asked: “What is {word}?”")).to_have_count(1)
    assert embedded.said(component.session_key, "user") == [f"What is {word}?"]


def test_the_published_component_reads_nothing_on_another_site(
    open_window: OpenWindow, embedded: LlmClient, port: int
) -> None:
    window = open_window(**VISITOR)
    window.expect_trouble("blocked by CORS policy", "net::ERR_FAILED", "Failed to fetch")

    window.page.goto(ui_chat.address(f"https://elsewhere.test:{port}", embedded.url))

    window.until(lambda: window.troubled_by("blocked by CORS policy"), "the browser to refuse")
    assert Component(window).session_key == ""


def ask(frame: FrameLocator, text: str) -> None:
    """Ask in a frame, and see the answer there."""
    frame.get_by_test_id("composer").fill(text)
    frame.get_by_test_id("composer").press("Enter")
    answer = frame.get_by_test_id("message").filter(has_text=f"You asked: “{text}”")
    expect(answer).to_be_visible()
