"""What a person typed, out of what the published component makes of it."""

import re

# Its input box gives HTML without tags, in which these stand for themselves, and it turns the
# markdown links of what it posts into anchors.
ENTITY = re.compile(r"&(lt|gt|amp|nbsp);")
MEANT = {"lt": "<", "gt": ">", "amp": "&", "nbsp": " "}
ANCHOR = re.compile(r'<a href="([^<>)]+)">([^<>\]]+)</a>')
UNESCAPED = re.compile(r"[<>]|&(?!(?:lt|gt|amp|nbsp);)")


def as_meant(text: str) -> str:
    """The text without the component's escapes.

    Apart from the anchors, nothing that was typed has a bare `<`, `>` or `&` then: a text
    that does is a file that was attached, or a program's, and is left as it is.

    Anchors first: one that the person typed is still escaped then. Each entity is undone
    once, so a typed `&lt;`, which arrives as `&amp;lt;`, stays one.
    """
    linked = ANCHOR.sub(r"[\2](\1)", text)
    if UNESCAPED.search(linked):
        return text
    return ENTITY.sub(lambda found: MEANT[found[1]], linked)
