"""The provider adapter against the development model, and against servers worse than it."""

import asyncio
import contextlib
import gc
import json
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import aiohttp
import pytest
from parley.adapters import openai_provider
from parley.adapters.bounded_stream import EVENT_BYTES
from parley.adapters.openai_provider import OpenAIProvider
from parley.core.errors import ProviderFailed
from parley.core.model import Model
from parley.core.prompt import Usage
from parley.core.thread import ToolCall
from parley.ports import ChatMessage, Finished, Provider, ProviderRequest, TextDelta, Tool

from local.devmodel.server import CONTROL, application, serving

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

KEY = "sk-parley-test-0123456789abcdef"
SOON = 0.1
LONG = 30.0


class DevModel:
    """The development model of a test, and its control."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self.base_url = f"http://127.0.0.1:{port}/v1"
        self._control = f"http://127.0.0.1:{port}/_control"
        self._session = session

    async def told(self, **rule: Any) -> None:
        async with self._session.post(self._control, json={"chunk_ms": 0} | rule) as response:
            assert response.status == 200, await response.text()

    async def calls(self) -> list[dict[str, Any]]:
        async with self._session.get(self._control) as response:
            return (await response.json())["calls"]

    async def until_last_call(self, state: str) -> None:
        await self.until(lambda call: call["state"] == state)

    async def until_none_is_open(self) -> None:
        """A client that gave up while still connecting has left no call at all."""
        async with asyncio.timeout(LONG):
            while True:
                if all(call["state"] != "open" for call in await self.calls()):
                    return
                await asyncio.sleep(0.01)

    async def until(self, reached: Callable[[dict[str, Any]], bool]) -> None:
        """Poll the log until the last call is so; only a failing test waits long."""
        async with asyncio.timeout(LONG):
            while True:
                if any(map(reached, (await self.calls())[-1:])):
                    return
                await asyncio.sleep(0.01)


@pytest.fixture
async def dev() -> AsyncIterator[DevModel]:
    async with (
        serving(application(KEY), "127.0.0.1", 0) as port,
        aiohttp.ClientSession() as session,
    ):
        model = DevModel(session, port)
        await model.told()
        yield model


@pytest.fixture
async def make_provider() -> AsyncIterator[Callable[..., OpenAIProvider]]:
    async with contextlib.AsyncExitStack() as opened:

        def make(
            connect: float = LONG, first_token: float = LONG, between: float = LONG
        ) -> OpenAIProvider:
            provider = OpenAIProvider(
                connect_seconds=connect,
                first_token_seconds=first_token,
                between_tokens_seconds=between,
            )
            opened.push_async_callback(provider.aclose)
            return provider

        yield make


@pytest.fixture
def provider(make_provider) -> OpenAIProvider:
    return make_provider()


def asking(base_url: str, text: str = "What's a banana?", key: str = KEY) -> ProviderRequest:
    model = Model(id="m", base_url=base_url, provider_model="parley-dev")
    return ProviderRequest(model, key, messages=(ChatMessage("user", text),))


async def collected(
    provider: Provider, request: ProviderRequest
) -> tuple[list[str], Finished | None]:
    """The deltas, and the last event."""
    texts: list[str] = []
    finished = None
    async for event in provider.stream(request):
        assert finished is None, "Finished is the last event"
        if isinstance(event, TextDelta):
            texts.append(event.text)
        else:
            finished = event
    return texts, finished


async def failure(provider: Provider, request: ProviderRequest) -> ProviderFailed:
    async with asyncio.timeout(LONG):
        with pytest.raises(ProviderFailed) as caught:
            await collected(provider, request)
    failed = caught.value
    chained = None if failed.__suppress_context__ else failed.__context__
    assert failed.__cause__ is chained is None, "the package's errors hold the key"
    return failed


@contextlib.asynccontextmanager
async def raw_server(
    answer: Callable[[asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """A server that reads the head of a request and then does what `answer` says."""

    handlers: set[asyncio.Task[None] | None] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.current_task())
        ends = (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError)
        with contextlib.suppress(*ends):
            await reader.readuntil(b"\r\n\r\n")
            await answer(writer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        for handler in handlers:
            if handler:
                handler.cancel()
        await asyncio.gather(*filter(None, handlers))


def raw(body: bytes, content_type: str = "text/event-stream", more: str = "") -> Any:
    async def answer(writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n{more}Connection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    return answer


class TestAnswers:
    async def test_a_chat_streams_and_ends_with_reason_and_usage(self, dev, provider):
        request = ProviderRequest(
            Model(id="m", base_url=dev.base_url, provider_model="parley-dev"),
            KEY,
            messages=(
                ChatMessage("user", "first"),
                ChatMessage("assistant", "reply"),
                ChatMessage("user", "What's a banana?"),
            ),
        )
        texts, finished = await collected(provider, request)
        assert len(texts) > 24
        assert "development model" in "".join(texts)
        assert "“What's a banana?”" in "".join(texts)
        assert "3 message(s)" in "".join(texts)
        assert finished.finish_reason == "stop"
        assert finished.usage == Usage(2 + 2 + 4, -(-len("".join(texts)) // 4))
        call = (await dev.calls())[-1]
        assert (call["state"], call["model"], call["stream"]) == ("completed", "parley-dev", True)

    async def test_a_completion_goes_to_the_completions_call(self, dev, provider):
        model = Model(id="m", base_url=dev.base_url, provider_model="parley-dev")
        request = ProviderRequest(model, KEY, completion="[INST] banana [/INST]")
        texts, finished = await collected(provider, request)
        assert "“[INST] banana [/INST]”" in "".join(texts)
        assert "one prompt" in "".join(texts)
        assert finished.finish_reason == "stop"
        assert finished.usage.prompt_tokens == 6
        assert finished.usage.completion_tokens > 0

    async def test_the_finish_reason_is_the_providers(self, dev, provider):
        await dev.told(finish_reason="length")
        _, finished = await collected(provider, asking(dev.base_url))
        assert finished.finish_reason == "length"

    async def test_an_empty_answer_is_whole(self, dev, provider):
        await dev.told(answer="")
        assert (await collected(provider, asking(dev.base_url)))[0] == []

    async def test_a_model_without_a_key_gets_no_authorization(self, provider, monkeypatch):
        monkeypatch.setenv("OPENAI_API_KEY", "sk-ambient")
        heads = []

        async def handle(reader, writer):
            heads.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
            writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        async with server:
            base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
            await failure(provider, asking(base_url, key=""))
            await failure(provider, asking(base_url))
        assert "authorization" not in heads[0]
        assert "accept-encoding: identity" in heads[0]
        assert f"authorization: bearer {KEY}" in heads[1]

    async def test_each_call_carries_its_own_key(self, dev, provider):
        refused = await failure(provider, asking(dev.base_url, key="sk-other"))
        assert refused.detail.startswith("401: ")
        await collected(provider, asking(dev.base_url))

    async def test_halves_of_surrogate_pairs_are_replaced(self, dev, provider):
        await dev.told(answer_chunks=["whole \U0001f34c", "half \ud83c"])
        texts, _ = await collected(provider, asking(dev.base_url))
        assert texts == ["whole \U0001f34c", "half \ufffd"]

    async def test_whole_answers_share_one_connection(self, provider):
        connections = 0
        body = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
        body += b"data: [DONE]\n\n"

        async def handle(reader, writer):
            nonlocal connections
            connections += 1
            with contextlib.suppress(asyncio.IncompleteReadError):
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                    await reader.readexactly(length)
                    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                    writer.write(answer + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        async with server:
            base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
            for key in ("sk-one", "sk-two", "sk-three"):
                await collected(provider, asking(base_url, key=key))
            await provider.aclose()
        assert connections == 1

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_a_second_event_loop_gets_connections_of_its_own(self):
        provider = OpenAIProvider(
            connect_seconds=LONG, first_token_seconds=LONG, between_tokens_seconds=LONG
        )

        async def once() -> list[str]:
            app = application()
            await app[CONTROL].put({"answer": "well"})
            async with serving(app, "127.0.0.1", 0) as port:
                return (await collected(provider, asking(f"http://127.0.0.1:{port}/v1")))[0]

        async def twice() -> list[str]:
            try:
                return await once() + await once()
            finally:
                await provider.aclose()

        assert asyncio.run(once()) == ["well"]
        assert asyncio.run(twice()) == ["well", "well"]
        gc.collect()  # The connection of the first loop can only be dropped.


def events(*chunks: dict[str, Any]) -> Any:
    """A server's whole answer: the deltas, then a finish reason."""
    ends = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    whole = [{"choices": [{"index": 0, "delta": delta}]} for delta in chunks]
    return raw(b"".join(b"data: %s\n\n" % json.dumps(one).encode() for one in [*whole, ends]))


