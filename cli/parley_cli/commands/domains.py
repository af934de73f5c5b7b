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
    use_session,
)
from parley_cli.session import JsonOption, group, output_of

WORK, AWS = "parley_cli.operators", "parley_cli.aws"
Host = Annotated[str, typer.Argument(help="The host, such as chat.acme.com.", metavar="HOST")]

app = group("Verify and remove custom hosts of llm_clients. Needs AWS credentials.")


@app.command(
    epilog="""
[bold]Example[/bold]

  parley domains verify chat.acme.com --llm-client stackademy --account 3141-5926-5359 \\
    --stack parley

Do it once the host leads to the API (its certificate, its API Gateway domain and its DNS
record are there) and you know that it is the account's: from then on it answers.
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
    stack: StackOption,
    region: Region = "",
    profile: Profile = "",
    json_: JsonOption = False,
) -> None:
    """Let a custom host stand for an llm_client whose manifest names its domain."""
    output = output_of(ctx)
    check_account(account, "--account")
    work, aws = aws_module(WORK), aws_module(AWS)
    use_session(output, region, profile)
    made = asyncio.run(work.verify_host(aws.read_stack(stack), host, account, llm_client))
    if json_:
        output.result({"host": made.host, "llm_client": made.name, "account": made.account})
    output.say(f"{made.host} stands for {made.name} of {made.account}")


@app.command(epilog="[bold]Example[/bold]\n\n  parley domains remove chat.acme.com --stack parley")
def remove(
    ctx: typer.Context,
    *,
    host: Host,
    stack: StackOption,
    region: Region = "",
    profile: Profile = "",
    json_: JsonOption = False,
) -> None:
    """Let a custom host stand for nothing any more."""
    output = output_of(ctx)
    work, aws = aws_module(WORK), aws_module(AWS)
    use_session(output, region, profile)
    was = asyncio.run(work.remove_host(aws.read_stack(stack), host))
    if json_:
        output.result({"removed": host, "llm_client": was.name, "account": was.account})
    output.say(f"{host} stood for {was.name} of {was.account}, and does no more")
