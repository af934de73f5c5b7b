"""`parley keys`: who may call the API."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from parley_cli.api import Json
from parley_cli.errors import NotFound, Usage
from parley_cli.output import age, one_line
from parley_cli.session import JsonOption, api_of, confirm_deletion, group, output_of
from parley_cli.wayout import with_way_out


class Role(StrEnum):
    """What a key may do."""

    ADMIN = "admin"
    USER = "user"
    CLIENT = "client"


app = group("Create, list and revoke the account's keys. Needs an admin key.")


@app.command(
    epilog="""
[bold]Examples[/bold]

  parley keys create --user ada --name laptop

  parley keys create --role admin --json | jq -r .secret

  parley keys create --llm-client stackademy --name "their site"

A user's key works on the user's own prompts and threads, an admin's on the whole account, a
client's may only chat, with one llm_client.
"""
)
def create(
    ctx: typer.Context,
    *,
    user: Annotated[
        str,
        typer.Option("--user", "-u", metavar="ID", help="Whose key it is; a new user if left out."),
    ] = "",
    role: Annotated[
        Role | None,
        typer.Option("--role", "-r", help="What it may do; `user` if nothing says otherwise."),
    ] = None,
    llm_client: Annotated[
        str,
        typer.Option("--llm-client", metavar="NAME", help="What a client's key may chat with."),
    ] = "",
    name: Annotated[str, typer.Option("--name", metavar="TEXT", help="To recognise it by.")] = "",
    json_: JsonOption = False,
) -> None:
    """Create a key. It is shown this once: only its hash is stored."""
    output = output_of(ctx)
    role = role or (Role.CLIENT if llm_client else Role.USER)
    if (role is Role.CLIENT) != bool(llm_client):
        raise Usage("--llm-client goes with --role client, which needs it")
    new: Json = {"role": role.value}
    if llm_client:
        new["llmClient"] = llm_client
    if user:
        new["userId"] = user
    if name:
        new["name"] = name
    answer = api_of(ctx).create_key(new)
    if json_:
        output.result(answer)
        return
    stored = answer.get("key") or {}
    output.facts(
        [("id", str(stored.get("id"))), *_facts(stored), ("key", str(answer.get("secret") or ""))]
    )
    output.note("\nThe key is not shown again.", "yellow")


def _facts(key: Json) -> list[tuple[str, Any]]:
    return [
        ("user", str(key.get("userId") or "")),
        ("role", str(key.get("role") or "")),
        ("llm_client", str(key.get("llmClient") or "")),
        ("name", str(key.get("name") or "")),
    ]


@app.command("list", epilog="[bold]Example[/bold]\n\n  parley keys list")
def list_(ctx: typer.Context, json_: JsonOption = False) -> None:
    """List the account's keys, revoked ones included; never the keys themselves."""
    output = output_of(ctx)
    answer = api_of(ctx).keys()
    if json_:
        output.result(answer)
        return
    rows = [
        (
            str(key.get("id")),
            _role(key),
            str(key.get("userId") or ""),
            age(key.get("createdAt")),
            f"revoked {age(key['revokedAt'])}" if age(key.get("revokedAt")) else "valid",
            str(key.get("name") or ""),
        )
        for key in answer.get("keys") or []
    ]
    output.table(("ID", "ROLE", "USER", "CREATED", "STATE", "NAME"), rows)


def _role(key: Json) -> str:
    client = key.get("llmClient")
    return f"{key.get('role') or ''}{f' of {client}' if client else ''}"


@app.command(epilog="[bold]Example[/bold]\n\n  parley keys revoke key_1f2e… --yes")
def revoke(
    ctx: typer.Context,
    *,
    key_id: Annotated[str, typer.Argument(help="The key's id, not the key.", metavar="ID")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json_: JsonOption = False,
) -> None:
    """Revoke a key: refused everywhere within a minute, its sockets ended at once."""
    output = output_of(ctx)
    api = api_of(ctx)
    found = next((key for key in api.keys().get("keys") or [] if key.get("id") == key_id), None)
    if found is None:
        raise NotFound(with_way_out("no such key", "no_such_key"))
    if not age(found.get("revokedAt")):
        confirm_deletion(output, f"Revoke {_whose(found)} for good?", "revoking", yes=yes)
    answer = api.revoke_key(key_id)
    if json_:
        output.result(answer)
    output.say(f"revoked: {_whose(found)}")


def _whose(key: Json) -> str:
    """A key in words, by who uses it and what it is called."""
    owner = str(key.get("llmClient") or key.get("userId") or "")
    name = one_line(str(key.get("name") or ""), 60)
    called = f'"{name}"' if name else key.get("id")
    return f"{owner}'s key {called}"
