"""`parley prompts`: look at prompts and act on them."""

import json
from typing import Annotated, Any

import typer

from parley_cli.api import Json
from parley_cli.errors import Refused
from parley_cli.output import Output, age, clock_time, one_line, status
from parley_cli.session import After, JsonOption, Limit, api_of, group, output_of
from parley_cli.waiting import ahead_of, answer_of, duration, next_attempt, tokens, wait_for

STATUSES = ("scheduled", "running", "errored", "completed", "abandoned", "canceled")
Id = Annotated[str, typer.Argument(help="The prompt's id.", metavar="ID")]
OfStatus = Annotated[
    list[str] | None,
    typer.Option("--status", "-s", metavar="STATUS", help=f"One of {', '.join(STATUSES)}."),
]
All = Annotated[bool, typer.Option("--all", "-a", help="The finished ones, too; newest first.")]
OfThread = Annotated[str, typer.Option("--thread", "-t", metavar="ID", help="Of this thread only.")]
OfModel = Annotated[str, typer.Option("--model", "-m", metavar="ID", help="Of this model only.")]

app = group("List, show, cancel, retry and remove prompts.")


@app.command(
    "list",
    epilog="""
[bold]Examples[/bold]

  parley prompts list                                    what is unfinished

  parley prompts list --all -n 50                        everything, newest first

  parley prompts list --status errored --status abandoned

  parley prompts list --all --json | jq -r '.prompts[].id'
""",
)
def list_(
    ctx: typer.Context,
    *,
    status_: OfStatus = None,
    all_: All = False,
    thread: OfThread = "",
    model: OfModel = "",
    limit: Limit = 20,
    after: After = "",
    json_: JsonOption = False,
) -> None:
    """List prompts: your own; with an admin key, the account's."""
    output = output_of(ctx)
    for word in status_ or []:
        if word not in STATUSES:
            raise typer.BadParameter(f"{word!r} is none of {', '.join(STATUSES)}")
    asked = status_ or (list(STATUSES) if all_ else ["scheduled", "running", "errored"])
    # Only a list of everything is better read from its end: unfinished prompts are a queue.
    query: Json = {"limit": limit, "orderBys": [{"field": "createdAt", "desc": all_}]}
    query |= {"jsonAfter": json.dumps([after])} if after else {}
    answer = api_of(ctx).prompts(query | {"filters": _filters(asked, thread, model)})
    if json_:
        output.result(answer)
        return
    prompts = answer.get("prompts") or []
    if not prompts:
        hint = "" if all_ or status_ else "; `--all` lists the finished ones, too"
        output.note(f"no prompts{hint}")
        return
    columns = ("ID", "STATUS", "ADDED", "ATTEMPTS", "PROMPT")
    output.table(columns, [_row(prompt) for prompt in prompts])
    if answer.get("after"):
        output.note(f"more: --after {answer['after']}")


def _filters(statuses: list[str], thread: str, model: str) -> list[Json]:
    filters = [_filter("status", "isInList", statuses)]
    filters += [_filter("threadId", "equals", [thread])] if thread else []
    filters += [_filter("modelId", "equals", [model])] if model else []
    return filters


def _filter(field: str, op: str, values: list[str]) -> Json:
    return {"fields": [field], "op": op, "jsonValues": json.dumps(values)}


def _row(prompt: Json) -> tuple[Any, ...]:
    return (
        str(prompt.get("id")),
        status(str(prompt.get("status"))),
        age(prompt.get("createdAt")),
        str(prompt.get("runCount") or 0),
        one_line(str(prompt.get("prompt") or "")),
    )


@app.command(epilog="[bold]Example[/bold]\n\n  parley prompts show prom_5f0c…")
def show(ctx: typer.Context, prompt_id: Id, json_: JsonOption = False) -> None:
    """Show a prompt: its state, each attempt, how many turns are ahead, and the answer."""
    output = output_of(ctx)
    found = api_of(ctx).prompt(prompt_id)
    if json_:
        output.result(found)
        return
    show_prompt(output, found)


