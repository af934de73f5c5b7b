"""Parley as the functions put it together, on moto, with every call to AWS counted.

Only what cannot be in this process is replaced: the provider follows a script, the management
API of sockets takes every post, time moves when everybody waits for it.
"""

import asyncio
import contextlib
import json
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qsl

from moto import mock_aws
from parley.adapters.aws import AwsCalls
from parley.adapters.dynamodb_expressions import encoded_item
from parley.adapters.dynamodb_items import thread_item
from parley.adapters.dynamodb_messages import message_item
from parley.adapters.openai_provider import OpenAIProvider
from parley.adapters.system import SystemClock
from parley.assembly import Parts, parts
from parley.assembly_api import api_engine
from parley.assembly_runner import Runner, runner_engine
from parley.assembly_sweeper import sweeper_engine
from parley.core.access import ApiKey, KeyRole, Principal, key_hash
from parley.core.context import ContextBudget
from parley.core.model import Catalogue, Model
from parley.core.prompt import Prompt
from parley.core.thread import ANSWER, QUESTION, Message, Role, Thread, answer_id
from parley.observability import CallsObserver
from parley.ports import Connection, Subscriber, WakeUp
from parley.settings import ApiSettings, RunnerSettings, SweeperSettings
from parley.usecases.accept import NewPrompt
from parley.usecases.run import Result
from parley.usecases.sweep import Sweep
from parley.wire.http import Http
from parley.wire.http_calls import Api

from tests.budgets.meter import Meter, clients
from tests.conformance.table import definition
from tests.fakes.clock import VirtualClock, settle
from tests.fakes.provider import SILENT, End, Say, ScriptedProvider
from tests.functions.stage import Context

ACCOUNT = "1111-1111-1111"
KEY = "k" * 64
TABLE = "parley-budgets"
EVENT = Path(__file__).parents[2] / "events" / "api.json"
TEXT = "What is a banana, and why is it bent? " * 10
ANSWER_TEXT = "A banana is an elongated, edible fruit. " * 15


@dataclass
class World:
    """The engines, their meter, and what they talk to."""

    meter: Meter
    clock: VirtualClock
    provider: ScriptedProvider
    parts: Parts
    runner: Runner
    sweep: Sweep
    api: Api
    settings: ApiSettings
    principal: Principal = field(
        default_factory=lambda: Principal(ACCOUNT, "usr_ann", KeyRole.ADMIN, key_hash(KEY))
    )

    async def accept(self, thread_id: str = "", **fields: Any) -> Prompt:
        """What a POST of a prompt does."""
        principal = await self.api.authenticate(KEY)
        new = NewPrompt(**{"text": TEXT, "thread_id": thread_id, **fields})
        return await self.clock.run(self.api.accept(principal, new))

    def post(self, **body: Any) -> dict[str, Any]:
        """A POST of a prompt, as API Gateway hands it over, on a loop of its own."""
        headers = {"authorization": KEY}
        return self.call("/prompt-svc/prompt", {"prompt": TEXT, **body}, headers)

    def call(
        self,
        path: str,
        body: dict[str, Any],
        headers: dict[str, str] | None = None,
        method: str = "POST",
    ) -> dict[str, Any]:
        """A call without a key, but for what `headers` say; `path` may have a query."""
        path, _, query = path.partition("?")
        event = json.loads(EVENT.read_text())
        del event["headers"]["authorization"]
        event["headers"] |= headers or {}
        event["rawPath"] = event["requestContext"]["http"]["path"] = path
        event["rawQueryString"] = query
        event["queryStringParameters"] = dict(parse_qsl(query))
        event["requestContext"]["http"]["method"] = method
        event["body"] = json.dumps(body)
        run = lambda work: asyncio.run(self.clock.run(work))  # noqa: E731
        http = Http(self.api, run, CallsObserver())
        answer: dict[str, Any] = http.resolve(event, Context())
        return answer

    def cold(self) -> "World":
        """With another container of the api, which remembers nothing."""
        return replace(self, api=api_engine(self.settings))

    async def run(self, prompt: Prompt, *, alone: bool = False) -> Result:
        """What the runner does with a wake-up."""
        return await self.clock.run(self._attempt(prompt, alone=alone))

    async def run_and_die(self, prompt: Prompt) -> None:
        """A runner that dies while the provider is silent: what it held, nobody gives back."""
        self.provider.scripts.append([SILENT])
        task = asyncio.ensure_future(self._attempt(prompt, alone=False))
        await settle()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    def _attempt(self, prompt: Prompt, *, alone: bool) -> Coroutine[Any, Any, Result]:
        wake_up = WakeUp(prompt.account, prompt.id, prompt.thread_id)
        return self.runner.run(wake_up, alone=alone, deadline=self.clock.monotonic() + 300)

    async def warm_up(self) -> None:
        """The first prompt of a container: afterwards keys, models and secrets are known."""
        await self.run(await self.accept())

    async def seed(self) -> None:
        """A key and a catalogue."""
        hash_ = key_hash(KEY)
        key = ApiKey(ACCOUNT, "key_1", hash_, self.principal.user_id, KeyRole.ADMIN, "", 1)
        await self.parts.keys.put_key(key)
        budget = ContextBudget(turns=20, tokens=8000)
        model = Model("default", "https://provider.example/v1", "m", secret="s", budget=budget)
        await self.parts.catalogues.put_catalogue(ACCOUNT, Catalogue((model,)))

    def fill(self, thread_id: str, turns: int, text: str = TEXT) -> None:
        """A thread with so many finished turns, without going through each of their lives."""
        thread = a_thread(thread_id, turns + 1)
        items = [encoded_item(thread_item(thread))]
        for turn in range(1, turns + 1):
            items += [encoded_item(message_item(m)) for m in finished_turn(thread_id, turn, text)]
        dynamodb, *_ = clients()
        for start in range(0, len(items), 25):
            puts = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
            dynamodb.batch_write_item(RequestItems={TABLE: puts})

    async def follow(self, thread_id: str, count: int) -> None:
        """So many sockets that follow a thread."""
        store, now = self.parts.subscribers, self.clock.now()
        ann = Principal(ACCOUNT, "usr_ann", KeyRole.ADMIN, "h")
        for number in range(count):
            connection = Connection(f"c{number}", ann, now)
            await store.add_connection(connection)
            place = (connection.id, ACCOUNT, thread_id, ann.user_id)
            await store.subscribe(Subscriber(*place, nonce=f"n{number}"), now)


