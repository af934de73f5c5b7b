"""Where a session key is looked for. The server never sets the cookie, it reads it."""

from collections.abc import Mapping

COOKIE = "session_key"


def session_key_of(query: str, body: str | None, cookies: Mapping[str, str]) -> str:
    """The key as it was sent: in the query, else in the body, else in the cookie; or "".

    The component appends a slash to what it has in the query. What is malformed is not
    passed over for the next place: the caller is to be told.
    """
    return query.rstrip("/") or body or cookies.get(COOKIE, "")
