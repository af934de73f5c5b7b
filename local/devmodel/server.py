"""The HTTP of the development model: OpenAI's three calls, the weather, and `/_control`."""

import asyncio
import hmac
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from local.devmodel import weather
from local.devmodel.answers import Answer, answer, prompt_tokens, question, tokens, words
from local.devmodel.control import CHUNK_MS, Call, Control, Failing, Rule

MODELS = ("parley-dev", "parley-dev-small")
CONTROL = web.AppKey("control", Control)
API_KEY = web.AppKey("api_key", str)
# Constant, for answers are deterministic to the byte.
CREATED = 1_700_000_000


def application(api_key: str = "") -> web.Application:
    """The server; with `api_key` it refuses callers of `/v1` without it."""
    app = web.Application(client_max_size=32 * 1024 * 1024)
    app[CONTROL] = Control()
    app[API_KEY] = api_key
    app.router.add_get("/", _hello)
    app.router.add_get("/v1/models", _models)
    app.router.add_post("/v1/chat/completions", _complete)
    app.router.add_post("/v1/completions", _complete)
    app.router.add_get("/weather/v1/search", _search)
    app.router.add_get("/weather/v1/forecast", _forecast)
    app.router.add_get("/_control", _show)
    app.router.add_post("/_control", _put)
    app.router.add_delete("/_control", _reset)
    return app


@asynccontextmanager
async def serving(app: web.Application, host: str, port: int) -> AsyncIterator[int]:
    """Serve on a port (0: a free one), which is the value; stalled calls end with it."""
    # A handler is cancelled when its client goes: that is how a call is seen to be closed.
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def _hello(_: web.Request) -> web.Response:
    return web.json_response({"name": "Parley's development model", "models": MODELS})


async def _models(request: web.Request) -> web.Response:
    if refusal := _unauthorized(request):
        return refusal
    data = [
        {"id": model, "object": "model", "created": CREATED, "owned_by": "parley"}
        for model in MODELS
    ]
    return web.json_response({"object": "list", "data": data})


async def _show(request: web.Request) -> web.Response:
    return web.json_response(request.app[CONTROL].shown(request.query.get("match", "")))


async def _put(request: web.Request) -> web.Response:
    try:
        await request.app[CONTROL].put(await request.json())
    except (ValidationError, json.JSONDecodeError, AttributeError) as error:
        known = ", ".join(Rule.model_fields)
        return _error(400, f"{error}; the fields of a rule are: {known}")
    return await _show(request)


async def _reset(request: web.Request) -> web.Response:
    await request.app[CONTROL].reset(request.query.get("match"))
    return await _show(request)


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    kind = "invalid_request_error" if status < 500 else "server_error"
    body = {"error": {"message": message, "type": kind, "param": None, "code": None}}
    return web.json_response(body, status=status, headers=headers)


def _unauthorized(request: web.Request) -> web.Response | None:
    expected = request.app[API_KEY]
    sent = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not expected or hmac.compare_digest(sent.encode(), expected.encode()):
        return None
    return _error(401, f"Incorrect API key provided: {sent}")


async def _search(request: web.Request) -> web.Response:
    text = f"weather search {request.query.get('name', '')}"
    return await _weather(request, text, weather.search)


async def _forecast(request: web.Request) -> web.Response:
    place = f"{request.query.get('latitude', '')},{request.query.get('longitude', '')}"
    return await _weather(request, f"weather forecast {place}", weather.forecast)


async def _weather(
    request: web.Request, text: str, answered: Callable[[Mapping[str, str]], dict[str, Any]]
) -> web.Response:
    """A call of the stand-in for Open-Meteo, logged like the others, by the same rules."""
    control = request.app[CONTROL]
    call = control.open_call("weather", text, 0, stream=False)
    failing = control.failing(text)
    try:
        await asyncio.sleep((control.rule(text).delay_ms or 0) / 1000)
        await control.released(text, 0)
    except asyncio.CancelledError:
        call.state = "disconnected"
        raise
    call.state, call.status = "completed", 200
    if failing:
        call.state, call.status = "failed", failing.status
        return _failure(failing)
    try:
        return web.json_response(answered(request.query))
    except (weather.Refused, ValueError) as error:
        call.state, call.status = "failed", 400
        return web.json_response({"error": True, "reason": str(error)}, status=400)


async def _complete(request: web.Request) -> web.StreamResponse:
    """Both completion calls: check, log, answer, and log how it ended."""
    if refusal := _unauthorized(request):
        return refusal
    try:
        body = await request.json()
    except json.JSONDecodeError:
        return _error(400, "the body is not JSON")
    chat = request.path.endswith("/chat/completions")
    if not isinstance(body, dict) or ("messages" if chat else "prompt") not in body:
        return _error(400, f"`{'messages' if chat else 'prompt'}` is missing")
    control = request.app[CONTROL]
    text = question(body)
    messages = len(body["messages"]) if chat else 0
    model, stream = str(body.get("model", "")), bool(body.get("stream"))
    call = control.open_call(model, text, messages, stream=stream)
    try:
        return await _answered(request, body, call)
    except (asyncio.CancelledError, ConnectionResetError):
        call.state = "disconnected"
        raise


