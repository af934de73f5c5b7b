"""What may be said in a session, and what is the same thing said twice."""

import pytest
from parley.core.errors import Busy, Conflict, Invalid, Limited, NotFound
from parley.core.llm_client import LlmClient
from parley.core.prompt import Status
from parley.core.session import CHAT_RETRIES, session_id
from parley.core.thread import answer_id
from parley.usecases.converse import Said

from tests.fakes.chaos import AFTER, BEFORE, Call
from tests.fakes.provider import SILENT, Fail, Say
from tests.fakes.sessions import CLIENT, FOREIGN, KEY, SIBLING, SessionWorld, limited
from tests.fakes.world import ACCOUNT, ADMIN


async def test_a_turn_is_a_prompt_of_the_session_and_of_nobody_else() -> None:
    world = SessionWorld()
    key = await world.opened()
    turned = await world.say(key, "Hello", "intro.2")
    prompt = turned.prompt
    assert (prompt.thread_id, prompt.user_id) == (session_id(key), session_id(key))
    assert (prompt.client, prompt.max_retries) == ("stackademy", CHAT_RETRIES)
    assert key not in repr(world.state.__dict__), "the key itself is stored"


async def test_a_turn_without_a_key_makes_a_session() -> None:
    world = SessionWorld()
    turned = await world.say("", "Hello")
    assert turned.session.new
    await world.drain()
    assert await world.texts(turned.session.key) == ["Hello", "An answer."]
    thread = world.state.threads[ACCOUNT, turned.prompt.thread_id]
    assert (thread.client, thread.title, thread.next_turn, thread.expires_at) == (
        "stackademy",
        "Hello",
        2,
        0,
    )
    assert thread.intro[0] == "Welcome!"


async def test_who_waits_gets_the_answer_with_its_turn() -> None:
    world = SessionWorld()
    key = await world.opened()
    await world.say(key, "Hello", "intro.2")
    await world.drain()
    turned = await world.say(key, "Hello", "intro.2")  # the same turn, posted again
    assert turned.prompt.status is Status.COMPLETED
    assert turned.question is not None
    assert turned.answer is not None
    assert (turned.question.text, turned.answer.text) == ("Hello", "An answer.")


# --- the same turn twice ------------------------------------------------------------------


@pytest.mark.parametrize("after", ["intro.2", ""], ids=["with an id of ours", "without"])
async def test_a_turn_posted_twice_at_once_is_one_prompt(after: str) -> None:
    # a double click              the same call, again
    # reads no open turn
    #                             reads no open turn
    #                             commits turn 1
    # commits turn 1 <- refused, reads: that turn is open, and says just this
    world = SessionWorld()
    key = await world.opened()
    hold = world.conductor.hold("prompts.accept", BEFORE, actor="a")
    _, first = world.start(world.saying(key, "Hello", after), name="a")
    await hold.reached.wait()
    second = await world.say(key, "Hello", after)
    hold.release()
    await world.clock.finish(first)
    assert first.result().prompt.id == second.prompt.id
    await world.drain()
    assert world.provider.asked() == ["Hello"]
    assert await world.texts(key) == ["Hello", "An answer."]


async def test_the_same_text_said_again_later_is_a_new_turn() -> None:
    world = SessionWorld()
    key = await world.opened()
    first = await world.say(key, "Yes", "intro.2")
    await world.drain()
    answer = answer_id(first.prompt.id, 1)
    second = await world.say(key, "Yes", answer)
    await world.drain()
    assert second.prompt.id != first.prompt.id
    assert await world.texts(key) == ["Yes", "An answer.", "Yes", "An answer."]


async def test_without_our_ids_the_same_text_is_a_new_turn_once_the_first_is_over() -> None:
    world = SessionWorld()
    key = await world.opened()
    await world.say(key, "Yes")
    await world.drain()
    await world.say(key, "Yes")
    await world.drain()
    assert await world.texts(key) == ["Yes", "An answer.", "Yes", "An answer."]


