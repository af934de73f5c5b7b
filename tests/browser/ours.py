"""What a person sees of our own page, and does with it."""

import re

from playwright.sync_api import Locator, Route, WebSocketRoute, expect

from tests.browser.window import Window
from tests.e2e.model import Model

SOCKET = re.compile(r"^wss?://[^/]+/ws\b")
# A network in which every WebSocket fails, as behind some proxies.
NO_SOCKETS = """
window.WebSocket = class extends EventTarget {
  readyState = 0;
  constructor() {
    super();
    setTimeout(() => {
      this.readyState = 3;
      this.onerror?.(new Event("error"));
      this.onclose?.(new CloseEvent("close", { code: 1006 }));
    });
  }
  send() {}
  close() {}
};
"""


class Ours:
    """Our page in a window, at an llm_client's address."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.page = window.page
        named = self.page.get_by_test_id
        self.composer = named("composer")
        self.send_button = named("send")
        self.stop = named("stop")
        self.new_chat = named("new-chat")
        self.sessions = named("sessions")
        self.banner = named("banner")
        self.notice = named("notice")
        self.messages = named("message")
        self.examples = named("example")
        self.tools = named("tool")
        # Each question has one; only the last one's is shown.
        self.edit = named("edit").locator("visible=true")
        self.retry = named("retry")

    def open(self, url: str) -> "Ours":
        """Go there and wait until one can ask something."""
        self.page.goto(url)
        return self.ready()

    def ready(self) -> "Ours":
        """Wait until one can ask something."""
        expect(self.composer).to_be_enabled()
        return self

    def said(self, role: str, text: str | re.Pattern[str] = "", state: str = "") -> Locator:
        """The messages of user or assistant with this text, in this state (see `view.js`)."""
        found = self.page.locator(f'[data-testid="message"][data-role="{role}"]')
        if state:
            found = found.and_(self.page.locator(f'[data-state="{state}"]'))
        return found.filter(has_text=text) if text else found

    def look_at_sessions(self) -> None:
        """Open the list of past conversations, where it is not always there."""
        if not self.sessions.is_visible():
            self.page.get_by_test_id("menu").click()
        expect(self.sessions).to_be_in_viewport()

    def session(self, title: str) -> Locator:
        """The conversation with this title in the list."""
        return self.page.get_by_test_id("session").filter(has_text=title)

    def drawn(self) -> None:
        """Wait until all is drawn that has happened in the page: for what must not be there."""
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")

    def held(self, url: str) -> list[Route]:
        """The requests for such an address from now on: they wait until somebody continues them."""
        routes: list[Route] = []

        def hold(route: Route) -> None:
            routes.append(route)

        self.page.route(url, hold)
        return routes

    def ask(self, text: str) -> None:
        """Write it and press Enter."""
        self.composer.fill(text)
        self.composer.press("Enter")

    def answered(self, text: str) -> Locator:
        """Ask, and wait for the whole answer; its message."""
        self.ask(text)
        answer = self.said("assistant", f"You asked: “{text}”", "done")
        expect(answer).to_have_count(1)
        return answer

    def streamed(self, model: Model, word: str) -> None:
        """Ask about a word, see the answer grow and end: from here on the page's socket stands."""
        model.told(word, stall_after=8)
        self.ask(f"What is {word}?")
        expect(self.said("assistant", state="streaming")).to_have_count(1)
        model.released(word)
        expect(self.said("assistant", f"You asked: “What is {word}?”", "done")).to_have_count(1)


class Wires:
    """The WebSockets of a window, which can be cut, and kept from standing again."""

    def __init__(self, window: Window) -> None:
        self.made = 0
        self._cut = False
        self._open: list[WebSocketRoute] = []
        self._context = window.page.context
        window.page.route_web_socket(SOCKET, self._connect)

    def cut(self, *, offline: bool = True) -> None:
        """No socket until `mend`; `offline`: no request either, and the browser knows."""
        self._cut = True
        self._context.set_offline(offline)
        for socket in self._open:
            socket.close(code=1001)
        self._open.clear()

    def mend(self) -> None:
        """Let sockets stand again, and requests be answered."""
        self._cut = False
        self._context.set_offline(False)

    def _connect(self, socket: WebSocketRoute) -> None:
        if self._cut:
            socket.close(code=1001)
            return
        self.made += 1
        socket.connect_to_server()
        self._open.append(socket)
