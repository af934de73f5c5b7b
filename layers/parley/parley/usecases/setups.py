"""What an attempt needs to know of its prompt besides the thread: model, llm_client, plugins."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from parley.core.context import ContextBudget
from parley.core.errors import Invalid, ProviderFailed
from parley.core.llm_client import LlmClient, client_of
from parley.core.model import Catalogue, Model
from parley.core.plugin import StaticPlugin, plugin_of
from parley.core.resource import Kind, Resource
from parley.ports import CatalogueStore, ResourceStore

# Short, for who changes a manifest wants to see what it does.
CLIENT_SECONDS = 5
PLUGINS_SECONDS = 50
REMEMBERED = 1000
PLUGINS_CAP = 100
PROMPT_PAGE = 40
CHAT_PAGE = 120

K = TypeVar("K")
V = TypeVar("V")


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


@dataclass
class _Remembered(Generic[K, V]):
    """Values that are good for some seconds."""

    seconds: float
    monotonic: Callable[[], float]
    _values: dict[K, tuple[float, V]] = field(default_factory=dict)

    def get(self, key: K) -> V | None:
        until, value = self._values.get(key, (0.0, None))
        return value if until > self.monotonic() else None

    def put(self, key: K, value: V) -> None:
        if len(self._values) >= REMEMBERED:
            self._values.clear()
        self._values[key] = (self.monotonic() + self.seconds, value)


class Setups:
    """The setups of llm_clients, remembered for a while: clients for 5 s, plugins for 50 s."""

    def __init__(
        self,
        catalogues: CatalogueStore,
        resources: ResourceStore,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalogues = catalogues
        self._resources = resources
        self._clients = _Remembered[tuple[str, str], tuple[Catalogue, LlmClient]](
            CLIENT_SECONDS, monotonic
        )
        self._plugins = _Remembered[tuple[str, tuple[str, ...]], tuple[StaticPlugin, ...]](
            PLUGINS_SECONDS, monotonic
        )

    async def resolve(self, account: str, name: str) -> Setup:
        """The setup of the llm_client with this name.

        One read, for the catalogue and the llm_client; one more if it has plugins; none for
        what is remembered. Raises ProviderFailed (`client_gone`, not retryable) if it was
        deleted, Invalid if it has no model.
        """
        catalogue, client = await self._client(account, name)
        model = catalogue.resolve_with(client.provider, client.model)
        plugins = await self._plugins_of(client) if client.plugins else ()
        return Setup(replace(model, max_tokens=client.max_tokens), client, plugins, catalogue)

    async def _client(self, account: str, name: str) -> tuple[Catalogue, LlmClient]:
        if known := self._clients.get((account, name)):
            return known
        catalogue, resource = await self._catalogues.catalogue_and_client(account, name)
        if resource is None:
            raise ProviderFailed("client_gone", "the llm_client was deleted", retryable=False)
        found = (catalogue, client_of(resource))
        self._clients.put((account, name), found)
        return found

    async def _plugins_of(self, client: LlmClient) -> tuple[StaticPlugin, ...]:
        """In the order in which the llm_client names them; those that are gone are left out."""
        names = client.plugins[:PLUGINS_CAP]
        if (known := self._plugins.get((client.account, names))) is not None:
            return known
        found = await self._resources.some(client.account, Kind.PLUGIN, names)
        plugins = _in_order(names, found)
        self._plugins.put((client.account, names), plugins)
        return plugins


def _in_order(names: Sequence[str], found: Sequence[Resource]) -> tuple[StaticPlugin, ...]:
    by_name = {resource.name: resource for resource in found}
    return tuple(plugin_of(by_name[name]) for name in dict.fromkeys(names) if name in by_name)
