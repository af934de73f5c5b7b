"""The provider port over the `openai` package: the one module that knows it.

Retries are the queue's, so the package makes none. Time is measured here and not by the
package, whose read time-out knows neither a first token nor keep-alive comments.
"""

import asyncio
import json
import re
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2
from openai import (
    APIConnectionError,
    APIError,
    APIStatusError,
    AsyncOpenAI,
    AsyncStream,
    Omit,
)
from openai.types import Completion
from openai.types.chat import ChatCompletionChunk

from parley.adapters.bounded_stream import bound
from parley.adapters.no_cookies import NoCookies
from parley.adapters.openai_calls import (
    StreamedCalls,
    malformed,
    wire_message,
    wire_tool,
    without_surrogates,
)
from parley.core.errors import ProviderFailed
from parley.core.model import Model
from parley.core.prompt import Usage
from parley.ports import Finished, ProviderRequest, TextDelta

DETAIL_LENGTH = 500
REASON_LENGTH = 64
TOKENS_CAP = 10**9
# A wrong key, an account without money or rights, a model that is gone: nothing that whoever
# chats has said, nor could say differently.
NO_ACCESS = frozenset({401, 402, 403, 404})
NO_ACCESS_WORDS = re.compile("api_key|authentication|permission|billing|not_found")
# How long a whole answer waits for its usage and for the end of the stream.
TAIL_SECONDS = 5.0
CLIENTS_KEPT = 16
# Left to itself, the completions call of some providers stops after 16 tokens.
COMPLETION_TOKENS = 2048
# The package wants a key; requests carry their own, so that no client ever holds one.
NO_KEY = "none"

Chunk = ChatCompletionChunk | Completion
Stream = AsyncStream[ChatCompletionChunk] | AsyncStream[Completion]
T = TypeVar("T")


