"""Manifests: each field, good and bad; the text they come in."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from parley.core.errors import Invalid, ParleyError, TooLarge
from parley.core.functions import FUNCTIONS
from parley.core.manifest import MASK, METADATA, Manifest, ManifestKind
from parley.core.model import BUILT_IN_PROVIDERS
from parley.core.resource import Kind, Resource
from parley.wire.manifests import llm_client, reference
from parley.wire.manifests.examples import EXAMPLES, example
from parley.wire.manifests.parsing import parsed
from parley.wire.manifests.reading import documents, from_yaml
from parley.wire.manifests.shown import COLUMNS, row, whole

from tests.conformance.stores import START, dynamo_stores, moto_client, new_table

EXAMPLE_FILES = ("stackademy", "weather", "plain")
GONE = object()
# Of a Provider: what the original's manifests have, and nothing here keeps.
UNKEPT = (
    *("description", "connectivity_test_path", "logo", "website_url", "docs_url"),
    *("terms_of_service_url", "privacy_policy_url", "contact_email", "support_email"),
)
UNKEPT_FLAGS = tuple(
    f"is_{name}" for name in ("active", "default", "verified", "suspended", "deprecated", "flagged")
)

BASE: dict[str, dict[str, Any]] = {
    kind.value: {
        "apiVersion": "smarter.sh/v1",
        "kind": kind.value,
        "metadata": {"name": "thing", "description": None},
    }
    for kind in ManifestKind
}
BASE["LLMClient"]["spec"] = {"config": {}}
BASE["Plugin"]["spec"] = {
    "selector": {"directive": "always"},
    "prompt": {"systemRole": "Look it up."},
    "data": {"staticData": {"a": 1}},
}
BASE["Provider"]["spec"] = {"provider": {"base_url": "https://llm.example.com/v1"}}
BASE["Secret"]["spec"] = {"config": {"value": "hush"}}
BASE["Model"]["spec"] = {"baseUrl": "https://llm.example.com/v1", "providerModel": "m"}


def changed(kind: str, path: str, value: Any) -> dict[str, Any]:
    """A manifest of the kind with something else at a path; GONE takes it away."""
    made: dict[str, Any] = json.loads(json.dumps(BASE[kind]))
    *steps, last = path.split(".")
    inside = made
    for step in steps:
        inside = inside.setdefault(step, {})
    if value is GONE:
        inside.pop(last)
    else:
        inside[last] = value
    return made


def read(document: Any, *, local_providers: bool = False) -> Manifest:
    return parsed(json.dumps(document), local_providers=local_providers)[0]


def refusal(document: Any) -> str:
    with pytest.raises(ParleyError) as refused:
        read(document)
    return str(refused.value)


CONFIG = "spec.config."
NAME_RULE = (
    "must be at most 50 letters, digits, hyphens and underscores, "
    "with a letter or digit at both ends"
)
IN_A_ROW = "must not have two hyphens or underscores in a row"
URL_RULE = "must be a URL such as https://example.com"
TOO_LONG = "must have at most 255 characters"
ORIGIN_RULE = "must be scheme://host[:port], without a path or a slash at the end"

BAD: list[tuple[str, str, Any, str]] = [
    # --- what every manifest says
    ("User", "apiVersion", "smarter.sh/v0", "apiVersion: must be 'smarter.sh/v1'"),
    ("User", "apiVersion", GONE, "apiVersion: must be given"),
    ("User", "kind", GONE, "kind: must be given"),
    ("User", "metadata", GONE, "metadata: must be given"),
    ("User", "metadata", [], "metadata: must be a mapping"),
    ("User", "metadata.name", GONE, "metadata.name: must be given"),
    ("User", "metadata.name", "", "metadata.name: must not be null"),
    ("User", "metadata.name", "None", "metadata.name: must not be null"),
    ("User", "metadata.name", 7, "metadata.name: must be a text"),
    ("User", "metadata.name", "x" * 51, f"metadata.name: {NAME_RULE}"),
    ("User", "metadata.name", "a b", f"metadata.name: {NAME_RULE}"),
    ("User", "metadata.name", "-a", f"metadata.name: {NAME_RULE}"),
    ("User", "metadata.name", "a/b", f"metadata.name: {NAME_RULE}"),
    ("User", "metadata.name", "ä", f"metadata.name: {NAME_RULE}"),
    ("User", "metadata.description", GONE, "metadata.description: must be given"),
    (
        *("User", "metadata.description", "x" * 1001),
        "metadata.description: must have at most 1000 characters",
    ),
    (
        *("User", "metadata.version", "1.0"),
        "metadata.version: must be a semantic version such as 0.1.0",
    ),
    ("User", "metadata.version", 1.0, "metadata.version: must be a text"),
    ("User", "metadata.tags", "demo", "metadata.tags: must be a list"),
    ("User", "metadata.tags", ["a", "a"], "metadata.tags: a is there twice"),
    ("User", "metadata.tags", [1], "metadata.tags.0: must be a text"),
    ("User", "metadata.annotations", [{}], "metadata.annotations.0: must be a mapping of one key"),
    (
        *("User", "metadata.annotations", [{"a": 1, "b": 2}]),
        "metadata.annotations.0: must be a mapping of one key",
    ),
    (
        *("User", "metadata.annotations", [{"a b": 1}]),
        "metadata.annotations.0: its key must be URL-friendly: letters, digits and . _ ~ / -",
    ),
    (
        *("User", "metadata.annotations", [{"a": ["x" * 2049]}]),
        "metadata.annotations.0: a text may have 2048 characters",
    ),
    (
        *("User", "metadata.label", "x"),
        "metadata.label: there is no such field",
    ),
    ("User", "extra", 1, "extra: there is no such field"),
    ("User", "meta", 1, "meta: there is no such field; did you mean metadata?"),
    # --- account, user
    ("Account", "spec.accountNumber", "1-2", "spec.accountNumber: "),
    ("Account", "spec.companyName", "x" * 256, f"spec.companyName: {TOO_LONG}"),
    ("User", "spec.config.email", "jo", "spec.config.email: "),
    ("User", "spec.config.firstName", 1, "spec.config.firstName: must be a text"),
    ("User", "spec.config.lastName", 1, "spec.config.lastName: must be a text"),
    (
        *("User", "spec.config.lastname", "Doe"),
        "spec.config.lastname: there is no such field; did you mean lastName?",
    ),
    # --- keys
    ("ApiKey", "spec.role", "root", "spec.role: must be 'admin', 'user' or 'client'"),
    ("ApiKey", "spec.role", "client", "spec.llmClient: must be given for the role client"),
    ("ApiKey", "spec.llmClient", "x", "spec.llmClient: is only for the role client"),
    ("ApiKey", "spec.user", "a b", "spec.user: "),
    ("ApiKey", "spec.active", "yes", "spec.active: must be true or false"),
    # --- secrets
    ("Secret", "spec", GONE, "spec: must be given"),
    ("Secret", "spec.config.value", "x" * 4097, "spec.config.value: must have at most 4096 bytes"),
    ("Secret", "spec.config.value", 5, "spec.config.value: must be a text"),
    (
        *("Secret", "spec.config.expiration_date", "soon"),
        "spec.config.expiration_date: must be a date such as 2027-01-31, or a date and time",
    ),
    (
        *("Secret", "spec.config.expirationDate", "2027-01-31"),
        "spec.config.expirationDate: there is no such field; did you mean expiration_date?",
    ),
    # --- providers and models
    (
        *("Provider", "spec.provider.base_url", "http://llm.example.com"),
        "spec.provider.base_url: must begin with https://",
    ),
    (
        *("Provider", "spec.provider.base_url", "https://10.0.0.1"),
        "spec.provider.base_url: must name a public host",
    ),
    ("Provider", "spec.provider.base_url", GONE, "spec.provider.base_url: must be given"),
    ("Provider", "spec.provider.api_key", "a b", f"spec.provider.api_key: {NAME_RULE}"),
    (
        *("Provider", "spec.provider.name", "other"),
        "spec.provider.name: must be the name in the metadata",
    ),
    ("Provider", "spec.provider.default_model", 4, "spec.provider.default_model: must be a text"),
    *(
        ("Provider", path, 4, f"{path}: must be a text")
        for path in (f"spec.provider.{name}" for name in UNKEPT)
    ),
    *(
        ("Provider", path, "yes", f"{path}: must be true or false")
        for path in (f"spec.provider.{name}" for name in UNKEPT_FLAGS)
    ),
    ("Model", "metadata.name", " m", "metadata.name: must be 1 to 256 printable characters"),
    ("Model", "spec.baseUrl", "https://localhost", "spec.baseUrl: must name a public host"),
    ("Model", "spec.providerModel", GONE, "spec.providerModel: must be given"),
    ("Model", "spec.template", "ä" * 4097, "spec.template: must have at most 8 KB"),
    ("Model", "spec.secret", "a/b", "spec.secret: "),
    (
        *("Model", "spec.context.turns", 0),
        "spec.context.turns: must be greater than or equal to 1",
    ),
    ("Model", "spec.context.tokens", "all", "spec.context.tokens: must be a whole number"),
    ("Model", "spec.maxTokens", 1.5, "spec.maxTokens: must be a whole number"),
    ("Model", "spec.default", 1, "spec.default: must be true or false"),
    # --- plugins
    (
        *("Plugin", "metadata.pluginClass", "sql"),
        "metadata.pluginClass: must be static: sql and api plugins are not supported",
    ),
    (
        *("Plugin", "spec.selector.directive", "never"),
        "spec.selector.directive: must be 'always', 'search_terms' or 'llm'",
    ),
    (
        *("Plugin", "spec.selector.directive", "search_terms"),
        "spec.selector.searchTerms: must be given for the directive search_terms",
    ),
    (
        *("Plugin", "spec.selector", {"directive": "search_terms", "searchTerms": []}),
        "spec.selector.searchTerms: must be given for the directive search_terms",
    ),
    (
        *("Plugin", "spec.selector", {"directive": "search_terms", "searchTerms": ["a"] * 101}),
        "spec.selector.searchTerms: must have at most 100 items, not 101",
    ),
    (
        *("Plugin", "spec.data.staticData", {}),
        "spec.data.staticData: must have at least 1 item, not 0",
    ),
    (
        *("Plugin", "spec.selector.searchTerms", ["a"]),
        "spec.selector.searchTerms: is only for the directive search_terms",
    ),
    ("Plugin", "spec.prompt.systemRole", GONE, "spec.prompt.systemRole: must be given"),
    (
        *("Plugin", "spec.prompt.systemRole", "x" * 8193),
        "spec.prompt.systemRole: must have at most 8192 characters",
    ),
    ("Plugin", "spec.prompt.temperature", 1.1, "spec.prompt.temperature: must be less than or"),
    ("Plugin", "spec.prompt.maxTokens", 0, "spec.prompt.maxTokens: must be greater than or"),
    ("Plugin", "spec.prompt.maxTokens", 8193, "spec.prompt.maxTokens: must be less than or"),
    ("Plugin", "spec.prompt.model", 1, "spec.prompt.model: must be a text"),
    ("Plugin", "spec.prompt.provider", "a b", f"spec.prompt.provider: {NAME_RULE}"),
    ("Plugin", "spec.data.description", 1, "spec.data.description: must be a text"),
    ("Plugin", "spec.data.staticData", [1], "spec.data.staticData: must be a mapping"),
    ("Plugin", "spec.data.staticData", {}, "spec.data.staticData: must have at least 1 item"),
    (
        *("Plugin", "spec.data.staticData", {"a": "x" * 200 * 1024}),
        "spec.data.staticData: must have at most 200 KB",
    ),
    # --- llm_clients
    ("LLMClient", "metadata.name", "www", "metadata.name: www is reserved"),
    ("LLMClient", "metadata.name", "123", "metadata.name: must have a letter"),
    ("LLMClient", "metadata.name", "a-b_c", "metadata.name: may have hyphens or underscores"),
    ("LLMClient", "metadata.name", "xn--a", f"metadata.name: {IN_A_ROW}"),
    ("LLMClient", "metadata.name", "a__b", f"metadata.name: {IN_A_ROW}"),
    ("LLMClient", "spec", GONE, "spec: must be given"),
    ("LLMClient", "spec.config", None, "spec.config: must not be null"),
    ("LLMClient", CONFIG + "subdomain", "x", "spec.config.subdomain: must be a mapping"),
    (
        *("LLMClient", CONFIG + "customDomain", {}),
        "spec.config.customDomain.domain_name: must be given",
    ),
    (
        *("LLMClient", CONFIG + "customDomain.domain_name", "nodots"),
        "spec.config.customDomain.domain_name: must be a domain name such as example.com",
    ),
    (
        "LLMClient",
        CONFIG + "customDomain.aws_hosted_zone_id",
        "z-1",
        "spec.config.customDomain.aws_hosted_zone_id: ",
    ),
    ("LLMClient", CONFIG + "deployed", 1, "spec.config.deployed: must be true or false"),
    ("LLMClient", CONFIG + "provider", "a b", f"spec.config.provider: {NAME_RULE}"),
    ("LLMClient", CONFIG + "defaultModel", 4, "spec.config.defaultModel: must be a text"),
    (
        *("LLMClient", CONFIG + "defaultModell", "x"),
        "spec.config.defaultModell: there is no such field; did you mean defaultModel?",
    ),
    ("LLMClient", CONFIG + "defaultSystemRole", 4, "spec.config.defaultSystemRole: must be a text"),
    (
        *("LLMClient", CONFIG + "defaultTemperature", 1.01),
        "spec.config.defaultTemperature: must be less than or equal to 1",
    ),
    (
        *("LLMClient", CONFIG + "defaultTemperature", -0.1),
        "spec.config.defaultTemperature: must be greater than or equal to 0",
    ),
    (
        *("LLMClient", CONFIG + "defaultTemperature", "0.5"),
        "spec.config.defaultTemperature: must be a number",
    ),
    (
        *("LLMClient", CONFIG + "defaultMaxTokens", 0),
        "spec.config.defaultMaxTokens: must be greater than or equal to 1",
    ),
    ("LLMClient", CONFIG + "appName", "x" * 256, f"spec.config.appName: {TOO_LONG}"),
    ("LLMClient", CONFIG + "appAssistant", "x" * 256, f"spec.config.appAssistant: {TOO_LONG}"),
    (
        *("LLMClient", CONFIG + "appWelcomeMessage", "x" * 256),
        f"spec.config.appWelcomeMessage: {TOO_LONG}",
    ),
    ("LLMClient", CONFIG + "appPlaceholder", "x" * 256, f"spec.config.appPlaceholder: {TOO_LONG}"),
    (
        *("LLMClient", CONFIG + "appExamplePrompts", ["a", 1]),
        "spec.config.appExamplePrompts.1: must be a text",
    ),
    (
        *("LLMClient", CONFIG + "appExamplePrompts", ["x"] * 2),
        "spec.config.appExamplePrompts: x is there twice",
    ),
    (
        *("LLMClient", CONFIG + "appInfoUrl", "javascript:alert(1)"),
        f"spec.config.appInfoUrl: {URL_RULE}",
    ),
    ("LLMClient", CONFIG + "appLogoUrl", "logo.png", f"spec.config.appLogoUrl: {URL_RULE}"),
    *(
        ("LLMClient", CONFIG + name, url, f"spec.config.{name}: must begin with https://")
        for name in ("appLogoUrl", "appBackgroundImageUrl")
        for url in ("http://example.com/l.png", "http://localhost:8080/l.png")
    ),
    (
        *("LLMClient", CONFIG + "appBackgroundImageUrl", "https://a:b@example.com"),
        "spec.config.appBackgroundImageUrl: must be a URL of at most 2048 characters",
    ),
    (
        *("LLMClient", CONFIG + "appFileAttachment", "no"),
        "spec.config.appFileAttachment: must be true or false",
    ),
    ("LLMClient", "spec.plugins", "a", "spec.plugins: must be a list"),
    ("LLMClient", "spec.plugins", ["a", "A"], "spec.plugins: a is there twice"),
    (
        *("LLMClient", "spec.functions", ["calculator", "shell"]),
        "spec.functions.1: must be 'get_current_weather', 'date_calculator' or 'calculator'",
    ),
    ("LLMClient", "spec.apiKey", ["a"], "spec.apiKey: must be a text"),
    (
        *("LLMClient", "spec.allowedOrigins", ["*"]),
        "spec.allowedOrigins.0: must name one origin: with credentials a browser takes no wildcard",
    ),
    (
        "LLMClient",
        "spec.allowedOrigins",
        ["https://a.com/"],
        f"spec.allowedOrigins.0: {ORIGIN_RULE}",
    ),
    ("LLMClient", "spec.allowedOrigins", ["a.com"], f"spec.allowedOrigins.0: {URL_RULE}"),
    (
        *("LLMClient", "spec.allowedOrigins", ["http://a.com"]),
        "spec.allowedOrigins.0: must begin with https:// unless it is localhost",
    ),
    (
        "LLMClient",
        "spec.allowedOrigins",
        ["https://ä.com"],
        f"spec.allowedOrigins.0: {ORIGIN_RULE}",
    ),
    (
        *("LLMClient", "spec.allowedOrigins", ["https://a.com:99999"]),
        f"spec.allowedOrigins.0: {URL_RULE}",
    ),
    *(
        ("LLMClient", f"spec.limits.{name}", value, f"spec.limits.{name}: ")
        for name, values in {
            "sessionTurnsPerMinute": (0, 1001, "20"),
            "clientTurnsPerMinute": (0, 6001, 1.5),
            "addressTurnsPerMinute": (0, 6001, True),
            "openTurn": ("drop", 1),
            "inputCharacters": (0, 75_001),
            "toolRounds": (-1, 17),
        }.items()
        for value in values
    ),
    ("LLMClient", "spec.limits.turns", 1, "spec.limits.turns: there is no such field"),
    ("LLMClient", "spec.context.turns", 0, "spec.context.turns: "),
    ("LLMClient", "spec.context.tokens", 10_000_001, "spec.context.tokens: "),
]


@pytest.mark.parametrize(("kind", "path", "value", "problem"), BAD)
def test_a_wrong_field_is_named_with_what_is_expected(
    kind: str, path: str, value: Any, problem: str
) -> None:
    text = refusal(changed(kind, path, value))
    assert text.startswith(problem)


GOOD: list[tuple[str, str, Any, Any]] = [
    ("Account", "spec.accountNumber", "3141-5926-5359", "3141-5926-5359"),
    ("Account", "spec.companyName", "Example", "Example"),
    ("User", "spec.config.email", "jo@example.com", "jo@example.com"),
    ("User", "spec.config.firstName", "Jo", "Jo"),
    ("User", "spec.config.lastName", "None", None),
    ("ApiKey", "spec.user", "usr_1", "usr_1"),
    ("ApiKey", "spec.role", "admin", "admin"),
    ("ApiKey", "spec.active", False, False),
    ("Secret", "spec.config.expiration_date", "2027-01-31", "2027-01-31"),
    ("Secret", "spec.config.expiration_date", "2027-01-31T12:00:00+01:00", ...),
    ("Provider", "spec.provider.name", "thing", "thing"),
    *(("Provider", f"spec.provider.{name}", "https://acme.example", ...) for name in UNKEPT),
    *(("Provider", f"spec.provider.{name}", False, ...) for name in UNKEPT_FLAGS),
    ("Provider", "spec.provider.api_key", "key", "key"),
    ("Provider", "spec.provider.default_model", "m", "m"),
    ("Model", "spec.template", "{prompt}", "{prompt}"),
    ("Model", "spec.secret", "Open.AI", "Open.AI"),
    ("Model", "spec.context.tokens", 1, 1),
    ("Model", "spec.maxTokens", 800, 800),
    ("Model", "spec.default", True, True),
    ("Plugin", "spec.selector.directive", "llm", "llm"),
    ("Plugin", "spec.selector", {"directive": "search_terms", "searchTerms": ["AI"]}, ...),
    (
        "Plugin",
        "spec.selector",
        {"directive": "always", "searchTerms": []},
        {"directive": "always"},
    ),
    ("Plugin", "spec.selector", {"directive": "llm", "searchTerms": None}, {"directive": "llm"}),
    ("Plugin", "spec.prompt.temperature", 0, 0),
    ("Plugin", "spec.prompt.maxTokens", 8192, 8192),
    ("Plugin", "spec.prompt.model", "m", "m"),
    ("Plugin", "spec.prompt.provider", "openai", "openai"),
    ("Plugin", "spec.data.description", "Courses", "Courses"),
    ("Plugin", "spec.data.staticData", {"a": {"b": [None, "", {}]}}, ...),
    ("LLMClient", CONFIG + "subdomain", {"a": 1}, {"a": 1}),
    (
        "LLMClient",
        CONFIG + "customDomain",
        {"domain_name": "Example.COM"},
        {"domain_name": "example.com"},
    ),
    ("LLMClient", CONFIG + "deployed", False, False),
    ("LLMClient", CONFIG + "provider", "openai", "openai"),
    ("LLMClient", CONFIG + "defaultModel", "gpt-4o", "gpt-4o"),
    ("LLMClient", CONFIG + "defaultSystemRole", "Be kind.", "Be kind."),
    ("LLMClient", CONFIG + "defaultTemperature", 0, 0),
    ("LLMClient", CONFIG + "defaultTemperature", 1, 1),
    ("LLMClient", CONFIG + "defaultMaxTokens", 1, 1),
    ("LLMClient", CONFIG + "appName", "x" * 255, "x" * 255),
    ("LLMClient", CONFIG + "appAssistant", "Stan", "Stan"),
    ("LLMClient", CONFIG + "appWelcomeMessage", "x" * 255, "x" * 255),
    ("LLMClient", CONFIG + "appExamplePrompts", ["a", "b"], ["a", "b"]),
    ("LLMClient", CONFIG + "appExamplePrompts", [], None),
    ("LLMClient", CONFIG + "appPlaceholder", "Ask…", "Ask…"),
    ("LLMClient", CONFIG + "appInfoUrl", "https://example.com/a?b=c", "https://example.com/a?b=c"),
    ("LLMClient", CONFIG + "appInfoUrl", "", None),
    ("LLMClient", CONFIG + "appInfoUrl", "http://localhost:8080/info", ...),
    ("LLMClient", CONFIG + "appLogoUrl", "https://localhost:8080/l.png", ...),
    ("LLMClient", CONFIG + "appBackgroundImageUrl", "https://example.com/b.png", ...),
    ("LLMClient", CONFIG + "appFileAttachment", True, True),
    ("LLMClient", "spec.plugins", ["Stackademy"], ["stackademy"]),
    ("LLMClient", "spec.functions", list(FUNCTIONS), list(FUNCTIONS)),
    ("LLMClient", "spec.apiKey", "None", None),
    ("LLMClient", "spec.apiKey", "site", "site"),
    ("LLMClient", "spec.allowedOrigins", ["HTTPS://A.com:443"], ["https://a.com"]),
    ("LLMClient", "spec.allowedOrigins", ["https://a.com:8443"], ["https://a.com:8443"]),
    ("LLMClient", "spec.allowedOrigins", ["http://localhost:3000"], ["http://localhost:3000"]),
    *(
        ("LLMClient", f"spec.limits.{name}", value, value)
        for name, values in {
            "sessionTurnsPerMinute": (1, 1000),
            "clientTurnsPerMinute": (1, 6000),
            "addressTurnsPerMinute": (1, 6000),
            "openTurn": ("refuse", "queue"),
            "inputCharacters": (1, 75_000),
            "toolRounds": (0, 16),
        }.items()
        for value in values
    ),
    ("LLMClient", "spec.context.turns", 1000, 1000),
    ("LLMClient", "spec.context.tokens", 1, 1),
]


@pytest.mark.parametrize(("kind", "path", "value", "stored"), GOOD)
def test_a_right_field_is_kept(kind: str, path: str, value: Any, stored: Any) -> None:
    manifest = read(changed(kind, path, value))
    assert manifest.kind == kind
    assert manifest.at(*path.split(".")[1:]) == (value if stored is ... else stored)


@pytest.mark.parametrize("kind", ManifestKind)
def test_every_field_is_in_the_table_of_wrong_ones(kind: ManifestKind) -> None:
    rows = reference._rows(reference.DOCUMENTS[kind], "", reference.schema(kind))
    fields = {cells[0].strip("`") for cells in rows}
    tried = [path for owner, path, *_ in BAD if owner in {kind, "User"}]
    untried = {path for path in fields if not any(one.startswith(path) for one in tried)}
    assert not untried


def test_metadata_is_kept_as_given_but_the_name_in_lower_case() -> None:
    document = changed("User", "metadata.name", "Jo_Doe-2")
    document["metadata"] |= {
        "description": "None",
        "version": "1.2.3-rc.1+build.5",
        "tags": ["a", "b"],
        "annotations": [{"example.com/x": {"y": [1, "z"]}}],
    }
    manifest = read(document)
    assert (manifest.name, manifest.description) == ("jo_doe-2", "")
    assert (manifest.version, manifest.tags) == ("1.2.3-rc.1+build.5", ("a", "b"))
    assert manifest.annotations == ({"example.com/x": {"y": [1, "z"]}},)


def test_null_means_absent_but_for_the_temperature_which_it_leaves_to_the_provider() -> None:
    config = {"appName": None, "defaultModel": "", "defaultTemperature": None, "deployed": "None"}
    manifest = read(changed("LLMClient", "spec.config", config))
    assert manifest.spec == {"config": {"defaultTemperature": None}}


def test_a_secret_s_value_is_apart_and_its_mask_is_none() -> None:
    manifest = read(BASE["Secret"])
    assert (manifest.spec, manifest.secret) == ({}, "hush")
    assert "hush" not in repr(manifest)
    assert read(changed("Secret", "spec.config.value", MASK)).secret == ""
    assert read(changed("Secret", "spec.config.value", None)).secret == ""


def test_a_provider_may_be_local_where_the_deployment_says_so() -> None:
    document = changed("Provider", "spec.provider.base_url", "http://127.0.0.1:9358/v1")
    assert read(document, local_providers=True).name == "thing"


@pytest.mark.parametrize("kind", ["SqlPlugin", "ApiPlugin", "SqlConnection", "Prompt"])
def test_kinds_of_the_original_that_are_not_supported_say_so(kind: str) -> None:
    assert refusal(BASE["User"] | {"kind": kind}).startswith(f"kind: {kind} is not supported: ")


def test_a_kind_that_is_mistyped_is_guessed() -> None:
    text = refusal(BASE["User"] | {"kind": "LlmClient"})
    assert text.endswith("; did you mean LLMClient?")
    assert "did you mean" not in refusal(BASE["User"] | {"kind": "Zebra"})
    assert refusal(BASE["User"] | {"kind": 5}).startswith("kind: must be one of Account")
    assert refusal(7).startswith("must be a mapping with apiVersion")


def test_the_older_kind_is_an_llm_client() -> None:
    assert read(BASE["LLMClient"] | {"kind": "Chatbot"}).kind is ManifestKind.LLM_CLIENT


def test_every_problem_of_every_document_is_told_up_to_twenty() -> None:
    wrong = changed("LLMClient", "spec.limits", {f"a{n}": 1 for n in range(15)})
    text = refusal([BASE["User"], wrong, wrong])
    lines = text.splitlines()
    assert lines[0] == "document 2 (LLMClient thing): spec.limits.a0: there is no such field"
    assert lines[15].startswith("document 3 (LLMClient thing): ")
    assert lines[20:] == ["and 10 more"]
    assert refusal(["x", 5]).startswith("document 1: must be a mapping")


async def test_the_largest_manifest_is_an_item_of_the_table() -> None:
    document = changed("LLMClient", "spec.config.subdomain", {"x": "y" * 262_000})
    document["metadata"] |= {
        "description": "ä" * 1000,
        "tags": [f"{number:ä>100}" for number in range(50)],
        "annotations": [{"k": ["ä" * 1000] * 16}],
    }
    largest = read(document)
    document["metadata"]["annotations"] *= 2
    assert refusal(document) == "metadata.annotations: must have at most 32 KB"

    resource = Resource(
        "1111-1111-1111",
        Kind.LLM_CLIENT,
        largest.name,
        START,
        START,
        **{name: getattr(largest, name) for name in (*METADATA, "spec")},
    )
    with moto_client() as client:  # which refuses what DynamoDB does
        resources = dynamo_stores(client, new_table(client)).resources
        stored = await resources.add(replace(resource, host="h" * 250))
    assert stored.annotations == largest.annotations


def test_a_spec_has_a_bound() -> None:
    config = {"defaultSystemRole": "ä" * 32_768, "subdomain": {"x": "y" * 250_000}}
    assert refusal(changed("LLMClient", "spec.config", config)) == "spec: must have at most 256 KB"


# --- the text ------------------------------------------------------------------------------


def text_refusal(text: str) -> str:
    with pytest.raises(Invalid) as refused:
        documents(text)
    return str(refused.value)


def test_json_may_be_an_object_an_array_or_a_list_of_manifests() -> None:
    one = {"kind": "User"}
    assert documents(json.dumps(one)) == [one]
    assert documents(json.dumps([one, one])) == [one, one]
    assert documents(json.dumps({"manifests": [one]})) == [one]
    assert text_refusal('{"manifests": 5}') == "manifests: must be a list of manifests"


def test_yaml_may_have_several_documents_and_empty_ones() -> None:
    assert documents("---\na: 1\n---\n---\nb: 2\n...\n") == [{"a": 1}, {"b": 2}]
    assert documents("- a: 1\n- b: 2\n") == [{"a": 1}, {"b": 2}]
    assert documents("{a: 1, b: [c]}") == [{"a": 1, "b": ["c"]}]


@pytest.mark.parametrize("text", ["", "   \n", "---\n", "[]", '{"manifests": []}', "# nothing\n"])
def test_a_body_without_a_manifest_is_refused(text: str) -> None:
    assert text_refusal(text).startswith("there is no manifest in the body")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: [1\n", "line 3"),
        ("a: 1\n  b: 2\n", "line 2"),
        ("a:\tb\n\t- c", "line 2"),
        ("a: &x 1\nb: *x", "line 1, column 4: anchors and aliases are not supported"),
        ("a: *x", "line 1, column 4: "),
        ("&x {a: 1}", "anchors and aliases are not supported"),
        ("a: 1\nb: 2\na: 3", "line 3, column 1: the key 'a' is there twice"),
        ("a: {b: 1, b: 2}", "the key 'b' is there twice"),
        ("apiVersion: x\na: 1\napiVersion: x", "twice; several manifests need a line `---` betw"),
        ("1: a", "line 1, column 1: a key must be a text"),
        ("? [a]\n: b", "a key must be a text"),
        ("? {a: b}\n: c", "a key must be a text"),
        ("a: !!python/object/apply:os.system [ls]", "not supported"),
        ("a: !!set {b}", "not supported"),
        ("a: !!binary aGk=", "not supported"),
        ("[" * 51 + "]" * 51, "more than 50 levels deep"),
        ("a: \x07", "a character that YAML does not allow"),
    ],
)
def test_yaml_that_is_wrong_is_told_with_its_line(text: str, problem: str) -> None:
    assert problem in text_refusal(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"a": 1, "a": 2}', "the key 'a' is there twice in one object"),
        ('{"a": NaN}', "NaN is not a number that can be stored"),
        ("[" * 60 + "]" * 60, "more than 50 levels deep"),
        ("[" * 100_000, "levels deep"),
        ('{"a": 1', "not valid YAML: line "),
        ('{"a": "\\ud800"}', "not valid YAML"),
    ],
)
def test_json_that_is_wrong_is_told(text: str, problem: str) -> None:
    assert problem in text_refusal(text)


def test_bounds_of_the_text() -> None:
    with pytest.raises(TooLarge):
        documents("a: " + "x" * 1024 * 1024)
    assert text_refusal(json.dumps([{}] * 101)) == "at most 100 manifests can be applied at once"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("", None), ("~", None), ("null", None), ("true", True), ("False", False)),
        *(("no", "no"), ("on", "on"), ("Yes", "Yes"), ("12", 12), ("-3", -3), ("012", 12)),
        *(("1.5", 1.5), ("1e3", 1000.0), (".5", 0.5), ("1.", 1.0), ("1:30", "1:30")),
        *(("2027-01-31", "2027-01-31"), ("0x1f", "0x1f"), ("1_000", "1_000"), (".inf", ".inf")),
        *((".nan", ".nan"), ("1e999", "1e999"), ("'12'", "12"), ('"true"', "true"), ("''", "")),
        *(("!!str 12", "12"), ("<<", "<<"), ("=", "=")),
    ],
)
def test_words_are_read_as_json_would_mean_them(text: str, value: Any) -> None:
    (read_,) = from_yaml(f"a: {text}\n")
    assert read_ == {"a": value}
    assert type(read_["a"]) is type(value)


def test_both_parsers_of_yaml_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    text = EXAMPLES[ManifestKind.LLM_CLIENT] + "---\n" + EXAMPLES[ManifestKind.PLUGIN]
    fast = from_yaml(text)
    monkeypatch.setattr("parley.wire.manifests.reading.LOADER", yaml.SafeLoader)
    assert from_yaml(text) == fast
    with pytest.raises(Invalid, match="line 2"):
        from_yaml("a: 1\nb: *x")


# --- examples, schemas, what is shown ------------------------------------------------------


@pytest.mark.parametrize("kind", ManifestKind)
def test_the_example_of_a_kind_is_a_manifest_of_it(kind: ManifestKind) -> None:
    text, document = example(kind)
    assert [manifest.kind for manifest in parsed(text, local_providers=False)] == [kind]
    jsonschema.Draft202012Validator(reference.schema(kind)).validate(document)


@pytest.mark.parametrize("kind", ManifestKind)
def test_a_schema_is_one_and_refuses_unknown_fields(kind: ManifestKind) -> None:
    schema = reference.schema(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**example(kind)[1], "extra": 1}, schema)


@pytest.mark.parametrize("name", EXAMPLE_FILES)
def test_the_example_files_are_deployed_and_name_no_model(name: str) -> None:
    manifests = parsed(Path(f"examples/{name}.yaml").read_text(), local_providers=False)
    client = manifests[-1]
    assert (client.kind, client.name) == (ManifestKind.LLM_CLIENT, name)
    assert client.at("config", "deployed") is True
    assert client.at("config", "provider") is client.at("config", "defaultModel") is None


def test_what_is_shown_can_be_applied_again() -> None:
    for kind in ManifestKind:
        manifest = parsed(example(kind)[0], local_providers=False)[0]
        shown = whole(manifest, {"url": "https://example.com"})
        again = read(shown)
        if kind is ManifestKind.SECRET:
            assert shown["spec"]["config"]["value"] == MASK
            assert again.secret == ""
        assert (again.name, again.spec) == (manifest.name, manifest.spec)
        assert (again.tags, again.annotations) == (manifest.tags, manifest.annotations)
        assert set(row(manifest)) == {name for name, _, _ in COLUMNS[kind]}


def test_the_functions_and_providers_are_those_that_there_are() -> None:
    schema = json.dumps(reference.schema(ManifestKind.LLM_CLIENT))
    assert all(f'"{name}"' in schema for name in FUNCTIONS)
    assert {entry.name for entry in BUILT_IN_PROVIDERS} == {"openai", "googleai", "metaai"}
    assert "api" in llm_client.RESERVED


def test_an_llm_client_needs_no_config_and_its_spec_may_be_empty() -> None:
    (made,) = parsed(json.dumps(BASE["LLMClient"] | {"spec": {}}), local_providers=False)
    assert made.spec == {}


def test_the_page_is_generated_from_the_models() -> None:
    command = "python -m parley.wire.manifests.reference > docs/manifests.md"
    assert Path("docs/manifests.md").read_text() == reference.page(), f"run: {command}"
