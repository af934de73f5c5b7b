"""What a prompt costs, counted: calls to AWS, write units and read units.

The figures are exact, so that a change that adds a call or a unit has to change them here, where
it is seen. What was promised are the bounds; docs/performance.md shows both.
"""

import math

import pytest
from parley.usecases.setups import PROMPT_PAGE

from tests.budgets.meter import Bill
from tests.budgets.scenarios import SCENARIOS, counted
from tests.budgets.world import ANSWER_TEXT, TEXT, World

ACCEPT_CALLS = 4
RUNNER_CALLS = 7
WRITE_UNITS = 24
ITEM_BYTES = 1024
SYNC_READS = 32
FIRST_ACCEPT_UNITS = 14

# Scenario → calls, write units, read units: accept, every attempt and every look of the sweeper.
FIGURES: dict[str, tuple[int, int, float]] = {
    "first turn of a new thread": (10, 24, 6),
    "second turn": (10, 22, 6),
    "turn 1,000": (10, 22, 11),
    "an answer of a minute": (133, 27, 124),
    "one failed attempt": (16, 29, 10),
    "refused by the provider": (10, 19, 6),
    "given up after its retries": (11, 20, 6),
    "wake-up lost": (31, 25, 17),
    "wake-up doubled": (14, 22, 10),
    "runner lost": (35, 27, 19),
    "canceled while waiting": (12, 18, 9),
}


async def accepted_and_run(world: World, thread_id: str) -> tuple[Bill, Bill]:
    """The bills of accepting a prompt and of running it."""
    with world.meter.bill() as accepting:
        prompt = await world.accept(thread_id)
    with world.meter.bill() as running:
        await world.run(prompt)
    return accepting, running


@pytest.mark.parametrize("name", SCENARIOS)
async def test_what_can_happen_to_a_prompt_costs_what_is_stated(world: World, name: str) -> None:
    bill = await counted(world, name)

    assert bill.figures == FIGURES[name]
    assert world.meter.total.largest <= ITEM_BYTES


def test_every_scenario_has_its_figure() -> None:
    assert FIGURES.keys() == SCENARIOS.keys()


@pytest.mark.parametrize("name", ["first turn of a new thread", "second turn", "turn 1,000"])
def test_a_whole_life_stays_within_the_promised_units(name: str) -> None:
    assert FIGURES[name][1] <= WRITE_UNITS


@pytest.mark.parametrize("turns_before", [0, 1, 999])
async def test_accepting_and_running_stay_within_the_promised_calls(
    warm: World, turns_before: int
) -> None:
    if turns_before:
        warm.fill("t", turns_before)

    accepting, running = await accepted_and_run(warm, "t")

    assert len(accepting.calls) <= ACCEPT_CALLS
    assert len(running.calls) <= RUNNER_CALLS
    assert accepting.operations == ["query", "transact_write_items", "send_message"]
    assert running.by_operation == {"query": 5, "update_item": 1, "transact_write_items": 1}


def test_the_http_call_adds_nothing_to_accepting(warm: World) -> None:
    with warm.meter.bill() as bill:
        answer = warm.post(threadId="t")

    assert answer["statusCode"] == 200
    assert bill.operations == ["query", "transact_write_items", "send_message"]


def test_a_synchronous_caller_reads_the_prompt_once_a_second_at_most(warm: World) -> None:
    with warm.meter.bill() as bill:
        answer = warm.post(threadId="t", sync=True)

    assert answer["statusCode"] == 202  # nobody ran it: the call waited its whole 25 s
    assert bill.by_operation["get_item"] <= SYNC_READS
    assert bill.writes == FIRST_ACCEPT_UNITS


async def test_turn_1000_makes_the_calls_and_writes_of_turn_2(warm: World) -> None:
    warm.fill("short", 1)
    warm.fill("long", 999)

    short = await accepted_and_run(warm, "short")
    long = await accepted_and_run(warm, "long")

    for of_short, of_long in zip(short, long, strict=True):
        assert of_short.operations == of_long.operations
        assert of_short.writes == of_long.writes


async def test_reads_are_bounded_by_the_context_budget_and_not_by_the_thread(warm: World) -> None:
    warm.fill("at-the-budget", 40)
    warm.fill("far-beyond", 999)

    _, at_budget = await accepted_and_run(warm, "at-the-budget")
    _, beyond = await accepted_and_run(warm, "far-beyond")

    assert at_budget.reads == beyond.reads
    longest = max(len(TEXT), len(ANSWER_TEXT)) + 300
    other_queries = 4
    assert beyond.reads <= other_queries + math.ceil(PROMPT_PAGE * longest / 4096)


async def test_a_first_prompt_reads_key_catalogue_and_secret_once(world: World) -> None:
    await world.seed()

    with world.meter.bill() as cold:
        await world.warm_up()
    with world.meter.bill() as known:
        await world.warm_up()

    # The key; the catalogue, in both functions; the secret.
    assert cold.by_operation == {**known.by_operation, "get_item": 3, "get_parameter": 1}
    assert not {"get_item", "get_parameter"} & known.by_operation.keys()


@pytest.mark.parametrize("followers", [1, 5])
async def test_a_follower_costs_its_posts_and_nothing_in_the_table(
    warm: World, followers: int
) -> None:
    warm.fill("t", 1)
    _, alone = await accepted_and_run(warm, "t")
    await warm.follow("t", followers)

    _, followed = await accepted_and_run(warm, "t")

    # Question, state, one delta with the whole of a short answer, message, state.
    assert followed.by_operation == alone.by_operation | {"post_to_connection": 5 * followers}
    assert followed.writes == alone.writes


async def test_an_idle_sweep_reads_each_shard_once(warm: World) -> None:
    with warm.meter.bill() as bill:
        await warm.clock.run(warm.sweep(40))

    assert bill.figures == (16, 0, 8)
    assert bill.by_operation == {"query": 16}


async def test_a_backlog_costs_the_sweeper_the_same_for_each_prompt(warm: World) -> None:
    async def sweep(prompts: int) -> int:
        for number in range(prompts):
            await warm.accept(f"t{prompts}-{number}")
        await warm.clock.advance(61)
        with warm.meter.bill() as bill:
            await warm.clock.run(warm.sweep(40))
        await warm.clock.advance(1)
        return len(bill.calls)

    few = await sweep(2)
    more = await sweep(12)

    assert more - few == 10 * len(("read", "head", "wake-up", "next look"))
