"""The four handlers as they are deployed: real adapters on moto, the development model."""

import asyncio
import json
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.apigatewaymanagementapi.models import apigatewaymanagementapi_backends
from parley.assembly import parts
from parley.assembly_api import api_engine
from parley.assembly_runner import runner_engine
from parley.assembly_socket import socket_engine
from parley.assembly_sweeper import sweeper_engine
from parley.core.access import ApiKey, KeyRole
from parley.core.model import Catalogue, Model
from parley.kept_loop import KeptLoop
from parley.observability import CallsObserver
from parley.settings import ApiSettings, RunnerSettings, SocketSettings, SweeperSettings, read
from parley.usecases.keys import issue
from parley.wire.http import Http

from local.devmodel.server import application, serving
from tests.conformance.table import definition
from tests.functions.stage import ENVIRONMENT, Context, Told, function, record
from tests.wire.http_client import http_event

ACCOUNT = "0000-0000-0001"
REGION = "eu-central-1"


@pytest.fixture(scope="module")
def model_url() -> Iterator[str]:
    """The development model, on a thread: the runner's loop is the handler's own."""
    loop = asyncio.new_event_loop()
    bound: list[int] = []
    ready, over = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with serving(application(""), "127.0.0.1", 0) as port:
            bound.append(port)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(10)
    yield f"http://127.0.0.1:{bound[0]}/v1"
    loop.call_soon_threadsafe(over.set)
    thread.join(10)


