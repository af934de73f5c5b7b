"""The races that the protocol names, each on a fixed schedule.

Every test here goes red when the condition that it is about is taken out. The timelines
read downwards; what stands to the right happens in between.
"""

import asyncio
import heapq
from dataclasses import replace

import pytest
from parley.core.errors import Busy, Conflict
from parley.core.lifecycle import LOSS_CAP
from parley.core.prompt import OpenTurn, Outcome, Prompt, Status
from parley.core.thread import QUESTION, Message, Role
from parley.ports import Page, ProviderRequest, WakeUp
from parley.usecases.accept import NewPrompt
from parley.usecases.run import Result

from tests.fakes.chaos import AFTER, BEFORE, Actor, Hold, killed
from tests.fakes.clock import settle
from tests.fakes.provider import SHORT, SILENT, Break, End, Fail, Say, Script, Wait
from tests.fakes.publisher import Fate
from tests.fakes.world import ACCOUNT, USER, World

SLOW = (Say("One "), Wait(10), Say("two."), End())


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


# --- takeover ---------------------------------------------------------------------------


async def test_a_stale_attempt_says_and_writes_nothing_after_a_takeover() -> None:
    # runner-1                     runner-2
    # streams "One "; freezes
    #                              (the lease ends) takes over, answers, finishes
    # wakes up: renews <- refused; its text reaches nobody
    world = World()
    world.provider.scripts = [(Say("One "), Wait(9), Say("stale"), End()), (Say("Fresh"), End())]
    await world.add("a")
    await world.subscribe("c")
    # Whatever runner-1 asks the table from now on hangs: only its own clock can stop it.
    for name in ("prompts.renew", "prompts.prompt"):
        world.conductor.hold(name, BEFORE, actor="runner-1")
    world.runner("runner-1")
    await world.clock.advance(8)
    world.clock.skip(world.policy.lease)
    world.start(
        world.run(WakeUp(ACCOUNT, "a", "t"), alone=True, deadline=1e9), "runner", "runner-2"
    )
    await world.clock.advance(60)

    assert world.answer("a").text == "Fresh"
    assert [d["text"] for d in world.publisher.deltas("c", "a", 1)] == ["One "]
    assert {m["text"] for m in world.publisher.messages("c")} == {"Fresh"}
    assert (world.prompt("a").run_count, world.prompt("a").losses) == (2, 1)
    assert world.provider.open == []


@pytest.mark.parametrize("fresh", ["has finished", "still streams"])
async def test_a_late_finish_of_a_stale_attempt_is_not_taken_for_the_fresh_ones(fresh: str) -> None:
    # runner-1                     runner-2
    # its answer is whole; finish hangs
    #                              (the lease ends) takes over, answers, finishes
    # finish arrives <- refused, although a is completed with an answer of that id
    world = World()
    world.provider.scripts = [(Say("Stale"), End()), (Say("Fr"), Wait(5), Say("esh"), End())]
    await world.add("a")
    hold = world.conductor.hold("prompts.finish", BEFORE, actor="runner-1")
    world.runner("runner-1")
    await hold.reached.wait()
    world.clock.skip(world.policy.lease)
    world.start(
        world.run(WakeUp(ACCOUNT, "a", "t"), alone=True, deadline=1e9), "runner", "runner-2"
    )
    await world.clock.advance(10 if fresh == "has finished" else 2)
    await world.subscribe("c")
    hold.release()
    await world.clock.advance(15)

    assert world.answer("a").text == "Fresh"
    assert {message["text"] for message in world.publisher.messages("c")} == {"Fresh"}
    assert world.publisher.deltas("c", "a", 1) == []


async def test_an_attempt_ends_before_its_lease_does_although_its_renewal_hangs() -> None:
    # The model goes on, and nobody can tell the attempt that its lease is over: its own
    # clock does, a margin before the lease ends.
    world = World()
    world.provider.scripts = [(SILENT,)]
    await world.add("a")
    world.conductor.hold("prompts.renew", BEFORE)
    world.conductor.hold("prompts.prompt", BEFORE, actor="runner-1")
    world.runner("runner-1")
    await world.clock.advance(world.policy.lease - world.policy.lease_margin - 0.1)
    assert len(world.provider.open) == 1
    await world.clock.advance(0.2)
    assert world.provider.open == []


async def test_a_renewal_that_fails_is_tried_again_and_the_attempt_goes_on() -> None:
    world = World()
    world.provider.scripts = [(Wait(50), Say("Late"), End())]
    await world.add("a")
    for _ in range(4):
        world.conductor.fail("prompts.renew", BEFORE)
    world.conductor.fail("prompts.renew", AFTER)
    await world.drain()
    assert (world.status("a"), world.prompt("a").run_count) == ("completed", 1)


