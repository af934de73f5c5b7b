"""Deltas and tool events of one attempt on their way to the thread's followers.

One pump per subscription keeps its own offset and has one post in flight, carrying
whatever has accumulated, so a slow subscriber delays nobody. A post whose outcome is
unknown is repeated from the same offset: no gap, and a client can discard a repeat (I3).
A tool event has its place in the text: it goes when what stands before it has gone.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from parley.core.errors import Busy, Unavailable
from parley.core.events import Frame, delta_frames, prompt_frame, tool_frame
from parley.core.policy import Policy
from parley.core.prompt import Prompt
from parley.core.thread import ToolCall
from parley.ports import Clock, LiveText, Post, Publisher, Subscriber, SubscriberStore
from parley.usecases.observing import Observer
from parley.usecases.waiting import stop

# A connection whose posts end in nothing known is asked again ever more seldom, down to this.
UNKNOWN_PAUSE_SECONDS = 3.0


@dataclass
class _Sent:
    """How far a subscription is: offset in the text, tool events, seconds before a repeat."""

    offset: int
    pause: float
    events: int = 0


@dataclass
class Delivery:
    """Carries an attempt's growing text to its followers.

    `valid` says whether the attempt may still speak: it is asked before every post, so
    that an attempt that lost its lease posts nothing afterwards (I10).
    """

    prompt: Prompt
    subscribers: SubscriberStore
    publisher: Publisher
    clock: Clock
    policy: Policy
    observer: Observer
    valid: Callable[[], bool]
    text: str = ""
    final: Sequence[Frame] | None = None
    _opening: Sequence[Frame] = ()
    _tool_events: list[Frame] = field(default_factory=list)
    _pumps: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)
    _moved: asyncio.Event = field(default_factory=asyncio.Event)
    _live_length: int = -1
    _reported: set[str] = field(default_factory=set)

    def open_with(self, question: Frame) -> None:
        """What every follower gets first: the question, then the state. Pumps wait for it."""
        self._opening = [question, prompt_frame(self.prompt)]
        self._wake_pumps()

    def add(self, text: str) -> None:
        """More of the answer."""
        self.text += text
        self._wake_pumps()

    def tool(self, number: int, call: ToolCall, *, done: bool) -> None:
        """A call of round `number` has started or is done. Later followers get it, too."""
        offset = len(self.text)
        self._tool_events.append(tool_frame(self.prompt, number, call, offset, done=done))
        self._wake_pumps()

    def _wake_pumps(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    async def look(self) -> None:
        """Start pumps for new subscriptions, end those of gone ones; feed HTTP watchers."""
        followers = await self.subscribers.followers(self.prompt.account, self.prompt.thread_id)
        nonces = {subscriber.nonce for subscriber in followers.sockets}
        for nonce in self._pumps.keys() - nonces:
            await stop(self._pumps.pop(nonce))
        for subscriber in followers.sockets:
            if subscriber.nonce not in self._pumps:
                pump = asyncio.create_task(self._pump(subscriber))
                self._pumps[subscriber.nonce] = pump
                pump.add_done_callback(partial(self._pump_ended, subscriber.nonce))
        if followers.watched and self._live_length != len(self.text) and self.valid():
            self._live_length = len(self.text)
            prompt = self.prompt
            live = LiveText(prompt.id, prompt.thread_id, prompt.turn, prompt.run_count, self.text)
            await self.subscribers.put_live(self.prompt.account, live, self.clock.now())

    async def keep_looking(self) -> None:
        """Look for followers once a second, until canceled.

        An answer must not fail because its followers could not be served just now: they get
        everything from their own offset after the next look. So each look is a task of its
        own, and what it raises is only told.
        """
        while True:
            looking = asyncio.ensure_future(self.look())
            try:
                await asyncio.wait((looking,))
            finally:
                await stop(looking)
            self._report(looking)
            await self.clock.sleep(self.policy.look)

    def _pump_ended(self, nonce: str, pump: "asyncio.Task[None]") -> None:
        """One that broke is started anew by the next look; one that has ended is not."""
        if self._report(pump) and self._pumps.get(nonce) is pump:
            del self._pumps[nonce]

    def _report(self, task: "asyncio.Future[None]") -> bool:
        """True if the task broke. The observer hears of each kind of error once."""
        error = None if task.cancelled() else task.exception()
        if error is None:
            return False
        kind = type(error).__name__
        if not isinstance(error, Busy | Unavailable) and kind not in self._reported:
            self._reported.add(kind)
            self.observer.delivery_failed(self.prompt, error)
        return True

    async def close(self, final: Sequence[Frame]) -> None:
        """Let every follower have the rest and the final frames, within bounded time.

        Called after a finish is committed; any other end aborts before its commit, so that
        no delta appears after a cancel was answered (I6).
        Followers that came since the last look get no deltas: the answer's message has the
        whole text.
        """
        self.final = final
        self._wake_pumps()
        farewell = asyncio.ensure_future(self._farewell())
        timer = asyncio.ensure_future(self.clock.sleep(self.policy.farewell))
        try:
            await asyncio.wait((farewell, timer), return_when=asyncio.FIRST_COMPLETED)
        finally:
            # All at once: a look that hangs must not give the pumps more time.
            await self.abort(farewell, timer)
        if not farewell.cancelled():
            farewell.result()

    async def _farewell(self) -> None:
        try:
            await self.look()
        finally:
            if self._pumps:
                await asyncio.wait(self._pumps.values())

    async def abort(self, *others: "asyncio.Future[None]") -> None:
        """Stop at once; nothing is posted afterwards."""
        pumps = list(self._pumps.values())
        self._pumps.clear()
        await stop(*pumps, *others)

    def _first_offset(self, subscriber: Subscriber) -> int:
        attempt, offset = subscriber.known.get(self.prompt.id, (0, 0))
        return min(offset, len(self.text)) if attempt == self.prompt.run_count else 0

    async def _pump(self, subscriber: Subscriber) -> None:
        while not self._opening:
            await self._moved.wait()
        sent = _Sent(self._first_offset(subscriber), self.policy.delta_pause)
        if self.final is None and not await self._post_all(subscriber, self._opening):
            return
        while True:
            moved = self._moved
            event, text = self._next(sent)
            if sent.offset < len(text) and not self._arrived_late(subscriber, sent.offset):
                if not await self._post_text(subscriber, text, sent):
                    return
            elif event is not None:
                if not await self._post_all(subscriber, [event]):
                    return
                sent.events += 1
            elif self.final is not None:
                await self._post_all(subscriber, self.final)
                return
            else:
                await moved.wait()

    def _next(self, sent: _Sent) -> tuple[Frame | None, str]:
        """The tool event that comes next, and the text that stands before it."""
        if sent.events == len(self._tool_events):
            return None, self.text
        event = self._tool_events[sent.events]
        return event, self.text[: event["offset"]]

    def _arrived_late(self, subscriber: Subscriber, offset: int) -> bool:
        """True for a follower that has seen nothing and can have the whole message at once."""
        return self.final is not None and offset == 0 and not subscriber.known

    async def _post_text(self, subscriber: Subscriber, text: str, sent: _Sent) -> bool:
        """Post a delta of the text from where it was sent; False to end."""
        prompt = self.prompt
        frames = delta_frames(prompt.thread_id, prompt.id, prompt.run_count, text, sent.offset)
        frame = next(frames)
        post = await self._post(subscriber, frame)
        if post is Post.UNKNOWN:
            sent.pause = await self._back_off(sent.pause)
        elif post is Post.DELIVERED:
            sent.offset, sent.pause = int(frame["end"]), self.policy.delta_pause
            if self.final is None:
                await self.clock.sleep(sent.pause)
        return post is not Post.GONE

    async def _post_all(self, subscriber: Subscriber, frames: Sequence[Frame]) -> bool:
        """Post frames in order, each until its outcome is known; False to end."""
        for frame in frames:
            pause = self.policy.delta_pause
            while (post := await self._post(subscriber, frame)) is Post.UNKNOWN:
                pause = await self._back_off(pause)
            if post is Post.GONE:
                return False
        return True

    async def _back_off(self, pause: float) -> float:
        """Wait after a post of unknown outcome; how long to wait after the next such one."""
        await self.clock.sleep(pause)
        return min(pause * 2, UNKNOWN_PAUSE_SECONDS)

    async def _post(self, subscriber: Subscriber, frame: Frame) -> Post:
        # After the commit the outcome is everybody's to tell; before it, only the holder
        # of the lease speaks. A pump waits rather than ends, for a commit that was sent
        # in time may be answered late, and then there is an outcome to tell.
        while self.final is None and not self.valid():
            await self.clock.sleep(self.policy.delta_pause)
        post = await self.publisher.post(subscriber.connection_id, frame)
        if post is Post.GONE:
            # Should this fail, the next one to post finds it gone, too.
            with contextlib.suppress(Busy, Unavailable):
                await self.subscribers.drop_connection(subscriber.connection_id)
        return post
