"""What a person sees of the published component, and does with it."""

import re

from playwright.sync_api import Locator, expect

from tests.browser.window import Window

# Its own complaints in React's development build, whatever the server says.
OWN_NOISE = (
    "UNSAFE_componentWillMount in strict mode",
    "Warning: Failed prop type",
    'should have a unique "key" prop',
)


class Component:
    """The component in a window."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.page = window.page
        self.header = self.page.locator(".cs-conversation-header")
        self.input = self.page.locator(".cs-message-input__content-editor")
        self.typing = self.page.locator(".cs-typing-indicator")

    def messages(self, role: str) -> Locator:
        """What is shown of a role: user, assistant, system, tool, smarter, smarter_error."""
        start = re.compile(rf"^{role}: ")
        return self.page.locator("section.cs-message").and_(self.page.get_by_label(start))

    def message(self, role: str, text: str | re.Pattern[str]) -> Locator:
        """Those of a role with this text in them."""
        return self.messages(role).filter(has_text=text)

    def ready(self) -> "Component":
        """Wait until its config is loaded, under StrictMode for the second time."""
        expect(self.input).to_have_attribute("contenteditable", "true")
        expect(self.header).not_to_contain_text("Configuring workbench")
        self.window.until(lambda: not self.window.open_requests, "its config")
        return self

    def reload(self) -> None:
        """Reload the page once it has read its config again, as it does after every answer.

        Sooner, that read would fail; then the component forgets its session.
        """
        self.window.until(self._is_at_rest, "the component to be at rest")
        self.page.reload()
        self.ready()

    def _is_at_rest(self) -> bool:
        read_again = [r for r in self.window.posted("/chat/config/") if "session_key=" in r.url]
        asked = self.window.posted("/chat/")
        return len(read_again) == len(asked) and not self.window.open_requests

    def send(self, text: str) -> None:
        """Write it and press Enter."""
        self.input.click()
        self.page.keyboard.insert_text(text)
        self.page.keyboard.press("Enter")

    def start_new_chat(self) -> None:
        """Press the button, and wait until the new session is there.

        What is still read of the old one would bring its key back.
        """
        self.window.until(self._is_at_rest, "the component to be at rest")
        old = self.session_key
        self.page.get_by_title("Start a new chat").click()
        self.page.wait_for_function(
            "old => document.cookie.includes('session_key=') && !document.cookie.includes(old)",
            arg=old,
        )
        self.ready()

    @property
    def session_key(self) -> str:
        """The key in its cookie, or nothing."""
        found = re.search(r"session_key=(\w+)", self.page.evaluate("document.cookie"))
        return found[1] if found else ""
