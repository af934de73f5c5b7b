"""Manifests over HTTP: the command line's calls, and the resources of llm_clients."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from parley.core.manifest import MASK, ManifestKind
from parley.core.model import Catalogue

from tests.wire.http_client import ACCOUNT, Client, Reply

CLI = "/api/v1/cli"
CLIENTS = "/api/v1/llm-clients"
FILES = ("stackademy", "weather", "plain")
EXAMPLES = {name: Path(f"examples/{name}.yaml").read_text() for name in FILES}
DOMAIN = "api.localhost:9357"


@pytest.fixture
def client() -> Iterator[Client]:
    """A caller of a fresh account, of an API that has a domain."""
    made = Client(chats={"domain": DOMAIN})
    made.world.resources.stored.clear()
    made.world.resources.last.clear()
    yield made
    made.close()


def cli(client: Client, call: str, body: Any = None, key: str = "admin-key") -> Reply:
    return client.call("POST", f"{CLI}/{call}", body, key=key)


def apply(client: Client, body: Any, query: str = "", key: str = "admin-key") -> Any:
    reply = cli(client, f"apply/{query}", body, key)
    assert reply.status == 200, reply.text
    return reply.json


def outcomes(answer: Any) -> list[tuple[str, str, str]]:
    return [(one["kind"], one["name"], one["outcome"]) for one in answer["data"]["reports"]]


def manifest(kind: str, name: str, spec: Any = None, **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "description": None, **more}
    found = {"apiVersion": "smarter.sh/v1", "kind": kind, "metadata": metadata}
    return found if spec is None else {**found, "spec": spec}


PLAIN = manifest("LLMClient", "plain", {"config": {"deployed": True}})


# --- apply ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_the_examples_apply_cleanly_to_a_fresh_account(client: Client, name: str) -> None:
    client.world.accounts.catalogues[ACCOUNT] = Catalogue()
    answer = apply(client, EXAMPLES[name])
    assert {outcome for _, _, outcome in outcomes(answer)} == {"created"}
    again = apply(client, EXAMPLES[name])
    assert {outcome for _, _, outcome in outcomes(again)} == {"unchanged"}
    config = client.call("GET", f"{CLIENTS}/1/config/", key="user-key").json["data"]
    assert (config["chatbot"]["name"], config["chatbot"]["deployed"]) == (name, True)


def test_apply_answers_in_the_envelope(client: Client) -> None:
    answer = apply(client, EXAMPLES["stackademy"])
    assert answer == {
        "data": {
            "reports": [
                {"kind": "Plugin", "name": "stackademy-courses", "outcome": "created"},
                {
                    "kind": "LLMClient",
                    "name": "stackademy",
                    "outcome": "created",
                    "deployed": True,
                    "url": f"http://stackademy.{ACCOUNT}.{DOMAIN}/",
                },
            ],
            "dryRun": False,
        },
        "message": "2 created",
        "api": "smarter.sh/v1",
        "thing": "Manifest",
        "metadata": {"command": "apply", "thing": "Manifest"},
    }
    changed = EXAMPLES["stackademy"].replace("Stan\n", "Stella\n", 1)
    answer = apply(client, changed)
    assert answer["message"] == "1 changed, 1 unchanged"
    assert answer["data"]["reports"][1]["changed"] == ["spec.config.appAssistant"]
    assert apply(client, PLAIN)["thing"] == "LLMClient"


@pytest.mark.parametrize(
    "body",
    [
        PLAIN,
        json.dumps([PLAIN]),
        {"manifests": [PLAIN]},
        EXAMPLES["plain"],
        EXAMPLES["plain"].encode(),
    ],
    ids=["object", "array", "manifests", "yaml", "base64"],
)
def test_a_body_may_come_in_many_forms(client: Client, body: Any) -> None:
    assert outcomes(apply(client, body)) == [("LLMClient", "plain", "created")]


def test_a_body_may_be_compressed(client: Client) -> None:
    reply = client.call(
        "POST",
        f"{CLI}/apply",
        gzip.compress(EXAMPLES["plain"].encode()),
        key="admin-key",
        headers={"content-encoding": "gzip", "content-type": "application/yaml"},
    )
    assert reply.status == 200, reply.text


@pytest.mark.parametrize("query", ["?dry_run=true", "?dryRun=true", "?dry-run=1"])
def test_a_dry_run_writes_nothing(client: Client, query: str) -> None:
    answer = apply(client, EXAMPLES["stackademy"], query)
    assert (answer["message"], answer["data"]["dryRun"]) == (
        "2 created; nothing was written",
        True,
    )
    assert client.world.resources.stored == {}


@pytest.mark.parametrize(
    "query", ["?dryrun=true", "?dry_runs=true", "?dryRun", "?name=x&dry_run=1"]
)
def test_a_misspelt_dry_run_is_refused_and_writes_nothing(client: Client, query: str) -> None:
    reply = cli(client, f"apply/{query}", EXAMPLES["stackademy"])
    assert (reply.status, "dry" in reply.json["error"]) == (400, True)
    assert client.world.resources.stored == {}


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (None, 400, "there is no manifest in the body"),
        ("a: [", 400, "not valid YAML: line "),
        (manifest("Zebra", "x"), 400, "kind: must be one of Account"),
        (manifest("User", "a b"), 400, "metadata.name: must be at most 50"),
        ([PLAIN, manifest("Plugin", "y")], 400, "document 2 (Plugin y): spec: must be given"),
        (
            [PLAIN, manifest("LLMClient", "y", {"config": {}, "plugins": ["z"]})],
            400,
            "document 2 (LLMClient y): spec.plugins.0: there is no Plugin z",
        ),
        ("x" * 1024 * 1024 + "yy", 413, "the body is larger than 1024 KB"),
        (b"kind: \xff", 400, "the body is not valid UTF-8"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_written(
    client: Client, body: Any, status: int, error: str
) -> None:
    sent = json.dumps(body) if isinstance(body, list) else body
    reply = cli(client, "apply", sent)
    assert (reply.status, reply.json["error"][: len(error)]) == (status, error)
    assert client.world.resources.stored == {}


def test_every_problem_is_listed_for_programs(client: Client) -> None:
    described = [manifest("LLMClient", f"c{n}", {"plugins": [f"p{n}"]}) for n in range(25)]
    reply = cli(client, "apply?dry_run=1", described)
    assert reply.status == 400
    lines = reply.json["error"].splitlines()
    assert (len(lines), lines[-1]) == (21, "and 5 more")
    assert reply.json["errors"][:20] == lines[:20]
    assert len(reply.json["errors"]) == 25
    one = cli(client, "apply", manifest("LLMClient", "c", {"x": 1})).json
    told = {"error": one["error"], "code": "wrong_manifests"}
    assert one == told | {"errors": [one["error"]]}
    many = {"config": {f"x{n}": 1 for n in range(1100)}}
    listed = cli(client, "apply", manifest("LLMClient", "c", many)).json["errors"]
    assert (len(listed), listed[1000:]) == (1001, ["and 100 more"])
    assert "errors" not in cli(client, "apply", "a: [").json


def test_an_api_key_is_shown_in_the_answer_that_makes_it(client: Client) -> None:
    apply(client, PLAIN)
    spec = {"role": "client", "llmClient": "plain"}
    secret = apply(client, manifest("ApiKey", "page", spec))["data"]["reports"][0]["secret"]
    assert "secret" not in apply(client, manifest("ApiKey", "page", spec))["data"]["reports"][0]
    described = cli(client, "describe/apikey/?name=page").json["data"]
    assert (
        described["spec"] | {"role": "client", "llmClient": "plain", "active": True}
        == (described["spec"])
    )
    assert secret not in json.dumps(described)
    assert client.call("GET", f"{CLIENTS}/1/config/", key=secret).status == 200
    assert cli(client, "whoami", key=secret).status == 403
    assert cli(client, "delete/apikeys/?name=page").status == 200
    client.world.clock.skip(60)
    assert client.call("GET", f"{CLIENTS}/1/config/", key=secret).status == 401


def test_a_secret_never_comes_back_out(client: Client) -> None:
    value = "sk-very-secret"
    document = manifest("Secret", "openai", {"config": {"value": value}})
    replies = [
        cli(client, "apply", document),
        cli(client, "apply", document),
        cli(client, "apply?dry_run=1", document),
        cli(client, "get/secrets"),
        cli(client, "describe/secret/?name=openai"),
        cli(client, "apply", manifest("Secret", "openai", {"config": {"value": value, "x": 1}})),
        cli(client, "apply", manifest("Secret", "openai", {"config": {"value": [value]}})),
        cli(client, "delete/secret/?name=openai"),
    ]
    assert not [reply.text for reply in replies if value in reply.text]
    assert replies[1].json["data"]["reports"][0]["changed"] == ["spec.config.value"]
    assert replies[4].json["data"]["spec"]["config"]["value"] == MASK


# --- get, describe -------------------------------------------------------------------------


def test_get_lists_in_the_contract_s_form(client: Client) -> None:
    apply(client, EXAMPLES["stackademy"] + "---\n" + EXAMPLES["weather"])
    answer = cli(client, "get/chatbots/?limit=1").json
    assert (answer["api"], answer["thing"]) == ("smarter.sh/v1", "LLMClient")
    assert answer["metadata"] == {"command": "get", "thing": "LLMClient"}
    listed = answer["data"]
    assert (listed["apiVersion"], listed["kind"]) == ("smarter.sh/v1", "LLMClient")
    assert listed["kwargs"] == {"limit": 1}
    assert listed["metadata"]["count"] == 1
    assert {"name": "deployed", "type": "boolean"} in listed["data"]["titles"]
    (item,) = listed["data"]["items"]
    assert list(item) == [title["name"] for title in listed["data"]["titles"]]
    assert (item["id"], item["name"], item["deployed"]) == (1, "stackademy", True)
    after = listed["metadata"]["after"]
    rest = cli(client, f"get/llm-clients?after={after}").json["data"]
    assert [one["name"] for one in rest["data"]["items"]] == ["weather"]
    assert rest["metadata"]["after"] == ""
    one = cli(client, "get/LLMClient/?name=Weather").json["data"]
    assert [one["name"] for one in one["data"]["items"]] == ["weather"]


@pytest.mark.parametrize("kind", ManifestKind)
def test_every_kind_can_be_listed_and_described(client: Client, kind: ManifestKind) -> None:
    example = cli(client, f"example-manifest/{kind}").json["data"]
    if kind is ManifestKind.API_KEY:
        apply(client, manifest("LLMClient", "example", {"config": {}}))
    assert outcomes(apply(client, example["yaml"]))[0][2] == "created"
    name = example["manifest"]["metadata"]["name"]
    listed = cli(client, f"get/{kind.lower()}s").json["data"]
    assert name in [item["name"] for item in listed["data"]["items"]]
    described = cli(client, f"describe/{kind}?name={name}").json["data"]
    assert outcomes(apply(client, described)) == [(kind.value, name, "unchanged")]
    if kind is not ManifestKind.ACCOUNT:
        deleted = cli(client, f"delete/{kind}?name={name}")
        assert deleted.json["message"] == f"{kind} {name} was deleted"


def test_describe_tells_where_an_llm_client_is(client: Client) -> None:
    apply(client, EXAMPLES["plain"])
    host = f"plain.{ACCOUNT}.{DOMAIN}"
    status = cli(client, "describe/llmclient/?name=plain").json["data"]["status"]
    hashed = "rMTAwMDAwMQx"
    origin = "https://api.example.com"
    assert status == status | {
        "id": 1,
        "hashedId": hashed,
        "recordLocator": f"llmclient-{hashed}",
        "accountNumber": ACCOUNT,
        "username": "usr_admin",
        "deployed": True,
        "defaultHost": host,
        "defaultUrl": f"http://{host}/",
        "customUrl": None,
        "sandboxHost": "api.example.com",
        "sandboxUrl": f"{origin}{CLIENTS}/{hashed}/",
        "hostname": host,
        "url": f"http://{host}/",
        "urlLLMClient": f"{origin}{CLIENTS}/1/chat/",
        "urlChatapp": f"http://{host}/",
        "urlChatConfig": f"{origin}{CLIENTS}/1/chat/config/",
        "dnsVerificationStatus": "Verified",
    }
    assert status["created"] == status["modified"]
    undeployed = cli(client, "undeploy/llmclient/?name=plain").json
    assert undeployed["message"] == "LLMClient plain is not deployed"
    status = undeployed["data"]["status"]
    assert (status["deployed"], status["hostname"]) == (False, "api.example.com")
    assert status["dnsVerificationStatus"] == "Not Verified"
    config = client.call("GET", f"{CLIENTS}/1/config/", key="user-key").json["data"]["chatbot"]
    assert config["dns_verification_status"] == status["dnsVerificationStatus"]
    assert status["urlChatapp"] == f"{origin}/workbench/llm-clients/{hashed}/prompt/"


def test_deploying_opens_and_closes_the_host(client: Client) -> None:
    apply(client, manifest("LLMClient", "plain", {"config": {}}))
    host = {"host": f"plain.{ACCOUNT}.{DOMAIN}"}

    def at_host() -> int:
        return client.call("GET", "/config/", key="", headers=host).status

    assert at_host() == 404
    assert cli(client, "deploy/llmclient/?name=plain").json["data"]["outcome"] == "changed"
    again = cli(client, "deploy/llmclient/?name=plain").json
    assert again["message"] == "LLMClient plain was already deployed"
    assert at_host() == 200
    assert cli(client, "undeploy/chatbot/?name=plain").status == 200
    assert at_host() == 404


@pytest.mark.parametrize(
    ("call", "status", "error"),
    [
        ("get/zebras", 404, "no such kind; the kinds are Account, User, ApiKey, LLMClient, "),
        ("describe/llmclient", 400, "name: must be given"),
        ("describe/apikey", 400, "name: must be given"),
        ("delete/plugin", 400, "name: must be given"),
        ("deploy/llmclient", 400, "name: must be given"),
        ("describe/llmclient/?name=none", 404, "there is no LLMClient none"),
        ("delete/llmclient/?name=none", 404, "there is no LLMClient none"),
        ("deploy/plugin/?name=x", 400, "only an LLMClient can be deployed"),
        ("undeploy/secret/?name=x", 400, "only an LLMClient can be deployed"),
        ("delete/account", 400, "an account cannot be deleted"),
        ("get/llmclient?limit=101", 400, "limit: "),
        ("get/llmclient?after=x", 400, "the cursor is not one of this list"),
        ("get/models?after=x", 400, "the cursor is not one of this list"),
        ("logs/chatbots/", 501, "the logs of LLMClient manifests are not served by this API"),
        ("logs/nothing/", 404, "no such kind"),
    ],
)
def test_what_cannot_be_is_refused(client: Client, call: str, status: int, error: str) -> None:
    reply = cli(client, call)
    assert (reply.status, reply.json["error"][: len(error)]) == (status, error)


def test_what_is_used_cannot_be_deleted(client: Client) -> None:
    apply(client, EXAMPLES["stackademy"])
    reply = cli(client, "delete/plugin/?name=stackademy-courses")
    assert (reply.status, reply.json["error"]) == (
        409,
        "Plugin stackademy-courses is used by LLMClient stackademy",
    )


@pytest.mark.parametrize(
    "call",
    [
        *("apply", "get/llmclient", "describe/llmclient/?name=plain"),
        *("delete/llmclient/?name=plain", "deploy/llmclient/?name=plain"),
        *("undeploy/llmclient/?name=plain",),
    ],
)
def test_manifests_are_for_admins_of_the_account(client: Client, call: str) -> None:
    apply(client, PLAIN)
    assert cli(client, call, PLAIN, key="user-key").status == 403
    assert cli(client, call, PLAIN, key="").status == 401
    if not call.startswith(("apply", "get")):
        assert cli(client, call, key="stranger-key").status == 404
    assert cli(client, "get/llmclient", key="stranger-key").json["data"]["metadata"]["count"] == 0


def test_schemas_examples_and_who_one_is_need_any_key(client: Client) -> None:
    schema = cli(client, "json-schema/llmclient", key="user-key").json
    assert (schema["thing"], schema["metadata"]["command"]) == ("LLMClient", "json-schema")
    assert schema["data"]["properties"]["kind"]["enum"] == ["LLMClient", "Chatbot"]
    who = cli(client, "whoami", key="user-key").json["data"]
    assert who == {"account": {"accountNumber": ACCOUNT}, "user": {"id": "usr_1"}, "role": "user"}
    assert cli(client, "version", key="user-key").json["data"]["apiVersion"] == "smarter.sh/v1"
    status = cli(client, "status", key="user-key").json["data"]
    assert (status["account"], status["models"]) == (ACCOUNT, 1)


# --- the resources of llm_clients ----------------------------------------------------------


def resource(client: Client, path: str, key: str = "user-key") -> Any:
    reply = client.call("GET", f"{CLIENTS}{path}", key=key)
    return reply.json["data"] if reply.status == 200 else reply.status


def test_llm_clients_are_listed_without_their_system_message(client: Client) -> None:
    apply(client, EXAMPLES["stackademy"] + "---\n" + EXAMPLES["plain"])
    listed = resource(client, "/?limit=1")
    (one,) = listed["llm_clients"]
    assert one == one | {
        "id": 2,
        "name": "plain",
        "account": ACCOUNT,
        "app_name": "Plain",
        "deployed": True,
        "url": f"http://plain.{ACCOUNT}.{DOMAIN}/",
        "url_chatbot": f"https://api.example.com{CLIENTS}/2/chat/",
    }
    (rest,) = resource(client, f"/?after={listed['after']}")["llm_clients"]
    assert (rest["name"], rest["hashed_id"]) == ("stackademy", "rMTAwMDAwMQx")
    text = json.dumps([listed, resource(client, "/1/")])
    assert "course adviser of Stackademy" not in text
    assert resource(client, "", key="stranger-key") == {"llm_clients": [], "after": ""}


@pytest.mark.parametrize("id_", ["1", "rMTAwMDAwMQx", "stackademy"])
def test_an_llm_client_is_found_by_each_of_its_ids(client: Client, id_: str) -> None:
    apply(client, EXAMPLES["stackademy"])
    found = resource(client, f"/{id_}/")["llm_client"]
    assert (found["name"], found["status"]["deployed"]) == ("stackademy", True)
    (plugin,) = resource(client, f"/{id_}/plugins/")["plugins"]
    assert plugin == plugin | {
        "id": 1,
        "name": "stackademy-courses",
        "plugin_class": "static",
        "directive": "always",
        "function": "smarter_plugin_0000000001",
    }
    functions = resource(client, f"/{id_}/functions")["functions"]
    assert [one["name"] for one in functions] == ["calculator", "date_calculator"]
    assert functions[0]["parameters"]["required"] == ["expression"]
    assert resource(client, f"/{id_}/customdomains")["customdomains"] == []
    for one in ("1", plugin["name"].upper()):
        assert resource(client, f"/{id_}/plugins/{one}/") == {"plugin": plugin}
    for one in functions:
        for item in (one["name"], str(one["id"])):
            assert resource(client, f"/{id_}/functions/{item}") == {"function": one}
    assert len({one["id"] for one in functions}) == 2
    for absent in ("plugins/2/", "functions/get_current_weather", "customdomains/1"):
        assert resource(client, f"/{id_}/{absent}") == 404


def test_keys_and_domains_of_an_llm_client(client: Client) -> None:
    domain = {"customDomain": {"domain_name": "example.com"}}
    apply(client, manifest("ApiKey", "door"))
    apply(client, manifest("LLMClient", "my_shop", {"config": domain, "apiKey": "door"}))
    apply(client, manifest("ApiKey", "page", {"role": "client", "llmClient": "my_shop"}))
    apply(client, manifest("ApiKey", "other", {"role": "admin"}))
    (found,) = resource(client, "/1/customdomains")["customdomains"]
    assert found == {"id": 1, "domain_name": "example.com", "host": None, "is_verified": False}
    for one in ("1", "example.com"):
        assert resource(client, f"/1/customdomains/{one}") == {"customdomain": found}
    keys = resource(client, "/1/apikeys/", key="admin-key")
    assert keys["is_authentication_required"] is True
    assert {key["name"]: key["attached"] for key in keys["apikeys"]} == {
        "door": True,
        "page": False,
    }
    assert resource(client, "/1/apikeys/") == 403
    for key in keys["apikeys"]:
        for one in (key["id"], key["name"]):
            assert resource(client, f"/1/apikeys/{one}/", key="admin-key") == {"apikey": key}
            assert resource(client, f"/1/apikeys/{one}/") == 403
    assert resource(client, "/1/apikeys/other/", key="admin-key") == 404


def test_a_page_s_token_chats_with_its_client_alone_for_an_hour(client: Client) -> None:
    apply(client, EXAMPLES["plain"] + "---\n" + EXAMPLES["weather"])
    reply = client.call("POST", f"{CLIENTS}/1/token/", key="user-key")
    token = reply.json["token"]
    assert reply.json["expires_at"] == client.world.clock.now() // 1000 * 1000 + 3_600_000
    assert client.call("GET", f"{CLIENTS}/1/config/", key=token).status == 200
    assert client.call("GET", f"{CLIENTS}/2/config/", key=token).status == 403
    assert resource(client, "/", key=token) == 403
    assert client.call("POST", f"{CLIENTS}/1/token/", key=token).status == 403
    assert token not in client.call("GET", "/keys", key="admin-key").text
    client.world.clock.skip(3601)
    assert client.call("GET", f"{CLIENTS}/1/config/", key=token).status == 401


@pytest.mark.parametrize(
    "path", ["/1/", "/1/plugins/", "/1/apikeys/", "/1/customdomains", "/1/functions", "/none/"]
)
def test_another_account_s_llm_client_is_not_there(client: Client, path: str) -> None:
    apply(client, PLAIN)
    assert resource(client, path, key="stranger-key") == 404
    assert resource(client, path, key="") == 401
    assert client.call("POST", f"{CLIENTS}/1/token/", key="stranger-key").status == 404


def test_no_yaml_is_loaded_until_a_manifest_comes() -> None:
    code = "import sys, parley.wire.http; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "parley.wire.cli_api" in loaded
    assert not {"yaml", "parley.wire.manifests.kinds", "parley.wire.manifests.reading"} & loaded
