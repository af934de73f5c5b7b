"""Authenticate a caller; make, list and revoke keys; start an account."""

import contextlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from parley.core.access import ApiKey, KeyRole, Principal, checked_id, key_hash
from parley.core.errors import (
    Busy,
    Forbidden,
    Invalid,
    NoSuchKey,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from parley.core.remembered import Remembered
from parley.core.resource import Kind
from parley.ports import (
    Clock,
    Connection,
    Ids,
    KeyStore,
    Publisher,
    ResourceStore,
    SubscriberStore,
)
from parley.usecases.waiting import every

# A revoked key is refused everywhere after at most this long.
REMEMBER_SECONDS = 50
NAME_CAP = 100
TOKEN_SECONDS = 3600
CLIENT_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}")


class Authenticate:
    """Turns a key into who is calling, remembering keys for less than a minute."""

    def __init__(self, keys: KeyStore, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.keys = keys
        self.remembered = Remembered[str, Principal](REMEMBER_SECONDS, monotonic)

    async def __call__(self, key: str) -> Principal:
        """Raises Unauthenticated for no key, an unknown or a revoked one."""
        if not key:
            raise Unauthenticated("no key was sent")
        return await self.by_hash(key_hash(key))

    async def by_hash(self, hash_: str) -> Principal:
        """Who a stored key belongs to; raises Unauthenticated."""
        return self.remembered.get(hash_) or await self.stored(hash_)

    async def stored(self, hash_: str) -> Principal:
        """Who a key belongs to by what is stored now; raises Unauthenticated."""
        self.remembered.forget(hash_)
        stored = await self.keys.key(hash_)
        if stored is None or stored.revoked_at or not await self._maker_is_good(stored):
            raise Unauthenticated("the key is unknown or revoked")
        principal = Principal(
            stored.account,
            stored.user_id,
            stored.role,
            hash_,
            stored.client,
            stored.made_by,
            stored.expires_at,
            stored.client_number,
        )
        self.remembered.put(hash_, principal)
        return principal

    async def _maker_is_good(self, key: ApiKey) -> bool:
        """Or whoever made tokens with a stolen key would have an hour after its revocation."""
        if not key.made_by:
            return True
        maker = await self.keys.key(key.made_by)
        return maker is not None and not maker.revoked_at


@dataclass(frozen=True, slots=True)
class Keys:
    """Calls of an account's admin on its keys."""

    keys: KeyStore
    subscribers: SubscriberStore
    publisher: Publisher
    clock: Clock
    ids: Ids
    resources: ResourceStore

    async def create(
        self, principal: Principal, user_id: str, role: KeyRole, name: str, client: str = ""
    ) -> tuple[ApiKey, str]:
        """A new key of the account, as stored, and the key itself: shown this once.

        `client` is the llm_client of a client's key. Raises Invalid for a user id or
        llm_client outside the form, a role without what belongs to it, or a name over 100
        characters, NotFound if there is no such llm_client.
        """
        principal.require_admin()
        _check_role(role, client)
        name = name.strip()
        if len(name) > NAME_CAP:
            raise Invalid(f"name is longer than {NAME_CAP} characters")
        key = ApiKey(
            account=principal.account,
            id=self.ids.new("key"),
            hash="",
            user_id=checked_id(user_id or self.ids.new("usr"), "userId"),
            role=role,
            name=name,
            created_at=self.clock.now(),
            client=client,
            client_number=await self._number(principal.account, client),
        )
        return await issue(self.keys, self.ids, key)

    async def _number(self, account: str, client: str) -> int:
        """The number of the llm_client that has this name now; 0 for no name."""
        if not client:
            return 0
        found = await self.resources.resource(account, Kind.LLM_CLIENT, client)
        if found is None:
            raise NotFound(f"there is no LLMClient {client}; apply it first")
        return found.number

    async def token(self, principal: Principal, client: str, number: int) -> tuple[str, int]:
        """A key for the page of an llm_client: it may only chat there, and ends by itself.

        The key, and when it ends, in seconds. Admins' and users' keys make them.
        """
        if principal.role not in {KeyRole.ADMIN, KeyRole.USER}:
            raise Forbidden("this key may only chat")
        now = self.clock.now()
        key = ApiKey(
            account=principal.account,
            id=self.ids.new("key"),
            hash="",
            user_id=self.ids.new("usr"),
            role=KeyRole.CLIENT,
            name="page",
            created_at=now,
            client=client,
            expires_at=now // 1000 + TOKEN_SECONDS,
            made_by=principal.key_hash,
            client_number=number,
        )
        stored, secret = await issue(self.keys, self.ids, key)
        return secret, stored.expires_at

    async def list(self, principal: Principal) -> Sequence[ApiKey]:
        """The keys of the account, without the keys themselves."""
        principal.require_admin()
        return await self.keys.keys(principal.account)

    async def revoke(self, principal: Principal, key_id: str) -> ApiKey:
        """Revoke a key and end the sockets that were opened with it or a token it made.

        Raises NotFound, Invalid for the caller's own.
        """
        principal.require_admin()
        stored = {key.id: key for key in await self.keys.keys(principal.account)}
        if key_id not in stored:
            raise NoSuchKey
        if stored[key_id].hash == principal.key_hash:
            raise Invalid("a key cannot revoke itself")
        revoked = await self.keys.revoke_key(principal.account, key_id, self.clock.now())
        if revoked is None:
            raise NoSuchKey
        connections = await self.subscribers.connections_of_key(principal.account, revoked.hash)
        # Forgotten first: from then on nothing is posted to them, whether or not the
        # gateway can be told just now to close them.
        await every(self.subscribers.drop_connection(c.id) for c in connections)
        await every(self._close(connection) for connection in connections)
        return revoked

    async def _close(self, connection: Connection) -> None:
        with contextlib.suppress(Busy, Unavailable):
            await self.publisher.disconnect(connection.id)


def _check_role(role: KeyRole, client: str) -> None:
    if (role is KeyRole.CLIENT) != bool(client):
        raise Invalid("llmClient must be given for the role client, and only then")
    if client and not CLIENT_NAME.fullmatch(client):
        raise Invalid(
            "llmClient is the name of an llm_client: letters, digits, _ and -, at most 63"
        )


async def issue(keys: KeyStore, ids: Ids, key: ApiKey) -> tuple[ApiKey, str]:
    """Store a key with a fresh secret; what is stored, and the secret: 256 random bits."""
    secret = ids.token()
    stored = replace(key, hash=key_hash(secret))
    await keys.put_key(stored)
    return stored, secret
