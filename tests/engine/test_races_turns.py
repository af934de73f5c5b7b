"""Races for a turn of a thread: accepting it, waiting behind its head, claiming it.

Every test here goes red when the condition that it is about is taken out. The timelines
read downwards; what stands to the right happens in between.
"""

import asyncio
from dataclasses import replace

import pytest
from parley.core.lifecycle import LOSS_CAP
from parley.core.prompt import Status
from parley.ports import WakeUp
from parley.usecases.accept import NewPrompt
from parley.usecases.run import Result

from tests.fakes.chaos import AFTER, BEFORE, Actor, Hold, killed
from tests.fakes.clock import settle
from tests.fakes.provider import SHORT, SLOW
from tests.fakes.world import ACCOUNT, USER, World

# --- accept -----------------------------------------------------------------------------


@pytest.mark.parametrize("first", [1, 2], ids=["of a new thread", "of a thread"])
async def test_two_accepts_racing_for_a_turn_get_one_each(first: int) -> None:
    # accept a                    accept b
    # reads next_turn 1
    #                             reads next_turn 1
    #                             commits turn 1
    # commits turn 1 <- refused
    # reads next_turn 2, commits turn 2
    world = World()
    if first == 2:
        await world.add("before")
    hold = world.conductor.hold("prompts.accept", BEFORE, actor="a")
    _, racing = world.start(world.accept(USER, NewPrompt("ask a", "a", "t")), name="a")
    await hold.reached.wait()
    await world.add("b")
    hold.release()
    await world.clock.finish(racing)

    assert (world.prompt("b").turn, world.prompt("a").turn) == (first, first + 1)
    turns = [turn for turn, part in sorted(world.state.messages[ACCOUNT, "t"])]
    assert turns == list(range(1, first + 2))
    await world.drain()
    assert [world.status(name) for name in "ab"] == ["completed", "completed"]
    assert world.provider.asked()[-2:] == ["ask b", "ask a"]


async def test_ten_accepts_at_once_get_ten_turns_without_a_hole() -> None:
    world = World()
    tasks = [
        world.start(world.accept(USER, NewPrompt("x", f"p{n}", "t")), name=f"a{n}")[1]
        for n in range(10)
    ]
    holds = [world.conductor.hold("prompts.accept", BEFORE, actor=f"a{n}") for n in range(10)]
    await settle()
    for hold in reversed(holds):
        hold.release()
    for task in tasks:
        await world.clock.finish(task)
    assert sorted(prompt.turn for prompt in world.state.prompts.values()) == list(range(1, 11))


async def test_an_accept_whose_answer_is_lost_is_found_again_by_its_id() -> None:
    # api                         table
    # accepts a                   commits, the answer is lost
    # accepts a again             refuses: the id exists, with this content (I7)
    world = World()
    world.conductor.fail("prompts.accept", AFTER)
    assert await world.add("a") == world.prompt("a")
    assert world.status("a") == "scheduled"
    await world.drain()
    assert world.provider.asked() == ["ask a"]


async def test_an_accept_whose_api_died_is_found_again_by_the_id_of_the_client() -> None:
    # client                      api
    # submits a                   commits, dies before it answers
    # submits a again             finds it stored: nothing runs twice (I7)
    world = World()
    hold = world.conductor.hold("prompts.accept", AFTER, actor="api")
    actor, _ = world.start(world.accept(USER, NewPrompt("ask a", "a", "t")), name="api")
    await hold.reached.wait()
    await killed(actor)
    assert world.status("a") == "scheduled"
    assert await world.add("a") == world.prompt("a")
    await world.drain()
    assert world.provider.asked() == ["ask a"]


# --- a parked turn whose head ends at the same moment -----------------------------------


async def parked_behind(world: World) -> Actor:
    """`head` is running on the answered runner, `next` waits behind it, its wake-up comes."""
    world.provider.scripts = [SLOW, SHORT]
    await world.add("head")
    runner = world.runner("runner-1")
    await world.clock.advance(0.5)
    await world.add("next")
    return runner


async def parks_while(world: World) -> tuple[Hold, "asyncio.Task[Result]"]:
    """A runner has read that `next` is not the head, and has not dropped its wake-up yet."""
    hold = world.conductor.hold("prompts.head", AFTER, actor="runner-2")
    message = next(m for m in world.queue.messages if m.wake_up.prompt_id == "next")
    wake_up = message.wake_up
    message.receives = 1
    _, task = world.start(world.run(wake_up, alone=True, deadline=1e9), "runner", "runner-2")
    await hold.reached.wait()
    return hold, task


# runner-2                       whoever ends the head
# reads: `head` is the head
#                                ends `head`
#                                reads the head: `next`, and wakes it
# drops the wake-up of `next`
#                                                        the new wake-up runs `next`


async def test_a_parked_turn_goes_on_when_the_runner_ends_its_head() -> None:
    world = World()
    await parked_behind(world)
    hold, task = await parks_while(world)
    await world.clock.advance(15)
    assert world.status("head") == "completed"
    hold.release()
    await world.clock.finish(task)
    world.queue.messages = [m for m in world.queue.messages if m.receives == 0]
    await world.drain()
    assert world.status("next") == "completed"


@pytest.mark.parametrize("state", ["scheduled", "expired"])
async def test_a_parked_turn_goes_on_when_a_cancel_ends_its_head(state: str) -> None:
    world = World()
    if state == "expired":
        await killed(await parked_behind(world))
        world.clock.skip(world.policy.lease)
        world.provider.scripts = []
    else:
        await world.add("head")
        world.queue.messages.clear()
        await world.add("next")
    hold, task = await parks_while(world)
    canceled = await world.clock.run(world.cancel(USER, "head"))
    assert canceled.status is Status.CANCELED
    hold.release()
    await world.clock.finish(task)
    world.queue.messages = [m for m in world.queue.messages if m.receives == 0]
    await world.drain()
    assert world.status("next") == "completed"


