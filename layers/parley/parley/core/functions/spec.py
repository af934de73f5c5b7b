"""What a function is to a model, and how it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# What a function answers: a list of JSON objects.
Results = list[dict[str, Any]]

# An error that quotes an argument quotes no more of it.
QUOTED = 60


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """A function that a model may call; `parameters` is the JSON schema of its arguments."""

    name: str
    description: str
    parameters: Mapping[str, Any]


class BadArguments(Exception):
    """The call cannot be answered; the message is for the model."""


def failed(text: str) -> Results:
    """The answer of a call that failed."""
    return [{"error": text}]


def quoted(value: object) -> str:
    """A value as an error names it: a text is cut, of everything else only the type is told."""
    if not isinstance(value, str):
        return f"a value of the type {type(value).__name__}"
    return repr(value) if len(value) <= QUOTED else repr(value[:QUOTED]) + "…"
