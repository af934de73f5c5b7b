"""What manifests say of each other: whether what they name is there, and what names them."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from parley.core.access import Principal
from parley.core.catalogue_manifests import with_entry
from parley.core.errors import Invalid, TooLarge
from parley.core.manifest import Manifest, ManifestKind
from parley.core.model import Catalogue
from parley.core.resource import twin_of
from parley.usecases.catalogue import Models, check_size
from parley.usecases.manifest_stores import KeyManifests, ManifestStore

PAGE = 100
MODELS_CAP = 100
PROVIDERS_CAP = 50
FIRST = "apply it first, or earlier in the same call"


@dataclass
class Draft:
    """The account as it will be once the manifests looked at so far are applied."""

    principal: Principal
    stores: Mapping[ManifestKind, ManifestStore]
    models: Models
    keys: KeyManifests
    planned: dict[tuple[ManifestKind, str], Manifest] = field(default_factory=dict)
    _catalogue: Catalogue | None = None

    async def plan(self, manifest: Manifest) -> None:
        """Go on as if this one were applied; raises TooLarge for a catalogue that is too large."""
        self.planned[manifest.kind, manifest.name] = manifest
        if manifest.kind in {ManifestKind.PROVIDER, ManifestKind.MODEL}:
            self._catalogue = with_entry(await self.catalogue(), manifest)
            check_size(self._catalogue)

    async def catalogue(self) -> Catalogue:
        if self._catalogue is None:
            self._catalogue = await self.models.catalogue(self.principal.account)
        return self._catalogue

    async def is_default(self, model_id: str) -> bool:
        """Whether what names no model is answered by this one."""
        default = (await self.catalogue()).default
        return default is not None and default.id == model_id

    async def find(self, kind: ManifestKind, name: str) -> Manifest | None:
        planned = self.planned.get((kind, name))
        return planned or await self.stores[kind].find(self.principal, kind, name)

    async def missing(self, path: str, kind: ManifestKind, name: str) -> list[str]:
        """The problem of naming something that is not there; none if it is."""
        if await self.find(kind, name):
            return []
        return [f"{path}: there is no {kind} {name}; {FIRST}"]

    async def problems(self, before: Manifest | None, after: Manifest) -> list[str]:
        """What is wrong with a manifest in this account; each with its path."""
        rules = {
            ManifestKind.ACCOUNT: self._account,
            ManifestKind.API_KEY: self._api_key,
            ManifestKind.LLM_CLIENT: self._llm_client,
            ManifestKind.PLUGIN: self._plugin,
            ManifestKind.SECRET: self._value,
            ManifestKind.PROVIDER: self._provider,
            ManifestKind.MODEL: self._model,
        }
        rule = rules.get(after.kind)
        return await rule(before, after) if rule else []

    async def _value(self, before: Manifest | None, after: Manifest) -> list[str]:
        if before or after.secret:
            return []
        return ["spec.config.value: must be given, for the Secret is new"]

    async def _account(self, _before: Manifest | None, after: Manifest) -> list[str]:
        found = []
        if after.at("accountNumber") not in {None, self.principal.account}:
            found.append("spec.accountNumber: must be the account's own, which never changes")
        kind = ManifestKind.ACCOUNT
        stored = (await self.stores[kind].page(self.principal, kind, 1, "")).items
        names = {one.name for one in (*stored, *self.planned.values()) if one.kind is kind}
        if names - {after.name}:
            found.append(f"metadata.name: the account is described already, as {min(names)}")
        return found

    async def _api_key(self, before: Manifest | None, after: Manifest) -> list[str]:
        spec = after.spec
        if before and before.spec["active"]:
            found = [
                f"spec.{name}: a key cannot be changed; delete it and apply it again"
                for name in ("user", "role", "llmClient")
                if spec.get(name) != before.spec.get(name)
            ]
            if not spec["active"] and await self.keys.is_own(self.principal, after.name):
                found.append("spec.active: a key cannot revoke itself")
            return found
        if not spec["active"]:
            return [] if before else ["spec.active: there is no such key to revoke"]
        if "llmClient" not in spec:
            return []
        return await self.missing("spec.llmClient", ManifestKind.LLM_CLIENT, spec["llmClient"])

    async def _llm_client(self, before: Manifest | None, after: Manifest) -> list[str]:
        found = []
        twin = twin_of(after.name)
        if twin != after.name and await self.find(ManifestKind.LLM_CLIENT, twin):
            found.append(f"metadata.name: LLMClient {twin} has the same label in its host")
        for place, plugin in enumerate(after.spec.get("plugins", ())):
            found += await self.missing(f"spec.plugins.{place}", ManifestKind.PLUGIN, plugin)
        found += await self._attached_key(before, after)
        return found + await self._answers(after)

    async def _plugin(self, _before: Manifest | None, after: Manifest) -> list[str]:
        return await self._no_provider("spec.prompt.provider", after.at("prompt", "provider"))

    async def _no_provider(self, path: str, name: str | None) -> list[str]:
        """The problem of naming a provider that is not there; none if it is, or none is named."""
        if not name or (await self.catalogue()).provider(name):
            return []
        return [f"{path}: there is no Provider {name}, nor one built in"]

    async def _attached_key(self, before: Manifest | None, after: Manifest) -> list[str]:
        """A key that was revoked since stays: the client can be changed, and is not public.

        The name is not repeated, for a key itself may have been pasted in its place.
        """
        key = after.spec.get("apiKey")
        if not key or (before and before.spec.get("apiKey") == key):
            return []
        stored = await self.find(ManifestKind.API_KEY, key)
        if stored is None or not stored.spec["active"]:
            return ["spec.apiKey: there is no active ApiKey of this name"]
        return []

    async def _answers(self, after: Manifest) -> list[str]:
        """Without provider and model it is whatever the default is by then."""
        provider = after.at("config", "provider") or ""
        model = after.at("config", "defaultModel") or ""
        if not provider and not model:
            return []
        if missing := await self._no_provider("spec.config.provider", provider):
            return missing
        catalogue = await self.catalogue()
        try:
            catalogue.resolve_with(provider, model)
        except Invalid:
            if provider:
                return [f"spec.config.defaultModel: must be given: {provider} has no default_model"]
            return [
                f"spec.config.defaultModel: there is no Model {model}, and no provider is named"
            ]
        return []

    async def _provider(self, before: Manifest | None, after: Manifest) -> list[str]:
        catalogue = await self.catalogue()
        if before is None and len(catalogue.providers) >= PROVIDERS_CAP:
            return [f"metadata.name: an account may have {PROVIDERS_CAP} Providers"]
        return await self._secret(before, after, "provider", "api_key")

    async def _model(self, before: Manifest | None, after: Manifest) -> list[str]:
        if before is None and len((await self.catalogue()).models) >= MODELS_CAP:
            return [f"metadata.name: an account may have {MODELS_CAP} Models"]
        return await self._secret(before, after, "secret")

    async def _secret(self, before: Manifest | None, after: Manifest, *path: str) -> list[str]:
        """A secret that was put into the parameter store by other means stays good.

        The name is not repeated, for a key itself may have been pasted in its place.
        """
        name = after.at(*path)
        kept = before is not None and before.at(*path) == name
        if not name or kept or await self.find(ManifestKind.SECRET, name):
            return []
        where = ".".join(("spec", *path))
        return [f"{where}: there is no Secret of this name; {FIRST} (never put the key here)"]

    async def moves(self, manifest: Manifest) -> list[str]:
        """What it takes from another one, to be asked before it is planned."""
        if manifest.kind is not ManifestKind.MODEL or not manifest.at("default"):
            return []
        models = (await self.catalogue()).models
        return [
            f"it is the default now, in the place of {one.id}"
            for one in models
            if one.default and one.id != manifest.name
        ]

    async def lacks(self, manifest: Manifest) -> list[str]:
        """What it needs to answer and has not, to be asked once all are planned.

        Not refused: the parameter store may have a key that nobody described, which only
        the runner may see.
        """
        provider = manifest.at("config", "provider")
        if manifest.kind is not ManifestKind.LLM_CLIENT or not provider:
            return []
        entry = (await self.catalogue()).provider(provider)
        if entry is None or not entry.secret:
            return []
        if await self.find(ManifestKind.SECRET, entry.secret):
            return []
        name = entry.secret
        words = f"there is no Secret {name} with the key for its provider: without one it cannot"
        return [f"{words} answer, unless the parameter store was given the key by other means"]

    async def fits(self, manifest: Manifest) -> list[str]:
        """Plan it; the problem of a catalogue that gets too large by it."""
        try:
            await self.plan(manifest)
        except TooLarge as error:
            return [f"spec: {error}"]
        return []


async def uses(draft: Draft, manifest: Manifest) -> list[str]:
    """What would miss a thing if it were deleted, e.g. `LLMClient stackademy`."""
    name = manifest.name
    match manifest.kind:
        case ManifestKind.SECRET:
            catalogue = await draft.catalogue()
            providers = [
                f"Provider {one.name}" for one in catalogue.providers if one.secret == name
            ]
            return providers + [f"Model {one.id}" for one in catalogue.models if one.secret == name]
        case ManifestKind.USER:
            keys = await draft.keys.page(draft.principal, ManifestKind.API_KEY, 1_000_000, "")
            return [
                f"ApiKey {key.name or key.status['id']}"
                for key in keys.items
                if key.spec["user"] == name and key.spec["active"]
            ]
        case ManifestKind.MODEL | ManifestKind.PROVIDER:
            clients = await _naming(draft, ManifestKind.LLM_CLIENT, manifest)
            return clients + await _naming(draft, ManifestKind.PLUGIN, manifest)
        case ManifestKind.PLUGIN | ManifestKind.API_KEY:
            return await _naming(draft, ManifestKind.LLM_CLIENT, manifest)
        case _:
            return []


async def _naming(draft: Draft, kind: ManifestKind, manifest: Manifest) -> list[str]:
    found = [one async for one in every(draft, kind)]
    return [f"{kind} {one.name}" for one in found if _names(one, manifest)]


def _names(one: Manifest, manifest: Manifest) -> bool:
    """Whether an LLMClient or a Plugin names what the manifest describes."""
    name, provider = manifest.name, one.at("config", "provider")
    if one.kind is ManifestKind.PLUGIN:
        field = "provider" if manifest.kind is ManifestKind.PROVIDER else "model"
        return bool(one.at("prompt", field) == name)
    match manifest.kind:
        case ManifestKind.PLUGIN:
            return name in one.spec.get("plugins", ())
        case ManifestKind.API_KEY:
            return bool(one.spec.get("apiKey") == name)
        case ManifestKind.PROVIDER:
            return bool(provider == name)
        case _:
            return not provider and bool(one.at("config", "defaultModel") == name)


async def every(draft: Draft, kind: ManifestKind) -> AsyncIterator[Manifest]:
    """Those of a kind in the account, a page at a time."""
    after = ""
    while True:
        page = await draft.stores[kind].page(draft.principal, kind, PAGE, after)
        for one in page.items:
            yield one
        after = page.after
        if not after:
            return
