"""Every command of `parley`, as a person types it and as a program reads it."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.terminal import Terminal
from tests.e2e.cli import Ended, Parley
from tests.e2e.client import Client
from tests.e2e.model import Model

ANSWER = "I am Parley's development model"


def manifests(name: str) -> tuple[str, str]:
    """A plugin, and an llm_client that has it, both of this name."""
    plugin = {
        "apiVersion": "smarter.sh/v1",
        "kind": "Plugin",
        "metadata": {"name": name, "description": "a plugin", "pluginClass": "static"},
        "spec": {
            "selector": {"directive": "always"},
            "prompt": {"systemRole": "You know it all."},
            "data": {"description": "all", "staticData": {"all": "of it"}},
        },
    }
    client = {
        "apiVersion": "smarter.sh/v1",
        "kind": "LLMClient",
        "metadata": {"name": name, "description": "a client"},
        "spec": {"config": {"appAssistant": "Stan"}, "plugins": [name]},
    }
    return yaml.safe_dump(plugin), yaml.safe_dump(client)


def test_prompt_waits_and_says_the_answer(parley: Parley, word: str) -> None:
    ended = parley("prompt", f"What's a banana? {word}")

    assert ended.out.startswith(ANSWER)
    assert word in ended.out
    assert "completed" in ended.err


def test_prompt_shows_the_answer_as_it_comes(parley: Parley, model: Model, word: str) -> None:
    model.told(word, stall_after=5)
    command = parley.start("prompt", "--stream", f"slowly {word}")

    assert command.until("model:") == f"{ANSWER}:"
    model.released(word)
    assert word in command.end().out


def test_prompt_reads_stdin_and_fills_its_template(parley: Parley, word: str) -> None:
    template = "Translate into Greek: {prompt}"

    found = parley.json("prompt", "-", "--template", template, stdin=f"banana {word}\n")

    assert f"Translate into Greek: banana {word}" in found["answer"]
    assert found["prompt"]["template"] == template


def test_prompt_with_no_wait_prints_the_id_and_goes(
    parley: Parley, user: Client, model: Model, word: str
) -> None:
    model.told(word, stall_after=1)

    prompt_id = parley("prompt", "--no-wait", f"later {word}").out.strip()

    assert user.state(prompt_id)["status"] in {"scheduled", "running"}
    model.released(word)
    user.ended(prompt_id)


def test_prompt_ends_with_1_when_the_prompt_was_given_up(
    parley: Parley, model: Model, word: str
) -> None:
    model.told(word, fail={"status": 400, "message": f"no {word}"})

    ended = parley("prompt", f"never {word}", code=1)

    assert ended.out == ""
    assert f"no {word}" in ended.err


def test_interrupting_the_wait_does_not_stop_the_prompt(
    parley: Parley, user: Client, model: Model, word: str
) -> None:
    model.told(word, stall_after=5)
    command = parley.start("prompt", "--stream", "--id", f"p-{word}", f"durable {word}")
    command.until("model:")

    command.process.send_signal(signal.SIGINT)

    assert f"p-{word}" in command.end(code=130).err
    model.released(word)
    user.ended(f"p-{word}")


def test_threads_are_listed_shown_and_deleted(parley: Parley, user: Client, word: str) -> None:
    user.answered(f"fruit {word}", threadId=f"t-{word}")

    assert f"t-{word}" in parley("threads", "list").out
    assert ANSWER in parley("threads", "show", f"t-{word}").out
    assert parley.json("threads", "show", f"t-{word}")["thread"]["title"] == f"fruit {word}"
    parley("threads", "delete", f"t-{word}", "--yes")
    parley("threads", "show", f"t-{word}", code=4)


def test_threads_watch_tells_what_happens_as_it_happens(
    parley: Parley, user: Client, model: Model, word: str
) -> None:
    model.told(word, stall_after=5)
    prompt = user.add(f"watch me {word}", threadId=f"t-{word}")
    command = parley.start("threads", "watch", f"t-{word}", "--until-idle", "--json")
    command.until("model:")
    model.released(word)

    events = [json.loads(line) for line in command.end().out.splitlines()]
    text = "".join(event["text"] for event in events if event["event"] == "text")
    assert text == user.ended(prompt["id"])["answer"]
    assert events[-1]["prompt"]["status"] == "completed"


def test_prompts_are_listed_and_shown_with_their_attempts(
    parley: Parley, model: Model, user: Client, word: str
) -> None:
    model.told(word, fail={"status": 503, "count": 1})
    prompt = user.answered(f"twice {word}")["prompt"]
    model.told(word, stall_after=1, fail=None)
    first = user.add(f"open {word}", threadId=f"t-{word}")
    second = user.add(f"behind {word}", threadId=f"t-{word}")

    shown = parley("prompts", "show", prompt["id"]).out
    assert [shown.count(outcome) for outcome in ("failed", "completed")] == [1, 2]
    assert "1 earlier turn" in parley("prompts", "show", second["id"]).out
    unfinished = parley.json("prompts", "list", "--thread", f"t-{word}")["prompts"]
    assert [listed["id"] for listed in unfinished] == [first["id"], second["id"]]
    assert prompt["id"] in parley("prompts", "list", "--all", "-n", "50").out
    model.released(word)
    user.ended(second["id"])


def test_prompts_are_canceled_retried_and_removed(
    parley: Parley, user: Client, model: Model, word: str
) -> None:
    model.told(word, stall_after=3)
    prompt_id = user.add(f"to and fro {word}")["id"]
    model.until_called(word, chunks=3)

    assert "cancel" in parley("prompts", "cancel", prompt_id).out
    user.ended(prompt_id, "canceled")  # in a moment, if it is not so yet
    model.released(word)
    assert word in parley("prompts", "retry", prompt_id, "--wait").out
    parley("prompts", "cancel", prompt_id, code=1)  # too late
    parley("prompts", "remove", prompt_id)
    parley("prompts", "show", prompt_id, code=4)


def test_dead_letters_are_listed_and_redriven(
    parley: Parley, parley_admin: Parley, user: Client, model: Model, word: str
) -> None:
    model.told(word, fail={"status": 500})
    prompt_id = parley("prompt", "--no-wait", "--max-retries", "0", f"broken {word}").out.strip()
    user.ended(prompt_id, "abandoned")

    assert prompt_id in parley_admin("dlq", "list").out
    model.told(word, fail=None)
    assert parley_admin("dlq", "redrive", prompt_id).out.split() == ["retried", prompt_id]
    user.ended(prompt_id)
    assert prompt_id not in str(parley_admin.json("dlq", "list"))
    parley("dlq", "list", code=1)  # for admins only


@pytest.fixture
def catalogue(admin: Client) -> Any:
    """The catalogue as it was, put back after the test."""
    before = admin.call("GET", "/models")
    yield before["models"]
    admin.call("PUT", "/models", before)


def test_models_are_applied_from_a_file_and_listed(
    parley: Parley, parley_admin: Parley, catalogue: list[dict[str, Any]], tmp_path: Path, word: str
) -> None:
    more = catalogue[0] | {"id": word, "default": False, "template": "Say: {prompt}"}
    file = tmp_path / "models.yaml"
    file.write_text(json.dumps({"models": [*catalogue, more]}))

    assert parley_admin("models", "apply", "-f", str(file)).out == f"added: {word}\n"

    assert word in parley("models", "list").out
    said = parley("prompt", "--model", word, "a banana").out
    assert "“Say: a banana”" in said
    assert "one prompt, without the messages" in said


def test_keys_are_created_listed_and_revoked(parley_admin: Parley, word: str) -> None:
    made = parley_admin.json("keys", "create", "--user", f"u-{word}", "--name", "laptop")
    other = Parley(parley_admin.stack, made["secret"], parley_admin.home)

    assert other.json("status")["userId"] == f"u-{word}"
    listed = parley_admin("keys", "list").out
    assert made["key"]["id"] in listed
    assert made["secret"] not in listed
    parley_admin("keys", "revoke", made["key"]["id"], code=2)  # it asks, and nobody is there
    assert other.json("status")["userId"] == f"u-{word}"
    revoked = parley_admin("keys", "revoke", made["key"]["id"], "--yes").out
    assert revoked == f'revoked: u-{word}\'s key "laptop"\n'
    states = {key["id"]: key for key in parley_admin.json("keys", "list")["keys"]}
    assert states[made["key"]["id"]]["revokedAt"]


def test_manifests_are_applied_described_deployed_and_deleted(
    parley_admin: Parley, word: str
) -> None:
    plugin, client = manifests(word)
    told = parley_admin("apply", "-f", "-", stdin=f"{plugin}---\n{client}")
    assert told.out == f"Plugin {word} created\nLLMClient {word} created\n"

    described = parley_admin("describe", "LLMClient", word).out
    assert parley_admin("apply", "-f", "-", stdin=described).out == f"LLMClient {word} unchanged\n"
    changed = parley_admin("apply", "-f", "-", stdin=client.replace("Stan", "Eva"))
    assert changed.out == f"LLMClient {word} changed (spec.config.appAssistant)\n"
    assert word in parley_admin("get", "llmclients").out
    page = f"http://{word}.{parley_admin.stack.account}.api.localhost"
    assert page in parley_admin("deploy", word).out
    assert "not deployed" in parley_admin("undeploy", "LLMClient", word).out
    parley_admin("delete", "Plugin", word, "--yes", code=1)  # in use
    parley_admin("delete", "LLMClient", word, "--yes")
    parley_admin("delete", "Plugin", word, "--yes")
    parley_admin("describe", "LLMClient", word, code=4)


def test_each_problem_of_a_manifest_has_a_line(parley_admin: Parley, word: str) -> None:
    plugin, client = manifests(word)
    wrong = plugin.replace("always", "never") + f"---\n{client.replace('appAssistant', 'appName1')}"

    for options in ((), ("--dry-run",)):
        told = parley_admin("apply", "-f", "-", *options, stdin=wrong, code=2).err.splitlines()
        assert [line.rpartition(": ")[0].partition(": ")[0] for line in told[-3:-1]] == [
            f"stdin, document 1 (Plugin {word})",
            f"stdin, document 2 (LLMClient {word})",
        ]
        assert told[-1] == "error: 2 problems; nothing was written"
    parley_admin("describe", "Plugin", word, code=4)


@pytest.mark.parametrize("kind", ["LLMClient", "Plugin", "ApiKey", "Secret", "Provider", "Model"])
def test_an_example_of_each_kind_is_one_that_can_be_applied(
    parley_admin: Parley, kind: str
) -> None:
    example = parley_admin("example-manifest", kind).out
    assert json.loads(parley_admin("json-schema", kind).out)["properties"]["spec"]
    told = parley_admin("apply", "-f", "-", "--dry-run", stdin=example, code=None)
    assert f"{kind} " in told.out or "apply it first" in told.err  # it may name others


def test_the_examples_are_there_from_the_start(parley_admin: Parley) -> None:
    directory = Path(__file__).parents[2] / "examples"
    told = parley_admin.json("apply", "-f", str(directory), "--dry-run")
    # The tests have given them room for more turns; nothing else differs.
    changed = {path for report in told["reports"] for path in report.get("changed", ())}
    assert {report["outcome"] for report in told["reports"]} <= {"changed", "unchanged"}
    assert {path.rpartition(".")[0] for path in changed} == {"spec.limits"}


def test_chat_answers_and_goes_on_with_its_session(parley: Parley, word: str) -> None:
    assert word in parley("chat", "stackademy", "--message", f"hello {word}").out
    first = parley.json("chat", "stackademy", stdin=f"and {word}?")
    second = parley.json("chat", "stackademy", "--new-session", "-m", "hello")

    assert (first["newSession"], second["newSession"]) == (False, True)
    assert first["prompt"]["turn"] == 2
    assert first["session"] != second["session"]


def test_chat_shows_which_tools_are_called(parley: Parley) -> None:
    said = parley("chat", "stackademy", "-m", 'Please use calculator {"expression": "17*23"}')

    assert "391" in said.out
    assert said.err.startswith('· calculator({"expression": "17*23"}): ok, ')


def test_chat_on_a_terminal_streams_and_is_stopped(parley: Parley, model: Model, word: str) -> None:
    model.told(word, stall_after=5)
    terminal = Terminal(parley.environment, "chat", "stackademy")
    try:
        terminal.until("> ")
        terminal.type(f"tell me {word}")
        terminal.until("development")
        terminal.interrupt()
        terminal.until("(stopped)")
        terminal.until("> ")
        model.released(word)
        terminal.type(f"and now {word}?")
        terminal.until("come in as a stream.")
        terminal.until("> ")
        terminal.type("/quit")
        assert terminal.end() == 0
    finally:
        terminal.close()


def test_a_clients_key_chats_with_that_client_and_does_nothing_else(
    parley: Parley, parley_admin: Parley, word: str
) -> None:
    made = parley_admin.json("keys", "create", "--llm-client", "stackademy", "--name", word)
    site = Parley(parley_admin.stack, made["secret"], parley_admin.home)

    assert word in site("chat", "stackademy", "-m", f"hello {word}").out
    site("chat", "plain", "-m", "hello", code=1)
    site("status", code=1)
    assert "client of stackademy" in parley_admin("keys", "list").out


def test_sessions_are_listed_shown_deleted_and_purged(
    parley: Parley, parley_admin: Parley, word: str
) -> None:
    plugin, client = manifests(word)
    parley_admin("apply", "-f", "-", stdin=f"{plugin}---\n{client}")
    mine = parley.json("chat", word, "-m", f"remember {word}")["session"]
    other = parley.json("chat", word, "-m", f"forget {word}", "--new-session")["session"]

    listed = parley_admin("sessions", "list", "--llm-client", word).out
    assert listed.index(other) < listed.index(mine)
    assert f"remember {word}" in parley_admin("sessions", "show", mine).out
    parley_admin("sessions", "delete", mine, "--yes")
    parley_admin("sessions", "show", mine, code=4)
    purge = ("sessions", "purge", "--llm-client", word, "--older-than")
    assert "0 of 1 sessions" in parley_admin(*purge, "90d", "--yes").out
    parley_admin(*purge, "0h", code=2)  # it asks, and there is nobody to answer
    assert parley_admin.json(*purge, "0h", "--yes")["deleted"] == 1
    assert "no sessions" in parley_admin("sessions", "list", "--llm-client", word).err
    misspelt = parley_admin("sessions", "list", "--llm-client", f"{word}x", code=4).err
    assert "parley get llmclients" in misspelt


def test_a_session_says_why_a_question_has_no_answer(
    parley: Parley, parley_admin: Parley, model: Model, word: str
) -> None:
    plugin, client = manifests(word)
    parley_admin("apply", "-f", "-", stdin=f"{plugin}---\n{client}")
    model.told(word, fail={"status": 400, "message": f"no {word}"})
    parley("chat", word, "-m", f"why {word}", code=1)

    [session] = parley_admin.json("sessions", "list", "--llm-client", word)["sessions"]
    found = parley_admin.json("sessions", "show", session["id"])
    [prompt] = found["prompts"]
    shown = parley_admin("sessions", "show", session["id"]).out.splitlines()
    assert shown[-2] == f"why {word}"
    assert shown[-1].startswith("· failed: ")
    assert f"no {word}" in shown[-1]
    assert shown[-1].endswith(f" (parley prompts show {prompt['id']})")


def test_operators_make_accounts_and_verify_hosts(parley_admin: Parley, word: str) -> None:
    at = ("--stack", parley_admin.stack.stack_name)

    def operate(*words: str, code: int = 0) -> Ended:
        return parley_admin.start(*words, *at, **parley_admin.stack.environment).end(code)

    digits = f"{int(word[1:], 16) % 10**12:012}"
    number = f"{digits[:4]}-{digits[4:8]}-{digits[8:]}"
    made = json.loads(operate("accounts", "create", number, "--json").out)
    operate("accounts", "create", number, code=1)
    assert number in operate("accounts", "list").out
    here = {"PARLEY_STACK": str(parley_admin.stack.file), "AWS_EC2_METADATA_DISABLED": "true"}
    nobody = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    assert number in parley_admin("accounts", "list", **here, **nobody).out  # the name is known
    theirs = Parley(parley_admin.stack, made["admin_key"], parley_admin.home)
    assert theirs.json("status")["account"] == number

    plugin, client = manifests(word)
    domain = f"{word}.example.com"
    named = client.replace("config:", f"config:\n    customDomain: {{domain_name: {domain}}}")
    theirs("apply", "-f", "-", stdin=f"{plugin}---\n{named}")
    verify = ("domains", "verify", f"chat.{domain}", "--account", number, *at, "--llm-client")
    operate(*verify, "absent", code=4)
    operate(*verify, word)
    assert f"https://chat.{domain}/" in theirs("deploy", word).out
    operate("domains", "remove", f"chat.{domain}")
    operate("domains", "remove", f"chat.{domain}", code=4)


def test_status_says_who_is_calling(parley: Parley, parley_admin: Parley) -> None:
    assert parley.json("status")["role"] == "user"
    assert parley_admin.json("status")["role"] == "admin"
    assert "unfinished" in parley("status").out


def test_login_saves_where_the_api_is(parley: Parley) -> None:
    away = {"PARLEY_API": "", "PARLEY_KEY": "", "PARLEY_WEBSOCKET": ""}
    parley("status", code=3, **away)

    parley("login", "--api", parley.stack.api, "--key", "-", stdin=f"{parley.key}\n", **away)

    assert parley.stack.account in parley("status", **away).out


@pytest.mark.parametrize(
    ("arguments", "environment", "code"),
    [
        (("prompts", "list", "--status", "lost"), {}, 2),
        (("prompt", " "), {}, 2),
        (("status",), {"PARLEY_KEY": "wrong"}, 3),
        (("prompts", "show", "absent"), {}, 4),
        (("prompt", "hello", "--model", "absent"), {}, 1),
        (("status",), {"PARLEY_API": "http://127.0.0.1:9"}, 5),
    ],
)
def test_exit_codes_mean_something(
    parley: Parley, arguments: tuple[str, ...], environment: dict[str, str], code: int
) -> None:
    ended = parley(*arguments, "--json", code=code, **environment)

    assert ended.out == ""
    assert json.loads(ended.err)["error"]
