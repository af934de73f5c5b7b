"""Prompts, threads and messages to test with."""

from typing import Any

from parley.core.access import KeyRole, Principal
from parley.core.prompt import OpenTurn, Prompt, Status
from parley.core.thread import ANSWER, QUESTION, Message, Role, Thread, answer_id

from tests.conformance.stores import START, Stores

ACCOUNT = "1111-1111-1111"
OTHER = "2222-2222-2222"
LEASE = 30_000
ANN = Principal(ACCOUNT, "ann", KeyRole.USER, "h")


def a_thread(id_: str = "t1", **fields: Any) -> Thread:
    values: dict[str, Any] = {
        "account": ACCOUNT,
        "title": f"about {id_}",
        "created_by": "ann",
        "created_at": START,
        "updated_at": START,
    }
    return Thread(id=id_, **values | fields)


def a_prompt(id_: str = "p1", thread_id: str = "t1", turn: int = 1, **fields: Any) -> Prompt:
    values: dict[str, Any] = {
        "account": ACCOUNT,
        "user_id": "ann",
        "status": Status.SCHEDULED,
        "created_at": START + turn,
        "updated_at": START + turn,
        "fingerprint": f"print-{id_}",
        "max_retries": 5,
    }
    return Prompt(id=id_, thread_id=thread_id, turn=turn, **values | fields)


def question_of(prompt: Prompt, text: str = "What's a banana?") -> Message:
    return Message(
        prompt.account,
        prompt.thread_id,
        prompt.turn,
        QUESTION,
        prompt.id,
        Role.USER,
        text,
        prompt.created_at,
        prompt.created_at,
        user_id=prompt.user_id,
    )


def answer_of(prompt: Prompt, text: str = "A fruit.", **fields: Any) -> Message:
    id_ = answer_id(prompt.id, prompt.turn)
    at = prompt.created_at + 1000
    place = (prompt.account, prompt.thread_id, prompt.turn, ANSWER)
    return Message(*place, id_, Role.ASSISTANT, text, at, at, **fields)


def turn_of(prompt: Prompt) -> OpenTurn:
    """The prompt's turn as a runner sees it at the head."""
    place = (prompt.account, prompt.thread_id, prompt.turn)
    return OpenTurn(*place, prompt.id, prompt.user_id, prompt.created_at, 1000)


async def accepted(stores: Stores, prompt: Prompt, thread: Thread | None = None) -> Prompt:
    """Accept a prompt the way the use case does: the first turn makes the thread."""
    new = thread
    if new is None and prompt.turn == 1:
        new = a_thread(prompt.thread_id, account=prompt.account, next_turn=2)
    due = prompt.created_at + 1000
    await stores.prompts.accept(prompt, question_of(prompt), new, due, 1000)
    return prompt


async def claimed(
    stores: Stores, prompt: Prompt, token: str = "token-1", at: int = START + 5000
) -> Prompt:
    turn = turn_of(prompt)
    return await stores.prompts.claim(turn, token, at, at + LEASE, alone=True)
