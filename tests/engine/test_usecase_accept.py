"""What is accepted, what is refused, and what the same submission twice does."""

from dataclasses import replace
from typing import Any

import pytest
from parley.core.errors import (
    Busy,
    Conflict,
    Invalid,
    NotFound,
    ParleyError,
    ThreadDeleted,
    TooLarge,
    TooManyOpenTurns,
    TurnTaken,
    Unavailable,
)
from parley.core.model import Catalogue, Model
from parley.core.prompt import Status
from parley.core.thread import QUESTION
from parley.usecases.accept import ACCEPT_TRIES, NewPrompt

from tests.fakes.chaos import AFTER, BEFORE
from tests.fakes.world import (
    ACCOUNT,
    ADMIN,
    MODEL,
    OTHER_ACCOUNT,
    OTHER_USER,
    STRANGER,
    USER,
    World,
)


async def test_a_prompt_is_stored_with_its_question_before_it_is_answered() -> None:
    world = World()
    prompt = await world.add("a", "t", text="x" * 150, template="say {prompt}", model_id="model")
    assert (prompt.status, prompt.turn, prompt.max_retries) == (Status.SCHEDULED, 1, 5)
    question = world.state.messages[ACCOUNT, "t"][1, QUESTION]
    assert (question.id, question.text, question.template) == ("a", "x" * 150, "say {prompt}")
    thread = world.state.threads[ACCOUNT, "t"]
    assert (thread.title, thread.created_by, thread.next_turn) == ("x" * 100, "usr_1", 2)
    assert [(wake_up.prompt_id, alone) for wake_up, alone in world.queue.sent] == [("a", False)]


async def test_a_prompt_without_ids_gets_its_own_and_a_thread_of_the_same_name() -> None:
    world = World()
    prompt = await world.add("", "")
    assert prompt.id.startswith("prom_")
    assert prompt.thread_id == prompt.id


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"text": " \n"}, Invalid),
        ({"text": "x" * (300 * 1024 + 1)}, TooLarge),
        ({"text": "\ud800"}, Invalid),
        ({"text": "x", "template": " "}, Invalid),
        ({"text": "x", "template": "x" * (300 * 1024 + 1)}, TooLarge),
        ({"text": "x" * (300 * 1024), "template": "x" * (50 * 1024 + 1)}, TooLarge),
        ({"text": "x", "id": "a/b"}, Invalid),
        ({"text": "x", "thread_id": "x" * 129}, Invalid),
        ({"text": "x", "model_id": "unknown"}, Invalid),
        ({"text": "x", "max_retries": -1}, Invalid),
        ({"text": "x", "max_retries": 21}, Invalid),
    ],
)
async def test_what_is_refused_leaves_nothing_behind(
    fields: dict[str, Any], error: type[ParleyError]
) -> None:
    world = World()
    with pytest.raises(error):
        await world.clock.run(world.accept(USER, NewPrompt(**fields)))
    assert world.state.prompts == {}
    assert world.state.threads == {}
    assert world.queue.sent == []


@pytest.mark.parametrize("retries", [0, 20])
async def test_the_ends_of_the_range_of_retries_are_taken(retries: int) -> None:
    assert (await World().add("a", max_retries=retries)).max_retries == retries


async def test_a_thread_of_somebody_else_is_not_found() -> None:
    world = World()
    await world.add("a", "t")
    with pytest.raises(NotFound):
        await world.add("b", "t", who=OTHER_USER)
    assert (await world.add("c", "t", who=ADMIN)).turn == 2


async def test_the_same_ids_in_another_account_are_another_prompt_and_thread() -> None:
    world = World()
    await world.add("a", "t")
    other = await world.add("a", "t", who=STRANGER)
    assert (other.account, other.turn) == (OTHER_ACCOUNT, 1)
    assert world.prompt("a").turn == 1


async def test_the_same_submission_again_answers_the_stored_prompt_and_wakes_it() -> None:
    world = World()
    first = await world.add("a")
    again = await world.add("a", sync=True)
    assert again == first
    assert len(world.queue.sent) == 2
    await world.drain()
    assert len(world.provider.requests) == 1
    ended = await world.add("a")
    assert ended.status is Status.COMPLETED
    assert world.queue.messages == []


@pytest.mark.parametrize(
    "other",
    [
        {"text": "other"},
        {"thread_id": "u"},
        {"model_id": "model"},
        {"template": "{prompt}"},
        {"max_retries": 2},
    ],
)
async def test_an_id_with_other_content_is_refused(other: dict[str, Any]) -> None:
    world = World()
    await world.add("a", "t")
    with pytest.raises(Conflict):
        await world.add("a", **{"thread_id": "t"} | other)
    assert len(world.state.prompts) == 1


async def test_the_same_submission_is_answered_after_the_catalogue_changed() -> None:
    world = World()
    first = await world.add("a", model_id="model")
    await world.models.replace(ADMIN, Catalogue((Model("other", "u", "m"),)))
    sent = len(world.queue.sent)
    assert await world.add("a", model_id="model") == first
    assert len(world.queue.sent) == sent + 1
    with pytest.raises(Conflict):
        await world.add("a", text="other", model_id="model")
    with pytest.raises(Invalid, match="unknown modelId"):
        await world.add("b", model_id="model")


