"""The WebSocket's events: a connection opens, sends frames, closes."""

from dataclasses import dataclass

from parley.core.access import Principal, bare_key
from parley.core.errors import ParleyError, Unauthenticated
from parley.core.events import Frame, error_frame, prompt_frame
from parley.ports import UNKNOWN_CONNECTION, Connection, Post, Publisher
from parley.usecases.cancel import Cancel
from parley.usecases.follow import Follow
from parley.usecases.keys import Authenticate
from parley.wire import frames


@dataclass(frozen=True, slots=True)
class Socket:
    """What the socket function does with each event."""

    authenticate: Authenticate
    follow: Follow
    cancel: Cancel
    publisher: Publisher

    async def connect(self, connection_id: str, token: str) -> None:
        """Let a connection in; raises Unauthenticated, TooManyConnections, Busy, Unavailable.

        Nothing is posted: API Gateway knows the connection only after this has returned.
        """
        principal = await self.authenticate(bare_key(token))
        await self.follow.connect(principal, connection_id)
        # Who revokes a key marks it and then ends its connections; here the connection is
        # stored and then the key is read, not remembered: one of the two sees the other.
        # Or somebody who only listens would do so for two hours with a revoked key.
        try:
            await self.authenticate.stored(principal.key_hash)
        except ParleyError:
            await self.follow.disconnect(connection_id)
            raise

    async def disconnect(self, connection_id: str) -> None:
        """Forget a closed connection."""
        await self.follow.disconnect(connection_id)

    async def receive(self, connection_id: str, body: str) -> None:
        """Do what a frame asks for and post the answer, an `error` frame if it is refused."""
        try:
            connection, principal = await self._who(connection_id)
        except Unauthenticated as error:
            await self._end(connection_id, error_frame(str(error)))
            return
        except ParleyError as error:
            await self._post(connection_id, error_frame(str(error)))
            return
        answer = await self._answer(connection, principal, body)
        if answer is not None:
            await self._post(connection_id, answer)

    async def _who(self, connection_id: str) -> tuple[Connection, Principal]:
        """The connection and its key's owner, asked for with every frame: keys are revoked."""
        connection = await self.follow.subscribers.connection(connection_id)
        if connection is None:
            raise Unauthenticated(UNKNOWN_CONNECTION)
        return connection, await self.authenticate.by_hash(connection.key_hash)

    async def _answer(
        self, connection: Connection, principal: Principal, body: str
    ) -> Frame | None:
        echo: dict[str, str] = {}
        try:
            frame = frames.client_frame(body)
            echo = frames.echo(frame)
            return await self._do(connection, principal, frame)
        except frames.FrameRefused as error:
            return error_frame(str(error), **error.echo)
        except ParleyError as error:
            return error_frame(str(error), **echo)

    async def _do(
        self, connection: Connection, principal: Principal, frame: frames.ClientFrame
    ) -> Frame | None:
        match frame:
            case frames.Subscribe(thread_id=thread_id, known=known):
                places = {prompt: (it.attempt, it.offset) for prompt, it in known.items()}
                return await self.follow.subscribe(connection, thread_id, places)
            case frames.Unsubscribe(thread_id=thread_id):
                await self.follow.unsubscribe(connection, thread_id)
                return None
            case frames.Cancel(prompt_id=prompt_id):
                return prompt_frame(await self.cancel(principal, prompt_id))
            case frames.Ping(thread_id=thread_id):
                return await self.follow.pong(connection, thread_id or "")

    async def _post(self, connection_id: str, frame: Frame) -> None:
        """Post, once more if it is not known to have arrived: all answers bear repeating."""
        post = await self.publisher.post(connection_id, frame)
        if post is Post.UNKNOWN:
            post = await self.publisher.post(connection_id, frame)
        if post is Post.GONE:
            await self.follow.disconnect(connection_id)

    async def _end(self, connection_id: str, frame: Frame) -> None:
        await self._post(connection_id, frame)
        await self.follow.disconnect(connection_id)
        await self.publisher.disconnect(connection_id)
