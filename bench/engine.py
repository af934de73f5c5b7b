"""The functions' own handlers on stores in memory: what is left is Parley's own work."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

from parley import assembly_api, assembly_runner
from parley.adapters.memory import (
    MemoryAccounts,
    MemoryChat,
    MemoryPrompts,
    MemoryState,
    MemorySubscribers,
    MemoryThreads,
)
from parley.adapters.system import RandomIds, SystemClock
from parley.assembly import Parts
from parley.assembly_api import api_engine
from parley.assembly_runner import runner_engine
from parley.core.access import ApiKey, KeyRole, key_hash
from parley.core.events import Frame
from parley.core.model import Catalogue, Model
from parley.core.policy import Policy
from parley.core.prompt import Usage
from parley.observability import CallsObserver
from parley.ports import Finished, Post, ProviderRequest, TextDelta, WakeUp
from parley.settings import ApiSettings, RunnerSettings, read
from parley.wire.http import Http

from tests.functions.stage import ENVIRONMENT, Context, function

ACCOUNT = "1111-1111-1111"
KEY = "k" * 64
MODEL = Model("default", "https://provider.example/v1", "m", default=True)
EVENT = json.loads((Path(__file__).parents[1] / "events" / "api.json").read_text())
REMAINING = Context(360)

Answers = Callable[[ProviderRequest], AsyncGenerator[TextDelta | Finished, None]]


async def instant(_request: ProviderRequest) -> AsyncGenerator[TextDelta | Finished, None]:
    """Twenty pieces and the end, without any waiting."""
    for _ in range(20):
        yield TextDelta("Bananas are bent. ")
    yield Finished("stop", Usage(40, 80))


class Queue:
    """Wake-ups that were sent."""

    def __init__(self) -> None:
        self.sent: list[WakeUp] = []

    async def send(self, wake_up: WakeUp, **_options: Any) -> None:
        self.sent.append(wake_up)


@dataclass
class Publisher:
    """Takes posts; each takes `seconds`. `on_post` is told when one begins."""

    seconds: float = 0
    on_post: Callable[[str, Frame], None] = lambda _connection, _frame: None

    async def post(self, connection_id: str, frame: Frame) -> Post:
        self.on_post(connection_id, frame)
        await asyncio.sleep(self.seconds)
        return Post.DELIVERED

    async def disconnect(self, connection_id: str) -> None:
        pass


class Delayed:
    """A port each of whose calls takes so long first, as a call over a network does."""

    def __init__(self, target: Any, seconds: float) -> None:
        self._target = target
        self._seconds = seconds

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)
        if not asyncio.iscoroutinefunction(method):
            return method

        async def delayed(*args: Any, **named: Any) -> Any:
            await asyncio.sleep(self._seconds)
            return await method(*args, **named)

        return delayed


@dataclass
class Provider:
    """`ports.Provider` over a generator."""

    answers: Answers

    def stream(self, request: ProviderRequest) -> AsyncGenerator[TextDelta | Finished, None]:
        return self.answers(request)


@dataclass
class Functions:
    """The API's and the runner's handlers, and what they share."""

    parts: Parts
    queue: Queue
    subscribers: MemorySubscribers
    runner: ModuleType
    api: ModuleType
    loop: Callable[[Awaitable[Any]], Any] = field(repr=False)

    def post(self, **body: Any) -> dict[str, Any]:
        """A POST of a prompt."""
        event = json.loads(json.dumps(EVENT))
        event["headers"]["authorization"] = KEY
        event["body"] = json.dumps({"prompt": "What's a banana?", **body})
        answer: dict[str, Any] = self.api.handler(event, REMAINING)
        return answer

    def records(self, count: int) -> list[dict[str, Any]]:
        """The next messages of the queue, as the runner's event has them."""
        taken, self.queue.sent = self.queue.sent[:count], self.queue.sent[count:]
        return [_record(number, wake_up) for number, wake_up in enumerate(taken)]

    def run(self, records: list[dict[str, Any]]) -> None:
        """One invocation of the runner."""
        answer = self.runner.handler({"Records": records}, REMAINING)
        assert answer == {"batchItemFailures": []}


def _record(number: int, wake_up: WakeUp) -> dict[str, Any]:
    fields = {
        "account": wake_up.account,
        "promptId": wake_up.prompt_id,
        "threadId": wake_up.thread_id,
    }
    return {
        "messageId": f"m{number}",
        "receiptHandle": f"r{number}",
        "body": json.dumps(fields),
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:parley-Queue",
    }


def _parts(publisher: Publisher, call_seconds: float) -> tuple[Parts, Queue, MemorySubscribers]:
    state, accounts, clock, queue = MemoryState(), MemoryAccounts(), SystemClock(), Queue()
    subscribers = MemorySubscribers(clock.now)
    accounts.catalogues[ACCOUNT] = Catalogue((MODEL,))
    hash_ = key_hash(KEY)
    accounts.by_hash[hash_] = ApiKey(ACCOUNT, "key_1", hash_, "usr_1", KeyRole.USER, "", 1)

    def port(target: Any) -> Any:
        return Delayed(target, call_seconds) if call_seconds else target

    stores = (MemoryPrompts(state), MemoryThreads(state), subscribers, accounts, accounts)
    prompts, threads, subscribed, keys, catalogues = map(port, stores)
    made = Parts(
        prompts=prompts,
        threads=threads,
        subscribers=subscribed,
        keys=keys,
        catalogues=catalogues,
        resources=port(accounts.resources),
        chat=port(MemoryChat()),
        queues=None,  # type: ignore[arg-type] # nothing here goes to SQS
        wake_ups=port(queue),
        publisher=publisher,
        clock=clock,
        ids=RandomIds(),
        policy=Policy(sweep=60),
    )
    return made, queue, subscribers


@contextmanager
def functions(
    model: Answers = instant, publisher: Publisher | None = None, call_seconds: float = 0
) -> Iterator[Functions]:
    """The handlers on fresh stores; every call of a port takes `call_seconds`."""
    made, queue, subscribers = _parts(publisher or Publisher(), call_seconds)
    runner, api = function("runner"), function("api")
    with ExitStack() as stack:
        stack.enter_context(patch.dict("os.environ", ENVIRONMENT))
        for module in (assembly_api, assembly_runner):
            stack.enter_context(patch.object(module, "parts", lambda *_: made))
        stack.enter_context(
            patch.object(assembly_runner, "OpenAIProvider", lambda **_: Provider(model))
        )
        stack.enter_context(patch.object(runner, "engine", runner_engine(read(RunnerSettings))))
        http = Http(api_engine(read(ApiSettings)), runner.loop, CallsObserver())
        stack.enter_context(patch.object(api, "http", http))
        yield Functions(made, queue, subscribers, runner, api, runner.loop)
