"""Following over a socket, threads and messages, keys, dead letters, lists, deletions."""

from dataclasses import replace

import pytest
from parley.core.access import KeyRole, Principal, key_hash
from parley.core.errors import (
    Busy,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    TooLarge,
    TooManyConnections,
    TurnTaken,
    Unauthenticated,
    Unavailable,
)
from parley.core.events import FRAME_BYTES, encoded
from parley.core.prompt import Status
from parley.core.resource import Kind, Resource
from parley.core.thread import ANSWER, QUESTION, Role
from parley.ports import Connection, PromptQuery
from parley.usecases.chat import NewMessage, NewThread
from parley.usecases.keys import issue

from tests.fakes.chaos import AFTER, BEFORE, killed
from tests.fakes.provider import SILENT, Say
from tests.fakes.world import (
    ACCOUNT,
    ADMIN,
    OTHER_USER,
    STRANGER,
    USER,
    World,
)

# --- sockets ----------------------------------------------------------------------------


async def test_a_connection_is_its_openers_with_all_that_the_key_says() -> None:
    world = World()
    opener = Principal(ACCOUNT, "u", KeyRole.SESSION, "h", "weather", "maker", 2_000_000_000, 7)
    await world.clock.run(world.follow.connect(opener, "c"))
    assert world.memory.connections["c"].principal == opener


async def test_a_subscribed_frame_has_what_is_unfinished_and_the_newest_messages() -> None:
    world = World()
    await world.add("a")
    await world.drain()
    await world.add("b")
    frame = await world.subscribe("c")
    assert [(s["id"], s["status"]) for s in frame["prompts"]] == [("b", "scheduled")]
    assert [m["text"] for m in frame["messages"]] == ["ask a", "An answer.", "ask b"]
    assert not frame["truncated"]
    again = await world.subscribe("c")
    assert again["nonce"] != frame["nonce"]


@pytest.mark.parametrize("text", ["x" * 100_000, "\x00" * 60_000, "😀" * 20_000, "x"])
async def test_a_subscribed_frame_fits_whatever_the_thread_holds(text: str) -> None:
    world = World()
    thread_id, user = "t" * 128, replace(USER, user_id="u" * 128)
    for n in range(99):
        await world.add(f"{n:0128}", thread_id, who=user, text=text)
    frame = await world.subscribe("c", thread_id, who=user)
    assert len(encoded(frame)) <= FRAME_BYTES
    assert frame["truncated"]
    assert [state["turn"] for state in frame["prompts"]][:3] == [1, 2, 3]
    assert frame["messages"][-1]["turn"] == 99
    pong = await world.clock.run(world.follow.pong(world.memory.connections["c"], thread_id))
    assert len(encoded(pong)) <= FRAME_BYTES
    turns = [state["turn"] for state in pong["prompts"]]
    assert turns == sorted(turns)
    assert {1, 99} <= set(turns)


async def test_a_long_message_is_cut_when_it_is_the_only_one_that_could_go() -> None:
    world = World()
    await world.add("a", text="x" * 100_000)
    frame = await world.subscribe("c")
    (told,) = frame["messages"]
    assert told["truncated"]
    assert 20_000 < len(told["text"]) < FRAME_BYTES


async def test_a_ping_answers_the_states_of_the_newest_prompts_and_the_unfinished_ones() -> None:
    world = World()
    for n in range(15):
        await world.add(f"p{n}")
    connection = await world.connect("c")
    assert await world.follow.pong(connection, "") == {"type": "pong", "prompts": []}
    pong = await world.clock.run(world.follow.pong(connection, "t"))
    assert [state["id"] for state in pong["prompts"]] == [f"p{n}" for n in range(15)]


async def test_threads_of_others_cannot_be_followed_nor_seen_by_a_ping() -> None:
    world = World()
    await world.add("a")
    for who, name in ((OTHER_USER, "c"), (STRANGER, "d")):
        with pytest.raises(NotFound):
            await world.subscribe(name, who=who)
        with pytest.raises(NotFound):
            await world.clock.run(world.follow.pong(world.memory.connections[name], "t"))
    assert world.memory.sockets == {}
    assert (await world.subscribe("e", who=ADMIN))["type"] == "subscribed"


