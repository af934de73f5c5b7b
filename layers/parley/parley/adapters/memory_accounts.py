"""Accounts, keys, catalogues and what accounts describe, in memory."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

from parley.adapters.memory_prompts import cursor, position
from parley.core.access import ApiKey
from parley.core.errors import Conflict, LabelTaken, TransitionRefused
from parley.core.model import Catalogue
from parley.core.resource import Kind, Resource
from parley.ports import Page, TurnCounts

STICKY_MS = 24 * 60 * 60 * 1000


class MemoryResources:
    """`ports.ResourceStore`."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, Kind, str], Resource] = {}
        self.last: dict[tuple[str, Kind], int] = {}

    async def resource(self, account: str, kind: Kind, name: str) -> Resource | None:
        return self.stored.get((account, kind, name))

    def _of(self, account: str, kind: Kind) -> list[Resource]:
        found = [one for key, one in self.stored.items() if key[:2] == (account, kind)]
        return sorted(found, key=lambda resource: resource.name)

    async def by_number(self, account: str, kind: Kind, number: int) -> Resource | None:
        found = [one for one in self._of(account, kind) if one.number == number]
        return found[0] if found else None

    async def by_host(self, host: str) -> Resource | None:
        found = [one for one in self.stored.values() if host and one.host == host]
        return found[0] if found else None

    async def resources(self, account: str, kind: Kind, limit: int, after: str) -> Page[Resource]:
        last = position(after) if after else ""
        found = [one for one in self._of(account, kind) if one.name > last]
        page = found[:limit]
        return Page(page, cursor(page[-1].name) if len(found) > len(page) else "")

    async def some(self, account: str, kind: Kind, names: Sequence[str]) -> Sequence[Resource]:
        found = (self.stored.get((account, kind, name)) for name in dict.fromkeys(names))
        return [one for one in found if one is not None]

    async def _check_host(self, resource: Resource) -> None:
        other = await self.by_host(resource.host)
        if other and (other.account, other.name) != (resource.account, resource.name):
            raise Conflict(f"the host {resource.host} leads to another llm_client")

    async def add(self, resource: Resource) -> Resource:
        place = (resource.account, resource.kind)
        if (*place, resource.name) in self.stored:
            raise Conflict(f"the {resource.kind} {resource.name} exists")
        if resource.twin and (*place, resource.twin) in self.stored:
            raise LabelTaken(f"{resource.kind} {resource.twin} has the same label in its host")
        await self._check_host(resource)
        self.last[place] = self.last.get(place, 0) + 1
        return self._keep(replace(resource, number=self.last[place], revision=1))

    async def replace(self, resource: Resource) -> Resource:
        stored = await self.resource(resource.account, resource.kind, resource.name)
        changed = _whole(replace(resource, revision=resource.revision + 1))
        if stored == changed:
            return stored
        seen = (resource.number, resource.revision)
        if stored is None or (stored.number, stored.revision) != seen:
            raise TransitionRefused("replace")
        await self._check_host(resource)
        return self._keep(changed)

    def _keep(self, resource: Resource) -> Resource:
        kept = _whole(resource)
        self.stored[kept.account, kept.kind, kept.name] = kept
        return kept

    async def delete(self, resource: Resource) -> None:
        stored = await self.resource(resource.account, resource.kind, resource.name)
        if stored and stored.number == resource.number:
            del self.stored[stored.account, stored.kind, stored.name]


def _whole(resource: Resource) -> Resource:
    """A copy of its own, through JSON: what is no JSON fails here as it does in the table."""
    return replace(
        resource,
        spec=json.loads(json.dumps(resource.spec)),
        annotations=tuple(json.loads(json.dumps(resource.annotations))),
    )


class MemoryChat:
    """`ports.ChatStore`."""

    def __init__(self) -> None:
        self.turns: dict[tuple[str, str, int], dict[str, int]] = {}
        self.kept: dict[tuple[str, str], tuple[int, str]] = {}

    async def count_turn(
        self, account: str, client: str, address: str, minute: int, caps: tuple[int, int]
    ) -> TurnCounts:
        counted = self.turns.setdefault((account, client, minute), {})
        full = TurnCounts(
            client_full=sum(counted.values()) >= caps[0],
            address_full=counted.get(address, 0) >= caps[1],
        )
        if full == TurnCounts():
            counted[address] = counted.get(address, 0) + 1
        return full

    async def sticky(self, account: str, id_: str, fresh: str, now: int, *, renew: bool) -> str:
        until, text = self.kept.get((account, id_), (0, ""))
        if renew or until <= now:
            self.kept[account, id_] = (now // 1000 * 1000 + STICKY_MS, fresh)
            return fresh
        return text


class MemoryAccounts:
    """`ports.KeyStore` and `ports.CatalogueStore`. `now` is the clock that keys expire by."""

    def __init__(
        self, now: Callable[[], int] = lambda: 0, resources: MemoryResources | None = None
    ) -> None:
        self.now = now
        self.resources = resources or MemoryResources()
        self.named: dict[str, tuple[str, int]] = {}
        self.by_hash: dict[str, ApiKey] = {}
        self.catalogues: dict[str, Catalogue] = {}

    async def create_account(self, account: str, name: str, now: int) -> None:
        if account in self.named:
            raise Conflict("the account exists")
        self.named[account] = (name, now)

    async def accounts(self) -> Sequence[tuple[str, str, int]]:
        found = [(account, name, at) for account, (name, at) in self.named.items()]
        return sorted(found, key=lambda entry: (entry[2], entry[0]))

    async def put_key(self, key: ApiKey) -> None:
        self.by_hash[key.hash] = key

    async def key(self, hash_: str) -> ApiKey | None:
        found = self.by_hash.get(hash_)
        expired = found is not None and 0 < found.expires_at <= self.now() // 1000
        return None if expired else found

    async def keys(self, account: str) -> Sequence[ApiKey]:
        found = [k for k in self.by_hash.values() if k.account == account and not k.expires_at]
        return sorted(found, key=lambda key: (key.created_at, key.id))

    async def revoke_key(self, account: str, key_id: str, now: int) -> ApiKey | None:
        for key in await self.keys(account):
            if key.id == key_id:
                revoked = replace(key, revoked_at=key.revoked_at or now)
                self.by_hash[key.hash] = revoked
                return revoked
        return None

    async def catalogue(self, account: str) -> Catalogue:
        return self.catalogues.get(account, Catalogue())

    async def put_catalogue(self, account: str, catalogue: Catalogue) -> None:
        changed = replace(catalogue, version=catalogue.version + 1)
        stored = await self.catalogue(account)
        if stored.version != catalogue.version and stored != changed:
            raise TransitionRefused("put_catalogue")
        self.catalogues[account] = changed

    async def with_client(
        self, account: str, client: str, plugins: Sequence[str] = ()
    ) -> tuple[Catalogue, Resource | None, Sequence[Resource]]:
        described = await self.resources.resource(account, Kind.LLM_CLIENT, client)
        stored = (self.resources.stored.get((account, Kind.PLUGIN, name)) for name in plugins)
        return await self.catalogue(account), described, [one for one in stored if one]
