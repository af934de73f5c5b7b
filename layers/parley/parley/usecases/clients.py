"""Read llm_clients, find the one that a call is for, and say who may chat with it."""

import time
from collections.abc import Callable, Sequence

from parley.core.access import KeyRole, Principal
from parley.core.address import ClientRef
from parley.core.errors import Forbidden, NoSuchLlmClient, NotFound, Unauthenticated
from parley.core.llm_client import LlmClient, client_of
from parley.core.plugin import StaticPlugin, plugin_of
from parley.core.remembered import Remembered
from parley.core.resource import Kind, Resource
from parley.ports import Page, ResourceStore

# Short, so that whoever changes a manifest soon sees the effect.
REMEMBER_SECONDS = 5
ANOTHERS = "this key is for another llm_client"


class Clients:
    """llm_clients, remembered for some seconds."""

    def __init__(
        self, resources: ResourceStore, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.resources = resources
        self.remembered = Remembered[ClientRef, LlmClient](REMEMBER_SECONDS, monotonic)

    async def find(self, ref: ClientRef) -> LlmClient:
        """Raises NotFound."""
        if known := self.remembered.get(ref):
            return known
        resource = await self._stored(ref)
        if resource is None:
            raise NoSuchLlmClient
        client = client_of(resource)
        self.remembered.put(ref, client)
        return client

    async def page(self, account: str, limit: int, after: str) -> Page[LlmClient]:
        """Those of an account, by name."""
        page = await self.resources.resources(account, Kind.LLM_CLIENT, limit, after)
        return Page([client_of(one) for one in page.items], page.after)

    async def plugins(self, client: LlmClient) -> Sequence[StaticPlugin]:
        """Those that are attached, in their order; in one read."""
        found = await self.resources.some(client.account, Kind.PLUGIN, client.plugins)
        by_name = {one.name: plugin_of(one) for one in found}
        return [by_name[name] for name in client.plugins if name in by_name]

    async def _stored(self, ref: ClientRef) -> Resource | None:
        if ref.host:
            return await self.resources.by_host(ref.host)
        if ref.number:
            return await self.resources.by_number(ref.account, Kind.LLM_CLIENT, ref.number)
        if "-" in ref.name:
            return await self._by_label(ref)
        if not ref.name:
            return None
        return await self.resources.resource(ref.account, Kind.LLM_CLIENT, ref.name)

    async def _by_label(self, ref: ClientRef) -> Resource | None:
        """By a host's label, in one read: "_" in a name is "-" there.

        No two names of an account have the same label.
        """
        names = (ref.name, ref.name.replace("-", "_"))
        found = await self.resources.some(ref.account, Kind.LLM_CLIENT, names)
        return max(found, key=lambda one: one.name == ref.name, default=None)

    def forget(self) -> None:
        """Read anew from now on: a manifest was applied in this very process."""
        self.remembered.forget_all()

    async def enter(self, ref: ClientRef, caller: Principal | None, *, sandbox: bool) -> LlmClient:
        """The llm_client, if the caller may chat with it.

        `caller` is who the API key belongs to, None for nobody. A deployed llm_client is
        public unless a key is attached to it; the sandbox is never. Where it is public, the
        key of another account or llm_client is as good as none. Raises NotFound (also for a
        named one that is not deployed, and for a key of another account), Unauthenticated,
        Forbidden.
        """
        if sandbox and caller is None:
            raise Unauthenticated("the sandbox needs an API key")
        try:
            client = await self.find(ref)
        except NotFound:
            if caller is not None and caller.role is KeyRole.CLIENT and sandbox:
                # Such a key is in a page: it must not count the account's llm_clients.
                raise Forbidden(ANOTHERS) from None
            raise
        if not sandbox and not client.deployed:
            raise NoSuchLlmClient
        if caller is not None:
            self._check(client, caller, sandbox=sandbox)
        elif client.api_key:
            raise Forbidden("this llm_client needs an API key")
        return client

    @staticmethod
    def _check(client: LlmClient, caller: Principal, *, sandbox: bool) -> None:
        # A key of somebody else is as good as none: on a public address that is enough.
        public = not sandbox and not client.api_key
        if public:
            return
        if caller.account != client.account:
            if sandbox:
                raise NoSuchLlmClient
            raise Forbidden("this llm_client needs an API key")
        if is_of_another(caller, client):
            raise Forbidden(ANOTHERS)


def is_of_another(caller: Principal, client: LlmClient) -> bool:
    """True if it is a key for one llm_client, and not for this one."""
    bound = caller.role is KeyRole.CLIENT
    return bound and not client.meant_by(caller.client, caller.client_number)
