"""Makes calls to moto fail on purpose: throttled, in conflict, lost before or after."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError
from moto.core.models import botocore_stubber

LOST = "lost"  # the call takes effect, its response does not arrive
UNSENT = "unsent"  # the call never arrives
THROTTLED = "throttled"
CONFLICT = "conflict"
BROKEN = "broken"
CHOKED = "ThrottlingError"  # a transaction is canceled for this reason
INVALID = "ValidationError"

PREFIX = "com.amazonaws.dynamodb.v20120810#"
ANSWERS: dict[str, tuple[int, dict[str, Any]]] = {
    THROTTLED: (400, {"__type": PREFIX + "ProvisionedThroughputExceededException"}),
    BROKEN: (500, {"__type": PREFIX + "InternalServerError"}),
}


def _canceled(fault: str, operation: str, request: Any) -> tuple[int, dict[str, Any]]:
    """A transaction canceled because of its first write."""
    if operation != "TransactWriteItems":
        return 400, {"__type": PREFIX + "TransactionConflictException"}
    writes = json.loads(request.body)["TransactItems"]
    code = "TransactionConflict" if fault == CONFLICT else fault
    return 400, {
        "__type": PREFIX + "TransactionCanceledException",
        "CancellationReasons": [{"Code": code}, *[{"Code": "None"}] * (len(writes) - 1)],
    }


class Faults:
    """Faults in the order in which they befall the attempts of an operation."""

    def __init__(self) -> None:
        self.plan: dict[str, list[str]] = {}
        self.attempts: Counter[str] = Counter()

    def send(self, request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        """Stands before moto, which answers unless it is switched off here."""
        operation = event_name.rpartition(".")[2]
        self.attempts[operation] += 1
        botocore_stubber.enabled = True
        planned = self.plan.get(operation)
        fault = planned.pop(0) if planned else ""
        if not fault:
            return None
        if fault == UNSENT:
            raise ConnectTimeoutError(endpoint_url=request.url)
        if fault == LOST:
            botocore_stubber(event_name, request)
            raise ReadTimeoutError(endpoint_url=request.url)
        botocore_stubber.enabled = False
        status, body = ANSWERS.get(fault) or _canceled(fault, operation, request)
        response = AWSResponse(request.url, status, {}, None)
        response._content = json.dumps(body).encode()
        return response


@contextmanager
def faulty(client: Any, **plan: list[str]) -> Iterator[Faults]:
    """Let the attempts of operations meet these faults; "" lets one pass."""
    faults = Faults()
    faults.plan = plan
    client.meta.events.register("before-send.dynamodb", faults.send)
    try:
        yield faults
    finally:
        client.meta.events.unregister("before-send.dynamodb", faults.send)
        botocore_stubber.enabled = True
