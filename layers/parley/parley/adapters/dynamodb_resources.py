"""What accounts describe in manifests, in DynamoDB.

| item | pk | sk |
|---|---|---|
| resource | `{account}#R#{kind}` | its name |
| copy by its number | `{account}#R#{kind}#n` | `{number}` |
| the last number given | the same | `last` |
| copy by its verified host | `H#{host}` | `host` |

Every lookup is one consistent read: the copies are whole, and written in one transaction. A
host is looked up before its account is known, as a connection and a key are.
"""

import json
from collections.abc import Sequence
from dataclasses import replace

from parley.adapters.aws import BUSY
from parley.adapters.dynamodb_conditions import ABSENT
from parley.adapters.dynamodb_cursors import beyond, cursor, position_in
from parley.adapters.dynamodb_expressions import (
    Condition,
    ConditionCheck,
    Delete,
    Item,
    Key,
    Put,
    Span,
    Update,
    Write,
)
from parley.adapters.dynamodb_items import LAST, plain, taken
from parley.adapters.dynamodb_table import ATTEMPTS, Refusal, Table, TransactionFailed
from parley.core.errors import Busy, Conflict, LabelTaken, TransitionRefused
from parley.core.resource import Kind, Resource
from parley.ports import Page

PLAIN = (
    "account",
    "name",
    "created_at",
    "updated_at",
    "description",
    "version",
    "number",
    "revision",
    "host",
)


def _pk(account: str, kind: Kind) -> str:
    return f"{account}#R#{kind.value}"


def resource_key(account: str, kind: Kind, name: str) -> Key:
    return _pk(account, kind), name


def _number_key(account: str, kind: Kind, number: int) -> Key:
    return f"{_pk(account, kind)}#n", f"{number:010d}"


def _last_key(account: str, kind: Kind) -> Key:
    return f"{_pk(account, kind)}#n", "last"


def _host_key(host: str) -> Key:
    return f"H#{host}", "host"


def _fields(resource: Resource) -> Item:
    """Spec and annotations as JSON text: a manifest's numbers need not be whole."""
    stored = {
        "kind": resource.kind.value,
        "spec": json.dumps(resource.spec, ensure_ascii=False, separators=(",", ":")),
        **plain(resource, PLAIN),
    }
    if resource.tags:
        stored["tags"] = list(resource.tags)
    if resource.annotations:
        stored["annotations"] = json.dumps(list(resource.annotations), ensure_ascii=False)
    return stored


def _put(key: Key, resource: Resource, condition: Condition) -> Put:
    return Put({"pk": key[0], "sk": key[1], **_fields(resource)}, condition)


def to_resource(item: Item) -> Resource:
    empty: Item = {"created_at": 0, "updated_at": 0, "version": ""}
    return Resource(
        kind=Kind(item["kind"]),
        spec=json.loads(item["spec"]),
        tags=tuple(item.get("tags", ())),
        annotations=tuple(json.loads(item.get("annotations", "[]"))),
        **(empty | taken(item, PLAIN)),
    )


def _writes(resource: Resource, condition: Condition) -> list[Write]:
    """The resource, its copy by number, and the one by host if it has one, in this order."""
    place = (resource.account, resource.kind)
    writes: list[Write] = [
        _put(resource_key(*place, resource.name), resource, condition),
        _put(_number_key(*place, resource.number), resource, Condition("")),
    ]
    if resource.host:
        # Race: two llm_clients get one host verified at once; it leads to one of them.
        free = Condition(
            "attribute_not_exists(#pk) OR (#account = :account AND #name = :name)",
            {":account": resource.account, ":name": resource.name},
        )
        writes.append(_put(_host_key(resource.host), resource, free))
    return writes


def _raise_if_host_taken(resource: Resource, refusals: Sequence[Refusal]) -> None:
    if resource.host and refusals[2].refused:
        raise Conflict(f"the host {resource.host} leads to another llm_client") from None


def _alone(resource: Resource) -> list[Write]:
    """That no other llm_client has the label of a new one.

    Race: two calls apply a-b and a_b at once, and neither sees the other's when it is looked
    at. One host would lead to both.
    """
    twin = resource.twin
    place = (resource.account, resource.kind)
    return [ConditionCheck(resource_key(*place, twin), ABSENT)] if twin else []


