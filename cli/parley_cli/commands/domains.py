"""`parley domains`: hosts of their own for llm_clients, for whoever operates a stack. Uses AWS."""

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
from parley_cli.session import JsonOption, group, output_of

WORK = "parley_cli.operators"
Host = Annotated[str, typer.Argument(help="The host, such as chat.acme.com.", metavar="HOST")]

app = group("Verify and remove custom hosts of llm_clients. Needs AWS credentials.")


@app.command(
    epilog="""
[bold]Example[/bold]

  parley domains verify chat.acme.com --llm-client stackademy \\
    --account 3141-5926-5359 --stack parley

Do it once the host leads to the API (its certificate, its API Gateway domain and its DNS
record are there) and you know that it is the account's: from then on it answers. An
llm_client has one custom host: a second one takes the place of the first, and that is said.
"""
)
def verify(
    ctx: typer.Context,
    *,
    host: Host,
    llm_client: Annotated[
        str, typer.Option("--llm-client", metavar="NAME", help="What the host is to stand for.")
    ],
    account: Annotated[str, typer.Option(help="The account's number.", metavar="dddd-dddd-dddd")],
    stack: StackOption = "",
    region: Region = "",
    profile: Profile = "",
    json_: JsonOption = False,
) -> None:
    """Let a custom host stand for an llm_client whose manifest names its domain."""
    output = output_of(ctx)
    check_account(account, "--account")
    work = aws_module(WORK)
    found = stack_of(output, stack, region, profile)
    made, was = asyncio.run(work.verify_host(found, host, account, llm_client))
    if json_:
        said = {"host": made.host, "llm_client": made.name, "account": made.account}
        output.result(said | ({"replaced": was} if was else {}))
    output.say(f"{made.host} stands for {made.name} of {made.account}")
    if was:
        output.note(f"in the place of {was}, which stands for nothing any more", "yellow")


@app.command(epilog="[bold]Example[/bold]\n\n  parley domains remove chat.acme.com --stack parley")
def remove(
    ctx: typer.Context,
    *,
    host: Host,
    stack: StackOption = "",
    region: Region = "",
    profile: Profile = "",
    json_: JsonOption = False,
) -> None:
    """Let a custom host stand for nothing any more."""
    output = output_of(ctx)
    work = aws_module(WORK)
    was = asyncio.run(work.remove_host(stack_of(output, stack, region, profile), host))
    if json_:
        output.result({"removed": host, "llm_client": was.name, "account": was.account})
    output.say(f"{host} stood for {was.name} of {was.account}, and does no more")
