"""What follows every transition to a terminal state, by whoever made it.

The outcome is pushed to the thread's followers and the next open turn is woken. Commit
first, then read the followers: a subscriber writes its subscription first and then reads
the prompts, so one of the two always sees the other.
"""

import contextlib
from dataclasses import dataclass

from parley.core.errors import Busy, TransitionRefused, Unavailable
from parley.core.events import Frame, deleted_frame, message_frame, prompt_frame
from parley.core.policy import Policy
from parley.core.prompt import Prompt
from parley.core.thread import ANSWER
from parley.ports import (
    Clock,
    Post,
    PromptStore,
    Publisher,
    Subscriber,
    SubscriberStore,
    ThreadStore,
    WakeUp,
    WakeUps,
)
from parley.usecases.waiting import every, within

# How long somebody who cancels waits at most for slow followers to hear of it.
HINT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Ending:
    """Pushes outcomes and wakes the next turn."""

    prompts: PromptStore
    threads: ThreadStore
    subscribers: SubscriberStore
    publisher: Publisher
    wake_ups: WakeUps
    clock: Clock
    policy: Policy

    async def __call__(self, prompt: Prompt) -> None:
        """After a transition to a terminal state, or when finding one made before.

        Doing it twice is harmless: frames repeat a state, a wake-up is a hint. Both at
        once, and each whatever becomes of the other: slow followers delay no next turn.
        """
        await self._end(prompt, self.policy.farewell)

    async def _end(self, prompt: Prompt, seconds: float) -> None:
        told = self._push(prompt, seconds)
        await every([told, self.wake_next(prompt.account, prompt.thread_id)])

    async def hint(self, prompt: Prompt) -> None:
        """The same for callers who answer a person: the transition is committed already.

        What cannot be told just now a follower's next ping tells, and what cannot be woken
        the sweeper finds (I11); it must not make a cancel look as if it had failed.
        """
        with contextlib.suppress(Busy, Unavailable):
            await self._end(prompt, min(HINT_SECONDS, self.policy.farewell))

    async def push(self, prompt: Prompt) -> None:
        """Tell every follower how the prompt ended, with its answer if it has one."""
        await self._push(prompt, self.policy.farewell)

    async def push_hint(self, prompt: Prompt) -> None:
        """The same for callers who answer a person, as `hint`: nothing is woken."""
        with contextlib.suppress(Busy, Unavailable):
            await self._push(prompt, min(HINT_SECONDS, self.policy.farewell))

    async def tell_deleted(self, account: str, thread_id: str, seconds: float) -> None:
        """Tell followers that the thread was deleted, for `seconds` and a second at most.

        To be called once it is marked: who subscribes later reads the mark. What cannot be
        told just now, their next frame tells.
        """
        with contextlib.suppress(Busy, Unavailable):
            telling = self._tell(account, thread_id, [deleted_frame(thread_id)])
            await within(self.clock, min(HINT_SECONDS, seconds), telling)

    async def _tell(self, account: str, thread_id: str, frames: list[Frame]) -> None:
        followers = await self.subscribers.followers(account, thread_id)
        await every(self.post_all(subscriber, frames) for subscriber in followers.sockets)

    async def _push(self, prompt: Prompt, seconds: float) -> None:
        followers = await self.subscribers.followers(prompt.account, prompt.thread_id)
        if not followers.sockets:
            return
        frames = await self.outcome(prompt)
        posts = (self.post_all(subscriber, frames) for subscriber in followers.sockets)
        await within(self.clock, seconds, every(posts))

    async def outcome(self, prompt: Prompt) -> list[Frame]:
        """The frames that say how a prompt ended."""
        frames = []
        if prompt.response_message_id:
            message = await self.threads.message(
                prompt.account, prompt.thread_id, prompt.turn, ANSWER
            )
            frames = [message_frame(message)] if message else []
        return [*frames, prompt_frame(prompt)]

    async def post_all(self, subscriber: Subscriber, frames: list[Frame]) -> None:
        """Post frames in order. One whose outcome is unknown is repeated once."""
        for frame in frames:
            post = await self.publisher.post(subscriber.connection_id, frame)
            if post is Post.UNKNOWN:
                post = await self.publisher.post(subscriber.connection_id, frame)
            if post is Post.GONE:
                # Should this fail, the next one to post finds it gone, too.
                with contextlib.suppress(Busy, Unavailable):
                    await self.subscribers.drop_connection(subscriber.connection_id)
                return

    async def wake(self, prompt: Prompt, *, alone: bool = False) -> None:
        """Hint that the prompt may run; `alone`, for it has lost a runner, beside no other."""
        wake_up = WakeUp(prompt.account, prompt.id, prompt.thread_id)
        await self.wake_ups.send(wake_up, alone=alone)

    async def wake_next(self, account: str, thread_id: str) -> None:
        """Wake the thread's next open turn: whoever ends the head does this.

        While it was parked the sweeper's looks drew apart. It may run now and lose its
        runner, or this wake-up may be lost: so the next look is a sweep away again.
        """
        head = await self.prompts.head(account, thread_id)
        if head is None:
            return
        soon, distance = self.clock.now() + self.policy.sweep_ms, self.policy.sweep_ms
        if head.due > soon:
            # Refused: it has moved on, with a due time of its own.
            with contextlib.suppress(TransitionRefused, Busy, Unavailable):
                await self.prompts.move_due(head, soon, distance)
        await self.wake_ups.send(WakeUp(account, head.prompt_id, thread_id))
