"""Cancel in every state, over HTTP and over the socket (I6)."""

from tests.e2e.client import Client
from tests.e2e.conftest import Follow
from tests.e2e.model import Model


def test_a_cancel_mid_stream_closes_the_providers_stream_and_keeps_what_came(
    user: Client, model: Model, word: str, follow: Follow
) -> None:
    model.told(word, stall_after=9)
    prompt = user.add(f"stop me {word}")
    socket = follow(user, prompt["threadId"])
    heard = socket.until_heard(prompt["id"], words=9)

    user.canceled(prompt["id"])

    model.until_state(word, "disconnected")
    socket.until_status(prompt["id"], "canceled")
    question, partial = user.messages(prompt["threadId"])
    assert (partial["text"], partial["partial"]) == (heard, True)
    assert question["text"] == f"stop me {word}"
    assert user.shown(prompt["id"])["answer"] == ""


def test_after_a_cancel_nothing_of_it_comes_and_the_next_turn_works(
    user: Client, model: Model, word: str, follow: Follow
) -> None:
    model.told(f"first {word}", stall_after=3)
    first = user.add(f"first {word}", threadId=f"t-{word}")
    socket = follow(user, first["threadId"])
    socket.until_heard(first["id"], words=3)
    second = user.add(f"second {word}", threadId=f"t-{word}")

    user.canceled(first["id"])
    model.released(f"first {word}")
    socket.until_status(first["id"], "canceled")
    told_before = len(socket.frames)
    socket.until_status(second["id"], "completed")

    assert user.ended(second["id"])["answer"]
    deltas = [f for f in socket.frames[told_before:] if f["type"] == "delta"]
    assert {frame["promptId"] for frame in deltas} <= {second["id"]}
    assert user.state(first["id"])["status"] == "canceled"


def test_a_prompt_that_waits_is_canceled_without_asking_the_model(
    user: Client, model: Model, word: str
) -> None:
    model.told(f"first {word}", stall_after=1)
    first = user.add(f"first {word}", threadId=f"t-{word}")
    model.until_called(f"first {word}", chunks=1)
    second = user.add(f"second {word}", threadId=f"t-{word}")
    assert user.state(second["id"])["ahead"] == 1

    canceled = user.act(second["id"], "cancel")

    assert (canceled["status"], canceled["runCount"]) == ("canceled", 0)
    model.released(f"first {word}")
    user.ended(first["id"])
    user.answered(f"third {word}", threadId=f"t-{word}")
    assert model.calls(f"second {word}") == []


def test_a_canceled_prompt_is_retried_at_the_end_of_its_thread(
    user: Client, model: Model, word: str
) -> None:
    model.told(word, stall_after=3)
    prompt = user.add(f"once more {word}")
    model.until_called(word, chunks=3)
    user.canceled(prompt["id"])
    model.released(word)

    retried = user.act(prompt["id"], "retry")

    assert retried["turn"] == 2
    ended = user.ended(prompt["id"])
    assert ended["prompt"]["runCount"] == 2
    assert user.answers(prompt["threadId"]) == [ended["answer"]]


def test_a_frame_cancels_a_prompt_too(
    user: Client, model: Model, word: str, follow: Follow
) -> None:
    model.told(word, stall_after=4)
    prompt = user.add(f"stop me by a frame {word}")
    socket = follow(user, prompt["threadId"])
    socket.until_heard(prompt["id"], words=4)

    socket.send("cancel", promptId=prompt["id"])

    socket.until_status(prompt["id"], "canceled")
    model.until_state(word, "disconnected")
    assert user.state(prompt["id"])["status"] == "canceled"


def test_a_prompt_that_is_over_cannot_be_canceled(user: Client, word: str) -> None:
    ended = user.answered(f"too late {word}")

    assert user.act(ended["prompt"]["id"], "cancel")["status"] == "completed"


def test_removing_a_running_prompt_stops_it_and_keeps_its_question(
    user: Client, model: Model, word: str
) -> None:
    model.told(word, stall_after=2)
    prompt = user.add(f"away with it {word}")
    model.until_called(word, chunks=2)

    user.call("POST", "/prompt-svc/remove", {"promptId": prompt["id"]})

    model.until_state(word, "disconnected")
    assert user.refused("GET", f"/prompt-svc/prompt/{prompt['id']}")[0] == 404
    question, *rest = user.messages(prompt["threadId"])
    assert question["text"] == f"away with it {word}"
    assert all(message["partial"] for message in rest)