async def test_an_accept_whose_answer_was_lost_is_not_said_twice() -> None:
    world = SessionWorld()
    key = await world.opened()
    world.conductor.fail("prompts.accept", AFTER)
    await world.say(key, "Hello")
    await world.drain()
    assert await world.texts(key) == ["Hello", "An answer."]


# --- one at a time -------------------------------------------------------------------------


async def test_a_second_question_is_refused_while_one_is_open() -> None:
    world = SessionWorld()
    key = await world.opened()
    await world.say(key, "One", "intro.2")
    error = await world.refused(key, "Two", after="intro.2")
    assert isinstance(error, Limited)
    assert error.limit == "openTurn"
    await world.drain()
    await world.say(key, "Two")


async def test_two_different_questions_at_once_get_one_turn() -> None:
    # one                         two
    # reads no open turn
    #                             reads no open turn
    #                             commits turn 1
    # commits turn 1 <- refused, reads an open turn that says something else
    world = SessionWorld()
    key = await world.opened()
    hold = world.conductor.hold("prompts.accept", BEFORE, actor="a")
    _, first = world.start(world.saying(key, "One", "intro.2"), name="a")
    await hold.reached.wait()
    await world.say(key, "Two", "intro.2")
    hold.release()
    with pytest.raises(Limited):
        await world.clock.finish(first)
    assert [prompt.turn for prompt in world.state.prompts.values()] == [1]


async def test_a_client_may_queue_questions_instead() -> None:
    world = SessionWorld()
    client = limited(open_turn="queue")
    key = await world.opened(client)
    for text in ("One", "Two", "Three"):
        await world.say(key, text, client=client)
    await world.drain()
    assert world.provider.asked() == ["One", "Two", "Three"]


# --- limits --------------------------------------------------------------------------------


async def test_a_session_may_say_so_much_in_a_minute() -> None:
    world = SessionWorld()
    client = limited(session_turns_per_minute=2)
    key = await world.opened(client)
    for text in ("One", "Two"):
        await world.say(key, text, client=client)
        await world.drain()
    error = await world.refused(key, "Three", client=client)
    assert isinstance(error, Limited)
    assert error.limit == "sessionTurnsPerMinute"
    await world.clock.advance(60)
    await world.say(key, "Three", client=client)


@pytest.mark.parametrize(
    ("limits", "limit"),
    [
        ({"client_turns_per_minute": 2}, "clientTurnsPerMinute"),
        ({"address_turns_per_minute": 2}, "addressTurnsPerMinute"),
    ],
)
async def test_new_sessions_do_not_get_round_the_limits_of_client_and_address(
    limits: dict[str, int], limit: str
) -> None:
    world = SessionWorld()
    client = limited(**limits)
    for _ in range(2):
        await world.say("", "Hello", client=client)
    error = await world.refused("", "Hello", client=client)
    assert isinstance(error, Limited)
    assert error.limit == limit
    assert len(world.state.prompts) == 2, "what was refused was stored"
    await world.clock.advance(60)
    await world.say("", "Hello", client=client)


async def test_a_turn_is_counted_once_however_often_its_commit_is_refused() -> None:
    world = SessionWorld()
    client = limited(open_turn="queue", client_turns_per_minute=2)
    key = await world.opened(client)
    hold = world.conductor.hold("prompts.accept", BEFORE, actor="a")
    _, first = world.start(world.saying(key, "One", client=client), name="a")
    await hold.reached.wait()
    await world.say(key, "Two", client=client)
    hold.release()
    await world.clock.finish(first)
    assert world.conductor.calls("chat.count_turn") == 2


async def waited(world: SessionWorld, key: str, text: str, client: LlmClient) -> float:
    """How many seconds who posts this again, and would wait for three, does wait."""
    before = world.clock.monotonic()
    said = Said(text, "intro.2", "192.0.2.1")
    turned = await world.clock.run(world.converse(client, key, said, 3))
    assert turned.prompt.status is Status.SCHEDULED
    return world.clock.monotonic() - before


