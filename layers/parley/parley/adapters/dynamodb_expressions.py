"""What is asked of the table: items, spans, conditions and writes, as DynamoDB takes them.

Items are dicts of str, int, bool, list and dict. In expressions `#name` stands for the
attribute `name`: every name is passed apart from the text, as many are reserved words.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Item = dict[str, Any]
Key = tuple[str, str]

# Index → its key attributes. by_message has no sort key.
KEYS: Mapping[str, tuple[str, str]] = {
    "": ("pk", "sk"),
    "by_owner": ("g1pk", "g1sk"),
    "by_account": ("g2pk", "g2sk"),
    "by_open": ("g3pk", "g3sk"),
    "by_message": ("g4pk", ""),
    "due": ("duepk", "duesk"),
}
NAMES = re.compile(r"#(\w+)")


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition expression: `#name` stands for the attribute `name`, `:x` for a value."""

    text: str
    values: Mapping[str, Any] = field(default_factory=dict)


ALWAYS = Condition("")


@dataclass(frozen=True, slots=True)
class Put:
    """Store a whole item."""

    item: Item
    condition: Condition = ALWAYS


@dataclass(frozen=True, slots=True)
class Update:
    """Change attributes: set, add a number (absent counts as 0), remove."""

    key: Key
    sets: Mapping[str, Any] = field(default_factory=dict)
    adds: Mapping[str, int] = field(default_factory=dict)
    removes: Sequence[str] = ()
    condition: Condition = ALWAYS


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an item."""

    key: Key
    condition: Condition = ALWAYS


@dataclass(frozen=True, slots=True)
class ConditionCheck:
    """Write nothing: a condition of a transaction, on an item that it leaves as it is."""

    key: Key
    condition: Condition


Write = Put | Update | Delete | ConditionCheck


@dataclass(frozen=True, slots=True)
class Span:
    """Part of an item collection of the table or of an index, both ends included."""

    pk: str
    low: str | int = ""
    high: str | int = ""
    index: str = ""
    descending: bool = False
    condition: Condition = ALWAYS
    attributes: tuple[str, ...] = ()


def encoded(value: Any) -> dict[str, Any]:
    """A value as DynamoDB's typed JSON. Enumerations of text are text."""
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": str(value)}
    if isinstance(value, int):
        return {"N": str(value)}
    if isinstance(value, Mapping):
        return {"M": {name: encoded(part) for name, part in value.items()}}
    if isinstance(value, Sequence):
        return {"L": [encoded(part) for part in value]}
    raise TypeError(f"no attribute type for {type(value).__name__}")


def decoded(attribute: Mapping[str, Any]) -> Any:
    """The value of an attribute that `encoded` made."""
    ((kind, value),) = attribute.items()
    if kind == "N":
        return int(value)
    if kind == "M":
        return {name: decoded(part) for name, part in value.items()}
    if kind == "L":
        return [decoded(part) for part in value]
    return value


def encoded_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item as DynamoDB takes it."""
    return {name: encoded(value) for name, value in item.items()}


def decoded_item(raw: Mapping[str, Any] | None) -> Item | None:
    """An item as DynamoDB gives it; None for an absent one, which comes as an empty map."""
    return {name: decoded(value) for name, value in raw.items()} if raw else None


def encoded_key(key: Key) -> dict[str, Any]:
    return encoded_item({"pk": key[0], "sk": key[1]})


def expressions(values: Mapping[str, Any], **texts: str) -> dict[str, Any]:
    """The expressions that are not empty, with the names they mention and the values."""
    arguments: dict[str, Any] = {name: text for name, text in texts.items() if text}
    if names := set(NAMES.findall(" ".join(texts.values()))):
        arguments["ExpressionAttributeNames"] = {f"#{name}": name for name in sorted(names)}
    if values:
        arguments["ExpressionAttributeValues"] = encoded_item(values)
    return arguments


def conditional(condition: Condition) -> dict[str, Any]:
    return expressions(condition.values, ConditionExpression=condition.text)


def changes(update: Update) -> dict[str, Any]:
    clauses = []
    if update.sets:
        clauses.append("SET " + ", ".join(f"#{name} = :set_{name}" for name in update.sets))
    if update.adds:
        clauses.append("ADD " + ", ".join(f"#{name} :add_{name}" for name in update.adds))
    if update.removes:
        clauses.append("REMOVE " + ", ".join(f"#{name}" for name in update.removes))
    values = {
        **update.condition.values,
        **{f":set_{name}": value for name, value in update.sets.items()},
        **{f":add_{name}": value for name, value in update.adds.items()},
    }
    return expressions(
        values, UpdateExpression=" ".join(clauses), ConditionExpression=update.condition.text
    )
