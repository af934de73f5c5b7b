"""What all commands share: the app that turns errors into exit codes, and the options."""

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from parley_cli.api import Api
from parley_cli.config import LOCAL_STACK, Target, load_target
from parley_cli.errors import INTERRUPTED, READER_LEFT, REFUSED, USAGE, CliError, Usage
from parley_cli.output import Output
from parley_cli.typed import as_utf8


class ParleyGroup(TyperGroup):
    """Ends commands with the exit codes of `errors`, and with JSON where that was asked for."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Know before anything can fail how failures are to be told."""
        output = ctx.obj = Output(json="--json" in args)
        try:
            return super().parse_args(ctx, as_utf8(args))
        except Usage as error:
            output.error(str(error))
            raise typer.Exit(USAGE) from None

    def invoke(self, ctx: Any) -> Any:
        """Run the command; every error that has an exit code ends here."""
        output = output_of(ctx)
        try:
            return super().invoke(ctx)
        except CliError as error:
            output.error(str(error), error.problems, error.refusal)
            raise typer.Exit(error.code) from None
        except typer.TyperException as error:
            # Typer shows a refused option well for people; programs get the object.
            error.message = error.message.removeprefix("Value error, ")
            error.message = error.message.replace("Input should be", "must be")
            if not output.json or error.exit_code != USAGE:
                raise
            output.error(error.format_message())
            raise typer.Exit(USAGE) from None
        except BrokenPipeError:
            _drop_output()
            raise typer.Exit(READER_LEFT) from None
        except OSError as error:
            _drop_output()
            where = error.filename or "the output"
            output.error(f"{where} cannot be written: {error.strerror or error}")
            raise typer.Exit(REFUSED) from None
        except KeyboardInterrupt:
            output.note("interrupted")
            raise typer.Exit(INTERRUPTED) from None


def _drop_output() -> None:
    """What stdout still holds cannot be written: Python is not to try again at its end."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def output_of(ctx: typer.Context) -> Output:
    """Where the command's words go."""
    output = ctx.find_root().obj
    if not isinstance(output, Output):
        output = Output()
        ctx.find_root().obj = output
    return output


def _ask_for_json(ctx: typer.Context, value: bool) -> bool:
    output_of(ctx).json = value
    return value


JsonOption = Annotated[
    bool,
    typer.Option("--json", callback=_ask_for_json, help="One JSON object on stdout, for programs."),
]
Limit = Annotated[
    int, typer.Option("--limit", "-n", metavar="N", min=1, max=100, help="At most N, 1 to 100.")
]
After = Annotated[
    str, typer.Option("--after", metavar="CURSOR", help="The page behind one that gave this.")
]


def target_of(ctx: typer.Context) -> Target:
    """The configured API; says on stderr when that is the local stack."""
    target = load_target(os.environ, Path.cwd())
    if target.source == LOCAL_STACK:
        output_of(ctx).note(f"(using the local stack at {target.api})")
    return target


def api_of(ctx: typer.Context) -> Api:
    """The API with its key, closed when the command is over."""
    api: Api = ctx.with_resource(Api(target_of(ctx)))
    return api


def confirm_deletion(output: Output, question: str, doing: str = "deleting", *, yes: bool) -> None:
    """Ask a person, unless `yes` was said; raises Usage where there is nobody to ask."""
    if yes:
        return
    if output.json or not sys.stdin.isatty():
        raise Usage(f"{doing} cannot be undone: say --yes")
    typer.confirm(question, abort=True)


def group(help_: str) -> typer.Typer:
    """A group of commands that shows its help when called alone."""
    return typer.Typer(
        help=help_,
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_show_locals=False,
    )
