"""What may happen while a tool is at work: a crash, a cancel, a lost lease, a duplicate.

Each test has its timeline; the orders that nobody thought of are the simulation's.
"""

from typing import Any

import pytest
from parley.core.prompt import Outcome, Status
from parley.core.resource import Kind
from parley.core.thread import ANSWER, QUESTION
from parley.ports import WakeUp
from parley.usecases.run import Done

from tests.fakes.chaos import AFTER, BEFORE, killed
from tests.fakes.provider import Ask, End, Say
from tests.fakes.world import ACCOUNT, USER, World

SUM = ("calculator", "{}")
ROUND = (Say("Hm."), Ask((SUM, SUM)))
LAST = (Say("Two."), End())


def a_world(*scripts: Any, seconds: float = 10) -> World:
    world = World()
    world.describe(Kind.LLM_CLIENT, "adviser", functions=["calculator"])
    world.provider.scripts = list(scripts)
    world.tools.seconds["calculator"] = seconds
    return world


def parts(world: World) -> list[int]:
    return sorted(part for _, part in world.state.messages[ACCOUNT, "t"])


def told(world: World, attempt: int) -> list[str]:
    return [
        frame["state"]
        for frame in world.publisher.frames["c"]
        if frame["type"] == "tool" and frame["attempt"] == attempt
    ]


async def test_a_crash_during_a_tool_is_a_lost_attempt_and_leaves_no_half_round() -> None:
    # runner-1                     runner-2
    # round 1, the tools run
    # dies
    #                              (the lease ends) takes over: round 1 anew, answers
    world = a_world(ROUND, ROUND, LAST)
    await world.add("a", client="adviser")
    await world.subscribe("c")
    runner = world.runner()
    await world.clock.advance(5)
    assert len(world.tools.open) == 2
    await killed(runner)
    assert world.tools.open == []
    await world.drain(sweeps=True)

    prompt = world.prompt("a")
    assert [a.outcome for a in prompt.attempts] == [Outcome.LOST, Outcome.COMPLETED]
    assert parts(world) == [QUESTION, QUESTION + 1, ANSWER]
    assert world.answer("a").text == "Hm.\n\nTwo."  # type: ignore[union-attr]
    assert told(world, 1) == ["started"] * 2
    assert told(world, 2) == ["started"] * 2 + ["done"] * 2


async def test_a_cancel_during_a_tool_stops_it_and_keeps_the_text() -> None:
    # api                          runner
    #                              says "Hm.", the tools run
    # asks it to cancel itself
    #                              sees it, stops the tools, commits
    # answers canceled <- no frame of the attempt after this
    world = a_world(ROUND, LAST, seconds=300)
    await world.add("a", client="adviser")
    await world.subscribe("c")
    world.runner()
    await world.clock.advance(5)
    start = world.clock.monotonic()
    canceled = await world.clock.run(world.cancel(USER, "a"))
    assert canceled.status is Status.CANCELED
    assert world.clock.monotonic() - start < 2
    assert world.tools.open == []
    frames = len([f for f in world.publisher.frames["c"] if f["type"] in {"tool", "delta"}])
    await world.clock.advance(400)

    assert len([f for f in world.publisher.frames["c"] if f["type"] in {"tool", "delta"}]) == frames
    assert told(world, 1) == ["started"] * 2
    assert parts(world) == [QUESTION, ANSWER]
    answer = world.answer("a")
    assert answer is not None
    assert (answer.text, answer.partial) == ("Hm.", True)
    assert len(world.provider.requests) == 1


@pytest.mark.parametrize("seconds", [8.5, 60])
async def test_an_attempt_that_loses_its_lease_during_a_tool_says_nothing_of_it(
    seconds: float,
) -> None:
    # runner-1                     runner-2
    # the tools run; freezes
    #                              (the lease ends) takes over, answers
    # wakes up, the tools are done <- followers hear nothing of it, nothing is written
    world = a_world(ROUND, LAST, seconds=seconds)
    await world.add("a", client="adviser")
    await world.subscribe("c")
    for name in ("prompts.renew", "prompts.prompt"):
        world.conductor.hold(name, BEFORE, actor="runner-1")
    world.runner("runner-1")
    await world.clock.advance(8)
    world.clock.skip(world.policy.lease)
    work = world.run(WakeUp(ACCOUNT, "a", "t"), alone=True, deadline=1e9)
    _, taking_over = world.start(work, "runner", "runner-2")
    assert await world.clock.finish(taking_over) == Done()
    await world.clock.advance(60)

    assert told(world, 1) == ["started"] * 2
    assert world.prompt("a").run_count == 2
    assert parts(world) == [QUESTION, ANSWER]
    assert world.answer("a").text == "Two."  # type: ignore[union-attr]
    assert world.tools.open == []


async def test_an_attempt_renews_its_lease_while_a_tool_works_and_ends_at_its_limit() -> None:
    world = a_world(ROUND, LAST, LAST, seconds=100_000)
    await world.add("a", client="adviser")
    world.runner()
    await world.clock.advance(299)
    assert (world.status("a"), world.prompt("a").run_count) == ("running", 1)
    await world.clock.advance(2)
    assert (world.status("a"), world.prompt("a").error_code) == ("errored", "time_limit")
    assert world.tools.open == []


@pytest.mark.parametrize("stage", [BEFORE, AFTER])
async def test_a_finish_that_is_lost_is_repeated_with_its_rounds(stage: str) -> None:
    # runner                       table
    # finishes with one round      commits (or not), the answer is lost
    # finishes again               the same answer: a success
    world = a_world(ROUND, LAST, seconds=0)
    await world.add("a", client="adviser")
    world.conductor.fail("prompts.finish", stage)
    await world.drain()
    assert world.status("a") == "completed"
    assert parts(world) == [QUESTION, QUESTION + 1, ANSWER]
    assert len(world.provider.requests) == 2


async def test_a_doubled_wake_up_during_a_tool_calls_nothing_twice() -> None:
    world = a_world(ROUND, LAST)
    await world.add("a", client="adviser")
    world.queue.double(0)
    world.runner(limit=1)
    await world.clock.advance(2)
    world.runner(limit=1)
    await world.drain()
    assert len(world.tools.calls) == 2
    assert world.prompt("a").run_count == 1


async def test_a_cancel_that_comes_with_the_finish_finds_the_rounds_stored() -> None:
    # api                          runner
    #                              commits answer and round
    # asks it to cancel itself <- refused, for it is completed
    world = a_world(ROUND, LAST, seconds=0)
    await world.add("a", client="adviser")
    asking = world.conductor.hold("prompts.request_cancel", BEFORE)
    finishing = world.conductor.hold("prompts.finish", BEFORE)
    world.runner()
    await finishing.reached.wait()
    _, canceling = world.start(world.cancel(USER, "a"), "api")
    await asking.reached.wait()
    finishing.release()
    await world.drain()
    asking.release()
    assert (await world.clock.finish(canceling)).status is Status.COMPLETED
    assert parts(world) == [QUESTION, QUESTION + 1, ANSWER]
