"""Stands between the use cases and the ports, before and after every call.

A `Conductor` decides what happens at each of these points: go on, fail, or wait until a
test (or the simulation) lets the call go on. Who is calling is known from the context, so
an actor can be killed: its tasks are canceled and none of its calls takes effect any more.
"""

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from parley.core.errors import ParleyError, ProviderFailed, TransitionRefused, Unavailable
from parley.ports import Post

from tests.fakes.clock import settle

BEFORE = "before"
AFTER = "after"


@dataclass(eq=False)
class Actor:
    """Somebody with tasks of his own: one invocation of a function, in AWS terms."""

    name: str
    kind: str
    tasks: list["asyncio.Task[Any]"] = field(default_factory=list)
    dead: bool = False

    def alive(self) -> bool:
        return not self.dead and any(not task.done() for task in self.tasks)

    def kill(self) -> None:
        """What the end of a process does: nothing runs any further, nothing is cleaned up."""
        self.dead = True
        for task in self.tasks:
            task.cancel()


NOBODY = Actor("test", "test")
ACTOR: ContextVar[Actor] = ContextVar("actor", default=NOBODY)


@dataclass(eq=False)
class Call:
    """A call of a port at one of its two points."""

    actor: Actor
    port: str
    method: str
    args: tuple[Any, ...]
    stage: str = BEFORE
    since: float = 0
    waiting: "asyncio.Future[None] | None" = None

    @property
    def name(self) -> str:
        return f"{self.port}.{self.method}"

    def __str__(self) -> str:
        return f"{self.actor.name}: {self.stage} {self.name}"

    def go(self, error: Exception | None = None) -> None:
        """Let the call go on, or fail at this point."""
        if self.waiting is not None and not self.waiting.done():
            if error is None:
                self.waiting.set_result(None)
            else:
                self.waiting.set_exception(error)


@dataclass
class Hold:
    """A point at which a matching call is to stop; `call` once it did."""

    name: str
    stage: str
    actor: str
    skip: int
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    call: Call | None = None
    error: Exception | None = None
    waits: bool = True

    def matches(self, call: Call) -> bool:
        return (
            call.name == self.name
            and call.stage == self.stage
            and (not self.actor or call.actor.name == self.actor)
        )

    def release(self, error: Exception | None = None) -> None:
        assert self.call is not None, f"{self.name} was not reached"
        self.call.go(error)


class Conductor:
    """Lets every call pass, but for those that a test holds or fails."""

    def __init__(self) -> None:
        self.holds: list[Hold] = []
        self.log: list[Call] = []
        self.on_effect: Callable[[Call, Any, Exception | None], None] | None = None

    def hold(self, name: str, stage: str = BEFORE, *, actor: str = "", skip: int = 0) -> Hold:
        """Stop the next such call (after `skip` of them) until `release`."""
        self.holds.append(Hold(name, stage, actor, skip))
        return self.holds[-1]

    def fail(
        self,
        name: str,
        stage: str,
        error: Exception | None = None,
        *,
        actor: str = "",
        skip: int = 0,
    ) -> Hold:
        """Fail the next such call; after its effect, the answer alone is lost."""
        hold = self.hold(name, stage, actor=actor, skip=skip)
        hold.error, hold.waits = error or Unavailable("no answer"), False
        return hold

    async def reach(self, call: Call) -> None:
        """A call has come to one of its points."""
        if call.stage == BEFORE:
            self.log.append(call)
        for hold in self.holds:
            if not hold.matches(call):
                continue
            if hold.skip:
                hold.skip -= 1
                continue
            self.holds.remove(hold)
            hold.call = call
            hold.reached.set()
            if hold.waits:
                await self.wait(call)
            elif hold.error:
                raise hold.error
            return

    async def wait(self, call: Call) -> None:
        call.waiting = asyncio.get_running_loop().create_future()
        await call.waiting

    def canceled(self, call: Call) -> bool:
        """True if a call that is canceled before its effect takes effect nevertheless."""
        return False

    def calls(self, name: str) -> int:
        """How many such calls were made."""
        return sum(call.name == name for call in self.log)

    async def point(self, call: Call, stage: str) -> None:
        call.stage = stage
        if call.actor.dead:
            raise asyncio.CancelledError
        await self.reach(call)
        if call.actor.dead:
            raise asyncio.CancelledError


# What a call may answer with instead of a value. Everything else is a bug of the test.
ANSWERS = (ParleyError, TransitionRefused, ProviderFailed)


class Chaos:
    """A port whose calls all pass the conductor."""

    def __init__(self, target: Any, name: str, conductor: Conductor) -> None:
        self._target = target
        self._name = name
        self._conductor = conductor

    def __getattr__(self, method: str) -> Any:
        bound = getattr(self._target, method)
        if inspect.isasyncgenfunction(bound):
            wrapped: Any = self._generator(method, bound)
        elif inspect.iscoroutinefunction(bound):
            wrapped = self._call(method, bound)
        else:
            return bound
        setattr(self, method, wrapped)
        return wrapped

    def _call(self, method: str, bound: Callable[..., Awaitable[Any]]) -> Any:
        conductor, port = self._conductor, self._name

        async def call(*args: Any, **kwargs: Any) -> Any:
            point = Call(ACTOR.get(), port, method, args)
            try:
                await conductor.point(point, BEFORE)
            except asyncio.CancelledError:
                if not point.actor.dead and conductor.canceled(point):
                    await self._effect(point, bound, args, kwargs)
                raise
            except Unavailable:
                if method == "post":
                    return Post.UNKNOWN
                raise
            result, error = await self._effect(point, bound, args, kwargs)
            try:
                await conductor.point(point, AFTER)
            except Unavailable:
                if method == "post":
                    return Post.UNKNOWN
                raise
            if error is not None:
                raise error
            return result

        return call

    async def _effect(
        self,
        point: Call,
        bound: Callable[..., Awaitable[Any]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> tuple[Any, Exception | None]:
        result, error = None, None
        try:
            result = await bound(*args, **kwargs)
        except ANSWERS as refused:
            error = refused
        if self._conductor.on_effect:
            self._conductor.on_effect(point, result, error)
        return result, error

    def _generator(self, method: str, bound: Callable[..., AsyncIterator[Any]]) -> Any:
        conductor, port = self._conductor, self._name

        async def generate(*args: Any) -> AsyncIterator[Any]:
            first = Call(ACTOR.get(), port, method, args)
            await conductor.point(first, BEFORE)
            items = bound(*args)
            async with contextlib.aclosing(items):  # type: ignore[type-var]
                async for item in items:
                    await conductor.point(Call(ACTOR.get(), port, "next", args), AFTER)
                    yield item

        return generate


def start(actor: Actor, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
    """Run `work` as a task of the actor; every task that it makes is the actor's, too."""
    loop = asyncio.get_running_loop()
    loop.set_task_factory(_owned_task)
    token = ACTOR.set(actor)
    try:
        return loop.create_task(work)
    finally:
        ACTOR.reset(token)


def _owned_task(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> "asyncio.Task[Any]":
    task = asyncio.Task(coro, loop=loop, **options)
    actor = ACTOR.get()
    if actor is not NOBODY:
        actor.tasks.append(task)
        task.add_done_callback(_seen)
    return task


def _seen(task: "asyncio.Task[Any]") -> None:
    """Whoever needs the error of a task asks for it: no complaints from the collector."""
    if not task.cancelled():
        task.exception()


async def killed(actor: Actor) -> None:
    """Kill an actor and let its remains come to rest."""
    actor.kill()
    await settle()
