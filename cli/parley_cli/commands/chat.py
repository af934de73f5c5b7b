"""`parley chat`: talk to an llm_client."""

import contextlib
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated

import typer

from parley_cli.api import Api, Json
from parley_cli.conversation import Conversation
from parley_cli.errors import CliError, NotFound, Refused, Usage
from parley_cli.kept import kept_session
from parley_cli.output import Output, tool_line
from parley_cli.session import JsonOption, api_of, output_of
from parley_cli.typed import STDIN, read_text

SHOWN = 20
COMMANDS = {
    "/new": "begin a new session",
    "/retry": "try the last question again, which got no answer",
    "/help": "this",
    "/quit": "leave; Ctrl-D does, too",
}
EPILOG = """
[bold]Examples[/bold]

  parley chat stackademy

  parley chat stackademy --new-session --message "Which courses are there?"

  cat question.txt | parley chat stackademy

  parley chat stackademy --message "Hello" --json | jq -r .answer

The session is remembered on this computer: the next `parley chat` goes on with it.
Ctrl-C stops the answer that is coming; a second one, or one at the prompt, leaves.
"""


def chat(
    ctx: typer.Context,
    *,
    name: Annotated[str, typer.Argument(help="The llm_client's name.", metavar="NAME")],
    new_session: Annotated[
        bool, typer.Option("--new-session", help="Begin a new session; the last one stays stored.")
    ] = False,
    message: Annotated[
        str, typer.Option("--message", "-m", metavar="TEXT", help="Say this, and end.")
    ] = "",
    json_: JsonOption = False,
) -> None:
    """Talk to an llm_client, in the sandbox: it need not be deployed."""
    output = output_of(ctx)
    interactive = not message and sys.stdin.isatty()
    if interactive and json_:
        raise Usage("--json needs --message, or a question on stdin")
    if not message and not interactive:
        # The last line's end is the pipe's, not the question's.
        message = read_text(STDIN).rstrip("\r\n")
    if not interactive and not message.strip():
        raise Usage("there is nothing to say: the message is blank; use --message TEXT, or a pipe")
    chatting = _conversation(api_of(ctx), output, name)
    began = chatting.open(new=new_session)
    if interactive:
        Talk(chatting, output).run(began=began)
        return
    said = _answered(chatting.say(message, live=output.live))
    if json_:
        output.result(said | {"session": chatting.thread_id, "newSession": began})


def _answered(said: Json) -> Json:
    """Raises Refused for an answer that was stopped: half of one is none."""
    if said["prompt"].get("status") != "completed":
        raise Refused("the answer was stopped")
    return said


def _conversation(api: Api, output: Output, name: str) -> Conversation:
    id_, account = _place_of(api, name)
    return Conversation(api, output, id_, kept_session(os.environ, api.target.api, account, name))


def _place_of(api: Api, name: str) -> tuple[str, str]:
    """The id and the account of the llm_client with this name; raises NotFound."""
    try:
        found = api.llm_client(name)
        return str(found.get("id")), str(found.get("account"))
    except NotFound:
        raise NotFound(
            f"no such llm_client: {name}; `parley get llmclients` lists what there is"
        ) from None
    except Refused:
        # A key that may only chat sees no more than that: by name it is let in.
        chatbot = api.chat_config_by_name(name, socket.gethostname()).get("chatbot") or {}
        account = chatbot.get("account") or {}
        return str(chatbot.get("id")), str(account.get("accountNumber"))


@dataclass
class Talk:
    """A conversation on a terminal."""

    chatting: Conversation
    output: Output

    def run(self, *, began: bool) -> None:
        """Until Ctrl-D, /quit, or Ctrl-C where nothing is being answered."""
        # Gives input() the keys and the history of a shell.
        with contextlib.suppress(ImportError):
            import_module("readline")
        self._open(began=began)
        while True:
            try:
                text = input("\n> ").strip()
            except (EOFError, KeyboardInterrupt):
                self.output.write("\n")
                return
            if text == "/quit":
                return
            if text:
                self._turn(text)

    def _open(self, *, began: bool) -> None:
        chatbot = self.chatting.config.get("chatbot") or {}
        title = str(chatbot.get("app_name") or chatbot.get("name") or "")
        how = "a new session" if began else "going on with the last session"
        self.output.say(title, "bold")
        self.output.note(f"({how}; /help lists what else can be typed)")
        items = self.chatting.items
        if len(items) > SHOWN:
            self.output.note("(the beginning is not shown)")
        for item in items[-SHOWN:]:
            self._show(item)
        if open_turn := self.chatting.unfinished:
            self._heard(lambda: self.chatting.resume(open_turn, live=self.output.live))
        elif self.chatting.failed:
            self.output.note("(the last question got no answer; /retry tries it again)")

    def _show(self, item: Json) -> None:
        mine = item.get("role") == "user"
        self.output.say(f"\n{'you' if mine else self.chatting.name}", "dim")
        for call in item.get("tool_calls") or []:
            self.output.note(f"· {tool_line(call)}")
        self.output.write(f"{str(item.get('content') or '').rstrip()}\n")
        if item.get("partial"):
            self.output.note("(stopped)")

    def _turn(self, text: str) -> None:
        live = self.output.live
        if text == "/new":
            self.chatting.open(new=True)
            self._open(began=True)
        elif text == "/retry":
            self._heard(lambda: self.chatting.retry(live=live))
        elif text.startswith("/") and text not in COMMANDS and " " not in text:
            self.output.note(f"{text} is no command; /help lists them")
        elif text == "/help":
            self.output.facts(list(COMMANDS.items()))
        else:
            self._heard(lambda: self.chatting.say(text, live=live))

    def _heard(self, turn: Callable[[], Json]) -> None:
        """One turn; what goes wrong with it does not end the conversation."""
        self.output.say(f"\n{self.chatting.name}", "dim")
        try:
            said = turn()
        except CliError as error:
            self.output.error(str(error))
            with contextlib.suppress(CliError):
                self.chatting.read()
            return
        if said["prompt"].get("status") == "canceled":
            self.output.note("(stopped)")
