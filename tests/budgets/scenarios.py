"""What happens to a prompt, whose cost is counted: by the tests and by `make bench`."""

from collections.abc import Awaitable, Callable

from parley.core.prompt import Prompt, Status

from tests.budgets.meter import Bill
from tests.budgets.world import World, stored
from tests.fakes.provider import End, Fail, Say, Wait

SWEEP_BUDGET_SECONDS = 40


async def short(world: World, thread_id: str = "") -> Prompt:
    """One attempt, answered within a second."""
    prompt = await world.accept(thread_id)
    await world.run(prompt)
    return prompt


async def first_turn(world: World) -> Prompt:
    """The same, with the thread made by it."""
    return await short(world)


async def second_turn(world: World) -> Prompt:
    """The same, in a thread that has one turn."""
    world.fill("short", 1)
    return await short(world, "short")


async def thousandth_turn(world: World) -> Prompt:
    """The same, in a thread that has 999 turns."""
    world.fill("long", 999)
    return await short(world, "long")


async def minute_long(world: World) -> Prompt:
    """An answer that takes a minute: the lease renewed, cancels and followers looked for."""
    world.fill("t", 1)
    world.provider.scripts.append([Say("…"), Wait(60), End()])
    return await short(world, "t")


async def fails_once(world: World) -> Prompt:
    """The provider fails, the next attempt answers."""
    world.fill("t", 1)
    world.provider.scripts.append([Fail()])
    prompt = await world.accept("t")
    await world.run(prompt)
    await world.clock.advance(2)
    await world.run(prompt)
    return prompt


async def refused(world: World) -> Prompt:
    """The provider refuses the request."""
    world.fill("t", 1)
    world.provider.scripts.append([Fail("status_400", retryable=False)])
    return await short(world, "t")


async def given_up(world: World) -> Prompt:
    """The provider fails, no retries are left: a record in the dead-letter queue."""
    world.fill("t", 1)
    world.provider.scripts.append([Fail()])
    prompt = await world.accept("t", max_retries=0)
    await world.run(prompt)
    return prompt


async def wake_up_lost(world: World) -> Prompt:
    """The sweeper finds the prompt; then it runs."""
    world.fill("t", 1)
    prompt = await world.accept("t")
    await world.clock.advance(61)
    await world.clock.run(world.sweep(SWEEP_BUDGET_SECONDS))
    await world.run(prompt)
    return prompt


async def wake_up_doubled(world: World) -> Prompt:
    """A second wake-up finds the prompt completed, pushes and wakes once more."""
    world.fill("t", 1)
    prompt = await short(world, "t")
    await world.run(prompt)
    return prompt


async def runner_lost(world: World) -> Prompt:
    """The runner dies; the sweeper finds the expired lease; the next one runs it alone."""
    world.fill("t", 1)
    prompt = await world.accept("t")
    await world.run_and_die(prompt)
    await world.clock.advance(61)
    await world.clock.run(world.sweep(SWEEP_BUDGET_SECONDS))
    await world.run(prompt, alone=True)
    return prompt


async def canceled_waiting(world: World) -> Prompt:
    """Canceled before it ran; its wake-up comes afterwards."""
    world.fill("t", 1)
    prompt = await world.accept("t")
    await world.clock.run(world.api.cancel(world.principal, prompt.id))
    await world.run(prompt)
    return prompt


SCENARIOS: dict[str, tuple[Callable[[World], Awaitable[Prompt]], Status]] = {
    "first turn of a new thread": (first_turn, Status.COMPLETED),
    "second turn": (second_turn, Status.COMPLETED),
    "turn 1,000": (thousandth_turn, Status.COMPLETED),
    "an answer of a minute": (minute_long, Status.COMPLETED),
    "one failed attempt": (fails_once, Status.COMPLETED),
    "refused by the provider": (refused, Status.ABANDONED),
    "given up after its retries": (given_up, Status.ABANDONED),
    "wake-up lost": (wake_up_lost, Status.COMPLETED),
    "wake-up doubled": (wake_up_doubled, Status.COMPLETED),
    "runner lost": (runner_lost, Status.COMPLETED),
    "canceled while waiting": (canceled_waiting, Status.CANCELED),
}


async def counted(world: World, name: str) -> Bill:
    """The bill of a scenario in a warm world; checks that it ended as it should."""
    scenario, status = SCENARIOS[name]
    await world.seed()
    await world.warm_up()
    with world.meter.bill() as bill:
        prompt = await scenario(world)
    assert (await stored(world, prompt)).status is status, name
    return bill
