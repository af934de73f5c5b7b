import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, expect, sync_playwright

from local.deployment import LOCAL
from tests.browser import ui_chat
from tests.browser.chromium import ARGUMENTS, NoBrowserError, find
from tests.browser.llm_client import LlmClient
from tests.browser.site import serving
from tests.browser.window import Window

# The fixtures of the running stack are those of the other tests on it.
from tests.e2e.conftest import _fast_model, model, word  # noqa: F401
from tests.e2e.stack import Stack

PICTURES = LOCAL / "screenshots"
# What a condition may take on two busy cores, where a cold start alone takes half of it; nothing
# waits that long when all is well.
PATIENCE_MS = 60_000
DESKTOP = {"width": 1280, "height": 800}

OpenWindow = Callable[..., Window]


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """One browser for all tests here.

    Not for the whole session: while playwright runs, no test may start an event loop.
    """
    path = find(os.environ)
    if path is None:
        raise NoBrowserError("There is no Chromium: `make test` brings it, or says how to get one.")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def new_context(chromium: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Makes people: contexts with cookies, a storage and a taste (options of playwright) of
    their own."""
    contexts: list[BrowserContext] = []

    def make(**options: Any) -> BrowserContext:
        context = chromium.new_context(**{"viewport": DESKTOP, "locale": "en-GB", **options})
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        return context

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def open_window(
    new_context: Callable[..., BrowserContext], request: pytest.FixtureRequest
) -> Iterator[OpenWindow]:
    """Opens tabs at an address; afterwards each is photographed, and nothing went wrong in it.

    `context`: the person whose tab it is, else a new one, made with the other options.
    """
    test = re.sub(r"[^\w.-]+", "-", request.node.name).strip("-")
    windows: list[Window] = []

    def open_one(url: str = "", context: BrowserContext | None = None, **options: Any) -> Window:
        page = (context or new_context(**options)).new_page()
        name = test if not windows else f"{test}-window{len(windows) + 1}"
        windows.append(window := Window(page, PICTURES, name))
        if url:
            page.goto(url)
        return window

    yield open_one
    for window in windows:
        try:
            window.picture()
        except Error:  # Closed or crashed: its troubles tell.
            continue
    troubles = {window.page.url: window.troubles for window in windows if window.troubles}
    assert not troubles, troubles


@pytest.fixture(scope="package")
def component_origin() -> Iterator[str]:
    """Somebody's site with the published component on it, on its developer's machine."""
    with serving(ui_chat.built()) as port:
        yield f"http://localhost:{port}"


@pytest.fixture(scope="package")
def plain(stack: Stack) -> LlmClient:
    return LlmClient(stack, "plain")


@pytest.fixture(scope="package")
def weather(stack: Stack) -> LlmClient:
    return LlmClient(stack, "weather")


@pytest.fixture(scope="package")
def stackademy(stack: Stack) -> LlmClient:
    return LlmClient(stack, "stackademy")
