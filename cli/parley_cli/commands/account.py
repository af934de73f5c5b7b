"""`parley login` and `parley status`."""

import os
import sys
from typing import Annotated

import typer

from parley_cli.api import Api
from parley_cli.config import KEY_FORM, Target, checked_url, config_file, is_key, save_target
from parley_cli.errors import Usage
from parley_cli.session import JsonOption, api_of, output_of

ApiUrl = Annotated[str, typer.Option(help="The API's address.", metavar="URL")]
Key = Annotated[
    str,
    typer.Option(
        help="Your key; `-` reads it from stdin. Without it you are asked, unseen.",
        metavar="KEY",
        envvar="PARLEY_KEY",
        show_default=False,
    ),
]
SocketUrl = Annotated[
    str,
    typer.Option(
        help="The socket's address (a stack's output SocketUrl), if it is not API/ws.",
        metavar="URL",
    ),
]
Check = Annotated[bool, typer.Option("--check/--no-check", help="Try the key before it is saved.")]


def login(
    ctx: typer.Context,
    *,
    api: ApiUrl,
    key: Key = "",
    websocket: SocketUrl = "",
    check: Check = True,
    json_: JsonOption = False,
) -> None:
    """Save where the API is and your key, readable by you only."""
    output = output_of(ctx)
    target = Target(
        checked_url(api, ("https", "http"), "--api"),
        _key(key),
        checked_url(websocket, ("wss", "ws"), "--websocket") if websocket else "",
    )
    if check:
        with Api(target) as tried:
            tried.status()
    path = config_file(os.environ)
    save_target(path, target)
    if json_:
        output.result({"api": target.api, "websocket": target.websocket, "file": str(path)})
    output.say(f"saved to {path}")
    for name in ("PARLEY_API", "PARLEY_KEY"):
        if os.environ.get(name):
            output.note(f"{name} is set and goes before it", "yellow")


LOGIN_EPILOG = """
[bold]Examples[/bold]

  parley login --api https://prompts.example.com

  pass show parley | parley login --api https://prompts.example.com --key -

PARLEY_API, PARLEY_KEY and PARLEY_WEBSOCKET go before the file. Where neither names an API
and a local stack runs in this directory or a parent, that is used.
"""


def _key(key: str) -> str:
    """The key; asked for or piped in, it is in no list of processes and in no history."""
    if key == "-":
        key = sys.stdin.readline()
    elif not key:
        if not sys.stdin.isatty():
            raise Usage(
                "there is no key, and no terminal to ask on: use --key -, or set PARLEY_KEY"
            )
        key = typer.prompt("Key", hide_input=True)
    key = key.strip()
    if not is_key(key):
        raise Usage(f"that is no key: {KEY_FORM}")
    return key


STATUS_EPILOG = "[bold]Example[/bold]\n\n  parley status --json"


def status(ctx: typer.Context, json_: JsonOption = False) -> None:
    """Show whom the key belongs to, the models, and the unfinished prompts by state."""
    output = output_of(ctx)
    api = api_of(ctx)
    answer = api.status()
    if json_:
        output.result(answer)
        return
    unfinished = answer.get("unfinished") or {}
    counts = ", ".join(f"{count} {word}" for word, count in unfinished.items() if count)
    output.facts(
        [
            ("api", api.target.api),
            ("configured by", api.target.source),
            ("account", str(answer.get("account") or "")),
            ("user", f"{answer.get('userId')} ({answer.get('role')})"),
            ("models", str(answer.get("models", ""))),
            ("unfinished", counts or "none"),
            ("version", str(answer.get("version") or "")),
        ]
    )
