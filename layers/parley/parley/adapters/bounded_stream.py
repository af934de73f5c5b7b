"""What one event of a provider's stream may cost: the package would collect and build anything."""

import re
from collections.abc import AsyncIterator

import httpx2

# A stream may be long, one event of it may not: the package would collect it in memory.
EVENT_BYTES = 1024 * 1024
# Nor may it be finely divided: the package makes objects of all that it holds, 40 us each,
# and nothing else is done meanwhile. The leases of other prompts would run out.
EVENT_BRACKETS = 10_000
# Of an event, as the package sees it.
END = re.compile(rb"\n\n|\r\r|\r\n\r\n")


class _Bounded(httpx2.AsyncByteStream):
    """A response's body in which no event is too much work; without `events`, it is one itself."""

    def __init__(self, body: httpx2.AsyncByteStream, *, events: bool) -> None:
        self._body = body
        self._events = events

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = brackets = 0
        before = b""
        async for part in self._body:
            # An end may come in two parts: the last bytes, counted already, are looked at again.
            known = before + part
            pieces = END.split(known) if self._events else [known]
            sizes, counts = [len(piece) for piece in pieces], [_brackets(piece) for piece in pieces]
            sizes[0] += size - len(before)
            counts[0] += brackets - _brackets(before)
            before = known[-3:]
            if max(sizes) > EVENT_BYTES:
                raise httpx2.DecodingError("an event of the stream is too large")
            if max(counts) > EVENT_BRACKETS:
                raise httpx2.DecodingError("an event of the stream has too many parts")
            size, brackets = sizes[-1], counts[-1]
            yield part

    async def aclose(self) -> None:
        await self._body.aclose()


def _brackets(part: bytes) -> int:
    return part.count(b"{") + part.count(b"[")


async def bound(response: httpx2.Response) -> None:
    """Limit what a response may cost; a compressed one could grow past any limit."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise httpx2.DecodingError("the answer is compressed, which was not asked for")
    if isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _Bounded(response.stream, events=response.is_success)
