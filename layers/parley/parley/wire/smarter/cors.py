"""Which pages may call an llm_client, by the origin that their browser says.

Credentials are allowed, for the published component sends cookies along: so the origin is
echoed, never a `*`, and answers vary by it.
"""

from urllib.parse import urlsplit

from parley.core.address import is_local, named_host, scheme_of
from parley.core.llm_client import LlmClient

PREFLIGHT_SECONDS = "7200"
ALLOWED = {
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    # Those of contract 5, and `content-encoding`. Firefox and Safari ask for `user-agent`,
    # which the published component sets.
    "Access-Control-Allow-Headers": (
        "accept, accept-encoding, authorization, content-encoding, content-type, dnt, origin, "
        "user-agent, x-api-key, x-csrftoken, x-requested-with"
    ),
    "Access-Control-Allow-Credentials": "true",
    "Access-Control-Expose-Headers": "Retry-After",
}
VARY = {"Vary": "Origin"}


def allows(client: LlmClient, origin: str, own: str, domain: str, environment: str) -> bool:
    """True if pages of an origin may call the llm_client.

    Those are its own hosts' (`own` is the origin that was called), those that its manifest
    lists, and in development this machine's.
    """
    hosts = {own, f"{scheme_of(domain)}://{named_host(client, domain, environment)}"}
    if client.host:
        hosts.add(f"https://{client.host}")
    return origin in hosts or origin in client.allowed_origins or developed(origin, domain)


def developed(origin: str, domain: str) -> bool:
    """True for a page on this machine where the API is on it, too."""
    if not is_local(domain):
        return False
    try:
        host = urlsplit(origin).hostname
    except ValueError:
        return False
    return host in {"localhost", "127.0.0.1"}


def headers_for(origin: str, *, allowed: bool) -> dict[str, str]:
    """The headers of an answer to a page of this origin."""
    if not origin or not allowed:
        return dict(VARY)
    return {"Access-Control-Allow-Origin": origin, **VARY, **ALLOWED}
