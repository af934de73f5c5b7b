"""What is read to set an attempt of an llm_client up, and how long it is good for."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from parley.adapters.memory import MemoryAccounts, MemoryResources
from parley.core.errors import Invalid, ProviderFailed
from parley.core.model import Catalogue, Model
from parley.core.plugin import StaticPlugin, plugin_of
from parley.core.resource import Kind, Resource
from parley.usecases.setups import REMEMBERED, Setups

ACCOUNT = "0000-0000-0001"
MODEL = Model("model", "http://provider.invalid/v1", "m", default=True, max_tokens=5)


class Counted(MemoryAccounts):
    def __init__(self, resources: MemoryResources) -> None:
        super().__init__(resources=resources)
        self.reads = 0

    async def catalogue_and_client(
        self, account: str, client: str
    ) -> tuple[Catalogue, Resource | None]:
        self.reads += 1
        return await super().catalogue_and_client(account, client)


class CountedResources(MemoryResources):
    def __init__(self) -> None:
        super().__init__()
        self.reads: list[tuple[str, ...]] = []

    async def some(self, account: str, kind: Kind, names: Sequence[str]) -> Sequence[Resource]:
        self.reads.append(tuple(names))
        return await super().some(account, kind, names)


class Stage:
    """An account with the llm_client `c`, and a clock."""

    def __init__(self, *plugins: str) -> None:
        self.resources = CountedResources()
        self.accounts = Counted(self.resources)
        self.accounts.catalogues[ACCOUNT] = Catalogue((MODEL,))
        self.now = 0.0
        self.setups = Setups(self.accounts, self.resources, lambda: self.now)
        self.put(Kind.LLM_CLIENT, "c", plugins=list(plugins), config={"defaultMaxTokens": 9})

    def put(self, kind: Kind, name: str, number: int = 1, **spec: object) -> None:
        resource = Resource(ACCOUNT, kind, name, 0, 0, spec=spec, number=number)
        self.resources.stored[ACCOUNT, kind, name] = resource


async def test_a_client_without_plugins_costs_one_read_and_is_good_for_five_seconds() -> None:
    stage = Stage()
    for now, reads in ((0, 1), (4.9, 1), (5, 2)):
        stage.now = now
        setup = await stage.setups.resolve(ACCOUNT, "c")
        assert (stage.accounts.reads, stage.resources.reads) == (reads, [])
    assert setup.client is not None
    assert setup.model == replace(MODEL, max_tokens=9)
    assert (setup.plugins, setup.budget) == ((), setup.client.budget)


async def test_plugins_cost_one_more_read_and_are_good_for_fifty_seconds() -> None:
    stage = Stage("b", "gone", "a", "b")
    stage.put(Kind.PLUGIN, "a", 1)
    stage.put(Kind.PLUGIN, "b", 2)
    for now, reads in ((0, 1), (49, 1), (50, 2)):
        stage.now = now
        setup = await stage.setups.resolve(ACCOUNT, "c")
        assert [plugin.name for plugin in setup.plugins] == ["b", "a"], "in the client's order"
        assert len(stage.resources.reads) == reads


async def test_a_client_that_gets_another_plugin_has_it_with_its_next_setup() -> None:
    stage = Stage("a")
    stage.put(Kind.PLUGIN, "a", 1)
    stage.put(Kind.PLUGIN, "b", 2)
    await stage.setups.resolve(ACCOUNT, "c")
    stage.put(Kind.LLM_CLIENT, "c", plugins=["a", "b"])
    stage.now = 6
    setup = await stage.setups.resolve(ACCOUNT, "c")
    assert [plugin.name for plugin in setup.plugins] == ["a", "b"]


async def test_a_client_that_was_deleted_is_gone_for_good() -> None:
    stage = Stage()
    with pytest.raises(ProviderFailed) as caught:
        await stage.setups.resolve(ACCOUNT, "nobody")
    assert (caught.value.reason, caught.value.retryable) == ("client_gone", False)


async def test_a_client_without_a_model_is_invalid() -> None:
    stage = Stage()
    stage.accounts.catalogues[ACCOUNT] = Catalogue()
    with pytest.raises(Invalid):
        await stage.setups.resolve(ACCOUNT, "c")


async def test_accounts_do_not_share_what_is_remembered() -> None:
    stage = Stage()
    await stage.setups.resolve(ACCOUNT, "c")
    with pytest.raises(ProviderFailed):
        await stage.setups.resolve("0000-0000-0002", "c")


async def test_what_is_remembered_is_bounded() -> None:
    stage = Stage()
    for n in range(REMEMBERED + 1):
        stage.put(Kind.LLM_CLIENT, f"c{n}")
        await stage.setups.resolve(ACCOUNT, f"c{n}")
    await stage.setups.resolve(ACCOUNT, f"c{REMEMBERED}")
    assert stage.accounts.reads == REMEMBERED + 1
    await stage.setups.resolve(ACCOUNT, "c0")
    assert stage.accounts.reads == REMEMBERED + 2


def test_a_plugin_is_what_its_manifest_says() -> None:
    spec = {
        "selector": {"directive": "search_terms", "searchTerms": ["a", "b"]},
        "prompt": {"systemRole": "R", "model": "m", "temperature": 0.0, "maxTokens": 7},
        "data": {"description": "D", "staticData": {"k": 1}},
    }
    resource = Resource(ACCOUNT, Kind.PLUGIN, "p", 0, 0, description="its own", spec=spec, number=3)
    assert plugin_of(resource) == StaticPlugin(
        "p", 3, "D", "search_terms", ("a", "b"), "R", "m", 0.0, 7, {"k": 1}
    )
    bare = plugin_of(replace(resource, spec={}))
    assert bare == StaticPlugin("p", 3, "its own")