@pytest.mark.parametrize("how", ["deleted", "taken away"])
async def test_a_thread_that_goes_while_it_is_subscribed_is_not_followed(how: str) -> None:
    # socket                       api
    # sees the thread
    #                              takes the member away, reads the followers: none
    # writes the subscription, looks again: it may not follow
    world = World()
    await world.clock.run(
        world.chat.add_thread(USER, NewThread("t", user_ids=(OTHER_USER.user_id,)))
    )
    connection = await world.connect("c", OTHER_USER)
    hold = world.conductor.hold("subscribers.subscribe", BEFORE, actor="socket")
    _, task = world.start(world.follow.subscribe(connection, "t", {}), "socket", "socket")
    await hold.reached.wait()
    if how == "deleted":
        await world.clock.run(world.delete_thread(USER, "t", 5))
    else:
        await world.clock.run(world.chat.update_thread(USER, "t", NewThread(user_ids=())))
    hold.release()
    with pytest.raises(NotFound):
        await world.clock.finish(task)
    assert world.memory.sockets == {}


async def test_who_is_taken_from_a_thread_stops_following_it() -> None:
    world = World()
    await world.clock.run(
        world.chat.add_thread(USER, NewThread("t", user_ids=(OTHER_USER.user_id,)))
    )
    await world.subscribe("mine")
    await world.subscribe("other", who=OTHER_USER)
    await world.clock.run(world.chat.update_thread(USER, "t", NewThread(user_ids=())))
    assert [key[2] for key in world.memory.sockets] == ["mine"]


async def test_connections_are_limited_by_counting_the_live_ones() -> None:
    world = World()
    for n in range(100):
        await world.connect(f"c{n}")
    with pytest.raises(TooManyConnections):
        await world.connect("one-more")
    await world.follow.disconnect("c0")
    await world.connect("one-more")
    await world.clock.advance(2 * 60 * 60 + 1)
    assert await world.memory.connection("one-more") is None
    await world.connect("after-two-hours")


async def test_a_subscription_ends_with_its_connection() -> None:
    world = World()
    await world.add("a")
    await world.subscribe("c")
    await world.subscribe("d")
    await world.follow.disconnect("c")
    assert [s.connection_id for s in (await world.memory.followers(ACCOUNT, "t")).sockets] == ["d"]
    await world.clock.advance(2 * 60 * 60 + 1)
    assert (await world.memory.followers(ACCOUNT, "t")).sockets == ()


# --- threads and messages ---------------------------------------------------------------


async def test_a_thread_belongs_to_its_creator_and_its_users() -> None:
    world = World()
    thread = await world.chat.add_thread(USER, NewThread("t", user_ids=("usr_9",)))
    assert (thread.title, thread.user_ids) == ("New chat", ("usr_9", "usr_1"))
    member = Principal(ACCOUNT, "usr_9", KeyRole.USER, "")
    for who in (USER, member, ADMIN):
        assert await world.chat.thread(who, "t") == thread
        assert (await world.chat.list_threads(who, 10, "")).items == [thread]
    for who in (OTHER_USER, STRANGER):
        assert await world.chat.thread(who, "t") is None
        assert (await world.chat.list_threads(who, 10, "")).items == []
        with pytest.raises(NotFound):
            await world.chat.update_thread(who, "t", NewThread(title="x"))
        with pytest.raises(NotFound):
            await world.chat.list_messages(who, "t", 10, "")
        with pytest.raises(NotFound):
            await world.chat.add_message(who, NewMessage("t", "x"))
        with pytest.raises(NotFound):
            await world.clock.run(world.delete_thread(who, "t", 5))
    with pytest.raises(Conflict):
        await world.chat.add_thread(USER, NewThread("t"))


