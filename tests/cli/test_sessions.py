"""Sessions, keys that may only chat, and chat itself, over the product's own API in memory."""

import json
from dataclasses import replace

import pytest
from parley.core.prompt import Prompt, Status
from parley.core.resource import Kind
from parley.core.thread import ANSWER, QUESTION, REPLACES
from parley_cli import follow, waiting
from typer.testing import Result

from tests.cli.conftest import Run
from tests.cli.real import RealApi
from tests.fakes.provider import Ask, Fail, Say
from tests.fakes.world import ACCOUNT

DAY = 24 * 60 * 60


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(waiting, "SHORTEST_ROUND", 0.05)


def ok(result: Result) -> Result:
    assert result.exit_code == 0, (result.stdout, result.stderr, result.exception)
    return result


def said(run: Run, text: str, client: str = "stackademy", *options: str) -> str:
    """Say something in a session of its own; its id."""
    words = ["chat", client, "--new-session", "-m", text, "--json", *options]
    session: str = json.loads(ok(run(*words)).stdout)["session"]
    return session


def test_chat_and_what_the_api_answers_are_of_one_mind(run_real: Run, real: RealApi):
    first = json.loads(ok(run_real("chat", "stackademy", "-m", "One?", "--json")).stdout)
    again = json.loads(ok(run_real("chat", "stackademy", "-m", "One?", "--json")).stdout)
    assert (first["prompt"]["turn"], again["prompt"]["turn"]) == (1, 2)
    assert first["session"] == again["session"]
    assert first["answer"] == again["answer"] != ""
    posts = [call for call in real.calls if call.startswith("POST") and call.endswith("/chat/")]
    assert posts == ["POST /api/v1/llm-clients/1/chat/"] * 2


def test_the_words_of_a_limit_reach_the_person(run_real: Run):
    refused = run_real("chat", "stackademy", "-m", "x" * 16_001)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "Your message has 16,001 characters" in refused.stderr


def test_sessions_are_listed_newest_first_and_by_their_llm_client(run_real: Run, real: RealApi):
    ids = []
    for client in ("stackademy", "stackademy", "other"):
        ids.append(said(run_real, "One?", client))
        real.client.world.clock.skip(1)
    one, two, three = ids
    listed = ok(run_real("sessions", "list", "--llm-client", "stackademy")).stdout
    assert listed.index(two) < listed.index(one)
    assert three not in listed
    page = ok(run_real("sessions", "list", "-n", "2"))
    assert three in page.stdout
    after = page.stderr.split("--after ")[1].strip()
    assert one in ok(run_real("sessions", "list", "--after", after)).stdout


@pytest.mark.parametrize("call", [["list"], ["purge", "--older-than", "90d", "--yes"]])
def test_a_misspelt_llm_client_is_not_found_rather_than_without_sessions(run_real: Run, call):
    said(run_real, "One?")
    refused = run_real("sessions", *call, "--llm-client", "stakademy")
    words = "error: no such llm_client; `parley get llmclients` lists what there is\n"
    assert (refused.exit_code, refused.stdout, refused.stderr) == (4, "", words)
    told = run_real("sessions", *call, "--llm-client", "stakademy", "--json")
    assert (told.exit_code, json.loads(told.stderr)["error"]) == (4, words[7:-1])
    ok(run_real("sessions", *call, "--llm-client", "Stackademy"))  # in any case
    assert (
        "no sessions of other" in ok(run_real("sessions", "list", "--llm-client", "other")).stderr
    )


def test_a_session_is_shown_by_its_id_and_deleted_once_one_is_sure(run_real: Run):
    id_ = said(run_real, "Which courses?")
    shown = ok(run_real("sessions", "show", id_)).stdout
    assert "Which courses?" in shown
    assert "stackademy" in shown
    assert run_real("sessions", "delete", id_).exit_code == 2
    assert json.loads(ok(run_real("sessions", "delete", id_, "-y", "--json")).stdout) == {
        "deleted": id_
    }
    assert run_real("sessions", "show", id_).exit_code == 4


