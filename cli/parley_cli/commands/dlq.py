"""`parley dlq`: prompts that were given up."""

from typing import Annotated

import typer

from parley_cli.errors import NotFound
from parley_cli.session import After, JsonOption, Limit, api_of, group, output_of

app = group("Prompts that were given up: look at them, give them another chance.")


@app.command(
    "list",
    epilog="[bold]Example[/bold]\n\n  parley dlq list --json | jq -r '.records[].promptId'",
)
def list_(
    ctx: typer.Context, *, limit: Limit = 100, after: After = "", json_: JsonOption = False
) -> None:
    """List the account's records, the newest prompt first; they stay. Needs an admin key."""
    output = output_of(ctx)
    answer = api_of(ctx).dead_letters(limit, after)
    if json_:
        output.result(answer)
        return
    records = answer.get("records") or []
    if not records:
        output.note("no prompt was given up")
        return
    rows = [(str(record.get("promptId")), str(record.get("reason"))) for record in records]
    output.table(("PROMPT", "REASON"), rows)
    if answer.get("after"):
        output.note(f"more: --after {answer['after']}")
    output.note("why: `parley prompts show ID`; once more: `parley dlq redrive [ID]`")


@app.command(
    epilog="""
[bold]Examples[/bold]

  parley dlq redrive                 all of them, 100 in a call

  parley dlq redrive prom_5f0c…      one

Records whose prompt is gone, or was retried already, are obsolete and deleted.
"""
)
def redrive(
    ctx: typer.Context,
    prompt_id: Annotated[
        str, typer.Argument(help="Only this prompt's record.", metavar="ID", show_default=False)
    ] = "",
    json_: JsonOption = False,
) -> None:
    """Give the prompts a new turn at the end of their threads. Needs an admin key."""
    output = output_of(ctx)
    answer = api_of(ctx).redrive(prompt_id)
    retried, obsolete = answer.get("retried") or [], answer.get("obsolete") or []
    if prompt_id and not retried and not obsolete:
        raise NotFound(f"no record of {prompt_id}; `parley dlq list` lists those there are")
    if json_:
        output.result(answer)
        return
    for prompt in retried:
        output.say(f"retried   {prompt.get('id')}")
    for record in obsolete:
        output.say(f"obsolete  {record.get('promptId')}")
    if not retried and not obsolete:
        output.note("there was nothing to redrive")
