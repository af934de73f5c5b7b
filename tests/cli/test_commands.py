"""The other commands: what they send, what they show, and how they end."""

import json
from pathlib import Path

import pytest
import yaml
from parley_cli import follow
from parley_cli.api import TRIES
from typer.testing import Result

from tests.cli.conftest import Run
from tests.cli.server import ADMIN_KEY, USER_KEY, FakeApi

EXAMPLES = Path(__file__).parents[2] / "examples"
FAILING = [("start",), ("say", "half"), ("fail", "rate_limited"), ("start",), ("abandon", "boom")]


@pytest.fixture(autouse=True)
def _hasty(monkeypatch):
    monkeypatch.setattr(follow, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr("parley_cli.api.FIRST_PAUSE", 0.01)
    monkeypatch.setattr("parley_cli.waiting.SHORTEST_ROUND", 0.05)


def ok(result: Result) -> Result:
    assert result.exit_code == 0, (result.stdout, result.stderr, result.exception)
    return result


def add(run: Run, id_: str, *, thread: str = "", wait: bool = True) -> Result:
    arguments = ["prompt", f"What is {id_}?", "--id", id_]
    arguments += ["--thread", thread] if thread else []
    return run(*arguments, "--wait" if wait else "--no-wait")


# --- prompts


def test_list_shows_what_is_unfinished_and_all_shows_everything(run: Run, api: FakeApi):
    add(run, "p1")
    api.script = [("start",)]
    add(run, "p2", wait=False)
    listed = ok(run("prompts", "list")).stdout
    assert "p2" in listed
    assert "p1" not in listed
    assert "p1" in ok(run("prompts", "list", "--all")).stdout


def test_list_sends_a_query_of_the_contract(run: Run, api: FakeApi):
    options = ["--status", "errored", "--thread", "t", "--model", "m", "-n", "7", "--after", "c"]
    ok(run("prompts", "list", *options))
    assert api.calls[-1][2] == {
        "query": {
            "filters": [
                {"fields": ["status"], "op": "isInList", "jsonValues": '["errored"]'},
                {"fields": ["threadId"], "op": "equals", "jsonValues": '["t"]'},
                {"fields": ["modelId"], "op": "equals", "jsonValues": '["m"]'},
            ],
            "limit": 7,
            "orderBys": [{"field": "createdAt", "desc": False}],
            "jsonAfter": '["c"]',
        }
    }


def test_a_list_into_a_pipe_is_not_cut(run: Run, api: FakeApi):
    ok(run("prompt", "word " * 30 + "end", "--id", "p" * 120))
    line = ok(run("prompts", "list", "--all")).stdout.splitlines()[1]
    assert line.startswith("p" * 120 + " ")
    assert line.rstrip().endswith("end")


def test_on_a_screen_only_the_last_column_is_cut(run: Run, api: FakeApi, monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    ok(run("prompt", "漢字 and a long question " * 5, "--id", "prom_" + "0" * 24))
    head, line = ok(run("prompts", "list", "--all")).stdout.splitlines()
    assert line.startswith("prom_" + "0" * 24 + "  completed  ")
    assert line.endswith("…")
    assert head.index("PROMPT") == line.index("漢")


def test_show_tells_each_attempt_and_how_many_turns_are_ahead(run: Run, api: FakeApi):
    api.script, api.ahead = FAILING, 2
    add(run, "p1")
    shown = ok(run("prompts", "show", "p1")).stdout
    assert "2 earlier turns" in shown
    assert "the provider said no" in shown
    attempts = [line.split() for line in shown.splitlines() if line[:1] in {"1", "2"}]
    assert [line[:2] for line in attempts] == [["1", "failed"], ["2", "failed"]]
    assert "rate_limited" in shown
    assert "2.5 s" in shown


def test_cancel_of_a_running_prompt(run: Run, api: FakeApi):
    api.script = [("start",), ("say", "half")]
    add(run, "p1", wait=False)
    assert ok(run("prompts", "cancel", "p1")).stdout == "canceled\n"
    assert "Answer, as far as it came" in ok(run("prompts", "show", "p1")).stdout


def test_cancel_of_a_completed_prompt_ends_with_1(run: Run, api: FakeApi):
    add(run, "p1")
    result = run("prompts", "cancel", "p1")
    assert result.exit_code == 1
    assert "too late: the prompt is completed" in result.stderr


def test_retry_waits_for_the_new_answer_if_asked(run: Run, api: FakeApi):
    api.script = FAILING
    assert add(run, "p1").exit_code == 1
    api.script = [("start",), ("say", "at last"), ("finish",)]
    assert ok(run("prompts", "retry", "p1", "--wait")).stdout == "at last\n"


def test_remove(run: Run, api: FakeApi):
    add(run, "p1")
    ok(run("prompts", "remove", "p1"))
    assert not api.prompts


def test_an_id_cannot_lead_to_another_path(run: Run, api: FakeApi):
    assert run("prompts", "remove", "../../chat-svc/thread/t").exit_code == 4
    assert api.calls[-1][1].startswith("/prompt-svc/prompt/")
    assert run("prompts", "remove", "..").exit_code == 4


# --- threads


def test_threads_list_and_show(run: Run, api: FakeApi):
    add(run, "p1", thread="fruit")
    assert "About fruit" in ok(run("threads", "list")).stdout
    api.first_page_is_empty = True
    assert "About fruit" in ok(run("threads", "list")).stdout
    shown = ok(run("threads", "show", "fruit")).stdout
    assert shown.index("What is p1?") < shown.index("Hello world")


def test_delete_asks_or_wants_yes(run: Run, api: FakeApi):
    add(run, "p1", thread="fruit")
    assert run("threads", "delete", "fruit").exit_code == 2
    assert not api.deleted
    ok(run("threads", "delete", "fruit", "--yes"))
    assert api.deleted == ["fruit"]


def test_watch_shows_history_then_what_happens_until_idle(run: Run, api: FakeApi):
    add(run, "p1", thread="t")
    watched = len(api.subscribed)
    api.script = [
        ("watched", watched + 1),
        ("start",),
        ("say", "one "),
        ("pause", 0.05),
        ("drop",),
        ("watched", watched + 2),
        ("fail", "cut"),
        ("start",),
        ("say", "anew"),
        ("finish",),
    ]
    add(run, "p2", thread="t", wait=False)
    result = ok(run("threads", "watch", "t", "--until-idle"))
    assert result.stdout.split() == (
        "user What is p1? assistant Hello world user What is p2? assistant one "
        "assistant anew".replace("user", "ada").split()
    )
    assert "attempt 1 failed (cut)" in result.stderr
    assert "connecting again" in result.stderr


def test_watch_shows_the_rest_of_an_answer_that_ended_unheard(run: Run, api: FakeApi):
    api.script = [
        ("watched", 1),
        ("start",),
        ("say", "one "),
        ("pause", 0.05),
        ("drop",),
        ("say", "two"),
        ("finish",),
    ]
    add(run, "p1", thread="t", wait=False)
    result = ok(run("threads", "watch", "t", "--until-idle"))
    assert "one two\n" in result.stdout


def test_watch_for_programs_is_an_object_per_line(run: Run, api: FakeApi):
    api.script = [("watched", 1), ("start",), ("say", "a"), ("say", "b"), ("finish",)]
    add(run, "p1", thread="t", wait=False)
    lines = ok(run("threads", "watch", "t", "--until-idle", "--json")).stdout.splitlines()
    events = [json.loads(line) for line in lines]
    assert "".join(e.get("text", "") for e in events if e["event"] == "text") == "ab"
    assert events[-1]["prompt"]["status"] == "completed"


def test_watching_an_idle_thread_until_idle_ends_at_once(run: Run, api: FakeApi):
    add(run, "p1", thread="t")
    assert "Hello world" in ok(run("threads", "watch", "t", "--until-idle")).stdout


# --- the account


def test_apply_replaces_the_catalogue_and_tells_the_changes(run: Run, api: FakeApi):
    api.models = [{"id": "old"}, {"id": "small"}]
    result = ok(run("models", "apply", "-f", str(EXAMPLES / "models.yaml")))
    assert result.stdout == "added: large, completions; changed: small; removed: old\n"
    assert [model["id"] for model in api.models] == ["small", "large", "completions"]
    assert "gpt-4o-mini" in ok(run("models", "list")).stdout


def test_a_catalogue_can_be_piped_back(run: Run, api: FakeApi):
    api.models = yaml.safe_load((EXAMPLES / "models.yaml").read_text())["models"]
    listed = ok(run("models", "list", "--json")).stdout
    result = ok(run("models", "apply", "-f", "-", input=listed))
    assert result.stdout == "the catalogue was like that already\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models: [{id: a, baseUrl: https://b, providerModel: c, modle: d}]", "modle"),
        ("models: [{id: a}]", "lacks baseUrl, providerModel"),
        ("model: []", "list named `models`"),
        ("models: [", "not valid YAML"),
    ],
)
def test_a_wrong_catalogue_is_a_usage_error_that_names_it(run: Run, api: FakeApi, text, said):
    result = run("models", "apply", "-f", "-", input=text)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not api.calls