async def test_who_posts_an_open_turn_again_and_waits_counts_as_one_more_turn() -> None:
    """A wait holds a function: nobody has many of them at once for one turn."""
    world = SessionWorld()
    client = limited(address_turns_per_minute=3)
    key = await world.opened(client)
    await world.say(key, "One", "intro.2", client)
    waits = [await waited(world, key, "One", client) for _ in range(4)]
    assert [wait >= 3 for wait in waits] == [True, True, False, False]
    assert waits[2:] == [0, 0]
    assert isinstance(await world.refused("", "Two", client=client), Limited)
    assert len(world.state.prompts) == 1


async def test_who_posts_an_open_turn_again_and_does_not_wait_counts_not() -> None:
    world = SessionWorld()
    client = limited(address_turns_per_minute=1, session_turns_per_minute=1)
    key = await world.opened(client)
    first = await world.say(key, "One", "intro.2", client)
    for _ in range(3):
        assert (await world.say(key, "One", "intro.2", client)).prompt.id == first.prompt.id
    assert world.conductor.calls("chat.count_turn") == 1


async def test_a_turn_that_finds_itself_open_in_its_second_try_was_counted_already() -> None:
    world = SessionWorld()
    client = limited(address_turns_per_minute=2)
    key = await world.opened(client)
    world.conductor.fail("prompts.accept", AFTER)  # stored, and nobody was told
    assert await waited(world, key, "One", client) >= 3
    assert world.conductor.calls("chat.count_turn") == 1


@pytest.mark.parametrize(
    "limits",
    [
        {"session_turns_per_minute": 1},
        {"address_turns_per_minute": 1},
        {"client_turns_per_minute": 1},
    ],
    ids=lambda limits: next(iter(limits)),
)
async def test_a_turn_posted_again_gets_its_answer_where_a_new_one_is_refused(
    limits: dict[str, int],
) -> None:
    world = SessionWorld()
    client = limited(**limits)
    key = await world.opened(client)
    first = await world.say(key, "One", "intro.2", client)
    await world.drain()
    again = await world.say(key, "One", "intro.2", client)
    assert again.prompt.id == first.prompt.id
    assert again.answer is not None
    for new in ({"text": "Two", "after": "intro.2"}, {"text": "One", "after": "intro.1"}):
        assert isinstance(await world.refused(key, client=client, **new), Limited)
    assert isinstance(await world.refused(key, "One", client=client), Limited), "it has no id"


async def test_a_finished_turn_posted_again_gets_its_answer_while_another_one_is_open() -> None:
    world = SessionWorld()
    key = await world.opened()
    first = await world.say(key, "One", "intro.2")
    await world.drain()
    await world.say(key, "Two", answer_id(first.prompt.id, 1))
    assert (await world.say(key, "One", "intro.2")).prompt.id == first.prompt.id


async def test_an_address_is_another_one_in_each_account() -> None:
    """Or a hash that is kept would tell that two accounts have a visitor in common."""
    world = SessionWorld()
    for client in (CLIENT, SIBLING, FOREIGN):
        await world.say("", "Hello", client=client)
    mine, sibling, foreign = (call.args[2] for call in counted(world))
    assert mine == sibling != foreign
    assert "192.0.2.1" not in mine


def counted(world: SessionWorld) -> list[Call]:
    return [call for call in world.conductor.log if call.name == "chat.count_turn"]


async def test_an_input_that_is_too_long_is_refused_before_anything_is_read() -> None:
    world = SessionWorld()
    client = limited(input_characters=5)
    key = await world.opened(client)
    before = len(world.conductor.log)
    error = await world.refused(key, "123456", client=client)
    assert isinstance(error, Limited)
    assert (error.limit, len(world.conductor.log)) == ("inputCharacters", before)
    await world.say(key, "12345", client=client)


async def test_a_failing_turn_is_tried_three_times_in_all() -> None:
    world = SessionWorld()
    world.provider.otherwise = lambda _: (Fail(),)
    key = await world.opened()
    turned = await world.say(key, "Hello")
    await world.drain()
    prompt = world.prompt(turned.prompt.id)
    assert (prompt.status, prompt.run_count) == (Status.ABANDONED, 3)


# --- whose session -------------------------------------------------------------------------


