"""The queues, on moto."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from parley.adapters import sqs
from parley.adapters.aws import AwsCalls
from parley.adapters.sqs import (
    SqsDeadLetters,
    SqsReceipts,
    SqsWakeUps,
    parse_wake_up,
    sqs_calls,
)
from parley.ports import DeadLetter, WakeUp

ACCOUNT = "1111-1111-1111"
OTHER = "2222-2222-2222"
WAKE_UP = WakeUp(ACCOUNT, "p1", "t1")


@pytest.fixture(autouse=True)
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqs, "POLL_SECONDS", 0)


@pytest.fixture
def client() -> Iterator[Any]:
    with mock_aws():
        yield boto3.client(
            "sqs",
            region_name="eu-central-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )


@pytest.fixture
def calls(client: Any) -> AwsCalls:
    return AwsCalls(lambda: client, 2)


def queue(client: Any, name: str) -> str:
    return client.create_queue(QueueName=name)["QueueUrl"]


def received(client: Any, url: str) -> list[dict[str, Any]]:
    return client.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"], VisibilityTimeout=60
    ).get("Messages", [])


async def test_a_wake_up_is_grouped_by_its_account(client: Any, calls: AwsCalls) -> None:
    many, solo = queue(client, "many"), queue(client, "solo")

    await SqsWakeUps(calls, many, solo).send(WAKE_UP)

    (message,) = received(client, many)
    assert message["Attributes"]["MessageGroupId"] == ACCOUNT
    assert parse_wake_up(message["Body"]) == WAKE_UP
    assert received(client, solo) == []


async def test_a_suspect_is_woken_alone(client: Any, calls: AwsCalls) -> None:
    many, solo = queue(client, "many"), queue(client, "solo")

    await SqsWakeUps(calls, many, solo).send(WakeUp(ACCOUNT, "p1"), alone=True)

    (message,) = received(client, solo)
    assert parse_wake_up(message["Body"]) == WakeUp(ACCOUNT, "p1")
    assert received(client, many) == []


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no json",
        "[]",
        "7",
        "[" * 100_000,
        "{}",
        json.dumps({"account": ACCOUNT}),
        json.dumps({"account": ACCOUNT, "promptId": ""}),
        json.dumps({"account": ACCOUNT, "promptId": "a#b"}),
        json.dumps({"account": ACCOUNT, "promptId": 7}),
        json.dumps({"account": "all", "promptId": "p1"}),
        json.dumps({"account": ACCOUNT, "promptId": "p1", "threadId": "#"}),
        json.dumps({"account": ACCOUNT, "promptId": "p1", "threadId": None}),
    ],
)
def test_what_is_no_wake_up_is_told(body: str) -> None:
    assert parse_wake_up(body) is None


def test_a_record_of_the_dead_letter_queue_is_a_wake_up() -> None:
    body = json.dumps({"account": ACCOUNT, "promptId": "p1", "reason": "lost", "more": 1})
    assert parse_wake_up(body) == WakeUp(ACCOUNT, "p1")


async def test_a_postponed_message_is_shown_again_later(client: Any, calls: AwsCalls) -> None:
    url = queue(client, "many")
    client.send_message(QueueUrl=url, MessageBody="{}")
    (message,) = received(client, url)
    receipts = SqsReceipts(calls, ["https://queue/1/solo", url])
    arn = "arn:aws:sqs:eu-central-1:123456789012:many"

    await receipts.postpone(message["ReceiptHandle"], arn, 0)

    assert len(received(client, url)) == 1


async def test_postponing_a_deleted_message_is_a_success(client: Any, calls: AwsCalls) -> None:
    url = queue(client, "many")
    client.send_message(QueueUrl=url, MessageBody="{}")
    (message,) = received(client, url)
    client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    receipts = SqsReceipts(calls, [url])

    await receipts.postpone(message["ReceiptHandle"], "arn:aws:sqs:eu-central-1:1:many", 30)


async def test_postponing_on_a_missing_queue_is_an_error(client: Any, calls: AwsCalls) -> None:
    url = queue(client, "many") + "-absent"
    with pytest.raises(ClientError):
        await SqsReceipts(calls, [url]).postpone("handle", "arn:aws:sqs:x:1:many-absent", 30)


def letters(client: Any, url: str, *accounts: str) -> None:
    for number, account in enumerate(accounts):
        body = {"account": account, "promptId": f"p{number}", "reason": "lost"}
        client.send_message(QueueUrl=url, MessageBody=json.dumps(body))


async def test_a_record_is_taken_given_back_and_forgotten(client: Any, calls: AwsCalls) -> None:
    dlq = SqsDeadLetters(calls, queue(client, "dlq"))
    await dlq.record(DeadLetter(ACCOUNT, "p1", "retries"))

    (letter,) = await dlq.take(ACCOUNT, 10)
    assert (letter.account, letter.prompt_id, letter.reason) == (ACCOUNT, "p1", "retries")
    assert await dlq.take(ACCOUNT, 10) == []

    await dlq.give_back([letter])
    (letter,) = await dlq.take(ACCOUNT, 10)
    await dlq.forget(letter)
    await dlq.give_back([letter])
    assert await dlq.take(ACCOUNT, 10) == []
    await dlq.forget(letter)


async def test_other_accounts_records_and_rubbish_are_given_back(
    client: Any, calls: AwsCalls
) -> None:
    url = queue(client, "dlq")
    letters(client, url, *[OTHER] * 12, ACCOUNT, *[OTHER] * 3, ACCOUNT)
    client.send_message(QueueUrl=url, MessageBody="rubbish")
    dlq = SqsDeadLetters(calls, url)

    taken = await dlq.take(ACCOUNT, 100)

    assert sorted(letter.prompt_id for letter in taken) == ["p12", "p16"]
    assert len(await dlq.take(OTHER, 100)) == 15
    assert [message["Body"] for message in received(client, url)] == ["rubbish"]


async def test_what_is_no_wake_up_is_set_aside_cut_and_shown_to_no_account(
    client: Any, calls: AwsCalls
) -> None:
    dead = queue(client, "dead")
    letters = SqsDeadLetters(calls, dead)

    await letters.set_aside("m1", "x" * 5000)

    assert await letters.take(ACCOUNT, 10) == []
    [message] = received(client, dead)
    kept = {"reason": "unreadable", "messageId": "m1", "body": "x" * 1000}
    assert json.loads(message["Body"]) == kept
    assert parse_wake_up(message["Body"]) is None


async def test_no_more_than_the_limit_is_taken(client: Any, calls: AwsCalls) -> None:
    url = queue(client, "dlq")
    letters(client, url, *[ACCOUNT] * 15)
    dlq = SqsDeadLetters(calls, url)

    assert len(await dlq.take(ACCOUNT, 12)) == 12
    assert len(await dlq.take(ACCOUNT, 12)) == 3


async def test_a_wake_up_that_sqs_moved_is_undelivered(client: Any, calls: AwsCalls) -> None:
    url = queue(client, "dlq")
    body = {"account": ACCOUNT, "promptId": "p1", "threadId": "t1"}
    client.send_message(QueueUrl=url, MessageBody=json.dumps(body))

    (letter,) = await SqsDeadLetters(calls, url).take(ACCOUNT, 1)
    assert letter.reason == "undelivered"


def test_a_client_is_made_on_the_first_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    calls = sqs_calls()
    assert calls.client() is calls.client()
