"""Where each kind of manifest is stored: resources, keys, the catalogue's entries."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from parley.core.access import ApiKey, KeyRole, Principal
from parley.core.catalogue_manifests import (
    model_manifest,
    model_of,
    provider_manifest,
    provider_of,
    with_entry,
    without_entry,
)
from parley.core.errors import Conflict, LabelTaken, TransitionRefused, WrongCursor
from parley.core.manifest import STORED_AS_RESOURCE, Manifest, ManifestKind
from parley.core.model import Catalogue
from parley.core.resource import Resource
from parley.ports import Clock, Page, ResourceStore, SecretStore
from parley.usecases.catalogue import Models
from parley.usecases.keys import Keys

T = TypeVar("T")


class ManifestStore(Protocol):
    """Where manifests of some kinds are."""

    async def find(self, principal: Principal, kind: ManifestKind, name: str, /) -> Manifest | None:
        """What is stored; None if nothing is."""

    async def page(
        self, principal: Principal, kind: ManifestKind, limit: int, after: str, /
    ) -> Page[Manifest]:
        """Those of a kind; raises WrongCursor for a cursor of something else."""

    def completed(self, before: Manifest | None, after: Manifest, /) -> Manifest:
        """What would be stored of a manifest, with what it leaves as it is."""

    async def put(self, principal: Principal, before: Manifest | None, after: Manifest, /) -> str:
        """Create or change; a secret to be shown this once, else empty.

        Raises TransitionRefused if `before` is not what is stored any more.
        """

    async def delete(self, principal: Principal, manifest: Manifest, /) -> None:
        """Absent is a success."""


@dataclass(frozen=True, slots=True)
class ResourceManifests:
    """Accounts, users, llm_clients, plugins, and what is told of secrets."""

    resources: ResourceStore
    secrets: SecretStore
    clock: Clock

    async def find(self, principal: Principal, kind: ManifestKind, name: str, /) -> Manifest | None:
        found = await self.resources.resource(principal.account, STORED_AS_RESOURCE[kind], name)
        return _described(kind, found) if found else None

    async def page(
        self, principal: Principal, kind: ManifestKind, limit: int, after: str, /
    ) -> Page[Manifest]:
        stored_as = STORED_AS_RESOURCE[kind]
        page = await self.resources.resources(principal.account, stored_as, limit, after)
        return Page([_described(kind, one) for one in page.items], page.after)

    def completed(self, before: Manifest | None, after: Manifest, /) -> Manifest:
        """An llm_client that does not say whether it is deployed stays as it is."""
        if after.kind is not ManifestKind.LLM_CLIENT or before is None:
            return after
        deployed = before.at("config", "deployed")
        if deployed is None or after.at("config", "deployed") is not None:
            return after
        config = {**(after.at("config") or {}), "deployed": deployed}
        return replace(after, spec={**after.spec, "config": config})

    async def put(self, principal: Principal, before: Manifest | None, after: Manifest, /) -> str:
        """A value goes first: a secret that is told of has one."""
        if after.secret:
            await self.secrets.put_secret(principal.account, after.name, after.secret)
        stored = before.resource if before else None
        now = self.clock.now()
        fresh = Resource(principal.account, STORED_AS_RESOURCE[after.kind], after.name, now, now)
        resource = replace(
            stored or fresh,
            updated_at=now,
            description=after.description,
            version=after.version,
            tags=after.tags,
            annotations=after.annotations,
            spec=after.spec,
            host=_host(before, after),
        )
        if stored:
            await self.resources.replace(resource)
        else:
            await self._add(resource)
        return ""

    async def _add(self, resource: Resource) -> None:
        try:
            await self.resources.add(resource)
        except LabelTaken:
            raise
        except Conflict:
            # Somebody else was faster: what is theirs now is changed, not created.
            raise TransitionRefused("add") from None

    async def delete(self, principal: Principal, manifest: Manifest, /) -> None:
        if manifest.kind is ManifestKind.SECRET:
            await self.secrets.delete_secret(principal.account, manifest.name)
        if manifest.resource:
            await self.resources.delete(manifest.resource)


def _described(kind: ManifestKind, resource: Resource) -> Manifest:
    return Manifest(
        kind=kind,
        name=resource.name,
        description=resource.description,
        version=resource.version,
        tags=resource.tags,
        annotations=resource.annotations,
        spec=resource.spec,
        status={
            "id": resource.number,
            "created": resource.created_at,
            "modified": resource.updated_at,
        },
        resource=resource,
    )


def _host(before: Manifest | None, after: Manifest) -> str:
    """The verified host of a domain that stays; of another domain nothing is verified."""
    if before is None or before.resource is None:
        return ""
    domain = ("config", "customDomain", "domain_name")
    return before.resource.host if before.at(*domain) == after.at(*domain) else ""


@dataclass(frozen=True, slots=True)
class CatalogueManifests:
    """Providers and models: entries of the account's catalogue."""

    models: Models

    async def find(self, principal: Principal, kind: ManifestKind, name: str, /) -> Manifest | None:
        found = await self._all(principal, kind)
        return next((one for one in found if one.name == name), None)

    async def page(
        self, principal: Principal, kind: ManifestKind, limit: int, after: str, /
    ) -> Page[Manifest]:
        return _paged(await self._all(principal, kind), lambda one: one.name, limit, after)

    async def _all(self, principal: Principal, kind: ManifestKind) -> list[Manifest]:
        catalogue = await self.models.catalogue(principal.account)
        if kind is ManifestKind.PROVIDER:
            return [provider_manifest(entry) for entry in catalogue.providers]
        return [model_manifest(model) for model in catalogue.models]

    def completed(self, _before: Manifest | None, after: Manifest, /) -> Manifest:
        """As it will be read back, defaults left out."""
        if after.kind is ManifestKind.PROVIDER:
            return provider_manifest(provider_of(after))
        return model_manifest(model_of(after))

    async def put(self, principal: Principal, _before: Manifest | None, after: Manifest, /) -> str:
        """One entry of the stored catalogue, whatever became of the others."""

        def edit(catalogue: Catalogue) -> Catalogue:
            return with_entry(catalogue, after)

        await self.models.change(principal, edit)
        return ""

    async def delete(self, principal: Principal, manifest: Manifest, /) -> None:
        def edit(catalogue: Catalogue) -> Catalogue:
            return without_entry(catalogue, manifest)

        await self.models.change(principal, edit)