def show_prompt(output: Output, found: Json) -> None:
    """A prompt for people."""
    prompt = found.get("prompt") or {}
    word, ahead = str(prompt.get("status")), ahead_of(found)
    error = str(prompt.get("error") or "")
    queue = f"{ahead} earlier turn{'' if ahead == 1 else 's'} of the thread" if ahead else ""
    output.facts(
        [
            ("prompt", str(prompt.get("id"))),
            ("status", status(word)),
            ("behind", queue),
            ("attempt", _attempt_now(prompt)),
            ("next", next_attempt(prompt) if word == "errored" else ""),
            ("thread", str(prompt.get("threadId") or "")),
            ("model", str(prompt.get("modelId") or "")),
            ("user", str(prompt.get("userId") or "")),
            ("added", _moment(prompt.get("createdAt"))),
            ("changed", _moment(prompt.get("updatedAt"))),
            ("cancel", "requested" if prompt.get("cancelRequested") else ""),
            ("error", error),
        ]
    )
    attempts = prompt.get("attempts") or []
    if attempts:
        output.say("")
        columns = ("ATTEMPT", "OUTCOME", "STARTED", "TOOK", "TOKENS", "REASON")
        output.table(columns, [_attempt_row(attempt) for attempt in attempts])
    for title, text in (("Prompt", prompt.get("prompt")), (_title(found), answer_of(found))):
        if text:
            output.say(f"\n{title}", "bold")
            output.write(f"{str(text).rstrip()}\n")


def _attempt_now(prompt: Json) -> str:
    """The running attempt, which is not among those that ended."""
    if prompt.get("status") != "running":
        return ""
    return f"{prompt.get('runCount')}, began {age(prompt.get('lastRun'))}"


def _title(found: Json) -> str:
    partial = (found.get("responseMessage") or {}).get("partial")
    return "Answer, as far as it came" if partial else "Answer"


def _moment(value: object) -> str:
    return f"{clock_time(value)} ({age(value)})" if clock_time(value) else ""


def _attempt_row(attempt: Json) -> tuple[Any, ...]:
    return (
        str(attempt.get("number", "")),
        status(str(attempt.get("outcome") or "running")),
        clock_time(attempt.get("startedAt")),
        duration(attempt),
        tokens(attempt).removesuffix(" tokens"),
        str(attempt.get("reason") or ""),
    )


@app.command(
    epilog="[bold]Example[/bold]\n\n  parley prompts cancel prom_5f0c…\n\n"
    "Exit code 1 if the prompt had another end before it could be canceled."
)
def cancel(ctx: typer.Context, prompt_id: Id, json_: JsonOption = False) -> None:
    """Cancel a prompt. What a running one has answered so far is kept."""
    output = output_of(ctx)
    prompt = api_of(ctx).cancel(prompt_id)
    if json_:
        output.result({"prompt": prompt})
    word = str(prompt.get("status"))
    if word == "canceled":
        output.say("canceled")
    elif word in {"completed", "abandoned"}:
        raise Refused(f"too late: the prompt is {word}")
    else:
        output.say("the cancel is requested; the running attempt ends in a moment")


@app.command(
    epilog="[bold]Examples[/bold]\n\n  parley prompts retry prom_5f0c…\n\n"
    "  parley prompts retry prom_5f0c… --wait"
)
def retry(
    ctx: typer.Context,
    prompt_id: Id,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the answer.")] = False,
    json_: JsonOption = False,
) -> None:
    """Give an abandoned or canceled prompt a new turn at the end of its thread."""
    output = output_of(ctx)
    api = api_of(ctx)
    prompt = api.retry(prompt_id)
    if wait:
        wait_for(api, output, prompt, live=output.live)
    elif json_:
        output.result({"prompt": prompt})
    else:
        output.say(f"{prompt.get('status')} again, with a fresh budget of retries")


@app.command(epilog="[bold]Example[/bold]\n\n  parley prompts remove prom_5f0c…")
def remove(ctx: typer.Context, prompt_id: Id, json_: JsonOption = False) -> None:
    """Remove a prompt; an unfinished one is canceled. Its thread keeps the messages."""
    output = output_of(ctx)
    api_of(ctx).remove(prompt_id)
    if json_:
        output.result({"removed": prompt_id})
    output.say("removed")
