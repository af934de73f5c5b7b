"""What is made of a text that may have come out of the published component's input box."""

import re
from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parley.wire.smarter.text import as_meant

# As the component writes it: a markdown link becomes an anchor before it is posted.
LINK = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")


def posted(typed: str) -> str:
    """What the component posts of a text that was typed into its box."""
    return LINK.sub(r'<a href="\2">\1</a>', escape(typed, quote=False))


@pytest.mark.parametrize(
    "typed",
    [
        "1<2 && 3>2",
        'see [this](https://example.com/?a=1&b=2 "title") and [[that](<x>)',
        "What does &lt; mean, and &amp;lt;?",
        '<a href="/x">y</a> [y](/x)',
        "a\N{ZERO WIDTH SPACE}b",
    ],
)
def test_what_was_typed_is_stored_as_it_was_typed(typed: str) -> None:
    assert as_meant(posted(typed)) == typed


@given(st.text(st.sampled_from("<>&;altgmpnbs []()/\"=hrefx'")))
def test_whatever_was_typed_is_stored_as_it_was_typed(typed: str) -> None:
    assert as_meant(posted(typed)) == typed


@pytest.mark.parametrize(
    "text",
    [
        's = html.replace("&lt;", "<")  # <a href="/x">y</a>',
        'page = "&nbsp;" if width > 80 else ""',
        "flags = a & b  # not &amp;",
        'fetch("/?a=1&b=2")  # <a href="/x">y</a>',
        "&#39; and &lt;",
    ],
)
def test_a_file_or_a_programs_text_is_left_as_it_is(text: str) -> None:
    assert as_meant(text) == text
