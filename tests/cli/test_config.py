"""Which API, and which key for it."""

import json
import stat
from pathlib import Path

import pytest
from parley_cli.config import Target, config_file, load_target, save_target, socket_beside
from parley_cli.errors import NotAuthenticated, Usage

from tests.cli.conftest import Run
from tests.cli.server import ADMIN_KEY, FakeApi

URL = "https://prompts.example.com"


def env(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"XDG_CONFIG_HOME": str(tmp_path / "config"), **more}


def local_stack(directory: Path, api: str = "http://localhost:9357") -> None:
    (directory / ".local").mkdir()
    content = {"api": api, "websocket": "ws://localhost:9357/ws", "admin_key": "local"}
    (directory / ".local" / "stack.json").write_text(json.dumps(content))


def test_the_environment_goes_before_the_file_before_the_local_stack(tmp_path):
    local_stack(tmp_path)
    inside = tmp_path / "deep" / "er"
    inside.mkdir(parents=True)
    found = load_target(env(tmp_path), inside)
    assert (found.api, found.key, found.source) == (
        "http://localhost:9357",
        "local",
        "the local stack",
    )
    save_target(config_file(env(tmp_path)), Target(URL, "saved", f"wss{URL[5:]}/ws"))
    assert load_target(env(tmp_path), inside).key == "saved"
    variables = {"PARLEY_API": "https://other.example.com/", "PARLEY_KEY": "given"}
    found = load_target(env(tmp_path, **variables), inside)
    assert (found.api, found.key, found.websocket) == ("https://other.example.com", "given", "")


def another_stack(directory: Path, port: int) -> Path:
    (directory / ".local").mkdir(exist_ok=True)
    file = directory / ".local" / f"stack-{port}.json"
    file.write_text(json.dumps({"api": f"http://localhost:{port}", "admin_key": f"of-{port}"}))
    return file


def test_the_only_local_stack_is_found_whatever_its_port(tmp_path):
    another_stack(tmp_path, 9999)
    inside = tmp_path / "deep"
    inside.mkdir()
    assert load_target(env(tmp_path), inside).key == "of-9999"
    other = another_stack(tmp_path, 8888)
    with pytest.raises(NotAuthenticated, match=f"export PARLEY_STACK={other}"):
        load_target(env(tmp_path), inside)


def test_the_stack_that_is_named_goes_before_all_but_an_api_that_is_named(tmp_path):
    local_stack(tmp_path)
    save_target(config_file(env(tmp_path)), Target(URL, "saved"))
    named = env(tmp_path, PARLEY_STACK=str(another_stack(tmp_path, 9999)))
    assert load_target(named, tmp_path).api == "http://localhost:9999"
    found = load_target(named | {"PARLEY_API": URL}, tmp_path)
    assert (found.api, found.key) == (URL, "saved")
    with pytest.raises(Usage, match="gone"):
        load_target(env(tmp_path, PARLEY_STACK="gone.json"), tmp_path)


def test_a_saved_key_is_not_sent_to_another_api(tmp_path):
    save_target(config_file(env(tmp_path)), Target(URL, "saved"))
    with pytest.raises(NotAuthenticated):
        load_target(env(tmp_path, PARLEY_API="https://evil.example.com"), tmp_path)
    assert load_target(env(tmp_path, PARLEY_API=URL), tmp_path).key == "saved"


def test_a_key_alone_is_for_the_api_that_is_configured(tmp_path):
    local_stack(tmp_path)
    found = load_target(env(tmp_path, PARLEY_KEY="other"), tmp_path)
    assert (found.api, found.key) == ("http://localhost:9357", "other")


def test_nothing_configured_says_what_to_do(tmp_path):
    with pytest.raises(NotAuthenticated, match="parley login"):
        load_target(env(tmp_path), tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "http://prompts.example.com",
        "prompts.example.com",
        "ftp://x",
        "https://[bad",
        "https://two words",
        "https://localhost:port",
        "https://localhost:99999",
    ],
)
def test_an_address_that_cannot_be_used_or_is_not_encrypted_is_refused(tmp_path, url):
    with pytest.raises(Usage):
        load_target(env(tmp_path, PARLEY_API=url, PARLEY_KEY="k"), tmp_path)


def test_a_target_does_not_show_its_key():
    assert "secret" not in repr(Target(URL, "secret"))