@pytest.mark.parametrize("of_model", [False, True])
async def test_a_template_is_refused_by_its_size_with_the_prompt_in_its_places(
    of_model: bool,
) -> None:
    world = World()
    template = "{prompt}" * 8
    if of_model:
        await world.models.replace(ADMIN, Catalogue((replace(MODEL, template=template),)))
    given = "" if of_model else template
    await world.add("fits", text="é" * (64 * 1024), template=given)
    with pytest.raises(TooLarge, match="in its places"):
        await world.add("large", text="é" * (64 * 1024) + "x", template=given)
    assert list(world.state.prompts) == [(ACCOUNT, "fits")]


async def test_an_id_of_another_user_is_refused_whatever_its_content() -> None:
    world = World()
    await world.add("a", "t", text="x", who=ADMIN)
    with pytest.raises(Conflict):
        await world.add("a", "u", text="x", who=OTHER_USER)


async def test_a_thread_takes_a_hundred_unfinished_prompts_and_no_more() -> None:
    world = World()
    for n in range(100):
        await world.add(f"p{n}")
    with pytest.raises(TooManyOpenTurns):
        await world.add("one-more")
    assert (await world.add("p7")).id == "p7", "the same submission again is no new prompt"
    with pytest.raises(Conflict):
        await world.add("p7", text="other")
    await world.clock.run(world.cancel(USER, "p0"))
    assert (await world.add("one-more")).turn == 101


async def test_a_hundred_accepts_at_once_do_not_pass_the_cap() -> None:
    world = World()
    for n in range(98):
        await world.add(f"p{n}")
    new = [NewPrompt("x", f"late{n}", "t") for n in range(5)]
    tasks = [world.start(world.accept(USER, item), "api")[1] for item in new]
    for task in tasks:
        try:
            await world.clock.finish(task)
        except TooManyOpenTurns:
            continue
    assert len(world.open_turns()) == 100


async def test_a_deleted_thread_takes_no_prompt() -> None:
    world = World()
    await world.add("a", "t")
    await world.clock.run(world.delete_thread(USER, "t", 5))
    with pytest.raises(ThreadDeleted):
        await world.add("b", "t")


@pytest.mark.parametrize("error", [Busy("throttled"), Unavailable("no answer"), TurnTaken()])
async def test_an_accept_that_never_gets_through_says_so(error: Exception) -> None:
    world = World()
    for _ in range(ACCEPT_TRIES):
        world.conductor.fail("prompts.accept", BEFORE, error)
    with pytest.raises(Busy, match="the thread is busy"):
        await world.add("a")
    assert world.clock.monotonic() < 1


async def test_an_id_that_is_removed_while_it_is_looked_at_may_be_tried_again() -> None:
    world = World()
    await world.add("a")
    hold = world.conductor.hold("prompts.prompt", BEFORE, actor="slow")
    new = NewPrompt("ask a", "a", "t")
    _, slow = world.start(world.accept(USER, new), "api", "slow")
    await hold.reached.wait()
    await world.clock.run(world.remove(USER, "a"))
    hold.release()
    with pytest.raises(Busy, match="in use"):
        await world.clock.finish(slow)


@pytest.mark.parametrize("stage", [BEFORE, AFTER])
async def test_a_wake_up_that_cannot_be_sent_does_not_fail_the_accept(stage: str) -> None:
    world = World()
    world.conductor.fail("wake_ups.send", stage)
    assert (await world.add("a")).status is Status.SCHEDULED
    await world.drain(sweeps=True)
    assert world.status("a") == "completed"


async def test_a_new_model_may_be_used_at_once() -> None:
    world = World()
    await world.add("a", "t1")
    new = Model("new", "http://provider.invalid", "n")
    await world.accounts.put_catalogue(ACCOUNT, Catalogue((MODEL, new)))
    assert (await world.add("b", "t2", model_id="new")).model_id == "new"


async def test_the_catalogue_is_remembered_for_less_than_a_minute() -> None:
    world = World()
    await world.add("a", "t1")
    await world.add("b", "t2")
    assert world.conductor.calls("accounts.catalogue") == 1
    await world.accounts.put_catalogue(ACCOUNT, Catalogue((Model("only", "u", "m"),)))
    assert (await world.models.resolve(ACCOUNT, "")).id == "model"
    await world.clock.advance(59)
    assert (await world.models.resolve(ACCOUNT, "")).id == "only"


async def test_a_replaced_catalogue_is_seen_at_once_where_it_was_replaced() -> None:
    world = World()
    await world.models.resolve(ACCOUNT, "")
    await world.models.replace(ADMIN, Catalogue((Model("only", "u", "m"),)))
    assert (await world.models.resolve(ACCOUNT, "")).id == "only"
    with pytest.raises(ParleyError):
        await world.models.replace(USER, Catalogue())


async def test_the_memory_of_catalogues_is_bounded() -> None:
    world = World()
    for n in range(1200):
        await world.models.catalogue(f"account-{n}")
    assert len(world.models.remembered) <= 1000


async def test_a_prompt_counts_once_for_each_turn_that_it_got() -> None:
    world = World()
    for _ in range(2):
        await world.add("a")
    await world.clock.run(world.cancel(USER, "a"))
    assert world.accepted.turns == [("a", 1)]
    await world.clock.run(world.retry(USER, "a"))
    with pytest.raises(Conflict):
        await world.clock.run(world.retry(USER, "a"))
    assert world.accepted.turns == [("a", 1), ("a", 2)]