def test_a_session_says_why_a_question_has_no_answer(run_real: Run, real: RealApi):
    real.client.world.provider.scripts = [[Fail("refused", retryable=False)]]
    assert run_real("chat", "stackademy", "-m", "Which key?").exit_code == 1
    ok(run_real("chat", "stackademy", "-m", "Hello?"))
    [[id_, failed]] = [(p.thread_id, p.id) for p in prompts_of(real) if p.turn == 1]
    error = real.client.world.prompt(failed).error
    shown = ok(run_real("sessions", "show", id_)).stdout.splitlines()
    assert shown.count(f"· failed: {error} (parley prompts show {failed})") == 1
    asked = next(number for number, line in enumerate(shown) if line == "Which key?")
    assert shown[asked + 1].startswith("· failed: ")
    told = json.loads(ok(run_real("sessions", "show", id_, "--json")).stdout)
    assert [one["status"] for one in told["prompts"]] == ["abandoned", "completed"]
    assert len(told["messages"]) == 3
    page = ok(run_real("sessions", "show", id_, "-n", "2")).stdout.splitlines()
    assert page[-1] == "Hello?", "an answer on the next page was told as none"


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (Status.CANCELED, "· stopped"),
        (Status.RUNNING, "· not answered yet: running (parley prompts show {})"),
        (Status.ERRORED, "· failed, to be tried again: lost (parley prompts show {})"),
        (Status.ABANDONED, "· failed: lost (parley prompts show {})"),
    ],
)
def test_it_says_how_every_such_question_stands(
    run_real: Run, real: RealApi, status: Status, line: str
):
    id_ = said(run_real, "One?")
    [prompt] = prompts_of(real)
    ended = replace(prompt, status=status, error_code="lost")
    real.client.world.state.prompts[ACCOUNT, prompt.id] = ended
    assert line.format(prompt.id) not in ok(run_real("sessions", "show", id_)).stdout
    del real.client.world.state.messages[ACCOUNT, id_][1, ANSWER]
    shown = ok(run_real("sessions", "show", id_)).stdout
    assert shown.splitlines()[-1] == line.format(prompt.id)


def test_half_an_answer_is_not_shown_as_a_whole_one(run_real: Run, real: RealApi):
    id_ = said(run_real, "One?")
    messages = real.client.world.state.messages[ACCOUNT, id_]
    assert "stopped" not in ok(run_real("sessions", "show", id_)).stdout
    messages[1, ANSWER] = replace(messages[1, ANSWER], partial=True)
    for whose in ("sessions", "threads"):
        assert ok(run_real(whose, "show", id_)).stdout.endswith("An answer.\n· stopped\n")


def prompts_of(real: RealApi) -> list[Prompt]:
    return list(real.client.world.state.prompts.values())


def with_a_function(real: RealApi) -> None:
    """Let the model of stackademy call the calculator."""
    stored = real.client.world.resources.stored
    at = (ACCOUNT, Kind.LLM_CLIENT, "stackademy")
    stored[at] = replace(stored[at], spec={**stored[at].spec, "functions": ["calculator"]})


def test_a_session_is_shown_with_its_tool_calls_each_text_once(run_real: Run, real: RealApi):
    with_a_function(real)
    asked = Ask((("calculator", '{"expression": "6*7"}'),))
    real.client.world.provider.scripts = [[Say("Let me see."), asked]]
    id_ = said(run_real, "How much?")
    shown = ok(run_real("sessions", "show", id_)).stdout
    assert shown.count("Let me see.") == shown.count("An answer.") == 1
    assert shown.count("assistant") == 1
    assert '· calculator({"expression": "6*7"}): ok' in shown
    assert ok(run_real("threads", "show", id_)).stdout.count("Let me see.") == 1


