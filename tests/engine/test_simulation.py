"""Whatever happens in whatever order, the promises hold.

The same examples each time; `PARLEY_SIMULATION_EXAMPLES=20000` draws that many new and
longer ones instead. A failure shows its plan, its choices and what happened, step by step.
"""

import asyncio
import os

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.engine.simulation import Op, Simulation
from tests.fakes.provider import SILENT, Ask, Break, Cut, End, Fail, Say, Script, Wait

EXAMPLES = int(os.environ.get("PARLEY_SIMULATION_EXAMPLES", "0"))
DEEP = EXAMPLES > 0
STEPS = 400 if DEEP else 250

PROFILE = settings(
    max_examples=EXAMPLES or 500,
    deadline=None,
    derandomize=not DEEP,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)

SCRIPTS: list[Script | None] = [
    (Say("abc"), End()),
    (Say("ab"), Wait(0.2), Say("cd"), Wait(0.5), Say("ef"), End()),
    (Wait(2), Say("ab"), Wait(3), Say("cd"), End()),
    (Say("a"), Wait(9), Say("b"), End()),
    (Say("abcd"), Fail()),
    (Fail("status_429", retry_after=2),),
    (Say("ab"), Cut()),
    (Say("ab"), SILENT),
    (SILENT,),
    (Fail("status_400", retryable=False),),
    (Say("ab"), Wait(1), Break()),
    None,
]

ADD, DATE, SKY = (("calculator", ""),), (("date_calculator", ""),), (("get_current_weather", ""),)
TOOL_SCRIPTS: list[Script | None] = [
    *SCRIPTS,
    *(
        (Ask(ADD),),
        (Say("ab"), Ask(DATE)),
        (Say("ab"), Wait(0.5), Say("c"), Ask((*ADD, *DATE))),
        (Wait(1), Ask((*DATE, *SKY))),
        (Say("abc"), Ask(SKY)),
        (Ask((("unknown", ""), *ADD)),),
    )
    * 2,
]

ids = st.integers(0, 3)
op = st.one_of(
    st.builds(Op, st.just("accept"), ids),
    st.builds(Op, st.sampled_from(["accept", "cancel", "cancel", "retry", "retry"]), ids),
    st.builds(Op, st.sampled_from(["subscribe", "subscribe", "unsubscribe", "remove"]), ids),
    st.builds(Op, st.sampled_from(["hang_up", "delete"]), st.integers(0, 1)),
    st.builds(Op, st.just("accept"), ids, st.just(1)),
)
plans = st.tuples(
    st.lists(st.builds(Op, st.just("accept"), ids), min_size=2, max_size=4),
    st.lists(op, min_size=0, max_size=8),
).map(lambda parts: [*parts[0], *parts[1]])
steps = st.integers(0, STEPS).flatmap(
    lambda n: st.lists(st.integers(0, 1023), min_size=n, max_size=n)
)
scripts = st.lists(st.sampled_from(SCRIPTS), max_size=8)


@PROFILE
@given(plans, steps, scripts, st.booleans(), st.integers(1, 2))
def test_the_promises_hold_in_every_order_and_under_every_fault(
    plan: list[Op], choices: list[int], told: list[Script | None], ghosts: bool, threads: int
) -> None:
    simulation = Simulation(plan, choices, told, threads=threads, ghosts=ghosts)
    asyncio.run(simulation.run())


@PROFILE
@given(plans, steps, st.lists(st.sampled_from(TOOL_SCRIPTS), max_size=10), st.booleans())
def test_the_promises_hold_while_tools_are_at_work(
    plan: list[Op], choices: list[int], told: list[Script | None], ghosts: bool
) -> None:
    simulation = Simulation(plan, choices, told, ghosts=ghosts, tools=True)
    asyncio.run(simulation.run())


gentle = st.lists(
    st.sampled_from([s for s in SCRIPTS if s is not None and Break() not in s and SILENT not in s]),
    max_size=8,
)


@PROFILE
@given(plans, steps, gentle, st.integers(1, 2))
def test_without_faults_every_follower_hears_how_it_ended(
    plan: list[Op], choices: list[int], told: list[Script | None], threads: int
) -> None:
    simulation = Simulation(plan, choices, told, threads=threads, faults=False)
    asyncio.run(simulation.run())


@pytest.mark.parametrize("count", [1, 5])
def test_the_plain_schedule_answers_everything(count: int) -> None:
    simulation = Simulation([Op("accept", n) for n in range(count)], [])
    asyncio.run(simulation.run())
    statuses = {prompt.status.value for prompt in simulation.world.state.prompts.values()}
    assert statuses == {"completed"}
