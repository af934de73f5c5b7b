"""Runners that are killed, as the kernel kills a function that uses too much memory."""

from tests.e2e.client import Client
from tests.e2e.conftest import Follow
from tests.e2e.model import Model
from tests.e2e.stack import Stack

LOSSES_CAP = 3


def test_a_prompt_outlives_the_runner_that_is_killed_mid_stream(
    stack: Stack, user: Client, model: Model, word: str, follow: Follow
) -> None:
    model.told(word, stall_after=8)
    prompt = user.add(f"hold on {word}")
    socket = follow(user, prompt["threadId"])
    socket.until_heard(prompt["id"], words=8)

    assert stack.kill_runners() >= 1
    model.until_called(word, 2, chunks=8)
    assert socket.until_heard(prompt["id"], words=8, attempt=2)
    model.released(word)
    socket.until_status(prompt["id"], "completed")

    ended = user.ended(prompt["id"])
    outcomes = [attempt["outcome"] for attempt in ended["prompt"]["attempts"]]
    assert outcomes == ["lost", "completed"]
    assert socket.heard.attempts == {prompt["id"]: 2}
    assert ended["answer"].startswith(socket.heard.texts[prompt["id"]])
    assert user.answers(prompt["threadId"]) == [ended["answer"]]


def test_a_prompt_that_kills_its_runners_is_given_up_and_takes_no_innocents_with_it(
    stack: Stack, user: Client, admin: Client, model: Model, word: str
) -> None:
    killer, innocent = f"killer {word}", f"innocent {word}"
    model.told(killer, stall_after=1)
    model.told(innocent, stall_after=1)
    innocents = [user.add(f"{innocent} {number}") for number in range(3)]
    prompt = user.add(killer)
    for text in (killer, *(f"{innocent} {number}" for number in range(3))):
        model.until_called(text, chunks=1)

    stack.kill_runners()
    model.told(innocent, stall_after=None)
    for other in innocents:
        attempts = user.ended(other["id"])["prompt"]["attempts"]
        assert [attempt["outcome"] for attempt in attempts] == ["lost", "completed"]
    for loss in range(2, LOSSES_CAP + 1):
        model.until_called(killer, loss, chunks=1)
        stack.kill_runners()

    given_up = user.ended(prompt["id"], "abandoned")["prompt"]
    assert [attempt["outcome"] for attempt in given_up["attempts"]] == ["lost"] * LOSSES_CAP
    assert len(model.calls(killer)) == LOSSES_CAP
    assert admin.dead_letters()[prompt["id"]] == "lost"
