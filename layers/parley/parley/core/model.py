"""The catalogue of models of an account."""

from dataclasses import dataclass, field

from parley.core.context import ContextBudget
from parley.core.errors import Invalid, UnknownModel


@dataclass(frozen=True, slots=True)
class Model:
    """How a model id of the API becomes a provider's call.

    `secret` names an entry of the account in the parameter store; the key itself is
    never here. `template` makes prompts of this model go to the completions call.
    `max_tokens` bounds an answer; 0 leaves that to the provider.
    """

    id: str
    base_url: str
    provider_model: str
    template: str = ""
    secret: str = ""
    budget: ContextBudget = field(default_factory=ContextBudget)
    max_tokens: int = 0
    default: bool = False


@dataclass(frozen=True, slots=True)
class ProviderEntry:
    """An OpenAI-compatible endpoint of the account. `secret` names its key."""

    name: str
    base_url: str
    secret: str = ""
    default_model: str = ""
    description: str = ""


# What is said of a model whose endpoint is no named provider's.
COMPATIBLE = "openai-compatible"

# Endpoints that need no Provider manifest: a secret of the same name is enough.
BUILT_IN_PROVIDERS = tuple(
    ProviderEntry(name, base_url, secret=name)
    for name, base_url in (
        ("openai", "https://api.openai.com/v1"),
        ("googleai", "https://generativelanguage.googleapis.com/v1beta/openai"),
        ("metaai", "https://api.llama.com/compat/v1"),
    )
)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The models of an account, in the order they were given, and its providers.

    `version` counts the changes: a change is stored only over the version it was made of.
    """

    models: tuple[Model, ...] = ()
    providers: tuple[ProviderEntry, ...] = ()
    version: int = 0

    @property
    def default(self) -> Model | None:
        """What answers whatever names no model: the one that is marked so, else the first."""
        marked = (model for model in self.models if model.default)
        return next(marked, next(iter(self.models), None))

    def provider(self, name: str) -> ProviderEntry | None:
        """The account's provider with this name, else the built-in one."""
        for entry in (*self.providers, *BUILT_IN_PROVIDERS):
            if entry.name == name:
                return entry
        return None

    def resolve_with(self, provider: str, model_id: str) -> Model:
        """The model of a named provider; without one as `resolve`. Raises Invalid."""
        if not provider:
            return self.resolve(model_id)
        entry = self.provider(provider)
        if entry is None:
            raise Invalid(f"unknown provider {provider}")
        name = model_id or entry.default_model
        if not name:
            raise Invalid(f"the provider {provider} has no default model")
        return Model(f"{provider}/{name}", entry.base_url, name, secret=entry.secret)

    def named(self, provider: str, model: Model) -> tuple[str, str]:
        """Names to show: for a named provider its own model name; otherwise our model id and
        the provider with that base URL.
        """
        if provider:
            return provider, model.provider_model
        entries = (*self.providers, *BUILT_IN_PROVIDERS)
        base_url = model.base_url.rstrip("/")
        having = (entry.name for entry in entries if entry.base_url.rstrip("/") == base_url)
        return next(having, COMPATIBLE), model.id

    def resolve(self, model_id: str) -> Model:
        """The model with this id, or the default one when it is empty; raises Invalid.

        Resolved when an attempt starts, so that a change of default reaches queued
        prompts.
        """
        if not model_id:
            if self.default is None:
                raise Invalid("the account has no models")
            return self.default
        for model in self.models:
            if model.id == model_id:
                return model
        raise UnknownModel