async def test_an_update_keeps_what_it_does_not_give() -> None:
    world = World()
    await world.chat.add_thread(USER, NewThread("t", "First", ("usr_9",), ("topic",)))
    thread = await world.chat.update_thread(USER, "t", NewThread(title=" Second "))
    assert (thread.title, thread.user_ids, thread.topic_ids) == (
        "Second",
        ("usr_9", "usr_1"),
        ("topic",),
    )
    thread = await world.chat.update_thread(USER, "t", NewThread(user_ids=(), topic_ids=("a", "a")))
    assert (thread.user_ids, thread.topic_ids) == ((), ("a",))
    with pytest.raises(Invalid):
        await world.chat.update_thread(USER, "t", NewThread(topic_ids=("a b",)))


async def test_a_message_takes_a_turn_and_is_part_of_the_context() -> None:
    world = World()
    await world.chat.add_thread(USER, NewThread("t"))
    said = await world.chat.add_message(USER, NewMessage("t", "Hello", user_id="usr_1"))
    heard = await world.chat.add_message(USER, NewMessage("t", "Hi", "m2"))
    assert (said.turn, said.role, heard.turn, heard.role) == (1, Role.USER, 2, Role.ASSISTANT)
    assert (await world.add("a")).turn == 3
    await world.drain()
    assert [m.text for m in world.provider.requests[0].messages] == ["Hello", "Hi", "ask a"]
    page = await world.chat.list_messages(USER, "t", 3, "")
    assert [message.text for message in page.items] == ["Hello", "Hi", "ask a"]
    rest = await world.chat.list_messages(USER, "t", 3, page.after)
    assert [message.text for message in rest.items] == ["An answer."]


async def test_a_message_whose_id_is_taken_meanwhile_is_looked_at_again() -> None:
    world = World()
    await world.chat.add_thread(USER, NewThread("t", user_ids=(OTHER_USER.user_id,)))
    hold = world.conductor.hold("threads.put_message", BEFORE, actor="slow")
    slow_one = world.chat.add_message(USER, NewMessage("t", "x", "m", "usr_1"))
    _, slow = world.start(slow_one, "api", "slow")
    await hold.reached.wait()
    theirs = await world.chat.add_message(OTHER_USER, NewMessage("t", "y", "m", "usr_2"))
    hold.release(TurnTaken())
    with pytest.raises(Conflict):
        await world.clock.finish(slow)
    assert list(world.state.messages[ACCOUNT, "t"].values()) == [theirs]


async def test_the_same_message_id_replaces_the_text() -> None:
    world = World()
    await world.chat.add_thread(USER, NewThread("t"))
    await world.chat.add_thread(USER, NewThread("u"))
    await world.chat.add_message(USER, NewMessage("t", "old", "m", "usr_1"))
    again = await world.chat.add_message(USER, NewMessage("t", "new", "m", "usr_1"))
    assert (again.turn, again.text) == (1, "new")
    for elsewhere in (NewMessage("u", "x", "m", "usr_1"), NewMessage("t", "x", "m")):
        with pytest.raises(Conflict):
            await world.chat.add_message(USER, elsewhere)
    with pytest.raises(Conflict, match="userId"):
        await world.chat.add_message(USER, NewMessage("t", "x", user_id="usr_2"))
    await world.add("a")
    await world.drain()
    for taken in ("a", "msg_a.2"):
        with pytest.raises(Conflict):
            await world.chat.add_message(USER, NewMessage("t", "x", taken))


@pytest.mark.parametrize("error", [TurnTaken(), Busy("throttled")])
async def test_a_message_races_for_its_turn(error: Exception) -> None:
    world = World()
    await world.chat.add_thread(USER, NewThread("t"))
    world.conductor.fail("threads.put_message", BEFORE, error)
    assert (await world.clock.run(world.chat.add_message(USER, NewMessage("t", "x")))).turn == 1
    for _ in range(12):
        world.conductor.fail("threads.put_message", BEFORE, error)
    with pytest.raises(Busy):
        await world.clock.run(world.chat.add_message(USER, NewMessage("t", "x")))


