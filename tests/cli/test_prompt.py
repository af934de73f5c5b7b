"""`parley prompt`: the answer as it comes, once, whatever happens to the socket."""

import json

import pytest
from parley_cli import follow, waiting
from typer.testing import Result

from tests.cli.conftest import Run
from tests.cli.server import FakeApi


@pytest.fixture(autouse=True)
def _hasty(monkeypatch):
    monkeypatch.setattr(follow, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(waiting, "SHORTEST_ROUND", 0.05)


def ok(result: Result) -> Result:
    assert result.exit_code == 0, (result.stdout, result.stderr, result.exception)
    return result


def test_the_answer_streams_and_the_end_is_told_on_stderr(run: Run, api: FakeApi):
    api.script = [
        ("watched", 1),
        ("start",),
        ("say", "A ban"),
        ("say", "ana is a fruit."),
        ("finish",),
    ]
    result = ok(run("prompt", "What's a banana?", "--stream"))
    assert result.stdout == "A banana is a fruit.\n"
    assert "completed" in result.stderr
    assert "12 + 34 tokens" in result.stderr


def test_a_pipe_gets_the_whole_answer_once(run: Run, api: FakeApi):
    api.script = [
        ("watched", 1),
        ("start",),
        ("say", "Half an"),
        ("fail", "cut"),
        ("start",),
        ("say", "A whole answer."),
        ("finish",),
    ]
    assert ok(run("prompt", "x")).stdout == "A whole answer.\n"


def test_the_prompt_is_sent_as_asked_and_asynchronously(run: Run, api: FakeApi):
    options = ["--thread", "t1", "--model", "m", "--id", "p1", "--template", "Say {prompt}"]
    ok(run("prompt", "Hello", *options, "--max-retries", "2"))
    method, path, body = api.calls[0]
    assert (method, path) == ("POST", "/prompt-svc/prompt")
    assert body == {
        "id": "p1",
        "prompt": "Hello",
        "threadId": "t1",
        "modelId": "m",
        "template": "Say {prompt}",
        "maxRetries": 2,
        "sync": False,
    }


def test_a_dash_reads_stdin_as_utf_8(run: Run, api: FakeApi):
    ok(run("prompt", "-", input="Grüße\n".encode()))
    assert api.calls[0][2]["prompt"] == "Grüße\n"


@pytest.mark.parametrize("text", ["", "  \n"])
def test_a_blank_text_is_a_usage_error_and_nothing_is_sent(run: Run, api: FakeApi, text: str):
    assert run("prompt", text).exit_code == 2
    assert not api.calls


def test_no_wait_prints_the_id_alone(run: Run, api: FakeApi):
    result = ok(run("prompt", "x", "--no-wait"))
    assert result.stdout.strip() in api.prompts
    assert len(result.stdout.splitlines()) == 1


def test_json_is_one_object_with_prompt_and_answer(run: Run, api: FakeApi):
    answer = json.loads(ok(run("prompt", "x", "--json")).stdout)
    assert answer["answer"] == "Hello world"
    assert answer["prompt"]["status"] == "completed"


def test_a_lost_socket_is_resumed_at_its_offset_without_loss_or_repetition(run: Run, api: FakeApi):
    api.script = [
        ("watched", 1),
        ("start",),
        ("say", "one "),
        ("say", "two "),
        ("pause", 0.1),
        ("drop",),
        ("say", "three "),
        ("watched", 2),
        ("say", "four"),
        ("finish",),
    ]
    result = ok(run("prompt", "count", "--stream"))
    assert result.stdout == "one two three four\n"
    assert "anew" not in result.stderr
    assert "known" not in api.subscribed[0]
    known = api.subscribed[1]["known"]
    assert list(known.values()) == [{"attempt": 1, "offset": len("one two ")}]


def test_repeated_and_overlapping_deltas_are_discarded(run: Run, api: FakeApi):
    api.script = [
        ("watched", 1),
        ("start",),
        ("say", "ab"),
        ("repeat", 0),
        ("say", "cd"),
        ("repeat", 1),
        ("say", "é😀f"),
        ("repeat", 5),
        ("finish",),
    ]
    assert ok(run("prompt", "x", "--stream")).stdout == "abcdé😀f\n"


def test_a_gap_makes_it_subscribe_again_with_what_it_knows(run: Run, api: FakeApi):
    api.script = [
        ("watched", 1),
        ("start",),
        ("say", "ab"),
        ("unsent", "cd"),
        ("say", "ef"),
        ("watched", 2),
        ("say", "gh"),
        ("finish",),
    ]
    assert ok(run("prompt", "x", "--stream")).stdout == "abcdefgh\n"
    assert [*api.subscribed[1]["known"].values()] == [{"attempt": 1, "offset": 2}]


def test_a_higher_attempt_starts_the_answer_anew_and_says_why(run: Run, api: FakeApi):
    api.script = [
        ("watched", 1),
        ("start",),
        ("say", "Half an"),
        ("fail", "rate_limited"),
        ("start",),
        ("say", "A whole answer."),
        ("finish",),
    ]
    result = ok(run("prompt", "x", "--stream"))
    assert result.stdout == "Half an\nA whole answer.\n"
    assert "attempt 1 failed (rate_limited): the answer starts anew" in result.stderr
    assert "2 attempts" in result.stderr


def test_deltas_of_an_older_attempt_are_ignored(run: Run, api: FakeApi):
    def stale(prompt):
        return FakeApi._delta(prompt, 0) | {"attempt": 1, "text": "stale"}

    api.script = [
        ("watched", 1),
        ("start",),
        ("fail", "cut"),
        ("start",),
        ("frame", stale),
        ("say", "fresh"),
        ("finish",),
    ]
    assert ok(run("prompt", "x", "--stream")).stdout == "fresh\n"


def test_an_end_that_no_frame_told_is_found_by_pinging(run: Run, api: FakeApi, monkeypatch):
    monkeypatch.setattr(follow, "PING_SECONDS", 0.1)
    api.script = [("watched", 1), ("start",), ("say", "so far"), ("finish_unsaid",)]
    assert ok(run("prompt", "x", "--stream")).stdout == "so far\n"
    assert api.pings


def test_without_a_socket_it_waits_over_http(run: Run, api: FakeApi):
    api.socket_status = 404
    result = ok(run("prompt", "x", "--stream"))
    assert result.stdout == "Hello world\n"
    assert "waiting over HTTP" in result.stderr


def test_a_refused_subscription_is_tried_again(run: Run, api: FakeApi):
    api.refuse_subscribes = 2
    api.script = [("watched", 3), ("start",), ("say", "there"), ("finish",)]
    result = ok(run("prompt", "x", "--stream"))
    assert result.stdout == "there\n"
    assert "not live" not in result.stderr


def test_a_busy_api_is_asked_again_with_the_same_id(run: Run, api: FakeApi, monkeypatch):
    monkeypatch.setattr("parley_cli.api.FIRST_PAUSE", 0.01)
    api.busy = 2
    ok(run("prompt", "x"))
    added = [body["id"] for method, path, body in api.calls if path == "/prompt-svc/prompt"]
    assert len(added) == 3
    assert len(set(added)) == 1


def test_an_abandoned_prompt_ends_with_1_and_its_error(run: Run, api: FakeApi):
    api.script = [("watched", 1), ("start",), ("abandon", "refused")]
    result = run("prompt", "x")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "abandoned: the provider said no" in result.stderr


def test_a_canceled_prompt_ends_with_1_and_a_pipe_gets_no_half_answer(run: Run, api: FakeApi):
    api.script = [("watched", 1), ("start",), ("say", "half"), ("cancel",)]
    result = run("prompt", "x")
    assert (result.exit_code, result.stdout) == (1, "")
    assert run("prompt", "y", "--stream").stdout == "half\n"


def test_json_of_an_abandoned_prompt_is_still_the_object_and_the_error_is_json(
    run: Run, api: FakeApi
):
    api.script = [("start",), ("abandon", "refused")]
    result = run("prompt", "x", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["prompt"]["status"] == "abandoned"
    assert "abandoned" in json.loads(result.stderr)["error"]


def test_other_prompts_of_the_thread_are_not_shown(run: Run, api: FakeApi):
    ok(run("prompt", "first", "--thread", "t"))
    api.script = [("watched", 2), ("start",), ("say", "second"), ("finish",)]
    assert ok(run("prompt", "again", "--thread", "t", "--stream")).stdout == "second\n"


def test_ctrl_c_while_it_is_added_tells_how_to_cancel_it(run: Run, monkeypatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("parley_cli.api.Api.add_prompt", interrupted)
    result = run("prompt", "x", "--id", "p1")
    assert (result.exit_code, "parley prompts cancel p1" in result.stderr) == (130, True)
    assert "parley prompts cancel prom_" in run("prompt", "x").stderr
