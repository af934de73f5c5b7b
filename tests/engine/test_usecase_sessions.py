"""Sessions as they are opened, read back, listed and removed."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parley.core.access import KeyRole, Principal
from parley.core.errors import Forbidden, Invalid, NotFound
from parley.core.session import intro_of, session_id
from parley.core.thread import ANSWER, QUESTION, REPLACES, Message, Role, ToolCall
from parley.usecases.sessions import HISTORY_MESSAGES, History

from tests.fakes.chaos import BEFORE
from tests.fakes.provider import SHORT, Fail, Script
from tests.fakes.sessions import CLIENT, FOREIGN, KEY, SIBLING, SessionWorld
from tests.fakes.world import ACCOUNT, ADMIN, STRANGER, USER

DAY = 24 * 60 * 60


async def history(world: SessionWorld, key: str, turns: int = 50, after: str = "") -> History:
    reading = world.sessions.require(CLIENT, key, messages=not after)
    return await world.clock.run(
        world.sessions.history(await world.clock.run(reading), turns, after)
    )


async def test_a_new_session_opens_with_the_servers_words() -> None:
    world = SessionWorld()
    session = await world.clock.run(world.sessions.open(CLIENT, ""))
    assert session.new
    assert session.thread.intro == intro_of(CLIENT)
    assert session.thread.intro[0] == "Welcome!"
    assert session.thread.intro[1].endswith("- One?\n- Two?")
    assert await history(world, session.key) == History()


async def test_a_key_finds_its_session_again() -> None:
    world = SessionWorld()
    key = await world.opened()
    for spelling in (key, key.upper()):
        again = await world.clock.run(world.sessions.open(CLIENT, spelling))
        assert (again.key, again.new) == (key, False)


@pytest.mark.parametrize("client", [SIBLING, FOREIGN], ids=["another client", "another account"])
async def test_an_unknown_key_gets_a_new_session_under_another_key(client: object) -> None:
    world = SessionWorld()
    key = await world.opened()
    for asked, with_client in ((KEY, CLIENT), (key, client)):
        session = await world.clock.run(world.sessions.open(with_client, asked))  # type: ignore[arg-type]
        assert session.new
        assert session.key != asked, "a key that the caller chose was taken"


@pytest.mark.parametrize("key", ["x", "ab" * 31, "ab" * 33, "zz" * 32, "ab" * 32 + "\n"])
async def test_a_malformed_key_is_refused(key: str) -> None:
    world = SessionWorld()
    for call in (world.sessions.open, world.sessions.require):
        with pytest.raises(Invalid):
            await world.clock.run(call(CLIENT, key))


async def test_a_session_that_nobody_used_is_gone_after_a_day() -> None:
    world = SessionWorld()
    key = await world.opened()
    await world.clock.advance(DAY - 1)
    assert not (await world.clock.run(world.sessions.open(CLIENT, key))).new
    await world.clock.advance(1)
    assert (await world.clock.run(world.sessions.open(CLIENT, key))).new


async def test_history_has_the_newest_turns_and_goes_on_from_there() -> None:
    world = SessionWorld()
    key = await world.opened()
    for number in range(1, 8):
        await world.say(key, f"Q{number}")
        await world.drain()
    newest = await history(world, key, 3)
    assert [m.text for m in newest.messages if m.part == QUESTION] == ["Q5", "Q6", "Q7"]
    older = await history(world, key, 3, newest.after)
    assert [m.text for m in older.messages if m.part == QUESTION] == ["Q2", "Q3", "Q4"]
    oldest = await history(world, key, 3, older.after)
    assert [m.text for m in oldest.messages if m.part == QUESTION] == ["Q1"]
    assert (oldest.after, oldest.prompts) == ("", ())


async def test_history_tells_what_is_unfinished_and_how_the_newest_turn_ended() -> None:
    world = SessionWorld()
    scripts: list[Script] = [SHORT, (Fail(retryable=False),)]
    world.provider.scripts = scripts
    key = await world.opened()
    for text in ("One", "Two"):
        await world.say(key, text)
        await world.drain()
    found = await history(world, key)
    assert [(p.turn, p.status.value) for p in found.prompts] == [(2, "abandoned")]


def message(turn: int, part: int, size: int, replaces: int = 0) -> Message:
    role = {QUESTION: Role.USER, ANSWER: Role.ASSISTANT}.get(part, Role.TOOL)
    calls = (ToolCall("c", "f", "{}", "x" * size),) if role is Role.TOOL else ()
    meta = {REPLACES: str(replaces)} if replaces else {}
    text = "" if calls else "x" * size
    return Message(
        ACCOUNT, "", turn, part, f"{turn}.{part}", role, text, 1, 1, meta=meta, calls=calls
    )


async def test_a_turn_that_moved_by_a_retry_hides_none_before_it() -> None:
    """A retry takes its question to the next turn and leaves a gap behind."""
    world = SessionWorld()
    key = await world.opened()
    await world.say(key, "One")
    await world.drain()
    said = await world.say(key, "Two")
    session = await world.clock.run(world.sessions.require(CLIENT, key))
    await world.clock.run(world.cancel(session.principal, said.prompt.id))
    await world.clock.run(world.retry(session.principal, said.prompt.id))
    await world.drain()
    newest = await history(world, key, 1)
    assert [(m.turn, m.part) for m in newest.messages] == [(3, QUESTION), (3, ANSWER)]
    older = await history(world, key, 1, newest.after)
    assert [(m.turn, m.part) for m in older.messages] == [(1, QUESTION), (1, ANSWER)]
    assert older.after == ""


@pytest.mark.parametrize("messages", [False, True])
async def test_history_is_the_same_whether_or_not_it_was_read_along(messages: bool) -> None:
    """A question asked after the thread was read has no part in what that read tells."""
    world = SessionWorld()
    key = await world.opened()
    await world.say(key, "One")
    await world.drain()
    before = await world.clock.run(world.sessions.require(CLIENT, key))
    await world.say(key, "Two")
    after = await world.clock.run(world.sessions.require(CLIENT, key, messages=messages))
    read = await world.clock.run(world.sessions.history(replace(before, newest=after.newest)))
    assert [(m.turn, m.part) for m in read.messages] == [(1, QUESTION), (1, ANSWER)]
    assert [prompt.turn for prompt in read.prompts] == [1]


@pytest.mark.parametrize("field", ["arguments", "result"])
@pytest.mark.parametrize("messages", [False, True])
async def test_history_is_bounded_with_all_that_the_calls_of_tools_have(
    field: str, messages: bool
) -> None:
    world = SessionWorld()
    key = await world.opened()
    id_ = session_id(key)
    stored = world.state.messages.setdefault((ACCOUNT, id_), {})
    for turn in range(1, 11):
        for part in (QUESTION, QUESTION + 1, ANSWER):
            said = message(turn, part, 10)
            calls = [replace(call, **{field: "語" * 30_000}) for call in said.calls]
            stored[turn, part] = replace(said, calls=tuple(calls))
    thread = world.state.threads[ACCOUNT, id_]
    world.state.threads[ACCOUNT, id_] = replace(thread, next_turn=11, expires_at=0)
    session = await world.clock.run(world.sessions.require(CLIENT, key, messages=messages))
    read = await world.clock.run(world.sessions.history(session))
    # 180 KB a turn, as JSON has it without characters beyond ASCII.
    assert [m.turn for m in read.messages if m.part == QUESTION] == [8, 9, 10]
    assert read.after


# Rounds, whether answered, characters, whether an edit, how many turns were lost before it.
TURN = st.tuples(
    st.integers(0, 8),
    st.booleans(),
    st.integers(0, 200_000),
    st.booleans(),
    st.sampled_from((0, 0, 0, 1, 3)),
)


@settings(max_examples=60)
@given(st.lists(TURN, min_size=1, max_size=40), st.integers(1, 10))
async def test_pages_of_history_have_every_turn_once_and_whole(
    turns: list[tuple[int, bool, int, bool, int]], limit: int
) -> None:
    """Whatever was asked, edited, tried again and called: page by page, nothing is torn,
    doubled or lost."""
    world = SessionWorld()
    key = await world.opened()
    id_ = session_id(key)
    stored = world.state.messages.setdefault((ACCOUNT, id_), {})
    expected, replaced = [], set()
    turn = before = 0
    for rounds, answered, size, edits, lost in turns:
        before, turn = turn, turn + 1 + lost
        parts = [QUESTION, *range(QUESTION + 1, QUESTION + 1 + rounds)]
        for part in parts + ([ANSWER] if answered else []):
            edit = before if edits and part == QUESTION else 0
            stored[turn, part] = message(turn, part, size // (rounds + 1), edit)
            expected.append((turn, part))
        replaced |= {before} if edits else set()
    thread = world.state.threads[ACCOUNT, id_]
    world.state.threads[ACCOUNT, id_] = replace(thread, next_turn=turn + 1, expires_at=0)
    seen: list[tuple[int, int]] = []
    after = ""
    while True:
        page = await history(world, key, limit, after)
        assert len(page.messages) <= HISTORY_MESSAGES
        seen = [(m.turn, m.part) for m in page.messages] + seen
        after = page.after
        if not after:
            break
    assert seen == [place for place in expected if place[0] not in replaced]


# --- by an admin -----------------------------------------------------------------------------


async def test_an_admin_lists_the_sessions_newest_first() -> None:
    world = SessionWorld()
    ids = []
    for client in (CLIENT, SIBLING, CLIENT):
        ids.append(session_id(await world.opened(client)))
        await world.clock.advance(1)
    everything = await world.clock.run(world.sessions.list(ADMIN, "", 10, ""))
    assert [thread.id for thread in everything.items] == ids[::-1]
    mine = await world.clock.run(world.sessions.list(ADMIN, "stackademy", 1, ""))
    assert [thread.id for thread in mine.items] == [ids[2]]
    rest = await world.clock.run(world.sessions.list(ADMIN, "stackademy", 1, mine.after))
    assert [thread.id for thread in rest.items] == [ids[0]]
    assert not (await world.clock.run(world.sessions.list(STRANGER, "", 10, ""))).items


@pytest.mark.parametrize(
    "who",
    [USER, Principal(ACCOUNT, "k", KeyRole.CLIENT, "h", "stackademy")],
    ids=["a user", "a client's key"],
)
async def test_only_admins_list_show_delete_and_purge(who: Principal) -> None:
    world = SessionWorld()
    id_ = session_id(await world.opened())
    calls = world.sessions
    for work in (
        calls.list(who, "", 10, ""),
        calls.show(who, id_),
        calls.delete(who, id_),
        calls.purge(who, "", 10**15),
    ):
        with pytest.raises(Forbidden):
            await world.clock.run(work)


async def test_a_deleted_session_is_gone_and_stays_gone() -> None:
    world = SessionWorld()
    key = await world.opened()
    await world.say(key, "Hello")
    await world.drain()
    with pytest.raises(NotFound):
        await world.clock.run(world.sessions.delete(STRANGER, session_id(key)))
    await world.clock.run(world.sessions.delete(ADMIN, session_id(key)))
    with pytest.raises(NotFound):
        await world.clock.run(world.sessions.require(CLIENT, key))
    with pytest.raises(NotFound):
        await world.clock.run(world.sessions.show(ADMIN, session_id(key)))
    assert not (await world.clock.run(world.sessions.list(ADMIN, "", 10, ""))).items
    assert (await world.clock.run(world.sessions.open(CLIENT, key))).key != key


async def test_a_plain_thread_is_no_session() -> None:
    world = SessionWorld()
    await world.add("p", "ses_" + "0" * 40)
    with pytest.raises(NotFound):
        await world.clock.run(world.sessions.show(ADMIN, "ses_" + "0" * 40))


async def test_a_purge_first_tells_and_then_removes_what_nobody_used_since() -> None:
    world = SessionWorld()
    old = [await world.opened() for _ in range(3)]
    for key in old:
        await world.say(key, "Hello")
    await world.drain()
    await world.clock.advance(100 * DAY)
    young = await world.opened()
    await world.say(old[0], "I am back")  # used again: not old any more
    await world.drain()
    cutoff = world.clock.now() - 90 * DAY * 1000
    purge = world.sessions.purge
    told = await world.clock.run(purge(ADMIN, "stackademy", cutoff))
    assert (told.examined, told.matched, told.deleted) == (4, 2, 0)
    done = await world.clock.run(purge(ADMIN, "stackademy", cutoff, dry_run=False))
    assert (done.matched, done.deleted, done.after) == (2, 2, "")
    kept = await world.clock.run(world.sessions.list(ADMIN, "stackademy", 10, ""))
    assert {thread.id for thread in kept.items} == {session_id(old[0]), session_id(young)}


async def test_a_session_whose_last_question_was_tried_again_is_not_old() -> None:
    world = SessionWorld()
    key = await world.opened()
    prompt = (await world.say(key, "Hello")).prompt
    await world.clock.run(world.converse.cancel(CLIENT, key, prompt.id))
    await world.clock.advance(100 * DAY)
    await world.clock.run(world.converse.retry(CLIENT, key, prompt.id, ""))
    await world.drain()
    cutoff = world.clock.now() - 90 * DAY * 1000
    done = await world.clock.run(world.sessions.purge(ADMIN, "", cutoff, dry_run=False))
    assert (done.matched, done.deleted) == (0, 0)
    assert await world.texts(key) == ["Hello", "An answer."]


@pytest.mark.parametrize("retried", [False, True], ids=["a question", "a retry"])
async def test_a_session_that_is_used_while_a_purge_goes_on_stays(retried: bool) -> None:
    # purge                       its holder, after a hundred days
    # lists it: old
    #                             goes on with it
    # marks it deleted <- refused: it was used since
    world = SessionWorld()
    key, unused = await world.opened(), await world.opened()
    prompt = (await world.say(key, "Hello")).prompt
    await world.clock.run(world.converse.cancel(CLIENT, key, prompt.id))
    await world.say(unused, "Hello")
    await world.drain()
    await world.clock.advance(100 * DAY)
    cutoff = world.clock.now() - 90 * DAY * 1000
    hold = world.conductor.hold("threads.mark_deleted", BEFORE, actor="purge")
    purging = world.sessions.purge(ADMIN, "", cutoff, dry_run=False)
    _, task = world.start(purging, name="purge")
    await hold.reached.wait()
    if retried:
        await world.clock.run(world.converse.retry(CLIENT, key, prompt.id, ""))
    else:
        await world.say(key, "I am back")
    hold.release()
    done = await world.clock.finish(task)
    assert (done.matched, done.deleted) == (2, 1)
    await world.drain()
    said = ["Hello"] if retried else ["Hello", "I am back"]
    assert await world.texts(key) == [*said, "An answer."]
    kept = await world.clock.run(world.sessions.list(ADMIN, "", 10, ""))
    assert [thread.id for thread in kept.items] == [session_id(key)]


async def test_a_purge_keeps_what_was_used_at_the_very_moment_that_it_is_told() -> None:
    world = SessionWorld()
    key = await world.opened()
    await world.say(key, "Hello")
    moment = world.clock.now()
    await world.drain()
    purge = world.sessions.purge
    assert (await world.clock.run(purge(ADMIN, "", moment))).matched == 0
    assert (await world.clock.run(purge(ADMIN, "", moment + 1))).matched == 1
