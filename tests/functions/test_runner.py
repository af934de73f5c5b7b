"""The runner's handler: what becomes of each message of a batch."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from parley.assembly_runner import Runner
from parley.core.backoff import receive_pause
from parley.core.errors import Busy, TransitionRefused, Unavailable
from parley.core.model import Catalogue
from parley.core.prompt import Usage
from parley.observability import PromptsObserver
from parley.ports import WakeUp
from parley.usecases.run import Again, Done

from tests.fakes.chaos import BEFORE
from tests.fakes.provider import SILENT, Break, Bug, End, Fail, Say, Wait
from tests.fakes.world import ACCOUNT, MODEL, World
from tests.functions.stage import Context, SetAside, Told, WorldLoop, body_of, function, record

app = function("runner")

QUESTION = "the-secret-question"
ANSWER = "the-secret-answer"


class Stage:
    """The handler over a world."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.letters = SetAside()
        run = replace(world.run, observer=PromptsObserver(), dead_letters=self.letters)
        self.engine = Runner(run, world.queue, self.letters, world.clock)
        self.loop = WorldLoop(app.loop, world)
        monkeypatch.setattr(app, "engine", self.engine)
        monkeypatch.setattr(app, "loop", self.loop)

    def add(self, *ids: str, **fields: Any) -> None:
        for id_ in ids:
            self.loop.kept(self.world.add(id_, f"t-{id_}", text=QUESTION, **fields))

    def received(self) -> list[dict[str, Any]]:
        batch = self.world.queue.receive(10, alone=False)
        return [record(handle, self.loop.kept(body_of(wake_up))) for handle, wake_up in batch]

    def handled(self, records: list[dict[str, Any]], remaining: float = 360) -> list[str]:
        """Ids of the messages that are not done; SQS deletes the others."""
        answer = app.handler({"Records": records}, Context(remaining))
        failed = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
        for message in records:
            if message["messageId"] not in failed:
                self.world.queue.delete(message["receiptHandle"])
        return failed

    def visible_in(self) -> list[float]:
        now = self.world.clock.monotonic()
        return [message.visible_at - now for message in self.world.queue.messages]


