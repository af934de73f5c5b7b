"""`meta_data` of the config object: every key of contract 3.2 that is a flag or public."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.world import ACCOUNT
from tests.wire.chat_client import DOMAIN, HOST, SANDBOX, ChatClient

# Those of the caller, of keys, and of how the original is made.
KEPT_BACK = {
    "api_token",
    "auth_header",
    "cache_key",
    "data",
    "ip_address",
    "params",
    "parsed_url",
    "qualified_request",
    "request",
    "uid",
    "unique_client_string",
    "user",
    "user_agent",
}
CUSTOM = "courses.school.example"
HASHED = "/api/v1/llm-clients/rMTAwMDAwMQx/chat/"
ALWAYS = {
    **dict.fromkeys(("is_valid", "is_ready", "ready", "am_ready", "srm_ready"), True),
    **dict.fromkeys(("is_helper_ready", "is_chatbot", "is_config", "is_deployed"), True),
    "is_dashboard": False,
    "account": {"accountNumber": ACCOUNT},
    "user_profile": {"account": {"accountNumber": ACCOUNT}},
    "name": "stackademy",
    "chatbot_id": 1,
    "chatbot_name": "stackademy",
    "chatbot_custom_domain": None,
    "rfc1034_compliant_name": "stackademy",
    "environment_api_domain": DOMAIN,
    "root_domain": "example.com",
}
FLAGS = (
    "is_authentication_required",
    "is_chatbot_cli_api_url",
    "is_chatbot_named_url",
    "is_chatbot_sandbox_url",
    "is_chatbot_smarter_api_url",
    "is_custom_domain",
    "is_default_domain",
    "is_environment_root_domain",
    "is_smarter_api",
    "is_workbench",
)
AT_ITS_HOST = {"is_chatbot_named_url", "is_default_domain"}
IN_SANDBOX = {"is_authentication_required", "is_chatbot_sandbox_url", "is_environment_root_domain"}
OF_THE_API = {*IN_SANDBOX, "is_smarter_api"}
FAMILIES = [
    (HOST, "/", "", AT_ITS_HOST),
    (HOST, "/chat/config/", "", AT_ITS_HOST),
    (CUSTOM, "/config/", "", {"is_custom_domain"}),
    (DOMAIN, f"{SANDBOX}/config/", "user-key", {*OF_THE_API, "is_chatbot_smarter_api_url"}),
    (DOMAIN, "/workbench/llm-clients/1/config/", "user-key", {*IN_SANDBOX, "is_workbench"}),
    (
        DOMAIN,
        "/api/v1/cli/config/stackademy/?uid=1",
        "user-key",
        {*OF_THE_API, "is_chatbot_cli_api_url"},
    ),
]


@pytest.fixture
def client() -> Iterator[ChatClient]:
    made = ChatClient()
    made.changed(host=CUSTOM)
    yield made
    made.close()


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: "".join(family[:2]))
def test_the_meta_data_of_each_family_of_addresses(
    client: ChatClient, family: tuple[str, str, str, set[str]]
) -> None:
    host, path, key, true = family
    data = client.at("POST", path, {}, host=host, key=key).json["data"]
    told: dict[str, Any] = data["meta_data"]
    assert not KEPT_BACK & told.keys()
    assert {name: told.pop(name) for name in ALWAYS} == ALWAYS
    assert {name for name in FLAGS if told.pop(name)} == true
    plain = path.partition("?")[0].rstrip("/")
    subdomain = "stackademy" if host == HOST else None
    assert told.pop("timestamp").endswith("Z")
    assert told == {
        **dict.fromkeys(("hostname", "domain", "api_host"), host),
        **dict.fromkeys(("subdomain", "api_subdomain"), subdomain),
        "path": plain or "/",
        "url_path_parts": plain.split("/")[1:] if plain else [],
        "url": f"https://{host}{HASHED if host == DOMAIN else '/chat/'}",
        "session_key": data["session_key"],
        "chatbot": data["chatbot"],
    }


@pytest.mark.parametrize(
    ("domain", "environment", "told"),
    [
        ("", "", (None, None)),
        ("api.example.com", "alpha", ("alpha.api.example.com", "example.com")),
        ("api.example.com", "prod", ("api.example.com", "example.com")),
        ("api.localhost:9357", "local", ("local.api.localhost:9357", "localhost:9357")),
    ],
)
def test_the_domain_is_the_api_s(
    domain: str, environment: str, told: tuple[str | None, str | None]
) -> None:
    client = ChatClient(domain=domain, environment=environment)
    data = client.at("POST", "/config/", {}).json["data"]["meta_data"]
    assert (data["environment_api_domain"], data["root_domain"]) == told
    client.close()
