"""The thread stream over HTTP: nothing is lost and nothing is repeated, wherever it is cut."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parley.core.errors import Invalid, NotFound
from parley.ports import LiveText
from parley.usecases.stream import (
    RETRY_LATER_MS,
    RETRY_SOON_MS,
    EventType,
    Place,
    Streamed,
    ThreadEvent,
)

from tests.fakes.chaos import killed
from tests.fakes.clock import settle
from tests.fakes.provider import SILENT, End, Fail, Say, Script, Step, Wait
from tests.fakes.world import ACCOUNT, OTHER_USER, STRANGER, USER, World

CI = settings(max_examples=60, deadline=None, derandomize=True, database=None)


async def ask(world: World, last: str = "", wait: float = 25, thread_id: str = "t") -> Streamed:
    return await world.clock.run(world.stream(USER, thread_id, last, wait))


class Watcher:
    """A client that comes back with the id of the last event it got."""

    def __init__(self, world: World, cuts: list[int]) -> None:
        self.world = world
        self.cuts = cuts
        self.last = ""
        self.got: list[ThreadEvent] = []

    async def watch(self, ends: int) -> None:
        """Follow until so many prompts have ended, losing the tail of an answer at each cut."""
        for _ in range(300):
            streamed = await ask(self.world, self.last)
            events = streamed.events
            if self.cuts:
                events = events[: self.cuts.pop(0) % (len(events) + 1)]
            self.got += events
            if events:
                self.last = str(events[-1].place)
            elif not streamed.events:
                self.last = str(streamed.place)
            if sum(event.type in ENDS for event in self.got) >= ends:
                return
            await self.world.clock.advance(streamed.retry_ms / 1000)
        raise AssertionError(f"it never hears the end: {self.got}")

    def text(self, prompt_id: str) -> str:
        """What the watcher has of a prompt: a restart throws away what it had."""
        text = ""
        for event in self.got:
            if event.prompt_id == prompt_id:
                text = "" if event.type is EventType.RESTARTED else text + event.text
        return text

    def end(self, prompt_id: str) -> list[ThreadEvent]:
        return [e for e in self.got if e.prompt_id == prompt_id and e.type in ENDS]


ENDS = {EventType.DONE, EventType.CANCELED, EventType.ABANDONED}

words = st.lists(
    st.one_of(st.builds(Say, st.text("ab😀", min_size=1, max_size=5)), st.builds(Wait, st.just(1))),
    max_size=8,
)


@CI
@given(
    st.lists(
        st.tuples(st.lists(words.map(lambda w: [*w, Fail()]), max_size=2), words),
        min_size=1,
        max_size=3,
    ),
    st.lists(st.integers(0, 5), max_size=30),
)
def test_a_watcher_has_every_answer_once_wherever_it_is_cut(
    turns: list[tuple[list[list[Step]], list[Step]]], cuts: list[int]
) -> None:
    async def story() -> None:
        world = World()
        for failing, answer in turns:
            world.provider.scripts += [*failing, [*answer, End()]]
        for n in range(len(turns)):
            await world.add(f"p{n}")
        world.start(drained(world))
        watcher = Watcher(world, list(cuts))
        watcher.last = "1.0.0"
        await watcher.watch(len(turns))
        for n, (_, answer) in enumerate(turns):
            whole = "".join(step.text for step in answer if isinstance(step, Say))
            assert watcher.text(f"p{n}") == whole
            assert len(watcher.end(f"p{n}")) == 1
        places = [(e.place.turn, e.place.attempt, e.place.offset) for e in watcher.got]
        assert places == sorted(places)
        assert len(set(places)) == len(places), "an id was used twice"

    asyncio.run(story())


async def drained(world: World) -> None:
    """The runner, side by side with a watcher."""
    while world.open_turns():
        batch = world.queue.receive(10, alone=False)
        if batch:
            await world.invocation(batch)
        await world.clock.sleep(0.5)


async def watched(world: World, *scripts: Script, ends: int = 1) -> Watcher:
    world.provider.scripts = list(scripts)
    await world.add("a", max_retries=1)
    world.start(drained(world))
    watcher = Watcher(world, [])
    await watcher.watch(ends)
    return watcher


async def test_a_watcher_gets_the_text_as_it_comes_and_then_the_end() -> None:
    watcher = await watched(World(), (Wait(1), Say("One "), Wait(3), Say("two."), End()))
    assert [(e.type.value, e.text) for e in watcher.got] == [
        ("progress", "One "),
        ("progress", "two."),
        ("done", ""),
    ]
    end = watcher.got[-1]
    assert (end.message_id, end.finish_reason, str(end.place)) == ("msg_a.1", "stop", "2.0.0")


async def test_a_new_attempt_is_announced_and_starts_again_at_nothing() -> None:
    failing = (Wait(1), Say("old"), Wait(2), Fail())
    watcher = await watched(World(), failing, (Wait(2), Say("new"), Wait(2), End()))
    assert [(e.type.value, e.text) for e in watcher.got] == [
        ("progress", "old"),
        ("restarted", ""),
        ("progress", "new"),
        ("done", ""),
    ]


async def test_an_abandoned_prompt_says_so() -> None:
    watcher = await watched(World(), (Wait(1), Say("x"), Wait(2), Fail()), (Fail(),))
    end = watcher.got[-1]
    assert (end.type, end.finish_reason, end.message_id) == (EventType.ABANDONED, "abandoned", "")


async def test_a_canceled_prompt_says_so_with_what_there_was() -> None:
    world = World()
    world.provider.scripts = [(Say("Part"), SILENT)]
    await world.add("a")
    first = await ask(world, wait=0)
    world.runner()
    await world.clock.advance(1)
    await world.clock.run(world.cancel(USER, "a"))
    streamed = await ask(world, str(first.place))
    assert [(e.type.value, e.text) for e in streamed.events] == [
        ("progress", "Part"),
        ("canceled", ""),
    ]


async def test_with_nothing_unfinished_it_answers_at_once_to_be_asked_later() -> None:
    world = World()
    absent = await ask(world)
    assert (absent.events, absent.retry_ms, str(absent.place)) == ((), RETRY_LATER_MS, "1.0.0")
    await world.add("a")
    await world.drain()
    since = world.clock.monotonic()
    done = await ask(world)
    assert (done.events, done.retry_ms, str(done.place)) == ((), RETRY_LATER_MS, "2.0.0")
    assert world.clock.monotonic() == since
    await world.clock.run(world.delete_thread(USER, "t", 5))
    assert (await ask(world)).retry_ms == RETRY_LATER_MS


async def test_it_waits_for_something_new_and_not_longer_than_it_may() -> None:
    world = World()
    await world.add("a")
    since = world.clock.monotonic()
    streamed = await ask(world, wait=100)
    assert (streamed.events, streamed.retry_ms) == ((), RETRY_SOON_MS)
    assert world.clock.monotonic() - since == world.policy.sync_budget


async def test_a_thread_that_is_deleted_while_it_is_watched_ends_the_call() -> None:
    world = World()
    await world.add("a")
    _, watching = world.start(world.stream(USER, "t", "", 25))
    await settle()
    await world.clock.run(world.delete_thread(USER, "t", 5))
    assert (await world.clock.finish(watching)).retry_ms == RETRY_LATER_MS


async def test_turns_without_a_prompt_are_passed_over() -> None:
    world = World()
    await world.add("a")
    await world.add("b")
    await world.clock.run(world.cancel(USER, "a"))
    await world.clock.run(world.retry(USER, "a"))  # turn 3; turn 1 is empty
    await world.drain()
    streamed = await ask(world, "1.0.0")
    assert [(e.prompt_id, e.type.value) for e in streamed.events] == [
        ("b", "progress"),
        ("b", "done"),
        ("a", "progress"),
        ("a", "done"),
    ]
    await world.clock.run(world.remove(USER, "b"))
    streamed = await ask(world, "1.0.0")
    assert {event.prompt_id for event in streamed.events} == {"a"}


async def test_one_call_answers_a_bounded_amount() -> None:
    world = World()
    world.provider.otherwise = lambda _: (Say("x" * 200_000), End())
    for n in range(60):
        await world.add(f"p{n}")
    await world.drain()
    got, last = [], "1.0.0"
    for _ in range(60):
        streamed = await ask(world, last)
        assert sum(len(event.text) for event in streamed.events) <= 1_300_000
        got += [e.prompt_id for e in streamed.events if e.type is EventType.DONE]
        last = str(streamed.place)
        if streamed.retry_ms == RETRY_LATER_MS:
            break
    assert got == [f"p{n}" for n in range(60)]


@pytest.mark.parametrize(("thread_id", "turn"), [("private", 2), ("t", 1)])
async def test_the_text_of_a_removed_prompt_is_no_news_of_the_next_one_with_its_id(
    thread_id: str, turn: int
) -> None:
    # attempt                      api
    # reads the followers
    #                              removes the prompt, accepts its id again elsewhere
    # writes its live text
    world = World()
    world.provider.scripts = [(End(),), (SILENT,)]
    await world.add("first")
    await world.drain()
    await world.add("a")
    world.runner()
    await world.clock.advance(0.1)
    left_behind = LiveText("a", thread_id, turn, 1, "private")
    await world.memory.put_live(ACCOUNT, left_behind, world.clock.now())
    prompt = world.prompt("a")
    assert (prompt.status, prompt.turn, prompt.run_count) == ("running", 2, 1)
    assert (await ask(world, wait=0)).events == ()


async def test_a_stale_live_text_is_no_news() -> None:
    world = World()
    world.provider.scripts = [(Say("old"), SILENT)]
    await world.add("a")
    await world.memory.watch(ACCOUNT, "t", world.clock.now())
    lost = world.runner()
    await world.clock.advance(5)
    await killed(lost)
    assert (await ask(world, wait=0)).events[0].text == "old"
    world.provider.scripts = [(SILENT,)]
    world.clock.skip(30)
    await world.queue.send(world.queue.sent[0][0], alone=True)
    world.runner(alone=True)
    await settle()
    assert (world.prompt("a").run_count, (await ask(world, wait=0)).events) == (2, ())


async def test_threads_of_others_cannot_be_watched() -> None:
    world = World()
    await world.add("a")
    with pytest.raises(NotFound):
        await world.clock.run(world.stream(OTHER_USER, "t", "", 0))
    assert (await world.clock.run(world.stream(STRANGER, "t", "", 0))).events == ()


@pytest.mark.parametrize(
    "bad", ["x", "1.2", "1.2.3.4", "-1.0.0", "1..2", "1.2.٣", "9" * 13 + ".0.0"]
)
async def test_an_id_that_the_stream_never_sent_is_refused(bad: str) -> None:
    world = World()
    await world.add("a")
    with pytest.raises(Invalid):
        await ask(world, bad)


@CI
@given(st.builds(Place, st.integers(0, 10**12 - 1), st.integers(0, 99), st.integers(0, 10**6)))
def test_an_id_is_read_as_it_was_written(place: Place) -> None:
    assert Place.parse(str(place)) == place
