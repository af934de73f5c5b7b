"""Races of an end that somebody asks for: a cancel, a removal, a deletion.

Every test here goes red when the condition that it is about is taken out. The timelines
read downwards; what stands to the right happens in between.
"""

import pytest
from parley.core.errors import Conflict
from parley.core.prompt import Outcome, Status
from parley.usecases.accept import NewPrompt

from tests.fakes.chaos import BEFORE, killed
from tests.fakes.clock import settle
from tests.fakes.provider import SHORT, SILENT, SLOW, End, Fail, Say, Wait
from tests.fakes.world import ACCOUNT, USER, World

# --- cancel -----------------------------------------------------------------------------


async def test_a_finish_wins_over_a_cancel_that_was_only_requested() -> None:
    # runner                       api
    # the answer is whole
    #                              asks a to cancel itself
    # finishes a
    #                              answers completed
    world = World()
    await world.add("a")
    hold = world.conductor.hold("prompts.finish", BEFORE)
    world.runner()
    await hold.reached.wait()
    _, canceling = world.start(world.cancel(USER, "a"), "api")
    await settle()
    assert world.prompt("a").cancel_requested
    hold.release()
    assert (await world.clock.finish(canceling)).status is Status.COMPLETED
    assert world.answer("a").text == "An answer."


async def test_a_finish_after_the_cancel_was_committed_writes_nothing() -> None:
    # runner-1                     api
    # the answer is whole; its finish hangs past the lease
    #                              asks a to cancel itself; the lease is over: canceled
    # finishes a  <- refused
    world = World()
    await world.add("a")
    await world.subscribe("c")
    hold = world.conductor.hold("prompts.finish", BEFORE)
    world.runner()
    await hold.reached.wait()
    world.clock.skip(world.policy.lease)
    canceled = await world.clock.run(world.cancel(USER, "a"))
    assert canceled.status is Status.CANCELED
    told = len(world.publisher.frames["c"])
    hold.release()
    await settle()
    assert world.status("a") == "canceled"
    assert world.answer("a") is None
    assert {frame["type"] for frame in world.publisher.frames["c"][told:]} <= {"prompt"}


async def test_a_cancel_closes_the_stream_of_a_silent_model_within_two_seconds() -> None:
    # runner                       api
    # waits for the model
    #                              asks a to cancel itself
    # looks after a second: closes the stream, commits canceled with the partial text
    #                              answers canceled
    world = World()
    world.provider.scripts = [(Say("Part"), SILENT)]
    await world.add("a")
    await world.subscribe("c")
    world.runner()
    await world.clock.advance(5)
    since = world.clock.monotonic()
    canceled = await world.clock.run(world.cancel(USER, "a"))
    assert canceled.status is Status.CANCELED
    assert world.clock.monotonic() - since <= 2
    assert world.provider.open == []
    partial = world.answer("a")
    assert (partial.text, partial.partial, partial.finish_reason) == ("Part", True, "canceled")
    await world.clock.advance(1)
    told = len(world.publisher.frames["c"])
    assert world.publisher.states("c", "a")[-1] == "canceled"
    await world.clock.advance(60)
    assert len(world.publisher.frames["c"]) == told

    await world.add("b")
    await world.drain()
    roles = [message.role for message in world.provider.requests[-1].messages]
    assert roles == ["user", "assistant", "user"]


async def test_a_cancel_of_a_prompt_whose_runner_is_dead_needs_no_runner() -> None:
    # runner-1                     api
    # claims a, dies
    #                              asks a to cancel itself, waits 3 s: still running
    #                              (the lease ends)
    #                              asks again: the lease is over, commits canceled
    world = World()
    world.provider.scripts = [(SILENT,)]
    await world.add("a")
    await world.add("b")
    runner = world.runner(limit=1)
    await world.clock.advance(1)
    await killed(runner)
    waited = await world.clock.run(world.cancel(USER, "a"))
    assert (waited.status, waited.cancel_requested) == (Status.RUNNING, True)
    world.clock.skip(world.policy.lease)
    assert (await world.clock.run(world.cancel(USER, "a"))).status is Status.CANCELED
    assert world.prompt("a").attempts[-1].outcome is Outcome.LOST
    await world.drain()
    assert (world.status("a"), world.status("b")) == ("canceled", "completed")


async def test_a_cancel_asked_of_a_dead_runner_is_committed_by_the_sweeper() -> None:
    world = World()
    world.provider.scripts = [(SILENT,)]
    await world.add("a")
    runner = world.runner()
    await world.clock.advance(1)
    await killed(runner)
    await world.clock.run(world.cancel(USER, "a"))
    world.clock.skip(world.policy.sweep)
    await world.clock.run(world.sweep(5))
    assert world.status("a") == "canceled"
    assert len(world.provider.requests) == 1