def test_the_example_is_what_the_api_accepts():
    from parley.wire.admin import ModelBody

    for model in yaml.safe_load((EXAMPLES / "models.yaml").read_text())["models"]:
        assert ModelBody.model_validate(model).model(local_providers=False).id == model["id"]


def test_the_api_knows_the_fields_that_apply_lets_through():
    from parley.wire.admin import ModelBody
    from parley_cli.commands.models import FIELDS

    fields = ModelBody.model_fields
    assert {field.alias or name for name, field in fields.items()} == FIELDS


def test_a_key_is_shown_once_at_its_creation(run: Run, api: FakeApi):
    result = ok(run("keys", "create", "--user", "ada", "--role", "admin", "--name", "laptop"))
    assert "c" * 64 in result.stdout
    assert api.calls[-1][2] == {"role": "admin", "userId": "ada", "name": "laptop"}
    listed = ok(run("keys", "list")).stdout
    assert "c" * 64 not in listed
    assert "revoked" in listed


def test_dead_letters(run: Run, api: FakeApi):
    api.dead = [{"promptId": "p1", "reason": "lost"}, {"promptId": "p2", "reason": "rate_limited"}]
    assert "rate_limited" in ok(run("dlq", "list")).stdout
    first = ok(run("dlq", "list", "-n", "1"))
    assert ("p1" in first.stdout, "p2" in first.stdout) == (True, False)
    assert "more: --after 1" in first.stderr
    assert "p2" in ok(run("dlq", "list", "--after", "1")).stdout
    assert ok(run("dlq", "redrive", "p2")).stdout == "retried   p2\n"
    assert ok(run("dlq", "redrive")).stdout.split() == ["retried", "p1", "retried", "p2"]


