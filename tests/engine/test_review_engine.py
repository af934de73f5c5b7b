"""What a review of the engine found, each on a fixed schedule.

The timelines read downwards; what stands to the right happens in between.
"""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from parley.core.errors import NotFound, TransitionRefused, Unavailable
from parley.core.prompt import Prompt, Status
from parley.core.thread import ANSWER
from parley.ports import DeadLetter, WakeUp
from parley.usecases.run import Again, Done

from tests.fakes.chaos import AFTER, BEFORE, killed
from tests.fakes.clock import settle
from tests.fakes.observer import Silent
from tests.fakes.provider import SHORT, SILENT, Bug, End, Fail, Say, Wait
from tests.fakes.publisher import Fate
from tests.fakes.world import ACCOUNT, ADMIN, USER, World

TALK = [step for n in range(400) for step in (Say(f"{n} "), Wait(0.05))]


# --- ends of an attempt -----------------------------------------------------------------


async def test_a_failure_that_is_refused_is_no_cancel() -> None:
    # runner                       table
    # its provider fails
    # errors a                     busy, until the runner's lease is nearly over
    # gives way  <- and does not call canceled what nobody canceled
    world = World()
    world.provider.scripts = [(Say("Part"), Fail()), SHORT]
    await world.add("a")
    for _ in range(200):
        world.conductor.fail("prompts.fail", BEFORE, actor="first")
    world.runner("first")
    await world.clock.advance(40)
    assert world.conductor.calls("prompts.cancel_running") == 0
    assert world.status("a") == "running"
    world.queue.messages.clear()
    await world.drain(sweeps=True)
    assert (world.status("a"), world.prompt("a").losses) == ("completed", 1)


async def test_a_failure_refused_for_any_reason_cancels_only_what_was_asked_to() -> None:
    world = World()
    world.provider.scripts = [(Say("Part"), Fail()), SHORT]
    await world.add("a")
    world.conductor.fail("prompts.fail", BEFORE, TransitionRefused("fail"))
    runner = world.runner()
    await world.clock.advance(5)
    assert not runner.alive()
    assert (world.status("a"), world.answer("a")) == ("running", None)
    world.queue.messages.clear()
    await world.drain(sweeps=True)
    assert world.status("a") == "completed"


async def test_an_attempt_whose_finish_is_refused_posts_nothing_more() -> None:
    # runner                       somebody else
    # a post to c is slow
    # finishes a  <- refused:      it has taken the lease away
    # settles                      <- and says nothing meanwhile
    world = World()
    world.provider.scripts = [(*TALK[:20], End())]
    world.publisher.seconds["c"] = 0.5
    await world.add("a")
    await world.subscribe("c")
    world.conductor.fail("prompts.finish", BEFORE, TransitionRefused("finish"), actor="first")
    settling = world.conductor.hold("prompts.prompt", BEFORE, actor="first")
    world.runner("first")
    await world.clock.advance(0.6)
    assert settling.reached.is_set()
    heard = len(world.publisher.frames["c"])
    await world.clock.advance(10)
    assert len(world.publisher.frames["c"]) == heard > 0


async def test_a_prompt_that_became_due_while_it_was_refused_is_looked_at_again() -> None:
    # runner                       clock
    # claims a <- refused: its back-off has 10 ms to go
    #                              the back-off is over
    # settles: errored and due  <- the wake-up is kept
    world = World()
    world.provider.scripts = [(Fail(),), SHORT]
    await world.add("a")
    deadline = 1e9
    wake_up = WakeUp(ACCOUNT, "a", "t")
    assert await world.clock.run(world.run(wake_up, alone=True, deadline=deadline)) == Again(1)
    await world.clock.advance(0.99)
    settling = world.conductor.hold("prompts.prompt", BEFORE, actor="early")
    _, early = world.start(world.run(wake_up, alone=True, deadline=deadline), "runner", "early")
    await settling.reached.wait()
    await world.clock.advance(0.01)
    settling.release()
    assert await world.clock.finish(early) == Again(1)
    assert await world.clock.run(world.run(wake_up, alone=True, deadline=deadline)) == Done()


