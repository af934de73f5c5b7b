"""Races of a runner that is lost, or taken for it, with whoever takes over.

Every test here goes red when the condition that it is about is taken out. The timelines
read downwards; what stands to the right happens in between.
"""

import pytest
from parley.core.lifecycle import LOSS_CAP
from parley.core.prompt import Status
from parley.ports import ProviderRequest, WakeUp

from tests.fakes.chaos import AFTER, BEFORE, killed
from tests.fakes.clock import settle
from tests.fakes.provider import SHORT, SILENT, Bug, End, Say, Script, Wait
from tests.fakes.world import ACCOUNT, World

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


async def test_a_bug_in_an_attempt_is_a_lost_attempt_and_leaves_no_task_behind() -> None:
    world = World()
    world.provider.scripts = [(Say("x"), SILENT)]
    world.conductor.fail("prompts.prompt", BEFORE, Bug(), actor="first")
    await world.add("a")
    await world.subscribe("c")
    runner = world.runner("first")
    await world.clock.advance(5)
    assert not runner.alive()
    world.provider.scripts = []
    await world.drain(sweeps=True)
    assert (world.status("a"), world.prompt("a").losses) == ("completed", 1)
