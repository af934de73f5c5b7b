"""What DynamoDB bills, by its published rules. moto reports no such figures.

A write: the larger size of the item before and after, in steps of 1 KB, double in a
transaction; and for each index one write per entry that is made, removed or changed in what the
index projects, two if an entry moves. A read: one unit per started 4 KB of what it examined.
"""

from collections.abc import Sequence
from typing import Any

from tests.conformance.table import INDEXES

RawItem = dict[str, Any]
WRITE_BYTES = 1024
READ_BYTES = 4096


def attribute_bytes(attribute: RawItem) -> int:
    """The size of a value."""
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


def write_units(*items: RawItem | None) -> int:
    """Write units for an item that is, or was, one of these."""
    return max(1, -(-max(item_bytes(item) for item in items) // WRITE_BYTES))


def read_units(items: Sequence[RawItem | None]) -> int:
    """Read units for one consistent look at these."""
    return max(1, -(-sum(map(item_bytes, items)) // READ_BYTES))


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
            total += write_units(old) + write_units(new)
        else:
            total += write_units(old, new)
    return total
