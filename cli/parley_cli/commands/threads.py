"""`parley threads`: conversations, and following one live."""

from contextlib import closing
from dataclasses import dataclass
from typing import Annotated

import typer

from parley_cli.api import Api, Json
from parley_cli.errors import NotFound
from parley_cli.follow import Follower
from parley_cli.output import Output, age, one_line, tool_line
from parley_cli.session import After, JsonOption, Limit, api_of, confirm_deletion, group, output_of
from parley_cli.transcript import write_transcript
from parley_cli.view import CaughtUp, Event, Restarted, Said, State, Text, ThreadView, Tool, Unheard
from parley_cli.waiting import answer_of, next_attempt

Id = Annotated[str, typer.Argument(help="The thread's id.", metavar="ID")]

app = group("Follow, list, show and delete threads.")


@app.command(
    "list",
    epilog="[bold]Example[/bold]\n\n  parley threads list -n 5 --json | jq -r '.threads[].id'",
)
def list_(
    ctx: typer.Context, limit: Limit = 20, after: After = "", json_: JsonOption = False
) -> None:
    """List threads, newest first: your own; with an admin key, the account's."""
    output = output_of(ctx)
    answer = api_of(ctx).threads(limit, after)
    if json_:
        output.result(answer)
        return
    threads = answer.get("threads") or []
    if not threads:
        output.note("no threads yet; `parley prompt` begins one")
        return
    rows = [
        (str(thread.get("id")), age(thread.get("createdAt")), one_line(str(thread.get("title"))))
        for thread in threads
    ]
    output.table(("ID", "BEGUN", "TITLE"), rows)
    if answer.get("after"):
        output.note(f"more: --after {answer['after']}")


@app.command(epilog="[bold]Example[/bold]\n\n  parley threads show fruit -n 100")
def show(
    ctx: typer.Context,
    thread_id: Id,
    limit: Limit = 100,
    after: After = "",
    json_: JsonOption = False,
) -> None:
    """Show the messages of a thread, oldest first."""
    output = output_of(ctx)
    api = api_of(ctx)
    thread = api.thread(thread_id)
    page = api.messages(thread_id, limit, after)
    if json_:
        output.result({"thread": thread} | page)
        return
    output.say(str(thread.get("title") or thread_id), "bold")
    write_transcript(
        output,
        page.get("messages") or [],
        lambda message: str(message.get("userId") or "") or "assistant",
    )
    if page.get("after"):
        output.note(f"more: --after {page['after']}")


@app.command(epilog="[bold]Example[/bold]\n\n  parley threads delete fruit --yes")
def delete(
    ctx: typer.Context,
    thread_id: Id,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json_: JsonOption = False,
) -> None:
    """Delete a thread with its messages and prompts; unfinished ones are canceled."""
    output = output_of(ctx)
    api = api_of(ctx)
    thread = api.thread(thread_id)
    confirm_deletion(
        output, f"Delete {one_line(str(thread.get('title')), 60)!r} for good?", yes=yes
    )
    api.delete_thread(thread_id)
    if json_:
        output.result({"deleted": thread_id})
    output.say("deleted")


@app.command(
    epilog="""
[bold]Examples[/bold]

  parley threads watch fruit

  parley threads watch fruit --until-idle     end once nothing is unfinished

  parley threads watch fruit --json           an object per line

Shows the newest messages, then what happens, as it happens. Ctrl-C ends it.
"""
)
def watch(
    ctx: typer.Context,
    thread_id: Id,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="End once no prompt of it is unfinished.")
    ] = False,
    history: Annotated[
        int,
        typer.Option(metavar="N", min=0, max=20, help="Newest messages to begin with, 0 to 20."),
    ] = 6,
    json_: JsonOption = False,
) -> None:
    """Follow a thread live: questions, answers as they come, failures, cancels."""
    output = output_of(ctx)
    api = api_of(ctx)
    api.thread(thread_id)
    view = ThreadView(history=history)
    follower = Follower(
        api.target, thread_id, view=view, told=lambda text: output.note(f"({text})")
    )
    screen = Screen(api, output, view)
    with closing(follower.events()) as events:
        for event in events:
            if json_:
                output.line(as_json(event))
            else:
                screen.show(event)
            # The prompts are known once all of a subscription was shown, and after it
            # only these change whether one is unfinished.
            if until_idle and isinstance(event, CaughtUp | State | Unheard) and view.idle:
                break
    screen.rest()


