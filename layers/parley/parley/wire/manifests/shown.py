"""Manifests as they are shown: whole, to be applied again, and as rows of a list."""

from typing import Any

from parley.core.llm_client import hashed_id
from parley.core.manifest import API_VERSION, MASK, Manifest, ManifestKind
from parley.wire.shapes import stamp

Json = dict[str, Any]
TIMES = ("created", "modified", "revoked")

# The columns of a list by kind: name, type, and where the value is in the manifest.
COLUMNS: dict[ManifestKind, tuple[tuple[str, str, str], ...]] = {
    ManifestKind.ACCOUNT: (
        ("name", "string", "metadata.name"),
        ("accountNumber", "string", "spec.accountNumber"),
        ("companyName", "string", "spec.companyName"),
    ),
    ManifestKind.USER: (
        ("name", "string", "metadata.name"),
        ("description", "string", "metadata.description"),
        ("email", "string", "spec.config.email"),
    ),
    ManifestKind.API_KEY: (
        ("id", "string", "status.id"),
        ("name", "string", "metadata.name"),
        ("user", "string", "spec.user"),
        ("role", "string", "spec.role"),
        ("llmClient", "string", "spec.llmClient"),
        ("active", "boolean", "spec.active"),
        ("created", "datetime", "status.created"),
    ),
    ManifestKind.LLM_CLIENT: (
        ("id", "integer", "status.id"),
        ("hashedId", "string", "status.hashedId"),
        ("name", "string", "metadata.name"),
        ("description", "string", "metadata.description"),
        ("version", "string", "metadata.version"),
        ("deployed", "boolean", "status.deployed"),
        ("provider", "string", "spec.config.provider"),
        ("defaultModel", "string", "spec.config.defaultModel"),
        ("url", "string", "status.url"),
        ("modified", "datetime", "status.modified"),
    ),
    ManifestKind.PLUGIN: (
        ("id", "integer", "status.id"),
        ("name", "string", "metadata.name"),
        ("description", "string", "metadata.description"),
        ("version", "string", "metadata.version"),
        ("directive", "string", "spec.selector.directive"),
        ("modified", "datetime", "status.modified"),
    ),
    ManifestKind.PROVIDER: (
        ("name", "string", "metadata.name"),
        ("description", "string", "metadata.description"),
        ("base_url", "string", "spec.provider.base_url"),
        ("api_key", "string", "spec.provider.api_key"),
        ("default_model", "string", "spec.provider.default_model"),
    ),
    ManifestKind.SECRET: (
        ("name", "string", "metadata.name"),
        ("description", "string", "metadata.description"),
        ("expiration_date", "string", "spec.config.expiration_date"),
        ("modified", "datetime", "status.modified"),
    ),
    ManifestKind.MODEL: (
        ("name", "string", "metadata.name"),
        ("baseUrl", "string", "spec.baseUrl"),
        ("providerModel", "string", "spec.providerModel"),
        ("secret", "string", "spec.secret"),
        ("default", "boolean", "spec.default"),
    ),
}


def whole(manifest: Manifest, status: Json | None = None) -> Json:
    """The manifest as it can be applied again; `status` is more to tell than is stored."""
    metadata: Json = {
        "name": manifest.name,
        "description": manifest.description or None,
        "version": manifest.version,
        "tags": list(manifest.tags),
        "annotations": list(manifest.annotations),
    }
    if manifest.kind is ManifestKind.PLUGIN:
        metadata["pluginClass"] = "static"
    spec = manifest.spec
    if manifest.kind is ManifestKind.SECRET:
        spec = {**spec, "config": {"value": MASK, **spec.get("config", {})}}
    if manifest.kind is ManifestKind.LLM_CLIENT:
        spec = {**spec, "config": spec.get("config", {})}
    return {
        "apiVersion": API_VERSION,
        "kind": manifest.kind.value,
        "metadata": metadata,
        "spec": spec,
        "status": {**_status(manifest), **(status or {})},
    }


def _status(manifest: Manifest) -> Json:
    known = {
        name: stamp(value) if name in TIMES else value for name, value in manifest.status.items()
    }
    if manifest.resource and manifest.kind in {ManifestKind.LLM_CLIENT, ManifestKind.PLUGIN}:
        known["hashedId"] = hashed_id(manifest.resource.number)
        locator = f"{manifest.kind.lower()}-{known['hashedId']}"
        known["recordLocator"] = locator
    return known


def titles(kind: ManifestKind) -> list[Json]:
    """The columns of a list of a kind."""
    return [{"name": name, "type": type_} for name, type_, _ in COLUMNS[kind]]


def row(manifest: Manifest, status: Json | None = None) -> Json:
    """A manifest in a list; null where it says nothing, false where it is not said to be so."""
    shown = whole(manifest, status)
    found: Json = {}
    for name, type_, path in COLUMNS[manifest.kind]:
        value: Any = shown
        for step in path.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        found[name] = bool(value) if type_ == "boolean" else value
    return found