async def test_the_question_of_an_unfinished_prompt_cannot_be_deleted() -> None:
    world = World()
    await world.add("a")
    with pytest.raises(Conflict):
        await world.chat.delete_message(USER, "a")
    await world.drain()
    for who in (OTHER_USER, STRANGER):
        with pytest.raises(NotFound):
            await world.chat.delete_message(who, "a")
    await world.chat.delete_message(USER, "a")
    await world.chat.delete_message(USER, "msg_a.1")
    assert world.state.messages[ACCOUNT, "t"] == {}
    with pytest.raises(NotFound):
        await world.chat.delete_message(USER, "a")


async def test_a_prompt_goes_with_its_question_and_a_deleted_thread_leaves_none() -> None:
    world = World()
    await world.add("a")
    await world.add("b")
    await world.clock.run(world.cancel(USER, "a"))
    await world.drain()
    await world.chat.delete_message(USER, "a")
    with pytest.raises(NotFound):
        await world.clock.run(world.retry(USER, "a"))
    assert world.status("b") == "completed"
    await world.clock.run(world.delete_thread(USER, "t", 5))
    assert world.state.prompts == {}


async def test_another_s_prompt_stays_when_its_question_is_deleted() -> None:
    world = World()
    await world.clock.run(
        world.chat.add_thread(USER, NewThread("t", user_ids=(OTHER_USER.user_id,)))
    )
    await world.add("a", "t")
    await world.drain()
    await world.chat.delete_message(OTHER_USER, "a")
    assert (ACCOUNT, "t", 1, QUESTION) not in world.state.messages[ACCOUNT, "t"]
    assert world.status("a") == "completed"
    runs = world.prompt("a").run_count
    await world.add("a", "t")
    await world.drain()
    assert world.prompt("a").run_count == runs, "the same id runs once"


async def test_a_question_whose_prompt_was_removed_halfway_can_be_deleted_again() -> None:
    world = World()
    await world.add("a")
    await world.clock.run(world.cancel(USER, "a"))
    world.conductor.fail("threads.delete_message", BEFORE, Unavailable("no answer"))
    with pytest.raises(Unavailable):
        await world.chat.delete_message(USER, "a")
    await world.chat.delete_message(USER, "a")
    assert (world.state.prompts, world.state.messages[ACCOUNT, "t"]) == ({}, {})


async def test_a_retry_wins_over_the_deletion_of_its_question() -> None:
    # deletes the message a       retries a
    # reads prompt a: canceled
    #                             a is scheduled, its question has another turn
    # removes prompt a  <- refused
    world = World()
    await world.add("a")
    await world.clock.run(world.cancel(USER, "a"))
    hold = world.conductor.hold("prompts.remove", BEFORE)
    _, deletion = world.start(world.chat.delete_message(USER, "a"))
    await hold.reached.wait()
    await world.clock.run(world.retry(USER, "a"))
    hold.release()
    with pytest.raises(Conflict):
        await world.clock.finish(deletion)
    await world.drain()
    assert world.status("a") == "completed"


async def test_a_prompt_that_somebody_else_removes_meanwhile_hinders_no_deletion() -> None:
    world = World()
    await world.add("a")
    await world.clock.run(world.cancel(USER, "a"))
    hold = world.conductor.hold("prompts.remove", BEFORE)
    _, deletion = world.start(world.chat.delete_message(USER, "a"))
    await hold.reached.wait()
    await world.clock.run(world.remove(USER, "a"))
    hold.release()
    await world.clock.finish(deletion)
    assert world.state.messages[ACCOUNT, "t"] == {}


async def test_the_question_of_a_removed_prompt_stays_within_an_item_with_its_template() -> None:
    world = World()
    await world.add("a", text="x", template="x" * (300 * 1024))
    await world.clock.run(world.remove(USER, "a"))
    said = await world.chat.add_message(USER, NewMessage("t", "x" * (50 * 1024), "a", "usr_1"))
    assert said.turn == 1
    with pytest.raises(TooLarge, match="content and template"):
        await world.chat.add_message(USER, NewMessage("t", "x" * (60 * 1024), "a", "usr_1"))


