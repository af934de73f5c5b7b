"""The one table from the domain's errors to HTTP, and what a refusal looks like.

Whatever a caller may be told is the message of a `ParleyError`. Of anything else the
caller learns that it happened, and the log learns its type: an exception's text may
quote a prompt or a provider (I9).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pydantic.alias_generators import to_camel, to_snake

from parley.core.errors import (
    Busy,
    Conflict,
    Forbidden,
    Invalid,
    Limited,
    NotFound,
    ParleyError,
    TooLarge,
    TooManyConnections,
    TooManyOpenTurns,
    Unauthenticated,
    Unavailable,
    WrongManifests,
)

RETRY_SECONDS = 1
FIELDS_NAMED = 5
# What pydantic says besides what is expected, and nobody else understands.
NOISE = re.compile(r"^Value error, | after validation|, unable to parse string as .*")
SUBJECT = re.compile(r"^(Input|String|List|Dictionary) should ")
WORDS = {"missing": "must be given", "model_attributes_type": "must be an object"}


class MethodNotAllowed(ParleyError):
    """The path exists, not with this method."""

    def __init__(self, allowed: str) -> None:
        super().__init__(f"this path answers {allowed}")
        self.allowed = allowed


class NotServed(ParleyError):
    """The path is one of the contract's, and this service does not do what it is for."""


class UnsupportedEncoding(ParleyError):
    """The body is compressed in a way that is not supported."""


# The most specific class that an error has decides; a class that is missing here is a 500.
STATUS: Mapping[type[ParleyError], int] = MappingProxyType(
    {
        Invalid: 400,
        Unauthenticated: 401,
        Forbidden: 403,
        NotFound: 404,
        MethodNotAllowed: 405,
        Conflict: 409,
        TooLarge: 413,
        UnsupportedEncoding: 415,
        Limited: 429,
        TooManyOpenTurns: 429,
        TooManyConnections: 429,
        NotServed: 501,
        Busy: 503,
        Unavailable: 503,
    }
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The answer to a call that failed."""

    status: int
    code: str
    text: str
    headers: dict[str, str] = field(default_factory=dict)
    errors: Sequence[str] = ()

    @property
    def body(self) -> dict[str, Any]:
        """`error` is for people, `code` for programs; `errors` are all of it, if there are several.

        The codes are the names of the errors' classes, so a class that is renamed breaks callers.
        """
        told = {"error": self.text, "code": self.code}
        return told | ({"errors": list(self.errors)} if self.errors else {})


INTERNAL = Refusal(500, "internal_error", "internal error")


def status_of(error: type[Exception]) -> int:
    """The status of an error's class."""
    return next((STATUS[kind] for kind in error.__mro__ if kind in STATUS), INTERNAL.status)


def code_of(error: type[ParleyError]) -> str:
    """The code of an error's class."""
    return to_snake(error.__name__)


def refusal_of(error: Exception) -> Refusal:
    """What a caller is told of an error."""
    status = status_of(type(error))
    if status == INTERNAL.status or not isinstance(error, ParleyError):
        return INTERNAL
    problems = error.problems if isinstance(error, WrongManifests) else ()
    return Refusal(status, code_of(type(error)), str(error), _headers(error, status), problems)


def _headers(error: Exception, status: int) -> dict[str, str]:
    if isinstance(error, MethodNotAllowed):
        return {"Allow": error.allowed}
    if status == 401:
        return {"WWW-Authenticate": "Bearer"}
    if status == 503:
        return {"Retry-After": str(RETRY_SECONDS)}
    return {}


def wrong_fields(problems: Sequence[Any]) -> Refusal:
    """What a caller is told of fields that pydantic refused.

    Each with what is expected of it; never what was sent (I9).
    """
    lines = []
    for problem in problems[:FIELDS_NAMED]:
        where, *fields = problem["loc"]
        path = ".".join(to_camel(field) if where == "path" else str(field) for field in fields)
        if not path:
            return _invalid("Invalid JSON")  # the body is missing: the contract's words
        lines.append(f"{path}: {expected(problem['type'], problem['msg'])}")
    return _invalid("; ".join(lines))


def _invalid(text: str) -> Refusal:
    return Refusal(STATUS[Invalid], code_of(Invalid), text)


def expected(kind: str, message: str) -> str:
    """What pydantic says of a field, as people do: what it must be."""
    return WORDS.get(kind) or SUBJECT.sub("must ", NOISE.sub("", message))
