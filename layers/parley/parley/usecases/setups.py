"""What an attempt needs to know of its prompt besides the thread: model, llm_client, plugins."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from parley.core.context import ContextBudget
from parley.core.errors import Invalid, ProviderFailed
from parley.core.llm_client import LlmClient, client_of
from parley.core.model import Catalogue, Model
from parley.core.plugin import StaticPlugin, plugin_of
from parley.core.remembered import Remembered
from parley.core.resource import Kind, Resource
from parley.core.thread import MAX_TOKENS, MODEL, PROVIDER, TEMPERATURE
from parley.ports import CatalogueStore, ProviderRequest, ResourceStore

# Short, so that whoever changes a manifest soon sees the effect.
REMEMBER_SECONDS = 5
NAMES_SECONDS = 3600
PLUGINS_CAP = 100
# A read of many items takes 100, of which two are the catalogue and the llm_client.
GUESS_CAP = 98
PROMPT_PAGE = 40
CHAT_PAGE = 120


@dataclass(frozen=True, slots=True)
class Setup:
    """The model that answers; with an llm_client also that, and the plugins it has."""

    model: Model
    client: LlmClient | None = None
    plugins: tuple[StaticPlugin, ...] = ()
    catalogue: Catalogue = field(default_factory=Catalogue)

    @property
    def budget(self) -> ContextBudget:
        return self.client.budget if self.client else self.model.budget

    @property
    def page(self) -> int:
        """How many messages of the thread to read at once.

        Enough for the turns of an llm_client's budget with a round of calls in each: what
        the budget leaves out was read for nothing, a second read costs more.
        """
        return PROMPT_PAGE if self.client is None else min(3 * self.budget.turns, CHAT_PAGE)

    def meta_of(self, request: ProviderRequest) -> dict[str, str]:
        """What the answer says of this request: its model and figures may be a plugin's."""
        if self.client is None:
            return {}
        model, temperature = request.model, request.temperature
        provider, name = self.catalogue.named(self.client.provider, model)
        meta = {MODEL: name, MAX_TOKENS: str(model.max_tokens)}
        if temperature is not None:
            meta[TEMPERATURE] = str(temperature)
        if model.id == self.model.id:
            meta[PROVIDER] = provider
        return meta

    def model_named(self, name: str) -> Model:
        """The model that a plugin names: one of the llm_client's provider, or of the catalogue.

        Raises ProviderFailed (`unknown_model`, not retryable): what another endpoint makes of
        the id of a model that was deleted is anybody's guess.
        """
        provider = self.client.provider if self.client else ""
        try:
            return self.catalogue.resolve_with(provider, name)
        except Invalid:
            detail = f"a plugin names the model {name}: there is no such Model"
            raise ProviderFailed("unknown_model", detail, retryable=False) from None


class Setups:
    """The setups of llm_clients, each remembered for 5 s."""

    def __init__(
        self,
        catalogues: CatalogueStore,
        resources: ResourceStore,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalogues = catalogues
        self._resources = resources
        self.remembered = Remembered[tuple[str, str, int], _Read](REMEMBER_SECONDS, monotonic)
        # Just names, and for long: what a container has met it reads in one call.
        self._plugins = Remembered[tuple[str, str], tuple[str, ...]](NAMES_SECONDS, monotonic)

    async def resolve(self, account: str, name: str, number: int) -> Setup:
        """The setup of the llm_client with this name and number.

        One read, for the catalogue, the llm_client and the plugins that it had last time; one
        more for plugins that are new here; none for what is remembered. Raises ProviderFailed
        (`client_gone`, not retryable) if it was deleted, also if another has its name now;
        Invalid if it has no model.
        """
        read = self.remembered.get((account, name, number)) or await self._read(account, name)
        if read.client is None or read.client.number != number:
            raise ProviderFailed("client_gone", "the llm_client was deleted", retryable=False)
        client = read.client
        model = read.catalogue.resolve_with(client.provider, client.model)
        model = replace(model, max_tokens=client.max_tokens)
        return Setup(model, client, read.plugins, read.catalogue)

    async def _read(self, account: str, name: str) -> "_Read":
        guessed = self._plugins.get((account, name)) or ()
        catalogue, resource, found = await self._catalogues.with_client(account, name, guessed)
        if resource is None:
            return _Read()
        client = client_of(resource)
        names = client.plugins[:PLUGINS_CAP]
        if missing := [plugin for plugin in dict.fromkeys(names) if plugin not in guessed]:
            found = [*found, *await self._resources.some(account, Kind.PLUGIN, missing)]
        read = _Read(catalogue, client, _in_order(names, found))
        self.remembered.put((account, name, client.number), read)
        self._plugins.put((account, name), names[:GUESS_CAP])
        return read


@dataclass(frozen=True, slots=True)
class _Read:
    """What is stored of an llm_client, with its plugins in the order in which it names them;
    those that are gone are left out.
    """

    catalogue: Catalogue = field(default_factory=Catalogue)
    client: LlmClient | None = None
    plugins: tuple[StaticPlugin, ...] = ()


def _in_order(names: Sequence[str], found: Sequence[Resource]) -> tuple[StaticPlugin, ...]:
    by_name = {resource.name: resource for resource in found}
    return tuple(plugin_of(by_name[name]) for name in dict.fromkeys(names) if name in by_name)