class OpenAIProvider:
    """Streams from any OpenAI-compatible endpoint.

    Connections are kept for the event loop that made them and no longer than the seconds
    after which an idle one is dropped. Redirects are not followed: a provider must not be
    able to send the key, or the runner, elsewhere.
    """

    def __init__(
        self, *, connect_seconds: float, first_token_seconds: float, between_tokens_seconds: float
    ) -> None:
        self._connect_seconds = connect_seconds
        self._first_token_seconds = first_token_seconds
        self._between_tokens_seconds = between_tokens_seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._http: httpx2.AsyncClient | None = None
        self._clients: OrderedDict[str, AsyncOpenAI] = OrderedDict()

    async def stream(self, request: ProviderRequest) -> AsyncGenerator[TextDelta | Finished, None]:
        """The answer as it comes; raises ProviderFailed.

        Closing the generator, or cancelling the task that waits for it, closes the HTTP
        stream. What breaks after the finish reason costs the usage and not the answer.
        """
        loop = asyncio.get_running_loop()
        answer = _Answer()
        first_token_until = loop.time() + self._first_token_seconds
        with _failures(request.api_key, "timeout_first_token"):
            stream = await _by(first_token_until, self._open(request))
        try:
            while True:
                until = loop.time() + self._patience(answer) if answer.begun else first_token_until
                late = "timeout_between_tokens" if answer.begun else "timeout_first_token"
                with _failures(request.api_key, late):
                    chunk: Chunk | None = await _by(until, anext(stream, None))
                if chunk is None:
                    break
                if text := answer.take(chunk):
                    yield TextDelta(text)
        except ProviderFailed:
            if not answer.finish_reason:
                raise
        finally:
            await stream.close()
        content_type = stream.response.headers.get("content-type", "")
        yield answer.finished(content_type, len(request.messages))

    async def aclose(self) -> None:
        """Close the kept connections."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None
            self._clients.clear()

    def _patience(self, answer: "_Answer") -> float:
        if answer.finish_reason:
            return min(self._between_tokens_seconds, TAIL_SECONDS)
        return self._between_tokens_seconds

    async def _open(self, request: ProviderRequest) -> Stream:
        client = self._client(request.model.base_url)
        headers = {"Authorization": f"Bearer {request.api_key}" if request.api_key else Omit()}
        if request.completion:
            return await client.completions.create(
                model=request.model.provider_model,
                prompt=request.completion,
                max_tokens=request.model.max_tokens or COMPLETION_TOKENS,
                stream=True,
                stream_options={"include_usage": True},
                extra_headers=headers,
                extra_body=_temperature(request),
            )
        messages: Any = [wire_message(message) for message in request.messages]
        tools: Any = [wire_tool(tool) for tool in request.tools] or Omit()
        return await client.chat.completions.create(
            model=request.model.provider_model,
            messages=messages,
            tools=tools,
            stream=True,
            stream_options={"include_usage": True},
            extra_headers=headers,
            extra_body=_bound_of_answer(request.model) | _temperature(request),
        )

    def _client(self, base_url: str) -> AsyncOpenAI:
        """A client without a key; all of them share one pool of connections."""
        loop = asyncio.get_running_loop()
        if self._http is None or self._loop is not loop:
            # Connections belong to the loop they were made on.
            self._loop, self._http = loop, self._pool()
            self._clients.clear()
        if base_url not in self._clients:
            self._clients[base_url] = AsyncOpenAI(
                api_key=NO_KEY, base_url=base_url, http_client=self._http, max_retries=0
            )
        self._clients.move_to_end(base_url)
        while len(self._clients) > CLIENTS_KEPT:
            self._clients.popitem(last=False)
        return self._clients[base_url]

    def _pool(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            timeout=httpx2.Timeout(None, connect=self._connect_seconds),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
            follow_redirects=False,
            cookies=NoCookies(),
            headers={"Accept-Encoding": "identity"},
            event_hooks={"response": [bound]},
        )


@dataclass(slots=True)
class _Answer:
    """What a stream has said so far, apart from its text."""

    finish_reason: str = ""
    usage: Usage | None = None
    begun: bool = False
    empty: bool = True
    calls: StreamedCalls = field(default_factory=StreamedCalls)

    def take(self, chunk: Chunk) -> str:
        """The text of a chunk; notes the rest.

        The package does not validate what it parses, so any field may be of any type.
        The chunk with the usage has no choices.
        """
        self.empty = False
        try:
            choices = getattr(chunk, "choices", None) or []
            text = "".join(self._take_choice(choice) for choice in choices)
            usage = getattr(chunk, "usage", None)
            if usage is not None:
                self.usage = Usage(_tokens(usage.prompt_tokens), _tokens(usage.completion_tokens))
        except (AttributeError, OverflowError, TypeError, ValueError):
            raise malformed("a chunk of the stream has an unknown shape") from None
        return without_surrogates(text)

    def _take_choice(self, choice: Any) -> str:
        """The text of a choice of either call: chat has it in a delta."""
        delta = getattr(choice, "delta", None) or choice
        self.calls.take(getattr(delta, "tool_calls", None))
        self.finish_reason = str(choice.finish_reason or self.finish_reason)[:REASON_LENGTH]
        if self.finish_reason == "error":
            self.finish_reason = ""
            raise ProviderFailed("server_error", "finish_reason is error", retryable=True)
        text = getattr(delta, "content", None) or getattr(delta, "text", None) or ""
        self.begun = self.begun or bool(text or self.finish_reason) or _thinks(delta)
        return "" + text  # raises TypeError for what is no text

    def finished(self, content_type: str, number: int) -> Finished:
        """The last event; raises ProviderFailed if the answer is not whole.

        `number` goes into the ids of calls that the provider gave none.

        The package raises nothing for a stream that ends early, nor for a body that is no
        event stream at all.
        """
        if self.finish_reason:
            return Finished(self.finish_reason, self.usage, self.calls.whole(number))
        if self.empty and not content_type.startswith("text/event-stream"):
            raise malformed(f"an event stream was expected, not {content_type or 'this'}")
        raise ProviderFailed("cut", "the stream ended without a finish reason", retryable=True)


def _thinks(delta: Any) -> bool:
    """True if the chunk carries something of a model at work, as reasoning does.

    The opening chunk, a role and no content, is often sent before the model has begun.
    """
    return bool(getattr(delta, "tool_calls", None)) or any((delta.model_extra or {}).values())


async def _by(deadline: float, awaitable: Awaitable[T]) -> T:
    async with asyncio.timeout_at(deadline):
        return await awaitable


@contextmanager
def _failures(key: str, late: str) -> Iterator[None]:
    """Translate what opening or reading a stream raises; `late` is the code for too late.

    Nothing is chained: the package's errors hold the request with its key and the
    provider's words, which must not get into a log with a traceback (I9).
    """
    try:
        yield
    except TimeoutError:
        raise ProviderFailed(late, "the provider took too long", retryable=True) from None
    except APIStatusError as error:
        raise _status_failure(error, key) from None
    except APIConnectionError as error:
        raise _connection_failure(error.__cause__, key) from None
    except APIError as error:
        reason, retryable = _classified(_chunk_status(error))
        raise ProviderFailed(reason, _detail(error.body, key), retryable=retryable) from None
    except httpx2.HTTPError as error:
        # While the words of an error were read, which the package leaves as it is.
        raise _connection_failure(error, key) from None
    except (httpx2.InvalidURL, UnicodeEncodeError):
        raise _misconfigured() from None
    except (ValueError, RecursionError):
        # No JSON, or some that is nested too deeply or has a number of too many digits.
        raise malformed("the stream is not valid JSON") from None


def _misconfigured() -> ProviderFailed:
    """Says no more, for the package's message may quote a key with a stray character."""
    return ProviderFailed(
        "misconfigured", "the model's base URL or key cannot be used", retryable=False
    )


