"""Where a session key is looked for. The server never sets the cookie, it reads it."""

from parley.core.errors import Forbidden
from parley.wire.http_calls import ChatCall

COOKIE = "session_key"
FOREIGN = (
    "a page of another site cannot use this site's session cookie: "
    "its origin is not in the llm_client's allowedOrigins"
)


def session_key_of(call: ChatCall, query: str, body: str | None = None) -> str:
    """The key as it was sent: in the query, else in the body, else in the cookie; or "".

    The component appends a slash to what it has in the query. What is malformed is not
    passed over for the next place: the caller is to be told.

    A browser sends the cookie along with whatever any page posts, and that the page cannot
    read the answer keeps nothing from being done. So the cookie alone is no key there: raises
    Forbidden. Who puts the key into the call itself knows it, wherever the call comes from.
    """
    if sent := query.rstrip("/") or body:
        return sent
    cookie = call.request.cookies.get(COOKIE, "")
    if cookie and call.foreign:
        raise Forbidden(FOREIGN)
    return cookie
