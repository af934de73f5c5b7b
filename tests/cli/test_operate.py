"""`parley bootstrap` and `parley doctor`, on moto; CloudFormation is a small server."""

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from aiohttp import web
from moto import mock_aws
from parley.adapters.dynamodb_accounts import DynamoCatalogues, DynamoKeys
from parley.adapters.dynamodb_table import Table, dynamodb_calls
from parley.adapters.system import SystemClock
from parley.core.access import KeyRole
from parley.usecases.keys import Authenticate
from parley_cli.main import app
from typer.testing import CliRunner, Result

from tests.cli.served import Served
from tests.cli.server import FakeApi

TABLE, ACCOUNT = "parley-Table-X", "3141-5926-5359"
NOT_THERE = (
    "<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code>"
    "<Message>Stack with id other does not exist</Message></Error></ErrorResponse>"
)


class CloudFormation:
    """One stack, named parley, in the words of CloudFormation's query protocol."""

    def __init__(self) -> None:
        self.outputs: dict[str, str] = {}
        self.alarms: list[str] = []
        self.status = "UPDATE_COMPLETE"

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/", self.answer)
        return app

    async def answer(self, request: web.Request) -> web.Response:
        form = await request.post()
        if form["StackName"] != "parley":
            return web.Response(text=NOT_THERE, status=400, content_type="text/xml")
        name = str(form["Action"])
        inner = self.stack() if name == "DescribeStacks" else self.resources()
        text = f"<{name}Response><{name}Result>{inner}</{name}Result></{name}Response>"
        return web.Response(text=text, content_type="text/xml")

    def stack(self) -> str:
        outputs = "".join(
            f"<member><OutputKey>{k}</OutputKey><OutputValue>{v}</OutputValue></member>"
            for k, v in self.outputs.items()
        )
        facts = "<StackName>parley</StackName><CreationTime>2026-11-22T07:00:00Z</CreationTime>"
        facts += f"<StackStatus>{self.status}</StackStatus><Outputs>{outputs}</Outputs>"
        return f"<Stacks><member>{facts}</member></Stacks>"

    def resources(self) -> str:
        alarms = "".join(
            f"<member><PhysicalResourceId>{name}</PhysicalResourceId>"
            "<ResourceType>AWS::CloudWatch::Alarm</ResourceType></member>"
            for name in self.alarms
        )
        return f"<StackResourceSummaries>{alarms}</StackResourceSummaries>"


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch, api: FakeApi) -> Iterator[CloudFormation]:
    """A deployed stack: its table, its queues, and what CloudFormation says of it."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    found = CloudFormation()
    with Served(found.app) as served, mock_aws():
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", f"http://127.0.0.1:{served.port}")
        keys = [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")]
        schema = [
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ]
        boto3.client("dynamodb").create_table(
            TableName=TABLE,
            AttributeDefinitions=keys,
            KeySchema=schema,
            BillingMode="PAY_PER_REQUEST",
        )
        found.outputs = {"ApiUrl": api.url, "SocketUrl": "wss://s/live", "TableName": TABLE}
        found.outputs["SecretsPrefix"] = "/secrets"
        for name in ("Queue", "SoloQueue", "Dlq"):
            url = boto3.client("sqs").create_queue(QueueName=name)["QueueUrl"]
            found.outputs[f"{name}Url"] = url
        yield found


@pytest.fixture
def store() -> Callable[[], Any]:
    calls = dynamodb_calls(threads=2)
    return lambda: Table(TABLE, calls, SystemClock())


def parley(*words: str, **options: Any) -> Result:
    return CliRunner().invoke(app, list(words), **options)


def bootstrap(*words: str, **options: Any) -> dict[str, Any]:
    result = parley("bootstrap", "--stack", "parley", "--json", *words, **options)
    assert result.exit_code == 0, (result.stderr, result.exception)
    return json.loads(result.stdout)


def who(store: Callable[[], Any], key: str) -> Any:
    return asyncio.run(Authenticate(DynamoKeys(store()))(key))


def test_it_writes_the_account_and_shows_a_key_that_opens_the_api(stack, store, api):
    made = bootstrap("--user-key")
    assert set(made) == {"api", "websocket", "account", "admin_key", "user_key"}
    assert (made["api"], made["websocket"]) == (api.url, "wss://s/live")
    admin, user = who(store, made["admin_key"]), who(store, made["user_key"])
    assert (admin.account, admin.role, admin.user_id) == (ACCOUNT, KeyRole.ADMIN, "admin")
    assert (user.account, user.role, user.user_id) == (ACCOUNT, KeyRole.USER, "user")


def test_without_user_key_there_is_none(stack):
    assert "user_key" not in bootstrap()


def test_an_account_that_exists_is_refused_unless_a_key_is_to_be_added(stack, store):
    first = bootstrap()
    result = parley("bootstrap", "--stack", "parley")
    assert result.exit_code == 1
    assert "--add-key" in result.stderr
    assert result.stdout == ""
    second = bootstrap("--add-key", "--user", "ada")
    assert who(store, first["admin_key"]).user_id == "admin"
    assert who(store, second["admin_key"]).user_id == "ada"
    assert bootstrap("--account", "2718-2818-2845")["account"] == "2718-2818-2845"


def test_for_people_each_key_stands_alone_on_stdout_and_the_warning_on_stderr(stack):
    result = parley("bootstrap", "--stack", "parley")
    assert result.exit_code == 0, result.stderr
    key = next(line.split()[-1] for line in result.stdout.splitlines() if "admin key" in line)
    assert len(key) == 64
    assert "not shown again" in result.stderr
    assert key not in result.stderr


def test_a_first_model_goes_into_the_catalogue_and_its_key_into_the_parameter_store(stack, store):
    options = ["--model-base-url", "https://llm.example.com/v1", "--model-name", "gpt"]
    bootstrap(*options, "--model-key", "-", input="sk-secret\n")
    models = asyncio.run(DynamoCatalogues(store()).catalogue(ACCOUNT)).models
    assert [(m.id, m.base_url, m.provider_model, m.secret, m.default) for m in models] == [
        ("default", "https://llm.example.com/v1", "gpt", "default", True)
    ]
    parameter = boto3.client("ssm").get_parameter(
        Name=f"/secrets/{ACCOUNT}/default", WithDecryption=True
    )["Parameter"]
    assert (parameter["Type"], parameter["Value"]) == ("SecureString", "sk-secret")


def test_another_model_keeps_those_that_are_there(stack, store):
    bootstrap("--model-base-url", "http://127.0.0.1:1/v1", "--model-name", "a")
    options = ["--model-base-url", "https://x.example.com", "--model-name", "b"]
    bootstrap("--add-key", *options, "--model-id", "b")
    models = asyncio.run(DynamoCatalogues(store()).catalogue(ACCOUNT)).models
    assert [(m.id, m.secret, m.default) for m in models] == [
        ("default", "", True),
        ("b", "", False),
    ]


@pytest.mark.parametrize(
    "words",
    [
        ["--account", "123"],
        ["--user", "a b"],
        ["--model-name", "gpt"],
        ["--model-base-url", "http://llm.example.com", "--model-name", "gpt"],
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(stack, words):
    assert parley("bootstrap", "--stack", "parley", *words).exit_code == 2
    assert boto3.client("dynamodb").scan(TableName=TABLE)["Count"] == 0


def test_a_stack_that_is_not_there_is_4(stack):
    result = parley("bootstrap", "--stack", "other")
    assert result.exit_code == 4
    assert "there is no stack named 'other'" in result.stderr


def test_another_kind_of_stack_is_named_as_such(stack):
    del stack.outputs["TableName"]
    result = parley("bootstrap", "--stack", "parley")
    assert result.exit_code == 1
    assert "no output TableName" in result.stderr


def test_no_credentials_is_3(stack, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert parley("bootstrap", "--stack", "parley").exit_code == 3


def test_cloudformation_that_does_not_answer_is_5(stack, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert parley("doctor", "--stack", "parley").exit_code == 5


def alarm(stack: CloudFormation, name: str, state: str) -> None:
    stack.alarms.append(name)
    cloudwatch: Any = boto3.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        AlarmDescription="Prompts wait.",
        Namespace="AWS/SQS",
        MetricName="m",
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
    )
    cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="test")


def doctor() -> tuple[int, dict[str, list[tuple[str, str]]]]:
    result = parley("doctor", "--stack", "parley", "--json")
    assert result.stdout, (result.stderr, result.exception)
    findings: dict[str, list[tuple[str, str]]] = {}
    for f in json.loads(result.stdout)["findings"]:
        findings.setdefault(f["subject"], []).append((f["state"], f["detail"]))
    return result.exit_code, findings


def test_doctor_finds_a_healthy_stack_healthy(stack):
    alarm(stack, "age", "OK")
    boto3.client("dynamodb").update_continuous_backups(
        TableName=TABLE, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    code, findings = doctor()
    assert code == 0
    assert {state for found in findings.values() for state, _ in found} == {"ok"}


def test_doctor_tells_dead_letters_raised_alarms_and_an_api_that_is_down(stack):
    alarm(stack, "age", "ALARM")
    boto3.client("sqs").send_message(QueueUrl=stack.outputs["DlqUrl"], MessageBody="{}")
    stack.outputs["ApiUrl"] = "http://127.0.0.1:9"
    stack.status = "UPDATE_ROLLBACK_COMPLETE"
    code, findings = doctor()
    assert code == 1
    assert findings["stack"][0][0] == "warning"
    assert findings["api"][0][0] == "failing"
    assert findings["dead letters"] == [
        ("warning", "1 waiting, 0 in work, 0 delayed; see `parley dlq list`")
    ]
    assert findings["alarm"] == [("failing", "age: ALARM (Prompts wait.)")]


def test_doctor_shows_a_table_to_people(stack):
    result = parley("doctor", "--stack", "parley")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["WHAT", "STATE", "FOUND"]
    assert lines[2][:2] == ["api", "ok"]


@pytest.fixture
def no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that a login of AWS would leave; and nothing stays that a command sets."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_CLOUDFORMATION",
        "AWS_PROFILE",
    ):
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)


@pytest.fixture
def local(no_login, monkeypatch, tmp_path) -> Iterator[CloudFormation]:
    """A local stack named parley, with its file in this directory."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    found = CloudFormation()
    with Served(found.app) as served:
        file = {"aws_endpoint": f"http://127.0.0.1:{served.port}", "aws_region": "us-east-1"}
        file |= {"api": "http://127.0.0.1:9", "stack_name": "parley"}
        (tmp_path / ".local").mkdir()
        (tmp_path / ".local" / "stack-9999.json").write_text(json.dumps(file))
        yield found


