"""`parley sessions`: what people have said to the account's llm_clients. For admins."""

import re
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from parley_cli.api import Api, Json
from parley_cli.errors import NotFound, Usage
from parley_cli.output import age, clock_time, one_line
from parley_cli.session import After, JsonOption, Limit, api_of, confirm_deletion, group, output_of
from parley_cli.transcript import write_transcript

Id = Annotated[str, typer.Argument(help="The session's id, not its key.", metavar="ID")]
Client = Annotated[
    str, typer.Option("--llm-client", metavar="NAME", help="Of this llm_client only.")
]
ID = re.compile(r"ses_[a-f0-9]{40}")
AGE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(h|d|w)")
DAYS = {"h": 1 / 24, "d": 1.0, "w": 7.0}

app = group("List, show, delete and purge chat sessions of the account. Needs an admin key.")


@app.command(
    "list",
    epilog="[bold]Example[/bold]\n\n  parley sessions list --llm-client stackademy -n 50",
)
def list_(
    ctx: typer.Context,
    *,
    llm_client: Client = "",
    limit: Limit = 20,
    after: After = "",
    json_: JsonOption = False,
) -> None:
    """List sessions, newest first."""
    output = output_of(ctx)
    answer = api_of(ctx).sessions(llm_client, limit, after)
    if json_:
        output.result(answer)
        return
    sessions = answer.get("sessions") or []
    if not sessions:
        output.note(f"no sessions of {llm_client}" if llm_client else "no sessions yet")
        return
    columns = ("ID", "LLM_CLIENT", "TURNS", "LAST USED", "TITLE")
    output.table(columns, [_row(session) for session in sessions])
    if answer.get("after"):
        output.note(f"more: --after {answer['after']}")


def _row(session: Json) -> tuple[str, ...]:
    return (
        str(session.get("id")),
        str(session.get("llm_client") or ""),
        str(session.get("turns") or 0),
        age(session.get("updated_at")),
        one_line(str(session.get("title") or "")),
    )


@app.command(epilog="[bold]Example[/bold]\n\n  parley sessions show ses_5f0c…")
def show(
    ctx: typer.Context,
    session_id: Id,
    limit: Limit = 100,
    after: After = "",
    json_: JsonOption = False,
) -> None:
    """Show a session and what was said in it, oldest first."""
    output = output_of(ctx)
    api = api_of(ctx)
    found = api.session(_checked(session_id))
    session: Json = found.get("session") or {}
    page = api.messages(session_id, limit, after)
    if json_:
        output.result(found | page)
        return
    output.facts(
        [
            ("session", str(session.get("id"))),
            ("llm_client", str(session.get("llm_client") or "")),
            ("turns", str(session.get("turns") or 0)),
            ("begun", clock_time(session.get("created_at"))),
            ("last used", clock_time(session.get("updated_at"))),
            ("expires", clock_time(session.get("expires_at"))),
        ]
    )
    write_transcript(
        output,
        page.get("messages") or [],
        lambda message: "user" if message.get("userId") else "assistant",
        _unanswered(found.get("prompts") or []),
    )
    if page.get("after"):
        output.note(f"more: --after {page['after']}")


def _unanswered(prompts: Sequence[Json]) -> dict[int, str]:
    """What is said of the questions without an answer, by turn."""
    return {
        int(prompt.get("turn") or 0): _standing(prompt)
        for prompt in prompts
        if prompt.get("status") != "completed"
    }


def _standing(prompt: Json) -> str:
    status = str(prompt.get("status") or "")
    if status == "canceled":
        return "stopped"
    why = one_line(str(prompt.get("error") or prompt.get("errorCode") or ""))
    words = {
        "abandoned": f"failed: {why}",
        "errored": f"failed, to be tried again: {why}",
    }
    told = words.get(status, f"not answered yet: {status}")
    return f"{told} (parley prompts show {prompt.get('id')})"


@app.command(epilog="[bold]Example[/bold]\n\n  parley sessions delete ses_5f0c… --yes")
def delete(
    ctx: typer.Context,
    session_id: Id,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json_: JsonOption = False,
) -> None:
    """Delete a session with what was said in it; an answer under way is canceled."""
    output = output_of(ctx)
    api = api_of(ctx)
    session: Json = api.session(_checked(session_id)).get("session") or {}
    confirm_deletion(
        output, f"Delete {one_line(str(session.get('title')), 60)!r} for good?", yes=yes
    )
    api.delete_session(session_id)
    if json_:
        output.result({"deleted": session_id})
    output.say("deleted")


@app.command(
    epilog="""
[bold]Examples[/bold]

  parley sessions purge --older-than 90d --llm-client stackademy

  parley sessions purge --older-than 1w --dry-run

  parley sessions purge --older-than 90d --yes --json

Says first what it would remove. A session's age counts from the last thing that was said in it.
"""
)
def purge(
    ctx: typer.Context,
    *,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="AGE", help="Such as 12h, 90d or 52w.")
    ],
    llm_client: Client = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json_: JsonOption = False,
) -> None:
    """Delete the sessions that nobody has used for a while."""
    output = output_of(ctx)
    body: Json = {"older_than_days": _days(older_than)}
    if llm_client:
        body["llm_client"] = llm_client
    api = api_of(ctx)
    with output.waiting("looking through the sessions") as waiting:
        found = _walk(
            api, body | {"dry_run": True}, lambda n: waiting.show(f"{n['examined']} looked at")
        )
    which = f"of {llm_client} " if llm_client else ""
    told = f"{found['matched']} of {found['examined']} sessions {which}were not used for "
    output.say(f"{told}{older_than}")
    if found["matched"] and not dry_run:
        confirm_deletion(output, f"Delete these {found['matched']} for good?", yes=yes)
        total = found["matched"]
        with output.waiting("deleting") as waiting:
            found = _walk(
                api,
                body | {"dry_run": False},
                lambda n: waiting.show(f"{n['deleted']} of {total} deleted"),
            )
        output.say(f"deleted {found['deleted']}")
    if json_:
        output.result(found)


def _checked(session_id: str) -> str:
    """The id; raises NotFound for what is none, such as a session's key."""
    if not ID.fullmatch(session_id):
        raise NotFound(
            "that is no session's id, which is ses_ with 40 hexadecimal digits; "
            "`parley sessions list` lists those there are"
        )
    return session_id


def _walk(api: Api, body: Json, told: Callable[[Json], None]) -> Json:
    """Go through all pages of a purge; the sums of what was done on each."""
    sums: Json = dict.fromkeys(("examined", "matched", "deleted"), 0)
    after = ""
    while True:
        page = api.purge_sessions(body | ({"after": after} if after else {}))
        sums = {name: sums[name] + int(page.get(name) or 0) for name in sums}
        told(sums)
        after = str(page.get("after") or "")
        if not after:
            return sums | {"dry_run": body["dry_run"]}


def _days(text: str) -> float:
    found = AGE.fullmatch(text.strip().lower())
    if not found:
        raise Usage("--older-than must be a number with h, d or w, such as 90d")
    return float(found[1]) * DAYS[found[2]]
