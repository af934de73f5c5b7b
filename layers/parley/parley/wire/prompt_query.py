"""The query language of `POST /prompt-svc/prompts`, as far as an index serves it.

Filters are AND-ed. What would need a scan (other fields, operators, orders) is refused
with what is supported, and never answered with something else.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import Field

from parley.core.access import checked_id
from parley.core.errors import Invalid
from parley.core.prompt import Status
from parley.ports import COUNT_EXAMINED, PromptQuery
from parley.wire.fields import Body

DEFAULT_LIMIT = 20
LIMIT_CAP = 100
COUNT_CAP = 1000
VALUES_CAP = 100
DEFAULT_STATUSES = (Status.RUNNING, Status.SCHEDULED)
FIELDS = ("id", "threadId", "status", "modelId")
SUPPORTED = (
    "only filters on one of id, threadId, status, modelId with equals or isInList are supported"
)


class Filter(Body):
    """One condition."""

    fields: list[str] = Field(description="One of id, threadId, status, modelId.")
    op: str = Field(description="equals or isInList.")
    json_values: str | None = Field(None, description="A JSON array of values, as a string.")
    values_json: str | None = Field(None, description="Later name of jsonValues.")


class OrderBy(Body):
    """An order."""

    field: str = Field(description="createdAt")
    desc: bool | None = None
    randomize: bool | None = None
    sorting_type: str | None = None


class Query(Body):
    """A query; without a filter on status it finds the running and the scheduled."""

    filters: list[Filter] | None = None
    json_after: str | None = Field(
        None, description="A JSON array, as a string, of the `after` of the page before."
    )
    after_json: str | None = Field(None, description="Later name of jsonAfter.")
    limit: Annotated[int, Field(ge=0, le=LIMIT_CAP)] | None = Field(
        None, description=f"At most {LIMIT_CAP}; absent or 0 is {DEFAULT_LIMIT}."
    )
    order_bys: list[OrderBy] | None = None
    count: bool | None = Field(
        None,
        description=f"Count the matches, up to {COUNT_CAP}, "
        f"among the first {COUNT_EXAMINED} prompts in the order asked for.",
    )


class ListPrompts(Body):
    """Which prompts to list."""

    query: Query | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a query asks for; `nothing` if its filters exclude each other.

    `query` finds nobody's prompts until `usecases.read` binds it to its caller.
    """

    query: PromptQuery
    count: bool
    nothing: bool

    def limited(self, limit: int) -> PromptQuery:
        return replace(self.query, limit=limit)


def asked(query: Query) -> Asked:
    """The query in the words of the store; raises Invalid."""
    wanted = _wanted(query.filters or [])
    statuses = wanted.get("status")
    threads = wanted.get("threadId", [""])
    if len(threads) > 1:
        raise Invalid("query.filters: threadId takes one value")
    for field in ("id", "threadId"):
        for value in wanted.get(field, []):
            checked_id(value, f"query.filters: {field}")
    return Asked(
        query=PromptQuery(
            account="",
            user_id="",
            ids=tuple(wanted.get("id", ())),
            thread_id=threads[0] if threads else "",
            statuses=DEFAULT_STATUSES if statuses is None else _statuses(statuses),
            model_ids=tuple(wanted.get("modelId", ())),
            descending=_descending(query.order_bys or []),
            limit=query.limit or DEFAULT_LIMIT,
            after=_cursor(query),
        ),
        count=bool(query.count),
        nothing=not all(wanted.values()),
    )


def _wanted(filters: Sequence[Filter]) -> dict[str, list[str]]:
    """Per field the values that all its filters allow."""
    wanted: dict[str, list[str]] = {}
    for filter_ in filters:
        if len(filter_.fields) != 1 or filter_.fields[0] not in FIELDS:
            raise Invalid(f"query.filters: {SUPPORTED}")
        if filter_.op not in {"equals", "isInList"}:
            raise Invalid(f"query.filters: {SUPPORTED}")
        field = filter_.fields[0]
        values = _values(filter_)
        before = wanted.get(field, values)
        wanted[field] = [value for value in values if value in before]
    return wanted


def _values(filter_: Filter) -> list[str]:
    name = "jsonValues" if filter_.values_json is None else "valuesJson"
    values = _strings(filter_.json_values or filter_.values_json or "", name)
    if filter_.op == "equals" and len(values) != 1:
        raise Invalid(f"query.filters: equals takes one value in {name}")
    if len(values) > VALUES_CAP:
        raise Invalid(f"query.filters: {name} takes at most {VALUES_CAP} values")
    return list(dict.fromkeys(values))


def _strings(text: str, name: str) -> list[str]:
    """The strings of a JSON array in a string. A list as its only member is taken for it."""
    try:
        values: Any = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    if isinstance(values, list) and len(values) == 1 and isinstance(values[0], list):
        values = values[0]
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise Invalid(f"query: {name} must be a JSON array of strings, as a string")
    return values


def _statuses(values: Sequence[str]) -> tuple[Status, ...]:
    known: dict[str, Status] = {status.value: status for status in Status}
    if any(value not in known for value in values):
        raise Invalid(f"query.filters: status is one of {', '.join(known)}")
    return tuple(known[value] for value in values)


def _descending(order_bys: Sequence[OrderBy]) -> bool:
    if not order_bys:
        return False
    order = order_bys[0]
    odd = order.randomize or order.sorting_type == "random"
    if len(order_bys) > 1 or order.field != "createdAt" or odd:
        raise Invalid("query.orderBys: only createdAt, ascending or descending, is supported")
    return bool(order.desc)


def _cursor(query: Query) -> str:
    name = "jsonAfter" if query.after_json is None else "afterJson"
    text = query.json_after or query.after_json
    if not text:
        return ""
    values = _strings(text, name)
    if len(values) > 1:
        raise Invalid(f"query: {name} holds the one `after` of the page before")
    return values[0] if values else ""
