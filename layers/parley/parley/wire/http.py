"""The HTTP API: from an event of API Gateway to its answer.

A call goes: plain request, address, route, key, then validation and the endpoint. The key
comes before the body is even decompressed. An llm_client's addresses are many and lead to
one route each. Whatever goes wrong on the way arrives at the one boundary in `Http.resolve`
and leaves as JSON with CORS headers.
"""

import inspect
import json
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from aws_lambda_powertools.event_handler.openapi.params import Path
from pydantic.alias_generators import to_camel

from parley.core.access import bare_key
from parley.core.address import Address, What, is_local, locate
from parley.core.errors import Forbidden, NoSuchPath, TooLarge
from parley.wire import (
    admin,
    chat_svc,
    cli_api,
    llm_clients_api,
    page,
    prompt_svc,
    public,
    sessions_api,
)
from parley.wire.errors import INTERNAL, MethodNotAllowed, refusal_of, wrong_fields
from parley.wire.http_calls import (
    Api,
    Call,
    CallRecord,
    ChatCall,
    Endpoint,
    HttpObserver,
    RunToEnd,
    valid_ids,
)
from parley.wire.http_request import BODY_LIMIT, CONVERSATION_LIMIT, Request, parsed
from parley.wire.page import Answer
from parley.wire.smarter import chat, cli_chat, config
from parley.wire.smarter.cors import PREFLIGHT_SECONDS
from parley.wire.smarter.entrance import Entrance, refuses_role

ENDPOINTS: tuple[Endpoint, ...] = (
    *prompt_svc.ENDPOINTS,
    *chat_svc.ENDPOINTS,
    *admin.ENDPOINTS,
    *config.ENDPOINTS,
    *chat.ENDPOINTS,
    *cli_chat.ENDPOINTS,
    *llm_clients_api.ENDPOINTS,
    *cli_api.ENDPOINTS,
    *sessions_api.ENDPOINTS,
    *public.ENDPOINTS,
)
WORKBENCH = "/workbench/"
PAGES = frozenset({What.PAGE, What.WORKBENCH, What.ASSET})

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

CLIENT = inspect.Parameter(
    "client",
    inspect.Parameter.KEYWORD_ONLY,
    annotation=Annotated[
        str, Path(description="The llm_client: its integer or hashed id; its name for the CLI.")
    ],
)

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
    if endpoint.chat:
        parameters.append(CLIENT)

    def answer(**validated: Any) -> Any:
        if endpoint.chat:
            del validated[CLIENT.name]  # what it names has been found already
        return answering(endpoint, validated)

    answer.__name__ = endpoint.handler.__name__
    answer.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined] # what inspect.signature reads
    return answer


def _pass_on(error: Exception) -> None:
    raise error


