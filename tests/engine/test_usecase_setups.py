"""What is read to set an attempt of an llm_client up, and how long it is good for."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from parley.adapters.memory import MemoryAccounts, MemoryResources
from parley.core.errors import Invalid, ProviderFailed
from parley.core.model import Catalogue, Model
from parley.core.plugin import StaticPlugin, plugin_of
from parley.core.remembered import AT_MOST
from parley.core.resource import Kind, Resource
from parley.usecases.setups import GUESS_CAP, PLUGINS_CAP, Setups

ACCOUNT = "0000-0000-0001"
MODEL = Model("model", "http://provider.invalid/v1", "m", default=True, max_tokens=5)


class Counted(MemoryAccounts):
    def __init__(self, resources: MemoryResources) -> None:
        super().__init__(resources=resources)
        self.reads = 0

    async def with_client(
        self, account: str, client: str, plugins: Sequence[str] = ()
    ) -> tuple[Catalogue, Resource | None, Sequence[Resource]]:
        self.reads += 1
        return await super().with_client(account, client, plugins)


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
        setup = await stage.setups.resolve(ACCOUNT, "c", 1)
        assert (stage.accounts.reads, stage.resources.reads) == (reads, [])
    assert setup.client is not None
    assert setup.model == replace(MODEL, max_tokens=9)
    assert (setup.plugins, setup.budget) == ((), setup.client.budget)


async def test_plugins_cost_one_more_read_the_first_time_only() -> None:
    stage = Stage("b", "gone", "a", "b")
    stage.put(Kind.PLUGIN, "a", 1)
    stage.put(Kind.PLUGIN, "b", 2)
    for now, reads in ((0, 1), (4.9, 1), (5, 2), (3000, 3)):
        stage.now = now
        setup = await stage.setups.resolve(ACCOUNT, "c", 1)
        assert [plugin.name for plugin in setup.plugins] == ["b", "a"], "in the client's order"
        assert stage.accounts.reads == reads
        assert stage.resources.reads == [("b", "gone", "a")]


async def test_a_changed_plugin_is_used_after_five_seconds() -> None:
    stage = Stage("a")
    stage.put(Kind.PLUGIN, "a", 1)
    await stage.setups.resolve(ACCOUNT, "c", 1)
    stage.put(Kind.PLUGIN, "a", 1, prompt={"systemRole": "changed"})
    stage.now = 5
    setup = await stage.setups.resolve(ACCOUNT, "c", 1)
    assert [plugin.system_role for plugin in setup.plugins] == ["changed"]


async def test_a_client_that_gets_another_plugin_has_it_with_its_next_setup() -> None:
    stage = Stage("a")
    stage.put(Kind.PLUGIN, "a", 1)
    stage.put(Kind.PLUGIN, "b", 2)
    await stage.setups.resolve(ACCOUNT, "c", 1)
    stage.put(Kind.LLM_CLIENT, "c", plugins=["b", "a"])
    stage.now = 5
    setup = await stage.setups.resolve(ACCOUNT, "c", 1)
    assert [plugin.name for plugin in setup.plugins] == ["b", "a"]
    assert stage.resources.reads == [("a",), ("b",)], "only what is new here"
    stage.put(Kind.LLM_CLIENT, "c", plugins=["b"])
    stage.now = 10
    setup = await stage.setups.resolve(ACCOUNT, "c", 1)
    assert [plugin.name for plugin in setup.plugins] == ["b"]


async def test_more_plugins_than_one_read_takes_cost_another() -> None:
    names = [f"p{n}" for n in range(PLUGINS_CAP)]
    stage = Stage(*names)
    for number, name in enumerate(names):
        stage.put(Kind.PLUGIN, name, number)
    for now in (0, 5):
        stage.now = now
        setup = await stage.setups.resolve(ACCOUNT, "c", 1)
        assert [plugin.name for plugin in setup.plugins] == names
    assert stage.resources.reads == [tuple(names), tuple(names[GUESS_CAP:])]


async def test_a_namesake_of_a_deleted_client_is_not_taken_for_it() -> None:
    stage = Stage()
    await stage.setups.resolve(ACCOUNT, "c", 1)
    stage.put(Kind.LLM_CLIENT, "c", 2)
    assert (await stage.setups.resolve(ACCOUNT, "c", 2)).client is not None, "it is read at once"
    stage.now = 5
    with pytest.raises(ProviderFailed) as caught:
        await stage.setups.resolve(ACCOUNT, "c", 1)
    assert (caught.value.reason, caught.value.retryable) == ("client_gone", False)
    assert (await stage.setups.resolve(ACCOUNT, "c", 2)).client is not None


async def test_a_client_that_was_deleted_is_gone_for_good() -> None:
    stage = Stage()
    with pytest.raises(ProviderFailed) as caught:
        await stage.setups.resolve(ACCOUNT, "nobody", 1)
    assert (caught.value.reason, caught.value.retryable) == ("client_gone", False)


async def test_a_client_without_a_model_is_invalid() -> None:
    stage = Stage()
    stage.accounts.catalogues[ACCOUNT] = Catalogue()
    with pytest.raises(Invalid):
        await stage.setups.resolve(ACCOUNT, "c", 1)


async def test_accounts_do_not_share_what_is_remembered() -> None:
    stage = Stage()
    await stage.setups.resolve(ACCOUNT, "c", 1)
    with pytest.raises(ProviderFailed):
        await stage.setups.resolve("0000-0000-0002", "c", 1)


async def test_what_is_remembered_is_bounded() -> None:
    stage = Stage()
    for n in range(AT_MOST + 1):
        stage.put(Kind.LLM_CLIENT, f"c{n}")
        await stage.setups.resolve(ACCOUNT, f"c{n}", 1)
    await stage.setups.resolve(ACCOUNT, f"c{AT_MOST}", 1)
    assert stage.accounts.reads == AT_MOST + 1
    await stage.setups.resolve(ACCOUNT, "c0", 1)
    assert stage.accounts.reads == AT_MOST + 2


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
