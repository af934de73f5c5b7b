"""The queues behind the stack, as somebody with the AWS console has them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.e2e.stack import Stack
from tests.e2e.waiting import until


class Queues:
    """Puts messages on the queues by hand, and looks at what is in them."""

    def __init__(self, stack: Stack) -> None:
        self._sqs = stack.client("sqs")
        self._lambda = stack.client("lambda")
        self._urls = stack.outputs
        self._account = stack.account

    def put(self, body: str, queue: str = "QueueUrl") -> None:
        """Send anything."""
        self._sqs.send_message(
            QueueUrl=self._urls[queue], MessageBody=body, MessageGroupId=self._account
        )

    def wake(self, prompt: dict[str, Any], queue: str = "QueueUrl") -> None:
        """Send a wake-up, as `accept` does."""
        body = {
            "account": self._account,
            "promptId": prompt["id"],
            "threadId": prompt["threadId"],
        }
        self.put(json.dumps(body), queue)

    def waiting(self, *queues: str) -> int:
        """How many messages nobody has received yet."""
        name = "ApproximateNumberOfMessages"
        answers = (
            self._sqs.get_queue_attributes(QueueUrl=self._urls[queue], AttributeNames=[name])
            for queue in queues
        )
        return sum(int(answer["Attributes"][name]) for answer in answers)

    def until_received(self) -> None:
        """Wait until a runner has taken every message there is."""
        until(lambda: not self.waiting("QueueUrl", "SoloQueueUrl"), "the queues to be empty")

    @contextmanager
    def nobody_receiving(self) -> Iterator[None]:
        """Keep the runner from the queue of wake-ups for a moment."""
        mapping = self._lambda.list_event_source_mappings(
            FunctionName=self._urls["RunnerFunctionName"], EventSourceArn=self._arn("QueueUrl")
        )["EventSourceMappings"][0]["UUID"]
        self._lambda.update_event_source_mapping(UUID=mapping, Enabled=False)
        try:
            yield
        finally:
            self._lambda.update_event_source_mapping(UUID=mapping, Enabled=True)

    def lose_all(self) -> int:
        """Lose the wake-ups that are waiting; how many there were."""
        lost = self.waiting("QueueUrl")
        self._sqs.purge_queue(QueueUrl=self._urls["QueueUrl"])
        return lost

    def _arn(self, queue: str) -> str:
        answer = self._sqs.get_queue_attributes(
            QueueUrl=self._urls[queue], AttributeNames=["QueueArn"]
        )
        arn: str = answer["Attributes"]["QueueArn"]
        return arn

    def until_dead(self, text: str) -> str:
        """Wait for a dead letter with this text and take it out of its queue; its body."""

        def look() -> str | None:
            answer = self._sqs.receive_message(
                QueueUrl=self._urls["DlqUrl"], MaxNumberOfMessages=10, VisibilityTimeout=1
            )
            for message in answer.get("Messages", []):
                if text in message["Body"]:
                    self._sqs.delete_message(
                        QueueUrl=self._urls["DlqUrl"], ReceiptHandle=message["ReceiptHandle"]
                    )
                    body: str = message["Body"]
                    return body
            return None

        return until(look, f"a dead letter with {text}") or ""
