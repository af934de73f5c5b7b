"""Addresses: from host and path to the llm_client and the call that are meant, and back.

One pure function reads every form there is (a named host, a custom host, the sandbox, the
command line's), and turns it into the one path that the endpoint has. What we print of
addresses is made here, too, so that a test can hold the two against each other.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from parley.core.llm_client import LlmClient, number_of

ENVIRONMENTS = ("local", "alpha", "beta", "next", "prod")
ACCOUNT = re.compile(r"[0-9]{4}-[0-9]{4}-[0-9]{4}")
LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
DOMAIN = re.compile(rf"(?=.{{1,253}}$){LABEL}(?:\.{LABEL})*")
NAMED = re.compile(
    rf"(?P<name>{LABEL})\.(?P<account>{ACCOUNT.pattern})"
    rf"(?:\.(?:{'|'.join(ENVIRONMENTS)}))?\.api\.(?P<domain>{LABEL}(?:\.{LABEL})*)"
)
NAME = re.compile(r"[A-Za-z0-9_-]{1,63}")
CLIENTS = "/api/v1/llm-clients"
CLI_CHAT = "/api/v1/cli/chat"


@dataclass(frozen=True, slots=True)
class ClientRef:
    """Which llm_client is meant: one of the three; `account` is empty for a host.

    In the sandbox the account is the caller's, which an address does not tell.
    """

    account: str = ""
    name: str = ""
    number: int = 0
    host: str = ""


class What(StrEnum):
    """What a call to an address is about."""

    CONFIG = "config"
    CHAT = "chat"
    CANCEL = "cancel"
    RETRY = "retry"
    ROOT = "root"
    PAGE = "page"
    WORKBENCH = "workbench"
    ASSET = "asset"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Address:
    """What a host and a path mean.

    `route` is the path under which the endpoint exists. `sandbox` says that the call needs
    a key, whose account is the llm_client's. `word` is which of the two words for chat
    was used. `ref` names nothing if what stands for the llm_client can be no one's.
    """

    ref: ClientRef
    what: What
    route: str = ""
    sandbox: bool = False
    word: str = "chat"

    def of(self, account: str) -> ClientRef:
        """The llm_client that a caller of this account means."""
        return replace(self.ref, account=account) if self.sandbox else self.ref


# What comes after the address of an llm_client.
_TAILS: dict[tuple[str, ...], tuple[What, str, str]] = {
    ("config",): (What.CONFIG, "config", "chat"),
    **{
        (word, *rest): (what, tail, word)
        for word in ("chat", "prompt")
        for rest, what, tail in (
            ((), What.CHAT, "chat"),
            (("config",), What.CONFIG, "config"),
            (("cancel",), What.CANCEL, "chat/cancel"),
            (("retry",), What.RETRY, "chat/retry"),
        )
    },
}


def locate(host: str, path: str, own_hosts: Sequence[str] = ()) -> Address | None:
    """What a call is about; None if it is one of the API's ordinary calls.

    `host` may have a port. The domain of a named host is not checked: API Gateway decides
    which hosts arrive. A named host answers for its llm_client and nothing else; any other
    host that is not our own (`own_hosts` besides the obvious ones) may be somebody's custom
    host, on which what is not chat's stays the API's.
    """
    bare = bare_host(host)
    segments = tuple(path.rstrip("/").split("/")[1:])
    asset = segments == ("embed.js",) or (len(segments) > 1 and segments[0] == "page")
    if asset:
        return Address(ClientRef(), What.ASSET)
    if named := NAMED.fullmatch(bare):
        ref = ClientRef(account=named["account"], name=named["name"])
        return _of_host(ref, segments) or Address(ref, What.NOTHING)
    ours = _sandbox(segments) or _cli(segments) or _workbench(segments)
    if ours or is_own(bare, own_hosts):
        return ours
    return _of_host(ClientRef(host=bare), segments)


def bare_host(host: str) -> str:
    """A host in lower case, without port and the dot that may end it; empty if it is none."""
    name, colon, port = host.strip().lower().rpartition(":")
    bare = name if colon and re.fullmatch(r"[0-9]*", port) else host.strip().lower()
    return bare.removesuffix(".") if DOMAIN.fullmatch(bare.removesuffix(".")) else ""


def is_own(bare: str, own_hosts: Sequence[str] = ()) -> bool:
    """True if a host is certainly the API's own and no one's custom host."""
    labels = bare.split(".")
    in_environment = labels[0] in ENVIRONMENTS and labels[1:2] == ["api"]
    return (
        len(labels) == 1
        or labels[0] == "api"
        or in_environment
        or "execute-api" in labels
        or _is_ip(bare)
        or bare in {bare_host(own) for own in own_hosts}
    )


def _is_ip(bare: str) -> bool:
    try:
        ipaddress.ip_address(bare)
    except ValueError:
        return False
    return True


def _of_host(ref: ClientRef, segments: tuple[str, ...]) -> Address | None:
    client = ref.name or ref.host
    if not segments:
        return Address(ref, What.ROOT, f"{CLIENTS}/{client}/config")
    return _at(ref, client, segments)


def _sandbox(segments: tuple[str, ...]) -> Address | None:
    if segments[:3] != ("api", "v1", "llm-clients") or len(segments) < 5:
        return None
    id_, tail = segments[3], segments[4:]
    return _at(ClientRef(number=number_of(id_) or 0), id_, tail, sandbox=True)


def _cli(segments: tuple[str, ...]) -> Address | None:
    words = {("chat",), ("prompt",), ("config",)}
    if segments[:3] != ("api", "v1", "cli") or segments[3:4] not in words:
        return None
    word, rest = segments[3], segments[4:]
    what = What.CHAT
    if word == "config":  # without a word for chat, as the other families have it
        word, what = "chat", What.CONFIG
    elif len(rest) == 2 and rest[0] == "config":
        what, rest = What.CONFIG, rest[1:]
    if len(rest) != 1:
        return Address(ClientRef(), What.NOTHING, sandbox=True, word=word)
    [name] = rest
    # Names are stored in lower case.
    ref = ClientRef(name=name.lower() if NAME.fullmatch(name) else "")
    route = f"{CLI_CHAT}/config/{name}" if what is What.CONFIG else f"{CLI_CHAT}/{name}"
    return Address(ref, what, route, sandbox=True, word=word)


def _workbench(segments: tuple[str, ...]) -> Address | None:
    if segments == ("workbench",):
        return Address(ClientRef(), What.WORKBENCH)
    if segments[:2] != ("workbench", "llm-clients") or len(segments) < 4:
        return None
    id_, tail = segments[2], segments[3:]
    ref = ClientRef(number=number_of(id_) or 0)
    if tail in {("chat",), ("prompt",)}:
        return Address(ref, What.PAGE, word=tail[0])
    # Where the page is, a program may read the config, and chats in the sandbox.
    found = _at(ref, id_, tail, sandbox=True)
    return found if found and found.what is What.CONFIG else None


def _at(
    ref: ClientRef, client: str, segments: tuple[str, ...], *, sandbox: bool = False
) -> Address | None:
    found = _TAILS.get(segments)
    if found is None:
        return None
    what, tail, word = found
    return Address(ref, what, f"{CLIENTS}/{client}/{tail}", sandbox, word)


# --- what we print -----------------------------------------------------------------------


def is_local(domain: str) -> bool:
    """True if a host is of this very machine, where there are no certificates."""
    bare = bare_host(domain)
    return bare in {"localhost", "127.0.0.1"} or bare.endswith(".localhost")


def scheme_of(domain: str) -> str:
    """How a host is called: https, but for this very machine."""
    return "http" if is_local(domain) else "https"


def named_host(client: LlmClient, domain: str, environment: str = "") -> str:
    """The host of an llm_client below an API's domain (`api.example.com`, may have a port).

    Empty if the API has no domain. Production's environment is not said.
    """
    between = f"{environment}." if environment not in {"", "prod"} else ""
    return f"{client.dns_name}.{client.account}.{between}{domain}" if domain else ""


def named_url(client: LlmClient, domain: str, environment: str = "") -> str:
    """The address of an llm_client's page, with a last slash; empty if there is no domain."""
    host = named_host(client, domain, environment)
    return f"{scheme_of(domain)}://{host}/" if host else ""


def sandbox_url(number: int, api: str) -> str:
    """Where to chat with an llm_client in the sandbox of an API, e.g. https://api.example.com."""
    return f"{api}{CLIENTS}/{number}/chat/"