class Http:
    """Answers events, one at a time."""

    def __init__(self, api: Api, run: RunToEnd, observer: HttpObserver) -> None:
        self._api = api
        self._run = run
        self._observer = observer
        self._call: Call | ChatCall | None = None
        self._routes = router(self._answering)

    def _answering(self, endpoint: Endpoint, validated: dict[str, Any]) -> Any:
        leading = () if endpoint.public else (self._call,)
        return self._run(endpoint.handler(*leading, **validated))

    def resolve(self, event: Mapping[str, Any], context: Any) -> Answer:
        """The answer to an event, whatever happens."""
        started = time.monotonic()
        sent = Request.of(event)
        request = sent.reading()
        address = locate(request.host, request.path, (self._api.chats.domain,))
        self._call = None
        if address is None:
            answer = self._guarded(lambda: self._ordinary(request, context, started))
            answer["headers"] = {**answer.get("headers", {}), **self._cors(request)}
        elif address.what in PAGES:
            answer = self._guarded(lambda: self._page(request))
        else:
            answer = self._at_client(request, address, context, started)
        if not any(name.lower() == "cache-control" for name in answer["headers"]):
            # A cache in front of us would hand one visitor's session key to the next.
            answer["headers"]["Cache-Control"] = "no-store"
        path = address.route if address and address.route else request.path
        self._observer.answered(self._record_of(sent.method, path, answer, started))
        return {**answer, "body": ""} if sent.method == "HEAD" else answer

    def _guarded(self, work: Callable[[], Answer]) -> Answer:
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - the boundary: JSON in any case
            return self._refused(error)

    def _ordinary(self, request: Request, context: Any, started: float) -> Answer:
        if request.method == "OPTIONS":
            return _preflight()
        if request.path == "/" and request.method == "GET" and request.accepts_html:
            return _redirected(WORKBENCH)
        endpoint = endpoint_of(request.method, request.path)
        if not endpoint.public:
            key = bare_key(request.headers.get("authorization", ""))
            principal = self._run(self._api.authenticate(key))
            if refuses_role(principal):
                raise Forbidden("this key is for chatting with its llm_client only")
            self._call = Call(self._api, principal, started, request)
        return self._routed(request, request.path, context, endpoint)

    def _at_client(
        self, request: Request, address: Address, context: Any, started: float
    ) -> Answer:
        """The answer at an llm_client's address, which says itself which pages may read it."""
        entrance = Entrance(self._api, self._run, request, address, started)
        is_page = address.what is What.ROOT and request.method == "GET" and request.accepts_html

        def work() -> Answer:
            if address.what is What.NOTHING:
                raise NoSuchPath
            if request.method == "OPTIONS":
                return _preflight()
            if is_page:
                origins = (*entrance.shown().allowed_origins, *self._developers())
                return self._document("/", request, origins)
            endpoint = endpoint_of(request.method, address.route)
            self._call = call = entrance.enter()
            try:
                return self._routed(request, address.route, context, endpoint)
            except TooLarge:
                if endpoint.too_large is None:
                    raise
                return _json(endpoint.too_large(call))

        answer = self._guarded(work)
        if is_page and answer["statusCode"] == HTTPStatus.NOT_FOUND:
            answer = page.absent_answer()
        # The refusal must not be lost over the question who may read it.
        headers = self._guarded(lambda: {"headers": entrance.cors()})["headers"]
        answer["headers"] = {**answer.get("headers", {}), **headers}
        if address.what is What.ROOT:
            answer["headers"].pop("vary", None)
            answer["headers"]["Vary"] = "Origin, Accept"
        return answer

    def _page(self, request: Request) -> Answer:
        """A file of the chat page, or the pages of the sandbox: the same for everybody."""
        if request.method != "GET":
            raise MethodNotAllowed("GET, HEAD")
        return self._document(request.path, request, ())

    def _developers(self) -> tuple[str, ...]:
        """Whose frames may show the page, where the API is on this machine: this machine's."""
        return page.LOCAL_ORIGINS if is_local(self._api.chats.domain) else ()

    def _document(self, path: str, request: Request, origins: Iterable[str]) -> Answer:
        answer = page.page_answer(
            path,
            socket_url=self._api.chats.socket_url,
            frame_ancestors=origins,
            if_none_match=request.headers.get("if-none-match", ""),
        )
        if answer is None:
            raise NoSuchPath
        return answer

    def _routed(self, request: Request, route: str, context: Any, endpoint: Endpoint) -> Answer:
        limit = CONVERSATION_LIMIT if endpoint.too_large else BODY_LIMIT
        event = request.plain(route, limit=limit, mend=endpoint.chat, any_text=endpoint.manifests)
        answer: Answer = self._routes.resolve(event, context)
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
            "body": json.dumps(refusal.body),
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

    def _record_of(self, method: str, path: str, answer: Answer, started: float) -> CallRecord:
        here = endpoints_at(path)
        return CallRecord(
            method=method,
            route=here[0].path if here else "",
            ids=valid_ids(here[0].match(path) or {}) if here else {},
            account=_account(self._call),
            status=answer["statusCode"],
            milliseconds=(time.monotonic() - started) * 1000,
        )


def _account(call: Call | ChatCall | None) -> str:
    if isinstance(call, ChatCall):
        return call.client.account
    return call.principal.account if call else ""


def _preflight() -> Answer:
    return {"statusCode": 204, "body": "", "headers": {"Access-Control-Max-Age": PREFLIGHT_SECONDS}}


def _json(body: Any) -> Answer:
    return {
        "statusCode": int(HTTPStatus.OK),
        "body": json.dumps(body, ensure_ascii=False, separators=(",", ":")),
        "headers": {"Content-Type": "application/json"},
    }


def _redirected(path: str) -> Answer:
    return {
        "statusCode": int(HTTPStatus.FOUND),
        "body": "",
        "headers": {"Location": path, "Vary": "Accept"},
    }


def endpoints_at(path: str) -> list[Endpoint]:
    """The endpoints with this path, one for each method that it answers."""
    return [endpoint for endpoint in ENDPOINTS if endpoint.match(path) is not None]


def endpoint_of(method: str, path: str) -> Endpoint:
    """The endpoint that a call is for; raises NotFound, MethodNotAllowed."""
    here = {endpoint.method: endpoint for endpoint in endpoints_at(path)}
    if not here:
        raise NoSuchPath
    if method not in here:
        head = {"HEAD"} if "GET" in here else set()
        raise MethodNotAllowed(", ".join(sorted({*here, *head, "OPTIONS"})))
    return here[method]
