"""No cookies: what keeps the calls of accounts, and of people, apart from each other."""

from http.cookiejar import CookieJar
from typing import Any


class NoCookies(CookieJar):
    """A jar that stays empty.

    A client's connections serve all accounts. What a server says to remember for one would
    be sent along with the requests of the others, if they ask the same host.
    """

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Remembers nothing, and does not even parse what the server sent."""
