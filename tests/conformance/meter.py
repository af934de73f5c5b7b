"""Counts the calls that a store makes and the write units that they cost.

DynamoDB bills a write by the larger size of the item before and after, in steps of 1 KB,
double in a transaction; and for each index one write per entry that is made, removed or
changed in what the index projects, two if an entry moves. moto reports no such figures,
so they are computed here from the item before and after each write.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.conformance.table import INDEXES

RawItem = dict[str, Any]
KB = 1024
WRITES = {"PutItem": "Put", "UpdateItem": "Update", "DeleteItem": "Delete"}


def attribute_bytes(attribute: dict[str, Any]) -> int:
    """The size of a value by DynamoDB's published rules."""
    ((kind, value),) = attribute.items()
    if kind == "S":
        return len(value.encode())
    if kind == "N":
        return len(value.strip("-").lstrip("0")) // 2 + 2
    if kind == "L":
        return 3 + sum(1 + attribute_bytes(part) for part in value)
    if kind == "M":
        return 3 + sum(1 + len(n.encode()) + attribute_bytes(part) for n, part in value.items())
    return 1


def item_bytes(item: RawItem | None) -> int:
    """The size of an item: its names and its values."""
    return sum(len(n.encode()) + attribute_bytes(value) for n, value in (item or {}).items())


def units(*items: RawItem | None) -> int:
    """Write units for an item that is, or was, one of these."""
    return max(1, -(-max(item_bytes(item) for item in items) // KB))


def entry_of(item: RawItem | None, index: str) -> RawItem | None:
    """What an index holds of an item; nothing if the item lacks one of its keys."""
    keys, projection = INDEXES[index]
    if not item or any(key not in item for key in keys):
        return None
    names = {"pk", "sk", *keys, *projection.get("NonKeyAttributes", ())}
    return {name: value for name, value in item.items() if name in names}


def index_units(before: RawItem | None, after: RawItem | None) -> int:
    """What the indexes cost when an item changes."""
    total = 0
    for index, (keys, _) in INDEXES.items():
        old, new = entry_of(before, index), entry_of(after, index)
        if old == new:
            continue
        if old and new and any(old[key] != new[key] for key in keys):
            total += units(old) + units(new)
        else:
            total += units(old, new)
    return total


@dataclass
class Meter:
    """What was counted: calls by operation, units of items and of indexes, largest item."""

    calls: Counter[str] = field(default_factory=Counter)
    item_units: int = 0
    index_units: int = 0
    largest: int = 0

    @property
    def units(self) -> int:
        return self.item_units + self.index_units

    @property
    def total_calls(self) -> int:
        return self.calls.total()

    def wrote(self, before: RawItem | None, after: RawItem | None, factor: int) -> None:
        """Count one write."""
        self.item_units += factor * units(before, after)
        self.index_units += index_units(before, after)
        self.largest = max(self.largest, item_bytes(before), item_bytes(after))


def _targets(operation: str, params: dict[str, Any]) -> list[tuple[str, RawItem]]:
    """Table and key of each item that a call writes."""
    if operation in WRITES:
        writes = [params]
    elif operation == "TransactWriteItems":
        writes = [next(iter(write.values())) for write in params["TransactItems"]]
    elif operation == "BatchWriteItem":
        writes = [
            {"TableName": table, **next(iter(request.values()))}
            for table, requests in params["RequestItems"].items()
            for request in requests
        ]
    else:
        writes = []
    keyed = [(write["TableName"], write.get("Key") or write["Item"]) for write in writes]
    return [(table, {"pk": key["pk"], "sk": key["sk"]}) for table, key in keyed]


class _Hooks:
    """Looks at each item before and after a call. Its own looks are not counted."""

    def __init__(self, client: Any, meter: Meter) -> None:
        self.client = client
        self.meter = meter
        self.looking = False
        self.pending: list[tuple[str, list[tuple[str, RawItem]], list[RawItem | None]]] = []

    def look(self, targets: list[tuple[str, RawItem]]) -> list[RawItem | None]:
        self.looking = True
        try:
            return [
                self.client.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
                for table, key in targets
            ]
        finally:
            self.looking = False

    def before(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        if self.looking:
            return
        self.meter.calls[model.name] += 1
        targets = _targets(model.name, params)
        self.pending.append((model.name, targets, self.look(targets)))

    def after(self, http_response: Any, model: Any, **_: Any) -> None:
        if self.looking:
            return
        operation, targets, before = self.pending.pop()
        if http_response.status_code >= 400:
            return
        factor = 2 if operation == "TransactWriteItems" else 1
        for old, new in zip(before, self.look(targets), strict=True):
            self.meter.wrote(old, new, factor)


@contextmanager
def metered(client: Any) -> Iterator[Meter]:
    """Count what is called through `client` meanwhile, one call at a time."""
    meter = Meter()
    hooks = _Hooks(client, meter)
    events = client.meta.events
    events.register("provide-client-params.dynamodb", hooks.before)
    events.register("after-call.dynamodb", hooks.after)
    try:
        yield meter
    finally:
        events.unregister("provide-client-params.dynamodb", hooks.before)
        events.unregister("after-call.dynamodb", hooks.after)