async def test_a_parked_turn_goes_on_when_the_sweeper_ends_its_head() -> None:
    world = World()
    await killed(await parked_behind(world))
    world.provider.scripts = []
    lose_lease(world, "head", losses=LOSS_CAP - 1)
    world.clock.skip(world.policy.sweep)
    hold, task = await parks_while(world)
    await world.clock.run(world.sweep(10))
    assert world.status("head") == "abandoned"
    hold.release()
    await world.clock.finish(task)
    world.queue.messages = [m for m in world.queue.messages if m.receives == 0]
    await world.drain()
    assert world.status("next") == "completed"


async def test_a_parked_turn_goes_on_when_its_head_is_removed() -> None:
    world = World()
    await world.add("head")
    world.queue.messages.clear()
    await world.add("next")
    hold, task = await parks_while(world)
    await world.clock.run(world.remove(USER, "head"))
    hold.release()
    await world.clock.finish(task)
    world.queue.messages = [m for m in world.queue.messages if m.receives == 0]
    await world.drain()
    assert world.status("next") == "completed"


def lose_lease(world: World, prompt_id: str, losses: int) -> None:
    """The lease of a running prompt is over, and so many attempts were lost before."""
    prompt = world.prompt(prompt_id)
    world.state.prompts[ACCOUNT, prompt_id] = replace(
        prompt, losses=losses, lease_until=world.clock.now()
    )


# --- claim ------------------------------------------------------------------------------


async def test_a_claim_whose_answer_is_lost_is_the_runners_own() -> None:
    # runner
    # claims a: it takes effect, the answer is lost
    # claims a with the same token: "mine already"
    world = World()
    await world.add("a")
    world.conductor.fail("prompts.claim", AFTER)
    await world.drain()
    assert world.status("a") == "completed"
    assert (world.prompt("a").run_count, world.prompt("a").losses) == (1, 0)
    assert world.clock.monotonic() < 1


async def test_a_claim_that_is_never_answered_leaves_the_message_and_is_taken_over() -> None:
    world = World()
    await world.add("a")
    world.conductor.fail("prompts.claim", AFTER)
    for _ in range(2):
        world.conductor.fail("prompts.claim", BEFORE)
    await world.drain(sweeps=True)
    assert world.status("a") == "completed"
    assert world.prompt("a").losses == 1


async def test_a_claim_that_is_answered_after_its_lease_starts_no_attempt() -> None:
    # runner-1                     runner-2
    # claims a; the answer hangs
    #                              (the lease ends) takes over, answers, finishes
    # gets the answer: it does not ask the model, whose context would end with an answer
    world = World()
    await world.add("a")
    hold = world.conductor.hold("prompts.claim", AFTER, actor="runner-1")
    runner = world.runner("runner-1")
    await hold.reached.wait()
    world.clock.skip(world.policy.lease)
    await world.clock.run(world.run(WakeUp(ACCOUNT, "a", "t"), alone=True, deadline=1e9))
    hold.release()
    await world.clock.advance(5)
    assert not runner.alive()
    assert world.provider.asked() == ["ask a"]
    assert (world.status("a"), world.prompt("a").run_count) == ("completed", 2)


async def test_a_claim_on_a_turn_that_moved_is_refused() -> None:
    # runner                       api
    # reads the head: a at turn 1
    #                              cancels a
    #                              retries a: now turn 3, behind b
    # claims a        <- refused, or turn 3 would run before turn 2
    world = World()
    await world.add("a")
    hold = world.conductor.hold("prompts.claim", BEFORE, actor="runner-1")
    world.runner("runner-1")
    await hold.reached.wait()
    await world.add("b")
    await world.clock.run(world.cancel(USER, "a"))
    await world.clock.run(world.retry(USER, "a"))
    hold.release()
    await settle()
    assert world.status("a") == "scheduled"
    await world.drain()
    assert world.provider.asked() == ["ask b", "ask a"]


async def test_a_retry_while_a_later_turn_runs_waits_behind_it() -> None:
    # runner                       api
    # runs b (turn 2)
    #                              retries a: turn 3, and wakes it
    # a second runner finds b at the head and drops a's wake-up
    # b ends: a is woken, runs as turn 3
    world = World()
    await world.add("a")
    await world.clock.run(world.cancel(USER, "a"))
    world.provider.scripts = [SLOW, SHORT]
    await world.add("b")
    world.runner("runner-1")
    await world.clock.advance(1)
    retried = await world.clock.run(world.retry(USER, "a"))
    assert retried.turn == 3
    world.runner("runner-2")
    await world.clock.advance(1)
    assert (world.status("a"), world.status("b")) == ("scheduled", "running")
    await world.clock.advance(20)
    await world.drain()
    assert world.provider.asked() == ["ask b", "ask a"]
    assert sorted(world.state.messages[ACCOUNT, "t"]) == [(2, 1), (2, 1000), (3, 1), (3, 1000)]


async def test_a_question_added_later_is_not_seen_by_an_earlier_turn() -> None:
    world = World()
    await world.add("a")
    await world.add("b")
    await world.drain()
    first, second = world.provider.requests
    assert [message.text for message in first.messages] == ["ask a"]
    assert [message.text for message in second.messages] == ["ask a", "An answer.", "ask b"]
