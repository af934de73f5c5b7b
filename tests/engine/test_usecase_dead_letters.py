"""Prompts that were given up: listed, and given a new turn."""

from dataclasses import replace

import pytest
from parley.core.access import Principal
from parley.core.errors import (
    Forbidden,
    TooManyOpenTurns,
    Unavailable,
)
from parley.core.policy import OPEN_TURNS_CAP
from parley.ports import DeadLetter

from tests.fakes.chaos import BEFORE
from tests.fakes.provider import End, Fail, Say
from tests.fakes.world import (
    ACCOUNT,
    ADMIN,
    OTHER_ACCOUNT,
    STRANGER,
    USER,
    World,
)


async def listed(world: World, principal: Principal = ADMIN) -> list[str]:
    return [letter.prompt_id for letter in (await world.redrive.list(principal)).items]


async def given_up(world: World, *names: str, who: Principal = USER) -> None:
    world.provider.otherwise = lambda _: (Fail(),)
    for name in names:
        await world.add(name, name, who=who, max_retries=0)
    await world.drain()
    world.provider.otherwise = lambda _: (Say("fine"), End())


async def test_a_redrive_gives_each_prompt_a_new_turn_and_empties_the_queue() -> None:
    world = World()
    await given_up(world, "a", "b")
    assert await listed(world) == ["b", "a"]
    retried, obsolete = await world.clock.run(world.redrive.redrive(ADMIN))
    assert ([p.id for p in retried], obsolete) == (["a", "b"], [])
    await world.drain()
    assert [world.status(name) for name in "ab"] == ["completed", "completed"]
    assert (await listed(world), world.letters.letters) == ([], [])


async def test_a_redrive_of_one_prompt_leaves_the_other_records() -> None:
    world = World()
    await given_up(world, "a", "b")
    retried, _ = await world.clock.run(world.redrive.redrive(ADMIN, "b"))
    assert [prompt.id for prompt in retried] == ["b"]
    assert await listed(world) == ["a"]
    assert world.letters.of("a") == ["status_500"]
    assert world.letters.hidden <= {"letter-2"}
    assert await world.clock.run(world.redrive.redrive(ADMIN, "absent")) == ([], [])
    assert await listed(world) == ["a"]


async def test_obsolete_records_are_told_and_forgotten() -> None:
    world = World()
    await given_up(world, "a", "b")
    await world.clock.run(world.retry(USER, "a"))
    await world.drain()
    assert world.status("a") == "completed"
    await world.clock.run(world.remove(USER, "b"))
    retried, obsolete = await world.clock.run(world.redrive.redrive(ADMIN))
    assert retried == []
    assert [letter.prompt_id for letter in obsolete] == ["a", "b"]
    assert world.letters.letters == []


async def test_a_dead_letter_that_cannot_be_retried_is_obsolete_and_stays_abandoned() -> None:
    world = World()
    await given_up(world, "a", "b")
    thread = world.state.threads[ACCOUNT, "a"]  # a session that has gone on
    world.state.threads[ACCOUNT, "a"] = replace(thread, client="c", next_turn=3)
    retried, obsolete = await world.clock.run(world.redrive.redrive(ADMIN))
    assert [prompt.id for prompt in retried] == ["b"]
    assert [(letter.prompt_id, letter.reason) for letter in obsolete] == [("a", "status_500")]
    assert (await listed(world), world.letters.letters) == ([], [])
    assert world.status("a") == "abandoned"


async def test_a_dead_letter_that_is_blocked_keeps_no_other_from_its_redrive() -> None:
    world = World()
    await given_up(world, "first", "second")
    thread_id = world.prompt("first").thread_id
    for n in range(OPEN_TURNS_CAP):
        await world.add(f"open{n}", thread_id)
    retried, _ = await world.clock.run(world.redrive.redrive(ADMIN))
    assert [prompt.id for prompt in retried] == ["second"]
    assert await listed(world) == ["first"]
    with pytest.raises(TooManyOpenTurns):
        await world.clock.run(world.redrive.redrive(ADMIN))


async def test_records_of_others_in_the_queue_hide_no_dead_letter() -> None:
    world = World()
    await given_up(world, "a")
    world.letters.letters.clear()  # as if a look at the queue did not come to it
    await world.letters.record(DeadLetter(OTHER_ACCOUNT, "x", "lost"))
    assert await listed(world) == ["a"]
    retried, _ = await world.clock.run(world.redrive.redrive(ADMIN))
    assert [prompt.id for prompt in retried] == ["a"]
    assert world.letters.of("x") == ["lost"]


async def test_dead_letters_are_listed_and_redriven_in_pages() -> None:
    world = World()
    names = [f"p{number:03}" for number in range(103)]
    await given_up(world, *names)
    page = await world.redrive.list(ADMIN)
    rest = await world.redrive.list(ADMIN, after=page.after)
    assert [one.prompt_id for one in (*page.items, *rest.items)] == names[::-1]
    assert (len(page.items), rest.after) == (100, "")
    retried, obsolete = await world.clock.run(world.redrive.redrive(ADMIN))
    assert ([prompt.id for prompt in retried], obsolete) == (names[:100], [])
    # The queue is looked at in part, too: what is a dead letter still has its record.
    assert sorted(letter.prompt_id for letter in world.letters.letters) == names[100:]


async def test_what_cannot_be_retried_now_stays_a_dead_letter() -> None:
    world = World()
    await given_up(world, "a", "b")
    world.conductor.fail("prompts.prompt", BEFORE, Unavailable("no answer"))
    retried, _ = await world.clock.run(world.redrive.redrive(ADMIN))
    assert [prompt.id for prompt in retried] == ["b"]
    assert await listed(world) == ["a"]
    assert world.letters.hidden == {"letter-2"}, "the other one is given back"
    world.conductor.fail("prompts.prompt", BEFORE, Unavailable("no answer"))
    with pytest.raises(Unavailable):
        await world.clock.run(world.redrive.redrive(ADMIN))
    assert await listed(world) == ["a"]


async def test_dead_letters_are_an_admins_of_the_same_account() -> None:
    world = World()
    await given_up(world, "a")
    await given_up(world, "x", who=STRANGER)
    with pytest.raises(Forbidden):
        await world.redrive.list(USER)
    with pytest.raises(Forbidden):
        await world.redrive.redrive(USER)
    assert await listed(world) == ["a"]
    assert await listed(world, STRANGER) == ["x"]
    assert await world.clock.run(world.redrive.redrive(ADMIN, "x")) == ([], [])
