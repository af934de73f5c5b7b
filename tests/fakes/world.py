"""Parley whole, on the stores in memory and fakes for the rest."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from parley.adapters.memory import (
    MemoryAccounts,
    MemoryPrompts,
    MemoryResources,
    MemoryState,
    MemorySubscribers,
    MemoryThreads,
)
from parley.core.access import KeyRole, Principal
from parley.core.model import Catalogue, Model
from parley.core.policy import AttemptPolicy, CallPolicy
from parley.core.prompt import OpenTurn, Prompt
from parley.core.resource import Kind, Resource
from parley.core.thread import ANSWER, Message
from parley.ports import Connection, WakeUp
from parley.usecases.accept import Accept, NewPrompt
from parley.usecases.attempt import AttemptPorts
from parley.usecases.cancel import Cancel
from parley.usecases.catalogue import Models
from parley.usecases.chat import Chat
from parley.usecases.dead_letters import Redrive
from parley.usecases.ending import Ending
from parley.usecases.follow import Follow
from parley.usecases.keys import Authenticate, Keys
from parley.usecases.read import ReadPrompts
from parley.usecases.remove import DeleteThread, Remove
from parley.usecases.retry import Retry
from parley.usecases.run import Again, Done, Run
from parley.usecases.setups import Setups
from parley.usecases.stream import Stream
from parley.usecases.sweep import Sweep

from tests.fakes.chaos import Actor, Chaos, Conductor, start
from tests.fakes.clock import FakeIds, VirtualClock
from tests.fakes.observer import Accepted, Silent
from tests.fakes.provider import FakeSecrets, ScriptedProvider
from tests.fakes.publisher import FakePublisher
from tests.fakes.queue import FakeDeadLetters, FakeQueue
from tests.fakes.tools import FakeTools

T = TypeVar("T")

ACCOUNT = "0000-0000-0001"
OTHER_ACCOUNT = "0000-0000-0002"
USER = Principal(ACCOUNT, "usr_1", KeyRole.USER, "hash-1")
OTHER_USER = Principal(ACCOUNT, "usr_2", KeyRole.USER, "hash-2")
ADMIN = Principal(ACCOUNT, "usr_admin", KeyRole.ADMIN, "hash-admin")
STRANGER = Principal(OTHER_ACCOUNT, "usr_1", KeyRole.ADMIN, "hash-stranger")

MODEL = Model("model", "http://provider.invalid/v1", "m", default=True)
FUNCTION_SECONDS = 360.0
SAFETY_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True)
class Figures(CallPolicy, AttemptPolicy):
    """All figures at once, as the template's parameters are unless a deployment sets them."""

    sweep: float = 60
    default_max_retries: int = 5
    sync_budget: float = 25
    lease: float = 30
    attempt_limit: float = 300
    backoff_base: float = 1


