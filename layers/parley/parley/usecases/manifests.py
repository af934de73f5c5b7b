"""Apply, list, describe, delete and deploy what an account describes in manifests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from parley.core.access import Principal
from parley.core.errors import Busy, Conflict, Invalid, NoSuchResource, TransitionRefused
from parley.core.manifest import DEFAULTS, METADATA, Manifest, ManifestKind, differences, refused
from parley.ports import Page
from parley.usecases.catalogue import Models
from parley.usecases.clients import Clients
from parley.usecases.manifest_rules import Draft, uses
from parley.usecases.manifest_stores import (
    CatalogueManifests,
    KeyManifests,
    ManifestStore,
    ResourceManifests,
)

WRITE_TRIES = 5
NAMED_CAP = 10
# What is kept of the metadata by kinds that are stored as something else.
KEPT: Mapping[ManifestKind, Sequence[str]] = {
    ManifestKind.API_KEY: (),
    ManifestKind.PROVIDER: ("description",),
    ManifestKind.MODEL: (),
}
VALUE_GIVEN = (
    "a value that is given is written and counts as changed: the stored one cannot be compared, "
    "for only the runner may read it"
)
# What of a Provider's spec is kept. The rest is taken, for the original's manifests have it.
PROVIDER_KEPT = frozenset({"name", "base_url", "api_key", "default_model"})


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a manifest: created, changed (at these paths) or unchanged.

    `not_kept` are paths that were given and say nothing for this kind. `notes` say what is
    to be known of it besides, in words. `secret` is the key itself of a new ApiKey, shown
    this once.
    """

    kind: ManifestKind
    name: str
    outcome: str
    changed: tuple[str, ...] = ()
    not_kept: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Planned:
    """A manifest that may be applied: as it was given, what is stored, and what will be."""

    given: Manifest
    before: Manifest | None
    after: Manifest
    not_kept: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifests:
    """Calls of an account's admin. All raise Forbidden for anybody else."""

    stored: ResourceManifests
    catalogue: CatalogueManifests
    keys: KeyManifests
    models: Models
    clients: Clients

    @property
    def _stores(self) -> Mapping[ManifestKind, ManifestStore]:
        return {
            **dict.fromkeys(ManifestKind, self.stored),
            ManifestKind.PROVIDER: self.catalogue,
            ManifestKind.MODEL: self.catalogue,
            ManifestKind.API_KEY: self.keys,
        }

    def _draft(self, principal: Principal) -> Draft:
        principal.require_admin()
        return Draft(principal, self._stores, self.models, self.keys)

    async def apply(
        self,
        principal: Principal,
        manifests: Sequence[Manifest],
        places: Sequence[str] = (),
        *,
        dry_run: bool = False,
    ) -> list[Report]:
        """Create or change each; what became of them, in their order.

        All are looked at before anything is written, each as if those before it were
        applied. `places` say in errors which one is meant. Applying is idempotent: a call
        that broke off can be repeated. Raises Invalid with every problem, Busy, Conflict.
        """
        draft = self._draft(principal)
        planned, problems = [], []
        for number, manifest in enumerate(manifests):
            where = places[number] if places else ""
            one, wrong = await self._plan(draft, manifest)
            problems += [f"{where}{problem}" for problem in wrong]
            planned.append(one)
        if problems:
            raise refused(problems)
        planned = [
            replace(one, notes=(*one.notes, *await draft.lacks(one.after))) for one in planned
        ]
        if dry_run:
            return [_report(one) for one in planned]
        try:
            return await self._write_all(principal, planned)
        finally:
            self.clients.forget()

    async def _plan(self, draft: Draft, manifest: Manifest) -> tuple[Planned, list[str]]:
        store = self._stores[manifest.kind]
        kept, not_kept = _kept(manifest)
        before = await store.find(draft.principal, manifest.kind, manifest.name)
        after = store.completed(before, kept)
        if (manifest.kind, manifest.name) in draft.planned:
            twice = f"metadata.name: {manifest.kind} {manifest.name} is there twice"
            return Planned(kept, before, after, not_kept), [twice]
        problems = await draft.problems(before, after)
        notes = await draft.moves(after)
        problems += await draft.fits(after)
        return Planned(kept, before, after, not_kept, tuple(notes)), problems

    async def _write_all(self, principal: Principal, planned: Sequence[Planned]) -> list[Report]:
        """Keys last: a call that broke off after one would have lost it."""
        reports: dict[int, Report] = {}
        order = sorted(
            range(len(planned)), key=lambda n: planned[n].after.kind is ManifestKind.API_KEY
        )
        for number in order:
            reports[number] = await self._write(principal, planned[number])
        return [reports[number] for number in range(len(planned))]

    async def _write(self, principal: Principal, one: Planned) -> Report:
        """Race: somebody else changes it between our read and our write, which is conditional.

        Then ours is applied on top of theirs, and the report says what that changed. It is
        completed anew from theirs: completed from the older read, a manifest that does not
        say `deployed` would undo an undeploy.
        """
        store, kind, name = self._stores[one.given.kind], one.given.kind, one.given.name
        for _ in range(WRITE_TRIES):
            report = _report(one)
            if report.outcome == "unchanged":
                return report
            try:
                secret = await store.put(principal, one.before, one.after)
            except TransitionRefused:
                before = await store.find(principal, kind, name)
                one = replace(one, before=before, after=store.completed(before, one.given))
            else:
                return replace(report, secret=secret)
        raise Busy(f"{kind} {name} is being changed by somebody else")

    async def list(
        self, principal: Principal, kind: ManifestKind, limit: int, after: str
    ) -> Page[Manifest]:
        """Those of a kind, by name; keys and models as they are."""
        principal.require_admin()
        page = await self._stores[kind].page(principal, kind, limit, after)
        if kind is ManifestKind.ACCOUNT and not page.items and not after:
            return Page([_undescribed(principal)])
        return page

    async def describe(self, principal: Principal, kind: ManifestKind, name: str) -> Manifest:
        """One of them; raises NotFound, Invalid without a name.

        Of the account there is one, whatever it is called.
        """
        principal.require_admin()
        if not name and kind is not ManifestKind.ACCOUNT:
            raise Invalid("name: must be given")
        found = await self._stores[kind].find(principal, kind, name) if name else None
        if found is None and kind is ManifestKind.ACCOUNT:
            only = (await self.list(principal, kind, 1, "")).items[0]
            found = only if name in {"", only.name, principal.account} else None
        if found is None:
            raise NoSuchResource(f"there is no {kind} {name}")
        return found

    async def delete(self, principal: Principal, kind: ManifestKind, name: str) -> Manifest:
        """Delete one; raises NotFound, Invalid for the account, Conflict for what others need:
        what they name, and the model of those that name none.
        """
        draft = self._draft(principal)
        if kind is ManifestKind.ACCOUNT:
            raise Invalid("an account cannot be deleted")
        found = await self.describe(principal, kind, name)
        if using := await uses(draft, found):
            more = f" and {len(using) - NAMED_CAP} more" if len(using) > NAMED_CAP else ""
            raise Conflict(f"{kind} {name} is used by {', '.join(using[:NAMED_CAP])}{more}")
        if kind is ManifestKind.MODEL and await draft.is_default(name):
            raise Conflict(
                f"Model {name} answers whatever names no model: make another the default first "
                "(apply it with default: true)"
            )
        if kind is ManifestKind.API_KEY and await self.keys.is_own(principal, name):
            raise Invalid("a key cannot revoke itself")
        await self._stores[kind].delete(principal, found)
        if kind is ManifestKind.LLM_CLIENT:
            await self.keys.revoke_of(principal, name)
            self.clients.forget()
        return found

    async def deploy(
        self, principal: Principal, kind: ManifestKind, name: str, *, deployed: bool
    ) -> Report:
        """Let an llm_client's host answer, or not; raises NotFound, Invalid for other kinds."""
        principal.require_admin()
        if kind is not ManifestKind.LLM_CLIENT:
            raise Invalid(f"only an LLMClient can be deployed, not a kind such as {kind}")
        for _ in range(WRITE_TRIES):
            before = await self.describe(principal, kind, name)
            config = {**(before.at("config") or {}), "deployed": deployed}
            after = replace(before, spec={**before.spec, "config": config})
            if bool(before.at("config", "deployed")) == deployed:
                return Report(kind, name, "unchanged")
            try:
                await self.stored.put(principal, before, after)
            except TransitionRefused:
                continue
            self.clients.forget()
            return Report(kind, name, "changed", ("spec.config.deployed",))
        raise Busy(f"{kind} {name} is being changed by somebody else")


