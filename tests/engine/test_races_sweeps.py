"""Sweeps of a backlog, and what one prompt in it may do to the others.

Every test here goes red when the condition that it is about is taken out. The timelines
read downwards; what stands to the right happens in between.
"""

import heapq
from dataclasses import replace

import pytest
from parley.core.errors import Busy
from parley.core.lifecycle import LOSS_CAP
from parley.core.prompt import OpenTurn, Prompt, Status
from parley.core.thread import QUESTION, Message, Role
from parley.ports import Page, WakeUp

from tests.fakes.chaos import BEFORE, killed
from tests.fakes.provider import SILENT
from tests.fakes.world import ACCOUNT, USER, World

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


async def test_what_the_sweeper_gives_up_has_a_dead_letter() -> None:
    # runner: claims, is killed       each time
    #                                 the sweeper wakes it, and at the third loss gives it up
    world = World()
    world.provider.otherwise = lambda _: (SILENT,)
    await world.add("a")
    for loss in range(LOSS_CAP):
        runner = world.runner(alone=loss > 0)
        await world.clock.advance(1)
        assert world.prompt("a").run_count == loss + 1
        await killed(runner)
        world.queue.messages.clear()
        world.clock.skip(world.policy.sweep)
        assert world.letters.letters == []
        await world.clock.run(world.sweep(5))
    assert (world.status("a"), world.prompt("a").error_code) == ("abandoned", "lost")
    assert world.letters.of("a") == ["lost"]


async def test_a_lost_wake_up_costs_two_sweeps_at_most() -> None:
    world = World()
    await world.add("a")
    world.queue.messages.clear()
    since = world.clock.monotonic()
    await world.drain(sweeps=True)
    assert world.status("a") == "completed"
    assert world.clock.monotonic() - since <= 2 * world.policy.sweep
