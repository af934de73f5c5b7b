"""What becomes of a post, by the status of the answer; no network is used."""

from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError
from parley.adapters.apigateway import ApiGatewayPublisher, management_calls
from parley.adapters.aws import AwsCalls, client_config
from parley.core.errors import Unavailable
from parley.ports import Post


class Gateway:
    """Answers every request with the status or the failure that it is told to."""

    def __init__(self) -> None:
        self.answer: int | Exception = 200
        self.requests: list[Any] = []
        self.client = boto3.client(
            "apigatewaymanagementapi",
            endpoint_url="https://socket.invalid/live",
            region_name="eu-central-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=client_config(2, attempts=1),
        )
        self.client.meta.events.register("before-send.*", self._send)

    def _send(self, request: Any, **_: Any) -> AWSResponse:
        self.requests.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        response = AWSResponse(request.url, self.answer, {}, None)
        response._content = b"{}"
        return response


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def publisher(gateway: Gateway) -> ApiGatewayPublisher:
    return ApiGatewayPublisher(AwsCalls(lambda: gateway.client, 2))


async def test_a_frame_is_posted_as_compact_json(
    gateway: Gateway, publisher: ApiGatewayPublisher
) -> None:
    assert await publisher.post("abc=", {"type": "pong", "text": "é"}) is Post.DELIVERED
    (request,) = gateway.requests
    assert request.body == '{"type":"pong","text":"é"}'.encode()
    assert request.url == "https://socket.invalid/live/@connections/abc%3D"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (200, Post.DELIVERED),
        (410, Post.GONE),
        (400, Post.UNKNOWN),
        (403, Post.UNKNOWN),
        (429, Post.UNKNOWN),
        (500, Post.UNKNOWN),
        (503, Post.UNKNOWN),
        (ReadTimeoutError(endpoint_url="x"), Post.UNKNOWN),
        (ConnectTimeoutError(endpoint_url="x"), Post.UNKNOWN),
    ],
)
async def test_the_status_decides_what_became_of_a_post(
    gateway: Gateway, publisher: ApiGatewayPublisher, answer: int | Exception, outcome: Post
) -> None:
    gateway.answer = answer

    assert await publisher.post("abc=", {"type": "pong"}) is outcome
    assert len(gateway.requests) == 1


async def test_a_frame_over_the_limit_is_a_bug(
    gateway: Gateway, publisher: ApiGatewayPublisher
) -> None:
    room = 128 * 1024 - len('{"text":""}')
    assert await publisher.post("abc=", {"text": "x" * room}) is Post.DELIVERED
    with pytest.raises(ValueError, match="131073 bytes"):
        await publisher.post("abc=", {"text": "x" * (room + 1)})
    assert len(gateway.requests) == 1


async def test_disconnecting_a_closed_connection_is_a_success(
    gateway: Gateway, publisher: ApiGatewayPublisher
) -> None:
    for answer in (204, 410):
        gateway.answer = answer
        await publisher.disconnect("abc=")
    gateway.answer = 403
    with pytest.raises(ClientError):
        await publisher.disconnect("abc=")
    gateway.answer = 503
    with pytest.raises(Unavailable):
        await publisher.disconnect("abc=")


def test_the_endpoint_is_the_given_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    client = management_calls("https://socket.invalid/live").client()
    assert client.meta.endpoint_url == "https://socket.invalid/live"
