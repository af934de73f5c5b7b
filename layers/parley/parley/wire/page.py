"""The chat page's files as HTTP answers: `parley/page`, read once, with strict headers.

The HTML is static and holds nothing of any account. Assets are addressed under a hash of all
of them, `/page/<hash>/<file>`: a module that imports its neighbour gets the one of the same
version, and a browser keeps both for ever. The HTML is asked for again each time, by ETag.
"""

import hashlib
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

FOLDER = Path(__file__).parent.parent / "page"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".LICENSE": "text/plain; charset=utf-8",
}
DOCUMENTS = frozenset({"index.html", "workbench.html"})
EMBED = "embed.js"
CLIENT_PAGE = re.compile(r"/workbench/llm-clients/[A-Za-z0-9_-]+/(?:prompt|chat)")
ASSET = re.compile(r"/page/(?:(?P<version>[0-9a-f]{16})/)?(?P<name>[A-Za-z0-9_./-]+)")
FOR_EVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"
# Sites keep the script for a while, not for long: it has one address for all its versions.
EMBED_CACHE = "public, max-age=300"
PERMISSIONS = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
# Sites that somebody works on, on the machine that the API is on as well.
LOCAL_ORIGINS = (
    "http://localhost:*",
    "http://127.0.0.1:*",
    "https://localhost:*",
    "https://127.0.0.1:*",
)
Answer = dict[str, Any]


def page_answer(
    path: str,
    *,
    socket_url: str = "",
    frame_ancestors: Iterable[str] = (),
    if_none_match: str = "",
) -> Answer | None:
    """The answer to a GET of a page's path, or None if there is nothing of that name.

    Paths: `/`, `/workbench[/]`, `/workbench/llm-clients/{id}/prompt[/]`, `/embed.js`,
    `/page/<file>` and `/page/<version>/<file>`. `socket_url` is the WebSocket that the page
    may open. `frame_ancestors` are the origins that may show the page in a frame; what is no
    origin is left out, and without any it is the page's own only. `if_none_match` is the
    request's header of that name. The answer is `{"statusCode", "headers", "body"}`, as API
    Gateway takes it; 200, or 304 without a body.
    """
    plain = path.rstrip("/") or "/"
    if plain == "/" or CLIENT_PAGE.fullmatch(plain):
        return _document("index.html", socket_url, frame_ancestors, if_none_match)
    if plain == "/workbench":
        return _document("workbench.html", socket_url, (), if_none_match)
    if plain == f"/{EMBED}":
        return _answer(EMBED, EMBED_CACHE, {}, if_none_match)
    asset = ASSET.fullmatch(plain)
    if asset is None or asset["name"] in DOCUMENTS or asset["name"] not in _files():
        return None
    # An older version is no longer here. Its page gets all of this one, and keeps none of it.
    current = asset["version"] == version()
    return _answer(asset["name"], FOR_EVER if current else ASK_AGAIN, {}, if_none_match)


def absent_answer() -> Answer:
    """The chat page as a 404: it finds out itself that there is no chat, and says so."""
    answer = _document("index.html", "", (), "")
    headers = {**answer["headers"], "cache-control": "no-store"}
    del headers["etag"]
    return {**answer, "statusCode": 404, "headers": headers}


@cache
def version() -> str:
    """The hash that the assets are addressed by: 16 hex digits over all names and contents."""
    digest = hashlib.sha256()
    for name, text in sorted(_files().items()):
        digest.update(f"{name}\0{len(text)}\0{text}".encode())
    return digest.hexdigest()[:16]


@cache
def _files() -> dict[str, str]:
    """Every file of the page by its path within the folder."""
    found = (path for path in FOLDER.rglob("*") if path.is_file() and path.suffix in TYPES)
    return {path.relative_to(FOLDER).as_posix(): path.read_text("utf-8") for path in found}


@cache
def _text(name: str) -> str:
    """The file as it is sent: documents name the assets of this version."""
    if name in DOCUMENTS:
        return _files()[name].replace("{{assets}}", f"/page/{version()}/")
    return _files()[name]


@cache
def _etag(name: str) -> str:
    return f'"{hashlib.sha256(_text(name).encode()).hexdigest()[:32]}"'


def _document(
    name: str, socket_url: str, frame_ancestors: Iterable[str], if_none_match: str
) -> Answer:
    policy = content_security_policy(socket_url, frame_ancestors)
    headers = {
        "content-security-policy": policy,
        "permissions-policy": PERMISSIONS,
        # The same address answers JSON to those who do not ask for a page.
        "vary": "Accept",
    }
    return _answer(name, ASK_AGAIN, headers, if_none_match)


def content_security_policy(socket_url: str, frame_ancestors: Iterable[str]) -> str:
    """What the page may load, open and be shown in; nothing else, and no inline script."""
    socket = _origin(socket_url, {"ws", "wss"})
    ancestors = [_origin(one, {"http", "https"}) for one in frame_ancestors]
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' https: data:",
            f"connect-src 'self' {socket}".rstrip(),
            " ".join(("frame-ancestors 'self'", *filter(None, ancestors))),
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types dompurify",
        )
    )


def _origin(address: str, schemes: set[str]) -> str:
    """The origin of an address, or "": nothing that could end the directive comes through."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    if parts.scheme not in schemes or not re.fullmatch(r"[A-Za-z0-9.:*\[\]-]+", parts.netloc):
        return ""
    return f"{parts.scheme}://{parts.netloc}"


def _answer(name: str, caching: str, more: dict[str, str], if_none_match: str) -> Answer:
    headers = {
        "content-type": TYPES[Path(name).suffix],
        "cache-control": caching,
        "etag": _etag(name),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-resource-policy": "cross-origin" if name == EMBED else "same-origin",
        **more,
    }
    if _matches(if_none_match, _etag(name)):
        return {"statusCode": 304, "headers": headers, "body": ""}
    return {"statusCode": 200, "headers": headers, "body": _text(name)}


def _matches(if_none_match: str, etag: str) -> bool:
    """RFC 9110, section 13.1.2: a list of tags, weak or not."""
    tags = [one.strip().removeprefix("W/") for one in if_none_match.split(",")]
    return etag in tags or tags == ["*"]
