"""The HTTP API: from an event of API Gateway to its answer.

A call goes: plain request, route, key, then validation and the endpoint. The key comes
before the body is even decompressed. Whatever goes wrong on the way arrives at the one
boundary in `Http.resolve` and leaves as JSON with CORS headers.
"""

import inspect
import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from pydantic.alias_generators import to_camel

from parley.core.access import bare_key
from parley.core.errors import NotFound
from parley.wire import admin, chat_svc, prompt_svc, public
from parley.wire.errors import INTERNAL, MethodNotAllowed, refusal_of, wrong_fields
from parley.wire.http_calls import Answered, Api, Call, Endpoint, HttpObserver, Run, valid_ids
from parley.wire.http_request import Request, parsed

ENDPOINTS: tuple[Endpoint, ...] = (
    *prompt_svc.ENDPOINTS,
    *chat_svc.ENDPOINTS,
    *admin.ENDPOINTS,
    *public.ENDPOINTS,
)

# The contract's headers, and those that its clients could not read or send otherwise.
# Nothing here reads a cookie, so allowing credentials gives nothing away.
CORS_HEADERS = {
    "Access-Control-Allow-Methods": "POST, GET, OPTIONS, PUT, DELETE",
    "Access-Control-Allow-Headers": (
        "Accept, Content-Type, Content-Length, Content-Encoding, Accept-Encoding, X-CSRF-Token, "
        "Authorization, X-Content-Encrypted, Last-Event-ID"
    ),
    "Access-Control-Allow-Credentials": "true",
    "Access-Control-Expose-Headers": "Location, Retry-After",
}
PREFLIGHT_SECONDS = "7200"

Answer = dict[str, Any]
Answering = Callable[[Endpoint, dict[str, Any]], Any]


def router(answering: Answering) -> APIGatewayHttpResolver:
    """The routes; `answering` is called with an endpoint and what was validated for it."""
    routes = APIGatewayHttpResolver(
        enable_validation=True,
        # Set, so that no environment variable makes Powertools print events (I9).
        debug=False,
        serializer=partial(json.dumps, ensure_ascii=False, separators=(",", ":")),
        json_body_deserializer=parsed,
        # An answer that breaks its own shape is our bug: a 500, not the caller's 400.
        response_validation_error_http_code=HTTPStatus.INTERNAL_SERVER_ERROR,
    )
    # Without a handler Powertools would log an exception with its text (I9).
    routes.exception_handler(Exception)(_pass_on)
    for endpoint in ENDPOINTS:
        routes.route(
            endpoint.path,
            endpoint.method,
            summary=endpoint.summary,
            description=inspect.getdoc(endpoint.handler),
            tags=[endpoint.tag],
            operation_id=to_camel(endpoint.handler.__name__),
        )(_routed(endpoint, answering))
    return routes


def _routed(endpoint: Endpoint, answering: Answering) -> Callable[..., Any]:
    """The handler as Powertools reads it: with the parameters of a request only."""
    signature = inspect.signature(endpoint.handler)
    parameters = list(signature.parameters.values())[0 if endpoint.public else 1 :]

    def answer(**validated: Any) -> Any:
        return answering(endpoint, validated)

    answer.__name__ = endpoint.handler.__name__
    answer.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined] # what inspect.signature reads
    return answer


def _pass_on(error: Exception) -> None:
    raise error


class Http:
    """Answers events, one at a time."""

    def __init__(self, api: Api, run: Run, observer: HttpObserver) -> None:
        self._api = api
        self._run = run
        self._observer = observer
        self._call: Call | None = None
        self._routes = router(self._answering)

    def _answering(self, endpoint: Endpoint, validated: dict[str, Any]) -> Any:
        leading = () if endpoint.public else (self._call,)
        return self._run(endpoint.handler(*leading, **validated))

    def resolve(self, event: Mapping[str, Any], context: Any) -> Answer:
        """The answer to an event, whatever happens."""
        started = time.monotonic()
        request = Request.of(event)
        self._call = None
        try:
            answer = self._resolved(request, context, started)
        except Exception as error:  # noqa: BLE001 - the boundary: JSON in any case
            answer = self._refused(error)
        answer["headers"] = {**answer.get("headers", {}), **self._cors(request)}
        self._observer.answered(self._account_of(request, answer, started))
        return answer

    def _resolved(self, request: Request, context: Any, started: float) -> Answer:
        if request.method == "OPTIONS":
            headers = {"Access-Control-Max-Age": PREFLIGHT_SECONDS}
            return {"statusCode": 204, "body": "", "headers": headers}
        if not endpoint_of(request).public:
            key = bare_key(request.headers.get("authorization", ""))
            principal = self._run(self._api.authenticate(key))
            self._call = Call(self._api, principal, self._observer, started)
        answer: Answer = self._routes.resolve(request.plain(), context)
        return {**answer, "statusCode": int(answer["statusCode"])}

    def _refused(self, error: Exception) -> Answer:
        # Here and not in `refusal_of`: the socket uses that, too, and would load the router.
        if isinstance(error, RequestValidationError):
            refusal = wrong_fields(error.errors())
        else:
            refusal = refusal_of(error)
        if refusal is INTERNAL:
            self._observer.failed(error)
        return {
            "statusCode": refusal.status,
            "body": json.dumps({"error": refusal.text}),
            "headers": {"Content-Type": "application/json", **refusal.headers},
        }

    def _cors(self, request: Request) -> dict[str, str]:
        allowed = self._api.allowed_origins
        if "*" in allowed:
            return {"Access-Control-Allow-Origin": "*", **CORS_HEADERS}
        origin = request.headers.get("origin", "")
        if origin not in allowed:
            return {"Vary": "Origin"}
        return {"Access-Control-Allow-Origin": origin, "Vary": "Origin", **CORS_HEADERS}

    def _account_of(self, request: Request, answer: Answer, started: float) -> Answered:
        here = endpoints_at(request.path)
        return Answered(
            method=request.method,
            route=here[0].path if here else "",
            ids=valid_ids(here[0].match(request.path) or {}) if here else {},
            account=self._call.principal.account if self._call else "",
            status=answer["statusCode"],
            milliseconds=(time.monotonic() - started) * 1000,
        )


def endpoints_at(path: str) -> list[Endpoint]:
    """The endpoints with this path, one for each method that it answers."""
    return [endpoint for endpoint in ENDPOINTS if endpoint.match(path) is not None]


def endpoint_of(request: Request) -> Endpoint:
    """The endpoint that a request is for; raises NotFound, MethodNotAllowed."""
    here = {endpoint.method: endpoint for endpoint in endpoints_at(request.path)}
    if not here:
        raise NotFound("no such path")
    if request.method not in here:
        raise MethodNotAllowed(", ".join(sorted({*here, "OPTIONS"})))
    return here[request.method]


def build(api: Api, run: Run, observer: HttpObserver) -> Http:
    """The HTTP API over its use cases."""
    return Http(api, run, observer)
