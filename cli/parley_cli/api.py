"""The HTTP API as the commands use it: one method per call, refusals as errors of `errors`."""

import json
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Any, Self
from urllib.parse import quote

import httpx

from parley_cli.config import Target
from parley_cli.errors import CliError, NotAuthenticated, NotFound, Refused, Unreachable
from parley_cli.wayout import absent, refused_key, unreached, with_way_out

Json = dict[str, Any]

CONNECT_SECONDS = 5.0
# An HTTP API of AWS answers within 30 s, whatever happens.
ANSWER_SECONDS = 35.0
LONGEST_WAIT = 25
TRIES = 4
FIRST_PAUSE = 0.3
LONGEST_PAUSE = 5.0
BUSY = (502, 503, 504)
CLI = "/api/v1/cli"
LLM_CLIENTS = "/api/v1/llm-clients"
SESSIONS = "/api/v1/sessions"


def new_prompt_id() -> str:
    """A fresh one: whoever adds a prompt names it, so that adding it again is the same."""
    return f"prom_{secrets.token_hex(12)}"


class Api:
    """Calls of one API with one key.

    A call is repeated when the API did not answer or was busy, if doing it twice is the
    same as doing it once. For adding a prompt it is: the prompt has its id by then (I7).
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._client = httpx.Client(
            base_url=target.api,
            headers={"Authorization": f"Bearer {target.key}", "User-Agent": "parley-cli"},
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def _call(
        self,
        method: str,
        path: str,
        body: Json | str | None = None,
        params: dict[str, str] | None = None,
        *,
        repeatable: bool = True,
        leaving: Callable[[], bool] = lambda: False,
    ) -> Json:
        """The answer to a call; a text as body is a manifest, sent as it is.

        It is not repeated once whoever asked is `leaving`.
        """
        content: dict[str, Any] = {"json": body}
        if isinstance(body, str):
            headers = {"Content-Type": "application/yaml"}
            content = {"content": body.encode(), "headers": headers}
        pause = FIRST_PAUSE
        for tries_left in reversed(range(TRIES)):
            try:
                response = self._client.request(method, path, params=params, **content)
            except httpx.ConnectError as error:
                failure, again = unreached(self.target, str(error)), True
            except httpx.TransportError as error:
                name = type(error).__name__
                failure, again = f"{self.target.api} did not answer: {error or name}", repeatable
            else:
                if response.status_code not in BUSY:
                    return _answer(response, self.target)
                failure = f"{self.target.api} is not available: {_refusal(response)}"
                again = repeatable
                pause = max(pause, _retry_after(response))
            if not again or not tries_left or leaving():
                break
            time.sleep(min(pause, LONGEST_PAUSE))
            pause *= 2
        raise Unreachable(failure)

    # --- prompts

    def add_prompt(self, new: Json) -> Json:
        """The stored prompt. It must have an id (`new_prompt_id`): so the call can be repeated."""
        return _member(self._call("POST", "/prompt-svc/prompt", new | {"sync": False}), "prompt")

    def prompt(self, prompt_id: str, wait: int = 0) -> Json:
        """A prompt with its attempts and `answer`, after waiting for its end if asked to."""
        params = {"wait": str(wait)} if wait else None
        return self._call("GET", f"/prompt-svc/prompt/{_id(prompt_id)}", params=params)

    def prompts(self, query: Json) -> Json:
        return self._call("POST", "/prompt-svc/prompts", {"query": query})

    def cancel(self, prompt_id: str) -> Json:
        return _member(self._call("POST", f"/prompt-svc/prompt/{_id(prompt_id)}/cancel"), "prompt")

    def retry(self, prompt_id: str) -> Json:
        path = f"/prompt-svc/prompt/{_id(prompt_id)}/retry"
        return _member(self._call("POST", path, repeatable=False), "prompt")

    def remove(self, prompt_id: str) -> None:
        self._call("DELETE", f"/prompt-svc/prompt/{_id(prompt_id)}", repeatable=False)

    # --- threads

    def threads(self, limit: int, after: str) -> Json:
        return _found(
            lambda from_: self._call("POST", "/chat-svc/threads", _page(limit, from_)),
            "threads",
            after,
        )

    def thread(self, thread_id: str) -> Json:
        """The thread; the API answers 200 also for one that is not there."""
        answer = self._call("GET", f"/chat-svc/thread/{_id(thread_id)}")
        if not answer.get("exists") or not isinstance(answer.get("thread"), dict):
            raise NotFound(with_way_out("no such thread", "no_such_thread"))
        thread: Json = answer["thread"]
        return thread

    def messages(self, thread_id: str, limit: int, after: str = "") -> Json:
        path = f"/chat-svc/thread/{_id(thread_id)}/messages"
        return self._call("POST", path, _page(limit, after))

    def delete_thread(self, thread_id: str) -> None:
        self._call("DELETE", f"/chat-svc/thread/{_id(thread_id)}", repeatable=False)

    # --- the account

    def models(self) -> Json:
        return self._call("GET", "/models")

    def put_models(self, models: Iterable[Json]) -> Json:
        return self._call("PUT", "/models", {"models": list(models)})

    def keys(self) -> Json:
        return self._call("GET", "/keys")

    def create_key(self, new: Json) -> Json:
        return self._call("POST", "/keys", new, repeatable=False)

    def revoke_key(self, key_id: str) -> Json:
        return self._call("DELETE", f"/keys/{_id(key_id)}")

    def dead_letters(self, limit: int, after: str) -> Json:
        params = {name: str(value) for name, value in _page(limit, after).items()}
        return self._call("GET", "/dlq", params=params)

    def redrive(self, prompt_id: str = "") -> Json:
        body = {"promptId": prompt_id} if prompt_id else {}
        return self._call("POST", "/dlq/redrive", body, repeatable=False)

    def status(self) -> Json:
        return self._call("GET", "/status")

    # --- manifests

    def apply(self, manifests: str, *, dry_run: bool) -> Json:
        """Make what a text of manifests describes; doing it twice changes nothing more."""
        params = {"dry_run": "true"} if dry_run else None
        return self._call("POST", f"{CLI}/apply/", manifests, params)

    def of_kind(self, verb: str, kind: str, params: dict[str, str] | None = None) -> Json:
        """A call of the command line's own API on a kind; `params` names what is meant."""
        path = f"{CLI}/{verb}/{_id(kind)}/"
        try:
            return self._call("POST", path, params=params, repeatable=verb != "delete")
        except NotFound as error:
            if error.refusal != "no_such_resource":
                raise
            told = NotFound(absent(str(error), kind))
            told.refusal = error.refusal
            raise told from None

    # --- chat

    def llm_client(self, name: str) -> Json:
        answer = self._call("GET", f"{LLM_CLIENTS}/{_id(name)}/")
        return _member(_member(answer, "data"), "llm_client")

    def chat_config(self, client: str, session_key: str) -> Json:
        """The configuration object of an llm_client (by its id) and a session.

        Without a key, or with one that is not known, a session is made.
        """
        path = f"{LLM_CLIENTS}/{_id(client)}/config/"
        answer = self._call("POST", path, {"session_key": session_key})
        return _member(answer, "data")

    def chat_config_by_name(self, name: str, uid: str) -> Json:
        """The same by an llm_client's name, for keys that may only chat."""
        answer = self._call("POST", f"{CLI}/chat/config/{_id(name)}/", params={"uid": uid})
        return _member(answer, "data")

    def chat(
        self,
        client: str,
        call: str,
        body: Json,
        *,
        repeatable: bool,
        leaving: Callable[[], bool] = lambda: False,
    ) -> Json:
        """`call` is "", "cancel/" or "retry/"; the answer's `data`."""
        path = f"{LLM_CLIENTS}/{_id(client)}/chat/{call}"
        answer = self._call("POST", path, body, repeatable=repeatable, leaving=leaving)
        return _member(answer, "data")

    def chat_history(self, client: str, session_key: str) -> Json:
        """What a session is made of, its newest part."""
        path = f"{LLM_CLIENTS}/{_id(client)}/chat/"
        return _member(self._call("GET", path, params={"session_key": session_key}), "data")

    # --- sessions

    def sessions(self, client: str, limit: int, after: str) -> Json:
        named = {"llm_client": client} if client else {}

        def page(from_: str) -> Json:
            params = {name: str(value) for name, value in _page(limit, from_).items()}
            return self._call("GET", f"{SESSIONS}/", params=params | named)

        return _found(page, "sessions", after)

    def session(self, session_id: str) -> Json:
        return self._call("GET", f"{SESSIONS}/{_id(session_id)}/")

    def delete_session(self, session_id: str) -> None:
        self._call("DELETE", f"{SESSIONS}/{_id(session_id)}/", repeatable=False)

    def purge_sessions(self, body: Json) -> Json:
        """One step of a purge. Repeating it is the same: what is gone is gone."""
        return self._call("POST", f"{SESSIONS}/purge/", body)


