"""Races of an attempt with those who follow it.

Every test here goes red when the condition that it is about is taken out. The timelines
read downwards; what stands to the right happens in between.
"""

import pytest
from parley.core.prompt import Status

from tests.fakes.chaos import AFTER, BEFORE, killed
from tests.fakes.clock import settle
from tests.fakes.provider import SLOW, End, Say, Wait
from tests.fakes.publisher import Fate
from tests.fakes.world import USER, World

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
