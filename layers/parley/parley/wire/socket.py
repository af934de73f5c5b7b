"""The WebSocket's events: a connection opens, sends frames, closes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from parley.core.access import KeyRole, Principal, bare_key
from parley.core.address import ACCOUNT, NAME, ClientRef
from parley.core.errors import Forbidden, NoSuchLlmClient, NotFound, ParleyError, Unauthenticated
from parley.core.events import Frame, error_frame, prompt_frame
from parley.core.llm_client import LlmClient
from parley.core.session import session_principal
from parley.ports import UNKNOWN_CONNECTION, Connection, Post, Publisher
from parley.usecases.cancel import Cancel
from parley.usecases.clients import Clients, is_of_another
from parley.usecases.follow import Follow
from parley.usecases.keys import Authenticate
from parley.usecases.sessions import Sessions
from parley.wire import frames


@dataclass(frozen=True, slots=True)
class Socket:
    """What the socket function does with each event."""

    authenticate: Authenticate
    clients: Clients
    sessions: Sessions
    follow: Follow
    cancel: Cancel
    publisher: Publisher

    async def connect(self, connection_id: str, query: Mapping[str, str]) -> None:
        """Let a connection in; raises Unauthenticated, Forbidden, NotFound, Invalid,
        TooManyConnections, Busy, Unavailable.

        `query` has an API key as `token`, or a session: `session_key`, with the `account`
        and `llm_client` it belongs to, and `token` too if the llm_client needs a key; where
        it needs none, a wrong one and another llm_client's count as none.
        Nothing is posted: API Gateway knows the connection only after this has returned.
        """
        principal = await self._caller(query)
        await self.follow.connect(principal, connection_id)
        if not principal.key_hash:
            return
        # Who revokes a key marks it and then ends its connections; here the connection is
        # stored and then the key is read, not remembered: one of the two sees the other.
        # Or somebody who only listens would do so for two hours with a revoked key.
        try:
            await self.authenticate.stored(principal.key_hash)
        except ParleyError:
            await self.follow.disconnect(connection_id)
            raise

    async def _caller(self, query: Mapping[str, str]) -> Principal:
        """Who connects."""
        token = bare_key(query.get("token", ""))
        session_key = query.get("session_key", "")
        if not session_key:
            principal = await self.authenticate(token)
            if principal.role is KeyRole.CLIENT:
                raise Forbidden("this key is for chatting: connect with a session_key")
            return principal
        ref = ClientRef(query.get("account", ""), query.get("llm_client", "").lower())
        if not ACCOUNT.fullmatch(ref.account) or not NAME.fullmatch(ref.name):
            raise NoSuchLlmClient
        holder, client = await self._entered(ref, token)
        session = await self.sessions.require(client, session_key)
        who = session_principal(session.thread)
        if holder is None:
            return who
        # The connection ends with the key it was opened with, and with that key's maker.
        return replace(
            who,
            key_hash=holder.key_hash,
            made_by=holder.made_by,
            expires_at=holder.expires_at,
        )

    async def _entered(self, ref: ClientRef, token: str) -> tuple[Principal | None, LlmClient]:
        """Whose key was sent, None for nobody's, and the llm_client that it is let into.

        As on the llm_client's host: a wrong key is as good as none where none is needed, and
        where one is needed it is refused as such; another account's or llm_client's is none.
        Who has one may chat with what is not deployed yet, as in the sandbox.
        """
        holder, wrong = None, None
        try:
            holder = await self.authenticate(token) if token else None
        except Unauthenticated as error:
            wrong = error
        if holder is not None and (
            holder.account != ref.account or is_of_another(holder, await self.clients.find(ref))
        ):
            holder = None
        try:
            return holder, await self.clients.enter(ref, holder, sandbox=holder is not None)
        except Forbidden as error:
            raise wrong or error from None

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
        opener = connection.principal
        key = opener.key_hash
        holder = await self.authenticate.by_hash(key) if key else None
        if opener.role is not KeyRole.SESSION:
            return connection, holder or await self.authenticate("")
        # An llm_client may be taken down, or get a key attached, while sessions are open.
        ref = ClientRef(opener.account, opener.client)
        try:
            client = await self.clients.enter(ref, holder, sandbox=holder is not None)
        except (NotFound, Forbidden) as error:
            raise Unauthenticated(str(error)) from None
        if client.number != opener.client_number:
            # Its own was deleted: this one has its name only.
            raise Unauthenticated(NoSuchLlmClient.text)
        return connection, opener

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