class Deployed:
    """The handlers, and the queues between them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, model_url: str) -> None:
        for name, value in ENVIRONMENT.items():
            monkeypatch.setenv(name, value)
        for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"):
            monkeypatch.setenv(f"AWS_{name}", "test")
        monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
        self.sqs = boto3.client("sqs")
        for variable in ("QUEUE_URL", "SOLO_QUEUE_URL", "DLQ_URL"):
            made = self.sqs.create_queue(QueueName=ENVIRONMENT[variable].rpartition("/")[2])
            monkeypatch.setenv(variable, made["QueueUrl"])
        boto3.client("dynamodb").create_table(**definition(ENVIRONMENT["TABLE_NAME"]))

        self.api = self.placed(monkeypatch, "api", None)
        engine = api_engine(read(ApiSettings))
        monkeypatch.setattr(self.api, "http", Http(engine, KeptLoop(), CallsObserver()))
        self.socket = self.placed(monkeypatch, "socket", socket_engine(read(SocketSettings)))
        self.sweeper = self.placed(monkeypatch, "sweeper", sweeper_engine(read(SweeperSettings)))
        self.runner = self.placed(monkeypatch, "runner", runner_engine(read(RunnerSettings)))
        self.key = self.bootstrapped(model_url)

    @staticmethod
    def placed(monkeypatch: pytest.MonkeyPatch, name: str, engine: Any) -> ModuleType:
        app = function(name)
        if engine is not None:
            monkeypatch.setattr(app, "engine", engine)
            monkeypatch.setattr(app, "loop", KeptLoop())
        return app

    def bootstrapped(self, model_url: str) -> str:
        made = parts(read(SocketSettings))
        blank = ApiKey(ACCOUNT, "key_1", "", "usr_1", KeyRole.ADMIN, "", 0)
        models = Catalogue((Model("dev", model_url, "dev-model", default=True),))

        async def write() -> str:
            await made.catalogues.put_catalogue(ACCOUNT, models)
            return (await issue(made.keys, made.ids, blank))[1]

        return asyncio.run(write())

    def call(self, method: str, path: str, body: Any = None) -> Any:
        event = http_event(method, path, body, {"authorization": self.key})
        answer = self.api.handler(event, Context())
        assert answer["statusCode"] == 200, answer
        return json.loads(answer["body"])

    def send(self, route: str, **fields: Any) -> dict[str, Any]:
        request = {"routeKey": route, "connectionId": "c1"}
        answer: dict[str, Any] = self.socket.handler(
            {"requestContext": request, **fields}, Context()
        )
        return answer

    def run(self) -> list[str]:
        """Hand what is on the queue to the runner, as the event source does."""
        url = self.sqs.get_queue_url(QueueName="parley-Queue")["QueueUrl"]
        messages = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        records = [
            record(message["ReceiptHandle"], message["Body"])
            for message in messages.get("Messages", [])
        ]
        answer = self.runner.handler({"Records": records}, Context())
        failed = [item["itemIdentifier"] for item in answer["batchItemFailures"]]
        for message in records:
            if message["messageId"] not in failed:
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["receiptHandle"])
        return failed

    def posted(self) -> list[dict[str, Any]]:
        """What was posted to the connection; moto keeps it as one string of bytes."""
        connections = apigatewaymanagementapi_backends["123456789012"][REGION].connections
        data = connections["c1"].data.decode()
        frames, decoder = [], json.JSONDecoder()
        while data:
            frame, end = decoder.raw_decode(data)
            frames.append(frame)
            data = data[end:]
        return frames


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch, model_url: str) -> Iterator[Deployed]:
    with mock_aws():
        yield Deployed(monkeypatch, model_url)


def test_a_prompt_goes_from_the_api_over_the_runner_to_a_socket(
    deployed: Deployed, told: Told
) -> None:
    prompt = {"id": "p1", "threadId": "t1", "prompt": "What's a banana?"}
    assert deployed.call("POST", "/prompt-svc/prompt", prompt)["prompt"]["status"] == "scheduled"
    connected = deployed.send("$connect", queryStringParameters={"token": deployed.key})
    assert connected == {"statusCode": 200}
    deployed.send("$default", body='{"action":"subscribe","threadId":"t1"}')

    assert deployed.run() == []

    shown = deployed.call("GET", "/prompt-svc/prompt/p1")
    assert shown["prompt"]["status"] == "completed"
    frames = deployed.posted()
    streamed = "".join(frame["text"] for frame in frames if frame["type"] == "delta")
    assert streamed == shown["answer"] != ""
    assert frames[0]["type"] == "subscribed"
    assert frames[-1]["prompt"]["status"] == "completed"
    assert not told.said("tasks outlived their work")
    assert told.metrics["PromptsCompleted"] == [1]
    for secret in ("banana", deployed.key, shown["answer"]):
        assert secret not in told.text


def test_a_prompt_is_canceled_over_the_socket(deployed: Deployed) -> None:
    deployed.call("POST", "/prompt-svc/prompt", {"id": "p1", "prompt": "Say nothing."})
    deployed.send("$connect", queryStringParameters={"token": deployed.key})

    deployed.send("$default", body='{"action":"cancel","promptId":"p1"}')

    assert deployed.posted()[-1]["prompt"]["status"] == "canceled"
    assert deployed.run() == []
    assert deployed.call("GET", "/prompt-svc/prompt/p1")["prompt"]["status"] == "canceled"


def test_a_sweep_finds_nothing_to_do_among_what_is_not_due(deployed: Deployed) -> None:
    deployed.call("POST", "/prompt-svc/prompt", {"id": "p1", "prompt": "Later."})
    assert deployed.sweeper.handler({}, Context(55)) == {"turns": 0}


def test_what_is_no_wake_up_lands_in_the_dead_letter_queue(deployed: Deployed) -> None:
    url = deployed.sqs.get_queue_url(QueueName="parley-Queue")["QueueUrl"]
    deployed.sqs.send_message(QueueUrl=url, MessageBody="rubbish")

    assert deployed.run() == []

    dead = deployed.sqs.get_queue_url(QueueName="parley-Dlq")["QueueUrl"]
    [message] = deployed.sqs.receive_message(QueueUrl=dead)["Messages"]
    assert json.loads(message["Body"])["reason"] == "unreadable"
