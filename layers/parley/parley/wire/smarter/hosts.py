"""What the contract tells of an llm_client's own host, of which no DNS is asked here."""

from parley.core.llm_client import LlmClient
from parley.wire.http_calls import Chats


def dns_status(chats: Chats, client: LlmClient) -> str:
    """`Verified` if a host of its own answers."""
    return "Verified" if _answers(chats, client) else "Not Verified"


def tls_status(chats: Chats, client: LlmClient) -> str:
    """`Issued` if a host of its own answers."""
    return "Issued" if _answers(chats, client) else "No Certificate"


def _answers(chats: Chats, client: LlmClient) -> bool:
    """Custom hosts work also where the API has no domain."""
    return client.deployed and bool(client.host or chats.domain)