# --- deleting a thread ------------------------------------------------------------------


async def test_a_deletion_that_was_cut_short_is_finished_by_the_sweeper() -> None:
    world = World()
    world.provider.scripts = [(Say("x"), SILENT)]
    for n in range(30):
        await world.add(f"p{n}")
    await world.subscribe("c")
    world.runner(limit=1)
    await world.clock.advance(1)
    hold = world.conductor.hold("prompts.evict", AFTER, skip=12)
    actor, _ = world.start(world.delete_thread(USER, "t", 20), "api")
    await hold.reached.wait()
    await killed(actor)
    assert world.open_turns() != []
    assert await world.chat.thread(USER, "t") is None
    with pytest.raises(NotFound):
        await world.clock.run(world.delete_thread(USER, "t", 20))

    world.clock.skip(world.policy.sweep)
    await world.clock.run(world.sweep(20))
    assert world.open_turns() == []
    assert world.state.deletions == set()
    assert (world.state.prompts, world.state.messages[ACCOUNT, "t"]) == ({}, {})
    await world.clock.advance(5)
    assert world.provider.open == []
    assert "canceled" in world.publisher.states("c", "p29")


async def test_a_deletion_works_within_its_time() -> None:
    world = World()
    await world.add("a")
    await world.drain()
    await world.clock.run(world.delete_thread(USER, "t", 0))
    assert len(world.state.messages[ACCOUNT, "t"]) == 2
    assert await world.clock.run(world.sweep(5)) == 0
    assert world.state.messages[ACCOUNT, "t"] == {}
    with pytest.raises(NotFound):
        await world.clock.run(world.delete_thread(USER, "absent", 5))


DELETED = {"type": "error", "error": "the thread was deleted", "threadId": "t"}


async def test_followers_are_told_of_a_deletion_before_anything_is_deleted() -> None:
    world = World()
    await world.add("a")
    await world.drain()
    await world.subscribe("c")
    hold = world.conductor.hold("threads.delete_page", BEFORE)
    _, deleting = world.start(world.delete_thread(USER, "t", 5), "api")
    await hold.reached.wait()
    assert world.publisher.frames["c"][-1] == DELETED
    hold.release()
    await world.clock.finish(deleting)
    assert world.publisher.frames["c"].count(DELETED) == 1


@pytest.mark.parametrize(("budget", "seconds"), [(20, 1), (0, 0)])
async def test_a_deletion_waits_a_second_at_most_for_slow_followers(
    budget: float, seconds: float
) -> None:
    world = World()
    await world.add("a")
    await world.drain()
    await world.subscribe("slow")
    world.publisher.seconds["slow"] = 30
    began = world.clock.monotonic()
    await world.clock.run(world.delete_thread(USER, "t", budget))
    assert world.clock.monotonic() - began == pytest.approx(seconds)
    assert await world.chat.thread(USER, "t") is None


async def test_a_deletion_does_not_fail_over_followers_that_cannot_be_read() -> None:
    world = World()
    await world.add("a")
    await world.drain()
    world.conductor.fail("subscribers.followers", BEFORE, Busy("throttled"))
    await world.clock.run(world.delete_thread(USER, "t", 5))
    assert world.state.messages[ACCOUNT, "t"] == {}


async def test_a_long_thread_is_deleted_in_pages() -> None:
    world = World()
    await world.chat.add_thread(USER, NewThread("t"))
    for n in range(250):
        await world.chat.add_message(USER, NewMessage("t", f"m{n}"))
    await world.clock.run(world.delete_thread(USER, "t", 5))
    assert world.conductor.calls("threads.delete_page") == 3
    assert world.state.messages[ACCOUNT, "t"] == {}


# --- keys -------------------------------------------------------------------------------


async def key_of(world: World, user_id: str = "usr_5", role: KeyRole = KeyRole.USER):
    return await world.keys.create(ADMIN, user_id, role, " a name ")