async def test_a_cancel_is_not_lost_when_the_attempt_fails_at_the_same_moment() -> None:
    # runner                       api
    # its provider fails
    #                              asks a to cancel itself
    #                              answers 202: still running
    # errors a  <- refused: cancels it instead, or it would run again
    world = World()
    world.provider.scripts = [(Say("Part"), Fail()), SHORT]
    await world.add("a")
    hold = world.conductor.hold("prompts.fail", BEFORE)
    world.runner()
    await hold.reached.wait()
    asked = await world.clock.run(world.cancel(USER, "a"))
    assert (asked.status, asked.cancel_requested) == (Status.RUNNING, True)
    hold.release()
    await world.drain(sweeps=True)
    assert world.status("a") == "canceled"
    assert len(world.provider.requests) == 1


async def test_a_cancel_that_finds_the_prompt_errored_cancels_that() -> None:
    # api                          runner
    # reads a: running
    #                              errors a
    # asks it to cancel itself <- refused
    # reads again: errored, cancels it
    world = World()
    world.provider.scripts = [(Fail(),)]
    await world.add("a")
    failing = world.conductor.hold("prompts.fail", BEFORE)
    world.runner()
    await failing.reached.wait()
    asking = world.conductor.hold("prompts.request_cancel", BEFORE)
    _, canceling = world.start(world.cancel(USER, "a"), "api")
    await asking.reached.wait()
    failing.release()
    await settle()
    asking.release()
    assert (await world.clock.finish(canceling)).status is Status.CANCELED


# --- removal ----------------------------------------------------------------------------


async def test_an_id_that_is_removed_and_added_again_is_another_prompt() -> None:
    # runner                       api
    # streams a (turn 1), its looks hang
    #                              asks a to cancel itself, in vain
    #                              removes a, adds a again: turn 2
    # looks: stops                 (its token is gone)
    world = World()
    world.provider.scripts = [SLOW, (Say("New"), End())]
    await world.add("a")
    world.runner("runner-1")
    looking = world.conductor.hold("prompts.prompt", BEFORE, actor="runner-1")
    await world.clock.advance(1)
    await world.clock.run(world.remove(USER, "a"))
    await world.add("a", text="other words")
    assert world.prompt("a").turn == 2
    assert len(world.provider.open) == 1
    looking.release()
    await settle()
    assert len(world.provider.open) == 0, "the removed prompt's stream goes on"
    await world.drain()
    assert (world.status("a"), world.answer("a").text) == ("completed", "New")
    assert world.answer("a").id == "msg_a.2"
    assert (1, 1000) not in world.state.messages[ACCOUNT, "t"]


async def test_a_removed_prompts_attempt_stops_although_the_id_runs_again() -> None:
    # runner-1                     api                        runner-2
    # streams a, its looks hang
    #                              removes a, adds it again
    #                                                         claims a: it is running
    # looks: running, with another token: stops
    world = World()
    world.provider.scripts = [(SILENT,), (Wait(5), Say("New"), End())]
    await world.add("a")
    world.runner("runner-1")
    looking = world.conductor.hold("prompts.prompt", BEFORE, actor="runner-1")
    await world.clock.advance(1)
    await world.clock.run(world.remove(USER, "a"))
    await world.add("a")
    world.runner("runner-2")
    await world.clock.advance(0.3)
    assert (world.status("a"), len(world.provider.open)) == ("running", 2)
    looking.release()
    await settle()
    assert (world.status("a"), len(world.provider.open)) == ("running", 1)
    await world.clock.advance(10)
    assert world.answer("a").text == "New"


async def test_an_eviction_does_not_touch_the_prompt_that_took_the_id() -> None:
    # remove 1                     remove 2, accept
    # reads a at turn 1
    #                              removes a; a is added again: turn 2
    # evicts a <- refused: it reads again, and removes what is there, as it was asked
    world = World()
    await world.add("a")
    hold = world.conductor.hold("prompts.evict", BEFORE, actor="slow")
    _, slow = world.start(world.remove(USER, "a"), "api", "slow")
    await hold.reached.wait()
    await world.clock.run(world.remove(USER, "a"))
    await world.add("a")
    evictions = world.conductor.calls("prompts.evict")
    hold.release()
    await world.clock.finish(slow)
    assert world.conductor.calls("prompts.evict") == evictions + 1
    assert world.open_turns() == []
    assert (ACCOUNT, "a") not in world.state.prompts


async def test_a_thread_being_deleted_takes_no_more_prompts_and_stays_gone() -> None:
    # deleter                      api                        runner
    #                                                         streams a
    # marks the thread deleted
    #                              accepts b <- refused
    # evicts a, deletes
    #                                                         finishes a <- refused
    world = World()
    world.provider.scripts = [SLOW]
    await world.add("a")
    world.runner()
    await world.clock.advance(1)
    hold = world.conductor.hold("prompts.accept", BEFORE)
    _, late = world.start(world.accept(USER, NewPrompt("b", "b", "t")), "api")
    await hold.reached.wait()
    await world.clock.run(world.delete_thread(USER, "t", 10))
    hold.release()
    with pytest.raises(Conflict):
        await world.clock.finish(late)
    await world.clock.advance(60)
    assert world.state.prompts == {}
    assert world.state.messages[ACCOUNT, "t"] == {}
    assert world.open_turns() == []