def called(*calls: dict[str, Any]) -> dict[str, Any]:
    return {"tool_calls": list(calls)}


WEATHER = Tool(
    "get_weather",
    "The weather",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


class TestTools:
    async def test_a_model_calls_what_it_was_offered(self, dev, provider):
        asked = replace(asking(dev.base_url, 'get_weather {"city": "Oslo"}'), tools=(WEATHER,))
        texts, finished = await collected(provider, asked)
        assert texts == []
        assert finished.finish_reason == "tool_calls"
        assert [(c.name, json.loads(c.arguments)) for c in finished.calls] == [
            ("get_weather", {"city": "Oslo"})
        ]

    async def test_a_model_without_tools_is_offered_none(self, dev, provider):
        texts, finished = await collected(provider, asking(dev.base_url, "get_weather"))
        assert texts
        assert finished.calls == ()

    async def test_a_round_goes_back_with_its_results(self, dev, provider):
        call = ToolCall("call_1", "get_weather", '{"city": "Oslo"}')
        messages = (
            ChatMessage("user", "get_weather"),
            ChatMessage("assistant", "", (call,)),
            ChatMessage("tool", '{"sky": "grey"}', call_id="call_1"),
        )
        asked = replace(asking(dev.base_url), messages=messages, tools=(WEATHER,))
        texts, finished = await collected(provider, asked)
        assert '"sky": "grey"' in "".join(texts)
        assert finished.finish_reason == "stop"

    @pytest.mark.parametrize("temperature", [None, 0.0, 0.7])
    @pytest.mark.parametrize("completion", ["", "[INST]"])
    async def test_the_request_is_written_as_the_provider_wants_it(
        self, provider, temperature, completion
    ):
        bodies = []

        async def handle(reader, writer):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            bodies.append(json.loads(await reader.readexactly(length)))
            await events()(writer)
            writer.close()

        call, broken = ToolCall("c1", "f", '{"a": 1}'), ToolCall("c2", "f", "[" * 50_000)
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        async with server:
            asked = replace(
                asking(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"),
                temperature=temperature,
                completion=completion,
                tools=(WEATHER,),
                messages=(
                    ChatMessage("system", "Be kind."),
                    ChatMessage("assistant", "", (call, broken)),
                    ChatMessage("tool", "[1]", call_id="c1"),
                ),
            )
            await collected(provider, asked)
        assert bodies[0].get("temperature") == temperature
        if completion:
            assert bodies[0].keys().isdisjoint({"tools", "messages"})
            return
        assert bodies[0]["messages"] == [
            {"role": "system", "content": "Be kind."},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": id_,
                        "type": "function",
                        "function": {"name": "f", "arguments": arguments},
                    }
                    for id_, arguments in (("c1", '{"a": 1}'), ("c2", "{}"))
                ],
            },
            {"role": "tool", "content": "[1]", "tool_call_id": "c1"},
        ]
        assert bodies[0]["tools"] == [
            {
                "type": "function",
                "function": {
                    "name": "get_weather",
                    "description": "The weather",
                    "parameters": WEATHER.parameters,
                },
            }
        ]
        assert "tool_choice" not in bodies[0]

    async def test_calls_with_the_finish_reason_stop_are_calls(self, provider):
        one = {"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}
        two = {"index": 0, "function": {"arguments": '{"x": "\ud83c'}}
        rest = {"index": 0, "function": {"arguments": '\udf4c"}'}}
        answer = events({"content": "Well."}, called(one), called(two), called(rest))
        async with raw_server(answer) as url:
            texts, finished = await collected(provider, asking(url))
        assert texts == ["Well."]
        assert finished.calls == (ToolCall("a", "f", '{"x": "\U0001f34c"}'),)

    @pytest.mark.parametrize(
        "calls",
        [
            [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "x" * 65537}}],
            [{"index": 0, "id": "c", "function": {"arguments": "{}"}}],
            [{"index": 0, "id": "c", "function": {"name": 7}}],
            ["f"],
        ],
    )
    @pytest.mark.parametrize("reason", [None, "tool_calls"])
    async def test_too_large_or_nameless_calls_are_no_answer(self, provider, calls, reason):
        choice = {"index": 0, "delta": called(*calls), "finish_reason": reason}
        body = b"data: %s\n\n" % json.dumps({"choices": [choice]}).encode()
        end = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
        async with raw_server(raw(body + end)) as url:
            failed = await failure(provider, asking(url))
        assert (failed.reason, failed.retryable) == ("malformed", True)

    async def test_a_call_counts_as_the_first_token(self, make_provider):
        one = {"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}
        chunk = {"choices": [{"index": 0, "delta": called(one)}]}

        async def answer(writer):
            await raw(b"data: %s\n\n" % json.dumps(chunk).encode())(writer)
            await asyncio.sleep(LONG)

        async with raw_server(answer) as url:
            failed = await failure(make_provider(between=SOON), asking(url))
        assert failed.reason == "timeout_between_tokens"


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "reason", "retryable"),
        [
            (400, "refused", False),
            (401, "no_access", False),
            (402, "no_access", False),
            (403, "no_access", False),
            (404, "no_access", False),
            (405, "refused", False),
            (408, "timeout", True),
            (409, "conflict", True),
            (422, "refused", False),
            (429, "rate_limited", True),
            (500, "server_error", True),
            (502, "server_error", True),
            (503, "server_error", True),
            (529, "server_error", True),
        ],
    )
    async def test_a_status_decides_code_and_retry(self, dev, provider, status, reason, retryable):
        await dev.told(fail={"status": status, "message": "so it is"})
        failed = await failure(provider, asking(dev.base_url))
        assert (failed.reason, failed.retryable) == (reason, retryable)
        assert failed.detail == f"{status}: so it is"
        assert failed.retry_after is None
        assert len(await dev.calls()) == 1, "the package must not retry"

    async def test_a_failure_is_over_when_the_provider_is_well(self, dev, provider):
        await dev.told(fail={"status": 503, "count": 1})
        await failure(provider, asking(dev.base_url))
        await collected(provider, asking(dev.base_url))

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [
            ("7", 7.0),
            ("0.5", 0.5),
            ("soon", None),
            ("nan", None),
            ("-1", None),
            ("", None),
            ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ],
    )
    async def test_retry_after_in_seconds(self, dev, provider, header, seconds):
        await dev.told(fail={"status": 429, "retry_after": header})
        assert (await failure(provider, asking(dev.base_url))).retry_after == seconds

    async def test_a_finish_reason_is_no_place_for_a_text(self, dev, provider):
        await dev.told(answer="yes", finish_reason="x" * 200_000)
        assert (await collected(provider, asking(dev.base_url)))[-1].finish_reason == "x" * 64

    async def test_retry_after_as_a_date(self, dev, provider):
        when = datetime.now(UTC) + timedelta(hours=1)
        await dev.told(fail={"status": 503, "retry_after": format_datetime(when, usegmt=True)})
        failed = await failure(provider, asking(dev.base_url))
        assert 3000 < failed.retry_after <= 3600

    async def test_retry_after_in_the_past_is_now(self, dev, provider):
        await dev.told(
            fail={"status": 503, "retry_after": "Wed, 21 Oct 2015 07:28:00 -0000"},
        )
        assert (await failure(provider, asking(dev.base_url))).retry_after == 0

    async def test_the_detail_holds_no_key_and_is_cut(self, dev, provider):
        words = f"key {KEY} " + "x" * 481 + KEY
        await dev.told(fail={"status": 400, "message": words})
        failed = await failure(provider, asking(dev.base_url))
        assert failed.detail.startswith("400: key [key] xxx")
        assert len(failed.detail) == 500
        assert KEY[:8] not in failed.detail
        assert KEY not in repr(failed)

    async def test_a_redirect_is_not_followed(self, dev, provider):
        where = f"{dev.base_url}/chat/completions"
        await dev.told(fail={"status": 307, "count": 1, "location": where})
        failed = await failure(provider, asking(dev.base_url))
        assert (failed.reason, failed.retryable) == ("redirected", False)
        assert len(await dev.calls()) == 1

    async def test_an_error_that_is_no_json(self, provider):
        async def answer(writer):
            writer.write(b"HTTP/1.1 502 Bad\r\nContent-Length: 12\r\n\r\n<h1>bad</h1>")
            await writer.drain()

        async with raw_server(answer) as base_url:
            failed = await failure(provider, asking(base_url))
        assert (failed.reason, failed.detail) == ("server_error", "502: <h1>bad</h1>")


