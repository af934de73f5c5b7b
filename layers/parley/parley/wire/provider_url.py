"""Where a provider may be: what a catalogue's base URL has to look like.

The runner calls that URL from inside the account's cloud, with a secret. So it must not
lead to anything that is reachable from there only. Names are judged as they are written:
what the public DNS answers for them may change any time and is not looked at.

Hosts are plain ASCII, for what is not is changed by whoever calls it: the runner's HTTP
client makes a dot of an ideographic full stop, and digits of what is only like them.
"""

import ipaddress
import re
import socket
from urllib.parse import urlsplit

from parley.core.errors import Invalid

PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".intranet", ".lan", ".home.arpa")
# The others are not routed, or translated into an IPv4 address that may be any.
PUBLIC_IPV6 = ipaddress.IPv6Network("2000::/3")
LENGTH_CAP = 500
LABEL = "[A-Za-z0-9_-]{1,63}"
AUTHORITY = re.compile(rf"(?:{LABEL}(?:\.{LABEL})*\.?|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")


def checked_base_url(url: str, *, local_providers: bool) -> str:
    """The URL itself; raises Invalid. `local_providers` lets loopback be called, by http too."""
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        raise Invalid("baseUrl is not a URL") from None
    host = (parts.hostname or "").rstrip(".").lower()
    odd = any(character.isspace() or not character.isprintable() for character in url)
    if not host or not port_is_valid or odd or len(url) > LENGTH_CAP:
        raise Invalid("baseUrl is not a URL")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise Invalid("baseUrl must not carry credentials, a query or a fragment")
    if not AUTHORITY.fullmatch(parts.netloc):
        raise Invalid(
            "baseUrl must name its host in plain ASCII, an international name in its xn-- form"
        )
    local = local_providers and is_loopback(host)
    if parts.scheme not in ({"https", "http"} if local else {"https"}):
        raise Invalid("baseUrl must begin with https://")
    if not local and not public_host(host):
        raise Invalid("baseUrl must name a public host")
    return url


def is_loopback(host: str) -> bool:
    """True for names and addresses of the machine itself; `host` as of `public_host`."""
    address = _address(host)
    if address is None:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback


def public_host(host: str) -> bool:
    """False for names and addresses of a loopback, private, link-local or metadata host.

    `host`: plain, in small letters, without brackets or the last dot.
    """
    address = _address(host)
    if address is None:
        return "." in host and not host.endswith(PRIVATE_SUFFIXES)
    if isinstance(address, ipaddress.IPv6Address):
        # Of an address for another, the other counts.
        address = address.ipv4_mapped or address.sixtofour or address
        if isinstance(address, ipaddress.IPv6Address) and address not in PUBLIC_IPV6:
            return False
    return address.is_global and not address.is_multicast


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a host is, also in the short, octal and hexadecimal forms of IPv4."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None
