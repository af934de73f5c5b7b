"""Synchronous calls: within the time budget, and beyond it."""

from tests.e2e.client import TERMINAL, Client, Json
from tests.e2e.model import Model
from tests.e2e.waiting import until


def test_a_synchronous_call_answers_with_the_end(user: Client, model: Model, word: str) -> None:
    model.told(word, answer="quick", chunk_ms=0)

    answer = user.call("POST", "/prompt-svc/prompt", {"prompt": f"soon {word}", "sync": True})

    assert (answer["answer"], answer["prompt"]["status"]) == ("quick", "completed")
    assert answer["responseMessage"]["text"] == "quick"


def test_a_synchronous_call_says_how_a_prompt_was_given_up(
    user: Client, model: Model, word: str
) -> None:
    model.told(word, fail={"status": 400, "message": f"no {word}"})

    answer = user.call("POST", "/prompt-svc/prompt", {"prompt": f"never {word}", "sync": True})

    assert (answer["answer"], answer["prompt"]["status"]) == ("", "abandoned")
    assert f"no {word}" in answer["prompt"]["error"]


def test_beyond_its_time_budget_a_call_says_where_to_go_on_waiting(
    user: Client, model: Model, word: str
) -> None:
    model.told(word, stall_after=2)

    answer = user.http.post("/prompt-svc/prompt", json={"prompt": f"slow {word}", "sync": True})

    assert (answer.status_code, answer.headers["retry-after"]) == (202, "1")
    assert answer.json()["prompt"]["status"] in {"scheduled", "running"}
    model.released(word)

    def look() -> Json | None:
        later = user.call("GET", f"{answer.headers['location']}?wait=20")
        return later if later["prompt"]["status"] in TERMINAL else None

    later = until(look, "the end of it") or {}
    assert (later["prompt"]["status"], bool(later["answer"])) == ("completed", True)
