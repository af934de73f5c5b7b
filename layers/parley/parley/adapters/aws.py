"""Calls to AWS: clients made on first use, kept off the event loop, errors translated.

boto3 blocks, so every call runs on a thread of the adapter's own pool. A client is made
on the first call and never at import: what is made at import becomes part of a SnapStart
snapshot, with its connections and its credentials.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Lock
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionError, HTTPClientError  # noqa: A004

from parley.core.errors import Busy, Unavailable

BUSY = "the service is busy, try again"
UNAVAILABLE = "a service did not answer, try again"
BUSY_CODES = frozenset(
    {
        "LimitExceededException",
        "OverLimit",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "ThrottledException",
        "Throttling",
        "ThrottlingError",
        "ThrottlingException",
        "TooManyRequestsException",
        "TooManyUpdates",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)


def client_config(connections: int, *, read_timeout: float = 5, attempts: int = 3) -> Config:
    """Few and short attempts: whoever waits for the answer has a time budget of its own.

    botocore repeats an attempt with the same ClientRequestToken, so a transaction whose
    response was lost is answered as the success it was.
    """
    return Config(
        connect_timeout=2,
        read_timeout=read_timeout,
        retries={"mode": "standard", "total_max_attempts": attempts},
        tcp_keepalive=True,
        max_pool_connections=connections,
    )


class AwsCalls:
    """One AWS client and the threads its calls run on.

    `make` makes the client. `threads` bounds the calls under way at the same time; give
    the client as many connections.
    """

    def __init__(self, make: Callable[[], Any], threads: int) -> None:
        self._make = make
        self._made: Any = None
        self._making = Lock()
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="aws")

    def client(self) -> Any:
        """The client. boto3's clients are thread-safe, making one is not."""
        with self._making:
            if self._made is None:
                self._made = self._make()
            return self._made

    async def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """One call; raises ClientError for what the adapter has to tell apart.

        Raises `Busy` for throttling and contention, `Unavailable` for a failing service
        and a lost response: then a write may have taken effect, which every transition
        recognises when it is repeated.
        """
        blocking = partial(self._blocking, operation, arguments)
        running = asyncio.get_running_loop().run_in_executor(self._executor, blocking)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            # A thread cannot be canceled. Its write must not arrive after its caller has
            # gone on to the next one: a renewal beside the finish would be contention.
            await asyncio.wait((running,))
            raise

    def _blocking(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(self.client(), operation)(**arguments)
        except ClientError as error:
            if error_code(error) in BUSY_CODES:
                raise Busy(BUSY) from error
            if http_status(error) >= 500:
                raise Unavailable(UNAVAILABLE) from error
            raise
        except (ConnectionError, HTTPClientError) as error:
            raise Unavailable(UNAVAILABLE) from error
        return answer


def error_code(error: ClientError) -> str:
    """The vendor's code: errors are told apart by it and never by their words."""
    return error.response.get("Error", {}).get("Code", "")


def http_status(error: ClientError) -> int:
    """The HTTP status of a refused call; 0 if there is none."""
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
