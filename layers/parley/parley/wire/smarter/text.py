"""What a person typed, out of what the published component makes of it."""

import re

# Its input box escapes these, and it turns the markdown links of what it posts into anchors.
ENTITY = re.compile(r"&(lt|gt|amp|nbsp);")
MEANT = {"lt": "<", "gt": ">", "amp": "&", "nbsp": " "}
ANCHOR = re.compile(r'<a href="([^"<>]*)">([^<>]*)</a>')


def as_meant(text: str) -> str:
    """The text without the component's escapes.

    Anchors first: one that the person typed is still escaped then. Each entity is undone
    once, so a typed `&lt;`, which arrives as `&amp;lt;`, stays one.
    """
    linked = ANCHOR.sub(r"[\2](\1)", text)
    return ENTITY.sub(lambda found: MEANT[found[1]], linked)
