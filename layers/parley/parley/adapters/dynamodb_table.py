"""The table: reads, conditional writes and transactions on plain Python values.

Knows how DynamoDB is called and what its refusals mean, nothing of prompts or threads.
Items come and go as dicts of str, int, bool, list and dict.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from boto3.session import Session
from botocore.exceptions import ClientError

from parley.adapters.aws import BUSY, BUSY_CODES, AwsCalls, client_config, error_code
from parley.adapters.dynamodb_expressions import (
    KEYS,
    ConditionCheck,
    Delete,
    Item,
    Key,
    Put,
    Span,
    Update,
    Write,
    changes,
    conditional,
    decoded_item,
    encoded_item,
    encoded_key,
    expressions,
)
from parley.core.errors import Busy
from parley.ports import Clock

READ_BATCH = 100
WRITE_BATCH = 25
ATTEMPTS = 5


class ConditionFailed(Exception):
    """A single write was refused; `item` is what is stored instead, if anything."""

    def __init__(self, item: Item | None) -> None:
        super().__init__()
        self.item = item


@dataclass(frozen=True, slots=True)
class Refusal:
    """Whether a write's condition failed, and what is stored in its place."""

    refused: bool
    item: Item | None


class TransactionFailed(Exception):
    """Conditions of a transaction failed; `refusals` has an entry per write, in order."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        super().__init__()
        self.refusals = refusals


class Contention(Busy):
    """Another write on one of the items was under way each time."""


class Table:
    """One table. Every read leaves out items that have expired: TTL deletes days late."""

    def __init__(self, name: str, calls: AwsCalls, clock: Clock) -> None:
        self._name = name
        self._calls = calls
        self._clock = clock
        self._random = secrets.SystemRandom()

    def now_seconds(self) -> int:
        """The wall clock in the unit of `expires_at`."""
        return self._clock.now() // 1000

    def _live(self, raw: Mapping[str, Any] | None) -> Item | None:
        item = decoded_item(raw)
        if item is None or item.get("expires_at", self.now_seconds() + 1) <= self.now_seconds():
            return None
        return item

    async def get(self, key: Key) -> Item | None:
        """One item; consistent."""
        answer = await self._calls.call(
            "get_item", TableName=self._name, Key=encoded_key(key), ConsistentRead=True
        )
        return self._live(answer.get("Item"))

    def _query(self, span: Span, limit: int) -> dict[str, Any]:
        pk, sk = KEYS[span.index]
        values = {":pk": span.pk, **span.condition.values}
        bounds = ""
        if span.high != "":
            bounds = f" AND #{sk} BETWEEN :low AND :high"
            values |= {":low": span.low, ":high": span.high}
        arguments = expressions(
            values,
            KeyConditionExpression=f"#{pk} = :pk{bounds}",
            FilterExpression=span.condition.text,
            ProjectionExpression=", ".join(f"#{name}" for name in span.attributes),
        )
        if span.index:
            arguments["IndexName"] = span.index
        else:
            arguments["ConsistentRead"] = True
        return arguments | {
            "TableName": self._name,
            "ScanIndexForward": not span.descending,
            "Limit": limit,
        }

    async def _page(self, arguments: dict[str, Any]) -> tuple[list[Item], Any]:
        answer = await self._calls.call("query", **arguments)
        items = [item for raw in answer["Items"] if (item := self._live(raw))]
        return items, answer.get("LastEvaluatedKey")

    async def page(self, span: Span, size: int) -> tuple[list[Item], bool]:
        """The first `size` items of a span or fewer, in one call, and whether more may follow."""
        items, last = await self._page(self._query(span, size))
        return items, last is not None

    async def pages(self, span: Span, size: int) -> AsyncIterator[list[Item]]:
        """The items of a span, `size` examined at a time, read only as consumed.

        Consistent on the table itself; an index lags behind by some milliseconds.
        """
        arguments = self._query(span, size)
        while True:
            items, last = await self._page(arguments)
            yield items
            if last is None:
                return
            arguments["ExclusiveStartKey"] = last

    async def every(self, span: Span) -> list[Item]:
        """All items of a span. Only for collections with a bound of their own."""
        return [item async for page in self.pages(span, 1000) for item in page]

    async def count(self, span: Span, cap: int, examined: int | None = None) -> int:
        """How many items a span has, not counting past `cap`.

        Of a span with a condition, `examined` bounds how many are looked at.
        """
        arguments = self._query(span, 1000) | {"Select": "COUNT"}
        total = looked_at = 0
        while total < cap:
            answer = await self._calls.call("query", **arguments)
            total += answer["Count"]
            looked_at += answer["ScannedCount"]
            if "LastEvaluatedKey" not in answer or (examined and looked_at >= examined):
                break
            arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        return min(total, cap)

    async def due(self, pks: Iterable[str], now: int, limit: int) -> list[Key]:
        """The keys of what is due in these shards of the index, the longest due first."""
        return [key for _, key in await self.due_since(pks, 0, now, limit)]

    async def due_since(
        self, pks: Iterable[str], since: int, now: int, limit: int
    ) -> list[tuple[int, Key]]:
        """What became due from `since` on, with its time."""
        spans = [Span(pk, since, now, "due") for pk in pks]
        found = await asyncio.gather(*(self.page(span, limit) for span in spans))
        items = sorted((item for items, _ in found for item in items), key=lambda i: i["duesk"])
        return [(item["duesk"], (item["pk"], item["sk"])) for item in items[:limit]]

    async def batch_get(self, keys: Sequence[Key]) -> dict[Key, Item]:
        """Items by their keys; consistent. Absent ones are left out."""
        found: dict[Key, Item] = {}
        distinct = list(dict.fromkeys(keys))
        for start in range(0, len(distinct), READ_BATCH):
            asked: dict[str, Any] = {
                "Keys": [encoded_key(key) for key in distinct[start : start + READ_BATCH]],
                "ConsistentRead": True,
            }
            answers = self._batched("batch_get_item", asked, "UnprocessedKeys")
            async for answer in answers:
                for raw in answer["Responses"].get(self._name, []):
                    if item := self._live(raw):
                        found[item["pk"], item["sk"]] = item
        return found

    async def batch_delete(self, keys: Sequence[Key]) -> None:
        """Delete items; absent ones are a success."""
        distinct = list(dict.fromkeys(keys))
        for start in range(0, len(distinct), WRITE_BATCH):
            some = distinct[start : start + WRITE_BATCH]
            asked = [{"DeleteRequest": {"Key": encoded_key(key)}} for key in some]
            async for _ in self._batched("batch_write_item", asked, "UnprocessedItems"):
                pass

    async def _batched(
        self, operation: str, asked: Any, unprocessed: str
    ) -> AsyncIterator[dict[str, Any]]:
        """The answers to a batch, with what DynamoDB left undone asked for again."""
        for attempt in range(ATTEMPTS):
            answer = await self._calls.call(operation, RequestItems={self._name: asked})
            yield answer
            asked = answer.get(unprocessed, {}).get(self._name)
            if not asked:
                return
            await self._pause(attempt)
        raise Busy(BUSY)

    async def _pause(self, attempt: int) -> None:
        await asyncio.sleep(self._random.uniform(0.01, 0.05) * 2**attempt)

    async def put(self, put: Put) -> None:
        """Store one item; raises ConditionFailed."""
        await self._single("put_item", self._write(put))

    async def delete(self, delete: Delete) -> None:
        """Delete one item; raises ConditionFailed."""
        await self._single("delete_item", self._write(delete))

    async def update(self, update: Update) -> Item:
        """Change one item and return it whole; raises ConditionFailed."""
        answer = await self._single(
            "update_item", self._write(update) | {"ReturnValues": "ALL_NEW"}
        )
        return decoded_item(answer["Attributes"]) or {}

    async def _single(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            return await self._calls.call(operation, **arguments)
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise
            item: Any = error.response.get("Item")
            raise ConditionFailed(decoded_item(item)) from None

    def _write(self, write: Write) -> dict[str, Any]:
        """The arguments of a write: the same alone and in a transaction."""
        match write:
            case Put(item, condition):
                target = {"Item": encoded_item(item)} | conditional(condition)
            case Delete(key, condition) | ConditionCheck(key, condition):
                target = {"Key": encoded_key(key)} | conditional(condition)
            case Update(key, condition=condition):
                target = {"Key": encoded_key(key)} | changes(write)
        if condition.text:
            target["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        return target | {"TableName": self._name}

    async def transact(self, writes: Sequence[Write], attempts: int = ATTEMPTS) -> None:
        """All writes or none.

        Raises TransactionFailed if a condition failed, Contention if other writes on the
        same items were under way in each of `attempts` attempts (boto3 repeats none).
        """
        items = [{type(write).__name__: self._write(write)} for write in writes]
        for attempt in range(attempts):
            if attempt:
                await self._pause(attempt)
            try:
                await self._calls.call("transact_write_items", TransactItems=items)
            except ClientError as error:
                _raise_unless_contended(error)
            else:
                return
        raise Contention(BUSY)


def _raise_unless_contended(error: ClientError) -> None:
    """Tell a canceled transaction's reasons apart, by their codes and places."""
    if error_code(error) != "TransactionCanceledException":
        raise error
    response: Any = error.response
    reasons = response.get("CancellationReasons", [])
    codes = [reason.get("Code", "None") for reason in reasons]
    if "ConditionalCheckFailed" in codes:
        refusals = [
            Refusal(code == "ConditionalCheckFailed", decoded_item(reason.get("Item")))
            for code, reason in zip(codes, reasons, strict=True)
        ]
        raise TransactionFailed(refusals) from None
    if "TransactionConflict" in codes:
        return
    if BUSY_CODES.intersection(codes):
        raise Busy(BUSY) from error
    raise error


def dynamodb_calls(threads: int = 32) -> AwsCalls:
    """DynamoDB of the function's region. 32 threads serve ten attempts and their watchers."""
    return AwsCalls(lambda: Session().client("dynamodb", config=client_config(threads)), threads)
