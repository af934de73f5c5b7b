"""Counts every call to AWS that the adapters make, and the units that DynamoDB bills for it.

A refused write is billed like one that changes nothing. What a call read is what it examined,
whatever it then left out; half of that when the read is not consistent, as those of an index are.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from unittest.mock import patch

import boto3
from parley.adapters.aws import AwsCalls

from tests.budgets.units import RawItem, entry_of, index_units, item_bytes, read_units, write_units

POST = "post_to_connection"
# Expressions that decide what comes back, but not what is read.
AFTERWARDS = ("FilterExpression", "ProjectionExpression", "Select")


@dataclass(frozen=True)
class Call:
    """One call: what it was, its units, the bytes of the frame or message that it sent.

    `items` and `entries` are the write units of items and of the indexes' entries, `largest`
    the size of the largest item that it wrote, before or after.
    """

    operation: str
    items: int = 0
    entries: int = 0
    reads: float = 0
    sent: int = 0
    largest: int = 0

    @property
    def writes(self) -> int:
        return self.items + self.entries


@dataclass
class Bill:
    """The calls of some stretch of work."""

    calls: list[Call] = field(default_factory=list)

    @property
    def operations(self) -> list[str]:
        return [call.operation for call in self.calls]

    @property
    def by_operation(self) -> dict[str, int]:
        return dict(Counter(self.operations))

    @property
    def writes(self) -> int:
        return sum(call.writes for call in self.calls)

    @property
    def reads(self) -> float:
        return sum(call.reads for call in self.calls)

    @property
    def figures(self) -> tuple[int, int, float]:
        """Calls, write units, read units."""
        return len(self.calls), self.writes, self.reads

    @property
    def written(self) -> tuple[int, int, int]:
        """Calls, write units of items, write units of the indexes' entries."""
        items = sum(call.items for call in self.calls)
        return len(self.calls), items, self.writes - items

    @property
    def largest(self) -> int:
        """Bytes of the largest item that was written, before or after."""
        return max((call.largest for call in self.calls), default=0)

    def __add__(self, other: "Bill") -> "Bill":
        return Bill(self.calls + other.calls)


class Meter:
    """Collects calls; `bill()` gives those made within a `with`.

    `clients` are used in place of those that the adapters would make.
    """

    def __init__(self, clients: Sequence[Any] = ()) -> None:
        self.total = Bill()
        self._clients = clients

    @contextmanager
    def bill(self) -> Iterator[Bill]:
        start, bill = len(self.total.calls), Bill()
        try:
            yield bill
        finally:
            bill.calls = self.total.calls[start:]

    def caller(self) -> Callable[..., Awaitable[dict[str, Any]]]:
        """What stands in for `AwsCalls.call`: the same call, counted.

        It runs where it is made and not on a thread, so that every run is the same. The
        management API of sockets, which nothing stands for here, takes every post.
        """

        async def call(calls: AwsCalls, operation: str, **arguments: Any) -> dict[str, Any]:
            if operation == POST:
                self.total.calls.append(Call(operation, sent=len(arguments["Data"])))
                return {}
            if not self._clients:
                return self._counted(calls, operation, arguments)
            client = next(client for client in self._clients if hasattr(client, operation))
            with patch.object(calls, "_made", client):
                return self._counted(calls, operation, arguments)

        return call

    def _counted(self, calls: AwsCalls, operation: str, arguments: RawItem) -> dict[str, Any]:
        table = _Table(calls.client())
        places = _written_places(operation, arguments)
        before = [table.stored(*place) for place in places]
        reads = table.reads(operation, arguments)
        try:
            return calls._blocking(operation, arguments)
        finally:
            after = [table.stored(*place) for place in places]
            factor = 2 if operation == "transact_write_items" else 1
            pairs = list(zip(before, after, strict=True))
            counted = Call(
                operation,
                items=sum(factor * write_units(*pair) for pair in pairs),
                entries=sum(index_units(*pair) for pair in pairs),
                reads=reads,
                sent=len(arguments.get("MessageBody", "").encode()),
                largest=max((0, *map(item_bytes, [*before, *after]))),
            )
            self.total.calls.append(counted)


@contextmanager
def metered() -> Iterator[Bill]:
    """Count what the adapters call meanwhile, through the clients that they have."""
    meter = Meter()
    with patch.object(AwsCalls, "call", meter.caller()), meter.bill() as bill:
        yield bill


@cache
def clients() -> tuple[Any, ...]:
    """Clients for moto, made once: making one takes longer than any call."""
    access = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    names = ("dynamodb", "sqs", "ssm")
    return tuple(boto3.client(name, region_name="us-east-1", **access) for name in names)


class _Table:
    """Looks that are not counted."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def stored(self, table: str, key: RawItem) -> RawItem | None:
        item: RawItem | None = self._client.get_item(TableName=table, Key=key).get("Item")
        return item

    def reads(self, operation: str, arguments: RawItem) -> float:
        """Read units of a call."""
        if operation == "get_item":
            return read_units([self.stored(arguments["TableName"], arguments["Key"])])
        if operation == "query":
            whole = read_units(self._examined(arguments))
            return whole / 2 if "IndexName" in arguments else whole
        if operation == "batch_get_item":
            places = [(t, key) for t, a in arguments["RequestItems"].items() for key in a["Keys"]]
            return sum(read_units([self.stored(*place)]) for place in places)
        return 0

    def _examined(self, arguments: RawItem) -> list[RawItem | None]:
        bare = {name: value for name, value in arguments.items() if name not in AFTERWARDS}
        words = bare["KeyConditionExpression"].replace("(", " ").replace(")", " ").split()
        for kind in ("ExpressionAttributeNames", "ExpressionAttributeValues"):
            bare[kind] = {name: value for name, value in bare[kind].items() if name in words}
        items = self._client.query(**bare)["Items"]
        if index := arguments.get("IndexName"):
            stored = (self.stored(arguments["TableName"], _key(item)) for item in items)
            return [entry_of(item, index) for item in stored]
        return list(items)


def _key(item: Mapping[str, Any]) -> RawItem:
    return {"pk": item["pk"], "sk": item["sk"]}


def _written_places(operation: str, arguments: RawItem) -> list[tuple[str, RawItem]]:
    """Table and key of every item that a call writes."""
    if operation in {"put_item", "update_item", "delete_item"}:
        writes: list[RawItem] = [arguments]
    elif operation == "transact_write_items":
        writes = [next(iter(write.values())) for write in arguments["TransactItems"]]
    elif operation == "batch_write_item":
        writes = [
            {"TableName": table, **next(iter(request.values()))}
            for table, requests in arguments["RequestItems"].items()
            for request in requests
        ]
    else:
        writes = []
    return [(write["TableName"], _key(write.get("Key") or write["Item"])) for write in writes]
