"""A provider that fails: tried again after a back-off, given up, and brought back."""

from datetime import datetime
from typing import Any

from tests.e2e.client import Client
from tests.e2e.model import Model
from tests.e2e.stack import PARAMETERS

BACKOFF = float(PARAMETERS["BackoffBaseSeconds"])


def seconds_between(earlier: dict[str, Any], later: dict[str, Any]) -> float:
    began, ended = (
        datetime.fromisoformat(moment) for moment in (later["startedAt"], earlier["endedAt"])
    )
    return (began - ended).total_seconds()


def test_a_provider_that_fails_twice_is_asked_a_third_time(
    user: Client, model: Model, word: str
) -> None:
    model.told(word, fail={"status": 503, "count": 2})

    ended = user.answered(f"third time lucky {word}")

    attempts = ended["prompt"]["attempts"]
    assert [attempt["outcome"] for attempt in attempts] == ["failed", "failed", "completed"]
    assert seconds_between(attempts[0], attempts[1]) >= BACKOFF
    assert seconds_between(attempts[1], attempts[2]) >= 2 * BACKOFF
    assert user.answers(ended["prompt"]["threadId"]) == [ended["answer"]]
    assert [call["state"] for call in model.calls(word)] == ["failed", "failed", "completed"]


def test_a_longer_retry_after_wins_over_the_back_off(user: Client, model: Model, word: str) -> None:
    model.told(word, fail={"status": 429, "count": 1, "retry_after": 2})

    attempts = user.answered(f"not so fast {word}")["prompt"]["attempts"]

    assert seconds_between(*attempts) >= 2


def test_a_stream_that_is_cut_is_a_failure(user: Client, model: Model, word: str) -> None:
    model.told(word, stall_after=3, cut_after=3)
    prompt = user.add(f"cut {word}")
    model.until_called(word, chunks=3)
    model.told(word, stall_after=None, cut_after=None)  # the call that is open is cut all the same

    ended = user.ended(prompt["id"])

    assert ended["prompt"]["attempts"][0]["outcome"] == "failed"
    assert user.answers(prompt["threadId"]) == [ended["answer"]]


def test_a_refused_prompt_is_abandoned_at_once_and_pages_nobody(
    user: Client, admin: Client, model: Model, word: str
) -> None:
    model.told(word, fail={"status": 400, "message": f"no {word} today"})

    prompt = user.ended(user.add(f"improper {word}")["id"], "abandoned")["prompt"]

    assert [attempt["outcome"] for attempt in prompt["attempts"]] == ["refused"]
    assert f"no {word} today" in prompt["error"]  # the owner reads the provider's words
    assert admin.state(prompt["id"])["error"] == ""  # and nobody else does
    assert prompt["id"] not in admin.dead_letters()


def test_retries_used_up_leave_a_dead_letter_and_a_redrive_completes(
    user: Client, admin: Client, model: Model, word: str
) -> None:
    model.told(word, fail={"status": 500})
    added = user.add(f"broken {word}", maxRetries=1)
    prompt = user.ended(added["id"], "abandoned")["prompt"]
    assert prompt["runCount"] == 2
    assert admin.dead_letters()[prompt["id"]] == prompt["errorCode"]

    model.told(word, fail=None)
    redriven = admin.call("POST", "/dlq/redrive", {"promptId": prompt["id"]})

    assert [retried["id"] for retried in redriven["retried"]] == [prompt["id"]]
    ended = user.ended(prompt["id"])
    assert ended["prompt"]["runCount"] == 3
    assert ended["prompt"]["turn"] == 2
    assert user.answers(prompt["threadId"]) == [ended["answer"]]
    assert prompt["id"] not in admin.dead_letters()
