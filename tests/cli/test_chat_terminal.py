"""`parley chat` on a terminal, and Ctrl-C at each moment of a turn."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web
from parley_cli import follow, waiting

from tests.cli.chatting import WELCOME, nothing, thread_of
from tests.cli.conftest import Run
from tests.cli.scripted import Prompt
from tests.cli.server import ADMIN_KEY, FakeApi
from tests.cli.terminal import Terminal

Open = Callable[..., Terminal]


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(follow, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr("parley_cli.api.FIRST_PAUSE", 0.01)
    monkeypatch.setattr(waiting, "SHORTEST_ROUND", 0.05)


@pytest.fixture
def open_chat(api: FakeApi, tmp_path: Path) -> Iterator[Open]:
    environment = dict(os.environ) | {"PARLEY_API": api.url, "PARLEY_KEY": ADMIN_KEY}
    opened: list[Terminal] = []

    def open_(*words: str) -> Terminal:
        opened.append(Terminal(environment, "chat", "stackademy", *words))
        return opened[-1]

    yield open_
    for terminal in opened:
        terminal.close()


def test_a_conversation_on_a_terminal(api: FakeApi, open_chat: Open):
    terminal = open_chat()
    assert "a new session" in terminal.until(WELCOME)
    terminal.until("> ")
    terminal.type("Hello")
    terminal.until("Hello world\r\n")
    terminal.until("> ")
    terminal.type("/help")
    terminal.until("/retry")
    terminal.until("> ")
    terminal.type("/new")
    terminal.until("a new session")
    terminal.until("> ")
    terminal.type("/quit")
    assert terminal.end() == 0
    assert len(api.chat.keys) == 2


def test_what_was_said_is_shown_when_it_goes_on(api: FakeApi, run: Run, open_chat: Open):
    assert run("chat", "stackademy", "-m", "one").exit_code == 0
    terminal = open_chat()
    shown = terminal.until("> ")
    assert "going on with the last session" in shown
    assert shown.index(WELCOME) < shown.index("one") < shown.index("Hello world")
    terminal.interrupt_at_the_prompt()
    assert terminal.end() == 0


def test_ctrl_c_stops_the_answer_and_the_conversation_goes_on(api: FakeApi, open_chat: Open):
    api.script = [("watched", 1), ("start",), ("say", "a long ")]
    terminal = open_chat()
    terminal.until("> ")
    terminal.type("Tell me")
    terminal.until("a long ")
    terminal.interrupt()
    terminal.until("(stopped)")
    terminal.until("> ")
    assert api.prompts["chat_1"].status == "canceled"
    api.script = [("start",), ("say", "short"), ("finish",)]
    terminal.type("And now?")
    terminal.until("short\r\n")


def test_a_second_ctrl_c_leaves(api: FakeApi, open_chat: Open):
    api.script = [("watched", 1), ("start",), ("say", "a long ")]
    api.chat.deaf = True
    terminal = open_chat()
    terminal.until("> ")
    terminal.type("Tell me")
    terminal.until("a long ")
    terminal.interrupt()
    terminal.until("Ctrl-C again leaves")
    assert terminal.leave() == 130


def test_a_failed_answer_is_tried_again(api: FakeApi, open_chat: Open):
    api.script = [("start",), ("abandon", "boom")]
    terminal = open_chat()
    terminal.until("> ")
    terminal.type("Tell me")
    terminal.until("boom")
    terminal.until("> ")
    api.script = [("watched", 2), ("start",), ("say", "At last."), ("finish",)]
    terminal.type("/retry")
    terminal.until("At last.")


def test_an_answer_that_is_still_coming_is_heard_to_its_end(
    api: FakeApi, run: Run, open_chat: Open
):
    api.script = [("watched", 1), ("start",), ("say", "half"), ("watched", 2), ("say", " whole")]
    api.script = [*api.script, ("finish",)]
    first = open_chat()
    first.until("> ")
    first.type("Tell me")
    first.until("half")
    first.process.kill()
    second = open_chat()
    assert "half whole" in second.until("> ")


# --- Ctrl-C while the question is on its way


async def interrupted() -> None:
    """Ctrl-C, to the command that runs in the tests' own process."""
    main = threading.main_thread().ident
    assert main
    signal.pthread_kill(main, signal.SIGINT)


