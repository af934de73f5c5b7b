"""The provider adapter against providers that mean harm, to it or to the other accounts."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpx2
import pytest
from parley.adapters.bounded_stream import EVENT_BRACKETS, EVENT_BYTES, bound
from parley.adapters.openai_provider import DETAIL_LENGTH, OpenAIProvider
from parley.core.errors import ProviderFailed
from parley.core.model import Model
from parley.ports import ChatMessage, Finished, ProviderRequest, TextDelta

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

LONG = 30.0


def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return b"data: %s\n\n" % json.dumps({"choices": [choice]}, separators=(",", ":")).encode()


ANSWER = chunk({"content": "hi"}, "stop")


class Hostile:
    """A server that answers every request with the same body and remembers the heads."""

    def __init__(self, body: bytes, *headers: str, status: str = "200 OK") -> None:
        self.heads: list[str] = []
        lines = (f"HTTP/1.1 {status}", "Content-Type: text/event-stream", *headers)
        self._answer = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._handle, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        self.heads.append(head)
        await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))
        with contextlib.suppress(ConnectionError):
            writer.write(self._answer)
            await writer.drain()
        writer.close()


@pytest.fixture
async def provider() -> AsyncIterator[OpenAIProvider]:
    made = OpenAIProvider(
        connect_seconds=LONG, first_token_seconds=LONG, between_tokens_seconds=LONG
    )
    yield made
    await made.aclose()


async def asked(
    provider: OpenAIProvider, base_url: str, key: str = "sk-test"
) -> list[TextDelta | Finished]:
    model = Model(id="m", base_url=base_url, provider_model="m")
    request = ProviderRequest(model, key, messages=(ChatMessage("user", "x"),))
    return [event async for event in provider.stream(request)]


async def failed(provider: OpenAIProvider, body: bytes) -> ProviderFailed:
    async with Hostile(body).serving() as base_url:
        with pytest.raises(ProviderFailed) as caught:
            await asked(provider, base_url)
    return caught.value


async def test_what_one_account_was_told_to_remember_is_not_sent_for_another(provider):
    server = Hostile(ANSWER, "Set-Cookie: session=of-account-a; Path=/")
    async with server.serving() as base_url:
        for key in ("sk-a", "sk-b"):
            await asked(provider, base_url, key)
    assert "bearer sk-b" in server.heads[1]
    assert "cookie" not in server.heads[1]


@pytest.mark.parametrize(
    "event",
    [
        chunk({"tool_calls": [{"index": index, "function": {}} for index in range(30_000)]}),
        b"data: " + json.dumps({"choices": [{}] * 200_000}).encode() + b"\n\n",
        b"data: " + json.dumps({"choices": [[]] * 200_000}).encode() + b"\n\n",
    ],
)
async def test_an_event_of_very_many_parts_is_not_taken_apart(provider, event):
    """It would hold up the loop for ten seconds, and cost other prompts their leases."""
    assert len(event) < EVENT_BYTES
    refused = await failed(provider, event + ANSWER)
    assert (refused.reason, refused.retryable) == ("malformed", True)
    assert refused.detail == "an event of the stream has too many parts"


async def test_many_events_are_not_taken_for_one_of_many_parts(provider):
    one = chunk({"content": "["})
    number = EVENT_BRACKETS // one.count(b"{") + 1
    async with Hostile(one * number + ANSWER).serving() as base_url:
        *texts, finished = await asked(provider, base_url)
    assert (len(texts), type(finished)) == (number + 1, Finished)


async def test_an_event_is_not_refused_for_what_else_was_read_with_it(provider):
    event = chunk({"content": "[" * (EVENT_BRACKETS - 100)})
    async with Hostile(event + chunk({"content": "{"}) * 100 + ANSWER).serving() as base_url:
        *texts, finished = await asked(provider, base_url)
    assert (len(texts), type(finished)) == (102, Finished)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64])
async def test_an_event_is_as_large_as_it_is_however_it_is_cut(size):
    def body(*events: bytes):
        data = b"\r\n\r\n".join((*events, b""))
        return [data[n : n + size] for n in range(0, len(data), size)]

    legal = b"data: " + b"[" * EVENT_BRACKETS
    assert await bounded(body(legal, legal, b"{}")) == b"".join(body(legal, legal, b"{}"))
    with pytest.raises(httpx2.DecodingError):
        await bounded(body(b"{}", legal + b"{"))


async def test_a_whole_answer_full_of_brackets_may_come_in_one_event(provider):
    text = "[{}, {}]\n" * 2000
    async with Hostile(chunk({"content": text}, "stop")).serving() as base_url:
        events = await asked(provider, base_url)
    assert events[0] == TextDelta(text)


@pytest.mark.parametrize(
    "event",
    [
        b"data: " + b"[" * 9_000,
        b"data: " + b'{"a":' * 9_000,
        b'data: {"choices": [], "usage": {"prompt_tokens": ' + b"9" * 5_000 + b"}}",
        b'data: {"choices": [], "usage": {"prompt_tokens": 1e999, "completion_tokens": 1}}',
        b'data: {"choices": [], "usage": {"prompt_tokens": NaN, "completion_tokens": 1}}',
        b'data: {"choices": [], "usage": {"prompt_tokens": {}, "completion_tokens": 1}}',
    ],
)
async def test_json_that_cannot_be_read_is_a_failure_of_the_provider(provider, event):
    refused = await failed(provider, event + b"\n\n")
    assert (refused.reason, refused.retryable) == ("malformed", True)


@pytest.mark.parametrize("status", ["400 Bad Request", "200 OK"])
@pytest.mark.parametrize("depth", [100, *range(900, 1000, 10), 5_000])
async def test_an_error_is_a_failure_of_the_provider_however_deeply_its_words_are_nested(
    provider, status, depth
):
    error = b'{"error": {"more": ' + b"[" * depth + b"]" * depth + b"}}"
    body = error if status.startswith("4") else b"data: " + error + b"\n\n"
    async with Hostile(body, status=status).serving() as base_url:
        with pytest.raises(ProviderFailed) as caught:
            await asked(provider, base_url)
    assert caught.value.reason in {"refused", "server_error", "malformed"}
    assert len(caught.value.detail) <= DETAIL_LENGTH


@pytest.mark.parametrize("line", [b"x", b"x\n\n", b"x\r\n\r\n"])
async def test_the_words_of_an_error_are_not_read_without_end(provider, line):
    body = line * (2 * EVENT_BYTES // len(line))
    async with Hostile(body, status="400 Bad Request").serving() as base_url:
        with pytest.raises(ProviderFailed) as caught:
            await asked(provider, base_url)
    assert (caught.value.reason, caught.value.detail) == (
        "malformed",
        "an event of the stream is too large",
    )


async def bounded(parts: Iterable[bytes]) -> bytes:
    """What comes through of a body that comes in such parts."""

    class Body(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for part in parts:
                yield part

    response = httpx2.Response(200, stream=Body())
    await bound(response)
    return await response.aread()


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
@pytest.mark.parametrize("cut", [1, 2, 3])
async def test_the_end_of_an_event_may_come_in_two_parts(end, cut):
    event = b"data: " + b"x" * (EVENT_BYTES // 4)
    assert len(await bounded([event + end[:cut], end[cut:]] * 8)) > EVENT_BYTES