async def test_a_key_is_shown_once_and_only_its_hash_is_stored() -> None:
    world = World()
    stored, secret = await key_of(world)
    assert stored.hash == key_hash(secret)
    assert stored.name == "a name"
    assert secret not in repr(world.accounts.by_hash)
    principal = await world.authenticate(secret)
    assert (principal.account, principal.user_id, principal.admin) == (ACCOUNT, "usr_5", False)
    assert await world.keys.list(ADMIN) == [stored]
    assert (await key_of(world, ""))[0].user_id.startswith("usr_")


async def test_a_clients_key_is_for_one_llm_client_and_nobody_elses() -> None:
    world = World()
    with pytest.raises(NotFound, match="stackademy"):
        await world.keys.create(ADMIN, "", KeyRole.CLIENT, "", "stackademy")
    described = Resource(ACCOUNT, Kind.LLM_CLIENT, "stackademy", 0, 0, number=1)
    world.resources.stored[ACCOUNT, Kind.LLM_CLIENT, "stackademy"] = described
    _, secret = await world.keys.create(ADMIN, "", KeyRole.CLIENT, "", "stackademy")
    principal = await world.authenticate(secret)
    assert (principal.role, principal.client) == (KeyRole.CLIENT, "stackademy")


@pytest.mark.parametrize(
    ("role", "client"),
    [(KeyRole.CLIENT, ""), (KeyRole.USER, "stackademy"), (KeyRole.CLIENT, "no such/name")],
)
async def test_a_role_comes_with_what_belongs_to_it(role: KeyRole, client: str) -> None:
    with pytest.raises(Invalid, match="llmClient"):
        await World().keys.create(ADMIN, "", role, "", client)


@pytest.mark.parametrize("key", ["", "unknown"])
async def test_no_key_and_an_unknown_key_are_refused(key: str) -> None:
    with pytest.raises(Unauthenticated):
        await World().authenticate(key)


async def test_a_revoked_key_is_refused_within_a_minute_and_its_sockets_end() -> None:
    world = World()
    stored, secret = await key_of(world)
    principal = await world.authenticate(secret)
    await world.add("a", who=principal)
    await world.subscribe("theirs", who=principal)
    await world.connect("others", USER)
    await world.keys.revoke(ADMIN, stored.id)
    assert world.publisher.disconnected == ["theirs"]
    assert list(world.memory.connections) == ["others"]
    assert world.memory.sockets == {}
    await world.clock.advance(59.9)
    with pytest.raises(Unauthenticated):
        await world.authenticate(secret)


async def test_a_subscription_does_not_outlive_the_revocation_of_its_key() -> None:
    # socket                       api
    # knows the key
    #                              revokes it, drops its connections and what they follow
    # writes the subscription
    world = World()
    stored, secret = await key_of(world)
    principal = await world.authenticate(secret)
    await world.add("a", who=principal)
    connection = await world.connect("c", principal)
    hold = world.conductor.hold("subscribers.subscribe", BEFORE, actor="socket")
    _, task = world.start(world.follow.subscribe(connection, "t", {}), "socket", "socket")
    await hold.reached.wait()
    await world.clock.run(world.keys.revoke(ADMIN, stored.id))
    hold.release()
    with pytest.raises(Unauthenticated):
        await world.clock.finish(task)
    assert world.memory.sockets == {}


async def test_a_known_key_is_not_read_again_for_a_while() -> None:
    world = World()
    _, secret = await key_of(world)
    for _ in range(5):
        await world.authenticate(secret)
    assert world.conductor.calls("accounts.key") == 1
    await world.clock.advance(50)
    await world.authenticate(secret)
    assert world.conductor.calls("accounts.key") == 2


async def test_the_memory_of_keys_is_bounded() -> None:
    world = World()
    for _ in range(1100):
        _, secret = await key_of(world)
        await world.authenticate(secret)
    assert len(world.authenticate.remembered) <= 1000


