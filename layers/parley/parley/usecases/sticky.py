"""Sessions of callers who name themselves instead of keeping a session key.

A command line has no place for a secret of its own: it sends its API key and an id of the
machine. The session's key is made of both and of a random text that is kept for a day, so
nobody without the API key can come to it, and not with it alone after that day.
"""

import hashlib
import hmac
from dataclasses import dataclass

from parley.core.errors import Conflict, Invalid
from parley.core.llm_client import LlmClient
from parley.core.session import Session
from parley.ports import ChatStore, Clock, Ids
from parley.usecases.sessions import Sessions

UID_CAP = 200


@dataclass(frozen=True, slots=True)
class StickySessions:
    """The sessions of command lines."""

    sessions: Sessions
    chat: ChatStore
    clock: Clock
    ids: Ids

    async def __call__(
        self, client: LlmClient, api_key: str, uid: str, *, renew: bool, messages: bool = False
    ) -> Session:
        """The session that this key has with an llm_client on this machine.

        `renew` begins a new one; `messages` reads them along with it. Raises Invalid for a
        uid that is missing or too long.
        """
        if not uid or len(uid) > UID_CAP:
            raise Invalid(f"uid must have 1 to {UID_CAP} characters")
        try:
            key = await self._key(client, api_key, uid, renew=renew)
            return await self._resumed(client, key, messages)
        except Conflict:
            # Its session was deleted, or has expired unused: the key leads nowhere.
            key = await self._key(client, api_key, uid, renew=True)
            return await self.sessions.resume(client, key)

    async def _resumed(self, client: LlmClient, key: str, messages: bool) -> Session:
        """The session of the key; raises Conflict if it is no more.

        Race: two terminals make their first call at once, and both find no session. One
        makes it; the other is refused, looks again, and finds it. Had it a new one instead,
        what is said in the first would be lost to both.
        """
        try:
            return await self.sessions.resume(client, key, messages=messages)
        except Conflict:
            return await self.sessions.resume(client, key, messages=messages)

    async def _key(self, client: LlmClient, api_key: str, uid: str, *, renew: bool) -> str:
        who = f"{client.name}\n{uid}"
        id_ = _mac(api_key, f"id\n{who}")[:40]
        now = self.clock.now()
        nonce = await self.chat.sticky(client.account, id_, self.ids.token(), now, renew=renew)
        return _mac(api_key, f"{nonce}\n{who}")


def _mac(key: str, text: str) -> str:
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
