"""Posting to WebSocket connections through API Gateway's management API."""

import logging

from boto3.session import Session
from botocore.exceptions import ClientError

from parley.adapters.aws import AwsCalls, client_config, error_code, http_status
from parley.core.errors import Busy, Unavailable
from parley.core.events import Frame, encoded
from parley.ports import Post

MESSAGE_BYTES = 128 * 1024
CLOSED = 410

_log = logging.getLogger(__name__)


def management_calls(endpoint: str, threads: int = 32) -> AwsCalls:
    """The management API at `endpoint`, the https address of the socket API's stage.

    One attempt each: whoever posts repeats a post of unknown outcome with what has
    accumulated meanwhile.
    """
    config = client_config(threads, read_timeout=3, attempts=1)
    return AwsCalls(
        lambda: Session().client("apigatewaymanagementapi", endpoint_url=endpoint, config=config),
        threads,
    )


class ApiGatewayPublisher:
    """`ports.Publisher`."""

    def __init__(self, calls: AwsCalls) -> None:
        self._calls = calls

    async def post(self, connection_id: str, frame: Frame) -> Post:
        """Raises ValueError for a frame over 128 KB: frames are cut where they are built.

        A closed connection is known by status 410 and not by the class of the exception,
        which differs between the service and its emulation. Any other refusal is not the
        subscriber's fault; it is logged, and must not end an attempt.
        """
        data = encoded(frame)
        if len(data) > MESSAGE_BYTES:
            raise ValueError(f"a frame of {len(data)} bytes")
        try:
            await self._calls.call("post_to_connection", ConnectionId=connection_id, Data=data)
        except ClientError as error:
            if http_status(error) == CLOSED:
                return Post.GONE
            _log.warning("post_to_connection refused: %s", error_code(error))
            return Post.UNKNOWN
        except (Busy, Unavailable):
            return Post.UNKNOWN
        return Post.DELIVERED

    async def disconnect(self, connection_id: str) -> None:
        try:
            await self._calls.call("delete_connection", ConnectionId=connection_id)
        except ClientError as error:
            if http_status(error) != CLOSED:
                raise