def test_the_file_is_readable_by_its_owner_only_and_takes_any_value(tmp_path):
    path = config_file(env(tmp_path))
    save_target(path, Target(URL, 'odd"\\key', ""))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_target(env(tmp_path), tmp_path).key == 'odd"\\key'
    assert [entry.name for entry in path.parent.iterdir()] == ["config.toml"]


def test_the_socket_beside_an_api():
    assert socket_beside(URL) == "wss://prompts.example.com/ws"
    assert socket_beside("http://localhost:9357") == "ws://localhost:9357/ws"


def test_login_tries_the_key_and_saves_it(run: Run, api: FakeApi, monkeypatch, tmp_path):
    monkeypatch.delenv("PARLEY_API")
    monkeypatch.delenv("PARLEY_KEY")
    result = run("login", "--api", api.url, "--key", "-", input=f"{ADMIN_KEY}\n")
    assert result.exit_code == 0, result.stderr
    assert ADMIN_KEY not in result.stdout + result.stderr
    assert run("status").exit_code == 0


def test_login_saves_no_key_that_is_refused(run: Run, api: FakeApi, tmp_path):
    assert run("login", "--api", api.url, "--key", "wrong").exit_code == 3
    assert not (tmp_path / "config").exists()


def test_login_without_a_terminal_does_not_hang_asking(run: Run, api: FakeApi, monkeypatch):
    monkeypatch.delenv("PARLEY_KEY")
    assert run("login", "--api", api.url).exit_code == 2


def test_the_local_stack_is_used_with_a_hint_on_stderr(run: Run, api: FakeApi, monkeypatch):
    monkeypatch.delenv("PARLEY_API")
    monkeypatch.delenv("PARLEY_KEY")
    local_stack(Path.cwd(), api.url)
    stack = Path(".local/stack.json")
    stack.write_text(stack.read_text().replace('local"', f'{ADMIN_KEY}"'))
    result = run("prompts", "list")
    assert result.exit_code == 0, result.stderr
    assert f"using the local stack at {api.url}" in result.stderr


@pytest.mark.parametrize("key", ["schlüssel", "two words", "two\nlines"])
def test_a_key_that_cannot_be_sent_is_told_with_where_it_is_from(tmp_path, key):
    with pytest.raises(NotAuthenticated, match="what PARLEY_KEY has"):
        load_target(env(tmp_path, PARLEY_API=URL, PARLEY_KEY=key), tmp_path)
    save_target(config_file(env(tmp_path)), Target(URL, key))
    with pytest.raises(NotAuthenticated, match=r"what .*config\.toml has"):
        load_target(env(tmp_path), tmp_path)


def test_a_refused_key_is_told_with_where_it_is_from(run: Run, api: FakeApi, monkeypatch):
    refused = run("status", env={"PARLEY_KEY": "wrong"})
    assert (refused.exit_code, "the one of PARLEY_KEY" in refused.stderr) == (3, True)
    monkeypatch.delenv("PARLEY_API")
    monkeypatch.delenv("PARLEY_KEY")
    local_stack(Path.cwd(), api.url)
    told = " ".join(run("status").stderr.split())
    assert "the one of the local stack" in told
    assert f"parley login --api {api.url}" in told
    tried = run("login", "--api", api.url, "--key", "wrong")
    assert (tried.exit_code, "an admin makes one" in tried.stderr) == (3, True)


@pytest.mark.parametrize("command", ["example-manifest", "json-schema"])
def test_without_an_api_writers_of_manifests_are_told_what_to_do(run: Run, monkeypatch, command):
    nowhere = run(command, "LLMClient", env={"PARLEY_API": "http://127.0.0.1:9"})
    assert nowhere.exit_code == 5
    monkeypatch.delenv("PARLEY_API")
    monkeypatch.delenv("PARLEY_KEY")
    nothing = run(command, "LLMClient")
    assert nothing.exit_code == 3
    for way in ("parley login --api", "export PARLEY_API=", "make run"):
        assert way in nothing.stderr
    assert "make run" in nowhere.stderr
    for told in (nowhere, nothing):
        assert "docs/manifests.md" in told.stderr
    assert json.loads(run(command, "LLMClient", "--json").stderr)["error"]


def test_the_page_that_stands_in_for_the_api_has_what_is_promised():
    page = (Path(__file__).parents[2] / "docs" / "manifests.md").read_text()
    for kind in ("Account", "User", "ApiKey", "LLMClient", "Plugin", "Provider", "Secret", "Model"):
        assert f"## {kind}\n" in page
        assert f"kind: {kind}\n" in page
