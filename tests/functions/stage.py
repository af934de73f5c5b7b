"""What a handler's test needs: its module, a Lambda context, and what it logs."""

import importlib
import io
import json
import os
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest
from parley.adapters.sqs import SqsWakeUps
from parley.observability import logger, metrics
from parley.ports import WakeUp
from parley.usecases.clients import Clients
from parley.wire.socket import Socket

from tests.fakes.queue import FakeDeadLetters
from tests.fakes.sessions import SessionWorld
from tests.fakes.world import World

QUEUE_ARN = "arn:aws:sqs:eu-central-1:123456789012:parley-Queue"
ENVIRONMENT = {
    "ALLOWED_ORIGINS": "*",
    "API_DOMAIN": "",
    "ATTEMPT_LIMIT_SECONDS": "300",
    "BACKOFF_BASE_SECONDS": "1",
    "BETWEEN_TOKENS_SECONDS": "30",
    "CONNECT_SECONDS": "5",
    "DEFAULT_MAX_RETRIES": "5",
    "DLQ_URL": "https://sqs.eu-central-1.amazonaws.com/123456789012/parley-Dlq",
    "ENVIRONMENT": "",
    "FIRST_TOKEN_SECONDS": "60",
    "LEASE_SECONDS": "30",
    "LOCAL_PROVIDERS": "false",
    "MAX_CONNECTIONS": "1000",
    "QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/123456789012/parley-Queue",
    "SECRETS_PREFIX": "/parley",
    "SOCKET_ENDPOINT": "https://example.execute-api.eu-central-1.amazonaws.com/live",
    "SOCKET_URL": "wss://example.execute-api.eu-central-1.amazonaws.com/live",
    "SOLO_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/123456789012/parley-SoloQueue",
    "SWEEP_SECONDS": "60",
    "SYNC_BUDGET_SECONDS": "25",
    "TABLE_NAME": "parley-Table",
    "WEATHER_FORECAST_URL": "https://api.open-meteo.com/v1/forecast",
    "WEATHER_GEOCODING_URL": "https://geocoding-api.open-meteo.com/v1/search",
}


def function(name: str) -> ModuleType:
    """The module of a function, as Lambda imports it: with its environment set."""
    with patch.dict(os.environ, ENVIRONMENT):
        return importlib.import_module(f"functions.{name}.app")


def socket_of(world: SessionWorld) -> Socket:
    """The socket's engine over a world."""
    return Socket(
        authenticate=world.authenticate,
        clients=Clients(world.resources, world.clock.monotonic),
        sessions=world.sessions,
        follow=world.follow,
        cancel=world.cancel,
        publisher=world.publisher,
    )


@dataclass
class Context:
    """Lambda's context, as far as anything here looks at it."""

    remaining: float = 360
    function_name: str = "parley-test"
    memory_limit_in_mb: int = 1024
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:123456789012:function:parley-test"
    aws_request_id: str = "52fdfc07-2182-454f-963f-5f0f9a621d72"

    def get_remaining_time_in_millis(self) -> int:
        return int(self.remaining * 1000)


class SetAside(FakeDeadLetters):
    """Dead letters that keep what was no wake-up, too."""

    def __init__(self) -> None:
        super().__init__()
        self.aside: list[tuple[str, str]] = []

    async def set_aside(self, message_id: str, body: str) -> None:
        self.aside.append((message_id, body))


class WorldLoop:
    """Runs a handler's work while it moves the world's clock."""

    def __init__(self, kept: Any, world: World) -> None:
        self.kept = kept
        self.world = world

    def __call__(self, work: Any) -> Any:
        return self.kept(self.world.clock.run(work))


async def body_of(wake_up: WakeUp) -> str:
    """The message that the queue's adapter sends for a wake-up."""
    sent: list[str] = []

    class Calls:
        async def call(self, _operation: str, **arguments: Any) -> dict[str, Any]:
            sent.append(arguments["MessageBody"])
            return {}

    await SqsWakeUps(Calls(), "many", "solo").send(wake_up)  # type: ignore[arg-type]
    return sent[0]


def record(handle: str, body: str) -> dict[str, Any]:
    """A message as a Lambda function gets it."""
    return {
        "messageId": f"message-{handle}",
        "receiptHandle": handle,
        "body": body,
        "attributes": {"ApproximateReceiveCount": "1"},
        "eventSource": "aws:sqs",
        "eventSourceARN": QUEUE_ARN,
    }


@dataclass
class Told:
    """Everything a function wrote: log lines and metrics."""

    stream: io.StringIO = field(default_factory=io.StringIO)
    capsys: Any = None
    printed: str = ""

    @property
    def text(self) -> str:
        self.printed += "".join(self.capsys.readouterr())
        return self.stream.getvalue() + self.printed

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def said(self, message: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["message"] == message]

    @property
    def metrics(self) -> dict[str, list[float]]:
        """The values of each metric, over all invocations."""
        found: dict[str, list[float]] = {}
        for blob in self.blobs:
            for definition in blob["_aws"]["CloudWatchMetrics"][0]["Metrics"]:
                found.setdefault(definition["Name"], []).extend(blob[definition["Name"]])
        return found

    @property
    def blobs(self) -> list[dict[str, Any]]:
        lines = self.text.splitlines()
        return [json.loads(line) for line in lines if line.startswith('{"_aws"')]


def listening(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Told:
    """Collect what is logged from now on."""
    told = Told(capsys=capsys)
    metrics.clear_metrics()
    for handler in logger.handlers:
        monkeypatch.setattr(handler, "stream", told.stream)
    return told
