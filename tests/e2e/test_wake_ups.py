"""Messages on the queues that nobody of Parley's has sent (I7, I11)."""

import json

from tests.e2e.client import Client
from tests.e2e.model import Model
from tests.e2e.queues import Queues


def test_duplicate_wake_ups_run_nothing_twice(
    user: Client, model: Model, word: str, queues: Queues
) -> None:
    model.told(word, stall_after=2)
    prompt = user.add(f"once {word}")
    model.until_called(word, chunks=2)

    for queue in ("QueueUrl", "QueueUrl", "SoloQueueUrl"):
        queues.wake(prompt, queue)
    queues.until_received()
    model.released(word)
    ended = user.ended(prompt["id"])
    for queue in ("QueueUrl", "SoloQueueUrl"):
        queues.wake(prompt, queue)
    queues.until_received()
    user.answered("whatever comes behind the duplicates")

    assert user.state(prompt["id"])["runCount"] == 1
    assert len(model.calls(word)) == 1
    assert user.answers(prompt["threadId"]) == [ended["answer"]]


def test_the_same_submission_twice_runs_once_and_other_content_is_refused(
    user: Client, model: Model, word: str
) -> None:
    again = {"id": f"p-{word}", "prompt": f"same {word}", "threadId": f"t-{word}"}
    for _ in range(3):
        user.call("POST", "/prompt-svc/prompt", again)
    user.ended(again["id"])
    repeated = user.call("POST", "/prompt-svc/prompt", {**again, "sync": True})

    assert repeated["prompt"]["status"] == "completed"
    assert repeated["answer"] in user.answers(again["threadId"])
    assert len(model.calls(word)) == 1
    other = {**again, "prompt": "something else"}
    assert user.refused("POST", "/prompt-svc/prompt", other)[0] == 409


def test_a_wake_up_of_a_ghost_harms_nobody(user: Client, word: str, queues: Queues) -> None:
    queues.wake({"id": f"ghost-{word}", "threadId": f"nowhere-{word}"})
    queues.wake({"id": f"ghost-{word}", "threadId": ""})

    queues.until_received()
    assert user.answered(f"after the ghosts {word}")["answer"]
    assert user.refused("GET", f"/prompt-svc/prompt/ghost-{word}")[0] == 404


def test_a_message_that_cannot_be_parsed_ends_among_the_dead_letters(
    user: Client, admin: Client, word: str, queues: Queues
) -> None:
    queues.put(f"this is no wake-up {word}")

    assert user.answered(f"beside rubbish {word}")["answer"]
    letter = json.loads(queues.until_dead(word))
    assert letter["body"] == f"this is no wake-up {word}"
    assert word not in str(admin.dead_letters())


def test_a_redrive_in_the_console_is_a_harmless_wake_up(
    user: Client, model: Model, word: str, queues: Queues
) -> None:
    model.told(word, fail={"status": 500})
    prompt = user.ended(user.add(f"given up {word}", maxRetries=0)["id"], "abandoned")["prompt"]
    model.told(word, fail=None)

    queues.put(queues.until_dead(prompt["id"]))
    queues.until_received()
    user.answered(f"whatever comes behind {word[::-1]}")

    assert user.state(prompt["id"]) == prompt
    assert len(model.calls(word)) == 1


def test_a_lost_wake_up_is_made_good_by_the_sweeper(
    user: Client, model: Model, word: str, queues: Queues
) -> None:
    with queues.nobody_receiving():
        prompt = user.add(f"lost {word}")
        assert queues.lose_all() >= 1

    assert user.ended(prompt["id"])["prompt"]["runCount"] == 1
