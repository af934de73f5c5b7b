"""The thread stream over plain HTTP events, as prompt-svc clients read it."""

import json
from dataclasses import dataclass
from typing import Any

from tests.e2e.client import Client
from tests.e2e.model import Model

ROUNDS = 40


@dataclass(frozen=True)
class Body:
    """The events of one answer, the id to go on from, and when to come back."""

    events: list[dict[str, Any]]
    last_id: str
    retry_ms: int

    @property
    def text(self) -> str:
        return "".join(event["text"] for event in self.events)


def read(client: Client, thread_id: str, last_id: str = "") -> Body:
    """One call of the stream."""
    answer = client.http.get(
        f"/prompt-svc/prompts/{thread_id}/responses/subscribe",
        headers={"Last-Event-ID": last_id} if last_id else {},
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    blocks = [
        dict(line.split(": ", 1) for line in block.splitlines())
        for block in answer.text.strip().split("\n\n")
    ]
    events = [json.loads(block["data"]) for block in blocks if "data" in block]
    return Body(events, blocks[-1]["id"], int(blocks[-1]["retry"]))


def read_to_the_end(client: Client, thread_id: str, last_id: str = "") -> Body:
    """Calls of the stream, one after the other, until a prompt has ended."""
    events: list[dict[str, Any]] = []
    for _ in range(ROUNDS):
        body = read(client, thread_id, last_id)
        events, last_id = [*events, *body.events], body.last_id
        if events and events[-1]["type"] not in {"progress", "restarted"}:
            return Body(events, last_id, body.retry_ms)
    raise AssertionError(f"no end in {events[-3:]}")


def test_the_stream_goes_on_where_a_client_was(user: Client, model: Model, word: str) -> None:
    model.told(word, stall_after=5)
    prompt = user.add(f"by plain events {word}")
    model.until_called(word, chunks=5)
    first = read(user, prompt["threadId"])
    assert first.text
    again = read(user, prompt["threadId"], "1.1.0")
    assert again.text.startswith(first.text)

    model.released(word)
    rest = read_to_the_end(user, prompt["threadId"], first.last_id)

    ended = user.ended(prompt["id"])
    assert first.text + rest.text == ended["answer"]
    last = rest.events[-1]
    assert (last["type"], last["choices"]) == ("done", [{"finish_reason": "stop"}])
    assert last["messageId"] == ended["prompt"]["responseMessageId"]


def test_the_stream_announces_a_new_attempt(user: Client, model: Model, word: str) -> None:
    model.told(word, stall_after=4, cut_after=4)
    prompt = user.add(f"once more {word}")
    model.until_called(word, chunks=4)
    first = read(user, prompt["threadId"])
    assert first.text
    model.told(word, stall_after=None, cut_after=None)  # the call that is open is cut all the same

    rest = read_to_the_end(user, prompt["threadId"], first.last_id)

    kinds = [event["type"] for event in rest.events]
    assert "restarted" in kinds
    fresh = rest.events[len(kinds) - kinds[::-1].index("restarted") :]
    assert "".join(event["text"] for event in fresh) == user.ended(prompt["id"])["answer"]


def test_a_canceled_prompt_ends_the_stream_and_says_so(
    user: Client, model: Model, word: str
) -> None:
    model.told(word, stall_after=4)
    prompt = user.add(f"stop {word}")
    model.until_called(word, chunks=4)
    first = read(user, prompt["threadId"])
    user.act(prompt["id"], "cancel")

    rest = read_to_the_end(user, prompt["threadId"], first.last_id)

    assert rest.events[-1]["type"] == "canceled"
    assert rest.events[-1]["choices"] == [{"finish_reason": "canceled"}]


def test_with_nothing_unfinished_the_stream_says_to_come_back_later(
    user: Client, stranger: Client, word: str
) -> None:
    thread = user.answered(f"all done {word}")["prompt"]["threadId"]

    body = read(user, thread)

    assert (body.events, body.retry_ms) == ([], 10_000)
    assert read(stranger, thread).events == []  # another account's thread is just absent
