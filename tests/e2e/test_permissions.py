"""IAM is enforced on the stack under test, and each role may do only what its function does."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.client import Client
from tests.e2e.stack import Stack

FUNCTIONS = ("Api", "Runner", "Sweeper", "Socket")
DENIED = {"AccessDenied", "AccessDeniedException"}
Clients = Callable[[str], Any]
Call = Callable[[Clients, Stack], Any]

# What no function may do.
NOBODY: dict[str, Call] = {
    "scan the table": lambda to, on: to("dynamodb").scan(TableName=on.outputs["TableName"]),
    "drop the table": lambda to, on: to("dynamodb").delete_table(TableName=on.outputs["TableName"]),
    "read another table": lambda to, on: to("dynamodb").get_item(
        TableName="another", Key={"pk": {"S": "a"}, "sk": {"S": "b"}}
    ),
    "empty the queue": lambda to, on: to("sqs").purge_queue(QueueUrl=on.outputs["QueueUrl"]),
    "read secrets beside Parley's": lambda to, on: to("ssm").get_parameter(Name="/other/key"),
    "write beside Parley's secrets": lambda to, on: to("ssm").put_parameter(
        Name="/other/key", Value="x", Type="SecureString"
    ),
    "call a function": lambda to, on: to("lambda").invoke(
        FunctionName=on.outputs["SweeperFunctionName"]
    ),
}
# What only some functions may do.
SOME: dict[str, tuple[set[str], Call]] = {
    "read the table": (
        set(FUNCTIONS),
        lambda to, on: to("dynamodb").get_item(
            TableName=on.outputs["TableName"], Key={"pk": {"S": "a"}, "sk": {"S": "b"}}
        ),
    ),
    "read a provider's secret": (
        {"Runner"},
        lambda to, on: to("ssm").get_parameter(Name="/parley/absent"),
    ),
    "write a provider's secret": (
        {"Api"},
        lambda to, on: to("ssm").put_parameter(
            Name="/parley/permissions", Value="x", Type="SecureString", Overwrite=True
        ),
    ),
    "receive wake-ups": (
        {"Runner"},
        # Of the queue that is nearly always empty, so that nothing is taken away.
        lambda to, on: to("sqs").receive_message(
            QueueUrl=on.outputs["SoloQueueUrl"], VisibilityTimeout=0
        ),
    ),
    "receive dead letters": (
        {"Api"},
        lambda to, on: to("sqs").receive_message(
            QueueUrl=on.outputs["DlqUrl"], VisibilityTimeout=0
        ),
    ),
}


def clients_of(stack: Stack, function: str) -> Clients:
    """Makes AWS clients with the role of a function."""
    name = stack.outputs[f"{function}FunctionName"]
    role = stack.client("lambda").get_function_configuration(FunctionName=name)["Role"]
    assumed = stack.client("sts").assume_role(RoleArn=role, RoleSessionName="proof")["Credentials"]
    credentials = {
        "aws_access_key_id": assumed["AccessKeyId"],
        "aws_secret_access_key": assumed["SecretAccessKey"],
        "aws_session_token": assumed["SessionToken"],
    }
    return lambda service: stack.client(service, **credentials)


def denied(call: Call, clients: Clients, stack: Stack) -> bool:
    """Whether IAM refuses; any other answer means that it did not."""
    try:
        call(clients, stack)
    except ClientError as error:
        return error.response["Error"]["Code"] in DENIED
    return False


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_may_do_what_it_does_and_nothing_else(stack: Stack, function: str) -> None:
    clients = clients_of(stack, function)

    allowed = {what for what, call in NOBODY.items() if not denied(call, clients, stack)}
    assert allowed == set()
    allowed = {what for what, (_, call) in SOME.items() if not denied(call, clients, stack)}
    assert allowed == {what for what, (functions, _) in SOME.items() if function in functions}


def test_a_function_without_its_permission_fails(stack: Stack, admin: Client) -> None:
    """The proof that the functions themselves run under their roles."""
    iam, name = stack.client("iam"), stack.outputs["ApiFunctionName"]
    arn = stack.client("lambda").get_function_configuration(FunctionName=name)["Role"]
    role = arn.rpartition("/")[2]
    policy = iam.get_role_policy(RoleName=role, PolicyName="api")["PolicyDocument"]
    crippled = {
        **policy,
        "Statement": [each for each in policy["Statement"] if each["Sid"] != "GivenUp"],
    }
    try:
        iam.put_role_policy(RoleName=role, PolicyName="api", PolicyDocument=json.dumps(crippled))
        assert admin.refused("POST", "/dlq/redrive") == (500, "internal error")
    finally:
        iam.put_role_policy(RoleName=role, PolicyName="api", PolicyDocument=json.dumps(policy))
    assert admin.dead_letters() is not None
