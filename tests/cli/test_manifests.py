"""Manifests from the command line, over the product's own API: what it says and what it does."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from parley_cli.manifests import joined, problems_of, read_sources
from typer.testing import Result

from tests.cli.conftest import Run

CLIENT = """
apiVersion: smarter.sh/v1
kind: LLMClient
metadata:
  name: academy
  description: Course advice
  version: 0.1.0
spec:
  config:
    appName: Stackademy
    appAssistant: Stan
  plugins: [catalog]
"""
PLUGIN = """
apiVersion: smarter.sh/v1
kind: Plugin
metadata: {name: catalog, description: the courses, version: 0.1.0, pluginClass: static}
spec:
  selector: {directive: always}
  prompt: {provider: openai, systemRole: You know the courses., model: gpt-4o-mini}
  data: {description: courses, staticData: {ai: One course}}
"""
KEY = """
apiVersion: smarter.sh/v1
kind: ApiKey
metadata: {name: site, description: null, version: 0.1.0}
spec: {role: client, llmClient: academy}
"""


@pytest.fixture
def run(run_real: Run) -> Run:
    return run_real


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], str]:
    def write_(name: str, text: str) -> str:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write_


def ok(result: Result) -> Result:
    assert result.exit_code == 0, (result.stdout, result.stderr, result.exception)
    return result


def test_apply_tells_created_changed_with_what_and_unchanged(run, write):
    file = write("one.yaml", f"{PLUGIN}---{CLIENT}")
    told = "Plugin catalog created\nLLMClient academy created\n"
    assert ok(run("apply", "-f", file)).stdout == told
    assert ok(run("apply", "-f", file)).stdout.count(" unchanged\n") == 2
    write("one.yaml", f"{PLUGIN}---{CLIENT.replace('Stan', 'Eva').replace('advice', 'help')}")
    changed = ok(run("apply", "-f", file)).stdout.splitlines()[1]
    assert changed == ("LLMClient academy changed (metadata.description, spec.config.appAssistant)")


def test_apply_and_get_tell_where_an_llm_client_is(run, write):
    config = "  config:\n    deployed: true\n    provider: openai\n    defaultModel: m\n"
    deployed = ok(
        run(
            "apply",
            "-f",
            "-",
            input=CLIENT.replace("  config:\n", config).replace("  plugins: [catalog]\n", ""),
        )
    )
    assert "  https://academy.0000-0000-0001.api.example.com/\n" in deployed.stderr
    assert "there is no Secret openai" in " ".join(deployed.stderr.split())
    assert "not deployed" not in deployed.stderr
    assert "academy" not in ok(run("get", "LLMClient")).stderr
    ok(run("undeploy", "academy"))
    told = ok(run("apply", "-f", write("one.yaml", f"{PLUGIN}---{CLIENT}")))
    assert "  not deployed: parley deploy academy\n" in told.stderr
    assert "not deployed: academy" in ok(run("get", "LLMClient", "academy")).stderr


def test_a_dry_run_says_the_same_and_writes_nothing(run, write):
    file = write("one.yaml", f"{PLUGIN}---{CLIENT}")
    for _ in range(2):
        told = ok(run("apply", "-f", file, "--dry-run"))
        assert "LLMClient academy created" in told.stdout
        assert "nothing was written" in told.stderr
    assert run("describe", "LLMClient", "academy").exit_code == 4


def test_a_directory_is_applied_in_the_order_in_which_things_name_each_other(run, write):
    other = PLUGIN.replace("catalog", "other")
    write("all/a.yaml", KEY)
    write("all/b.yaml", CLIENT)
    write("all/c.json", json.dumps([yaml.safe_load(PLUGIN), yaml.safe_load(other)]))
    directory = str(Path(write("all/models.yaml", "models: []")).parent)
    told = ok(run("apply", "-f", directory)).stdout
    assert [line.split()[:2] for line in told.splitlines() if line.endswith("created")] == [
        ["Plugin", "catalog"],
        ["Plugin", "other"],
        ["LLMClient", "academy"],
        ["ApiKey", "site"],
    ]


def test_what_is_wrong_is_told_with_its_file_and_nothing_is_written(run, write):
    write("all/a.yaml", f"---{PLUGIN}---{PLUGIN.replace('catalog', 'other')}---\n")
    wrong = write("all/b.yaml", CLIENT.replace("appName", "appNaem"))
    refused = run("apply", "-f", str(Path(wrong).parent))
    assert refused.exit_code == 2
    assert f"{wrong} (LLMClient academy): spec.config.appNaem: " in refused.stderr
    assert "appName" in refused.stderr
    assert run("describe", "Plugin", "catalog").exit_code == 4


def test_the_secret_of_a_new_key_is_shown_once_and_opens_what_it_is_for(run, write):
    ok(run("apply", "-f", write("one.yaml", f"{PLUGIN}---{CLIENT}")))
    told = ok(run("apply", "-f", "-", input=KEY)).stdout
    secret = told.split()[-1]
    assert (told.splitlines()[0], len(secret)) == ("ApiKey site created", 64)
    assert secret not in ok(run("apply", "-f", "-", input=KEY)).stdout
    assert secret not in ok(run("describe", "ApiKey", "site")).stdout
    refused = run("get", "llmclients", env={"PARLEY_KEY": secret})
    assert refused.exit_code == 1


def test_with_json_programs_get_the_reports(run):
    made = json.loads(ok(run("apply", "-f", "-", "--json", input=PLUGIN)).stdout)
    assert made == {
        "reports": [{"kind": "Plugin", "name": "catalog", "outcome": "created"}],
        "dryRun": False,
    }


def test_a_lost_answer_is_asked_for_again_and_nothing_is_made_twice(run, real):
    lost = iter([True, False])
    real.lose = lambda path: "apply" in path and next(lost)
    assert ok(run("apply", "-f", "-", input=PLUGIN)).stdout == "Plugin catalog unchanged\n"
    assert len(real.calls) == 2


def test_what_describe_prints_can_be_applied_again_and_changes_nothing(run, write):
    odd = CLIENT.replace("Course advice", '"08"').replace("Stan", '"1e3"')
    role = "\n    defaultSystemRole: |\n      You help.\n\n      # always\n"
    odd = odd.replace("\n    appName", f"{role}    appName")
    ok(run("apply", "-f", write("one.yaml", f"{PLUGIN}---{odd}")))
    text = ok(run("describe", "llm-clients", "academy")).stdout
    assert yaml.safe_load(text)["status"]["defaultUrl"].startswith("https://academy.")
    assert "You help.\n" in text  # on lines of its own
    told = ok(run("apply", "-f", "-", input=text)).stdout
    assert told == "LLMClient academy unchanged\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["academy"], "say of which kind: parley describe KIND academy"),
        (["llm-clients"], "say which one: parley describe llm-clients NAME"),
        (["Chatbot"], "say which one: parley describe Chatbot NAME"),
    ],
)
def test_describe_says_which_of_its_two_words_is_missing(run, words, said):
    told = run("describe", *words)
    assert told.exit_code == 2
    assert said in told.stderr


def test_get_lists_with_the_description_last(run, write):
    assert "no Plugin yet" in ok(run("get", "plugins")).stderr
    ok(run("apply", "-f", write("one.yaml", f"{PLUGIN}---{CLIENT}")))
    head, *lines = ok(run("get", "llmclient")).stdout.splitlines()
    line = next(line for line in lines if " academy " in line)
    assert head.split()[:2] == ["ID", "NAME"]
    assert head.endswith("DESCRIPTION")
    assert line.split()[:3] == ["1", "academy", "0.1.0"]
    assert line.endswith("Course advice")
    assert " no " in line  # not deployed
    one = json.loads(ok(run("get", "Plugin", "catalog", "--json")).stdout)
    assert one["data"]["items"][0]["name"] == "catalog"


def test_get_pages_with_after(run):
    for name in ("a", "b", "c"):
        ok(run("apply", "-f", "-", input=PLUGIN.replace("catalog", name)))
    first = ok(run("get", "plugins", "-n", "2"))
    assert len(first.stdout.splitlines()) == 3
    after = first.stderr.split("--after ")[1].strip()
    assert ok(run("get", "plugins", "--after", after)).stdout.splitlines()[1].split()[1] == "c"


def test_deploy_shows_the_addresses_and_undeploy_takes_them_back(run, write):
    ok(run("apply", "-f", write("one.yaml", f"{PLUGIN}---{CLIENT}")))
    told = ok(run("deploy", "academy")).stdout
    page = next(line.split()[1] for line in told.splitlines() if line.startswith("page"))
    assert page.startswith("https://academy.")
    assert f"{page}chat/" in told
    assert "/api/v1/llm-clients/1/chat/" in told
    assert "already" in ok(run("deploy", "academy")).stdout
    assert "not deployed" in ok(run("undeploy", "academy")).stdout
    assert run("deploy", "absent").exit_code == 4


def test_deploy_and_undeploy_take_the_kind_too_as_the_commands_beside_them_do(run, write):
    ok(run("apply", "-f", write("one.yaml", f"{PLUGIN}---{CLIENT}")))
    assert "LLMClient academy is deployed" in ok(run("deploy", "LLMClient", "academy")).stdout
    assert "not deployed" in ok(run("undeploy", "Chatbot", "academy")).stdout
    other = run("deploy", "Plugin", "catalog")
    assert (other.exit_code, "only an LLMClient can be deployed" in other.stderr) == (1, True)
    assert run("deploy", "Sandwich", "academy").exit_code == 4
    assert run("deploy", "LLMClient", "academy", "other").exit_code == 2


def test_delete_asks_or_wants_yes_and_refuses_what_others_name(run, write):
    ok(run("apply", "-f", write("one.yaml", f"{PLUGIN}---{CLIENT}")))
    assert run("delete", "Plugin", "catalog").exit_code == 2
    used = run("delete", "Plugin", "catalog", "--yes")
    assert (used.exit_code, "LLMClient academy" in used.stderr) == (1, True)
    assert "deleted" in ok(run("delete", "LLMClient", "academy", "-y")).stdout
    ok(run("delete", "Plugin", "catalog", "-y"))
    assert run("delete", "Plugin", "catalog", "-y").exit_code == 4


@pytest.mark.parametrize(
    "kind",
    ["Account", "User", "ApiKey", "LLMClient", "Plugin", "Provider", "Secret", "Model"],
)
def test_each_kind_has_an_example_and_a_schema(run, kind):
    example = ok(run("example-manifest", kind)).stdout
    assert yaml.safe_load(example)["kind"] == kind
    assert json.loads(ok(run("example-manifest", kind, "--json")).stdout)["kind"] == kind
    schema = json.loads(ok(run("json-schema", kind)).stdout)
    assert "metadata" in schema["properties"]


def test_an_unknown_kind_is_not_found_and_users_may_not_apply(run):
    assert run("get", "Sandwich").exit_code == 4
    refused = run("apply", "-f", "-", input=PLUGIN, env={"PARLEY_KEY": "user-key"})
    assert (refused.exit_code, "admin" in refused.stderr) == (1, True)


@pytest.mark.parametrize(("text", "code"), [("a: [", 2), ("", 2), (None, 2)])
def test_what_is_no_manifest_is_refused(run, write, text, code):
    file = "absent.yaml" if text is None else write("one.yaml", text)
    assert run("apply", "-f", file).exit_code == code


def test_a_single_file_is_sent_as_it_is(write):
    text = "# a remark\n" + PLUGIN + "---\n"
    assert joined(read_sources([write("one.yaml", text)]).found) == text


def test_a_document_of_the_whole_is_told_by_its_file(write):
    write("all/a.yaml", f"---{PLUGIN}---\n---{PLUGIN}")
    sources = read_sources([str(Path(write("all/b.yaml", CLIENT)).parent)]).found
    files = [source.name for source in sources]
    assert problems_of(["document 2: x", "document 3: y"], sources) == [
        f"{files[0]}, document 2: x",
        f"{files[1]}: y",
    ]


WRONG = CLIENT.replace("appName", "appNaem").replace("catalog", "absent")


def told(result: Result) -> list[str]:
    """What a refused command says, one line each."""
    assert (result.exit_code, result.stdout) == (2, "")
    return result.stderr.splitlines()


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_each_problem_has_a_line_and_the_last_one_counts_them(run, write, options):
    file = write("one.yaml", f"{PLUGIN}---{WRONG.replace('Stan', '7')}---\nkind: Plugin\n")
    config = f"{file}, document 2 (LLMClient academy): spec.config"
    assert told(run("apply", "-f", file, *options)) == [
        f"{config}.appAssistant: must be a text",
        f"{config}.appNaem: there is no such field; did you mean appName?",
        f"{file}, document 3 (Plugin): apiVersion: must be given",
        f"{file}, document 3 (Plugin): metadata: must be given",
        f"{file}, document 3 (Plugin): spec: must be given",
        "error: 5 problems; nothing was written",
    ]


def test_what_is_not_in_the_account_is_told_the_same_way(run, write):
    plugins = CLIENT.replace("[catalog]", "[one, two]")
    lines = told(run("apply", "-f", "-", input=plugins))
    assert [line.partition(": there is no Plugin")[0] for line in lines[:-1]] == [
        "stdin (LLMClient academy): spec.plugins.0",
        "stdin (LLMClient academy): spec.plugins.1",
    ]
    assert lines[-1] == "error: 2 problems; nothing was written"


def test_a_single_problem_is_the_error(run, write):
    file = write("one.yaml", CLIENT.replace("appName", "appNaem"))
    [line] = told(run("apply", "-f", file))
    assert line.startswith(f"error: {file} (LLMClient academy): spec.config.appNaem: there is no")


def test_many_problems_are_told_one_by_one(run, write):
    many = "".join(f"    wrong{n}: 1\n" for n in range(33))
    lines = told(run("apply", "-f", "-", input=CLIENT.replace("    appName", f"{many}    appName")))
    assert lines[-1] == "error: 33 problems; nothing was written"
    assert len(lines) == 34


def test_of_very_many_problems_the_last_line_counts_those_too_that_are_not_shown(run, write):
    many = "".join(f"    wrong{n}: 1\n" for n in range(1033))
    lines = told(run("apply", "-f", "-", input=CLIENT.replace("    appName", f"{many}    appName")))
    assert lines[-1] == "error: 1033 problems, of which 1000 are shown; nothing was written"
    assert len(lines) == 1001


def test_problems_that_the_api_names_one_by_one_are_taken_as_they_are(run, write, real):
    named = [f"spec.wrong{n}: there is\nno such field" for n in range(33)]
    real.refuse = {"error": "\n".join([*named[:20], "and 13 more"]), "errors": named}
    lines = told(run("apply", "-f", "-", input=PLUGIN))
    assert lines[32] == "stdin (Plugin catalog): spec.wrong32: there is no such field"
    assert lines[33:] == ["error: 33 problems; nothing was written"]
    real.refuse["errors"] = [{"path": "spec"}]
    assert told(run("apply", "-f", "-", input=PLUGIN))[-1].startswith("error: 53 problems")


def test_programs_get_the_problems_as_a_list(run, write):
    file = write("one.yaml", WRONG.replace("Stan", "7"))
    refused = json.loads(run("apply", "-f", file, "--json").stderr)
    assert [one.split(": ")[1] for one in refused["problems"]] == [
        "spec.config.appAssistant",
        "spec.config.appNaem",
    ]
    assert refused["error"].splitlines()[-1] == "2 problems; nothing was written"


@pytest.mark.parametrize("others", [[], ["other.yaml"]])
def test_broken_yaml_is_told_with_its_file_and_the_line_in_it(run, write, others):
    files = [write(name, PLUGIN) for name in others]
    broken = write("broken.yaml", "kind: Plugin\nmetadata: }\n")
    words = [word for file in [*files, broken] for word in ("-f", file)]
    [line] = told(run("apply", *words))
    assert line.startswith(f"error: {broken}: not valid YAML: line 2, column 11: ")


def test_broken_yaml_at_the_end_of_a_file_is_told_of_that_file(run, write):
    broken = write("broken.yaml", "kind: Plugin\nmetadata: [\n")
    [line] = told(run("apply", "-f", broken, "-f", write("other.yaml", CLIENT)))
    assert line.startswith(f"error: {broken}: not valid YAML: line 3")


def test_several_files_and_stdin_are_one_call(run, write, real):
    both = ["-f", write("client.yml", CLIENT), "-f", "-", "-f", write("key.json", as_json(KEY))]
    told = ok(run("apply", *both, input=PLUGIN)).stdout.splitlines()
    assert [line.split()[0] for line in told if " created" in line] == [
        "Plugin",
        "LLMClient",
        "ApiKey",
    ]
    assert len(real.calls) == 1


def as_json(text: str) -> str:
    return json.dumps({"manifests": [yaml.safe_load(text)]})


def test_what_is_named_twice_is_applied_once(run, write):
    file = write("all/one.yaml", PLUGIN)
    directory = str(Path(file).parent)
    words = ["-f", directory, "-f", file, "-f", "-", "-f", "-"]
    told = ok(run("apply", *words, input=PLUGIN.replace("catalog", "other"))).stdout
    assert told == "Plugin catalog created\nPlugin other created\n"


def test_a_directory_is_its_own_files_by_their_names(write, tmp_path):
    for name in ("b.yml", "a.json", "c.yaml", "d.txt", "deep/e.yaml"):
        write(f"all/{name}", PLUGIN)
    (tmp_path / "all/f.yaml").mkdir()
    found = read_sources([str(tmp_path / "all")]).found
    assert [Path(source.name).name for source in found] == ["a.json", "b.yml", "c.yaml"]


def test_what_is_left_out_of_a_directory_is_said(run, write):
    write("all/a.yaml", PLUGIN)
    typo = write("all/b.yaml", CLIENT.replace("kind:", "knid:"))
    assert f"left out, there is no `kind` in it: {typo}" in " ".join(
        ok(run("apply", "-f", str(Path(typo).parent))).stderr.split()
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "parley apply -f FILE"),
        (["one.yaml"], "parley apply -f one.yaml"),
        (["-f", "one.yaml", "two.yaml"], "parley apply -f one.yaml -f two.yaml"),
    ],
)
def test_files_without_their_option_are_told_how_to_be_named(run, words, said):
    refused = run("apply", *words)
    assert (refused.exit_code, said in refused.stderr) == (2, True)


def test_what_was_meant_is_said_of_what_is_no_manifest(run, write):
    empty = run("apply", "-f", write("empty.yaml", "\n"))
    assert (empty.exit_code, "empty.yaml is empty" in " ".join(empty.stderr.split())) == (2, True)
    nothing = run("apply", "-f", "-", input="")
    assert (nothing.exit_code, nothing.stderr) == (2, "error: stdin is empty\n")
    models = run("apply", "-f", write("models.yaml", "# all\n\nmodels:\n  - id: a\n"))
    assert (models.exit_code, "parley models apply -f" in models.stderr) == (2, True)
    together = run("apply", "-f", write("one.yaml", PLUGIN + CLIENT))
    assert (together.exit_code, "`---`" in together.stderr) == (2, True)
