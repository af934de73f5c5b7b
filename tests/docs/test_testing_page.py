"""The tests that `docs/testing.md` names exist."""

import re
from pathlib import Path

import pytest

from local.devmodel.control import Rule

PAGE = Path("docs/testing.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+(?:\.py(?:::\w+)?)?)`", PAGE)))


@pytest.mark.parametrize("named", NAMED)
def test_a_named_test_exists(named: str) -> None:
    path, _, function = named.partition("::")

    assert Path(path).exists()
    assert not function or f"def {function}(" in Path(path).read_text()


def test_every_promise_and_every_suite_is_on_the_page() -> None:
    promises = set(re.findall(r"^\| (I\d+) ", PAGE, re.MULTILINE))
    suites = {str(path.parent) for path in Path("tests").glob("*/test_*.py")}

    assert promises == {f"I{number}" for number in range(1, 12)}
    assert suites <= set(NAMED)


def test_the_page_shows_every_field_of_a_rule() -> None:
    shown = set(re.findall(r"`(\w+)`", PAGE.partition("| field of a rule")[2]))

    assert set(Rule.model_fields) - {"match", "error"} <= shown
