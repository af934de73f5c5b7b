"""Our own page inside of other people's sites, where its llm_client allows it."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import FrameLocator, Locator, expect

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
  name: {name}
  description: A client that a shop has on its site.
  version: 0.1.0
spec:
  config:
    deployed: true
    appName: The shop's assistant
    appWelcomeMessage: What are you looking for?
  allowedOrigins: ["https://shop.test:{port}"]
"""
KEY = """\
apiVersion: smarter.sh/v1
kind: ApiKey
metadata:
  name: embedded-page
  description: The key that is attached to the client for those who have one.
spec:
  role: user
---
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
SEARCH = '<input type="search" aria-label="Search" autofocus>'
TAGS = {"frame": FRAME, "script": SCRIPT, "left": LEFT, "open": OPEN}
# What another window in the shop's page tries: to be taken for the page around the chat by each
# frame that waits for it, and for the chat by the page around.
SPY = """\
<script>
const heard = [];
const lasting = JSON.stringify({"parley:owner:/": "1/x"});
// But for what the other one of its kind says.
const hears = ({ data }) => data?.lasting === lasting || heard.push(data);
addEventListener("message", hears);
function attempt() {
  parent.postMessage("parley:ready", "*");
  for (let index = 0; index < parent.length; index += 1) {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = hears;
    const texts = { parley: "kept", lasting, tab: lasting };
    if (parent[index] !== window) parent[index].postMessage(texts, "*", [port2]);
  }
}
setInterval(attempt, 20);
</script>
"""
SPIES = """\
<iframe src="https://elsewhere.test:{port}/spy.html" title="spy"></iframe>
<iframe src="https://shop.test:{port}/spy.html" title="spy"></iframe>
"""
WAITING = '<iframe src="{url}" name="parley-held" width="420" height="560" title="Chat"></iframe>'
# Answers what it is asked, after whoever else has answered it.
ECHO = """\
<script>
const answer = ({ data, source }) => data === "echo?" && source.postMessage("echo", "*");
addEventListener("message", answer);
</script>
"""
CURIOUS = """\
<script>
const heard = [];
addEventListener("message", (event) => heard.push(event.data));
for (const said of ["parley:ready", "echo?"]) parent.postMessage(said, "*");
</script>
"""
# The shop has so much to do that it gives the frame the keyboard only by `enter()`.
BUSY = """() => {
  const { focus } = HTMLElement.prototype;
  HTMLIFrameElement.prototype.focus = function () { window.enter = () => focus.call(this); };
}"""
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
    with applied(stack, directory, "embedded", manifest("embedded", port)) as client:
        spies = SPIES.format(port=port)
        pages = {name: how.format(url=client.url) for name, how in TAGS.items()}
        pages["spied"] = pages["script"] + spies
        pages["spied-frame"] = WAITING.format(url=client.url) + spies
        pages["searched"] = SEARCH + pages["open"]
        pages["searched-frame"] = SEARCH + pages["frame"]
        pages["echoing"] = ECHO + pages["script"]
        for name, how in pages.items():
            (directory / f"{name}.html").write_text(PAGE.format(embedded=how))
        (directory / "spy.html").write_text(SPY)
        (directory / "curious.html").write_text(CURIOUS)
        yield client


def manifest(name: str, port: int) -> str:
    return MANIFEST.format(name=name, port=port)


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
    expect(composer).to_be_focused()
    # The site has nothing to say about it.
    window.page.evaluate(
        """new Promise((heard) => {
          addEventListener("message", heard, { once: true });
          postMessage("parley:close", "*");
        }).then(() => {})"""
    )
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


def test_who_opens_it_can_write_however_late_the_site_gives_the_keyboard(
    open_window: OpenWindow, port: int
) -> None:
    window = open_window(f"https://shop.test:{port}/script.html", **VISITOR)
    composer = window.page.frame_locator("iframe").get_by_test_id("composer")
    window.page.evaluate(BUSY)

    window.page.get_by_role("button").click()
    expect(composer).to_be_enabled()
    window.page.wait_for_function("Boolean(window.enter)")
    expect(composer).not_to_be_focused()
    window.page.evaluate("enter()")

    expect(composer).to_be_focused()
    window.page.keyboard.type("A red boat")
    expect(composer).to_have_value("A red boat")


def test_it_can_be_open_from_the_start(open_window: OpenWindow, port: int) -> None:
    window = open_window(f"https://shop.test:{port}/open.html", **VISITOR)

    expect(window.page.frame_locator("iframe").get_by_test_id("composer")).to_be_enabled()
    box = window.page.get_by_role("button").bounding_box()
    assert box is not None
    assert box["x"] > VISITOR["viewport"]["width"] - 100


@pytest.mark.parametrize(
    ("given", "back", "front"),
    [
        ("#0a7d5a", "rgb(10, 125, 90)", "rgb(255, 255, 255)"),
        ("#fc0", "rgb(255, 204, 0)", "rgb(17, 17, 17)"),
        ("red; width: 100%", "rgb(59, 91, 219)", "rgb(255, 255, 255)"),
    ],
)
def test_its_button_has_the_sites_colour(
    open_window: OpenWindow,
    port: int,
    shop: tuple[Path, int],
    embedded: LlmClient,
    *,
    given: str,
    back: str,
    front: str,
) -> None:
    tag = SCRIPT.format(url=embedded.url).replace(" async", f' data-color="{given}" async')
    (shop[0] / "coloured.html").write_text(PAGE.format(embedded=tag))
    window = open_window(f"https://shop.test:{port}/coloured.html", **VISITOR)

    button = window.page.get_by_role("button")

    expect(button).to_have_css("background-color", back)
    expect(button).to_have_css("color", front)
    expect(button).to_have_css("width", "58px")


@pytest.mark.parametrize("how", ["searched", "searched-frame"])
def test_it_takes_the_keyboard_from_nobody_who_writes_on_the_site(
    open_window: OpenWindow, port: int, how: str
) -> None:
    window = open_window(f"https://shop.test:{port}/{how}.html", **VISITOR)
    search = window.page.get_by_role("searchbox")
    expect(search).to_be_focused()
    window.page.keyboard.type("a red")

    composer = window.page.frame_locator("iframe").get_by_test_id("composer")
    expect(composer).to_be_enabled()
    # It is drawn, and the frame has been told that it is loaded.
    composer.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    window.page.keyboard.type(" boat")

    expect(search).to_have_value("a red boat")
    expect(composer).to_have_value("")


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


def test_where_no_chat_can_be_the_console_says_why(
    open_window: OpenWindow, port: int, shop: tuple[Path, int], embedded: LlmClient
) -> None:
    nobody = SCRIPT.format(url=embedded.url.replace("embedded", "nobody"))
    (shop[0] / "nobody.html").write_text(PAGE.format(embedded=nobody))
    says = {
        f"https://shop.test:{port}/nobody.html": r"not deployed \(parley deploy NAME\)",
        (shop[0] / "script.html").as_uri(): "serve its folder",
    }
    for address, advice in says.items():
        window = open_window(**VISITOR)
        window.expect_trouble("frame-ancestors", "ERR_BLOCKED_BY_RESPONSE", "Parley: ", "404")
        window.page.goto(address)

        window.page.get_by_role("button").click()

        window.until(partial(window.troubled_by, advice), "the console to say what to do")
        assert not window.troubled_by("add file:")


def test_a_page_that_is_shown_is_not_apologised_for(open_window: OpenWindow, port: int) -> None:
    window = open_window(**VISITOR)
    window.page.clock.install()
    window.page.goto(f"https://shop.test:{port}/script.html")

    window.page.get_by_role("button").click()
    expect(window.page.frame_locator("iframe").get_by_test_id("composer")).to_be_enabled()
    window.page.clock.fast_forward(60_000)

    expect(window.page.get_by_text("The chat cannot be shown here")).to_be_hidden()


def test_a_visitor_who_goes_on_finds_the_conversation_where_it_was(
    open_window: OpenWindow, port: int, embedded: LlmClient, word: str
) -> None:
    window = open_window(f"https://shop.test:{port}/script.html", **VISITOR)
    chat = window.page.frame_locator("iframe")
    window.page.get_by_role("button").click()
    ask(chat, f"What is {word}?")

    window.page.reload()
    window.page.get_by_role("button").click()
    expect(said(chat, word)).to_be_visible()
    # Another page, and another tab of the same visitor.
    window.page.goto(f"https://shop.test:{port}/open.html")
    expect(said(chat, word)).to_be_visible()
    tab = open_window(f"https://shop.test:{port}/open.html", context=window.page.context)
    expect(said(tab.page.frame_locator("iframe"), word)).to_be_visible()

    # The site keeps it, and nothing else; the frame has no storage in which to.
    assert window.page.evaluate("Object.keys(localStorage)") == [f"parley:{embedded.origin}"]
    assert window.page.evaluate("sessionStorage.length") == 0


def test_what_one_tab_of_a_site_keeps_the_other_does_not_lose(
    open_window: OpenWindow, port: int, embedded: LlmClient, word: str
) -> None:
    one = open_window(f"https://shop.test:{port}/open.html", **VISITOR)
    chat = one.page.frame_locator("iframe")
    expect(chat.get_by_test_id("composer")).to_be_enabled()
    place, kept = f"parley:{embedded.origin}", "([at, text]) => localStorage[at]?.includes(text)"
    one.page.wait_for_function(kept, arg=[place, "current"])
    two = open_window(f"https://shop.test:{port}/open.html", context=one.page.context)
    other = two.page.frame_locator("iframe")
    expect(other.get_by_test_id("composer")).to_be_enabled()
    ask(other, f"The first {word}")

    # Both tabs have begun with the same one, and this one has heard that it is listed.
    expect(said(chat, f"The first {word}")).to_be_visible()
    one.page.wait_for_function(kept, arg=[place, f"The first {word}"])
    chat.get_by_test_id("new-chat").click()
    expect(chat.get_by_test_id("message")).to_have_count(0)
    ask(chat, f"The second {word}")

    one.page.reload()
    expect(chat.get_by_test_id("composer")).to_be_enabled()
    chat.get_by_test_id("menu").click()
    titles = chat.get_by_test_id("session-title")
    expect(titles).to_have_text([f"The second {word}", f"The first {word}"])


def test_two_llm_clients_of_one_site_keep_their_own(
    open_window: OpenWindow,
    stack: Stack,
    shop: tuple[Path, int],
    embedded: LlmClient,
    word: str,
) -> None:
    directory, port = shop
    with applied(stack, directory, "second", manifest("second", port)) as second:
        tags = SCRIPT.format(url=embedded.url) + LEFT.format(url=second.url)
        (directory / "both.html").write_text(PAGE.format(embedded=tags))
        window = open_window(f"https://shop.test:{port}/both.html", **VISITOR)
        for name in ("Chat", "Ask us"):
            window.page.get_by_role("button", name=name, exact=True).click()
            ask(window.page.frame_locator(f"iframe[title='{name}']"), f"{name} for {word}?")
            window.page.get_by_role("button", name=f"Close: {name}").click()

        window.page.reload()

        for name in ("Chat", "Ask us"):
            chat = window.page.frame_locator(f"iframe[title='{name}']")
            window.page.get_by_role("button", name=name, exact=True).click()
            expect(said(chat, f"{name} for {word}?")).to_be_visible()
            expect(said(chat)).to_have_count(1)
            window.page.get_by_role("button", name=f"Close: {name}").click()


def test_a_key_is_asked_for_once_in_a_tab_and_not_in_another(
    open_window: OpenWindow, stack: Stack, shop: tuple[Path, int], word: str
) -> None:
    directory, port = shop
    private = KEY + manifest("guarded", port) + "  apiKey: embedded-page\n"
    with applied(stack, directory, "guarded", private) as client:
        (directory / "guarded.html").write_text(PAGE.format(embedded=OPEN.format(url=client.url)))
        window = open_window(f"https://shop.test:{port}/guarded.html", **VISITOR)
        window.expect_trouble(r"Failed to load resource.*40[13]")
        chat = window.page.frame_locator("iframe")
        chat.get_by_test_id("key-form").get_by_label("Key").fill(stack.user_key)
        chat.get_by_test_id("key-form").get_by_role("button").click()
        ask(chat, f"What is {word}?")

        window.page.reload()
        expect(said(chat, word)).to_be_visible()

        other = open_window(window.page.url, context=window.page.context)
        other.expect_trouble(r"Failed to load resource.*40[13]")
        form = other.page.frame_locator("iframe").get_by_test_id("key-form")
        expect(form).to_be_visible()


def test_another_window_in_the_page_neither_gets_nor_brings_a_key(
    open_window: OpenWindow, port: int, embedded: LlmClient, word: str
) -> None:
    window = open_window(f"https://shop.test:{port}/spied.html", **VISITOR)
    chat = window.page.frame_locator("iframe[title=Chat]")
    window.page.get_by_role("button").click()
    ask(chat, f"What is {word}?")
    # Nobody around this one answers it, but the windows beside it do.
    alone = open_window(f"https://shop.test:{port}/spied-frame.html", **VISITOR)
    beside = alone.page.frame_locator("iframe[title=Chat]")
    expect(beside.get_by_test_id("composer")).to_be_enabled()
    expect(beside.locator("body.unkept")).to_have_count(1)

    for page in (window.page, alone.page):
        spies = [frame for frame in page.frames if frame.url.endswith("/spy.html")]
        assert [frame.evaluate("heard") for frame in spies] == [[], []]
    window.page.reload()
    window.page.get_by_role("button").click()
    expect(said(chat, word)).to_be_visible()


def test_another_page_in_the_chats_frame_gets_no_key(
    open_window: OpenWindow, port: int, embedded: LlmClient, word: str
) -> None:
    window = open_window(f"https://shop.test:{port}/echoing.html", **VISITOR)
    window.page.get_by_role("button").click()
    ask(window.page.frame_locator("iframe"), f"What is {word}?")

    [frame] = [frame for frame in window.page.frames if frame.url == embedded.url]
    frame.evaluate(f"location = 'https://elsewhere.test:{port}/curious.html'")

    frame.wait_for_url("**/curious.html")
    heard = "typeof heard !== 'undefined' && heard"
    window.until(lambda: frame.evaluate(heard), "the page around to answer")
    assert frame.evaluate("heard") == ["echo"]


def test_a_frame_that_can_keep_nothing_lists_nothing(open_window: OpenWindow, port: int) -> None:
    window = open_window(f"https://shop.test:{port}/frame.html", **VISITOR)
    chat = window.page.frame_locator("iframe")

    expect(chat.get_by_test_id("composer")).to_be_enabled()

    expect(chat.get_by_test_id("menu")).to_be_hidden()
    expect(chat.get_by_text("kept in this browser")).to_be_hidden()


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
    expect(said(frame, f"You asked: “{text}”")).to_be_visible()


def said(frame: FrameLocator, text: str = "") -> Locator:
    """The whole answers in a frame with this text."""
    answers = frame.locator('[data-testid="message"][data-role="assistant"][data-state="done"]')
    return answers.filter(has_text=text)
