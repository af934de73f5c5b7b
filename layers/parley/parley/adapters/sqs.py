"""The queue of wake-ups and the dead-letter queue in SQS.

Both are standard queues. A wake-up's message group is its account, which makes the queue
a fair one: an account's backlog does not hold up the others.
"""

import asyncio
import json
import re
from collections.abc import Sequence
from typing import Any

from boto3.session import Session
from botocore.exceptions import ClientError

from parley.adapters.aws import AwsCalls, client_config, error_code
from parley.core.access import ID_PATTERN
from parley.ports import DeadLetter, WakeUp

ACCOUNT_PATTERN = re.compile(r"[0-9]{4}-[0-9]{4}-[0-9]{4}")
VISIBILITY_CAP_SECONDS = 12 * 60 * 60
TAKEN_SECONDS = 60
BATCH = 10
# Only a long poll asks all of a queue's servers for messages.
POLL_SECONDS = 1
# How many records one `take` looks at. They are all accounts' records.
EXAMINED = 500
# A wake-up that SQS itself moved, because its runners kept dying.
UNDELIVERED = "undelivered"
# What is kept of a message that is no wake-up.
UNREADABLE = "unreadable"
ASIDE_CHARACTERS = 1000
# The receipt is out of date: the message was deleted, or shown again and taken by others.
GONE = frozenset({"InvalidParameterValue", "MessageNotInflight", "ReceiptHandleIsInvalid"})


def sqs_calls(threads: int = 16) -> AwsCalls:
    """SQS of the function's region."""
    return AwsCalls(lambda: Session().client("sqs", config=client_config(threads)), threads)


def parse_wake_up(body: str) -> WakeUp | None:
    """The wake-up in a message, or None: anybody with access can put anything on a queue.

    A record of the dead-letter queue that was redriven in the console is a wake-up, too.
    """
    fields = _fields(body)
    if fields is None:
        return None
    return WakeUp(fields["account"], fields["promptId"], fields["threadId"])


def _fields(body: str) -> dict[str, str] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    names = ("account", "promptId", "threadId", "reason")
    fields = {name: value.get(name, "") for name in names}
    if not all(isinstance(field, str) for field in fields.values()):
        return None
    good = (
        ACCOUNT_PATTERN.fullmatch(fields["account"])
        and ID_PATTERN.fullmatch(fields["promptId"])
        and (not fields["threadId"] or ID_PATTERN.fullmatch(fields["threadId"]))
    )
    return fields if good else None


class SqsWakeUps:
    """`ports.WakeUps`."""

    def __init__(self, calls: AwsCalls, queue_url: str, solo_queue_url: str) -> None:
        self._calls = calls
        self._queue_url = queue_url
        self._solo_queue_url = solo_queue_url

    async def send(self, wake_up: WakeUp, *, alone: bool = False) -> None:
        body = {"account": wake_up.account, "promptId": wake_up.prompt_id}
        if wake_up.thread_id:
            body["threadId"] = wake_up.thread_id
        await self._calls.call(
            "send_message",
            QueueUrl=self._solo_queue_url if alone else self._queue_url,
            MessageBody=json.dumps(body, separators=(",", ":")),
            MessageGroupId=wake_up.account,
        )


class SqsReceipts:
    """`ports.Receipts`, for the messages of some queues."""

    def __init__(self, calls: AwsCalls, queue_urls: Sequence[str]) -> None:
        self._calls = calls
        self._url_of = {url.rpartition("/")[2]: url for url in queue_urls}

    async def postpone(self, receipt_handle: str, queue_arn: str, seconds: int) -> None:
        try:
            await self._calls.call(
                "change_message_visibility",
                QueueUrl=self._url_of[queue_arn.rpartition(":")[2]],
                ReceiptHandle=receipt_handle,
                VisibilityTimeout=min(max(seconds, 0), VISIBILITY_CAP_SECONDS),
            )
        except ClientError as error:
            _raise_unless_gone(error)


class SqsDeadLetters:
    """`ports.DeadLetters`."""

    def __init__(self, calls: AwsCalls, queue_url: str) -> None:
        self._calls = calls
        self._queue_url = queue_url

    async def record(self, letter: DeadLetter) -> None:
        body = {
            "account": letter.account,
            "promptId": letter.prompt_id,
            "reason": letter.reason,
        }
        await self._calls.call(
            "send_message",
            QueueUrl=self._queue_url,
            MessageBody=json.dumps(body, separators=(",", ":")),
        )

    async def set_aside(self, message_id: str, body: str) -> None:
        """Nothing of Parley's writes such a message, so how it begins is all there is to go by.

        The record names no account: no account's admin is shown it.
        """
        record = {"reason": UNREADABLE, "messageId": message_id, "body": body[:ASIDE_CHARACTERS]}
        await self._calls.call(
            "send_message",
            QueueUrl=self._queue_url,
            MessageBody=json.dumps(record, separators=(",", ":")),
        )

    async def take(self, account: str, limit: int) -> Sequence[DeadLetter]:
        """Looks at 500 records at most.

        Whatever is not taken goes back only at the end, or it would be received again by
        this very call.
        """
        taken: list[DeadLetter] = []
        others: list[str] = []
        try:
            while len(taken) < limit and len(taken) + len(others) < EXAMINED:
                messages = await self._receive()
                if not messages:
                    break
                for message in messages:
                    letter = _letter(message)
                    if letter and letter.account == account and len(taken) < limit:
                        taken.append(letter)
                    else:
                        others.append(message["ReceiptHandle"])
        finally:
            await self._show(others)
        return taken

    async def _receive(self) -> list[dict[str, Any]]:
        answer = await self._calls.call(
            "receive_message",
            QueueUrl=self._queue_url,
            MaxNumberOfMessages=BATCH,
            VisibilityTimeout=TAKEN_SECONDS,
            WaitTimeSeconds=POLL_SECONDS,
        )
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages

    async def give_back(self, letters: Sequence[DeadLetter]) -> None:
        await self._show([letter.handle for letter in letters])

    async def _show(self, handles: Sequence[str]) -> None:
        """A record that cannot be shown again shows itself when its time is over.

        Not by the batch call: on AWS its permission is that of the single call, and the
        emulator knows one for it that AWS does not have.
        """
        for start in range(0, len(handles), BATCH):
            await asyncio.gather(*map(self._show_one, handles[start : start + BATCH]))

    async def _show_one(self, handle: str) -> None:
        try:
            await self._calls.call(
                "change_message_visibility",
                QueueUrl=self._queue_url,
                ReceiptHandle=handle,
                VisibilityTimeout=0,
            )
        except ClientError as error:
            _raise_unless_gone(error)

    async def forget(self, letter: DeadLetter) -> None:
        try:
            await self._calls.call(
                "delete_message", QueueUrl=self._queue_url, ReceiptHandle=letter.handle
            )
        except ClientError as error:
            _raise_unless_gone(error)


def _letter(message: dict[str, Any]) -> DeadLetter | None:
    """None for what cannot be read, which belongs to no account."""
    fields = _fields(message["Body"])
    if fields is None:
        return None
    reason = fields["reason"] or UNDELIVERED
    return DeadLetter(fields["account"], fields["promptId"], reason, message["ReceiptHandle"])


def _raise_unless_gone(error: ClientError) -> None:
    if error_code(error).rpartition(".")[2] not in GONE:
        raise error
