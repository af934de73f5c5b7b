"""One attempt: the answer as it streams, watched by its lease, its canceler and its limit.

Four tasks race; the first to end decides how the attempt ends, and the others are
canceled before anything is written. Canceling a task closes the provider's stream at once.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from parley.core.access import TEXT_LIMIT_BYTES
from parley.core.context import build_context
from parley.core.errors import Busy, Invalid, ProviderFailed, TransitionRefused, Unavailable
from parley.core.events import message_frame
from parley.core.plugin import RESULT_BYTES
from parley.core.policy import AttemptPolicy
from parley.core.prompt import Prompt, Status, Usage
from parley.core.thread import CALLED_UP, QUESTION, ROUNDS_APART, ToolCall
from parley.ports import (
    Clock,
    Finished,
    Models,
    PromptStore,
    Provider,
    ProviderRequest,
    Publisher,
    Secrets,
    SubscriberStore,
    TextDelta,
    ThreadStore,
    ToolResult,
    Tools,
)
from parley.usecases.asking import Asking, asking, round_spoken
from parley.usecases.delivery import Delivery
from parley.usecases.observing import Observer
from parley.usecases.setups import Setup, Setups
from parley.usecases.verdicts import (
    Answered,
    CancelAsked,
    Failed,
    LeaseLost,
    Round,
    Verdict,
)
from parley.usecases.waiting import every, stop

RENEW_AGAIN_SECONDS = 0.5
# So many calls of a round are made, all at once; of the others the model is told.
CALLS_CAP = 32
# The rounds of a turn are written in one transaction of 4 MB at most, each an item.
RESULTS_BYTES = 96 * 1024
UNKNOWN_TOOL = "there is no such tool"
TOO_MANY_CALLS = f"not done: {CALLS_CAP} calls are done at once; ask again for those you still need"
UNFORESEEN = "an unexpected error while the provider answered"
NO_ANSWER = "the model asked for tools that it was not offered, and said nothing"
ROUNDS_USED_UP = (
    "the model went on to call tools after the last round, and said nothing: "
    "spec.limits.toolRounds is {}"
)


@dataclass(frozen=True, slots=True)
class AttemptPorts:
    """What an attempt works with."""

    prompts: PromptStore
    threads: ThreadStore
    subscribers: SubscriberStore
    models: Models
    secrets: Secrets
    provider: Provider
    publisher: Publisher
    clock: Clock
    policy: AttemptPolicy
    setups: Setups
    tools: Tools


@dataclass
class Attempt:
    """An execution of a claimed prompt.

    `lease_end` and `deadline` are on the monotonic clock: the end of the lease as known
    when the claim was sent (so never later than what is stored), and the moment by which
    the runner's time is nearly used up. `meta` is that of its answer, once it has been asked.
    """

    prompt: Prompt
    ports: AttemptPorts
    observer: Observer
    lease_end: float
    deadline: float
    first_token_at: int = 0
    meta: dict[str, str] = field(default_factory=dict)
    delivery: Delivery = field(init=False)
    _renewals: list["asyncio.Future[Prompt]"] = field(default_factory=list)
    _size: int = 0

    def __post_init__(self) -> None:
        self.delivery = Delivery(
            prompt=self.prompt,
            subscribers=self.ports.subscribers,
            publisher=self.ports.publisher,
            clock=self.ports.clock,
            policy=self.ports.policy,
            observer=self.observer,
            valid=self.valid,
        )

    def valid(self) -> bool:
        """True while the lease certainly holds, by this machine's own clock."""
        return self.ports.clock.monotonic() < self.lease_end - self.ports.policy.lease_margin

    async def run(self) -> Verdict:
        """Work until the first of answer, lost lease, cancel or limit. Writes nothing final."""
        if not self.valid():
            # The claim was answered so late that its lease is over: another attempt may
            # have answered by now, and the model would be asked to go on from that.
            return LeaseLost()
        looking = asyncio.ensure_future(self.delivery.keep_looking())
        # In the order of who wins when several are over at the same moment.
        racers: list[Coroutine[Any, Any, Verdict]] = [
            self._keep_lease(),
            self._answer(),
            self._watch(),
            self._limit(),
        ]
        tasks = [asyncio.ensure_future(racer) for racer in racers]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return next(task.result() for task in tasks if task.done())
        finally:
            await stop(looking, *tasks, *self._renewals)

    async def _keep_lease(self) -> Verdict:
        """Renew on an own timer, never delayed by a silent model or a slow socket."""
        policy, clock = self.ports.policy, self.ports.clock
        renew_at = self.lease_end - policy.lease + policy.renew_every
        while True:
            await clock.sleep(max(min(renew_at, self._own_end()) - clock.monotonic(), 0))
            if not self.valid():
                return LeaseLost()
            sent = clock.monotonic()
            renewal = self.ports.prompts.renew(self.prompt, clock.now() + policy.lease_ms)
            try:
                if not await self._renewed(renewal, self._own_end() - sent):
                    return LeaseLost()
            except TransitionRefused:
                return LeaseLost()
            except (Busy, Unavailable):
                renew_at = clock.monotonic() + RENEW_AGAIN_SECONDS
                continue
            self.lease_end = sent + policy.lease
            renew_at = sent + policy.renew_every

    async def _renewed(self, renewal: Coroutine[Any, Any, Prompt], seconds: float) -> bool:
        """True if the renewal was answered in time; raises what it raised.

        One that hangs must not keep the attempt from ending, and may not end even when it is
        canceled before AWS answers: it is left to be stopped together with everything else.
        """
        task = asyncio.ensure_future(renewal)
        self._renewals.append(task)
        timer = asyncio.ensure_future(self.ports.clock.sleep(seconds))
        try:
            await asyncio.wait((task, timer), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await stop(timer)
        if not task.done():
            return False
        self._renewals.remove(task)
        task.result()
        return True

    def _own_end(self) -> float:
        return self.lease_end - self.ports.policy.lease_margin

    async def _watch(self) -> Verdict:
        """Look once a second whether the prompt is still this attempt's, and still wanted."""
        while True:
            await self.ports.clock.sleep(self.ports.policy.look)
            try:
                stored = await self.ports.prompts.prompt(self.prompt.account, self.prompt.id)
            except (Busy, Unavailable):
                continue
            if (
                stored is None
                or stored.status is not Status.RUNNING
                or stored.lease_token != self.prompt.lease_token
            ):
                return LeaseLost()
            if stored.cancel_requested:
                return CancelAsked()

    async def _limit(self) -> Verdict:
        clock = self.ports.clock
        end = min(self.deadline, clock.monotonic() + self.ports.policy.attempt_limit)
        await clock.sleep(max(end - clock.monotonic(), 0))
        return Failed(
            ProviderFailed("time_limit", "the attempt took longer than it may", retryable=True)
        )

    async def _answer(self) -> Verdict:
        try:
            return await self._converse(await self._asking())
        except ProviderFailed as failure:
            return Failed(failure)
        except (Busy, Unavailable) as error:
            return Failed(ProviderFailed("unavailable", str(error), retryable=True))

    async def _asking(self) -> Asking:
        prompt, ports = self.prompt, self.ports
        setup = await self._setup()
        context = await build_context(
            ports.threads.context(prompt.account, prompt.thread_id, prompt.turn, setup.page),
            prompt.turn,
            setup.budget,
        )
        place = (prompt.turn, QUESTION)
        asked = (m for m in reversed(context.messages) if (m.turn, m.part) == place)
        question = next(asked, None)
        if question is None:
            raise ProviderFailed("question_gone", "the question was deleted", retryable=False)
        self.delivery.open_with(message_frame(question))
        found = asking(setup, question, context, ports.clock.now())
        self.meta = setup.meta_of(found.request)
        if found.called_up:
            self.meta[CALLED_UP] = found.called_up
        name = found.request.model.secret
        api_key = await ports.secrets.secret(prompt.account, name) if name else ""
        return replace(found, request=replace(found.request, api_key=api_key))

    async def _setup(self) -> Setup:
        prompt, ports = self.prompt, self.ports
        try:
            if prompt.client:
                return await ports.setups.resolve(
                    prompt.account, prompt.client, prompt.client_number
                )
            return Setup(await ports.models.resolve(prompt.account, prompt.model_id))
        except Invalid as error:
            raise ProviderFailed("unknown_model", str(error), retryable=False) from None

    async def _converse(self, asked: Asking) -> Answered:
        """Stream, do what the model asks for, stream on, until it asks for nothing more.

        After the last round the model gets no tools, so that it has to answer. One that asks
        for them all the same and says nothing has not: a blank answer would be stored as one.
        """
        request, rounds, usage = asked.request, list[Round](), None
        while True:
            start = len(self.delivery.text)
            finished = await self._stream(request)
            usage = _sum(usage, finished.usage)
            said = self.delivery.text[start:].removeprefix(ROUNDS_APART if start else "")
            if finished.calls and not request.tools and not said.strip():
                raise _no_answer(len(rounds))
            if not finished.calls or not request.tools:
                text = self.delivery.text
                return Answered(text, finished.finish_reason, usage, tuple(rounds))
            calls = await self._call_tools(len(rounds) + 1, finished.calls, asked)
            rounds.append(Round(len(rounds) + 1, said, calls))
            request = replace(
                request,
                messages=(*request.messages, *round_spoken(said, calls)),
                tools=request.tools if len(rounds) < asked.rounds else (),
            )

    async def _call_tools(
        self, number: int, calls: Sequence[ToolCall], asked: Asking
    ) -> tuple[ToolCall, ...]:
        self.first_token_at = self.first_token_at or self.ports.clock.now()
        size = min(RESULT_BYTES, RESULTS_BYTES // min(len(calls), CALLS_CAP))
        works = (
            self._call(number, call, asked, size, over=place > CALLS_CAP)
            for place, call in enumerate(calls, 1)
        )
        return tuple(await every(works))

    async def _call(
        self, number: int, call: ToolCall, asked: Asking, size: int, *, over: bool
    ) -> ToolCall:
        """Do a call, whatever becomes of it: the model is told. At most `size` bytes of it.

        One that is `over` the number of calls at once is not made, and the model is told that.
        """
        clock = self.ports.clock
        call = replace(call, plugin=asked.plugin_of(call.name))
        self.delivery.tool(number, call, done=False)
        start = clock.monotonic()
        if not over and asked.offers(call.name):
            result = await self.ports.tools.call(call.name, call.arguments, asked.plugins)
        else:
            error = TOO_MANY_CALLS if over else UNKNOWN_TOOL
            result = ToolResult(json.dumps([{"error": error}]), failed=True)
        answered = replace(
            call,
            result=_cut(result.text, size),
            outcome="failed" if result.failed else "ok",
            milliseconds=round((clock.monotonic() - start) * 1000),
        )
        self.delivery.tool(number, answered, done=True)
        return answered

    async def _stream(self, request: ProviderRequest) -> Finished:
        """One stream to its end. Its text goes on after that of the rounds before."""
        apart = ROUNDS_APART if self.delivery.text else ""
        async with contextlib.aclosing(self._events(request)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    return event
                if event.text:
                    self._add(apart + event.text)
                    apart = ""
                if self._size >= TEXT_LIMIT_BYTES:
                    return Finished("length", None)
        raise ProviderFailed("cut", "the stream ended without a finish reason", retryable=True)

    async def _events(self, request: ProviderRequest) -> AsyncGenerator[TextDelta | Finished, None]:
        """What the provider says. Raises ProviderFailed, also for an unexpected error.

        Left to itself, such an error would end the runner's work on the prompt: its followers
        would wait for the lease to run out, and its attempts count as killed runners.
        """
        try:
            async with contextlib.aclosing(self.ports.provider.stream(request)) as stream:
                async for event in stream:
                    yield event
        except (ProviderFailed, Busy, Unavailable):
            raise
        except Exception as error:  # noqa: BLE001 - whatever a provider made of its adapter
            self.observer.provider_broke(self.prompt, error)
            # Its words may be the provider's, and itself would be in a traceback (I9).
            raise ProviderFailed(type(error).__name__, UNFORESEEN, retryable=True) from None

    def _add(self, text: str) -> None:
        """Take more text, cut where the whole reaches the message limit."""
        self.first_token_at = self.first_token_at or self.ports.clock.now()
        data = text.encode(errors="replace")
        kept = data[: TEXT_LIMIT_BYTES - self._size]
        self.delivery.add(kept.decode(errors="ignore"))
        self._size += len(data)


def _no_answer(rounds: int) -> ProviderFailed:
    """Not retryable after rounds: another attempt would pay for each of them once more."""
    if not rounds:
        return ProviderFailed("malformed", NO_ANSWER, retryable=True)
    return ProviderFailed("tool_rounds", ROUNDS_USED_UP.format(rounds), retryable=False)


def _sum(one: Usage | None, other: Usage | None) -> Usage | None:
    if one is None or other is None:
        return one or other
    return Usage(
        one.prompt_tokens + other.prompt_tokens, one.completion_tokens + other.completion_tokens
    )


def _cut(text: str, size: int) -> str:
    """A result that can be stored: without halves of characters, within the bound."""
    data = text.encode(errors="replace")
    if len(data) <= size:
        return data.decode()
    note = f"\n[cut: the result has {len(data)} bytes]"
    return data[: size - len(note)].decode(errors="ignore") + note
