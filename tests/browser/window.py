"""A tab of the browser that remembers what went wrong in it, and is photographed at its end."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from playwright.sync_api import ConsoleMessage, Page, Request

from tests.e2e.waiting import PAUSE_SECONDS, SECONDS

T = TypeVar("T")

# What a page must not do goes to the console too, wherever the browser reports it.
WATCH_POLICY = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`Content-Security-Policy: ${event.violatedDirective} ${event.blockedURI}`);
});
"""
CANCELED = "net::ERR_ABORTED"


class Window:
    """A page, its troubles (errors on the console, exceptions, requests that failed) and calls."""

    def __init__(self, page: Page, pictures: Path, test: str) -> None:
        self.page = page
        self.requests: list[Request] = []
        self.open_requests: set[Request] = set()
        self._pictures = pictures
        self._test = test
        self._troubles: list[str] = []
        self._expected: list[str] = []
        page.add_init_script(WATCH_POLICY)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self._troubles.append(f"exception: {error}"))
        page.on("requestfailed", self._failed)
        page.on("requestfinished", self._finished)
        page.on("request", self._asked)

    @property
    def troubles(self) -> list[str]:
        """What went wrong and was not expected."""
        return [
            trouble
            for trouble in self._troubles
            if not any(re.search(pattern, trouble) for pattern in self._expected)
        ]

    def expect_trouble(self, *patterns: str) -> None:
        """Take troubles that match one of these regular expressions as part of the test."""
        self._expected += patterns

    def troubled_by(self, pattern: str) -> bool:
        """Whether such a trouble was met, expected or not."""
        return any(re.search(pattern, trouble) for trouble in self._troubles)

    def posted(self, path: str) -> list[Request]:
        """The POST calls whose path ends so, in their order."""
        return [
            request
            for request in self.requests
            if request.method == "POST" and request.url.partition("?")[0].endswith(path)
        ]

    def until(self, look: Callable[[], T], what: str) -> T:
        """The first true value of `look`, for what only this tab knows: it goes on meanwhile."""
        deadline = time.monotonic() + SECONDS
        while not (seen := look()):
            assert time.monotonic() < deadline, f"waited {SECONDS:g} s for {what}"
            self.page.wait_for_timeout(PAUSE_SECONDS * 1000)
        return seen

    def picture(self, name: str = "") -> Path:
        """Keep what the tab looks like, as `{test}-{name}.png`."""
        file = self._pictures / (f"{self._test}-{name}.png" if name else f"{self._test}.png")
        file.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=file, animations="disabled", caret="initial")
        return file

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            where = message.location.get("url", "")
            self._troubles.append(f"console: {message.text} ({where})")

    def _asked(self, request: Request) -> None:
        self.requests.append(request)
        self.open_requests.add(request)

    def _finished(self, request: Request) -> None:
        self.open_requests.discard(request)

    def _failed(self, request: Request) -> None:
        self.open_requests.discard(request)
        # A page that is left takes its open requests with it.
        if request.failure != CANCELED:
            self._troubles.append(f"request: {request.method} {request.url}: {request.failure}")
