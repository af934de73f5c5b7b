"""Look at a deployed stack: is everything there, is anything waiting, is an alarm raised."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from parley_cli.aws import Stack, aws_errors, client
from parley_cli.errors import CliError

OK, WARNING, FAILING = "ok", "warning", "failing"
QUEUES = (
    ("QueueUrl", "wake-ups"),
    ("SoloQueueUrl", "wake-ups, alone"),
    ("DlqUrl", "dead letters"),
)
FUNCTIONS = ("ApiFunctionName", "RunnerFunctionName", "SweeperFunctionName", "SocketFunctionName")
HEALTH_SECONDS = 10.0
SETTLED = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE")


@dataclass(frozen=True)
class Finding:
    """What one look found."""

    subject: str
    state: str
    detail: str


def examine(stack: Stack) -> Iterator[Finding]:
    """Every finding about a stack. A look that fails is a finding, and the others go on."""
    looks: tuple[tuple[str, Callable[[Stack], Iterator[Finding]]], ...] = (
        ("stack", _stack),
        ("api", _api),
        ("table", _table),
        ("queues", _queues),
        ("functions", _functions),
        ("alarms", _alarms),
    )
    for subject, look in looks:
        try:
            yield from look(stack)
        except CliError as error:
            yield Finding(subject, FAILING, str(error))


def _stack(stack: Stack) -> Iterator[Finding]:
    settled = stack.status in SETTLED
    yield Finding("stack", OK if settled else WARNING, f"{stack.name} is {stack.status}")


def _api(stack: Stack) -> Iterator[Finding]:
    url = f"{stack.outputs['ApiUrl']}/health"
    try:
        answer = httpx.get(url, timeout=HEALTH_SECONDS)
    except httpx.TransportError as error:
        yield Finding("api", FAILING, f"{url}: {error or type(error).__name__}")
        return
    state = OK if answer.is_success else FAILING
    yield Finding("api", state, f"{url} answers {answer.status_code}")


def _table(stack: Stack) -> Iterator[Finding]:
    name = stack.outputs["TableName"]
    dynamodb = client("dynamodb")
    described = _asked(dynamodb.describe_table, TableName=name)["Table"]
    state = OK if described["TableStatus"] == "ACTIVE" else WARNING
    yield Finding("table", state, f"{name} is {described['TableStatus']}")
    backups = _asked(dynamodb.describe_continuous_backups, TableName=name)
    recovery = backups["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
    word = recovery.get("PointInTimeRecoveryStatus", "DISABLED")
    yield Finding(
        "table", OK if word == "ENABLED" else WARNING, f"point-in-time recovery is {word.lower()}"
    )


def _queues(stack: Stack) -> Iterator[Finding]:
    sqs = client("sqs")
    for output, name in QUEUES:
        if output not in stack.outputs:
            yield Finding(name, FAILING, f"the stack has no output {output}")
            continue
        names = ("", "NotVisible", "Delayed")
        wanted = [f"ApproximateNumberOfMessages{name}" for name in names]
        got = _asked(
            sqs.get_queue_attributes, QueueUrl=stack.outputs[output], AttributeNames=wanted
        )
        waiting, worked, delayed = (int(got["Attributes"].get(name, 0)) for name in wanted)
        dead = output == "DlqUrl" and waiting + worked > 0
        detail = f"{waiting} waiting, {worked} in work, {delayed} delayed"
        hint = "; see `parley dlq list`" if dead else ""
        yield Finding(name, WARNING if dead else OK, detail + hint)


def _functions(stack: Stack) -> Iterator[Finding]:
    functions = client("lambda")
    for output in FUNCTIONS:
        if output not in stack.outputs:
            continue
        name = stack.outputs[output]
        got = _asked(functions.get_function_configuration, FunctionName=name)
        state, update = got.get("State", "Active"), got.get("LastUpdateStatus", "Successful")
        # A function that nobody called for weeks is Inactive until the next call.
        fine = state in {"Active", "Inactive"} and update == "Successful"
        yield Finding("function", OK if fine else FAILING, f"{name} is {state}, update {update}")


def _alarms(stack: Stack) -> Iterator[Finding]:
    names = _alarm_names(stack.name)
    if not names:
        yield Finding("alarms", WARNING, "the stack has no alarms")
        return
    cloudwatch = client("cloudwatch")
    described = _asked(cloudwatch.describe_alarms, AlarmNames=names)["MetricAlarms"]
    for alarm in described:
        raised = alarm["StateValue"] == "ALARM"
        detail = f"{alarm['AlarmName']}: {alarm['StateValue']}"
        about = f" ({alarm['AlarmDescription']})" if raised and "AlarmDescription" in alarm else ""
        yield Finding("alarm", FAILING if raised else OK, detail + about)


def _alarm_names(stack_name: str) -> list[str]:
    names: list[str] = []
    arguments = {"StackName": stack_name}
    while True:
        page = _asked(client("cloudformation").list_stack_resources, **arguments)
        names += [
            resource["PhysicalResourceId"]
            for resource in page["StackResourceSummaries"]
            if resource["ResourceType"] == "AWS::CloudWatch::Alarm"
        ]
        if "NextToken" not in page:
            return names
        arguments["NextToken"] = page["NextToken"]


def _asked(call: Callable[..., Any], **arguments: Any) -> Any:
    with aws_errors():
        return call(**arguments)