# --- removal ----------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["prompt", "thread"])
async def test_nothing_follows_the_end_of_a_prompt_that_is_removed_while_it_runs(what: str) -> None:
    # runner                       api
    # streams a to c
    #                              removes a: asks it to cancel itself
    # looks: cancels, says so
    #                              deletes it
    world = World()
    world.provider.scripts = [TALK]
    for n in range(30):
        await world.add(f"p{n}")
    await world.subscribe("c")
    world.runner(limit=1)
    await world.clock.advance(2.3)
    if what == "prompt":
        await world.clock.run(world.remove(USER, "p0"))
    else:
        await world.clock.run(world.delete_thread(USER, "t", 10))
        assert world.state.messages[ACCOUNT, "t"] == {}
        assert world.conductor.calls("prompts.claim") == 1
    await world.clock.advance(30)
    assert (ACCOUNT, "p0") not in world.state.prompts
    of_p0 = [
        frame["type"]
        for frame in world.publisher.frames["c"]
        if frame.get("promptId") == "p0" or frame.get("prompt", {}).get("id") == "p0"
    ]
    assert "delta" in of_p0
    assert of_p0[-1] == "prompt", "a delta follows the canceled state"
    assert world.publisher.states("c", "p0")[-1] == "canceled"
    assert world.provider.open == []


async def test_a_removal_does_not_wait_longer_than_a_cancel_for_an_attempt_that_hangs() -> None:
    world = World()
    world.provider.scripts = [(Say("x"), SILENT)]
    await world.add("a")
    world.runner("stuck")
    world.conductor.hold("prompts.prompt", BEFORE, actor="stuck")
    await world.clock.advance(2)
    since = world.clock.monotonic()
    await world.clock.run(world.remove(USER, "a"))
    assert world.clock.monotonic() - since == pytest.approx(world.policy.cancel_wait, abs=0.1)
    assert (ACCOUNT, "a") not in world.state.prompts


async def test_a_removal_needs_no_wait_when_the_runner_is_gone() -> None:
    world = World()
    world.provider.scripts = [(SILENT,)]
    await world.add("a")
    runner = world.runner()
    await world.clock.advance(1)
    await killed(runner)
    world.clock.skip(world.policy.lease)
    since = world.clock.monotonic()
    await world.clock.run(world.remove(USER, "a"))
    assert world.clock.monotonic() == since


async def test_a_removal_asks_the_attempt_that_began_while_it_looked() -> None:
    # api                          runner
    # reads a: scheduled
    #                              claims a, streams
    # evicts a  <- refused: asks it first
    world = World()
    world.provider.scripts = [TALK]
    await world.add("a")
    hold = world.conductor.hold("prompts.evict", BEFORE)
    _, removing = world.start(world.remove(USER, "a"), "api")
    await hold.reached.wait()
    world.runner()
    await world.clock.advance(0.5)
    hold.release()
    await world.clock.finish(removing)
    assert world.conductor.calls("prompts.cancel_running") == 1


@pytest.mark.parametrize("stage", [BEFORE, AFTER])
async def test_a_removal_whose_answer_is_lost_is_a_success(stage: str) -> None:
    world = World()
    await world.add("a")
    await world.drain()
    world.conductor.fail("prompts.remove", stage)
    await world.clock.run(world.remove(USER, "a"))
    assert (ACCOUNT, "a") not in world.state.prompts
    with pytest.raises(NotFound):
        await world.clock.run(world.remove(USER, "a"))


async def test_a_removal_that_never_gets_through_is_told() -> None:
    world = World()
    await world.add("a")
    for _ in range(2):
        world.conductor.fail("prompts.remove", BEFORE)
    with pytest.raises(Unavailable):
        await world.clock.run(world.remove(USER, "a"))


# --- retry and redrive ------------------------------------------------------------------