class TestConnections:
    async def test_nobody_listens(self, provider):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            failed = await failure(
                provider, asking(f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
            )
        assert (failed.reason, failed.retryable) == ("connect", True)

    async def test_connecting_takes_too_long(self, make_provider):
        async def never_greets(_):
            await asyncio.Event().wait()

        provider = make_provider(connect=SOON)
        async with raw_server(never_greets) as base_url:
            failed = await failure(provider, asking(base_url.replace("http:", "https:")))
        assert (failed.reason, failed.retryable) == ("connect", True)
        assert "ConnectTimeout" in failed.detail

    async def test_the_connection_ends_before_an_answer(self, provider):
        async def hang_up(_):
            pass

        async with raw_server(hang_up) as base_url:
            failed = await failure(provider, asking(base_url))
        assert (failed.reason, failed.retryable) == ("cut", True)

    @pytest.mark.parametrize(
        "base_url", ["", "nonsense", "ftp://127.0.0.1/v1", "http://[::1/v1", "http://a:b:c/v1"]
    )
    async def test_a_base_url_that_cannot_be_called(self, provider, base_url):
        failed = await failure(provider, asking(base_url))
        assert (failed.reason, failed.retryable) == ("misconfigured", False)

    @pytest.mark.parametrize("key", [f"{KEY}\n", f"{KEY}é"])
    async def test_a_key_that_cannot_be_sent(self, dev, provider, key):
        failed = await failure(provider, asking(dev.base_url, key=key))
        assert (failed.reason, failed.retryable) == ("misconfigured", False)
        assert KEY not in failed.detail


class TestTimeOuts:
    async def test_no_answer_at_all(self, dev, make_provider):
        await dev.told(delay_ms=60_000)
        failed = await failure(make_provider(first_token=SOON), asking(dev.base_url))
        assert (failed.reason, failed.retryable) == ("timeout_first_token", True)
        await dev.until_none_is_open()

    async def test_headers_and_no_first_token(self, dev, make_provider):
        await dev.told(stall_after=0)
        failed = await failure(make_provider(first_token=SOON), asking(dev.base_url))
        assert (failed.reason, failed.retryable) == ("timeout_first_token", True)
        await dev.until_none_is_open()

    async def test_an_opening_chunk_is_no_token(self, make_provider):
        opening = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'

        async def opens_and_stalls(writer):
            await raw(opening)(writer)
            await asyncio.Event().wait()

        provider = make_provider(first_token=SOON)
        async with raw_server(opens_and_stalls) as base_url:
            failed = await failure(provider, asking(base_url))
        assert failed.reason == "timeout_first_token"

    async def test_keep_alive_comments_are_no_tokens(self, make_provider):
        async def only_comments(writer):
            await raw(b"")(writer)
            while True:
                writer.write(b": keep-alive\n\n")
                await writer.drain()
                await asyncio.sleep(SOON / 10)

        provider = make_provider(first_token=SOON)
        async with raw_server(only_comments) as base_url:
            failed = await failure(provider, asking(base_url))
        assert failed.reason == "timeout_first_token"

    async def test_reasoning_counts_as_tokens(self, make_provider):
        chunk = b'data: {"choices":[{"index":0,"delta":{"content":null,"reasoning":"hm"}}]}\n\n'

        async def thinks_and_stalls(writer):
            await raw(chunk)(writer)
            await asyncio.Event().wait()

        provider = make_provider(between=SOON)
        async with raw_server(thinks_and_stalls) as base_url:
            failed = await failure(provider, asking(base_url))
        assert failed.reason == "timeout_between_tokens"

    async def test_a_stall_between_tokens(self, dev, make_provider):
        await dev.told(stall_after=3)
        provider = make_provider()
        events = provider.stream(asking(dev.base_url))
        for _ in range(3):
            assert isinstance(await anext(events), TextDelta)
        # Only now: on a busy machine any two tokens may be as far apart.
        provider._between_tokens_seconds = SOON
        with pytest.raises(ProviderFailed) as caught:
            await anext(events)
        assert (caught.value.reason, caught.value.retryable) == ("timeout_between_tokens", True)
        await dev.until_last_call("disconnected")

    async def test_a_slow_consumer_is_not_the_providers_fault(self, dev, provider, monkeypatch):
        loop = asyncio.get_running_loop()
        events, passed, time = 0, 0.0, loop.time
        monkeypatch.setattr(loop, "time", lambda: time() + passed)
        await dev.told(stall_after=1)  # what has come already would be there at once
        async for _ in provider.stream(asking(dev.base_url)):
            events += 1
            if events == 1:
                passed += 2 * LONG
                await dev.told(stall_after=None)
        assert events > 24


class TestBrokenStreams:
    async def test_a_stream_that_ends_without_a_finish_reason(self, dev, provider):
        await dev.told(cut_after=4)
        failed = await failure(provider, asking(dev.base_url))
        assert (failed.reason, failed.retryable) == ("cut", True)

    async def test_a_connection_that_breaks(self, dev, provider):
        await dev.told(reset_after=4)
        failed = await failure(provider, asking(dev.base_url))
        assert (failed.reason, failed.retryable) == ("cut", True)

    @pytest.mark.parametrize(
        ("error", "reason", "retryable"),
        [
            ({"message": "oh"}, "server_error", True),
            ({"message": "oh", "type": "server_error", "code": None}, "server_error", True),
            ({"message": "oh", "code": 429}, "rate_limited", True),
            ({"message": "oh", "code": "rate_limit_exceeded"}, "rate_limited", True),
            ({"message": "oh", "code": "503"}, "server_error", True),
            ({"message": "oh", "type": "invalid_request_error"}, "refused", False),
            (
                {"message": "oh", "type": "invalid_request_error", "code": "invalid_api_key"},
                "no_access",
                False,
            ),
            ({"message": "oh", "type": "authentication_error"}, "no_access", False),
            ({"message": "oh", "code": "model_not_found"}, "no_access", False),
            ({"message": "oh", "code": 402}, "no_access", False),
            ("oh", "server_error", True),
        ],
    )
    async def test_an_error_inside_of_the_stream(self, dev, provider, error, reason, retryable):
        await dev.told(error_after=3, error=error)
        failed = await failure(provider, asking(dev.base_url))
        assert (failed.reason, failed.retryable) == (reason, retryable)
        assert failed.detail == "oh"

    async def test_an_error_inside_of_the_stream_holds_no_key(self, dev, provider):
        await dev.told(error_after=3, error={"message": f"{KEY} is bad"})
        assert (await failure(provider, asking(dev.base_url))).detail == "[key] is bad"

    async def test_error_as_a_finish_reason(self, dev, provider):
        await dev.told(finish_reason="error")
        failed = await failure(provider, asking(dev.base_url))
        assert (failed.reason, failed.retryable) == ("server_error", True)

    async def test_an_event_that_is_no_json(self, dev, provider):
        await dev.told(garble_after=2)
        failed = await failure(provider, asking(dev.base_url))
        assert (failed.reason, failed.retryable) == ("malformed", True)

    @pytest.mark.parametrize(
        "body",
        [
            b"data: \xff\xfe\n\n",
            b'data: {"choices": ["x"]}\n\n',
            b'data: {"choices": 5}\n\n',
            b'data: {"choices": [{"index":0,"delta":{"content":5}}]}\n\n',
            b'data: {"choices": [], "usage": {"prompt_tokens": "many"}}\n\n',
        ],
    )
    async def test_events_of_unknown_shapes(self, provider, body):
        async with raw_server(raw(body)) as base_url:
            failed = await failure(provider, asking(base_url))
        assert (failed.reason, failed.retryable) == ("malformed", True)

    @pytest.mark.parametrize("body", [b"data: {}\n\n", b"data: 5\n\n", b"data: null\n\n", b""])
    async def test_events_that_say_nothing_end_as_a_cut(self, provider, body):
        async with raw_server(raw(body)) as base_url:
            assert (await failure(provider, asking(base_url))).reason == "cut"

    async def test_a_body_that_is_no_event_stream(self, provider):
        async with raw_server(raw(b"<h1>Welcome</h1>", "text/html")) as base_url:
            failed = await failure(provider, asking(base_url))
        assert failed.reason == "malformed"
        assert "text/html" in failed.detail

    async def test_an_event_that_is_too_large(self, provider):
        async with raw_server(raw(b"data: " + b"x" * (EVENT_BYTES + 1))) as base_url:
            failed = await failure(provider, asking(base_url))
        assert (failed.reason, failed.detail) == (
            "malformed",
            "an event of the stream is too large",
        )

    async def test_a_compressed_answer_is_not_unpacked(self, provider):
        async with raw_server(raw(b"x", more="Content-Encoding: gzip\r\n")) as base_url:
            failed = await failure(provider, asking(base_url))
        assert failed.reason == "malformed"
        assert "compressed" in failed.detail

    @pytest.mark.parametrize("end", ["error", "cut", "stall"])
    async def test_a_break_after_the_finish_reason_costs_the_usage_only(
        self, end, provider, monkeypatch
    ):
        body = b'data: {"choices":[{"index":0,"delta":{"content":"all"},"finish_reason":"stop"}]}'

        async def answer(writer):
            await raw(body + b"\n\n")(writer)
            if end == "error":
                writer.write(b'data: {"error": {"message": "late"}}\n\n')
                await writer.drain()
            elif end == "stall":
                await asyncio.Event().wait()

        monkeypatch.setattr("parley.adapters.openai_provider.TAIL_SECONDS", SOON)
        async with raw_server(answer) as base_url, asyncio.timeout(LONG / 2):
            texts, finished = await collected(provider, asking(base_url))
        assert (texts, finished) == (["all"], Finished("stop", None))


class TestClosing:
    async def test_closing_the_iterator_closes_the_call(self, dev, provider):
        await dev.told(stall_after=5)
        async with aclosing(provider.stream(asking(dev.base_url))) as events:
            await anext(events)
        await dev.until_last_call("disconnected")

    async def test_cancelling_the_task_closes_the_call(self, dev, provider):
        await dev.told(stall_after=2)
        reading = asyncio.create_task(collected(provider, asking(dev.base_url)))
        await dev.until(lambda call: call["chunks"] == 2)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await dev.until_last_call("disconnected")

    async def test_cancelling_before_the_answer_closes_the_call(self, dev, provider):
        await dev.told(delay_ms=60_000)
        reading = asyncio.create_task(collected(provider, asking(dev.base_url)))
        await dev.until_last_call("open")
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await dev.until_last_call("disconnected")

    async def test_no_task_is_left_behind(self, dev, provider):
        await dev.told(stall_after=5)
        before = asyncio.all_tasks()
        events = provider.stream(asking(dev.base_url))
        await anext(events)
        await events.aclose()
        await dev.until_last_call("disconnected")
        names = {task.get_coro().__qualname__ for task in asyncio.all_tasks() - before}
        assert not {name for name in names if "RequestHandler" not in name}


async def test_logs_hold_neither_key_nor_text(dev, provider, caplog):
    caplog.set_level(logging.DEBUG)
    request = asking(dev.base_url, "a very private question")
    await dev.told(answer="a very private answer")
    await collected(provider, request)
    await dev.told(fail={"status": 500, "message": "a very private error"})
    await failure(provider, request)
    assert caplog.records
    assert KEY not in caplog.text
    assert "very private" not in caplog.text


@pytest.mark.parametrize(
    ("base_url", "field"),
    [
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("https://mine.openai.azure.com/openai/v1", "max_completion_tokens"),
        ("https://llm.example.com/v1", "max_tokens"),
        ("https://openai.com.example.com/v1", "max_tokens"),
    ],
)
def test_the_bound_of_an_answer_has_the_name_that_the_provider_knows(base_url, field):
    model = Model("m", base_url, "m", max_tokens=800)
    assert openai_provider._bound_of_answer(model) == {field: 800}
    assert openai_provider._bound_of_answer(replace(model, max_tokens=0)) == {}
