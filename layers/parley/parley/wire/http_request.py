"""A request as API Gateway hands it over, made plain before anything looks at it.

Every difference between API Gateway, its emulator and the published clients ends here:
percent-encoded or decoded paths, trailing slashes, base64, compressed bodies, bodies
without a content type.
"""

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Never
from urllib.parse import unquote

from parley.core.errors import Invalid, TooLarge
from parley.wire.errors import UnsupportedEncoding

# Three times what a text may have, and room for a body whose text is all escapes.
BODY_LIMIT = 1024 * 1024
GZIP_WINDOW = 31


@dataclass(frozen=True, slots=True)
class Request:
    """Who wants what; the body is not read yet."""

    event: Mapping[str, Any]
    method: str
    path: str
    headers: Mapping[str, str]

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> "Request":
        """The request of an HTTP API event, payload format 2.0."""
        context = event.get("requestContext") or {}
        path = event.get("rawPath") or "/"
        stage = context.get("stage") or "$default"
        if stage != "$default":
            path = path.removeprefix(f"/{stage}")
        return cls(
            event=event,
            method=str((context.get("http") or {}).get("method", "")).upper(),
            path=plain_path(path),
            headers={name.lower(): text for name, text in (event.get("headers") or {}).items()},
        )

    def plain(self) -> dict[str, Any]:
        """The event as the router takes it: plain path, decoded body, the body being JSON."""
        return {
            **self.event,
            "rawPath": self.path,
            "requestContext": {**self.event["requestContext"], "stage": "$default"},
            "headers": {**self.headers, "content-type": "application/json"},
            "body": self._body(),
            "isBase64Encoded": False,
        }

    def _body(self) -> str:
        raw = self.event.get("body") or ""
        if len(raw) > BODY_LIMIT * 4 // 3 + 4:
            _too_large()
        try:
            data = base64.b64decode(raw) if self.event.get("isBase64Encoded") else raw.encode()
        except (binascii.Error, UnicodeEncodeError):
            raise Invalid("Invalid JSON") from None
        encoding = self.headers.get("content-encoding", "identity").strip().lower()
        if encoding == "gzip":
            data = unzipped(data)
        elif encoding not in {"identity", ""}:
            raise UnsupportedEncoding("a body may be plain or gzip")
        if len(data) > BODY_LIMIT:
            _too_large()
        try:
            return data.decode().strip()
        except UnicodeDecodeError:
            raise Invalid("Invalid JSON") from None


def plain_path(path: str) -> str:
    """Each segment decoded, without slashes at the end. API Gateway has decoded it already.

    An encoded slash stays encoded: it belongs to an id (and so makes it an invalid one).
    """
    segments = (unquote(segment).replace("/", "%2F") for segment in path.split("/"))
    return "/".join(segments).rstrip("/") or "/"


def unzipped(data: bytes) -> bytes:
    """The body of a gzip one, decompressed no further than the limit."""
    if not data:
        return data
    inflater = zlib.decompressobj(wbits=GZIP_WINDOW)
    try:
        body = inflater.decompress(data, BODY_LIMIT + 1)
    except zlib.error:
        raise Invalid("the body is not valid gzip") from None
    if len(body) > BODY_LIMIT:
        _too_large()
    if not inflater.eof or inflater.unused_data:
        raise Invalid("the body is not valid gzip")
    return body


def parsed(text: str) -> dict[str, Any]:
    """The object of a JSON text; raises Invalid."""
    try:
        body = json.loads(text, parse_constant=_no_constant)
        if "\\u" in text:  # an escape may be half of a character, which nobody can store
            json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Invalid("Invalid JSON") from None
    if not isinstance(body, dict):
        raise Invalid("the body must be a JSON object")
    return body


def _no_constant(name: str) -> Never:
    raise ValueError(name)


def _too_large() -> Never:
    raise TooLarge(f"the body is larger than {BODY_LIMIT // 1024} KB")
