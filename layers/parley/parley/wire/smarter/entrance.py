"""The way into an llm_client: who is calling, whether they may, and from which page."""

from dataclasses import dataclass, field

from parley.core.access import KeyRole, Principal, bare_key
from parley.core.address import Address, What
from parley.core.errors import NotFound, ParleyError
from parley.core.llm_client import LlmClient
from parley.wire.http_calls import Api, ChatCall, HttpObserver, Run
from parley.wire.http_request import Request
from parley.wire.smarter import cors

CHATS = {What.CONFIG, What.CHAT, What.CANCEL, What.RETRY, What.ROOT}


@dataclass
class Entrance:
    """One call at the address of an llm_client.

    It stays after the call was refused: a page must be able to read the refusal, and for
    that the llm_client has to say whether it may.
    """

    api: Api
    run: Run
    observer: HttpObserver
    request: Request
    address: Address
    started: float
    caller: Principal | None = None
    client: LlmClient | None = None
    _looked: bool = field(default=False, init=False)

    def enter(self) -> ChatCall:
        """Let the caller in; raises NotFound, Unauthenticated, Forbidden.

        No key, and the empty one that the published component sends, is anonymous; a wrong
        one is refused also where none is needed.
        """
        key = bare_key(self.request.headers.get("authorization", ""))
        if key:
            self.caller = self.run(self.api.authenticate(key))
        entering = self.api.chats.clients.enter(
            self.address.of(self._account()), self.caller, sandbox=self.address.sandbox
        )
        self.client = self.run(entering)
        return ChatCall(
            api=self.api,
            client=self.client,
            caller=self.caller,
            key=key,
            observer=self.observer,
            started=self.started,
            request=self.request,
            address=self.address,
        )

    def shown(self) -> LlmClient:
        """The llm_client whose page is asked for; raises NotFound unless it is deployed.

        The page has no data in it. Where a key is needed it asks for one.
        """
        self.client = self.run(self.api.chats.clients.find(self.address.ref))
        if not self.client.deployed:
            raise NotFound("no such llm_client")
        return self.client

    def cors(self) -> dict[str, str]:
        """The CORS headers of whatever is answered."""
        origin = self.request.headers.get("origin", "")
        return cors.headers_for(origin, allowed=bool(origin) and self._allows(origin))

    def _allows(self, origin: str) -> bool:
        chats = self.api.chats
        client = self.client or self._looked_up()
        if client is not None:
            return cors.allows(client, origin, self.request.origin, chats.domain, chats.environment)
        # A preflight has no key, so in the sandbox nobody knows yet whose number it is.
        # What it lets through meets the llm_client's own list, and has nothing without a key.
        listed = self.api.allowed_origins
        unknown = self.address.sandbox and self.caller is None
        return unknown and (
            "*" in listed or origin in listed or cors.developed(origin, chats.domain)
        )

    def _looked_up(self) -> LlmClient | None:
        if self.address.sandbox and self.caller is None:
            return None
        try:
            found = self.run(self.api.chats.clients.find(self.address.of(self._account())))
        except ParleyError:
            return None
        # The headers of a refusal must not tell what it hides: that there is a draft, say.
        hidden = self.address.sandbox and self._is_of_another(found)
        return found if (self.address.sandbox or found.deployed) and not hidden else None

    def _is_of_another(self, client: LlmClient) -> bool:
        caller = self.caller
        bound = caller is not None and caller.role is KeyRole.CLIENT
        return bound and caller is not None and caller.client != client.name

    def _account(self) -> str:
        return self.caller.account if self.caller else ""


def refuses_role(principal: Principal) -> bool:
    """True for keys that open an llm_client's chat and nothing else."""
    return principal.role in {KeyRole.CLIENT, KeyRole.SESSION}
