"""`parley accounts`: the accounts of a stack, for whoever operates it. Uses AWS."""

import asyncio
from typing import Annotated

import typer

from parley_cli.commands.operate import (
    Profile,
    Region,
    StackOption,
    aws_module,
    check_account,
    stack_of,
)
from parley_cli.output import age, clock_time
from parley_cli.session import JsonOption, group, output_of

WORK = "parley_cli.operators"

app = group("Create and list the accounts of a stack. Needs AWS credentials, as `bootstrap` does.")


@app.command(
    epilog="""
[bold]Example[/bold]

  parley accounts create 2718-2818-2845 --name "Acme" --stack parley

AWS credentials are taken as every AWS tool takes them. The key is shown this once.
"""
)
def create(
    ctx: typer.Context,
    *,
    number: Annotated[str, typer.Argument(help="The account's number.", metavar="dddd-dddd-dddd")],
    stack: StackOption = "",
    name: Annotated[str, typer.Option("--name", metavar="TEXT", help="Whose it is.")] = "",
    user: Annotated[str, typer.Option(metavar="ID", help="Whose the admin key is.")] = "admin",
    region: Region = "",
    profile: Profile = "",
    json_: JsonOption = False,
) -> None:
    """Create an account, and show its first admin key once."""
    output = output_of(ctx)
    check_account(number, "the number")
    work = aws_module(WORK)
    found = stack_of(output, stack, region, profile)
    key = asyncio.run(work.create_account(found, number, name, user))
    if json_:
        output.result({"account": number, "name": name, "admin_key": key})
        return
    output.facts([("account", number), ("name", name), ("admin key", key)])
    output.note("\nThe key is not shown again: only its hash is stored.", "yellow")


@app.command("list", epilog="[bold]Example[/bold]\n\n  parley accounts list --stack parley")
def list_(
    ctx: typer.Context,
    *,
    stack: StackOption = "",
    region: Region = "",
    profile: Profile = "",
    json_: JsonOption = False,
) -> None:
    """List the accounts of a stack, oldest first."""
    output = output_of(ctx)
    work = aws_module(WORK)
    found = asyncio.run(work.accounts(stack_of(output, stack, region, profile)))
    if json_:
        named = [{"account": a, "name": name, "created_at": made} for a, name, made in found]
        output.result({"accounts": named})
        return
    if not found:
        output.note("no accounts yet; `parley bootstrap` makes the first")
        return
    rows = [(account, age(made), clock_time(made), name) for account, name, made in found]
    output.table(("ACCOUNT", "CREATED", "AT", "NAME"), rows)
