"""docs/performance.md states the figures that the tests count."""

import re
from pathlib import Path

import pytest

from tests.budgets import test_chat_life, test_imports, test_prompt_life

ROOT = Path(__file__).parents[2]
ROWS = {
    cells[0]: tuple(cells[1:])
    for line in (ROOT / "docs/performance.md").read_text().splitlines()
    if line.startswith("|") and len(cells := [c.strip() for c in line.strip("|").split("|")]) > 1
}


FIGURES = test_prompt_life.FIGURES | test_chat_life.FIGURES


@pytest.mark.parametrize("name", FIGURES)
def test_the_page_states_what_a_prompt_and_a_chat_cost(name: str) -> None:
    calls, writes, reads = FIGURES[name]

    assert ROWS[name][:3] == (str(calls), str(writes), str(reads))


@pytest.mark.parametrize("name", test_imports.FIGURES)
def test_the_page_states_how_many_modules_a_function_loads(name: str) -> None:
    assert ROWS[f"`{name}`"][0] == str(test_imports.FIGURES[name])


def test_the_table_of_calls_adds_up() -> None:
    numbered = {n: cells for n, cells in ROWS.items() if re.fullmatch(r"\d+", n)}
    calls, writes, _ = test_prompt_life.FIGURES["second turn"]

    assert len(numbered) == calls
    assert sum(int(cells[3].split()[0]) for cells in numbered.values()) == writes