async def _answered(request: web.Request, body: dict[str, Any], call: Call) -> web.StreamResponse:
    control = request.app[CONTROL]
    rule = control.rule(call.text)
    failing = control.failing(call.text)
    await asyncio.sleep((rule.delay_ms or 0) / 1000)
    if failing:
        call.state, call.status = "failed", failing.status
        return _failure(failing)
    said = answer(body)
    told = rule.answer is not None or rule.answer_chunks is not None
    if told and not (rule.after_tools and said.calls):
        said = Answer(tuple(rule.answer_chunks or words(rule.answer or "")))
    call.status = 200
    wire = _Wire(body, said, rule)
    if not call.stream:
        await control.released(call.text, 0)
        call.state = "completed"
        return web.json_response(wire.whole())
    return await _streamed(request, wire, call, rule)


def _failure(failing: Failing) -> web.Response:
    headers = {}
    if failing.retry_after is not None:
        headers["Retry-After"] = str(failing.retry_after)
    if failing.location is not None:
        headers["Location"] = failing.location
    return _error(failing.status, failing.message, headers)


async def _streamed(
    request: web.Request, wire: "_Wire", call: Call, rule: Rule
) -> web.StreamResponse:
    """The answer as server-sent events, as far as the rule lets it come."""
    headers = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    pace = (CHUNK_MS if rule.chunk_ms is None else rule.chunk_ms) / 1000
    for delta in wire.deltas():
        await request.app[CONTROL].released(call.text, call.chunks)
        if await _broken(request, response, call, rule):
            return response
        await _send(response, wire.chunk(delta))
        call.chunks += 1
        await asyncio.sleep(pace)
    await request.app[CONTROL].released(call.text, call.chunks)
    if await _broken(request, response, call, rule):
        return response
    for tail in wire.tail():
        await _send(response, tail)
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    call.state = "completed"
    return response


async def _send(response: web.StreamResponse, chunk: Any) -> None:
    await response.write(f"data: {json.dumps(chunk)}\n\n".encode())


async def _broken(
    request: web.Request, response: web.StreamResponse, call: Call, rule: Rule
) -> bool:
    """Break the stream if the rule says so for this chunk; True if it is over."""
    reached = call.chunks
    if reached == rule.error_after:
        await _send(response, {"error": rule.error or {"message": "told to", "code": None}})
    elif reached == rule.garble_after:
        await response.write(b"data: {this is no JSON\n\n")
    elif reached == rule.reset_after:
        if request.transport is not None:
            request.transport.abort()
    elif reached != rule.cut_after:
        return False
    call.state = "failed"
    return True


class _Wire:
    """An answer in the shapes of the API, for either of its two calls."""

    def __init__(self, body: dict[str, Any], said: Answer, rule: Rule) -> None:
        self._body = body
        self._said = said
        self._chat = "messages" in body
        self._finish_reason = rule.finish_reason or ("tool_calls" if said.calls else "stop")

    def deltas(self) -> Iterator[dict[str, Any]]:
        """What the chunks carry: the pieces of the text, or of the calls."""
        for index, call in enumerate(self._said.calls):
            function = {"name": call.name, "arguments": ""}
            first = {"index": index, "id": call.id, "type": "function", "function": function}
            yield {"tool_calls": [first]}
            for start in range(0, len(call.arguments), 12):
                function = {"arguments": call.arguments[start : start + 12]}
                yield {"tool_calls": [{"index": index, "function": function}]}
        for text in self._said.chunks:
            yield {"content": text}

    def chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        """One event of a stream."""
        choice: dict[str, Any] = {"index": 0, "finish_reason": finish_reason}
        if self._chat:
            choice["delta"] = {"role": "assistant"} | delta if delta else {}
        else:
            choice["text"] = delta.get("content", "")
        return self._envelope("chat.completion.chunk") | {"choices": [choice]}

    def tail(self) -> Iterator[dict[str, Any]]:
        """The finish reason and, if asked for, the usage in a chunk without choices."""
        yield self.chunk({}, self._finish_reason)
        if (self._body.get("stream_options") or {}).get("include_usage"):
            yield self._envelope("chat.completion.chunk") | {"choices": [], "usage": self._usage()}

    def whole(self) -> dict[str, Any]:
        """The answer to a call that does not stream."""
        choice: dict[str, Any] = {"index": 0, "finish_reason": self._finish_reason}
        if not self._chat:
            choice["text"] = self._said.text
        else:
            message: dict[str, Any] = {"role": "assistant", "content": self._said.text or None}
            if self._said.calls:
                message["tool_calls"] = [
                    {
                        "id": call.id,
                        "type": "function",
                        "function": {"name": call.name, "arguments": call.arguments},
                    }
                    for call in self._said.calls
                ]
            choice["message"] = message
        return self._envelope("chat.completion") | {"choices": [choice], "usage": self._usage()}

    def _envelope(self, kind: str) -> dict[str, Any]:
        return {
            "id": "chatcmpl-dev" if self._chat else "cmpl-dev",
            "object": kind if self._chat else "text_completion",
            "created": CREATED,
            "model": self._body.get("model", MODELS[0]),
        }

    def _usage(self) -> dict[str, int]:
        said = self._said.text + "".join(call.arguments for call in self._said.calls)
        prompt, completion = prompt_tokens(self._body), tokens(said)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }
