"""Sessions that stick to a command line: the same one, whoever calls first."""

import pytest
from parley.core.errors import Invalid
from parley.core.session import Session, session_id
from parley.usecases.sticky import UID_CAP, StickySessions

from tests.fakes.chaos import BEFORE
from tests.fakes.sessions import CLIENT, SIBLING, SessionWorld
from tests.fakes.world import ADMIN


@pytest.fixture
def world() -> SessionWorld:
    return SessionWorld()


def sticky(world: SessionWorld) -> StickySessions:
    return StickySessions(world.sessions, world.turns, world.clock, world.ids)


async def called(world: SessionWorld, *, renew: bool = False) -> Session:
    return await world.clock.run(sticky(world)(CLIENT, "key", "machine", renew=renew))


async def test_a_machine_has_one_session_with_each_llm_client_and_key(world: SessionWorld) -> None:
    first = await called(world)
    again = await called(world)
    assert (first.new, again.new, again.key) == (True, False, first.key)
    others = [
        await world.clock.run(sticky(world)(client, key, uid, renew=False))
        for client, key, uid in (
            (SIBLING, "key", "machine"),
            (CLIENT, "another", "machine"),
            (CLIENT, "key", "laptop"),
        )
    ]
    assert len({first.key, *(session.key for session in others)}) == 4


@pytest.mark.parametrize("renew", [False, True])
async def test_two_first_calls_at_once_have_one_session(world: SessionWorld, renew: bool) -> None:
    # one terminal                 another
    # finds no session
    #                              finds no session
    #                              makes it
    # makes it  <- refused: looks again, and finds it
    slow = world.conductor.hold("threads.create_thread", BEFORE, actor="slow")
    _, one = world.start(sticky(world)(CLIENT, "key", "machine", renew=renew), "api", "slow")
    await slow.reached.wait()
    other = await called(world)
    slow.release()
    session = await world.clock.finish(one)
    assert (session.key, session.new) == (other.key, False)
    assert (await called(world)).key == other.key


async def test_a_session_that_was_deleted_is_followed_by_another(world: SessionWorld) -> None:
    first = await called(world)
    await world.clock.run(world.sessions.delete(ADMIN, session_id(first.key)))
    second = await called(world)
    again = await called(world)
    assert (second.new, again.new, again.key) == (True, False, second.key)
    assert first.key != second.key


async def test_a_new_session_is_begun_on_request(world: SessionWorld) -> None:
    first = await called(world)
    second = await called(world, renew=True)
    assert second.new
    assert second.key != first.key
    assert (await called(world)).key == second.key


@pytest.mark.parametrize("uid", ["", "x" * (UID_CAP + 1)])
async def test_a_machine_without_a_name_or_with_a_long_one_is_refused(
    world: SessionWorld, uid: str
) -> None:
    with pytest.raises(Invalid, match="uid"):
        await world.clock.run(sticky(world)(CLIENT, "key", uid, renew=False))