async def test_a_runner_that_cannot_renew_gives_way_and_another_takes_over() -> None:
    world = World()
    world.provider.scripts = [(Wait(50), End()), SHORT]
    await world.add("a")
    for _ in range(200):
        world.conductor.fail("prompts.renew", BEFORE, actor="runner-1")
    world.runner("runner-1")
    await world.clock.advance(26)
    assert world.provider.open == []
    await world.drain(sweeps=True)
    assert (world.status("a"), world.prompt("a").losses) == ("completed", 1)


# --- followers --------------------------------------------------------------------------


@pytest.mark.parametrize("held", ["subscribers.subscribe", "prompts.thread_head", "nothing"])
async def test_a_finish_and_a_subscribe_at_once_one_sees_the_other(held: str) -> None:
    # runner                       socket
    #                              writes the subscription, reads what is running: a
    # finish commits
    #        reads the followers: pushes the end
    # (or the commit comes in before the write, or between write and read: then a is read
    # as completed)
    world = World()
    await world.add("a")
    await world.connect("c")
    finishing = world.conductor.hold("prompts.finish", BEFORE)
    world.runner()
    await finishing.reached.wait()
    subscribing = world.conductor.hold(held, BEFORE, actor="socket")
    connection = world.memory.connections["c"]
    _, task = world.start(world.follow.subscribe(connection, "t", {}), "socket", "socket")
    await settle()
    finishing.release()
    await settle()
    if subscribing.call:
        subscribing.release()
    frame = await world.clock.finish(task)
    await world.clock.advance(5)

    read = [message["id"] for message in frame["messages"]]
    pushed = [message["id"] for message in world.publisher.messages("c")]
    assert "msg_a.1" in read + pushed
    ended = "completed" in world.publisher.states("c", "a")
    assert ended or not frame["prompts"], "it was told that a runs, and never that it ended"


async def test_a_subscriber_that_comes_mid_stream_gets_everything_from_the_start() -> None:
    world = World()
    world.provider.scripts = [SLOW]
    await world.add("a")
    world.runner()
    await world.clock.advance(3)
    frame = await world.subscribe("c")
    assert [state["status"] for state in frame["prompts"]] == ["running"]
    await world.clock.advance(20)
    deltas = world.publisher.deltas("c", "a")
    assert [(d["offset"], d["text"]) for d in deltas] == [(0, "One "), (4, "two.")]
    assert world.publisher.states("c", "a") == ["running", "completed"]


async def test_a_subscriber_that_comes_back_gets_what_it_does_not_have() -> None:
    world = World()
    world.provider.scripts = [(Say("0123456789"), Wait(10), Say("x"), End())]
    await world.add("a")
    world.runner()
    await world.clock.advance(1)
    await world.subscribe("c", known={"a": (1, 4)})
    await world.subscribe("d", known={"a": (7, 4)})
    await world.clock.advance(20)
    assert [d["offset"] for d in world.publisher.deltas("c", "a")] == [4, 10]
    assert [d["offset"] for d in world.publisher.deltas("d", "a")] == [0, 10]


@pytest.mark.parametrize("slow", ["threads.context", "subscribers.followers"])
async def test_every_follower_gets_the_question_first_whatever_is_read_first(slow: str) -> None:
    world = World()
    await world.add("a")
    await world.subscribe("c")
    hold = world.conductor.hold(slow, BEFORE)
    world.runner()
    await world.clock.advance(0.5)
    hold.release()
    await world.clock.advance(5)
    kinds = [frame["type"] for frame in world.publisher.frames["c"]]
    if slow == "threads.context":
        assert kinds == ["message", "prompt", "delta", "message", "prompt"]
    else:
        assert kinds == ["message", "prompt"], "it came late, and has the answer in the message"


async def test_a_slow_or_gone_follower_delays_nobody() -> None:
    world = World()
    talk = [step for _ in range(10) for step in (Wait(0.1), Say("x"))]
    world.provider.scripts = [(*talk, End())]
    world.publisher.seconds["slow"] = 3
    world.publisher.fates["gone"] = [Fate.GONE]
    await world.add("a")
    for name in ("slow", "gone", "quick"):
        await world.subscribe(name)
    world.runner()
    await world.clock.advance(1.5)
    assert "".join(d["text"] for d in world.publisher.deltas("quick", "a")) == "x" * 10
    assert world.publisher.states("quick", "a")[-1] == "completed"
    assert "gone" not in world.memory.connections
    assert world.publisher.deltas("slow", "a") == []