@pytest.mark.parametrize("named", [["--stack", "parley"], []])
def test_without_a_login_of_aws_the_local_stack_is_meant(local, named):
    local.outputs = {"ApiUrl": "http://x", "SocketUrl": "ws://x", "TableName": "none"}
    result = parley("doctor", *named)
    assert "using the local stack's" in result.stderr
    assert "http://127.0.0.1:9/health" in result.stdout  # not where it would be on AWS


def test_doctor_tells_programs_which_stack_it_found(local):
    local.outputs = {"ApiUrl": "http://x", "SocketUrl": "ws://x", "TableName": "none"}
    assert json.loads(parley("doctor", "--json").stdout)["stack"] == "parley"


OF_A_STACK = [
    ["bootstrap"],
    ["doctor"],
    ["accounts", "list"],
    ["accounts", "create", "2718-2818-2845"],
    ["domains", "remove", "chat.acme.com"],
    ["domains", "verify", "chat.acme.com", "--llm-client", "x", "--account", ACCOUNT],
]


@pytest.mark.parametrize("words", OF_A_STACK, ids=" ".join)
def test_a_local_stack_needs_no_name_and_one_of_aws_does(local, monkeypatch, words):
    assert "the stack 'parley' has no output" in parley(*words).stderr
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of a login")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of a login")
    refused = parley(*words)
    assert (refused.exit_code, "which stack of AWS: --stack NAME" in refused.stderr) == (2, True)


def test_where_no_local_stack_is_found_either_it_is_said_how_to_name_one(no_login, tmp_path):
    refused = parley("doctor")
    assert (refused.exit_code, "set PARLEY_STACK" in refused.stderr) == (2, True)
    (tmp_path / ".local").mkdir()
    for port in ("1", "2"):
        (tmp_path / ".local" / f"stack-{port}.json").write_text("{}")
    told = parley("accounts", "list").stderr
    assert f"export PARLEY_STACK={tmp_path}/.local/stack-2.json" in "".join(told.split("\n"))


def test_with_a_login_aws_is_meant(local, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of a login")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of a login")
    refused = parley("doctor", "--stack", "other")
    assert (refused.exit_code, "no region" in refused.stderr) == (2, True)


def test_the_region_is_taken_as_every_aws_tool_takes_it(stack, monkeypatch):
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    absent = parley("doctor", "--stack", "other")
    assert absent.exit_code == 4
    assert "no stack named 'other' in eu-central-1; --region names another" in absent.stderr


def test_without_a_login_of_aws_it_is_said_how_to_get_one(stack, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "absent")
    refused = parley("doctor", "--stack", "parley")
    assert (refused.exit_code, "--profile" in refused.stderr) == (3, True)
