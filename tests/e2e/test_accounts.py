"""One account cannot see or touch anything of another (I8); the whole matrix is in tests/wire."""

import json
from string import Template

import pytest

from tests.e2e.client import Client, Json

GONE = [
    ("GET", "/prompt-svc/prompt/$prompt", ""),
    ("POST", "/prompt-svc/prompt/$prompt/cancel", ""),
    ("POST", "/prompt-svc/prompt/$prompt/retry", ""),
    ("DELETE", "/prompt-svc/prompt/$prompt", ""),
    ("POST", "/prompt-svc/remove", '{"promptId": "$prompt"}'),
    ("PUT", "/chat-svc/thread/$thread", '{"thread": {"title": "taken over"}}'),
    ("DELETE", "/chat-svc/thread/$thread", ""),
    ("POST", "/chat-svc/thread/$thread/messages", ""),
    ("POST", "/chat-svc/thread/$thread/message", '{"message": {"content": "me too"}}'),
    ("DELETE", "/chat-svc/message/$prompt", ""),
]


@pytest.fixture(scope="module")
def mine(user: Client) -> dict[str, str]:
    prompt = user.answered("nobody else's business")["prompt"]
    return {"prompt": prompt["id"], "thread": prompt["threadId"]}


@pytest.mark.parametrize("call", GONE, ids=lambda call: f"{call[0]} {call[1]}")
def test_what_is_anothers_is_not_there(
    stranger: Client, user: Client, mine: dict[str, str], call: tuple[str, str, str]
) -> None:
    refused = stranger.refused(*filled(call, mine))

    assert refused[0] == 404
    assert refused == stranger.refused(*filled(call, {"prompt": "absent", "thread": "absent"}))
    assert user.shown(mine["prompt"])["answer"]


def filled(call: tuple[str, str, str], ids: dict[str, str]) -> tuple[str, str, Json | None]:
    """The call with these ids in the place of their names."""
    method, path, body = (Template(part).substitute(ids) for part in call)
    return method, path, json.loads(body) if body else None


def test_lists_hold_nothing_of_another_account(
    stranger: Client, mine: dict[str, str], word: str
) -> None:
    own = stranger.answered(f"hello {word}")["prompt"]
    every = '["completed", "abandoned", "canceled", "running", "scheduled", "errored"]'
    status = {"fields": ["status"], "op": "isInList", "jsonValues": every}

    prompts = stranger.call("POST", "/prompt-svc/prompts", {"query": {"filters": [status]}})
    threads = stranger.call("POST", "/chat-svc/threads")

    assert own["id"] in {prompt["id"] for prompt in prompts["prompts"]}
    assert mine["prompt"] not in str(prompts)
    assert mine["thread"] not in str(threads)


def test_an_id_of_another_account_is_free_in_this_one(
    stranger: Client, user: Client, word: str
) -> None:
    ids = {"id": f"p-{word}", "threadId": f"t-{word}"}
    user.answered("taken here", **ids)

    answered = stranger.answered("and free there", **ids)

    assert answered["prompt"]["turn"] == 1
    assert user.state(ids["id"])["prompt"] == "taken here"