async def test_keys_are_an_admins_of_the_same_account() -> None:
    world = World()
    stored, secret = await key_of(world)
    for call in (
        world.keys.create(USER, "usr", KeyRole.USER, ""),
        world.keys.list(USER),
        world.keys.revoke(USER, stored.id),
    ):
        with pytest.raises(Forbidden):
            await call
    assert await world.keys.list(STRANGER) == []
    with pytest.raises(NotFound):
        await world.keys.revoke(STRANGER, stored.id)
    own, own_secret = await key_of(world, role=KeyRole.ADMIN)
    with pytest.raises(Invalid, match="itself"):
        await world.keys.revoke(await world.authenticate(own_secret), own.id)
    assert (await world.authenticate(secret)).user_id == "usr_5"


async def test_a_key_that_vanishes_while_it_is_revoked_is_not_found() -> None:
    world = World()
    stored, _ = await key_of(world)
    hold = world.conductor.hold("accounts.revoke_key", BEFORE)
    _, task = world.start(world.keys.revoke(ADMIN, stored.id), "api")
    await hold.reached.wait()
    world.accounts.by_hash.clear()
    hold.release()
    with pytest.raises(NotFound):
        await world.clock.finish(task)


async def test_the_first_key_of_an_account_needs_no_other_key() -> None:
    world = World()
    stored, _ = await key_of(world)
    issued, secret = await issue(world.accounts, world.ids, replace(stored, id="first", hash=""))
    assert world.accounts.by_hash[key_hash(secret)] == issued


# --- reading ----------------------------------------------------------------------------


async def test_a_prompt_is_shown_with_its_texts_and_the_turns_ahead() -> None:
    world = World()
    await world.add("a")
    await world.add("b")
    shown = await world.clock.run(world.read.show(USER, "b"))
    assert (shown.question.text, shown.answer, shown.ahead) == ("ask b", None, 1)
    await world.drain()
    shown = await world.clock.run(world.read.show(USER, "b"))
    assert (shown.answer.text, shown.ahead) == ("An answer.", 0)
    with pytest.raises(NotFound):
        await world.clock.run(world.read.show(OTHER_USER, "b"))


async def test_a_caller_waits_for_the_end_and_not_longer_than_it_may() -> None:
    world = World()
    await world.add("a")
    since = world.clock.monotonic()
    shown = await world.clock.run(world.read.show(USER, "a", wait=100))
    assert shown.prompt.status is Status.SCHEDULED
    assert world.clock.monotonic() - since == pytest.approx(world.policy.sync_budget)
    _, waiting = world.start(world.read.show(USER, "a", wait=20))
    world.runner()
    shown = await world.clock.finish(waiting)
    assert shown.prompt.status is Status.COMPLETED


async def test_a_prompt_that_is_removed_while_somebody_waits_is_not_found() -> None:
    world = World()
    await world.add("a")
    _, waiting = world.start(world.read.show(USER, "a", wait=20))
    await world.clock.run(world.remove(USER, "a"))
    with pytest.raises(NotFound):
        await world.clock.finish(waiting)


async def test_a_list_has_the_callers_prompts_with_their_questions() -> None:
    world = World()
    await world.add("a", "t")
    await world.add("b", "u", who=OTHER_USER)
    await world.add("c", "v", who=STRANGER)
    query = PromptQuery(ACCOUNT, USER.user_id, limit=10)
    page = await world.read.list(USER, query)
    assert [(s.prompt.id, s.question.text) for s in page.items] == [("a", "ask a")]
    everybody = replace(query, user_id=None)
    assert [s.prompt.id for s in (await world.read.list(ADMIN, everybody)).items] == ["a", "b"]
    empty = await world.read.list(USER, replace(query, ids=("nobody",)))
    assert empty.items == []


async def test_answers_and_questions_have_their_places() -> None:
    world = World()
    await world.add("a")
    await world.drain()
    assert set(world.state.messages[ACCOUNT, "t"]) == {(1, QUESTION), (1, ANSWER)}
    connection = world.memory.connections.get("c")
    assert connection is None or isinstance(connection, Connection)
