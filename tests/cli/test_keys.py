"""Revoking keys, over the product's own API."""

import json
from typing import Any

import pytest
from typer.testing import Result

from tests.cli.conftest import Run


def ok(result: Result) -> Result:
    assert result.exit_code == 0, (result.stdout, result.stderr, result.exception)
    return result


def made(run: Run, *words: str) -> str:
    """The id of a new key."""
    found: str = json.loads(ok(run("keys", "create", "--json", *words)).stdout)["key"]["id"]
    return found


def valid(run: Run, key_id: str) -> bool:
    keys = json.loads(ok(run("keys", "list", "--json")).stdout)["keys"]
    return next("revokedAt" not in key for key in keys if key["id"] == key_id)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a person was asked, who says yes to all of it."""
    questions: list[str] = []

    def confirm(question: str, **_: Any) -> bool:
        questions.append(question)
        return True

    monkeypatch.setattr("parley_cli.session.typer.confirm", confirm)
    monkeypatch.setattr("typer.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    return questions


def test_without_anybody_to_ask_revoking_needs_yes(run_real: Run):
    key = made(run_real, "--user", "ada", "--name", "laptop")
    for options in ([], ["--json"]):
        unsure = run_real("keys", "revoke", key, *options)
        assert (unsure.exit_code, unsure.stdout) == (2, "")
        assert "revoking cannot be undone: say --yes" in unsure.stderr
    assert valid(run_real, key)
    assert ok(run_real("keys", "revoke", key, "--yes")).stdout == 'revoked: ada\'s key "laptop"\n'
    assert not valid(run_real, key)


def test_a_person_is_asked_whether_it_is_that_key(run_real: Run, asked: list[str]):
    named = made(run_real, "--user", "ada", "--name", "laptop")
    nameless = made(run_real, "--user", "ada")
    site = made(run_real, "--llm-client", "stackademy", "--name", "site")
    for key in (named, nameless, site):
        ok(run_real("keys", "revoke", key))
    assert asked == [
        'Revoke ada\'s key "laptop" for good?',
        f"Revoke ada's key {nameless} for good?",
        'Revoke stackademy\'s key "site" for good?',
    ]


def test_nobody_is_asked_about_a_key_that_is_revoked_or_absent(run_real: Run):
    key = made(run_real, "--user", "ada")
    for options in (["--yes"], []):
        told = ok(run_real("keys", "revoke", key, *options)).stdout
        assert told == f"revoked: ada's key {key}\n"
    absent = run_real("keys", "revoke", "key_9")
    assert (absent.exit_code, "parley keys list" in absent.stderr) == (4, True)