async def test_an_owner_taken_out_of_the_thread_cannot_retry_in_it() -> None:
    world = World()
    await world.add("a")
    await world.clock.run(world.cancel(USER, "a"))
    thread = world.state.threads[ACCOUNT, "t"]
    world.state.threads[ACCOUNT, "t"] = replace(thread, created_by="usr_2", user_ids=("usr_2",))
    with pytest.raises(NotFound):
        await world.clock.run(world.retry(USER, "a"))
    assert world.status("a") == "canceled"
    assert (await world.clock.run(world.retry(ADMIN, "a"))).status is Status.SCHEDULED


async def test_a_record_written_before_its_prompt_is_abandoned_is_kept() -> None:
    # runner                       admin
    # records a
    #                              redrives: a is running  <- the record stays
    # abandons a
    #                              redrives: a runs again
    world = World()
    world.provider.scripts = [(Fail(),), SHORT]
    await world.add("a", max_retries=0)
    hold = world.conductor.hold("prompts.abandon", BEFORE)
    world.runner()
    await hold.reached.wait()
    assert await world.clock.run(world.redrive.redrive(ADMIN)) == ([], [])
    hold.release()
    await settle()
    assert world.status("a") == "abandoned"
    retried, _ = await world.clock.run(world.redrive.redrive(ADMIN))
    assert [prompt.id for prompt in retried] == ["a"]
    assert world.letters.letters == []


async def test_two_records_of_a_prompt_are_one_redrive() -> None:
    world = World()
    world.provider.scripts = [(Fail(),)]
    await world.add("a", max_retries=0)
    await world.drain()
    await world.letters.record(DeadLetter(ACCOUNT, "a", "lost"))
    retried, obsolete = await world.clock.run(world.redrive.redrive(ADMIN))
    assert ([p.id for p in retried], obsolete) == (["a"], [])
    assert world.letters.letters == []


# --- the next turn ----------------------------------------------------------------------


async def test_a_runner_lost_on_a_prompt_that_was_parked_is_noticed_soon() -> None:
    # sweeper                      runner
    # looks at b, parked behind a, ever more seldom
    #                              ends a, wakes b: the next look is a sweep away again
    #                              claims b, is lost
    # looks: wakes b
    world = World()
    world.provider.scripts = [(Wait(290), End()), (SILENT,), SHORT]
    await world.add("a")
    world.runner(limit=1)
    await world.add("b")
    world.queue.messages[-1:] = []
    for _ in range(4):
        await world.clock.advance(60)
        await world.clock.run(world.sweep(5))
    await world.clock.advance(55)
    assert world.status("a") == "completed"
    runner = world.runner("lost")
    await world.clock.advance(1)
    assert world.status("b") == "running"
    await killed(runner)
    world.queue.messages.clear()
    since = world.clock.monotonic()
    await world.drain(sweeps=True)
    assert world.status("b") == "completed"
    assert world.clock.monotonic() - since <= 2 * world.policy.sweep


@pytest.mark.parametrize("error", [TransitionRefused("moved"), Unavailable("no answer")])
async def test_a_next_turn_is_woken_although_its_next_look_cannot_be_moved(
    error: Exception,
) -> None:
    world = World()
    await world.add("a")
    await world.add("b")
    turns = world.state.open_turns[ACCOUNT, "t"]
    turns[2] = replace(turns[2], due=turns[2].due + 10**6)
    world.queue.messages[-1:] = []
    world.conductor.fail("prompts.move_due", BEFORE, error)
    await world.drain()
    assert world.status("b") == "completed"


@pytest.mark.parametrize("end", ["finish", "cancel"])
async def test_a_slow_follower_does_not_delay_the_next_turn(end: str) -> None:
    world = World()
    await world.add("a")
    await world.add("b")
    world.queue.messages[-1:] = []
    await world.subscribe("c")
    world.publisher.seconds["c"] = 100
    sent = len(world.queue.sent)
    since = world.clock.monotonic()
    if end == "finish":
        world.runner(limit=1)
        await world.clock.advance(0.1)
    else:
        await world.clock.run(world.cancel(USER, "a"))
        assert world.clock.monotonic() - since <= 1
    assert world.queue.sent[sent:] == [(WakeUp(ACCOUNT, "b", "t"), False)]