def test_a_round_without_an_answer_shows_its_own_text(run_real: Run, real: RealApi):
    with_a_function(real)
    asked = Ask((("calculator", '{"expression": "6*7"}'),))
    real.client.world.provider.scripts = [[Say("Let me see."), asked]]
    id_ = said(run_real, "How much?")
    del real.client.world.state.messages[ACCOUNT, id_][1, ANSWER]
    shown = ok(run_real("sessions", "show", id_)).stdout
    assert shown.count("Let me see.") == 1
    assert "· calculator(" in shown


def test_a_question_that_was_edited_is_marked_as_replaced(run_real: Run, real: RealApi):
    id_ = said(run_real, "How much?")
    [(account, thread)] = [at for at in real.client.world.state.messages if at[1] == id_]
    messages = real.client.world.state.messages[account, thread]
    for (turn, part), message in [*messages.items()]:
        meta = {REPLACES: "1"} if part == QUESTION else {}
        messages[turn + 1, part] = replace(message, turn=turn + 1, id=f"{message.id}x", meta=meta)
    shown = ok(run_real("sessions", "show", id_)).stdout
    told = [line.partition(" · ")[::2] for line in shown.splitlines() if " · " in line]
    assert [(who, " · replaced by an edit" in when) for who, when in told] == [
        ("user", True),
        ("assistant", True),
        ("user", False),
        ("assistant", False),
    ]


def test_purge_says_what_it_would_remove_and_removes_that(run_real: Run, real: RealApi):
    old = [said(run_real, "old?") for _ in range(3)]
    other = said(run_real, "old?", "other")
    real.client.world.clock.skip(91 * DAY)
    young = said(run_real, "young?")
    words = ["sessions", "purge", "--older-than", "90d", "--llm-client", "stackademy"]
    told = ok(run_real(*words, "--dry-run"))
    assert told.stdout == "3 of 4 sessions of stackademy were not used for 90d\n"
    assert run_real(*words).exit_code == 2  # nobody is there to be asked
    assert old[0] in ok(run_real("sessions", "list")).stdout
    assert ok(run_real(*words, "--yes")).stdout.endswith("deleted 3\n")
    left = ok(run_real("sessions", "list")).stdout
    assert young in left
    assert other in left
    assert not any(id_ in left for id_ in old)


def test_purge_goes_through_all_pages(run_real: Run, real: RealApi, monkeypatch):
    monkeypatch.setattr("parley.usecases.sessions.PURGE_PAGE", 2)
    for _ in range(5):
        said(run_real, "old?")
    real.client.world.clock.skip(2 * DAY)
    words = ["sessions", "purge", "--older-than", "24h", "--yes", "--json"]
    done = json.loads(ok(run_real(*words)).stdout)
    assert (done["matched"], done["deleted"]) == (5, 5)
    assert sum("purge" in call for call in real.calls) == 2 * 3


@pytest.mark.parametrize("age", ["90", "d", "-1d", "90 days", ""])
def test_an_age_is_a_number_with_its_unit(run_real: Run, real: RealApi, age: str):
    assert run_real("sessions", "purge", f"--older-than={age}").exit_code == 2
    assert not real.calls


def test_a_clients_key_is_made_for_one_llm_client_and_only_chats(run_real: Run):
    told = ok(run_real("keys", "create", "--llm-client", "stackademy", "--json")).stdout
    made = json.loads(told)
    assert (made["key"]["role"], made["key"]["llmClient"]) == ("client", "stackademy")
    theirs = {"PARLEY_KEY": made["secret"]}
    ok(run_real("chat", "stackademy", "-m", "Hello", env=theirs))
    assert run_real("chat", "other", "-m", "Hello", env=theirs).exit_code == 1
    assert run_real("status", env=theirs).exit_code == 1
    assert "client of stackademy" in ok(run_real("keys", "list")).stdout


@pytest.mark.parametrize("words", [["--role", "client"], ["--role", "user", "--llm-client", "x"]])
def test_a_role_goes_with_what_belongs_to_it(run_real: Run, real: RealApi, words):
    assert run_real("keys", "create", *words).exit_code == 2
    assert not real.calls