@pytest.fixture
def stage(world: World, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(world, monkeypatch)


def test_a_batch_is_answered_and_its_messages_deleted(stage: Stage) -> None:
    stage.add("p1", "p2", "p3")

    assert stage.handled(stage.received()) == []

    assert [stage.world.status(id_) for id_ in ("p1", "p2", "p3")] == ["completed"] * 3
    assert stage.world.queue.messages == []


def test_prompts_of_a_batch_run_at_the_same_time(stage: Stage) -> None:
    stage.world.provider.otherwise = lambda _: (Wait(10), Say("late"), End())
    stage.add("p1", "p2", "p3")
    before = stage.world.clock.monotonic()

    stage.handled(stage.received())

    assert stage.world.clock.monotonic() - before < 20


def test_a_failed_attempt_is_shown_again_after_its_back_off(stage: Stage) -> None:
    stage.add("p1", "p2")
    records = stage.received()
    stage.world.provider.scripts = [(Fail(),)]

    assert stage.handled(records) == ["message-1.1"]

    assert stage.world.status("p1") == "errored"
    assert stage.world.status("p2") == "completed"
    assert stage.visible_in() == pytest.approx([1], abs=0.2)


def test_a_bug_that_one_prompt_meets_leaves_the_others_alone(stage: Stage, told: Told) -> None:
    stage.add("p1", "p2", "p3", "p4")
    records = stage.received()
    stage.world.conductor.fail("threads.context", BEFORE, Bug("the-secret-words"))

    assert stage.handled(records) == ["message-1.1"]

    assert [stage.world.status(f"p{n}") for n in (2, 3, 4)] == ["completed"] * 3
    assert stage.visible_in()[0] > 30, "a bug is not tried again at once"
    [line] = told.said("record failed")
    assert line["error"] == "Bug"
    assert line["place"].startswith("chaos.py:")
    assert "the-secret-words" not in told.text


def test_an_error_of_a_provider_that_nobody_foresaw_is_told_and_tried_again_soon(
    stage: Stage, told: Told
) -> None:
    stage.add("p1")
    records = stage.received()
    stage.world.provider.scripts = [(Say(ANSWER), Break())]

    assert stage.handled(records) == ["message-1.1"]

    assert stage.world.status("p1") == "errored"
    assert stage.visible_in() == pytest.approx([1], abs=0.2)
    [line] = told.said("provider broke")
    assert (line["error"], line["prompt_id"]) == ("Bug", "p1")
    assert line["place"].startswith("provider.py:")
    [blob] = [blob for blob in told.blobs if "AttemptsFailed" in blob]
    assert blob["reason"] == "Bug"
    assert ANSWER not in told.text
    assert "the-secret-words" not in told.text


@pytest.mark.parametrize("error", [Busy("x"), Unavailable("x"), TransitionRefused("x")])
def test_what_is_only_contended_is_tried_again_soon(stage: Stage, error: Exception) -> None:
    stage.add("p1", "p2")
    records = stage.received()
    stage.world.conductor.fail("prompts.head", BEFORE, error)

    assert stage.handled(records) == ["message-1.1"]

    assert stage.world.status("p2") == "completed"
    assert stage.visible_in() == pytest.approx([5], abs=0.2)


@pytest.mark.parametrize("body", ["", "not json", "[]", '{"account":"0000-0000-0001"}', "[" * 9999])
def test_what_is_no_wake_up_is_set_aside_and_deleted(stage: Stage, body: str) -> None:
    stage.add("p1")
    records = [*stage.received(), record("9.9", body)]

    assert stage.handled(records) == []

    assert stage.letters.aside == [("message-9.9", body)]
    assert stage.world.status("p1") == "completed"


def test_a_dead_letter_redriven_in_the_console_is_a_harmless_wake_up(stage: Stage) -> None:
    stage.add("p1", max_retries=0)
    stage.world.provider.scripts = [(Fail(),)]
    stage.handled(stage.received())
    assert stage.world.status("p1") == "abandoned"
    body = json.dumps({"account": ACCOUNT, "promptId": "p1", "reason": "status_500"})

    assert stage.handled([record("9.9", body)]) == []

    assert stage.world.status("p1") == "abandoned"


@pytest.mark.parametrize(("receives", "seconds"), [(1, 5), (2, 10), (5, 80), (9, 900), (49, 900)])
def test_what_stays_contended_is_tried_ever_later(receives: int, seconds: int) -> None:
    assert receive_pause(receives) == seconds


def test_an_attempt_ends_itself_before_lambda_does(stage: Stage) -> None:
    stage.world.provider.scripts = [(SILENT,)]
    stage.add("p1")
    before = stage.world.clock.monotonic()

    assert stage.handled(stage.received(), remaining=60) == ["message-1.1"]

    assert stage.world.clock.monotonic() - before == pytest.approx(40, abs=1)
    assert stage.world.prompt("p1").error_code == "time_limit"


def test_a_prompt_knows_whether_it_is_alone(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    class Noting:
        async def __call__(self, wake_up: WakeUp, *, alone: bool, deadline: float) -> Done:
            seen.append(alone)
            return Done()

    monkeypatch.setattr(app, "engine", replace(stage.engine, run=Noting()))  # type: ignore[arg-type]
    stage.add("p1", "p2", "p3")
    records = stage.received()

    stage.handled(records[:1])
    stage.handled(records[1:])

    assert seen == [True, False, False]


def test_a_message_that_cannot_be_postponed_is_not_deleted(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        async def postpone(self, receipt_handle: str, queue_arn: str, seconds: int) -> None:
            raise Unavailable("no answer")

    monkeypatch.setattr(app, "engine", replace(stage.engine, receipts=Broken()))
    stage.world.provider.scripts = [(Fail(),)]
    stage.add("p1")

    assert stage.handled(stage.received()) == ["message-1.1"]


def test_no_task_outlives_the_handler(stage: Stage, told: Told) -> None:
    left: list[asyncio.Task[Any]] = []

    class Careless:
        async def __call__(self, wake_up: WakeUp, *, alone: bool, deadline: float) -> Again:
            left.append(asyncio.create_task(asyncio.sleep(3600)))
            return Again(1)

    app.engine = replace(stage.engine, run=Careless())  # type: ignore[arg-type]
    stage.add("p1")
    stage.handled(stage.received())

    assert [task.cancelled() for task in left] == [True]
    assert told.said("tasks outlived their work")


def test_the_engine_leaves_no_task_behind(stage: Stage, told: Told) -> None:
    stage.world.provider.scripts = [(Say("a"), End()), (Fail(),), (SILENT,)]
    stage.world.conductor.fail("threads.context", BEFORE, Bug(), skip=3)
    stage.add("p1", "p2", "p3", "p4")

    stage.handled(stage.received(), remaining=60)

    assert not told.said("tasks outlived their work")


def test_logs_and_metrics_say_what_happened_and_no_text(stage: Stage, told: Told) -> None:
    model = replace(MODEL, secret="provider")
    stage.world.accounts.catalogues[ACCOUNT] = Catalogue((model,))
    stage.world.secrets.values[ACCOUNT, "provider"] = "the-secret-key"
    stage.world.provider.scripts = [
        (Wait(2), Say(ANSWER), End(usage=Usage(3, 5))),
        (Fail("status_500"),),
        (Fail("status_400", retryable=False),),
    ]
    stage.add("p1", "p2", "p3")
    stage.world.clock.skip(7)

    stage.handled(stage.received())

    keys = {"account": ACCOUNT, "thread_id": "t-p1", "prompt_id": "p1", "attempt": 1}
    for message in ("claimed", "attempted", "completed"):
        assert any(keys.items() <= line.items() for line in told.said(message))
    assert told.metrics == {
        "QueueDelay": [7000] * 3,
        "TimeToFirstToken": [2000],
        "PromptTokens": [3],
        "CompletionTokens": [5],
        "PromptsCompleted": [1],
        "PromptsAbandoned": [1],
        "AttemptsFailed": [1, 1],
    }
    failed = [blob for blob in told.blobs if "AttemptsFailed" in blob]
    assert {blob["reason"] for blob in failed} == {"status_500", "status_400"}
    for secret in (QUESTION, ANSWER, "the-secret-key", "words of the provider"):
        assert secret not in told.text


def test_the_delay_of_a_repeated_attempt_begins_when_its_back_off_is_over(
    stage: Stage, told: Told
) -> None:
    stage.world.provider.scripts = [(Fail(),)]
    stage.add("p1")
    stage.handled(stage.received())
    stage.world.clock.skip(4)
    stage.handled(stage.received())

    assert told.metrics["QueueDelay"] == pytest.approx([0, 3000], abs=200)


def test_a_lost_lease_is_counted(stage: Stage, told: Told) -> None:
    stage.world.provider.scripts = [(SILENT,)]
    stage.add("p1")
    records = stage.received()
    for _ in range(200):
        stage.world.conductor.fail("prompts.renew", BEFORE)

    stage.handled(records)

    assert told.metrics["LeasesLost"] == [1]
    assert told.said("lease lost")[0]["prompt_id"] == "p1"