@pytest.mark.parametrize("client", [SIBLING, FOREIGN], ids=["another client", "another account"])
async def test_a_key_is_of_one_llm_client_of_one_account(client: object) -> None:
    world = SessionWorld()
    key = await world.opened()
    assert isinstance(await world.refused(key, "Hello", client=client), NotFound)
    assert world.state.prompts == {}


async def test_a_key_that_the_caller_made_up_is_unknown() -> None:
    world = SessionWorld()
    assert isinstance(await world.refused(KEY, "Hello"), NotFound)
    assert isinstance(await world.refused("abc", "Hello"), Invalid)


async def test_nobody_but_the_holder_cancels_or_retries_a_turn() -> None:
    world = SessionWorld()
    mine, yours = await world.opened(), await world.opened()
    prompt = (await world.say(mine, "Hello")).prompt
    with pytest.raises(NotFound):
        await world.clock.run(world.converse.cancel(CLIENT, yours, prompt.id))
    canceled = await world.clock.run(world.converse.cancel(CLIENT, mine, prompt.id))
    assert canceled.prompt.status is Status.CANCELED
    with pytest.raises(NotFound):
        await world.clock.run(world.converse.retry(CLIENT, yours, prompt.id, ""))
    again = await world.clock.run(world.converse.retry(CLIENT, mine, prompt.id, ""))
    assert again.status is Status.SCHEDULED


async def test_a_retry_counts_and_is_for_the_last_turn_only() -> None:
    world = SessionWorld()
    client = limited(address_turns_per_minute=2)
    world.provider.scripts = [(Fail(retryable=False),)]
    key = await world.opened(client)
    first = (await world.say(key, "One", client=client)).prompt
    await world.drain()
    await world.say(key, "Two", client=client)
    await world.drain()
    with pytest.raises(Conflict):
        await world.clock.run(world.converse.retry(client, key, first.id, ""))


async def given_up(world: SessionWorld, key: str, client: LlmClient = CLIENT) -> str:
    """The id of a turn that was said just now, and canceled."""
    prompt = (await world.say(key, "One", client=client)).prompt
    await world.clock.run(world.converse.cancel(client, key, prompt.id))
    return prompt.id


@pytest.mark.parametrize("replaces", [0, 1], ids=["a question", "an edit"])
@pytest.mark.parametrize("at", ["chat.count_turn", "prompts.retry"])
async def test_what_is_said_meanwhile_wins_over_a_retry(replaces: int, at: str) -> None:
    # retry of turn 1            somebody goes on
    # reads next_turn 2
    #                            commits turn 2
    # commits turn 2 <- refused, reads: turn 1 is not the last one any more
    world = SessionWorld()
    key = await world.opened()
    first = await given_up(world, key)
    hold = world.conductor.hold(at, BEFORE, actor="retry")
    _, task = world.start(world.converse.retry(CLIENT, key, first, ""), name="retry")
    await hold.reached.wait()
    second = await world.say(key, "Two", replaces=replaces)
    hold.release()
    with pytest.raises(Conflict):
        await world.clock.finish(task)
    assert [turn.prompt_id for turn in world.open_turns()] == [second.prompt.id]
    await world.drain()
    assert await world.texts(key) == (["One"] if not replaces else []) + ["Two", "An answer."]


async def test_nor_does_an_admin_try_an_earlier_question_of_a_session_again() -> None:
    world = SessionWorld()
    key = await world.opened()
    first = await given_up(world, key)
    await world.say(key, "Two")
    await world.drain()
    with pytest.raises(Conflict):
        await world.clock.run(world.retry(ADMIN, first))
    assert world.status(first) == "canceled"


async def test_a_retry_is_one_more_turn_of_the_sessions_minute() -> None:
    world = SessionWorld()
    client = limited(session_turns_per_minute=2)
    key = await world.opened(client)
    first = await given_up(world, key, client)
    await world.clock.run(world.converse.retry(client, key, first, ""))
    await world.clock.run(world.converse.cancel(client, key, first))
    with pytest.raises(Limited) as refused:
        await world.clock.run(world.converse.retry(client, key, first, ""))
    assert refused.value.limit == "sessionTurnsPerMinute"
    error = await world.refused(key, "Two", client=client)
    assert isinstance(error, Limited)
    assert error.limit == "sessionTurnsPerMinute"
    await world.clock.advance(60)
    await world.clock.run(world.converse.retry(client, key, first, ""))