async def test_a_post_of_unknown_outcome_is_repeated_from_the_same_offset() -> None:
    for fate in (Fate.ARRIVED_UNKNOWN, Fate.LOST_UNKNOWN):
        world = World()
        world.provider.scripts = [(Wait(1), Say("abc"), Wait(1), Say("def"), Wait(1), End())]
        await world.add("a")
        await world.subscribe("c")
        # The opening arrives, the first delta is unknown twice, so is the end.
        opening = [Fate.DELIVERED, Fate.DELIVERED]
        world.publisher.fates["c"] = [*opening, fate, fate, Fate.DELIVERED, fate, fate]
        await world.drain()
        end = 0
        for delta in world.publisher.deltas("c", "a"):
            assert delta["offset"] <= end, "a gap"
            end = max(end, delta["end"])
        assert end == 6
        assert world.publisher.states("c", "a")[-1] == "completed"


async def test_a_follower_hears_of_a_finish_that_came_through_late() -> None:
    # runner                                   table
    # its answer is whole: finish is sent
    #                                          answers only when the lease's margin has begun
    # is completed: the follower must hear it
    world = World()
    world.provider.scripts = [(Say("Done"), End())]
    await world.add("a")
    await world.subscribe("c")
    hold = world.conductor.hold("prompts.finish", AFTER)
    posting = world.conductor.hold("publisher.post", BEFORE, skip=1)
    world.runner()
    await hold.reached.wait()
    world.clock.skip(world.policy.lease - 1)
    await world.clock.advance(0.5)
    if posting.call:
        posting.release()
    await world.clock.advance(0.5)
    hold.release()
    await world.clock.advance(5)
    assert world.publisher.states("c", "a")[-1] == "completed"


async def test_a_crash_between_finish_and_push_is_made_up_for_by_the_redelivery() -> None:
    # runner-1                     the queue
    # finishes a, dies before it tells anybody and before it wakes b
    #                              shows the message again
    # runner-2 finds a completed: tells the followers, wakes b
    world = World()
    await world.add("a")
    await world.add("b")
    await world.subscribe("c")
    hold = world.conductor.hold("prompts.finish", AFTER)
    runner = world.runner(limit=1)
    await hold.reached.wait()
    await killed(runner)
    world.queue.messages = [m for m in world.queue.messages if m.wake_up.prompt_id == "a"]
    assert "completed" not in world.publisher.states("c", "a")
    await world.drain()
    assert world.publisher.states("c", "a")[-1] == "completed"
    assert [message["id"] for message in world.publisher.messages("c")] == ["msg_a.1", "msg_b.2"]
    assert world.status("b") == "completed"
    assert world.provider.asked() == ["ask a", "ask b"]


async def test_no_delta_follows_the_answer_to_a_cancel() -> None:
    # The model keeps talking; a post is under way when the cancel is seen.
    world = World()
    talk = [step for n in range(200) for step in (Say(f"{n} "), Wait(0.05))]
    world.provider.scripts = [talk]
    world.publisher.seconds["c"] = 0.3
    await world.add("a")
    await world.subscribe("c")
    world.runner()
    await world.clock.advance(2)
    canceled = await world.clock.run(world.cancel(USER, "a"))
    assert canceled.status is Status.CANCELED
    heard = len(world.publisher.deltas("c", "a"))
    await world.clock.advance(30)
    assert len(world.publisher.deltas("c", "a")) == heard > 0


# --- a prompt that kills its runner -----------------------------------------------------