def as_json(event: Event) -> Json:
    """An event for programs, one to a line."""
    told: Json
    match event:
        case Said(message):
            told = {"event": "message", "message": message}
        case Text(prompt_id, text):
            told = {"event": "text", "promptId": prompt_id, "text": text}
        case Restarted(prompt_id, attempt):
            told = {"event": "restarted", "promptId": prompt_id, "attempt": attempt}
        case State(_, state):
            told = {"event": "prompt", "prompt": state}
        case Unheard(prompt_id):
            told = {"event": "ended", "promptId": prompt_id}
        case Tool(prompt_id, call):
            told = {"event": "tool", "promptId": prompt_id, "call": call}
        case CaughtUp():
            told = {"event": "subscribed"}
    return told


@dataclass
class Screen:
    """The thread on the screen: one prompt speaks at a time, as turns run one at a time."""

    api: Api
    output: Output
    view: ThreadView
    speaking: str = ""
    anew: str = ""

    def show(self, event: Event) -> None:
        """What an event looks like."""
        match event:
            case Said(message):
                self._message(message)
            case Text(prompt_id, text):
                self._text(prompt_id, text)
            case Restarted():
                self.rest()
                self.anew = ", the answer starts anew"
            case State():
                self._state(event.state)
            case Tool(_, call):
                self._tool(call)
            case Unheard(prompt_id):
                self._ask(prompt_id)

    def rest(self) -> None:
        """End the line that is being written."""
        if self.speaking:
            self.output.write("\n")
        self.speaking = ""

    def _text(self, prompt_id: str, text: str) -> None:
        if self.speaking != prompt_id:
            self.rest()
            self.output.say("\nassistant", "dim")
            self.speaking = prompt_id
        self.output.write(text)

    def _tool(self, call: Json) -> None:
        if call.get("state") == "done":
            self.rest()
            self.output.note(f"· {tool_line(call)}")

    def _message(self, message: Json) -> None:
        self.rest()
        for call in message.get("calls") or []:
            self.output.note(f"· {tool_line(call)}")
        if message.get("role") == "tool":
            return
        who = "assistant" if message.get("role") == "assistant" else message.get("userId") or "user"
        cut = " (cut; `parley threads show` has all of it)" if message.get("truncated") else ""
        self.output.say(f"\n{who}{cut}", "dim")
        self.output.write(f"{str(message.get('text') or '').rstrip()}\n")

    def _state(self, state: Json) -> None:
        word, attempt = str(state.get("status")), state.get("attempt")
        code = str(state.get("errorCode") or "")
        if word == "completed" or (word == "running" and attempt == 1):
            return  # the answer itself says so
        self.rest()
        told = {
            "running": f"attempt {attempt}{self.anew}",
            "errored": f"attempt {attempt} failed ({code}), {next_attempt(state)}",
            "abandoned": f"abandoned ({code})",
            "scheduled": "queued",
        }.get(word, word)
        self.anew = ""
        self.output.note(f"· {state.get('id')}: {told}")

    def _ask(self, prompt_id: str) -> None:
        """A prompt ended unheard: the API knows how, and the rest of its answer."""
        try:
            found = self.api.prompt(prompt_id)
        except NotFound:
            self.rest()
            self.output.note(f"· {prompt_id}: removed")
            return
        answer, heard = answer_of(found), self.view.heard[prompt_id]
        if answer and answer != heard.text:
            if not answer.startswith(heard.text):
                self.show(Restarted(prompt_id, heard.attempt))
                heard.text = ""
            self._text(prompt_id, answer[len(heard.text) :])
            heard.text = answer
        self.rest()
        self.output.note(f"· {prompt_id}: {(found.get('prompt') or {}).get('status')}")