def test_status(run: Run):
    shown = ok(run("status")).stdout
    assert "3141-5926-5359" in shown
    assert "2 running, 1 scheduled" in shown


# --- exit codes, errors, JSON


def test_a_wrong_key_is_3(run: Run, monkeypatch):
    monkeypatch.setenv("PARLEY_KEY", "wrong")
    result = run("status")
    assert result.exit_code == 3
    assert "unknown or revoked" in result.stderr


def test_a_user_key_for_an_admins_call_is_1(run: Run, monkeypatch):
    monkeypatch.setenv("PARLEY_KEY", USER_KEY)
    assert run("keys", "list").exit_code == 1


def test_an_absent_thing_is_4(run: Run):
    assert run("prompts", "show", "nope").exit_code == 4
    assert run("threads", "watch", "nope").exit_code == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("keys create --role boss", "-r': 'boss' is not one of"),
        ("prompts list -n 0", "-n': must be greater than or equal to 1"),
        ("describe LLMClient", "parley describe LLMClient NAME"),
        ("models apply -f one.yaml", "one.yaml is a manifest: parley apply -f one.yaml"),
    ],
)
def test_a_slip_is_told_in_words_for_people(run: Run, words, said):
    Path("one.yaml").write_text("kind: Plugin")
    result = run(*words.split())
    assert (result.exit_code, said in " ".join(result.stderr.split())) == (2, True)


def test_an_api_that_is_not_there_is_5(run: Run, monkeypatch):
    monkeypatch.setenv("PARLEY_API", "http://127.0.0.1:9")
    assert run("status").exit_code == 5


def test_an_api_that_stays_busy_is_5(run: Run, api: FakeApi):
    api.busy = TRIES
    assert run("status").exit_code == 5


@pytest.mark.parametrize(
    "words",
    [
        ["prompt"],
        ["prompt", "x", "--max-retries", "21"],
        ["prompts", "list", "-s", "done"],
        ["nonsense"],
    ],
)
def test_usage_errors_are_2(run: Run, words):
    assert run(*words).exit_code == 2


@pytest.mark.parametrize(
    ("words", "code"),
    [(["prompts", "show", "nope"], 4), (["prompt"], 2), (["prompts", "list", "-s", "done"], 2)],
)
def test_with_json_errors_are_json_on_stderr_and_stdout_is_empty(run: Run, words, code):
    result = run(*words, "--json")
    assert (result.exit_code, result.stdout) == (code, "")
    assert json.loads(result.stderr)["error"]


@pytest.mark.parametrize(
    "words",
    [
        "prompts list",
        "prompts show p1",
        "prompts cancel p0",
        "prompts retry p1",
        "prompts remove p1",
        "threads list",
        "threads show p1",
        "threads delete p1 --yes",
        "models list",
        "models apply -f models.yaml",
        "keys create",
        "keys list",
        "keys revoke key_1 --yes",
        "dlq list",
        "dlq redrive",
        "status",
    ],
)
def test_json_is_one_object_on_stdout_and_nothing_on_stderr(run: Run, api: FakeApi, words):
    add(run, "p1")
    api.script = [("start",)]
    add(run, "p0", wait=False)
    Path("models.yaml").write_text("models: []")
    result = ok(run(*words.split(), "--json"))
    assert isinstance(json.loads(result.stdout), dict)
    assert result.stderr == ""


def test_no_output_holds_the_callers_key(run: Run, api: FakeApi, monkeypatch):
    monkeypatch.setenv("PARLEY_WEBSOCKET", "ws://127.0.0.1:9/ws")
    for words in (["status"], ["prompt", "x"], ["keys", "list"]):
        result = ok(run(*words))
        assert ADMIN_KEY not in result.stdout + result.stderr


def test_control_characters_do_not_reach_a_terminal():
    from parley_cli.output import harmless

    assert harmless("a\x1b[2Jb\x9bc\r\n\td\x7f") == "a�[2Jb�c�\n\td�"