async def test_a_runner_killer_among_innocents_is_found_and_given_up() -> None:
    # runner-1: ten prompts, one of which kills it: all ten have lost an attempt
    # later: each suspect runs alone; nine answer, the killer kills twice more
    # at the third loss it is given up, with a dead letter
    world = World()
    doomed: list[ProviderRequest] = []

    def script(request: ProviderRequest) -> Script:
        if request.messages[-1].text == "ask p4":
            doomed.append(request)
            return (SILENT,)
        return (Wait(1), Say("fine"), End())

    world.provider.otherwise = script
    for n in range(10):
        await world.add(f"p{n}", f"t{n}")
    first = world.runner("first")
    await settle()
    assert len(world.provider.requests) == 10
    await killed(first)

    sweep_at = world.clock.monotonic()
    for _ in range(40):
        await world.clock.advance(20)
        if world.clock.monotonic() >= sweep_at + world.policy.sweep:
            sweep_at = world.clock.monotonic()
            await world.clock.run(world.sweep(10))
        for alone in (True, False):
            while world.queue.visible(alone=alone):
                before = len(doomed)
                runner = world.runner(alone=alone)
                await settle()
                if len(doomed) > before:
                    asked = world.provider.open
                    assert [r.messages[-1].text for r in asked] == ["ask p4"], "it is not alone"
                    await killed(runner)
                else:
                    await world.clock.advance(2)

    innocents = [world.prompt(f"p{n}") for n in range(10) if n != 4]
    assert {prompt.status for prompt in innocents} == {Status.COMPLETED}
    assert {(p.run_count, p.losses) for p in innocents} == {(2, 1)}
    killer = world.prompt("p4")
    assert (killer.status, killer.error_code) == (Status.ABANDONED, "lost")
    assert (killer.losses, killer.run_count, killer.failures) == (LOSS_CAP, LOSS_CAP, 0)
    assert world.letters.of("p4") == ["lost"]
    assert len(world.letters.letters) == 1
    assert world.open_turns() == []


async def test_a_suspect_is_refused_beside_others_and_woken_alone() -> None:
    # The head was read before the loss was known: the claim itself must refuse.
    world = World()
    await world.add("a", "t1")
    await world.add("b", "t2")
    lost = world.runner("first", limit=1)
    world.conductor.hold("prompts.finish", BEFORE, actor="first")
    await settle()
    await killed(lost)
    world.clock.skip(world.policy.lease)
    world.queue.messages.clear()
    for name, thread in (("a", "t1"), ("b", "t2")):
        await world.queue.send(WakeUp(ACCOUNT, name, thread))
    world.runner("second")
    await world.clock.advance(1)
    assert (world.status("a"), world.status("b")) == ("running", "completed")
    assert (WakeUp(ACCOUNT, "a", "t1"), True) in world.queue.sent
    await world.drain()
    assert world.status("a") == "completed"


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


# --- a backlog --------------------------------------------------------------------------


async def test_a_backlog_of_ten_thousand_is_not_multiplied_by_its_sweeps() -> None:
    # Ten thousand prompts wait and no runner takes any: each look doubles the distance to
    # the next one, so the wake-ups of an hour are bounded.
    world = World()
    now, sweep = world.clock.now(), world.policy.sweep_ms
    count = 10_000
    for n in range(count):
        prompt = Prompt(
            ACCOUNT, f"p{n}", f"t{n}", 1, "usr", Status.SCHEDULED, now, now, "f", max_retries=5
        )
        question = Message(ACCOUNT, f"t{n}", 1, QUESTION, f"p{n}", Role.USER, "x", now, now)
        world.state.prompts[ACCOUNT, f"p{n}"] = prompt
        world.state.messages[ACCOUNT, f"t{n}"] = {(1, QUESTION): question}
        turn = OpenTurn(ACCOUNT, f"t{n}", 1, f"p{n}", "usr", now + sweep, sweep)
        world.state.open_turns[ACCOUNT, f"t{n}"] = {1: turn}
    world.state.open_turns = dict(world.state.open_turns)
    store = Index(world)
    looked = 0
    for _ in range(60):
        world.clock.skip(world.policy.sweep)
        looked += await world.clock.run(world.sweep(1e9))
    # After 1, 3, 7, 15, 30 and 45 minutes, and after 60.
    assert looked / count <= 7
    assert len(world.queue.sent) == looked
    assert max(store.pages) <= 100
    assert {turn.distance for turn in world.open_turns()} == {15 * 60 * 1000}


class Index:
    """`due` of the memory store sorts everything each time; this one keeps a heap."""

    def __init__(self, world: World) -> None:
        self.pages = [0]
        state = world.state
        heap = [(t.due, n, t) for n, t in enumerate(world.open_turns())]
        heapq.heapify(heap)
        count = len(heap)

        async def due(now: int, limit: int, after: str) -> Page[OpenTurn]:
            found = []
            while heap and heap[0][0] <= now and len(found) < limit:
                found.append(heapq.heappop(heap)[2])
            self.pages.append(len(found))
            return Page(found, "more" if len(found) == limit else "")

        async def move_due(turn: OpenTurn, at: int, distance: int) -> None:
            nonlocal count
            moved = replace(turn, due=at, distance=distance)
            state.open_turns[turn.account, turn.thread_id][turn.turn] = moved
            count += 1
            heapq.heappush(heap, (at, count, moved))

        world.sweep.prompts.due = due
        world.sweep.prompts.move_due = move_due


