"""How our own page looks and reads: light, dark, on a phone, and to who cannot see it."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser import ui_chat
from tests.browser.conftest import OpenWindow
from tests.browser.llm_client import LlmClient, applied
from tests.browser.ours import Ours
from tests.e2e.model import Model
from tests.e2e.stack import Stack

PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"color_scheme": "light", **PHONE},
    "phone-dark": {"color_scheme": "dark", **PHONE},
}
ANSWER = """\
Here is a **short** plan, with `code` and a [link](https://example.com/).

1. Read the *manual*
2. Try it:

```python
def greet(name: str) -> str:
    return f"Hello, {name}! This is a line that is rather longer than a telephone is wide."
```

| course | weeks | price |
|---|---|---|
| Python for beginners | 6 | 49 € |
| Data, the long way round | 12 | 129 € |

> Somebody said that once.
"""
HEBREW = "\u05e9\u05dc\u05d5\u05dd"
BOTH_WAYS = f"""\
## {HEBREW}

{HEBREW} {HEBREW} `f(x)`.

English and {HEBREW}.

1. {HEBREW}
2. English

> {HEBREW}

| {HEBREW} | English |
|---|---|
| 1 | 2 |

| English | {HEBREW} |
|---|---|
| 1 | 2 |

```
code
```
"""
LONG_WORD = f"""\
apiVersion: smarter.sh/v1
kind: LLMClient
metadata:
  name: longword
  description: A client with a very long word in an example.
  version: 0.1.0
spec:
  config:
    deployed: true
    appName: Long words
    appWelcomeMessage: What would you like to know?
    appExamplePrompts: ["What is {"Donaudampfschiff" * 8}?", "Why?"]
"""


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of axe-core, which finds what a screen reader or weak eyes would stumble over."""
    return (ui_chat.PROJECT / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.mark.parametrize("look", LOOKS)
def test_a_conversation_looks_well_and_is_accessible(
    open_window: OpenWindow, plain: LlmClient, model: Model, word: str, *, axe: str, look: str
) -> None:
    ours = Ours(open_window(**LOOKS[look])).open(plain.url)
    ours.window.picture("1-empty")
    assert stumbling_blocks(ours.page, axe) == []

    model.told(f"{word} long", answer=ANSWER)
    ours.ask(f"Tell me about {word} long")
    expect(ours.said("assistant", "Somebody said", "done")).to_have_count(1)
    model.told(f"{word} stall", stall_after=8)
    ours.ask(f"And what is {word} stall?")
    expect(ours.said("assistant", state="streaming")).to_have_count(1)
    ours.window.picture("2-streaming")
    assert stumbling_blocks(ours.page, axe) == []
    assert not is_wider_than_its_window(ours.page)

    ours.stop.click()
    expect(ours.said("assistant", state="stopped")).to_have_count(1)
    model.told(f"{word} fail", fail={"status": 400})
    ours.ask(f"And {word} fail?")
    expect(ours.said("assistant", state="failed")).to_have_count(1)
    ours.window.picture("3-failed")
    assert stumbling_blocks(ours.page, axe) == []
    ours.look_at_sessions()
    ours.window.picture("4-sessions")
    assert stumbling_blocks(ours.page, axe) == []


def test_the_theme_can_be_chosen_and_stays(open_window: OpenWindow, plain: LlmClient) -> None:
    seen: dict[str, tuple[str, str]] = {}
    for system in ("light", "dark"):
        ours = Ours(open_window(color_scheme=system)).open(plain.url)
        followed = background(ours.page)
        ours.page.get_by_test_id("theme").click()
        chosen = background(ours.page)
        ours.page.reload()
        ours.ready()
        assert background(ours.page) == chosen
        seen[system] = (followed, chosen)

    # What is chosen against the system is what the other system has.
    assert seen["light"] == seen["dark"][::-1]
    assert len({*seen["light"]}) == 2


def test_it_announces_the_answer_to_who_cannot_see_it(
    open_window: OpenWindow, plain: LlmClient, model: Model, word: str
) -> None:
    model.told(word, answer=f"It is **{word}**, of course.")
    ours = Ours(open_window()).open(plain.url)

    ours.ask(f"What is {word}?")

    spoken = ours.page.locator("[aria-live=polite]").filter(has_text=f"It is {word}, of course.")
    expect(spoken).to_have_count(1)


def test_every_text_reads_in_its_own_direction(
    open_window: OpenWindow, plain: LlmClient, model: Model, word: str
) -> None:
    model.told(word, answer=BOTH_WAYS)
    ours = Ours(open_window()).open(plain.url)
    ours.composer.fill(HEBREW)
    assert direction(ours.composer) == "rtl"
    ours.ask(f"{HEBREW} {word}")
    answer = ours.said("assistant", "English", "done")
    expect(answer).to_have_count(1)

    ours.window.picture("both-ways")
    assert direction(ours.said("user").locator(".bubble")) == "rtl"
    expected = {
        "h2": ["rtl"],
        ".text > .block > p": ["rtl", "ltr"],
        "p > code": ["ltr"],
        "li": ["rtl", "ltr"],
        "blockquote": ["rtl"],
        "table": ["rtl", "ltr"],
        "th": ["rtl", "ltr", "ltr", "rtl"],
        "pre": ["ltr"],
    }
    for element, directions in expected.items():
        assert [direction(one) for one in answer.locator(element).all()] == directions, element
    # The number stands on the side where its item begins.
    sides = "it => ['marginLeft', 'marginRight'].map(side => getComputedStyle(it)[side] !== '0px')"
    items = [one.evaluate(sides) for one in answer.locator("li").all()]
    assert items == [[False, True], [True, False]]
    assert direction(ours.page.locator(".session-title")) == "rtl"
    assert not is_wider_than_its_window(ours.page)


def test_markdown_is_set_as_one_knows_it(
    open_window: OpenWindow, plain: LlmClient, model: Model, word: str
) -> None:
    model.told(word, answer="Text, `code`.\n\n## More\n\n- [x] done\n\n- dot\n\n```\ncode\n```\n")
    ours = Ours(open_window()).open(plain.url)
    ours.ask(word)
    answer = ours.said("assistant", "done", "done")
    expect(answer).to_have_count(1)

    assert style(answer.locator("li").first, "listStyleType") == "none"
    assert style(answer.locator("li").last, "listStyleType") == "disc"
    assert pixels(answer.locator("h2"), "marginTop") > pixels(answer.locator("p").first, "fontSize")
    inline, block = answer.locator("p > code"), answer.locator("pre > code")
    assert style(inline, "fontSize") == style(block, "fontSize")


def test_a_very_long_word_of_an_example_stays_in_its_button(
    open_window: OpenWindow, stack: Stack, tmp_path: Path
) -> None:
    with applied(stack, tmp_path, "longword", LONG_WORD) as client:
        ours = Ours(open_window(**PHONE)).open(client.url)
        expect(ours.examples).to_have_count(2)
        ours.window.picture("examples")

        for box in [one.bounding_box() for one in ours.examples.all()]:
            assert box is not None
            assert 0 <= box["x"] < box["x"] + box["width"] <= 390
        assert not ours.examples.first.evaluate("it => it.scrollWidth > it.clientWidth")


def style(found: Locator, name: str) -> str:
    """A property of an element as the browser has it."""
    value: str = found.evaluate("(it, name) => getComputedStyle(it)[name]", name)
    return value


def pixels(found: Locator, name: str) -> float:
    """The same, of a length."""
    return float(style(found, name).removesuffix("px"))


def direction(found: Locator) -> str:
    """Which way an element's text runs."""
    return style(found, "direction")


def stumbling_blocks(page: Page, axe: str) -> list[str]:
    """What axe-core objects to: `rule: first element`."""
    page.evaluate(axe)
    options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
    violations = page.evaluate("options => axe.run(options).then(r => r.violations)", options)
    return [
        f"{it['id']}: {it['nodes'][0]['html']}: {it['nodes'][0]['failureSummary']}"
        for it in violations
    ]


def is_wider_than_its_window(page: Page) -> bool:
    """Whether one would have to scroll sideways."""
    wide: bool = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    return wide


def background(page: Page) -> str:
    """The colour behind everything."""
    colour: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return colour


def test_over_a_picture_no_foot_of_a_message_is_half_empty(
    open_window: OpenWindow, plain: LlmClient, word: str
) -> None:
    ours = Ours(open_window()).open(plain.url)
    ours.answered(f"What is {word}?")
    ours.answered(f"And what is {word} then?")
    copying = ours.page.get_by_test_id("copy-answer").first
    expect(copying).to_have_css("opacity", "0")

    ours.page.evaluate("document.body.classList.add('pictured')")

    expect(copying).to_have_css("opacity", "1")


TABLE = """\
| course | level | price | starts | what for |
|---|---|---:|---|---|
| First steps in Python | beginner | 1 290 € | 2027-01-11 | Variables, loops, files and your own |
| Web | anybody | 290 € | 2027-02-01 | HTML |
"""


def test_a_table_breaks_no_date_and_no_price(
    open_window: OpenWindow, plain: LlmClient, model: Model, word: str
) -> None:
    ours = Ours(open_window(**PHONE)).open(plain.url)
    model.told(word, answer=TABLE)
    ours.ask(f"What is {word}?")
    expect(ours.said("assistant", "Variables", "done")).to_have_count(1)

    lines = """(cell) => {
      const words = document.createRange();
      words.selectNodeContents(cell);
      return new Set([...words.getClientRects()].map((one) => Math.round(one.top))).size;
    }"""
    for text in ("beginner", "1 290 €", "290 €", "2027-01-11", "2027-02-01"):
        assert ours.page.get_by_role("cell", name=text, exact=True).evaluate(lines) == 1, text
    # Nor is a text a word wide: what is wider than the telephone is moved to the side.
    assert ours.page.get_by_role("cell", name="First steps").evaluate(lines) <= 2
    table = ours.page.locator(".table")
    assert table.evaluate("(it) => it.scrollWidth > it.clientWidth")
    assert ours.page.evaluate("document.documentElement.scrollWidth === innerWidth")
