import asyncio
from collections.abc import Iterator

import pytest

from tests.budgets.world import World
from tests.budgets.world import world as a_world


@pytest.fixture(name="world")
def _world() -> Iterator[World]:
    """An empty world on moto."""
    with a_world() as made:
        yield made


@pytest.fixture
def warm(world: World) -> World:
    """One that has run a prompt: keys, models and secrets are remembered."""

    async def ready() -> None:
        await world.seed()
        await world.warm_up()

    asyncio.run(ready())
    return world