async def test_a_sweep_stops_when_its_time_is_used_up_and_the_next_one_goes_on() -> None:
    world = World()
    for n in range(300):
        await world.add(f"p{n}", f"t{n}")
    world.queue.messages.clear()
    world.clock.skip(world.policy.sweep)

    original = world.ending.wake_ups.send

    async def slow_send(wake_up: WakeUp, *, alone: bool = False) -> None:
        await world.clock.sleep(1)
        await original(wake_up, alone=alone)

    world.ending.wake_ups.send = slow_send  # type: ignore[method-assign]
    since = world.clock.monotonic()
    first = await world.clock.run(world.sweep(5))
    assert world.clock.monotonic() - since <= 6
    assert 10 <= first < 300
    total = first
    for _ in range(10):
        total += await world.clock.run(world.sweep(5))
    assert total == 300
    assert len(world.queue.messages) == 300


async def test_a_prompt_that_cannot_be_looked_at_keeps_no_other_waiting() -> None:
    world = World()
    for n in range(25):
        await world.add(f"p{n}", f"t{n}")
    world.queue.messages.clear()
    world.clock.skip(world.policy.sweep)
    world.conductor.fail("prompts.prompt", BEFORE, Busy("throttled"))
    with pytest.raises(Busy):
        await world.clock.run(world.sweep(5))
    assert len(world.queue.messages) == 24
    assert await world.clock.run(world.sweep(5)) == 1
    await world.drain()
    assert world.open_turns() == []


async def test_pages_full_of_what_cannot_be_looked_at_hide_nothing() -> None:
    world = World()
    for n in range(250):
        await world.add(f"p{n}", f"t{n}")
        await world.clock.advance(0.001)
    world.queue.messages.clear()
    world.clock.skip(world.policy.sweep)
    for _ in range(200):
        world.conductor.fail("prompts.prompt", BEFORE, Busy("throttled"))
    with pytest.raises(Busy):
        await world.clock.run(world.sweep(5))
    assert len(world.queue.messages) == 50


async def test_a_page_of_the_index_that_lags_behind_ends_no_sweep() -> None:
    world = World()
    for n in range(150):
        await world.add(f"p{n}", f"t{n}")
    world.queue.messages.clear()
    world.clock.skip(world.policy.sweep)
    due = world.sweep.prompts.due

    async def lagging(now: int, limit: int, after: str = "") -> Page[OpenTurn]:
        """The first page names only what is over by now, so nothing of it is there."""
        page = await due(now, limit, after)
        return page if after else Page([], page.after)

    world.sweep.prompts.due = lagging  # type: ignore[method-assign]
    assert await world.clock.run(world.sweep(5)) == 50


async def test_a_deletion_that_fails_keeps_no_other_waiting() -> None:
    world = World()
    for name in ("t1", "t2"):
        await world.add(name, name)
        await world.clock.run(world.delete_thread(USER, name, 0))
    world.conductor.fail("threads.delete_page", BEFORE, Busy("throttled"))
    with pytest.raises(Busy):
        await world.clock.run(world.sweep(5))
    assert len(world.state.deletions) == 1
    await world.clock.run(world.sweep(5))
    assert world.state.prompts == {}


async def test_the_sweeper_wakes_what_lost_its_runner_alone() -> None:
    world = World()
    world.provider.scripts = [(SILENT,)]
    await world.add("a")
    runner = world.runner()
    await world.clock.advance(1)
    await killed(runner)
    world.clock.skip(world.policy.sweep)
    await world.clock.run(world.sweep(5))
    assert world.queue.sent[-1] == (WakeUp(ACCOUNT, "a", "t"), True)


async def test_a_lost_wake_up_costs_two_sweeps_at_most() -> None:
    world = World()
    await world.add("a")
    world.queue.messages.clear()
    since = world.clock.monotonic()
    await world.drain(sweeps=True)
    assert world.status("a") == "completed"
    assert world.clock.monotonic() - since <= 2 * world.policy.sweep


async def test_a_bug_in_an_attempt_is_a_lost_attempt_and_leaves_no_task_behind() -> None:
    world = World()
    world.provider.scripts = [(Wait(1), Say("x"), Wait(1), Break())]
    await world.add("a")
    await world.subscribe("c")
    runner = world.runner()
    await world.clock.advance(5)
    assert not runner.alive()
    world.provider.scripts = []
    await world.drain(sweeps=True)
    assert (world.status("a"), world.prompt("a").losses) == ("completed", 1)