def _raise_if_label_taken(resource: Resource, refusals: Sequence[Refusal]) -> None:
    # The check is the last but one: the number comes after it.
    if resource.twin and refusals[-2].refused:
        text = f"{resource.kind} {resource.twin} has the same label in its host"
        raise LabelTaken(text) from None


class DynamoResources:
    """`ports.ResourceStore`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def _get(self, key: Key) -> Resource | None:
        item = await self._table.get(key)
        return to_resource(item) if item else None

    async def resource(self, account: str, kind: Kind, name: str) -> Resource | None:
        return await self._get(resource_key(account, kind, name))

    async def by_number(self, account: str, kind: Kind, number: int) -> Resource | None:
        return await self._get(_number_key(account, kind, number))

    async def by_host(self, host: str) -> Resource | None:
        return await self._get(_host_key(host))

    async def resources(self, account: str, kind: Kind, limit: int, after: str) -> Page[Resource]:
        """A page may be short, with a cursor: one read ends at 1 MB of specs."""
        name = f"resources {kind.value}"
        position = position_in(name, after)
        span = beyond(Span(_pk(account, kind), "!", LAST), position)
        found, more = await self._table.page(span, limit + 2)
        items = [item for item in found if item["sk"] != position]
        page = items[:limit]
        more = more or len(items) > len(page)
        after = cursor(name, page[-1]["sk"]) if page and more else ""
        return Page([to_resource(item) for item in page], after)

    async def some(self, account: str, kind: Kind, names: Sequence[str]) -> Sequence[Resource]:
        items = await self._table.batch_get([resource_key(account, kind, name) for name in names])
        return [to_resource(item) for item in items.values()]

    async def add(self, resource: Resource) -> Resource:
        """Race: two new ones read the same last number. It moves once, and the refusal says
        to where; the second one takes the number after that.
        """
        place = (resource.account, resource.kind)
        item = await self._table.get(_last_key(*place))
        for _ in range(ATTEMPTS):
            last = item["last"] if item else 0
            unmoved = Condition("#last = :last", {":last": last}) if last else ABSENT
            counted = Update(_last_key(*place), sets={"last": last + 1}, condition=unmoved)
            made = replace(resource, number=last + 1, revision=1)
            try:
                await self._table.transact([*_writes(made, ABSENT), *_alone(made), counted])
            except TransactionFailed as failed:
                if failed.refusals[0].refused:
                    raise Conflict(f"the {resource.kind} {resource.name} exists") from None
                _raise_if_label_taken(made, failed.refusals)
                _raise_if_host_taken(made, failed.refusals)
                item = failed.refusals[-1].item
            else:
                return made
        raise Busy(BUSY)

    async def replace(self, resource: Resource) -> Resource:
        """Reads first, for the host that it had: that copy goes in the same transaction."""
        changed = replace(resource, revision=resource.revision + 1)
        stored = await self.resource(resource.account, resource.kind, resource.name)
        if stored == changed:
            return stored  # its own write, repeated because the response was lost
        if stored is None or not _same(stored, resource):
            raise TransitionRefused("replace")
        writes = _writes(changed, _as_read(stored))
        if stored.host and stored.host != changed.host:
            writes.append(Delete(_host_key(stored.host)))
        try:
            await self._table.transact(writes)
        except TransactionFailed as failed:
            if failed.refusals[0].refused:
                raise TransitionRefused("replace") from None
            _raise_if_host_taken(changed, failed.refusals)
            raise
        return changed

    async def delete(self, resource: Resource) -> None:
        """Race: it is changed meanwhile, and gets a host: then it is read again, or the copy
        by that host would stay.
        """
        place = (resource.account, resource.kind)
        for _ in range(ATTEMPTS):
            stored = await self.resource(*place, resource.name)
            if stored is None or stored.number != resource.number:
                return
            writes: list[Write] = [
                Delete(resource_key(*place, stored.name), _as_read(stored)),
                Delete(_number_key(*place, stored.number)),
            ]
            if stored.host:
                writes.append(Delete(_host_key(stored.host)))
            try:
                await self._table.transact(writes)
            except TransactionFailed:
                continue
            return
        raise Busy(BUSY)


def _same(stored: Resource, seen: Resource) -> bool:
    """Unchanged since it was seen; a name that is used again has another number."""
    return (stored.number, stored.revision) == (seen.number, seen.revision)


def _as_read(stored: Resource) -> Condition:
    return Condition(
        "#number = :number AND #revision = :revision",
        {":number": stored.number, ":revision": stored.revision},
    )
