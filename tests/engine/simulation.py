"""A deterministic scheduler over a world of actors.

Every port call waits before and after its effect until the scheduler moves it. A list of
numbers decides each step; when the list is used up (or for a zero), the step is the plain
one: the oldest call goes on, and time moves only when nobody can. So a failing list shrinks
towards the plain schedule, and what is left of it is the race.

Once the list is used up the faults stop; sweeps and the queue go on until everything has
come to rest, and the invariants are checked once more.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from parley.core.errors import (
    Busy,
    Conflict,
    Invalid,
    NotFound,
    TooManyOpenTurns,
    TransitionRefused,
    Unavailable,
)
from parley.core.resource import Kind
from parley.ports import Connection, ProviderRequest
from parley.usecases.accept import NewPrompt

from tests.engine.invariants import Invariants
from tests.fakes.chaos import AFTER, BEFORE, Actor, Call, Conductor
from tests.fakes.clock import settle
from tests.fakes.provider import SHORT, Script
from tests.fakes.world import ACCOUNT, ADMIN, USER, Figures, World

# Short times, in the proportions of the real ones, so that attempts and leases meet often.
POLICY = Figures(
    lease=6,
    attempt_limit=20,
    backoff_base=0.5,
    sweep=10,
    cancel_wait=3,
    look=1,
    delta_pause=0.1,
    farewell=2,
)
VISIBILITY = 60.0
# A post that takes longer than its client waits has not arrived. It stays below the
# margin before a lease's end, as the adapter's time-outs must.
POST_SECONDS = POLICY.lease_margin / 2
# With the attempt's limit of 20 s, a call may well be its last.
TOOL_SECONDS = {"calculator": 0.0, "date_calculator": 1.5, "get_current_weather": 8.0}
TOOL_LIMITS = {"toolRounds": 2}
REST_STEPS = 5_000
INVOCATIONS = 6

REFUSALS = (Conflict, NotFound, Invalid, TooManyOpenTurns)
# What a number in the list of choices does, as often as it stands here.
MOVES = (
    *["_let_one_go"] * 11,
    *["_stall_one"] * 3,
    "_go_on_with_a_stalled_one",
    *["_fail_one"] * 3,
    "_kill_one",
    *["_let_somebody_come"] * 3,
    *["_start_a_runner"] * 2,
    *["_pass_time"] * 2,
    *["_pass_more_time"] * 2,
    "_lose_a_wake_up",
    "_double_a_wake_up",
    "_start_a_sweep",
)
FAULTS = frozenset({"_fail_one", "_kill_one", "_lose_a_wake_up"})
FALLIBLE = frozenset({"prompts", "threads", "subscribers", "wake_ups", "letters", "publisher"})


@dataclass(frozen=True)
class Op:
    """Something that somebody wants to do: `what` to the prompt, thread or socket `n`."""

    what: str
    n: int = 0
    variant: int = 0

    def __str__(self) -> str:
        return f"{self.what}({self.n}{', other content' if self.variant else ''})"


class Scheduler(Conductor):
    """A conductor that holds every call."""

    def __init__(self, *, ghosts: bool) -> None:
        super().__init__()
        self.pending: list[Call] = []
        self.stalled: list[Call] = []
        self.ghosts = ghosts
        self.now = 0.0

    async def reach(self, call: Call) -> None:
        call.since = self.now
        self.pending.append(call)
        try:
            await self.wait(call)
        finally:
            for calls in (self.pending, self.stalled):
                if call in calls:
                    calls.remove(call)

    def canceled(self, call: Call) -> bool:
        # A thread that has sent its request cannot be called back.
        return self.ghosts and call.port in {"prompts", "threads", "subscribers", "wake_ups"}

    def move(self, call: Call, error: Exception | None = None) -> None:
        (self.pending if call in self.pending else self.stalled).remove(call)
        call.go(error)

    def stall(self, call: Call) -> None:
        """A call that hangs while everything else goes on."""
        self.pending.remove(call)
        self.stalled.append(call)

    def resume(self, call: Call) -> None:
        self.stalled.remove(call)
        self.pending.insert(0, call)


class Simulation:
    """One run: a plan of operations, the choices, and the scripts of the provider."""

    def __init__(
        self,
        plan: Sequence[Op],
        choices: Sequence[int],
        scripts: Sequence[Script | None] = (),
        *,
        threads: int = 2,
        ghosts: bool = False,
        faults: bool = True,
        tools: bool = False,
    ) -> None:
        self.scheduler = Scheduler(ghosts=ghosts)
        self.world = World(self.scheduler, POLICY)
        self.world.queue.visibility = VISIBILITY
        self.world.provider.otherwise = self._script
        self.client = "adviser" if tools else ""
        functions = list(TOOL_SECONDS)
        self.world.describe(Kind.LLM_CLIENT, "adviser", functions=functions, limits=TOOL_LIMITS)
        self.world.tools.seconds = dict(TOOL_SECONDS)
        self.scripts = list(scripts)
        self.plan = list(plan)
        self.choices = list(choices)
        self.threads = threads
        self.faults = faults
        self.actors: list[Actor] = []
        self.killers: list[Actor] = []
        self.trace: list[str] = []
        self.errors: list[str] = []
        self.next_sweep = POLICY.sweep
        self.sweeping = False
        self.asked = 0
        self.checks = Invariants(self.world, lossless=not faults)

    # --- the run -------------------------------------------------------------------

    async def run(self) -> None:
        """Play the choices, come to rest, check. Raises AssertionError with the trace."""
        try:
            for choice in self.choices:
                await self._step(choice)
            self._tell("--- the choices are used up; from here on nothing fails ---")
            await self._come_to_rest()
            self.checks.at_rest()
        except AssertionError as failed:
            lines = "\n".join(self.trace[-400:])
            raise AssertionError(f"{failed}\n\n{lines}\n\n{failed}") from None
        finally:
            for actor in self.actors:
                actor.kill()
            await settle()

    async def _come_to_rest(self) -> None:
        for call in list(self.scheduler.stalled):
            self.scheduler.resume(call)
        for _ in range(REST_STEPS):
            if not await self._plain():
                return
        raise AssertionError("I1: it never comes to rest")

    async def _step(self, choice: int) -> None:
        kind, arg = MOVES[choice % len(MOVES)], choice // len(MOVES)
        if choice == 0:
            await self._plain()
        elif self.faults or kind not in FAULTS:
            await getattr(self, kind)(arg)
        self.scheduler.now = self.world.clock.monotonic()

    async def _let_one_go(self, arg: int) -> None:
        pending = self.scheduler.pending
        if pending:
            await self._go(pending[arg % len(pending)])
        else:
            await self._plain(moving=arg % 2 == 0)

    async def _stall_one(self, arg: int) -> None:
        pending = self.scheduler.pending
        if pending:
            call = pending[arg % len(pending)]
            self._tell(f"{call.actor.name}: {call.name}{_of(call)} hangs ({call.stage} its effect)")
            self.scheduler.stall(call)

    async def _go_on_with_a_stalled_one(self, arg: int) -> None:
        stalled = self.scheduler.stalled
        if stalled:
            self.scheduler.resume(stalled[arg % len(stalled)])
            await self._go(self.scheduler.pending[0])

    async def _fail_one(self, arg: int) -> None:
        calls = [call for call in self.scheduler.pending if call.port in FALLIBLE]
        if calls:
            await self._lose(calls[arg % len(calls)], busy=arg % 5 == 0)

    async def _kill_one(self, arg: int) -> None:
        alive = [actor for actor in self.actors if actor.alive()]
        if alive:
            await self._kill(alive[arg % len(alive)])

    async def _let_somebody_come(self, arg: int) -> None:
        await self._next_op()

    async def _start_a_runner(self, arg: int) -> None:
        await self._deliver(alone=arg % 2 == 1)

    async def _pass_time(self, arg: int) -> None:
        await self._time()

    async def _pass_more_time(self, arg: int) -> None:
        seconds = (2.0, 5.0, 7.0, 20.0, 65.0)[arg % 5]
        self._tell(f"{seconds} s pass")
        await self._until(self.world.clock.monotonic() + seconds)

    async def _lose_a_wake_up(self, arg: int) -> None:
        messages = self.world.queue.messages
        if messages:
            self._tell(f"the queue loses {messages[arg % len(messages)].wake_up.prompt_id}")
            self.world.queue.lose(arg % len(messages))

    async def _double_a_wake_up(self, arg: int) -> None:
        messages = self.world.queue.messages
        if messages:
            self._tell(f"the queue doubles {messages[arg % len(messages)].wake_up.prompt_id}")
            self.world.queue.double(arg % len(messages))

    async def _start_a_sweep(self, arg: int) -> None:
        await self._sweep()

    async def _plain(self, *, moving: bool = True) -> bool:
        """The next step when nothing special happens; False if there is none left."""
        if self.scheduler.pending:
            await self._go(self.scheduler.pending[0])
            return True
        if self.plan:
            await self._next_op()
            return True
        queue, clock = self.world.queue, self.world.clock
        for alone in (True, False):
            if queue.visible(alone=alone) and self._running() < INVOCATIONS:
                await self._deliver(alone=alone)
                return True
        if not moving:
            return True
        unfinished = self.world.open_turns() or self.world.state.deletions
        moments = [clock.next_wake(), queue.next_visible()]
        if unfinished or any(actor.alive() for actor in self.actors):
            moments.append(self.next_sweep)
        known = [moment for moment in moments if moment is not None]
        if not known:
            return False
        if clock.next_wake() is not None and clock.next_wake() == min(known):
            await self._time()
        else:
            await self._until(min(known))
        if self.next_sweep <= clock.monotonic():
            await self._sweep()
        return True

    def _running(self) -> int:
        return sum(actor.alive() and actor.kind == "runner" for actor in self.actors)

    def _tell(self, what: str) -> None:
        self.trace.append(f"{self.world.clock.monotonic():9.3f}  {what}")

    async def _settle(self) -> None:
        await settle()
        for actor in self.killers:
            if actor.alive():
                await self._kill(actor, "is killed by its prompt")
        self.killers.clear()
        self.checks.tasks(self.actors)
        assert not self.errors, self.errors[0]
        assert not self.checks.broken, self.checks.broken[0]

    async def _go(self, call: Call) -> None:
        if call.stage == BEFORE:
            self._tell(f"{call.actor.name}: {call.name}{_of(call)}")
        self.scheduler.move(call)
        await self._settle()

    async def _lose(self, call: Call, *, busy: bool) -> None:
        if call.stage == AFTER:
            self._tell(f"{call.actor.name}: {call.name}{_of(call)} took effect, its answer is lost")
            self.scheduler.move(call, Unavailable("no answer"))
        elif busy and call.port != "publisher":
            self._tell(f"{call.actor.name}: {call.name}{_of(call)} is throttled")
            self.scheduler.move(call, Busy("throttled"))
        else:
            self._tell(f"{call.actor.name}: {call.name}{_of(call)} is lost")
            self.scheduler.move(call, Unavailable("no answer"))
        await self._settle()

    async def _kill(self, actor: Actor, why: str = "is killed") -> None:
        self._tell(f"{actor.name} {why}")
        actor.kill()
        await self._settle()

    async def _time(self) -> None:
        await self._posts_time_out(self.world.clock.next_wake())
        if self.world.clock.wake_one():
            await self._settle()

    async def _until(self, moment: float) -> None:
        while (wake := self.world.clock.next_wake()) is not None and wake <= moment:
            await self._time()
        await self._posts_time_out(moment)
        self.world.clock.skip(max(moment - self.world.clock.monotonic(), 0))
        await self._settle()

    async def _posts_time_out(self, moment: float | None) -> None:
        """No post may be under way longer than its client waits for it."""
        for call in [*self.scheduler.pending, *self.scheduler.stalled]:
            late = call.name == "publisher.post" and call.stage == BEFORE
            if late and moment is not None and moment - call.since > POST_SECONDS:
                await self._lose(call, busy=False)

    # --- the actors ------------------------------------------------------------------

    def _start(self, work: Coroutine[Any, Any, None], kind: str, name: str = "") -> None:
        self.actors.append(self.world.start(work, kind, name)[0])
        self.scheduler.now = self.world.clock.monotonic()

    async def _next_op(self) -> None:
        if not self.plan:
            return
        op = self.plan.pop(0)
        kind = {"subscribe": "socket", "unsubscribe": "socket", "hang_up": "socket"}
        self._tell(f"somebody wants to {op}")
        name = f"{op.what}-{op.n}.{len(self.actors)}"
        self._start(self._persist(op), kind.get(op.what, "api"), name)
        await self._settle()

    async def _deliver(self, *, alone: bool) -> None:
        batch = self.world.queue.receive(1 if alone else 10, alone=alone)
        if not batch:
            return
        names = ", ".join(wake_up.prompt_id for _, wake_up in batch)
        name = f"runner-{len(self.actors)}"
        self._tell(f"{name} starts with {names}{' (alone)' if alone else ''}")
        if len(batch) == 1:
            self.checks.alone.add(name)
        self._start(self._invocation(batch), "runner", name)
        await self._settle()

    async def _invocation(self, batch: Any) -> None:
        for error in await self.world.invocation(batch):
            expected = (Busy, Unavailable, asyncio.CancelledError)
            if not isinstance(error, expected):
                self.errors.append(f"the runner let through {error!r}")

    async def _sweep(self) -> None:
        self.next_sweep = self.world.clock.monotonic() + POLICY.sweep
        if self.sweeping and any(a.alive() for a in self.actors if a.kind == "sweeper"):
            return
        self.sweeping = True
        self._start(self._swept(), "sweeper", f"sweeper-{len(self.actors)}")
        await self._settle()

    async def _swept(self) -> None:
        try:
            await self.world.sweep(5)
        except (Busy, Unavailable):
            return
        except TransitionRefused as error:
            self.errors.append(f"the sweeper let through {error!r}")

    async def _persist(self, op: Op) -> None:
        """A client that repeats its call when it is told that it may."""
        for _ in range(6):
            try:
                await self._call(op)
            except (Busy, Unavailable):
                await self.world.clock.sleep(0.3)
                continue
            except REFUSALS:
                pass
            except TransitionRefused as error:
                self.errors.append(f"{op} let through {error!r}")
            return

    async def _call(self, op: Op) -> None:
        world, prompt_id, thread_id = self.world, f"p{op.n}", f"t{op.n % self.threads}"
        match op.what:
            case "accept":
                text = f"ask p{op.n}{' anew' * op.variant}"
                new = NewPrompt(text, prompt_id, thread_id, max_retries=2, client=self.client)
                await world.accept(USER, new)
                self.checks.accepted(prompt_id)
            case "cancel":
                canceled = await world.cancel(USER, prompt_id)
                self._tell(f"the cancel of {prompt_id} is answered {canceled.status}")
                self.checks.cancel_answered(canceled)
            case "retry":
                await world.retry(USER, prompt_id)
            case "remove":
                await world.remove(USER, prompt_id)
            case "delete":
                await world.delete_thread(ADMIN, thread_id, 5)
            case "subscribe":
                await self._subscribe(f"c{op.n // self.threads}", thread_id)
            case "unsubscribe":
                connection = world.memory.connections.get(f"c{op.n // self.threads}")
                if connection:
                    self.checks.unsubscribed(connection.id, thread_id)
                    await world.follow.unsubscribe(connection, thread_id)
            case "hang_up":
                world.publisher.closed.add(f"c{op.n}")
                self.checks.hung_up(f"c{op.n}")
                await world.follow.disconnect(f"c{op.n}")

    async def _subscribe(self, connection_id: str, thread_id: str) -> None:
        connection = self.world.memory.connections.get(connection_id)
        if connection_id in self.world.publisher.closed:
            return
        if connection is None:
            await self.world.follow.connect(USER, connection_id)
            connection = Connection(connection_id, USER, self.world.clock.now())
        known = self.checks.known(connection_id)
        frame = await self.world.follow.subscribe(connection, thread_id, known)
        self.checks.subscribed(connection_id, frame)

    def _script(self, request: ProviderRequest) -> Script:
        """The next script; None kills the runner that asks."""
        self.asked += 1
        self.checks.asked(request)
        script = self.scripts.pop(0) if self.scripts else SHORT
        if script is not None:
            return self.checks.marked(script, self.asked, request)
        if self.faults:
            self.killers += [a for a in self.actors if a.kind == "runner" and self._asks(a)]
        return SHORT

    def _asks(self, actor: Actor) -> bool:
        return asyncio.current_task() in actor.tasks


def _of(call: Call) -> str:
    """Which prompt, thread or frame a call is about, for the trace."""
    shown = []
    for arg in call.args:
        if isinstance(arg, str) and len(arg) < 20 and arg != ACCOUNT:
            shown.append(arg)
        elif hasattr(arg, "prompt_id"):
            shown.append(f"{arg.prompt_id}")
        elif hasattr(arg, "run_count"):
            shown.append(f"{arg.id} turn {arg.turn} attempt {arg.run_count}")
        elif isinstance(arg, dict):
            shown.append(_frame(arg))
    return f" [{', '.join(shown)}]" if shown else ""


def _frame(frame: dict[str, Any]) -> str:
    match frame.get("type"):
        case "delta":
            span = f"{frame['offset']}-{frame['end']}"
            return f"delta {frame['promptId']} attempt {frame['attempt']} {span}"
        case "prompt":
            return f"{frame['prompt']['id']} is {frame['prompt']['status']}"
        case "tool":
            return f"tool {frame['callId']} of {frame['promptId']} is {frame['state']}"
        case "message":
            return f"message {frame['message']['id']}"
    return ""
