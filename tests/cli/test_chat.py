"""`parley chat`: what it posts, what it remembers, what it shows, and how it is stopped."""

import json
import stat
from pathlib import Path

import pytest
from parley.wire.smarter.words import TOLD as SERVERS_WORDS
from parley_cli import follow, waiting, words
from typer.testing import Result

from tests.cli.chatting import thread_of
from tests.cli.conftest import Run
from tests.cli.server import ADMIN_KEY, FakeApi


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(follow, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr("parley_cli.api.FIRST_PAUSE", 0.01)
    monkeypatch.setattr(waiting, "SHORTEST_ROUND", 0.05)


def ok(result: Result) -> Result:
    assert result.exit_code == 0, (result.stdout, result.stderr, result.exception)
    return result


def say(run: Run, text: str, *options: str) -> Result:
    return run("chat", "stackademy", "--message", text, *options)


def kept(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "state").rglob("*") if path.is_file()]


# --- one question


def test_a_message_is_posted_as_it_is_and_its_answer_printed(run: Run, api: FakeApi):
    assert ok(say(run, "1<2 & <a href='x'>")).stdout == "Hello world\n"
    [posted] = api.chat.posted
    assert posted["messages"][-1] == {"role": "user", "content": "1<2 & <a href='x'>"}
    assert posted["messages"][0]["id"] == "intro.1"
    assert (posted["wait"], posted["format"]) == (0, "plain")


def test_a_question_is_read_from_a_pipe(run: Run, api: FakeApi):
    assert ok(run("chat", "stackademy", input="Which courses?\n")).stdout == "Hello world\n"
    assert api.chat.posted[0]["messages"][-1]["content"] == "Which courses?"


def test_the_socket_is_opened_with_the_sessions_key_and_ones_own(run: Run, api: FakeApi):
    api.script = [("watched", 1), ("start",), ("say", "Hi"), ("finish",)]
    ok(say(run, "Hello"))
    assert api.sockets[0] == {
        "session_key": api.chat.keys[0],
        "account": "3141-5926-5359",
        "llm_client": "stackademy",
        "token": ADMIN_KEY,
    }
    assert api.subscribed[0]["threadId"] == thread_of(api.chat.keys[0])


def test_without_a_socket_the_answer_is_waited_for(run: Run, api: FakeApi):
    api.socket_status = 404
    api.script = [("start",), ("say", "slow"), ("pause", 0.3), ("finish",)]
    result = ok(say(run, "Hello"))
    assert result.stdout == "slow\n"
    assert "not live" in result.stderr


def test_tools_are_told_in_a_line_beside_the_answer(run: Run, api: FakeApi):
    api.script = [
        ("watched", 1),
        ("start",),
        ("tool", "calculator", "started", ""),
        ("tool", "calculator", "done", "ok"),
        ("tool", "calculator", "done", "ok"),
        ("say", "It is 2."),
        ("finish",),
    ]
    api.chat.called = [{"name": "calculator", "outcome": "ok"}]
    result = ok(say(run, "1+1?"))
    assert result.stdout == "It is 2.\n"
    assert result.stderr.count('· calculator({"expression": "1+1"}): ok, 1.5 s') == 1


def test_tools_that_were_done_before_anybody_listened_are_told_too(run: Run, api: FakeApi):
    call = {"name": "calculator", "arguments": "{}", "outcome": "failed", "ms": 12}
    api.chat.called = [call]
    api.script = [("start",), ("say", "It is 2."), ("finish_unsaid",)]
    result = ok(say(run, "1+1?"))
    assert result.stderr.count("· calculator(): failed, 12 ms") == 1


def test_json_is_one_object(run: Run, api: FakeApi):
    answer = json.loads(ok(say(run, "Hello", "--json")).stdout)
    assert answer["answer"] == "Hello world"
    assert answer["newSession"] is True
    assert answer["session"] == thread_of(api.chat.keys[0])
    assert answer["prompt"]["status"] == "completed"
    assert api.chat.keys[0] not in json.dumps(answer)


def test_what_a_limit_says_is_said_and_ends_with_1(run: Run, api: FakeApi):
    api.chat.refuse = "Please wait a minute."
    result = say(run, "Hello")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Please wait a minute." in result.stderr


def test_an_answer_that_was_given_up_ends_with_1(run: Run, api: FakeApi):
    api.script = [("start",), ("say", "half"), ("abandon", "rate_limited")]
    result = say(run, "Hello")
    assert (result.exit_code, result.stdout) == (1, "")
    said = " ".join(result.stderr.split())
    assert "the provider is receiving too many requests right now (rate_limited)" in said
    assert "parley prompts show chat_1" in said


def test_there_is_a_sentence_for_every_way_to_fail():
    assert set(words.TOLD) >= set(SERVERS_WORDS)
    assert "went wrong" in words.failed("something_new", "chat_1")


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        (["chat", "absent", "-m", "x"], 4),
        (["chat", "stackademy", "-m", " "], 2),
        (["chat", "stackademy"], 2),
    ],
)
def test_what_makes_no_sense_is_refused(run: Run, typed, code):
    assert run(*typed, input="").exit_code == code


def test_a_key_that_may_only_chat_is_enough(run: Run, api: FakeApi):
    api.chat.chat_only = True
    assert ok(say(run, "Hello")).stdout == "Hello world\n"


# --- the session


def test_the_session_goes_on_until_a_new_one_is_asked_for(run: Run, api: FakeApi, tmp_path):
    ok(say(run, "one"))
    ok(say(run, "two"))
    assert len(api.chat.keys) == 1
    assert api.chat.posted[1]["messages"][0]["id"] == "msg_chat_1"
    ok(say(run, "three", "--new-session"))
    ok(say(run, "four"))
    first, second = api.chat.keys
    assert [post["session_key"] for post in api.chat.posted] == [first, first, second, second]


def test_the_sessions_key_is_for_its_owners_eyes_only(run: Run, api: FakeApi, tmp_path):
    ok(say(run, "one"))
    [file] = kept(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().strip() == api.chat.keys[0]
    assert file.relative_to(tmp_path / "state").parts[-2:] == ("3141-5926-5359", "stackademy")


def test_a_session_that_is_gone_is_told_and_begun_anew(run: Run, api: FakeApi, tmp_path):
    ok(say(run, "one"))
    api.chat.keys.clear()
    api.chat.keys.append("f" * 64)
    result = ok(say(run, "two"))
    assert "the last session is gone" in result.stderr
    assert kept(tmp_path)[0].read_text().strip() == api.chat.keys[-1]


def test_the_same_words_after_a_failure_are_a_new_question(run: Run, api: FakeApi):
    api.script = [("start",), ("abandon", "boom")]
    assert say(run, "again?").exit_code == 1
    api.script = [("start",), ("say", "Yes."), ("finish",)]
    assert ok(say(run, "again?")).stdout == "Yes.\n"


def test_a_lost_response_is_no_second_question(run: Run, api: FakeApi):
    ok(say(run, "one"))
    api.chat.lossy = True
    ok(say(run, "two"))
    assert (len(api.chat.posted), len(api.prompts)) == (3, 2)