class World:
    """Every use case, wired to the same ports; each call of them passes `conductor`."""

    def __init__(self, conductor: Conductor | None = None, policy: Figures | None = None) -> None:
        self.conductor = conductor or Conductor()
        self.policy = policy or Figures()
        self.clock = VirtualClock()
        self.ids = FakeIds()
        self.state = MemoryState(now=self.clock.now)
        self.queue = FakeQueue(self.clock)
        self.letters = FakeDeadLetters()
        self.publisher = FakePublisher(self.clock)
        self.provider = ScriptedProvider(self.clock)
        self.secrets = FakeSecrets()
        self.resources = MemoryResources()
        self.tools = FakeTools(self.clock)
        self.accounts = MemoryAccounts(self.clock.now, self.resources)
        self.accounts.catalogues[ACCOUNT] = Catalogue((MODEL,))
        self.accounts.catalogues[OTHER_ACCOUNT] = Catalogue((MODEL,))
        self.memory = MemorySubscribers(self.clock.now)
        self.accepted = Accepted()
        self._count = 0

        prompts = self._port(MemoryPrompts(self.state), "prompts")
        threads = self._port(MemoryThreads(self.state), "threads")
        subscribers = self._port(self.memory, "subscribers")
        accounts = self._port(self.accounts, "accounts")
        wake_ups = self._port(self.queue, "wake_ups")
        letters = self._port(self.letters, "letters")
        publisher = self._port(self.publisher, "publisher")
        provider = self._port(self.provider, "provider")
        secrets = self._port(self.secrets, "secrets")
        resources = self._port(self.resources, "resources")
        tools = self._port(self.tools, "tools")
        clock, ids, figures = self.clock, self.ids, self.policy

        self.models = Models(accounts, clock.monotonic)
        self.setups = Setups(accounts, resources, clock.monotonic)
        self.ending = Ending(prompts, threads, subscribers, publisher, wake_ups, clock, figures)
        self.accept = Accept(prompts, self.models, wake_ups, clock, ids, figures, self.accepted)
        self.cancel = Cancel(prompts, self.ending, clock, figures)
        self.retry = Retry(prompts, self.ending, clock, ids, figures, self.accepted)
        self.remove = Remove(prompts, self.ending, clock)
        self.delete_thread = DeleteThread(prompts, threads, self.ending, clock)
        self.read = ReadPrompts(prompts, threads, clock, figures)
        self.stream = Stream(prompts, threads, subscribers, clock, figures)
        self.follow = Follow(subscribers, prompts, threads, clock, ids, max_connections=100)
        self.chat = Chat(threads, prompts, subscribers, clock, ids)
        self.redrive = Redrive(letters, self.retry)
        self.authenticate = Authenticate(accounts, clock.monotonic)
        self.keys = Keys(accounts, subscribers, publisher, clock, ids, resources)
        self.sweep = Sweep(
            prompts, threads, self.ending, self.delete_thread, letters, clock, figures, Silent()
        )
        attempts = AttemptPorts(
            prompts,
            threads,
            subscribers,
            self.models,
            secrets,
            provider,
            publisher,
            clock,
            figures,
            self.setups,
            tools,
        )
        self.run = Run(attempts, self.ending, letters, ids, Silent())

    def _port(self, target: Any, name: str) -> Any:
        return Chaos(target, name, self.conductor)

    # --- actors --------------------------------------------------------------------

    def start(
        self, work: Coroutine[Any, Any, T], kind: str = "test", name: str = ""
    ) -> tuple[Actor, "asyncio.Task[T]"]:
        """An actor that does `work`."""
        self._count += 1
        actor = Actor(name or f"{kind}-{self._count}", kind)
        return actor, start(actor, work)

    def runner(self, name: str = "", *, alone: bool = False, limit: int = 10) -> Actor:
        """An invocation of the runner with what the queue has for it now."""
        batch = self.queue.receive(1 if alone else limit, alone=alone)
        return self.start(self.invocation(batch), "runner", name)[0]

    async def invocation(self, batch: list[tuple[str, WakeUp]]) -> list[BaseException]:
        """What `functions/runner` does with a batch; the errors that kept messages back."""
        deadline = self.clock.monotonic() + FUNCTION_SECONDS - SAFETY_SECONDS

        async def one(handle: str, wake_up: WakeUp) -> None:
            result = await self.run(wake_up, alone=len(batch) == 1, deadline=deadline)
            match result:
                case Done():
                    self.queue.delete(handle)
                case Again(seconds):
                    await self.queue.postpone(handle, "arn", seconds)

        results = await asyncio.gather(*(one(*item) for item in batch), return_exceptions=True)
        return [result for result in results if isinstance(result, BaseException)]

    async def drain(self, sweeps: bool = False) -> None:
        """Run what the queue holds, moving time on, until it is empty (and nothing is open)."""
        next_sweep = self.clock.monotonic() + self.policy.sweep
        for _ in range(2000):
            for alone in (True, False):
                while self.queue.visible(alone=alone):
                    batch = self.queue.receive(1 if alone else 10, alone=alone)
                    await self.clock.run(self.invocation(batch))
            if sweeps and self.clock.monotonic() >= next_sweep:
                await self.clock.run(self.sweep(10))
                next_sweep = self.clock.monotonic() + self.policy.sweep
                continue
            moments = [self.queue.next_visible(), next_sweep if self.open_turns() else None]
            known = [m for m in (moments if sweeps else moments[:1]) if m is not None]
            if not known:
                return
            await self.clock.advance(max(min(known) - self.clock.monotonic(), 0))
        raise AssertionError("the queue never comes to rest")

    # --- what a test wants to do and to know -----------------------------------------

    async def add(
        self,
        prompt_id: str,
        thread_id: str = "t",
        *,
        text: str = "",
        who: Principal = USER,
        **fields: Any,
    ) -> Prompt:
        """Accept a prompt; an llm_client that is only named is the one described now."""
        described = self.resources.stored.get((ACCOUNT, Kind.LLM_CLIENT, fields.get("client", "")))
        if described:
            fields.setdefault("client_number", described.number)
        new = NewPrompt(text or f"ask {prompt_id}", prompt_id, thread_id, **fields)
        return await self.clock.run(self.accept(who, new))

    def describe(self, kind: Kind, name: str, *, number: int = 1, **spec: Any) -> Resource:
        """What a manifest says, stored."""
        now = self.clock.now()
        resource = Resource(ACCOUNT, kind, name, now, now, spec=spec, number=number)
        self.resources.stored[ACCOUNT, kind, name] = resource
        return resource

    def prompt(self, prompt_id: str, account: str = ACCOUNT) -> Prompt:
        return self.state.prompts[account, prompt_id]

    def status(self, prompt_id: str) -> str:
        return self.prompt(prompt_id).status.value

    def answer(self, prompt_id: str) -> Message | None:
        prompt = self.prompt(prompt_id)
        return self.state.messages[prompt.account, prompt.thread_id].get((prompt.turn, ANSWER))

    def open_turns(self) -> list[OpenTurn]:
        return [turn for turns in self.state.open_turns.values() for turn in turns.values()]

    async def connect(self, connection_id: str, who: Principal = USER) -> Connection:
        await self.clock.run(self.follow.connect(who, connection_id))
        return self.memory.connections[connection_id]

    async def subscribe(
        self, connection_id: str, thread_id: str = "t", known: Any = None, who: Principal = USER
    ) -> dict[str, Any]:
        """Connect if need be, and follow a thread; the `subscribed` frame."""
        connection = self.memory.connections.get(connection_id)
        if connection is None:
            connection = await self.connect(connection_id, who)
        return await self.clock.run(self.follow.subscribe(connection, thread_id, known or {}))
