"""`parley bootstrap` and `parley doctor`: for whoever deployed the stack. They use AWS."""

import asyncio
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from parley_cli.config import checked_url, local_stack, stacks_near, which_of
from parley_cli.errors import Refused, Usage
from parley_cli.output import Output, status
from parley_cli.session import JsonOption, output_of

ACCOUNT = re.compile(r"[0-9]{4}-[0-9]{4}-[0-9]{4}")
FIRST_ACCOUNT = "3141-5926-5359"

BOOTSTRAP_EPILOG = """
[bold]Examples[/bold]

  parley bootstrap --stack parley

  echo "$OPENAI_API_KEY" | parley bootstrap --stack parley \\
    --model-base-url https://api.openai.com/v1 --model-name gpt-4o-mini --model-key -

  parley bootstrap --stack parley --add-key      the admin key was lost

AWS credentials are taken as every AWS tool takes them. The keys are shown this once.
"""
DOCTOR_EPILOG = """
[bold]Example[/bold]

  parley doctor --stack parley

Exit code 1 if anything is failing: an alarm, the API, a function. Warnings are 0.
"""
# By whether there is a login of AWS: with one, no local stack is meant.
NO_STACK = {
    True: "say which stack of AWS: --stack NAME",
    False: (
        "say which stack: --stack NAME. (For a local one, which is known, go into Parley's "
        "directory, or set PARLEY_STACK.)"
    ),
}
StackOption = Annotated[
    str,
    typer.Option("--stack", metavar="NAME", help="The stack's name; that of a local one is known."),
]
Region = Annotated[str, typer.Option(metavar="NAME", help="AWS region, if not the configured one.")]
Profile = Annotated[
    str, typer.Option(metavar="NAME", help="AWS profile, if not the configured one.")
]


Account = Annotated[str, typer.Option(help="The account's number.", metavar="dddd-dddd-dddd")]
User = Annotated[str, typer.Option(metavar="ID", help="Whose the admin key is.")]
UserKey = Annotated[
    bool, typer.Option("--user-key", help="Also make a key of role user, for the user `user`.")
]
AddKey = Annotated[
    bool, typer.Option("--add-key", help="Make another key of an account that exists.")
]
ModelBaseUrl = Annotated[
    str, typer.Option(help="Also add a model: where its provider is.", metavar="URL")
]
ModelName = Annotated[str, typer.Option(metavar="NAME", help="The model's name at its provider.")]
ModelKey = Annotated[
    str,
    typer.Option(
        help="The provider's key, kept in the parameter store; `-` reads it from stdin.",
        metavar="KEY",
        envvar="PARLEY_MODEL_KEY",
        show_default=False,
    ),
]
ModelId = Annotated[
    str, typer.Option(metavar="ID", help="What prompts call the model; also its secret's name.")
]


def bootstrap(
    ctx: typer.Context,
    *,
    stack: StackOption = "",
    account: Account = FIRST_ACCOUNT,
    user: User = "admin",
    user_key: UserKey = False,
    add_key: AddKey = False,
    model_base_url: ModelBaseUrl = "",
    model_name: ModelName = "",
    model_key: ModelKey = "",
    model_id: ModelId = "default",
    region: Region = "",
    profile: Profile = "",
    json_: JsonOption = False,
) -> None:
    """Give a fresh stack its first account, and show its admin key once."""
    output = output_of(ctx)
    check_account(account, "--account")
    work = aws_module("parley_cli.bootstrap")
    model = None
    if model_base_url or model_name:
        url, key = _provider(model_base_url, model_name, model_key)
        model = work.FirstModel(model_id, url, model_name, key)
    found = stack_of(output, stack, region, profile)
    wanted = work.Wanted(account, user, "user" if user_key else "", add_key, model)
    made = asyncio.run(work.bootstrap(found, wanted))
    result = {
        "api": found.outputs["ApiUrl"],
        "websocket": found.outputs["SocketUrl"],
        "account": account,
        "admin_key": made.admin_key,
    } | ({"user_key": made.user_key} if made.user_key else {})
    if json_:
        output.result(result)
    else:
        _show_made(output, result)


def _provider(base_url: str, name: str, key: str) -> tuple[str, str]:
    """Where the first model's provider is, and the key for it; raises Usage."""
    if not (base_url and name):
        raise Usage("a model needs both --model-base-url and --model-name")
    url = checked_url(base_url, ("https", "http"), "--model-base-url")
    return url, sys.stdin.readline().strip() if key == "-" else key


def _show_made(output: Output, made: Mapping[str, str]) -> None:
    """The account and its keys for people, and what to do with them."""
    output.facts([(name.replace("_", " "), value) for name, value in made.items()])
    output.note("\nThe keys are not shown again: only their hashes are stored.", "yellow")
    output.note(
        f"Next: parley login --api {made['api']} --websocket {made['websocket']}\n"
        "(it asks for the key)"
    )


def doctor(
    ctx: typer.Context,
    *,
    stack: StackOption = "",
    region: Region = "",
    profile: Profile = "",
    json_: JsonOption = False,
) -> None:
    """Examine a stack: its outputs, API, table, queues, functions and alarms."""
    output = output_of(ctx)
    work = aws_module("parley_cli.doctor")
    found = stack_of(output, stack, region, profile)
    with output.waiting(f"examining {found.name}"):
        findings = list(work.examine(found))
    failing = [finding for finding in findings if finding.state == work.FAILING]
    if json_:
        named = [{"subject": f.subject, "state": f.state, "detail": f.detail} for f in findings]
        output.result({"stack": found.name, "outputs": dict(found.outputs), "findings": named})
    else:
        rows = [(f.subject, status(f.state), f.detail) for f in findings]
        output.table(("WHAT", "STATE", "FOUND"), rows)
    if failing:
        raise Refused(f"{len(failing)} of {len(findings)} findings are failing")


def stack_of(output: Output, name: str, region: str, profile: str) -> Any:
    """The stack, on AWS as the options say; the local one where there is no login of AWS.

    Raises Usage if no name was given and it is not the local stack's.
    """
    aws = aws_module("parley_cli.aws")
    local = local_stack(os.environ, Path.cwd())
    endpoint = aws.use_session(region, profile, local)
    if endpoint:
        output.note(f"(no login of AWS: using the local stack's, {endpoint})")
    if not name and endpoint:
        name = str(local.get("stack_name") or "")
    if not name:
        logged_in = aws.logged_in()
        several = "" if logged_in else which_of(stacks_near(Path.cwd()))
        raise Usage(NO_STACK[logged_in] + several)
    found = aws.read_stack(name)
    if not endpoint:
        return found
    # Of its outputs these are names on AWS, which lead nowhere here.
    here = {"ApiUrl": str(local.get("api")), "SocketUrl": str(local.get("websocket"))}
    return replace(found, outputs={**found.outputs, **here})


def check_account(number: str, name: str) -> None:
    """Raise Usage for what is no account's number."""
    if not ACCOUNT.fullmatch(number):
        raise Usage(f"{name} must look like 3141-5926-5359")


def aws_module(module: str) -> Any:
    """A module that needs the extra `aws`: the other commands neither need it nor wait for it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise Usage(
            f"this command uses AWS and needs {error.name}; install parley-cli[aws]"
        ) from None
