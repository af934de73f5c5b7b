"""An attempt from the wake-up to its end, one way of ending at a time."""

from dataclasses import replace

import pytest
from parley.core.access import TEXT_LIMIT_BYTES
from parley.core.errors import (
    Busy,
    Conflict,
    NotFound,
    ThreadDeleted,
    TooManyOpenTurns,
    TransitionRefused,
    Unavailable,
)
from parley.core.model import Catalogue, Model
from parley.core.prompt import Attempt, Outcome, Status, Usage
from parley.core.thread import QUESTION, render, rendered_size
from parley.ports import WakeUp
from parley.usecases.delivery import Delivery
from parley.usecases.run import Again, Done

from tests.fakes.chaos import AFTER, BEFORE
from tests.fakes.provider import SILENT, Break, Bug, Cut, End, Fail, FakeSecrets, Say, Wait
from tests.fakes.publisher import Fate
from tests.fakes.world import ACCOUNT, ADMIN, MODEL, OTHER_USER, USER, World


async def look(world: World, prompt_id: str, thread_id: str = "t") -> Done | Again:
    """What becomes of a wake-up."""
    wake_up = WakeUp(ACCOUNT, prompt_id, thread_id)
    deadline = world.clock.monotonic() + 340
    return await world.clock.run(world.run(wake_up, alone=True, deadline=deadline))


async def test_an_answer_is_stored_with_its_usage_and_its_attempt() -> None:
    world = World()
    world.provider.scripts = [(Wait(2), Say("A"), Say("nswer"), End("stop", Usage(7, 9)))]
    await world.add("a")
    assert await look(world, "a") == Done()
    answer = world.answer("a")
    assert answer is not None
    assert (answer.text, answer.finish_reason, answer.partial) == ("Answer", "stop", False)
    prompt = world.prompt("a")
    assert prompt.response_message_id == answer.id
    start = prompt.last_run
    assert prompt.attempts == (Attempt(1, start, start + 2000, Outcome.COMPLETED, "", Usage(7, 9)),)


async def test_the_wake_up_of_an_unknown_prompt_is_a_ghost() -> None:
    world = World()
    assert await look(world, "nobody") == Done()
    assert await look(world, "nobody", thread_id="") == Done()


async def test_a_wake_up_without_a_thread_finds_it() -> None:
    world = World()
    await world.add("a")
    assert await look(world, "a", thread_id="") == Done()
    assert world.status("a") == "completed"


async def test_a_wake_up_of_a_running_prompt_is_dropped() -> None:
    world = World()
    world.provider.scripts = [(SILENT,)]
    await world.add("a")
    world.runner()
    await world.clock.advance(1)
    assert await look(world, "a") == Done()
    assert world.prompt("a").run_count == 1


async def test_a_failed_attempt_is_repeated_after_its_back_off_with_its_budget() -> None:
    world = World()
    world.provider.scripts = [(Say("x"), Fail()), (Fail("status_429", retry_after=30),)]
    await world.add("a")
    assert await look(world, "a") == Again(1)
    prompt = world.prompt("a")
    assert (prompt.status, prompt.error_code, prompt.error) == (
        Status.ERRORED,
        "status_500",
        "words of the provider",
    )
    assert await look(world, "a") == Again(1), "it is not due"
    await world.clock.advance(1)
    assert await look(world, "a") == Again(30)
    await world.clock.advance(30)
    assert await look(world, "a") == Done()
    assert (world.prompt("a").run_count, world.prompt("a").failures) == (3, 2)
    assert [attempt.outcome.value for attempt in world.prompt("a").attempts] == [
        "failed",
        "failed",
        "completed",
    ]


async def test_a_prompt_is_abandoned_after_its_retries_with_a_dead_letter() -> None:
    world = World()
    world.provider.otherwise = lambda _: (Fail("status_503"),)
    await world.add("a", max_retries=2)
    await world.add("b")
    await world.subscribe("c")
    await world.drain()
    prompt = world.prompt("a")
    assert (prompt.status, prompt.run_count, prompt.failures) == (Status.ABANDONED, 3, 3)
    assert world.letters.of("a") == ["status_503"]
    assert world.publisher.states("c", "a") == [
        "running",
        "errored",
        "running",
        "errored",
        "running",
        "abandoned",
    ]
    assert world.prompt("b").run_count == 6


async def test_a_refused_request_is_abandoned_at_once_and_pages_nobody() -> None:
    world = World()
    world.provider.scripts = [(Fail("status_400", retryable=False),)]
    await world.add("a")
    assert await look(world, "a") == Done()
    assert world.prompt("a").attempts[-1].outcome is Outcome.REFUSED
    assert world.letters.letters == []