def _classified(status: int) -> tuple[str, bool]:
    """The code of a failure with this HTTP status, and whether it may be retried."""
    known = {408: "timeout", 409: "conflict", 429: "rate_limited"}
    if status in known:
        return known[status], True
    if status in NO_ACCESS:
        return "no_access", False
    if status >= 500:
        return "server_error", True
    return ("redirected" if status < 400 else "refused"), False


def _status_failure(error: APIStatusError, key: str) -> ProviderFailed:
    reason, retryable = _classified(error.status_code)
    said = _detail(error.body, key, prefix=f"{error.status_code}: ")
    wait = _retry_after(error.response.headers.get("retry-after", "")) if retryable else None
    return ProviderFailed(reason, said, retryable=retryable, retry_after=wait)


def _connection_failure(cause: BaseException | None, key: str) -> ProviderFailed:
    if isinstance(cause, httpx2.UnsupportedProtocol | httpx2.LocalProtocolError):
        return _misconfigured()
    if isinstance(cause, httpx2.DecodingError):
        return malformed(_detail(str(cause), key))
    connecting = isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout)
    detail = _detail(f"{type(cause).__name__}: {cause}", key)
    return ProviderFailed("connect" if connecting else "cut", detail, retryable=True)


def _chunk_status(error: APIError) -> int:
    """The HTTP status that an error inside of a stream amounts to."""
    code = error.code or ""
    if re.fullmatch(r"[45][0-9]{2}", code):
        return int(code)
    words = f"{code} {error.type}"
    if "rate_limit" in words:
        return 429
    if NO_ACCESS_WORDS.search(words):
        return 403
    return 400 if "invalid_request" in words else 500


def _detail(body: object, key: str, prefix: str = "") -> str:
    """The provider's words for the prompt's owner, without the key, cut to 500 characters."""
    if isinstance(body, dict) and isinstance(body.get("message"), str):
        body = body["message"]
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    text = without_surrogates(prefix + text)
    return (text.replace(key, "[key]") if key else text)[:DETAIL_LENGTH]


def _bound_of_answer(model: Model) -> dict[str, int]:
    """How a chat's answer is bounded: OpenAI has renamed the field, and its newer models
    refuse the name that everybody else understands.
    """
    if not model.max_tokens:
        return {}
    host = urlsplit(model.base_url).hostname or ""
    renamed = host.endswith((".openai.com", ".openai.azure.com"))
    return {"max_completion_tokens" if renamed else "max_tokens": model.max_tokens}


def _temperature(request: ProviderRequest) -> dict[str, float]:
    """0 is one, and not the same as none."""
    return {} if request.temperature is None else {"temperature": request.temperature}


def _tokens(count: Any) -> int:
    """A count that can be stored: providers are not to be trusted with the size of an item."""
    return min(max(int(count), 0), TOKENS_CAP)


def _retry_after(value: str) -> float | None:
    """Seconds, from either form of the header; None if it is absent or neither."""
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value.strip()):
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    # "-0000" gives a time without a zone; it means UTC, too.
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