async def test_a_retry_is_refused_while_an_earlier_turn_is_open() -> None:
    """The manifest let questions queue when they were asked, and does not any more."""
    world = SessionWorld()
    queueing = limited(open_turn="queue")
    key = await world.opened(queueing)
    await world.say(key, "Zero", client=queueing)
    second = await given_up(world, key, queueing)
    with pytest.raises(Limited) as refused:
        await world.clock.run(world.converse.retry(CLIENT, key, second, ""))
    assert refused.value.limit == "openTurn"
    await world.clock.run(world.converse.retry(queueing, key, second, ""))


async def test_a_retry_is_counted_once_however_often_its_commit_is_refused() -> None:
    world = SessionWorld()
    key = await world.opened()
    first = await given_up(world, key)
    world.conductor.fail("prompts.retry", BEFORE, Busy("contention"))
    before = world.conductor.calls("chat.count_turn")
    await world.clock.run(world.converse.retry(CLIENT, key, first, ""))
    assert world.conductor.calls("chat.count_turn") == before + 1


async def test_cancel_keeps_what_there_is_of_the_answer() -> None:
    world = SessionWorld()
    world.provider.scripts = [(Say("Half"), SILENT)]
    key = await world.opened()
    prompt = (await world.say(key, "Hello")).prompt
    world.runner()
    await world.clock.advance(1)
    canceled = await world.clock.run(world.converse.cancel(CLIENT, key, prompt.id))
    assert canceled.prompt.status is Status.CANCELED
    assert canceled.answer is not None
    assert (canceled.answer.text, canceled.answer.partial) == ("Half", True)


# --- edits ---------------------------------------------------------------------------------


async def test_an_edited_question_takes_the_place_of_its_turn() -> None:
    world = SessionWorld()
    key = await world.opened()
    await world.say(key, "One")
    await world.drain()
    first = await world.say(key, "Tow")
    await world.drain()
    edit = await world.say(key, "Two", answer_id(first.prompt.id, 2), replaces=2)
    await world.drain()
    assert await world.texts(key) == ["One", "An answer.", "Two", "An answer."]
    again = await world.say(key, "Two", answer_id(first.prompt.id, 2), replaces=2)
    assert again.prompt.id == edit.prompt.id, "an edit posted twice is one turn"
    await world.say(key, "Three", replaces=3)
    await world.drain()
    assert await world.texts(key) == ["One", "An answer.", "Three", "An answer."]


async def test_only_the_last_question_can_be_edited_and_only_when_it_is_over() -> None:
    world = SessionWorld()
    client = limited(open_turn="queue")
    key = await world.opened(client)
    await world.say(key, "One", client=client)
    assert isinstance(await world.refused(key, "Uno", client=client, replaces=1), Conflict), (
        "it is still open"
    )
    await world.drain()
    await world.say(key, "Two", client=client)
    await world.drain()
    assert isinstance(await world.refused(key, "Uno", client=client, replaces=1), Conflict)
    assert await world.texts(key, client) == ["One", "An answer.", "Two", "An answer."]


# --- what may not add to a session ---------------------------------------------------------


async def test_a_session_that_expired_is_unknown() -> None:
    world = SessionWorld()
    key = await world.opened()
    await world.clock.advance(24 * 60 * 60)
    assert isinstance(await world.refused(key, "Hello"), NotFound)


async def test_a_session_that_was_used_never_expires() -> None:
    world = SessionWorld()
    key = await world.opened()
    await world.say(key, "Hello")
    await world.drain()
    await world.clock.advance(10 * 365 * 24 * 60 * 60)
    assert await world.texts(key) == ["Hello", "An answer."]


async def test_a_plain_prompt_cannot_be_added_to_a_session() -> None:
    world = SessionWorld()
    key = await world.opened()
    prompt = (await world.say(key, "Hello")).prompt
    with pytest.raises(Conflict):
        await world.add("p", prompt.thread_id, who=ADMIN)