async def test_the_next_turn_is_woken_although_nobody_can_be_told() -> None:
    world = World()
    await world.add("a")
    await world.add("b")
    world.queue.messages[-1:] = []
    world.conductor.fail("subscribers.followers", BEFORE)
    await world.clock.run(world.cancel(USER, "a"))
    assert world.queue.sent[-1] == (WakeUp(ACCOUNT, "b", "t"), False)


# --- what hangs and what breaks ---------------------------------------------------------


async def test_a_renewal_that_cannot_be_stopped_does_not_keep_the_stream_open() -> None:
    # A thread that waits for AWS cannot be canceled. The lease ends nevertheless.
    world = World()
    world.provider.scripts = [(SILENT,)]
    await world.add("a")
    answered = asyncio.Event()

    async def renew(prompt: Prompt, lease_until: int) -> Prompt:
        try:
            await answered.wait()
        except asyncio.CancelledError:
            await answered.wait()
            raise
        return prompt

    prompts: Any = world.run.ports.prompts
    prompts.renew = renew
    runner = world.runner()
    await world.clock.advance(world.policy.lease - world.policy.lease_margin + 0.1)
    assert world.provider.open == []
    assert runner.alive(), "no task may outlive the handler"
    answered.set()
    await settle()
    assert not runner.alive()


class Told(Silent):
    def __init__(self) -> None:
        self.errors: list[BaseException] = []

    def delivery_failed(self, prompt: Prompt, error: BaseException) -> None:
        self.errors.append(error)


@pytest.mark.parametrize("broken", ["subscribers.followers", "publisher.post"])
async def test_a_delivery_that_breaks_is_told_and_begun_again(broken: str) -> None:
    world = World()
    told = Told()
    world.run = replace(world.run, observer=told)
    world.provider.scripts = [(Say("One "), Wait(5), Say("two."), End())]
    await world.add("a")
    await world.subscribe("c")
    for _ in range(2):
        world.conductor.fail(broken, BEFORE, Bug(), actor="first")
    world.runner("first")
    await world.clock.advance(10)
    assert world.status("a") == "completed"
    assert [type(error) for error in told.errors] == [Bug]
    assert "".join(d["text"] for d in world.publisher.deltas("c", "a")) == "One two."
    assert world.publisher.states("c", "a")[-1] == "completed"


async def test_posts_of_unknown_outcome_are_repeated_ever_more_seldom() -> None:
    world = World()
    world.provider.scripts = [(Say("x"), Wait(60), End())]
    world.publisher.fates["c"] = [Fate.DELIVERED, Fate.DELIVERED, *[Fate.LOST_UNKNOWN] * 1000]
    await world.add("a")
    await world.subscribe("c")
    world.runner()
    await world.clock.advance(60)
    # 0.08 s, 0.16 s … 2.56 s, and then each 3 s.
    assert 20 <= world.conductor.calls("publisher.post") - 2 <= 26
    world.publisher.fates["c"] = []
    await world.clock.advance(10)
    assert world.publisher.states("c", "a")[-1] == "completed"
    assert world.state.messages[ACCOUNT, "t"][1, ANSWER].text == "x"


async def test_a_farewell_ends_in_time_although_its_look_cannot_be_stopped() -> None:
    world = World()
    world.provider.scripts = [(Wait(0.5), Say("x"), Wait(0.2), End())]
    world.publisher.fates["c"] = [Fate.DELIVERED, Fate.DELIVERED, *[Fate.LOST_UNKNOWN] * 1000]
    await world.add("a")
    await world.subscribe("c")
    subscribers: Any = world.run.ports.subscribers
    answered = asyncio.Event()
    runner = world.runner()
    await world.clock.advance(0.3)

    async def followers(account: str, thread_id: str) -> None:
        try:
            await answered.wait()
        except asyncio.CancelledError:
            await answered.wait()
            raise

    subscribers.followers = followers
    await world.clock.advance(0.4 + world.policy.farewell + 0.1)
    assert world.status("a") == "completed"
    posts = world.conductor.calls("publisher.post")
    await world.clock.advance(30)
    assert world.conductor.calls("publisher.post") == posts
    assert runner.alive(), "no task may outlive the handler"
    answered.set()
    await settle()
    assert not runner.alive()
