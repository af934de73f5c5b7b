"""What `--help` and the page say, for each command."""

from pathlib import Path

import pytest
from parley_cli.main import app
from typer.testing import CliRunner


def commands() -> list[list[str]]:
    groups = {"prompts": "list show cancel retry remove", "threads": "watch list show delete"}
    groups |= {"dlq": "list redrive", "models": "list apply", "keys": "create list revoke"}
    paths = [[name, command] for name, words in groups.items() for command in words.split()]
    return [[], ["prompt"], ["status"], ["login"], ["bootstrap"], ["doctor"], *paths]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_help_teaches_with_an_example(words):
    result = CliRunner().invoke(app, [*words, "--help"])
    assert result.exit_code == 0
    assert f"parley {' '.join(words)}" in result.stdout.split("──╯")[-1]


def test_the_page_names_every_command_and_every_exit_code():
    from parley_cli import errors

    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    table = page[: page.index("## Which API")]
    for words in filter(None, commands()):
        group, command = words[0], words[-1]
        assert f"`parley {group}" in table
        assert any(f"`parley {group}" in row and command in row for row in table.splitlines())
    codes = {value for name, value in vars(errors).items() if name.isupper()}
    assert {line.split()[1] for line in page.splitlines() if line[:3].strip("| ").isdigit()} == {
        str(code) for code in codes
    }
