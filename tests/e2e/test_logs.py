"""What the functions log: ids and codes, never text, answers, keys or a provider's words (I9)."""

import contextlib
import json
from collections.abc import Iterator

import pytest
from websockets.exceptions import InvalidStatus

from tests.e2e.client import Client
from tests.e2e.model import Model
from tests.e2e.queues import Queues
from tests.e2e.sockets import open_socket
from tests.e2e.stack import Stack
from tests.e2e.waiting import until

FUNCTIONS = ("Api", "Runner", "Sweeper", "Socket")


class Logs:
    """The functions' logs, as CloudWatch keeps them."""

    def __init__(self, stack: Stack) -> None:
        self._client = stack.client("logs")
        self._groups = [f"/aws/lambda/{stack.outputs[f'{name}FunctionName']}" for name in FUNCTIONS]

    def lines(self) -> Iterator[str]:
        pages = self._client.get_paginator("filter_log_events")
        for group in self._groups:
            for page in pages.paginate(logGroupName=group):
                yield from (event["message"] for event in page["events"])

    def holding(self, text: str) -> list[str]:
        return [line for line in self.lines() if text in line]

    def until_holding(self, *texts: str) -> None:
        """Wait until a line holds all of these: a function's lines come when its call ends."""
        until(
            lambda: any(all(text in line for text in texts) for line in self.lines()),
            f"a line with {texts} in the logs",
        )


@pytest.fixture
def logs(stack: Stack) -> Logs:
    return Logs(stack)


def test_a_prompts_way_is_in_the_logs_by_its_ids_and_none_of_its_words(
    stack: Stack, user: Client, model: Model, word: str, logs: Logs
) -> None:
    answer = f"answer-{word[::-1]}"
    model.told(word, answer=f"{answer} and more", fail={"status": 503, "count": 1})
    thread = f"t-{word[1:]}"
    with open_socket(stack.websocket, user.key) as socket:
        user.answered(word, threadId=thread, template=f"{word} {{prompt}}")
        socket.subscribe(thread)
        prompt = user.answered(f"again {word}", threadId=thread)["prompt"]
        socket.until_status(prompt["id"], "completed")

    for message in ("accepted", "claimed", "completed"):
        logs.until_holding(f'"{message}"', prompt["id"], thread, stack.account)
    for planted in (word, answer, user.key):
        assert logs.holding(planted) == []


def test_what_goes_wrong_is_logged_without_its_words(
    stack: Stack, user: Client, model: Model, word: str, logs: Logs
) -> None:
    model.told(word, fail={"status": 400, "message": f"the provider says {word}"})
    refused = user.ended(user.add(f"refuse {word}")["id"], "abandoned")["prompt"]
    user.http.post("/prompt-svc/prompt", content=f'{{"prompt": "{word}')
    user.http.post("/prompt-svc/prompt", json={"prompt": word, "modelId": word})
    user.http.post("/prompt-svc/prompts", json={"query": {"filters": word}})
    user.http.get(f"/{word}?{word}={word}")
    Client(stack.api, f"key-{word}").refused("POST", "/prompt-svc/prompt", {"prompt": word})
    with contextlib.suppress(InvalidStatus), open_socket(stack.websocket, f"key-{word}"):
        pass
    with open_socket(stack.websocket, user.key) as socket:
        for frame in (word, json.dumps({"action": word}), json.dumps({"action": "ping"})):
            socket.connection.send(frame)
        socket.until(lambda frame: frame["type"] == "pong", "a pong")

    logs.until_holding('"abandoned"', refused["id"])
    assert logs.holding(word) == []


def test_a_message_that_is_no_wake_up_is_not_logged(word: str, logs: Logs, queues: Queues) -> None:
    queues.put(f"rubbish {word}")
    queues.until_dead(word)

    assert logs.holding(word) == []


def test_no_key_is_in_the_logs_of_the_whole_run(
    user: Client, admin: Client, stranger: Client, logs: Logs
) -> None:
    clients = (user, admin, stranger)
    accounts = {client.call("GET", "/status")["account"] for client in clients}
    for account in accounts:
        logs.until_holding('"/status"', account)

    lines = list(logs.lines())

    for client in clients:
        assert not [line for line in lines if client.key in line]
