"""Follow a thread over a WebSocket: connect, subscribe, unsubscribe, ping."""

from collections.abc import Iterable
from dataclasses import dataclass

from parley.core.access import Principal
from parley.core.errors import NoSuchThread, TooManyConnections
from parley.core.events import FRAME_BYTES, Frame, cut_message, encoded, message_state, prompt_state
from parley.core.prompt import Prompt
from parley.ports import (
    Clock,
    Connection,
    Ids,
    PromptQuery,
    PromptStore,
    Subscriber,
    SubscriberStore,
    ThreadStore,
)

NEWEST_MESSAGES = 20
JUST_FINISHED = 10
ROOM_FOR_IDS = 1024
ROOM_FOR_MESSAGES = 8 * 1024


@dataclass(frozen=True, slots=True)
class Follow:
    """The socket's calls, each of which answers the frame to send."""

    subscribers: SubscriberStore
    prompts: PromptStore
    threads: ThreadStore
    clock: Clock
    ids: Ids
    max_connections: int

    async def connect(self, principal: Principal, connection_id: str) -> None:
        """Register a connection; raises TooManyConnections, counting the live ones.

        Counting before storing lets simultaneous connects pass the limit by as many as
        there are: the limit protects from runaway clients, it is not a quota to bill.
        """
        live = await self.subscribers.count_connections(principal.account, self.max_connections)
        if live >= self.max_connections:
            raise TooManyConnections(f"the account has {self.max_connections} live connections")
        await self.subscribers.add_connection(
            Connection(connection_id, principal, self.clock.now())
        )

    async def subscribe(
        self, connection: Connection, thread_id: str, known: dict[str, tuple[int, int]]
    ) -> Frame:
        """Follow a thread; raises NotFound for one that is absent or not the caller's.

        Raises Unauthenticated if the connection was dropped meanwhile: who revokes a key
        drops its connections, and a subscription must not outlive that.

        The subscription is written before the prompts are read, and an attempt commits
        before it reads the subscribers: whichever way they interleave, one sees the other.
        """
        who = connection.principal
        account = who.account
        thread = await self.threads.thread(account, thread_id)
        if thread is None or thread.deleted or not who.sees(thread):
            raise NoSuchThread
        nonce = self.ids.new("sub")
        subscriber = Subscriber(connection.id, account, thread_id, who.user_id, nonce, known)
        await self.subscribers.subscribe(subscriber, self.clock.now(), who.expires_at)
        head = await self.prompts.thread_head(account, thread_id)
        if head.thread is None or head.thread.deleted or not who.sees(head.thread):
            # It was taken away after the first look, by somebody who read the followers
            # before this one was among them.
            await self.subscribers.unsubscribe(connection.id, account, thread_id)
            raise NoSuchThread
        unfinished = await self._prompts(account, [turn.prompt_id for turn in head.open_turns])
        # A hundred waiting prompts can be more than a frame holds: the first ones go.
        states = _fitting(map(prompt_state, unfinished), FRAME_BYTES - ROOM_FOR_MESSAGES)
        frame: Frame = {
            "type": "subscribed",
            "threadId": thread_id,
            "nonce": nonce,
            "prompts": states,
            "messages": [],
            "truncated": len(states) < len(unfinished),
        }
        return await self._with_messages(frame, account, thread_id)

    async def _prompts(self, account: str, ids: list[str]) -> list[Prompt]:
        if not ids:
            return []
        query = PromptQuery(account, None, ids=tuple(ids), limit=len(ids))
        found = (await self.prompts.prompts(query)).items
        return sorted(found, key=lambda prompt: prompt.turn)

    async def _with_messages(self, frame: Frame, account: str, thread_id: str) -> Frame:
        """The frame with as many of the newest messages as fit, oldest first."""
        page = await self.threads.messages(
            account, thread_id, NEWEST_MESSAGES, "", newest_first=True
        )
        room = FRAME_BYTES - len(encoded(frame)) - 16
        fitting: list[Frame] = []
        for message in page.items:
            state = message_state(message)
            room -= len(encoded(state)) + 1
            if room < 0:
                if not fitting:
                    fitting.append(cut_message(message, -room))
                break
            fitting.append(state)
        return frame | {
            "messages": fitting[::-1],
            "truncated": frame["truncated"] or bool(page.after) or len(fitting) < len(page.items),
        }

    async def unsubscribe(self, connection: Connection, thread_id: str) -> None:
        """Stop following; a thread that is not followed is a success."""
        await self.subscribers.unsubscribe(connection.id, connection.principal.account, thread_id)

    async def pong(self, connection: Connection, thread_id: str) -> Frame:
        """The answer to a ping; with a thread, the states of its newest prompts.

        A client that heard nothing of a state it reads here resubscribes.
        """
        frame: Frame = {"type": "pong", "prompts": []}
        if not thread_id:
            return frame
        who = connection.principal
        thread = await self.threads.thread(who.account, thread_id)
        if thread is None or thread.deleted or not who.sees(thread):
            raise NoSuchThread
        query = PromptQuery(
            who.account, None, thread_id=thread_id, descending=True, limit=JUST_FINISHED
        )
        newest = (await self.prompts.prompts(query)).items
        head = await self.prompts.thread_head(who.account, thread_id)
        listed = {prompt.id for prompt in newest}
        older = [turn.prompt_id for turn in head.open_turns if turn.prompt_id not in listed]
        states = map(prompt_state, [*newest, *await self._prompts(who.account, older)])
        fitting = _fitting(states, FRAME_BYTES - ROOM_FOR_IDS)
        return frame | {
            "threadId": thread_id,
            "prompts": sorted(fitting, key=lambda state: int(state["turn"])),
        }

    async def disconnect(self, connection_id: str) -> None:
        """Forget a connection and its subscriptions."""
        await self.subscribers.drop_connection(connection_id)


def _fitting(states: Iterable[Frame], room: int) -> list[Frame]:
    """As many of the first states as fit in so many bytes."""
    fitting: list[Frame] = []
    for state in states:
        room -= len(encoded(state)) + 1
        if room < 0:
            break
        fitting.append(state)
    return fitting
