"""Settings: the template gives each function what it reads, and a wrong one is refused."""

from dataclasses import MISSING, fields
from typing import Any

import pytest
from parley.core.policy import AttemptPolicy, CallPolicy, Policy
from parley.settings import (
    ApiSettings,
    FunctionSettings,
    RunnerSettings,
    SettingsRefused,
    SocketSettings,
    SweeperSettings,
    read,
)

from tests.functions.stage import ENVIRONMENT
from tests.template.test_rules import FUNCTIONS, MAIN

KINDS: dict[str, type[FunctionSettings]] = {
    "api": ApiSettings,
    "runner": RunnerSettings,
    "socket": SocketSettings,
    "sweeper": SweeperSettings,
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


ALL_SETTINGS = {name for kind in KINDS.values() for name in kind.model_fields}


def given(function: str) -> dict[str, Any]:
    """The variables that the template gives a function, but for those of Powertools."""
    shared: dict[str, Any] = MAIN["Globals"]["Function"]["Environment"]["Variables"]
    [own] = [
        properties["Environment"]["Variables"]
        for properties in FUNCTIONS.values()
        if properties["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] == function
    ]
    every = {**shared, **own}
    return {name: value for name, value in every.items() if not name.startswith("POWERTOOLS_")}


@pytest.mark.parametrize("function", KINDS)
def test_the_template_gives_a_function_what_it_reads_and_nothing_else(function: str) -> None:
    assert set(given(function)) == {name.upper() for name in KINDS[function].model_fields}


@pytest.mark.parametrize("function", KINDS)
def test_every_setting_is_required(function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KINDS[function].model_fields:
        with monkeypatch.context() as without:
            without.delenv(name.upper())
            with pytest.raises(SettingsRefused, match=f"{name.upper()} Field required"):
                read(KINDS[function])


@pytest.mark.parametrize(
    ("function", "name", "value"),
    [
        ("api", "TABLE_NAME", ""),
        ("api", "QUEUE_URL", "parley-Queue"),
        ("api", "SOCKET_ENDPOINT", "wss://example/live"),
        ("api", "DEFAULT_MAX_RETRIES", "21"),
        ("api", "DEFAULT_MAX_RETRIES", "-1"),
        ("api", "DEFAULT_MAX_RETRIES", "few"),
        ("api", "SYNC_BUDGET_SECONDS", "26"),
        ("api", "SYNC_BUDGET_SECONDS", "0"),
        ("api", "SWEEP_SECONDS", "nan"),
        ("api", "ALLOWED_ORIGINS", " , "),
        ("api", "LOCAL_PROVIDERS", "perhaps"),
        ("api", "SECRETS_PREFIX", ""),
        ("api", "API_DOMAIN", "https://api.example.com"),
        ("api", "ENVIRONMENT", "staging"),
        ("api", "SOCKET_URL", ""),
        ("api", "SOCKET_URL", "https://example/live"),
        ("runner", "LEASE_SECONDS", "0.5"),
        ("runner", "LEASE_SECONDS", "inf"),
        ("runner", "ATTEMPT_LIMIT_SECONDS", "900"),
        ("runner", "BACKOFF_BASE_SECONDS", "0"),
        ("runner", "SECRETS_PREFIX", "parley"),
        ("runner", "CONNECT_SECONDS", "-1"),
        ("runner", "WEATHER_FORECAST_URL", "api.open-meteo.com"),
        ("socket", "MAX_CONNECTIONS", "0"),
        ("sweeper", "DLQ_URL", "ftp://queue"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(
    function: str, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsRefused, match=f"^{KINDS[function].__name__}: {name} "):
        read(KINDS[function])


def test_all_that_is_wrong_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUEUE_URL", "x")
    monkeypatch.delenv("TABLE_NAME")
    with pytest.raises(SettingsRefused) as refused:
        read(SocketSettings)
    assert "QUEUE_URL" in str(refused.value)
    assert "TABLE_NAME" in str(refused.value)


def test_the_policy_has_the_figures_that_were_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEASE_SECONDS", "2")
    monkeypatch.setenv("ATTEMPT_LIMIT_SECONDS", "30")
    monkeypatch.setenv("BACKOFF_BASE_SECONDS", "0.1")
    monkeypatch.setenv("SWEEP_SECONDS", "5")
    monkeypatch.setenv("SYNC_BUDGET_SECONDS", "3")
    monkeypatch.setenv("DEFAULT_MAX_RETRIES", "2")

    assert read(RunnerSettings).policy == AttemptPolicy(
        sweep=5, lease=2, attempt_limit=30, backoff_base=0.1
    )
    assert read(SweeperSettings).policy == Policy(sweep=5)
    assert read(SocketSettings).policy == Policy(sweep=5)
    assert read(ApiSettings).policy == CallPolicy(sweep=5, sync_budget=3, default_max_retries=2)


@pytest.mark.parametrize("kind", [Policy, CallPolicy, AttemptPolicy])
def test_a_figure_that_is_set_has_no_default_to_be_forgotten_for(kind: type[Policy]) -> None:
    """A function that is not told a figure would go by another one than its neighbours."""
    required = {field.name for field in fields(kind) if field.default is MISSING}
    set_by = {name.removesuffix("_seconds") for name in ALL_SETTINGS}
    assert required == {field.name for field in fields(kind)} & set_by
    assert "sweep" in required


@pytest.mark.parametrize("function", KINDS)
def test_the_sweep_of_every_function_is_the_one_parameter(function: str) -> None:
    """Whoever ends a turn says when the next one is looked at: all of them say the same."""
    assert given(function)["SWEEP_SECONDS"] == {"Ref": "SweepSeconds"}


def test_origins_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_ORIGINS", "https://a.example, https://b.example,")
    assert read(ApiSettings).allowed_origins == ("https://a.example", "https://b.example")


def test_an_api_may_have_no_domain_and_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(ApiSettings)
    assert (settings.api_domain, settings.environment) == ("", "")
    monkeypatch.setenv("API_DOMAIN", "api.localhost:9357")
    monkeypatch.setenv("ENVIRONMENT", "alpha")
    settings = read(ApiSettings)
    assert (settings.api_domain, settings.environment) == ("api.localhost:9357", "alpha")
