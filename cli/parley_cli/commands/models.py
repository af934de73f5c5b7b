"""`parley models`: the catalogue of the account."""

from typing import Annotated, Any

import typer
import yaml

from parley_cli.api import Json
from parley_cli.errors import Usage
from parley_cli.output import Output
from parley_cli.session import JsonOption, api_of, group, output_of
from parley_cli.typed import called, read_text

# The API ignores fields that it does not know, so a slip of the pen must be seen here.
FIELDS = frozenset(
    {"id", "baseUrl", "providerModel", "template", "secret", "context", "maxTokens", "default"}
)
REQUIRED = ("id", "baseUrl", "providerModel")

app = group("The models that prompts can name: which provider, which model there.")


@app.command("list", epilog="[bold]Example[/bold]\n\n  parley models list --json > models.json")
def list_(ctx: typer.Context, json_: JsonOption = False) -> None:
    """List the catalogue. It holds the names of secrets, never the secrets."""
    output = output_of(ctx)
    answer = api_of(ctx).models()
    if json_:
        output.result(answer)
        return
    show_models(output, answer.get("models") or [])


def show_models(output: Output, models: list[Json]) -> None:
    """The catalogue for people."""
    if not models:
        output.note("the catalogue is empty; fill it with `parley models apply -f FILE`")
        return
    columns = ("ID", "MODEL", "SECRET", "PROMPTS GO TO", "PROVIDER")
    output.table(columns, [_row(model) for model in models])


def _row(model: Json) -> tuple[str, ...]:
    return (
        str(model.get("id")) + (" (default)" if model.get("default") else ""),
        str(model.get("providerModel") or ""),
        str(model.get("secret") or ""),
        "completions" if model.get("template") else "chat",
        str(model.get("baseUrl") or ""),
    )


@app.command(
    epilog="""
[bold]Examples[/bold]

  parley models apply -f examples/models.yaml

  parley models list --json | parley models apply -f -

The file replaces the whole catalogue. It is YAML (or JSON):

  models:
    - id: small
      baseUrl: https://api.openai.com/v1
      providerModel: gpt-4o-mini
      secret: openai
      default: true
"""
)
def apply(
    ctx: typer.Context,
    file: Annotated[
        str, typer.Option("--file", "-f", help="The catalogue, `-` for stdin.", metavar="FILE")
    ],
    json_: JsonOption = False,
) -> None:
    """Replace the catalogue by a file; tells what that changes. Needs an admin key."""
    output = output_of(ctx)
    models = read_catalogue(file)
    api = api_of(ctx)
    before = {model.get("id"): model for model in api.models().get("models") or []}
    answer = api.put_models(models)
    after = {model.get("id"): model for model in answer.get("models") or models}
    changes = {
        "added": [id_ for id_ in after if id_ not in before],
        "changed": [id_ for id_ in after if id_ in before and after[id_] != before[id_]],
        "removed": [id_ for id_ in before if id_ not in after],
    }
    if json_:
        output.result({"models": list(after.values())} | changes)
        return
    told = [f"{word}: {', '.join(map(str, ids))}" for word, ids in changes.items() if ids]
    output.say("; ".join(told) or "the catalogue was like that already")


def read_catalogue(file: str) -> list[Json]:
    """The models of a file; raises Usage that names what is wrong with it."""
    name = called(file)
    try:
        content = yaml.safe_load(read_text(file))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise Usage(f"{name}: not valid YAML: {where}{error.problem or error.context}") from None
    except yaml.YAMLError:
        raise Usage(f"{name}: not valid YAML: a character that YAML does not allow") from None
    models = content.get("models") if isinstance(content, dict) else None
    if isinstance(content, dict) and "kind" in content:
        raise Usage(f"{name} is a manifest: parley apply -f {file}")
    if not isinstance(models, list):
        raise Usage(f"{name} must have a list named `models`; see `parley models apply --help`")
    for number, model in enumerate(models, 1):
        _check(model, f"{name}: model {number}")
    return models


def _check(model: Any, where: str) -> None:
    if not isinstance(model, dict):
        raise Usage(f"{where} is no mapping")
    if unknown := sorted(str(name) for name in set(model) - FIELDS):
        raise Usage(f"{where} has unknown fields: {', '.join(unknown)}")
    if missing := [name for name in REQUIRED if not model.get(name)]:
        raise Usage(f"{where} lacks {', '.join(missing)}")
