"""A request as API Gateway hands it over, made plain before anything looks at it.

Every difference between API Gateway, its emulator and the published clients ends here:
percent-encoded or decoded paths, trailing slashes, base64, compressed bodies, bodies
without a content type.
"""

import base64
import binascii
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Never
from urllib.parse import unquote

from parley.core.address import bare_host, is_local, scheme_of
from parley.core.errors import Invalid, TooLarge
from parley.wire.errors import UnsupportedEncoding

# Three times what a text may have, and room for a body whose text is all escapes.
BODY_LIMIT = 1024 * 1024
# What a Lambda function is given at most. The published component posts everything that was
# ever said on its page, what was refused as too long, too.
CONVERSATION_LIMIT = 6 * 1024 * 1024
GZIP_WINDOW = 31
# API Gateway goes by the type: what is said to be text arrives as text, its bytes replaced.
GZIP_AS_TEXT = "a gzip body needs another Content-Type than JSON or text, such as application/gzip"
# Half of a character, as JSON has it and in Python; JSON's may have its other half beside it.
HALF_ESCAPED = re.compile(r"\\u[dD][89a-fA-F]")
HALF = re.compile("[\ud800-\udfff]")
# A name below a top-level domain, which no address of digits is.
PUBLIC = re.compile(r"\.[a-z][a-z0-9-]*$")
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class Request:
    """Who wants what; the body is not read yet."""

    event: Mapping[str, Any]
    method: str
    path: str
    headers: Mapping[str, str]

    @property
    def host(self) -> str:
        """The host as the caller has it, with a port if one was said.

        From the header: API Gateway routes by it, and its emulator puts its own name into
        the request's context.
        """
        return self.headers.get("host", "").strip().lower()

    @property
    def told_host(self) -> str:
        """The host as we print it: a public name has neither a port nor a dot at its end.

        API Gateway has one port, so whatever else a caller sends leads nowhere.
        """
        bare = bare_host(self.host)
        return bare if PUBLIC.search(bare) and not is_local(bare) else self.host

    @property
    def origin(self) -> str:
        """The API's own origin as we print it, e.g. `https://api.example.com`."""
        return f"{self._scheme}://{self.told_host}"

    @property
    def called_origin(self) -> str:
        """The API's own origin as the browser has it whose page called."""
        return f"{self._scheme}://{self.host}"

    @property
    def _scheme(self) -> str:
        forwarded = self.headers.get("x-forwarded-proto", "")
        return forwarded if forwarded in {"http", "https"} else scheme_of(self.host)

    @property
    def source_ip(self) -> str:
        """Where the call came from; as API Gateway saw it, not as a header claims."""
        context = self.event.get("requestContext") or {}
        return str((context.get("http") or {}).get("sourceIp", ""))

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies by name; the first of several, which is the one of the nearest path."""
        sent = self.event.get("cookies") or self.headers.get("cookie", "").split(";")
        found: dict[str, str] = {}
        for cookie in sent:
            name, _, value = cookie.partition("=")
            found.setdefault(name.strip(), value.strip())
        return found

    @property
    def query(self) -> Mapping[str, str]:
        """The query's parameters by name, as API Gateway has decoded them."""
        return self.event.get("queryStringParameters") or {}

    @property
    def accepts_html(self) -> bool:
        """True for a browser that opens a page."""
        return "text/html" in self.headers.get("accept", "")

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

    def reading(self) -> "Request":
        """The GET that a HEAD stands for; else the request itself."""
        return replace(self, method="GET") if self.method == "HEAD" else self

    def plain(
        self,
        route: str = "",
        *,
        limit: int = BODY_LIMIT,
        mend: bool = False,
        any_text: bool = False,
    ) -> dict[str, Any]:
        """The event as the router takes it: plain path, decoded body, the body being JSON.

        `route` is the path that another one stands for, `limit` the body's in bytes. `mend`
        replaces what is only half of a character. `any_text` says that the body need not be
        JSON, so that no refusal speaks of it. Raises TooLarge, Invalid, UnsupportedEncoding.
        """
        body = self._body(limit, any_text=any_text)
        context = self.event["requestContext"]
        http = {**(context.get("http") or {}), "method": self.method}
        return {
            **self.event,
            "rawPath": route or self.path,
            "requestContext": {**context, "http": http, "stage": "$default"},
            "headers": {**self.headers, "content-type": "application/json"},
            "body": mended(body) if mend else body,
            "isBase64Encoded": False,
        }

    def text(self) -> str:
        """The body as text, for calls that take something else than JSON."""
        return self._body(BODY_LIMIT, any_text=True)

    def _body(self, limit: int, *, any_text: bool) -> str:
        raw = self.event.get("body") or ""
        if len(raw) > limit * 4 // 3 + 4:
            _too_large(limit)
        try:
            data = base64.b64decode(raw) if self.event.get("isBase64Encoded") else raw.encode()
        except (binascii.Error, UnicodeEncodeError):
            raise Invalid("Invalid JSON") from None
        encoding = self.headers.get("content-encoding", "identity").strip().lower()
        if encoding == "gzip":
            if raw and not self.event.get("isBase64Encoded"):
                raise Invalid(GZIP_AS_TEXT)
            data = unzipped(data, limit)
        elif encoding not in {"identity", ""}:
            raise UnsupportedEncoding("a body may be plain or gzip")
        if len(data) > limit:
            _too_large(limit)
        try:
            return data.decode().strip()
        except UnicodeDecodeError:
            raise Invalid("the body is not valid UTF-8" if any_text else "Invalid JSON") from None


def plain_path(path: str) -> str:
    """Each segment decoded, without slashes at the end. API Gateway has decoded it already.

    An encoded slash stays encoded: it belongs to an id (and so makes it an invalid one).
    """
    segments = (unquote(segment).replace("/", "%2F") for segment in path.split("/"))
    return "/".join(segments).rstrip("/") or "/"


def unzipped(data: bytes, limit: int) -> bytes:
    """The body of a gzip one, decompressed no further than the limit."""
    if not data:
        return data
    inflater = zlib.decompressobj(wbits=GZIP_WINDOW)
    try:
        body = inflater.decompress(data, limit + 1)
    except zlib.error:
        raise Invalid("the body is not valid gzip") from None
    if len(body) > limit:
        _too_large(limit)
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


def mended(text: str) -> str:
    """A JSON text without half characters: each is U+FFFD. What is no JSON stays as it is.

    A page that cuts a text inside of an emoji posts one, and the published component posts
    it again with everything that is said later.
    """
    if not HALF_ESCAPED.search(text):
        return text
    try:
        body = json.loads(text, parse_constant=_no_constant)
        return HALF.sub(REPLACEMENT, json.dumps(body, ensure_ascii=False))
    except (ValueError, RecursionError):
        return text


def _no_constant(name: str) -> Never:
    raise ValueError(name)


def _too_large(limit: int) -> Never:
    raise TooLarge(f"the body is larger than {limit // 1024} KB")
