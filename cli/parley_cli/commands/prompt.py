"""`parley prompt`: ask, and wait for the answer."""

from typing import Annotated

import typer

from parley_cli.api import Json, new_prompt_id
from parley_cli.errors import Usage
from parley_cli.session import JsonOption, api_of, output_of
from parley_cli.typed import STDIN, read_text
from parley_cli.waiting import wait_for

EPILOG = """
[bold]Examples[/bold]

  parley prompt "What's a banana?"

  git diff | parley prompt - --template "Write a commit message for: {prompt}"

  parley prompt "And a plantain?" --thread fruit

  ID=$(parley prompt --no-wait "Tell me a long story")

  parley prompt "Hello" --json | jq -r .answer

The answer streams to a terminal as it comes; a file or a pipe gets it once it is whole.
Ctrl-C stops the waiting, not the prompt: it is durable.

Exit code 0 if the prompt is completed, 1 if it was abandoned or canceled.
"""


Asked = Annotated[str, typer.Argument(help="What to ask. `-` reads it from stdin.", metavar="TEXT")]
Thread = Annotated[
    str, typer.Option("--thread", "-t", metavar="ID", help="Continue this thread, or begin it.")
]
Model = Annotated[
    str, typer.Option("--model", "-m", metavar="ID", help="A model of the catalogue.")
]
Id = Annotated[
    str,
    typer.Option(
        "--id", metavar="ID", help="The prompt's id: the same one again runs nothing twice."
    ),
]
Template = Annotated[
    str,
    typer.Option(metavar="TEXT", help="Sent instead of the text, every `{prompt}` replaced by it."),
]
MaxRetries = Annotated[
    int | None,
    typer.Option(metavar="N", min=0, max=20, help="Retries after a failed attempt, 0 to 20."),
]
Wait = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Wait for the answer, or print the id and go.")
]
Stream = Annotated[
    bool | None,
    typer.Option(
        "--stream/--no-stream",
        help="Show the answer as it comes. Without it: if stdout is a terminal.",
        show_default=False,
    ),
]


def prompt(
    ctx: typer.Context,
    *,
    text: Asked,
    thread: Thread = "",
    model: Model = "",
    id_: Id = "",
    template: Template = "",
    max_retries: MaxRetries = None,
    wait: Wait = True,
    stream: Stream = None,
    json_: JsonOption = False,
) -> None:
    """Add a prompt, wait for its answer and show it as it comes."""
    output = output_of(ctx)
    id_ = id_ or new_prompt_id()
    named = {"threadId": thread, "modelId": model, "id": id_, "template": template}
    new: Json = {"prompt": _text(text)}
    new |= {name: value for name, value in named.items() if value}
    if max_retries is not None:
        new["maxRetries"] = max_retries
    api = api_of(ctx)
    try:
        added = api.add_prompt(new)
    except KeyboardInterrupt:
        output.note(f"\nIt may have been added: `parley prompts cancel {id_}` cancels it.")
        raise
    if wait:
        live = output.live if stream is None else stream and not json_
        wait_for(api, output, added, live=live)
    elif json_:
        output.result({"prompt": added})
    else:
        output.write(f"{added['id']}\n")
        output.note(f"{added.get('status')}; see it with `parley prompts show {added['id']}`")


def _text(argument: str) -> str:
    text = read_text(STDIN) if argument == STDIN else argument
    if not text.strip():
        raise Usage("there is nothing to ask: the text is blank")
    return text
