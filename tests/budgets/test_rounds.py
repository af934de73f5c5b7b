"""What an llm_client, its plugins and its rounds of tool calls add to what the runner calls."""

import pytest
from parley.core.prompt import Prompt
from parley.core.resource import Kind, Resource
from parley.usecases.catalogue import Models

from tests.budgets.meter import Bill
from tests.budgets.world import ACCOUNT, World, stored
from tests.fakes.provider import Ask, End, Say

ROUND = (Say("Let me see."), Ask((("calculator", '{"expression": "1 + 1"}'),)))


async def described(world: World, kind: Kind, name: str, **spec: object) -> int:
    """The number of what a manifest says, stored."""
    made = await world.parts.resources.add(Resource(ACCOUNT, kind, name, 1, 1, spec=spec))
    return made.number


async def ran(world: World, **fields: object) -> tuple[Prompt, Bill]:
    """A prompt that was run, and what its runner was charged."""
    prompt = await world.accept("t", **fields)
    with world.meter.bill() as bill:
        await world.run(prompt)
    return await stored(world, prompt), bill


def forget(world: World) -> None:
    """The runner's catalogues: their time is that of the real clocks."""
    models = world.runner.run.ports.models
    assert isinstance(models, Models)
    models.remembered.forget_all()


@pytest.mark.parametrize("plugins", [(), ("books", "papers")])
async def test_a_chat_turn_costs_the_runner_what_a_plain_prompt_does(
    world: World, plugins: tuple[str, ...]
) -> None:
    await world.seed()
    await described(world, Kind.LLM_CLIENT, "plain")
    number = await described(world, Kind.LLM_CLIENT, "adviser", plugins=list(plugins))
    for name in plugins:
        await described(world, Kind.PLUGIN, name, data={"staticData": {"a": 1}})

    await ran(world)
    _, warm = await ran(world)
    forget(world)
    _, plain = await ran(world)
    _, chat = await ran(world, client="adviser", client_number=number)
    _, remembered = await ran(world, client="adviser", client_number=number)

    assert len(plain.calls) == len(warm.calls) + 1
    assert len(chat.calls) == len(plain.calls) + bool(plugins)
    assert remembered.operations == warm.operations


async def test_rounds_cost_no_call(world: World) -> None:
    await world.seed()
    number = await described(world, Kind.LLM_CLIENT, "adviser", functions=["calculator"])
    await ran(world, client="adviser", client_number=number)
    _, without = await ran(world, client="adviser", client_number=number)
    world.provider.scripts += [ROUND, ROUND, ROUND, (Say("Two."), End())]
    prompt, with_three = await ran(world, client="adviser", client_number=number)

    assert prompt.status.value == "completed"
    assert with_three.operations == without.operations
    assert with_three.by_operation == {"query": 5, "update_item": 1, "transact_write_items": 1}
