"""The protocol page shows the state table as the code has it."""

import re
from pathlib import Path

from parley.core.lifecycle import TRANSITIONS

PAGE = Path("docs/protocol.md")
MARKED = re.compile(r"(<!-- transitions: .*? -->\n)(.*?)(<!-- /transitions -->)", re.DOTALL)


def table() -> str:
    rows = ["| transition | by | from | to | when |", "|---|---|---|---|---|"]
    for name, row in TRANSITIONS.items():
        sources = ", ".join(sorted(row.sources)) or "-"
        target = row.target.value if row.target else "gone"
        actors = ", ".join(sorted(row.actors))
        rows.append(f"| {name} | {actors} | {sources} | {target} | {row.condition} |")
    return "\n".join(rows) + "\n"


def test_the_page_shows_every_transition_with_its_actors_and_condition():
    text = PAGE.read_text()
    found = MARKED.search(text)
    assert found, "the marks are gone"
    assert found[2] == table(), "run: python -m tests.docs.test_protocol_page"


if __name__ == "__main__":
    page = PAGE.read_text()
    PAGE.write_text(MARKED.sub(lambda match: match[1] + table() + match[3], page))
