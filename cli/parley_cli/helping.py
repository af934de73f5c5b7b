"""How `--help` looks: paragraphs that flow, and no boxes where there is no room for them."""

import re
from collections.abc import Iterator

import typer
from typer.models import CommandInfo

# Columns below which Typer's boxes cut the names of options.
NARROW = 60
MARKUP = re.compile(r"\[/?bold\]")


def flowing(app: typer.Typer) -> None:
    """Let the paragraphs of all epilogs be as wide as the screen; examples keep their lines."""
    for command in _commands(app):
        command.epilog = _flowing(command.epilog or "")


def plain(app: typer.Typer) -> None:
    """Show help as text alone."""
    for command in _commands(app):
        command.epilog = MARKUP.sub("", command.epilog or "")
    app.info.epilog = MARKUP.sub("", str(app.info.epilog))
    for one in _apps(app):
        one.rich_markup_mode = None


def _flowing(epilog: str) -> str:
    paragraphs = epilog.split("\n\n")
    return "\n\n".join(
        text if text.startswith(" ") else " ".join(text.split("\n")).strip() for text in paragraphs
    )


def _apps(app: typer.Typer) -> Iterator[typer.Typer]:
    yield app
    for group in app.registered_groups:
        if group.typer_instance:
            yield from _apps(group.typer_instance)


def _commands(app: typer.Typer) -> Iterator[CommandInfo]:
    for one in _apps(app):
        yield from one.registered_commands
