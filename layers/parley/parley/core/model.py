"""The catalogue of models of an account."""

from dataclasses import dataclass, field

from parley.core.context import ContextBudget
from parley.core.errors import Invalid


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
class Catalogue:
    """The models of an account, in the order they were given."""

    models: tuple[Model, ...] = ()

    def resolve(self, model_id: str) -> Model:
        """The model with this id, or the default one when it is empty; raises Invalid.

        Resolved when an attempt starts, so that a change of default reaches queued
        prompts.
        """
        for model in self.models:
            if model.id == model_id or (not model_id and model.default):
                return model
        if not model_id and self.models:
            return self.models[0]
        raise Invalid("unknown modelId" if model_id else "the account has no models")