UNENDING = [("start",), ("say", "a long ")]


def test_a_question_that_was_interrupted_while_it_was_posted_is_canceled(run: Run, api: FakeApi):
    api.script, api.chat.at_post = UNENDING, interrupted
    result = run("chat", "stackademy", "-m", "Tell me")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Ctrl-C again leaves" in result.stderr
    assert "the answer was stopped" in result.stderr
    assert [prompt.status for prompt in api.prompts.values()] == ["canceled"]


def test_it_is_canceled_too_if_the_answer_to_the_post_was_lost(run: Run, api: FakeApi):
    api.script, api.chat.at_post, api.chat.lossy = UNENDING, interrupted, True
    result = run("chat", "stackademy", "-m", "Tell me")
    assert (result.exit_code, result.stdout) == (1, "")
    assert [prompt.status for prompt in api.prompts.values()] == ["canceled"]
    assert len(api.chat.posted) == 1  # nobody who leaves asks again


async def interrupted_and_lost() -> None:
    await interrupted()
    raise web.HTTPBadGateway


def test_what_was_not_accepted_is_told_as_lost(run: Run, api: FakeApi):
    api.chat.at_post = interrupted_and_lost
    result = run("chat", "stackademy", "-m", "Tell me")
    assert (result.exit_code, "is not available" in result.stderr) == (5, True)
    assert not api.prompts


def test_an_earlier_turn_is_not_taken_for_the_one_that_was_interrupted(run: Run, api: FakeApi):
    """It may be another window's: a session may have several open turns."""
    assert run("chat", "stackademy", "-m", "one").exit_code == 0
    body = {"prompt": "theirs", "point": "x"}
    theirs = Prompt("theirs", thread_of(api.chat.keys[0]), 2, body, status="running")
    api.prompts["theirs"] = theirs
    api.chat.at_post = interrupted_and_lost
    assert run("chat", "stackademy", "-m", "two").exit_code == 5
    assert theirs.status == "running"


def test_a_retry_that_was_interrupted_while_it_was_posted_is_canceled(
    api: FakeApi, open_chat: Open
):
    api.script = [("start",), ("abandon", "boom")]
    terminal = open_chat()
    terminal.until("> ")
    terminal.type("Tell me")
    terminal.until("boom")
    terminal.until("> ")
    api.script = UNENDING
    api.chat.at_post = Interrupts(terminal)
    terminal.type("/retry")
    terminal.until("(stopped)")
    assert api.prompts["chat_1"].status == "canceled"


class Interrupts:
    """Ctrl-C on a terminal at the moment of a post, whose answer waits to be `let` go."""

    def __init__(self, terminal: Terminal, *, let: bool = True) -> None:
        self.terminal = terminal
        self.let = let

    async def __call__(self) -> None:
        self.terminal.interrupt()
        while not self.let:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def test_the_conversation_goes_on_after_it(api: FakeApi, open_chat: Open):
    terminal = open_chat()
    terminal.until("> ")
    api.script, api.chat.at_post = UNENDING, Interrupts(terminal, let=False)
    terminal.type("Tell me")
    terminal.until("Ctrl-C again leaves")
    api.chat.at_post.let = True
    terminal.until("(stopped)")
    terminal.until("> ")
    assert api.prompts["chat_1"].status == "canceled"
    api.script, api.chat.at_post = [("start",), ("say", "short"), ("finish",)], nothing
    terminal.type("And now?")
    terminal.until("short\r\n")


def test_a_second_ctrl_c_while_it_is_posted_leaves_at_once(api: FakeApi, open_chat: Open):
    terminal = open_chat()
    terminal.until("> ")
    api.script, api.chat.at_post = UNENDING, Interrupts(terminal, let=False)
    terminal.type("Tell me")
    terminal.until("Ctrl-C again leaves")
    assert terminal.leave() == 130