def _kept(manifest: Manifest) -> tuple[Manifest, tuple[str, ...]]:
    """The manifest without the metadata that its kind does not keep, and what that was."""
    kept = KEPT.get(manifest.kind, METADATA)
    given = [name for name in METADATA if getattr(manifest, name) != DEFAULTS[name]]
    lost = {name: DEFAULTS[name] for name in given if name not in kept}
    paths = [f"metadata.{name}" for name in lost]
    if manifest.kind is ManifestKind.PROVIDER:
        said = manifest.at("provider") or {}
        paths += [f"spec.provider.{name}" for name in said if name not in PROVIDER_KEPT]
    return replace(manifest, **lost), tuple(paths)


def _report(one: Planned) -> Report:
    kind, name = one.after.kind, one.after.name
    revived = kind is ManifestKind.API_KEY and one.before and not one.before.spec["active"]
    if one.before is None or (revived and one.after.spec["active"]):
        return Report(kind, name, "created", (), one.not_kept, one.notes)
    changed = differences(one.before, one.after)
    outcome = "changed" if changed else "unchanged"
    notes = (*one.notes, VALUE_GIVEN) if one.after.secret else one.notes
    return Report(kind, name, outcome, changed, one.not_kept, notes)


def _undescribed(principal: Principal) -> Manifest:
    """The account, of which no manifest says anything yet."""
    account = principal.account
    return Manifest(ManifestKind.ACCOUNT, account, spec={"accountNumber": account})
