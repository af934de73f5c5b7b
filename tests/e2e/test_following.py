"""Follow a thread over the WebSocket: together, again after a break, and not at all."""

import contextlib
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.e2e.client import Client
from tests.e2e.conftest import Follow
from tests.e2e.model import Model
from tests.e2e.sockets import FRAME_SECONDS, open_socket
from tests.e2e.stack import Stack


def test_two_followers_get_the_whole_answer_whenever_they_come(
    user: Client, model: Model, word: str, follow: Follow
) -> None:
    model.told(word, stall_after=6)
    prompt = user.add(f"for two {word}")
    early = follow(user, prompt["threadId"])
    early.until_heard(prompt["id"], words=6)
    late = follow(user, prompt["threadId"])
    assert late.until_heard(prompt["id"], words=6) == early.heard.texts[prompt["id"]]

    model.released(word)

    answer = user.ended(prompt["id"])["answer"]
    for socket in (early, late):
        socket.until_status(prompt["id"], "completed")
        assert socket.heard.texts[prompt["id"]] == answer
        stored = [f["message"] for f in socket.frames if f["type"] == "message"]
        assert [m["text"] for m in stored if m["role"] == "assistant"] == [answer]


def test_a_follower_that_comes_back_goes_on_where_it_was(
    user: Client, model: Model, word: str, follow: Follow
) -> None:
    model.told(word, stall_after=5)
    prompt = user.add(f"hold the line {word}")
    before = follow(user, prompt["threadId"])
    first = before.until_heard(prompt["id"], words=5)
    before.connection.close()
    model.told(word, stall_after=12)
    model.until_called(word, chunks=12)

    after = follow(user, prompt["threadId"], before.heard)
    second = after.until_heard(prompt["id"], words=12)
    model.released(word)
    after.until_status(prompt["id"], "completed")

    assert len(first) < len(second)
    # What follows may be repeated, if it was not known to have arrived.
    deltas = [frame for frame in after.frames if frame["type"] == "delta"]
    assert deltas[0]["offset"] == len(first)
    assert after.heard.texts[prompt["id"]] == user.ended(prompt["id"])["answer"]


def test_a_ping_tells_the_states_that_a_follower_may_have_missed(
    user: Client, word: str, follow: Follow
) -> None:
    prompt = user.answered(f"ping {word}")["prompt"]
    socket = follow(user, prompt["threadId"])

    socket.send("ping", threadId=prompt["threadId"])

    pong = socket.until(lambda frame: frame["type"] == "pong", "a pong")
    assert [(p["id"], p["status"]) for p in pong["prompts"]] == [(prompt["id"], "completed")]


@pytest.mark.parametrize("key", ["", "0" * 64])
def test_a_socket_needs_a_key(stack: Stack, key: str) -> None:
    with pytest.raises(InvalidStatus) as refused, open_socket(stack.websocket, key):
        pass

    # API Gateway passes the function's 401 on; the emulator makes a 403 of every refusal.
    assert refused.value.response.status_code in {401, 403}


def test_a_foreign_thread_cannot_be_told_from_an_absent_one(
    stack: Stack, user: Client, stranger: Client, word: str
) -> None:
    prompt = user.answered(f"mine {word}")["prompt"]

    with open_socket(stack.websocket, stranger.key) as socket:
        foreign = socket.subscribe(prompt["threadId"])
        absent = socket.subscribe(f"absent-{word}")
        socket.send("cancel", promptId=prompt["id"])
        canceled = socket.until(lambda frame: frame["type"] == "error", "a refusal")

    assert foreign == {"type": "error", "action": "subscribe", "error": "no such thread"} | {
        "threadId": prompt["threadId"]
    }
    assert absent["error"] == foreign["error"]
    assert canceled["error"] == "no such prompt"


@contextlib.contextmanager
def ended_by_the_other_side() -> Iterator[None]:
    with pytest.raises(ConnectionClosed):
        yield


def test_revoking_a_key_ends_its_sockets(
    stack: Stack, user: Client, admin: Client, word: str, follow: Follow
) -> None:
    made = admin.call("POST", "/keys", {"userId": f"u-{word}", "name": word})
    other = Client(stack.api, made["secret"])
    prompt = other.answered(f"for a while {word}")["prompt"]
    socket = follow(other, prompt["threadId"])

    admin.call("DELETE", f"/keys/{made['key']['id']}")

    with ended_by_the_other_side():
        socket.connection.recv(timeout=FRAME_SECONDS)
    with pytest.raises(InvalidStatus), open_socket(stack.websocket, other.key):
        pass
