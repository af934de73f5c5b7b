"""The turns of a thread run in the order of acceptance, one at a time; threads run beside it."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

from tests.e2e.client import Client
from tests.e2e.model import Model

TURNS = 10
THREADS = 50
CALLERS = 10


def test_ten_prompts_at_once_on_one_thread_are_answered_in_order(
    user: Client, model: Model, word: str
) -> None:
    model.told(word, answer="one two three", chunk_ms=20)
    thread = f"t-{word}"

    with ThreadPoolExecutor(TURNS) as pool:
        added = list(pool.map(lambda n: user.add(f"{word} ({n})", threadId=thread), range(TURNS)))
    by_turn = {user.ended(p["id"])["prompt"]["turn"]: user.state(p["id"]) for p in added}
    prompts = [by_turn[turn] for turn in range(1, TURNS + 1)]

    calls = model.calls(word)
    assert [call["text"] for call in calls] == [prompt["prompt"] for prompt in prompts]
    # Each call saw the answers of all turns before it: none had begun too early.
    assert [call["messages"] for call in calls] == [2 * turn + 1 for turn in range(TURNS)]
    attempts = [prompt["attempts"][-1] for prompt in prompts]
    assert all(one["endedAt"] <= other["startedAt"] for one, other in pairwise(attempts))
    roles = [message["role"] for message in user.messages(thread)]
    assert roles == ["user", "assistant"] * TURNS


def test_fifty_threads_at_once_are_all_answered(user: Client, model: Model, word: str) -> None:
    model.told(word, answer="here you are", chunk_ms=1)

    with ThreadPoolExecutor(CALLERS) as pool:
        added = list(pool.map(lambda n: user.add(f"{word} ({n})"), range(THREADS)))
        ended = list(pool.map(lambda prompt: user.ended(prompt["id"]), added))

    assert [found["answer"] for found in ended] == ["here you are"] * THREADS
    assert [found["prompt"]["runCount"] for found in ended] == [1] * THREADS
    assert len(model.calls(word)) == THREADS