async def test_a_stream_that_is_cut_is_repeated() -> None:
    world = World()
    world.provider.scripts = [(Say("half an"), Cut())]
    await world.add("a")
    assert await look(world, "a") == Again(1)
    assert world.prompt("a").error_code == "cut"
    assert world.answer("a") is None


async def test_an_unforeseen_error_of_a_provider_is_a_failure_and_no_killed_runner() -> None:
    world = World()
    world.provider.otherwise = lambda _: (Say("half an"), Break())
    await world.add("a", max_retries=1)
    assert await look(world, "a") == Again(1)
    assert world.provider.open == []
    await world.drain()
    prompt = world.prompt("a")
    assert (prompt.status, prompt.error_code, prompt.losses) == (Status.ABANDONED, "Bug", 0)
    assert [attempt.outcome for attempt in prompt.attempts] == [Outcome.FAILED] * 2
    assert [letter.reason for letter in world.letters.letters] == ["Bug"]
    assert "the-secret-words" not in repr(prompt)


async def test_a_bug_of_ours_is_not_taken_for_a_failure_of_the_provider(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(delivery: Delivery, text: str) -> None:
        raise Bug

    monkeypatch.setattr(Delivery, "add", broken)
    world = World()
    await world.add("a")
    with pytest.raises(Bug):
        await look(world, "a")
    assert (world.status("a"), world.provider.open) == ("running", [])


async def test_an_attempt_ends_at_its_limit_and_is_repeated() -> None:
    world = World()
    world.provider.scripts = [(Say("x"), SILENT)]
    await world.add("a")
    assert await look(world, "a") == Again(1)
    assert world.clock.monotonic() == 300
    assert world.prompt("a").error_code == "time_limit"
    assert world.provider.open == []


async def test_an_attempt_ends_before_its_runners_time_is_used_up() -> None:
    world = World()
    world.provider.scripts = [(SILENT,)]
    await world.add("a")
    wake_up = WakeUp(ACCOUNT, "a", "t")
    result = await world.clock.run(world.run(wake_up, alone=True, deadline=12.5))
    assert result == Again(1)
    assert world.clock.monotonic() == 12.5


async def test_an_answer_over_the_limit_is_cut_and_says_so() -> None:
    world = World()
    world.provider.scripts = [(*[Say("é" * 10_000)] * 20, End())]
    await world.add("a")
    assert await look(world, "a") == Done()
    answer = world.answer("a")
    assert answer is not None
    assert answer.finish_reason == "length"
    assert TEXT_LIMIT_BYTES - 2 < len(answer.text.encode()) <= TEXT_LIMIT_BYTES
    assert world.provider.open == []


async def test_half_a_surrogate_pair_from_a_provider_breaks_nothing() -> None:
    world = World()
    world.provider.scripts = [(Say("a\ud83db"), End())]
    await world.add("a")
    await world.subscribe("c")
    assert await look(world, "a") == Done()
    assert world.answer("a").text == "a?b"  # type: ignore[union-attr]


async def test_an_unknown_model_or_secret_abandons_and_tells_the_owner() -> None:
    world = World()
    await world.add("a", "t1")
    world.accounts.catalogues[ACCOUNT] = Catalogue((replace(MODEL, id="other", secret="key"),))
    await world.clock.advance(60)
    await look(world, "a", "t1")
    assert world.prompt("a").error_code == "secret_missing"
    world.accounts.catalogues[ACCOUNT] = Catalogue()
    await world.clock.advance(60)
    retried = await world.clock.run(world.retry(USER, "a"))
    await look(world, "a", "t1")
    assert (world.prompt("a").error_code, retried.run_count) == ("unknown_model", 1)
    assert world.status("a") == "abandoned"


async def test_a_question_that_is_gone_abandons() -> None:
    world = World()
    await world.add("a")
    del world.state.messages[ACCOUNT, "t"][1, QUESTION]
    await look(world, "a")
    assert world.prompt("a").error_code == "question_gone"


async def test_the_provider_gets_the_secret_the_model_and_the_template() -> None:
    world = World()
    model = Model("m", "http://p", "real-name", template="Q: {prompt} A:", secret="key")
    world.accounts.catalogues[ACCOUNT] = Catalogue((model,))
    world.secrets.values = FakeSecrets({(ACCOUNT, "key"): "sk-1"}).values
    await world.add("a", "t1", text="why {prompt}?")
    await world.add("b", "t2", text="why?", template="{prompt}{prompt}")
    await look(world, "a", "t1")
    await look(world, "b", "t2")
    first, second = world.provider.requests
    assert (first.model, first.api_key, first.messages) == (model, "sk-1", ())
    assert first.completion == "Q: why {prompt}? A:"
    assert second.completion == "why?why?"


async def test_a_template_that_multiplies_its_prompt_is_refused_before_it_is_filled_in() -> None:
    world = World()
    await world.add("fits", text="x" * 100, template="{prompt}" * 100)
    await look(world, "fits")
    # As stored before the limit was checked on the way in.
    await world.add("huge", text="x" * TEXT_LIMIT_BYTES)
    question = world.state.messages[ACCOUNT, "t"][2, QUESTION]
    huge = replace(question, template="{prompt}" * 4)
    world.state.messages[ACCOUNT, "t"][2, QUESTION] = huge
    await look(world, "huge")
    assert world.status("fits") == "completed"
    assert (world.status("huge"), world.prompt("huge").error_code) == ("abandoned", "too_large")
    assert world.prompt("huge").attempts[-1].outcome is Outcome.REFUSED
    assert len(world.provider.requests) == 1


@pytest.mark.parametrize("template", ["", "{prompt}", "é{prompt}ü{prompt}", "{{prompt}}", "{promp"])
@pytest.mark.parametrize("text", ["", "x", "ß{prompt}"])
def test_the_size_of_a_filled_template_is_known_before_it_is_filled(
    template: str, text: str
) -> None:
    assert rendered_size(template, text) == len(render(template, text).encode())


@pytest.mark.parametrize("name", ["threads.context", "accounts.catalogue"])
async def test_an_outage_before_the_provider_is_asked_is_repeated(name: str) -> None:
    world = World()
    await world.add("a")
    await world.clock.advance(60)
    world.conductor.fail(name, BEFORE)
    assert await look(world, "a") == Again(1)
    assert world.prompt("a").error_code == "unavailable"


@pytest.mark.parametrize("stage", [BEFORE, AFTER])
@pytest.mark.parametrize(
    ("script", "name", "status"),
    [
        ((Say("x"), End()), "prompts.finish", "completed"),
        ((Say("x"), Fail()), "prompts.fail", "errored"),
        ((Fail("s", retryable=False),), "prompts.abandon", "abandoned"),
        ((Fail("s", retry_after=1000.0),), "letters.record", "abandoned"),
    ],
)
async def test_an_end_whose_answer_is_lost_is_found_or_made_again(
    stage: str, script: tuple[object, ...], name: str, status: str
) -> None:
    world = World()
    world.provider.scripts = [script]  # type: ignore[list-item]
    await world.add("a")
    world.conductor.fail(name, stage)
    await look(world, "a")
    assert world.status("a") == status
    assert len(world.provider.requests) == 1
    assert world.prompt("a").run_count == 1


@pytest.mark.parametrize("stage", [BEFORE, AFTER])
async def test_a_cancel_whose_answer_is_lost_is_found_or_made_again(stage: str) -> None:
    world = World()
    world.provider.scripts = [(Say("x"), SILENT)]
    await world.add("a")
    world.conductor.fail("prompts.cancel_running", stage)
    world.runner()
    await world.clock.advance(1)
    canceled = await world.clock.run(world.cancel(USER, "a"))
    assert canceled.status is Status.CANCELED
    assert world.answer("a").partial  # type: ignore[union-attr]


async def test_an_end_that_never_gets_through_is_left_to_the_takeover() -> None:
    world = World()
    world.provider.scripts = [(Say("x"), End())]
    await world.add("a")
    for _ in range(200):
        world.conductor.fail("prompts.finish", BEFORE, actor="first")
    runner = world.runner("first")
    await world.clock.advance(40)
    assert not runner.alive()
    assert world.status("a") == "running"
    world.queue.messages.clear()
    await world.drain(sweeps=True)
    assert (world.status("a"), world.prompt("a").losses) == ("completed", 1)


async def test_followers_that_cannot_be_read_do_not_fail_the_answer() -> None:
    world = World()
    world.provider.scripts = [(Wait(1.5), Say("x"), Wait(1.5), End())]
    await world.add("a")
    await world.subscribe("c")
    world.conductor.fail("subscribers.followers", BEFORE)
    world.conductor.fail("prompts.prompt", BEFORE)
    await world.drain()
    assert world.status("a") == "completed"
    assert [delta["text"] for delta in world.publisher.deltas("c", "a")] == ["x"]


async def test_a_watcher_over_http_gets_the_text_of_the_running_attempt() -> None:
    world = World()
    world.provider.scripts = [(Say("One "), Wait(5), Say("two."), End())]
    await world.add("a")
    await world.memory.watch(ACCOUNT, "t", world.clock.now())
    world.runner()
    await world.clock.advance(2)
    live = await world.memory.live(ACCOUNT, "a")
    assert live is not None
    assert (live.attempt, live.text) == (1, "One ")
    writes = world.conductor.calls("subscribers.put_live")
    await world.clock.advance(2)
    assert world.conductor.calls("subscribers.put_live") == writes, "nothing new was written"


async def test_nobody_watches_nothing_is_written() -> None:
    world = World()
    await world.add("a")
    await world.drain()
    assert world.conductor.calls("subscribers.put_live") == 0


async def test_somebody_who_unsubscribes_hears_no_more() -> None:
    world = World()
    world.provider.scripts = [(Say("a"), Wait(3), Say("b"), Wait(3), End())]
    await world.add("a")
    await world.subscribe("c")
    world.runner()
    await world.clock.advance(1.5)
    connection = world.memory.connections["c"]
    await world.clock.run(world.follow.unsubscribe(connection, "t"))
    await world.clock.advance(20)
    assert [delta["text"] for delta in world.publisher.deltas("c", "a")] == ["a"]


@pytest.mark.parametrize("error", [Busy("x"), Unavailable("x")])
async def test_a_gone_connection_that_cannot_be_dropped_keeps_nobody_from_hearing(
    error: Exception,
) -> None:
    world = World()
    world.provider.scripts = [(Say("x"), Wait(2), End()), (Fail("s", retryable=False),)]
    await world.add("a")
    for name in ("c", "d"):
        await world.subscribe(name)
    world.publisher.closed.add("c")
    for _ in range(20):
        world.conductor.fail("subscribers.drop_connection", BEFORE, error)
    await world.drain()
    await world.add("b")
    await world.drain()
    assert world.publisher.states("d", "a")[-1] == "completed"
    assert world.publisher.states("d", "b")[-1] == "abandoned"


async def test_a_follower_that_never_takes_a_post_holds_the_runner_for_bounded_time() -> None:
    world = World()
    await world.add("a")
    await world.subscribe("c")
    world.publisher.fates["c"] = [Fate.LOST_UNKNOWN] * 1000
    assert await look(world, "a") == Done()
    assert world.clock.monotonic() <= world.policy.farewell + 1


async def test_the_end_is_posted_twice_if_the_first_post_is_unknown() -> None:
    world = World()
    await world.add("a")
    await world.subscribe("c")
    world.publisher.fates["c"] = [Fate.LOST_UNKNOWN]
    await world.clock.run(world.cancel(USER, "a"))
    assert world.publisher.states("c", "a") == ["canceled"]


# --- cancel, retry, remove, from the outside -----------------------------------------------


async def test_a_prompt_that_ended_is_answered_as_it_is() -> None:
    world = World()
    await world.add("a")
    await world.drain()
    assert (await world.clock.run(world.cancel(USER, "a"))).status is Status.COMPLETED


async def test_prompts_of_others_cannot_be_canceled_retried_or_removed() -> None:
    world = World()
    await world.add("a")
    for call in (world.cancel, world.retry, world.remove):
        with pytest.raises(NotFound):
            await world.clock.run(call(OTHER_USER, "a"))
    assert (await world.clock.run(world.cancel(ADMIN, "a"))).status is Status.CANCELED


async def test_only_an_abandoned_or_canceled_prompt_is_retried() -> None:
    world = World()
    world.provider.scripts = [(SILENT,)]
    await world.add("a")
    await world.clock.advance(1)
    with pytest.raises(Conflict, match="scheduled"):
        await world.clock.run(world.retry(USER, "a"))
    world.runner()
    await world.clock.advance(0.1)
    with pytest.raises(Conflict, match="running"):
        await world.clock.run(world.retry(USER, "a"))
    await world.clock.run(world.cancel(USER, "a"))
    for n in range(100):
        await world.add(f"p{n}")
    with pytest.raises(TooManyOpenTurns):
        await world.clock.run(world.retry(USER, "a"))
    await world.clock.run(world.cancel(USER, "p0"))
    del world.state.messages[ACCOUNT, "t"][1, QUESTION]
    with pytest.raises(Conflict, match="question"):
        await world.clock.run(world.retry(USER, "a"))
    thread = world.state.threads[ACCOUNT, "t"]
    world.state.threads[ACCOUNT, "t"] = replace(thread, deleted=True)
    with pytest.raises(ThreadDeleted):
        await world.clock.run(world.retry(USER, "a"))


async def test_a_retry_races_for_its_turn_like_an_accept() -> None:
    world = World()
    await world.add("a")
    await world.clock.run(world.cancel(USER, "a"))
    hold = world.conductor.hold("prompts.retry", BEFORE)
    world.conductor.fail("wake_ups.send", BEFORE, actor="slow")
    _, slow = world.start(world.retry(USER, "a"), "api", "slow")
    await hold.reached.wait()
    await world.add("b")
    hold.release()
    assert (await world.clock.finish(slow)).turn == 3
    await world.drain(sweeps=True)
    assert [world.status(name) for name in "ab"] == ["completed", "completed"]


async def test_a_retry_that_lost_against_another_answers_what_that_made() -> None:
    world = World()
    await world.add("a")
    await world.clock.advance(1)
    await world.clock.run(world.cancel(USER, "a"))
    hold = world.conductor.hold("prompts.retry", BEFORE, actor="slow")
    _, slow = world.start(world.retry(USER, "a"), "api", "slow")
    await hold.reached.wait()
    other = await world.clock.run(world.retry(USER, "a"))
    hold.release()
    assert await world.clock.finish(slow) == other


async def test_a_retry_whose_answer_was_lost_is_a_success_and_wakes_its_prompt() -> None:
    world = World()
    await world.add("a")
    await world.clock.run(world.cancel(USER, "a"))
    world.queue.messages.clear()
    world.conductor.fail("prompts.retry", AFTER)
    retried = await world.clock.run(world.retry(USER, "a"))
    assert (retried.status, retried.turn) == (Status.SCHEDULED, 2)
    assert world.conductor.calls("prompts.retry") == 1
    await world.drain()
    assert world.status("a") == "completed"


async def test_a_retry_whose_answer_was_lost_is_a_success_even_if_its_prompt_runs_already() -> None:
    # retry of a                   sweeper, runner
    # commits turn 2, hears nothing
    #                              wakes a, claims it
    # looks: a runs, on that very turn
    world = World()
    world.provider.scripts = [(SILENT,)]
    await world.add("a")
    await world.clock.run(world.cancel(USER, "a"))
    lost = world.conductor.hold("prompts.retry", AFTER, actor="slow")
    _, slow = world.start(world.retry(USER, "a"), "api", "slow")
    await lost.reached.wait()
    await world.queue.send(WakeUp(ACCOUNT, "a", "t"))
    world.runner()
    await world.clock.advance(0.1)
    lost.release(Unavailable("no answer"))
    assert (await world.clock.finish(slow)).status is Status.RUNNING


async def test_a_repeated_retry_answers_the_scheduled_prompt_and_wakes_it_again() -> None:
    world = World()
    await world.add("a")
    await world.clock.advance(1)
    await world.clock.run(world.cancel(USER, "a"))
    retried = await world.clock.run(world.retry(USER, "a"))
    world.queue.messages.clear()  # the first one's caller heard nothing, and nor did anybody
    assert await world.clock.run(world.retry(USER, "a")) == retried
    await world.drain()
    assert (world.status("a"), world.prompt("a").turn) == ("completed", 2)


@pytest.mark.parametrize("name", ["prompts.retry", "prompts.remove", "prompts.request_cancel"])
async def test_a_prompt_that_keeps_changing_is_busy_in_the_end(name: str) -> None:
    world = World()
    world.provider.scripts = [(SILENT,)]
    await world.add("a")
    call = {"retry": world.retry, "remove": world.remove, "request_cancel": world.cancel}[
        name.partition(".")[2]
    ]
    if call is world.cancel:
        world.runner()
        await world.clock.advance(0.1)
    else:
        await world.clock.run(world.cancel(USER, "a"))
    error = Busy("x") if call is world.retry else TransitionRefused("x")
    for _ in range(20):
        world.conductor.fail(name, BEFORE, error)
    with pytest.raises(Busy):
        await world.clock.run(call(USER, "a"))


async def test_a_removed_prompt_is_gone_and_its_thread_keeps_the_messages() -> None:
    world = World()
    world.provider.scripts = [(SILENT,)]
    await world.add("a")
    await world.add("b")
    world.runner(limit=1)
    await world.clock.advance(1)
    await world.clock.run(world.remove(USER, "a"))
    assert (ACCOUNT, "a") not in world.state.prompts
    assert (1, QUESTION) in world.state.messages[ACCOUNT, "t"]
    await world.clock.advance(2)
    assert world.provider.open == []
    await world.drain()
    assert world.status("b") == "completed"