@dataclass(frozen=True, slots=True)
class KeyManifests:
    """Keys by their names. A name may have had several; one that is active is meant first."""

    keys: Keys

    async def find(
        self, principal: Principal, _kind: ManifestKind, name: str, /
    ) -> Manifest | None:
        named = [key for key in await self.keys.list(principal) if key.name == name]
        meant = [key for key in named if not key.revoked_at] or named
        return _key_manifest(meant[-1]) if meant else None

    async def page(
        self, principal: Principal, _kind: ManifestKind, limit: int, after: str, /
    ) -> Page[Manifest]:
        page = _paged(await self.keys.list(principal), lambda key: key.id, limit, after)
        return Page([_key_manifest(key) for key in page.items], page.after)

    def completed(self, before: Manifest | None, after: Manifest, /) -> Manifest:
        """What is not said of an active key stays; a revoked one is no beginning for another."""
        spec = {"role": KeyRole.USER.value, "active": True, **after.spec}
        if before and (before.spec["active"] or not spec["active"]):
            spec = {**before.spec, "active": True, **after.spec}
        return replace(after, spec=spec)

    async def put(self, principal: Principal, _before: Manifest | None, after: Manifest, /) -> str:
        spec = after.spec
        if not spec["active"]:
            await self._revoke(principal, after.name)
            return ""
        _, secret = await self.keys.create(
            principal,
            spec.get("user", ""),
            KeyRole(spec["role"]),
            after.name,
            spec.get("llmClient", ""),
        )
        return secret

    async def delete(self, principal: Principal, manifest: Manifest, /) -> None:
        await self._revoke(principal, manifest.name)

    async def revoke_of(self, principal: Principal, client: str) -> None:
        """Revoke the keys of an llm_client that is no more: a namesake is not theirs."""
        for key in await self.keys.list(principal):
            if key.client == client and not key.revoked_at:
                await self.keys.revoke(principal, key.id)

    async def is_own(self, principal: Principal, name: str) -> bool:
        """True if it is the key of the call itself."""
        keys = await self.keys.list(principal)
        return any(key.name == name and key.hash == principal.key_hash for key in keys)

    async def _revoke(self, principal: Principal, name: str) -> None:
        for key in await self.keys.list(principal):
            if key.name == name and not key.revoked_at:
                await self.keys.revoke(principal, key.id)


def _key_manifest(key: ApiKey) -> Manifest:
    spec = {"user": key.user_id, "role": key.role.value, "active": not key.revoked_at}
    if key.client:
        spec["llmClient"] = key.client
    status = {"id": key.id, "created": key.created_at}
    if key.revoked_at:
        status["revoked"] = key.revoked_at
    return Manifest(ManifestKind.API_KEY, key.name, spec=spec, status=status)


def _paged(items: Sequence[T], id_of: Callable[[T], str], limit: int, after: str) -> Page[T]:
    """A page of what is all at hand; the cursor is the id of the last one."""
    start = 0
    if after:
        ids = [id_of(one) for one in items]
        if after not in ids:
            raise WrongCursor
        start = ids.index(after) + 1
    page = items[start : start + limit]
    more = len(items) > start + limit
    return Page(page, id_of(page[-1]) if more else "")
