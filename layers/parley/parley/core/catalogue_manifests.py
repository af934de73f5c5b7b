"""Providers and models as manifests, and back: entries of a catalogue have no other form."""

from dataclasses import replace

from parley.core.context import ContextBudget
from parley.core.manifest import Manifest, ManifestKind
from parley.core.model import Catalogue, Model, ProviderEntry

BUDGET = ContextBudget()


def provider_of(manifest: Manifest) -> ProviderEntry:
    """The entry that a Provider's manifest describes."""
    endpoint = manifest.spec["provider"]
    return ProviderEntry(
        name=manifest.name,
        base_url=endpoint["base_url"],
        secret=endpoint.get("api_key", ""),
        default_model=endpoint.get("default_model", ""),
        description=manifest.description,
    )


def provider_manifest(entry: ProviderEntry) -> Manifest:
    """The manifest that gives this entry."""
    endpoint = {
        "base_url": entry.base_url,
        "api_key": entry.secret,
        "default_model": entry.default_model,
    }
    return Manifest(
        ManifestKind.PROVIDER,
        entry.name,
        entry.description,
        spec={"provider": {name: text for name, text in endpoint.items() if text}},
    )


def model_of(manifest: Manifest) -> Model:
    """The model that a Model's manifest describes."""
    spec = manifest.spec
    context = spec.get("context", {})
    return Model(
        id=manifest.name,
        base_url=spec["baseUrl"],
        provider_model=spec["providerModel"],
        template=spec.get("template", ""),
        secret=spec.get("secret", ""),
        budget=ContextBudget(
            context.get("turns", BUDGET.turns), context.get("tokens", BUDGET.tokens)
        ),
        max_tokens=spec.get("maxTokens", 0),
        default=spec.get("default", False),
    )


def model_manifest(model: Model) -> Manifest:
    """The manifest that gives this model."""
    context = {
        name: value
        for name, value in (("turns", model.budget.turns), ("tokens", model.budget.tokens))
        if value != getattr(BUDGET, name)
    }
    spec = {
        "baseUrl": model.base_url,
        "providerModel": model.provider_model,
        "template": model.template,
        "secret": model.secret,
        "context": context,
        "maxTokens": model.max_tokens,
        "default": model.default,
    }
    given = {name: value for name, value in spec.items() if value}
    return Manifest(ManifestKind.MODEL, model.id, spec=given)


def with_entry(catalogue: Catalogue, manifest: Manifest) -> Catalogue:
    """The catalogue with this provider or model in its old place, or at the end.

    A new default model takes the place of the old one.
    """
    if manifest.kind is ManifestKind.PROVIDER:
        entry = provider_of(manifest)
        others = {one.name: one for one in catalogue.providers}
        return replace(catalogue, providers=tuple({**others, entry.name: entry}.values()))
    model = model_of(manifest)
    models = {one.id: one for one in catalogue.models}
    if model.default:
        models = {id_: replace(one, default=False) for id_, one in models.items()}
    return replace(catalogue, models=tuple({**models, model.id: model}.values()))


def without_entry(catalogue: Catalogue, manifest: Manifest) -> Catalogue:
    """The catalogue without this provider or model."""
    if manifest.kind is ManifestKind.PROVIDER:
        left = tuple(one for one in catalogue.providers if one.name != manifest.name)
        return replace(catalogue, providers=left)
    return replace(
        catalogue, models=tuple(one for one in catalogue.models if one.id != manifest.name)
    )
