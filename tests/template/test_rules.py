"""Architecture rules that the template must keep, whatever is added to it."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

TEMPLATES = [Path("template.yaml"), *sorted(Path("infra").glob("*.yaml"))]


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags: `!Ref X` becomes {"Ref": "X"}."""


def _tag(loader: Loader, suffix: str, node: yaml.Node) -> Any:
    name = suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        return {name: value.split(".", 1) if suffix == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(node, deep=True)}


Loader.add_multi_constructor("!", _tag)


def load(path: Path) -> dict[str, Any]:
    return yaml.load(path.read_text(), Loader)


MAIN = load(TEMPLATES[0])
RESOURCES: dict[str, Any] = MAIN["Resources"]


def of_type(kind: str) -> dict[str, Any]:
    return {n: r["Properties"] for n, r in RESOURCES.items() if r["Type"] == kind}


FUNCTIONS = of_type("AWS::Serverless::Function")
QUEUES = of_type("AWS::SQS::Queue")
ROLES = of_type("AWS::IAM::Role")
ALARMS = of_type("AWS::CloudWatch::Alarm")


def statements(role: dict[str, Any]) -> list[dict[str, Any]]:
    every = [
        statement
        for policy in role["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
    ]
    return [s["Fn::If"][1] if "Fn::If" in s else s for s in every]


def listed(one_or_more: Any) -> list[Any]:
    return one_or_more if isinstance(one_or_more, list) else [one_or_more]


def actions(statement: dict[str, Any]) -> list[str]:
    return listed(statement["Action"])


def test_every_queue_is_encrypted_and_redrives_or_is_the_end_of_the_line():
    targets = {
        queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
        for queue in QUEUES.values()
        if "RedrivePolicy" in queue
    }
    for name, queue in QUEUES.items():
        assert queue["SqsManagedSseEnabled"] is True, name
        assert ("RedrivePolicy" in queue) != (name in targets), name


def test_every_queue_has_an_alarm():
    watched = {
        dimension["Value"]["Fn::GetAtt"][0]
        for alarm in ALARMS.values()
        for dimension in alarm.get("Dimensions", [])
        if dimension["Name"] == "QueueName"
    }
    assert watched == set(QUEUES)


def test_dead_letters_are_kept_as_long_as_sqs_can():
    assert QUEUES["Dlq"]["MessageRetentionPeriod"] == 14 * 24 * 3600


def test_a_wake_up_outlives_every_retry_of_its_prompt_before_it_is_redriven():
    # 20 retries and 3 losses at most; each failed attempt gives the message back once.
    for name in ("Queue", "SoloQueue"):
        assert QUEUES[name]["RedrivePolicy"]["maxReceiveCount"] > 2 * (1 + 20 + 3), name


@pytest.mark.parametrize("limit", MAIN["Parameters"]["AttemptLimitSeconds"]["AllowedValues"])
def test_visibility_is_six_times_the_runners_time_out_which_outlives_the_attempt(limit):
    figures = MAIN["Mappings"]["Attempt"][limit]
    assert figures["RunnerTimeout"] == int(limit) + 60
    assert figures["RunnerTimeout"] <= 900
    assert figures["Visibility"] == 6 * figures["RunnerTimeout"]
    for name in ("Queue", "SoloQueue"):
        assert QUEUES[name]["VisibilityTimeout"]["Fn::FindInMap"][2] == "Visibility"


def test_every_queue_event_source_reports_partial_failures():
    sources = [
        event["Properties"]
        for function in FUNCTIONS.values()
        for event in function.get("Events", {}).values()
        if event["Type"] == "SQS"
    ]
    assert sources
    for source in sources:
        assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_prompts_that_lost_a_runner_are_delivered_one_at_a_time():
    events = FUNCTIONS["RunnerFunction"]["Events"].values()
    by_queue = {e["Properties"]["Queue"]["Fn::GetAtt"][0]: e["Properties"] for e in events}
    assert by_queue["SoloQueue"]["BatchSize"] == 1
    assert by_queue["Queue"]["BatchSize"] == 10


def test_a_function_that_feeds_its_own_queue_is_no_loop_to_be_broken():
    # Lambda counts such invocations by itself and drops the 17th wake-up of a long thread.
    for name, function in FUNCTIONS.items():
        read = {
            e["Properties"]["Queue"]["Fn::GetAtt"][0] for e in function.get("Events", {}).values()
        }
        fed = {
            resource["Fn::GetAtt"][0]
            for statement in statements(ROLES[function["Role"]["Fn::GetAtt"][0]])
            if "sqs:SendMessage" in actions(statement)
            for resource in listed(statement["Resource"])
        }
        assert function.get("RecursiveLoop") == ("Allow" if read & fed else None), name


def test_the_concurrency_that_the_page_reserves_leaves_what_lambda_insists_on():
    # Lambda refuses a reservation that leaves fewer than 100 to all others, and the stack with it.
    page = Path("docs/deploy.md").read_text().replace(",", "")
    rows = re.findall(r"^\| (\d+)\b[^|]*\| (\d+)\b[^|]*\| (\d+)\b[^|]*\|", page, re.MULTILINE)
    assert len(rows) >= 3
    for account, runner, api in (map(int, row) for row in rows):
        assert runner + api == 0 or account - runner - api >= 100, account


def test_a_sweep_that_found_no_room_is_not_kept_for_later():
    invoked = FUNCTIONS["SweeperFunction"]["EventInvokeConfig"]
    assert invoked == {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}
    retried = of_type("AWS::Scheduler::Schedule")["SweepSchedule"]["Target"]["RetryPolicy"]
    assert retried == {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_has_a_role_and_a_log_group_of_its_own_with_retention(name):
    function = FUNCTIONS[name]
    role = function["Role"]["Fn::GetAtt"][0]
    users = [f for f in FUNCTIONS.values() if f["Role"]["Fn::GetAtt"][0] == role]
    assert users == [function]
    wanted = f"/aws/lambda/{function['FunctionName']['Fn::Sub']}"
    groups = [
        g for g in of_type("AWS::Logs::LogGroup").values() if g["LogGroupName"]["Fn::Sub"] == wanted
    ]
    assert len(groups) == 1
    assert "RetentionInDays" in groups[0]


@pytest.mark.parametrize("path", TEMPLATES, ids=str)
def test_no_statement_allows_a_wildcard_action(path):
    resources = load(path)["Resources"].values()
    for role in (r["Properties"] for r in resources if r["Type"] == "AWS::IAM::Role"):
        for statement in statements(role):
            for action in actions(statement):
                assert re.fullmatch(r"[a-z0-9-]+:[A-Za-z]+", action), statement


@pytest.mark.parametrize("name", sorted(ROLES))
def test_only_tracing_which_has_no_resources_may_act_on_every_resource(name):
    for statement in statements(ROLES[name]):
        if statement["Resource"] == "*":
            assert all(action.startswith("xray:") for action in actions(statement))


def test_only_the_runner_reads_secrets_and_holds_the_provider():
    by_role = {
        name: {
            action
            for statement in statements(role)
            for action in actions(statement)
            if action.startswith(("ssm:", "kms:"))
        }
        for name, role in ROLES.items()
    }
    assert {name: found for name, found in by_role.items() if found} == {
        "RunnerRole": {"ssm:GetParameter", "kms:Decrypt"},
        # It takes secrets from manifests and cannot give them back.
        "ApiRole": {"ssm:PutParameter", "ssm:DeleteParameter", "kms:Encrypt"},
    }
    holding = {n for n, f in FUNCTIONS.items() if {"Ref": "ProviderLayer"} in f["Layers"]}
    assert holding == {"RunnerFunction"}


def test_no_function_may_scan_the_table():
    for role in ROLES.values():
        for statement in statements(role):
            assert "dynamodb:Scan" not in actions(statement)


def test_snapstart_is_on_for_the_functions_that_a_person_waits_for():
    for name in ("ApiFunction", "SocketFunction"):
        assert FUNCTIONS[name]["SnapStart"]["ApplyOn"] == {"Ref": "SnapStart"}
        assert FUNCTIONS[name]["AutoPublishAlias"]
    assert MAIN["Parameters"]["SnapStart"]["Default"] == "PublishedVersions"


def test_the_table_is_kept_encrypted_restorable_and_protected():
    table = RESOURCES["Table"]
    properties = table["Properties"]
    assert table["DeletionPolicy"] == table["UpdateReplacePolicy"] == "Retain"
    assert properties["SSESpecification"]["SSEEnabled"] is True
    assert properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    assert properties["DeletionProtectionEnabled"] == {"Ref": "DeletionProtection"}
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}


def test_every_index_is_lean():
    # A projected attribute makes every change of it a second write.
    indexes = {
        i["IndexName"]: i["Projection"]
        for i in of_type("AWS::DynamoDB::Table")["Table"]["GlobalSecondaryIndexes"]
    }
    lean = {"ProjectionType": "KEYS_ONLY"}
    assert {name for name, projection in indexes.items() if projection != lean} == {"by_open"}


def test_runner_errors_throttles_and_old_wake_ups_raise_alarms():
    metrics = {(alarm["Namespace"], alarm["MetricName"]) for alarm in ALARMS.values()}
    assert {
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible"),
        ("AWS/SQS", "ApproximateAgeOfOldestMessage"),
        ("AWS/Lambda", "Errors"),
        ("AWS/Lambda", "Throttles"),
    } <= metrics


def test_every_parameter_is_used():
    text = Path("template.yaml").read_text().split("\nMappings:", 1)[1]
    for name in MAIN["Parameters"]:
        assert re.search(rf"(!Ref |Ref: |\$\{{|!Equals \[!Ref ){name}\b", text), name
