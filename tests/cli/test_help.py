"""What `--help` and the page say, for each command."""

from pathlib import Path

import pytest
import typer
from parley_cli.main import app
from typer.testing import CliRunner


def commands(app: typer.Typer = app) -> list[list[str]]:
    """The words of each command, beginning with none of them."""
    named = [one.name or one.callback.__name__ for one in app.registered_commands]
    found = [[name.replace("_", "-")] for name in named]
    for group in app.registered_groups:
        found += [[group.name, *words] for words in commands(group.typer_instance)]
    return found


@pytest.mark.parametrize("words", [[], *commands()], ids=" ".join)
def test_help_teaches_with_an_example(words):
    result = CliRunner().invoke(app, [*words, "--help"])
    assert result.exit_code == 0
    assert f"parley {' '.join(words)}" in result.stdout.split("──╯")[-1]


def test_the_page_names_every_command_and_every_exit_code():
    from parley_cli import errors

    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    table = page[: page.index("## Which API")]
    for words in commands():
        full, short = f"`parley {' '.join(words)}", f"`{words[-1]}"
        beside = f"`parley {words[0]} " if len(words) > 1 else "`parley "
        assert any(full in row or (beside in row and short in row) for row in table.splitlines()), (
            words
        )
    codes = {value for name, value in vars(errors).items() if name.isupper()}
    assert {line.split()[1] for line in page.splitlines() if line[:3].strip("| ").isdigit()} == {
        str(code) for code in codes
    }
