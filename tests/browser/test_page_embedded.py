"""Our own page inside of other people's sites, where its llm_client allows it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import FrameLocator, expect

from tests.browser.conftest import OpenWindow
from tests.browser.llm_client import LlmClient
from tests.browser.site import serving
from tests.browser.window import Window
from tests.e2e.cli import Parley
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
    allowedOrigins: ["http://shop.test:{port}"]
"""
PAGE = """\
<!doctype html>
<link rel="icon" href="data:,">
<title>A shop</title>
<h1>A shop</h1>
{embedded}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """Where the shop's pages are, and the port that they are served on."""
    directory = tmp_path / "shop"
    directory.mkdir()
    with serving(directory) as port:
        yield directory, port


@pytest.fixture
def embedded(
    stack: Stack, shop: tuple[Path, int], parley_admin: Parley, tmp_path: Path
) -> Iterator[LlmClient]:
    """A client that may be framed by http://shop.test, on the shop's port."""
    manifest = tmp_path / "embedded.yaml"
    manifest.write_text(MANIFEST.format(port=shop[1]))
    parley_admin.run("apply", "-f", str(manifest))
    yield LlmClient(stack, "embedded")
    parley_admin.run("delete", "llmclient", "embedded")


def framed_in(window: Window, directory: Path, embedded: str) -> FrameLocator:
    """The shop's page with this in it, opened; its frame."""
    (directory / "index.html").write_text(PAGE.format(embedded=embedded))
    return window.page.frame_locator("iframe")


def test_a_site_that_is_allowed_shows_it_in_a_frame(
    open_window: OpenWindow, embedded: LlmClient, shop: tuple[Path, int], word: str
) -> None:
    window = open_window(viewport={"width": 800, "height": 700})
    iframe = f'<iframe src="{embedded.url}" width="420" height="560" title="Chat"></iframe>'
    frame = framed_in(window, shop[0], iframe)

    window.page.goto(f"http://shop.test:{shop[1]}/")
    frame.get_by_test_id("composer").fill(f"What is {word}?")
    frame.get_by_test_id("composer").press("Enter")

    expect(frame.get_by_text(f"You asked: “What is {word}?”")).to_be_visible()


def test_one_line_puts_it_on_a_site(
    open_window: OpenWindow, embedded: LlmClient, shop: tuple[Path, int], word: str
) -> None:
    window = open_window(viewport={"width": 800, "height": 700})
    frame = framed_in(window, shop[0], f'<script src="{embedded.url}embed.js" async></script>')

    window.page.goto(f"http://shop.test:{shop[1]}/")
    window.page.get_by_role("button").click()
    frame.get_by_test_id("composer").fill(f"What is {word}?")
    frame.get_by_test_id("composer").press("Enter")

    expect(frame.get_by_text(f"You asked: “What is {word}?”")).to_be_visible()


def test_a_site_that_is_not_allowed_cannot_frame_it(
    open_window: OpenWindow, embedded: LlmClient, shop: tuple[Path, int]
) -> None:
    window = open_window()
    window.expect_trouble("frame-ancestors", "net::ERR_BLOCKED_BY_RESPONSE")
    frame = framed_in(window, shop[0], f'<iframe src="{embedded.url}" title="Chat"></iframe>')

    window.page.goto(f"http://elsewhere.test:{shop[1]}/")

    window.until(lambda: window.troubled_by("frame-ancestors"), "the browser to refuse")
    expect(frame.get_by_test_id("composer")).to_have_count(0)
