"""The way into an llm_client: who is calling, whether they may, and from which page."""

from dataclasses import dataclass

from parley.core.access import KeyRole, Principal, bare_key
from parley.core.address import Address
from parley.core.errors import Forbidden, NoSuchLlmClient, ParleyError, Unauthenticated
from parley.core.llm_client import LlmClient
from parley.usecases.clients import is_of_another
from parley.wire.http_calls import Api, ChatCall, RunToEnd
from parley.wire.http_request import Request
from parley.wire.smarter import cors


@dataclass
class Entrance:
    """One call at the address of an llm_client.

    It stays after the call was refused: a page must be able to read the refusal, and for
    that the llm_client has to say whether it may.
    """

    api: Api
    run: RunToEnd
    request: Request
    address: Address
    started: float
    caller: Principal | None = None
    client: LlmClient | None = None

    def enter(self) -> ChatCall:
        """Let the caller in; raises NotFound, Unauthenticated, Forbidden.

        No key, and the empty one that the published component sends, is anonymous. So is a
        wrong one at a public address: the component sends its site's `sessionid` as a key,
        where it can read one. So is there the key of another llm_client. Where a key is
        needed, a wrong one is refused as such.
        """
        key = bare_key(self.request.headers.get("authorization", ""))
        wrong = self._authenticate(key) if key else None
        entering = self.api.chats.clients.enter(
            self.address.of(self._account()), self.caller, sandbox=self.address.sandbox
        )
        try:
            self.client = client = self.run(entering)
        except (Forbidden, Unauthenticated) as error:
            raise wrong or error from None
        if self._is_of_another(client):  # and yet let in: it is public
            self.caller, key = None, ""
        return ChatCall(
            api=self.api,
            client=client,
            caller=self.caller,
            key="" if wrong else key,
            started=self.started,
            request=self.request,
            address=self.address,
            foreign=bool(self._origin) and not self._allows(self._origin),
        )

    def _authenticate(self, key: str) -> Unauthenticated | None:
        """Take the key's owner for the caller; what is to be said if it has none."""
        try:
            self.caller = self.run(self.api.authenticate(key))
        except Unauthenticated as error:
            return error
        return None

    def shown(self) -> LlmClient:
        """The llm_client whose page is asked for; raises NotFound unless it is deployed.

        The page has no data in it, and needs no key: where the chat needs one, that says so.
        """
        self.client = self.run(self.api.chats.clients.find(self.address.ref))
        if not self.client.deployed:
            raise NoSuchLlmClient
        return self.client

    def cors(self) -> dict[str, str]:
        """The CORS headers of whatever is answered."""
        origin = self._origin
        return cors.headers_for(origin, allowed=bool(origin) and self._allows(origin))

    @property
    def _origin(self) -> str:
        """Of the page that calls, as its browser says; empty if it is no page."""
        return self.request.headers.get("origin", "")

    def _allows(self, origin: str) -> bool:
        chats = self.api.chats
        client = self.client or self._looked_up()
        if client is not None:
            own = self.request.called_origin
            return cors.allows(client, origin, own, chats.domain, chats.environment)
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
        return self.caller is not None and is_of_another(self.caller, client)

    def _account(self) -> str:
        return self.caller.account if self.caller else ""


def refuses_role(principal: Principal) -> bool:
    """True for keys that open an llm_client's chat and nothing else."""
    return principal.role in {KeyRole.CLIENT, KeyRole.SESSION}