def _id(value: str) -> str:
    if value in {"", ".", ".."}:
        raise NotFound(f"there is no such id: {value!r}")
    return quote(value, safe="")


def _page(limit: int, after: str) -> Json:
    return {"limit": limit} | ({"after": after} if after else {})


def _found(page: Callable[[str], Json], things: str, after: str) -> Json:
    """The first page that has any of the things: an empty one may not be the last."""
    answer = page(after)
    while not answer.get(things) and answer.get("after"):
        answer = page(str(answer["after"]))
    return answer


def _answer(response: httpx.Response, target: Target) -> Json:
    """The body of a success; raises what a refusal means."""
    if response.is_success:
        body = _body(response)
        if body is None:
            raise Refused(f"{target.api} answered something that is no JSON object: is it the API?")
        return body
    status = response.status_code
    words, refusal = _refusal(response), str((_body(response) or {}).get("code") or "")
    told = refused_key(words, target) if status == 401 else with_way_out(words, refusal)
    error = error_of(status)(told)
    error.status, error.refusal, error.parts = status, refusal, _parts(response)
    raise error


def error_of(status: int) -> type[CliError]:
    """What an HTTP status means for a command's end."""
    return {401: NotAuthenticated, 404: NotFound}.get(status, Refused)


def _body(response: httpx.Response) -> Json | None:
    try:
        body = response.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _refusal(response: httpx.Response) -> str:
    """The API's own words, or the status where another server answers."""
    body = _body(response) or {}
    words = body.get("error") or body.get("message")
    if isinstance(words, dict):
        words = words.get("message") or words.get("description")
    return str(words) if words else f"HTTP {response.status_code} {response.reason_phrase}"


def _parts(response: httpx.Response) -> tuple[str, ...]:
    """What the API names one by one; nothing if it does not, or not in words."""
    parts = (_body(response) or {}).get("errors")
    found = parts if isinstance(parts, list) else []
    return tuple(found) if all(isinstance(one, str) for one in found) else ()


def _retry_after(response: httpx.Response) -> float:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else 0.0


def _member(answer: Json, name: str) -> Json:
    member = answer.get(name)
    if not isinstance(member, dict):
        raise Refused(f"the API's answer has no {name}: {json.dumps(answer)[:200]}")
    return member