async def stored(world: World, prompt: Prompt) -> Prompt:
    """The prompt as it is now."""
    found = await world.parts.prompts.prompt(prompt.account, prompt.id)
    assert found is not None
    return found


def a_thread(thread_id: str, next_turn: int) -> Thread:
    return Thread(ACCOUNT, thread_id, "About bananas", "usr_ann", 1, 1, ("usr_ann",), (), next_turn)


def finished_turn(thread_id: str, turn: int, text: str) -> Sequence[Message]:
    """A question and its answer."""
    id_ = f"prom_{turn:024d}"
    place, at = (ACCOUNT, thread_id, turn), 1_700_000_000_000
    return (
        Message(*place, QUESTION, id_, Role.USER, text, at, at, user_id="usr_ann"),
        Message(*place, ANSWER, answer_id(id_, 0), Role.ASSISTANT, text, at, at),
    )


def _settings(kind: Any, urls: dict[str, str]) -> Any:
    values = {
        "table_name": TABLE,
        "socket_endpoint": "https://sockets.example/live",
        "lease_seconds": 30,
        "attempt_limit_seconds": 300,
        "backoff_base_seconds": 1,
        "secrets_prefix": "/parley",
        "connect_seconds": 5,
        "first_token_seconds": 60,
        "between_tokens_seconds": 30,
        "sweep_seconds": 60,
        "default_max_retries": 5,
        "sync_budget_seconds": 25,
        "allowed_origins": "*",
        "local_providers": False,
        "api_domain": "example.com",
        "environment": "prod",
        "socket_url": "wss://sockets.example/live",
        "weather_geocoding_url": "https://geocoding.example",
        "weather_forecast_url": "https://forecast.example",
        **urls,
    }
    return kind(**{name: values[name] for name in kind.model_fields if name in values})


@contextmanager
def world() -> Iterator[World]:
    """A fresh world; `await seed()` and, for what is counted warm, `await warm_up()` follow."""
    meter, clock = Meter(clients()), VirtualClock()
    provider = ScriptedProvider(clock)
    provider.otherwise = lambda _: (Say(ANSWER_TEXT), End())
    with ExitStack() as stack:
        stack.enter_context(mock_aws())
        for kind, name, replacement in (
            (AwsCalls, "call", meter.caller()),
            (OpenAIProvider, "stream", lambda _, request: provider.stream(request)),
            (SystemClock, "now", lambda _: clock.now()),
            (SystemClock, "monotonic", lambda _: clock.monotonic()),
            (SystemClock, "sleep", lambda _, seconds: clock.sleep(seconds)),
        ):
            stack.enter_context(patch.object(kind, name, replacement))
        yield _assembled(meter, clock, provider)


def _assembled(meter: Meter, clock: VirtualClock, provider: ScriptedProvider) -> World:
    dynamodb, sqs, ssm = clients()
    dynamodb.create_table(**definition(TABLE))
    ssm.put_parameter(Name=f"/parley/{ACCOUNT}/s", Value="secret", Type="SecureString")
    names = ("queue_url", "solo_queue_url", "dlq_url")
    urls = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in names}
    made = parts(_settings(RunnerSettings, urls))
    settings: ApiSettings = _settings(ApiSettings, urls)
    return World(
        meter=meter,
        clock=clock,
        provider=provider,
        parts=made,
        runner=runner_engine(_settings(RunnerSettings, urls)),
        sweep=sweeper_engine(_settings(SweeperSettings, urls)),
        api=api_engine(settings),
        settings=settings,
    )
