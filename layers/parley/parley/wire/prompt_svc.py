"""prompt-svc: add prompts, read them, wait for them, follow their thread."""

from http import HTTPStatus
from typing import Annotated, NotRequired
from urllib.parse import quote

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header
from aws_lambda_powertools.event_handler.openapi.params import Query as QueryParam
from pydantic import Field
from typing_extensions import TypedDict

from parley.core.errors import Conflict, Invalid, NotFound, TooManyOpenTurns
from parley.ports import Page
from parley.usecases.accept import NewPrompt, question_of
from parley.usecases.read import Shown
from parley.wire.fields import ID, Body, PathId
from parley.wire.http_calls import Call, Endpoint
from parley.wire.prompt_query import COUNT_CAP, ListPrompts, Query, asked
from parley.wire.shapes import (
    Nothing,
    PromptAnswer,
    PromptShape,
    fitting,
    prompt_answer,
    prompt_shape,
)
from parley.wire.sse import MEDIA_TYPE, body_of

Wait = Annotated[
    float,
    QueryParam(ge=0, allow_inf_nan=False, description="Seconds, at most 25; more is taken for 25."),
]
SYNC_BUDGET_CAP = 25.0
JSON = "application/json"
COME_BACK = {"Retry-After": "1"}


class TextToText(Body):
    """Parameters of a text prompt."""

    template: str | None = None


class Parameters(Body):
    """Parameters by kind of prompt; others than texts are ignored."""

    text_to_text: TextToText | None = None


class AddPrompt(Body):
    """A prompt to add. An id that is given makes the call repeatable."""

    id: str | None = None
    prompt: str = Field(description="Not blank, at most 300 KB.")
    sync: bool | None = Field(None, description="Wait for the end, within the time budget.")
    thread_id: str | None = Field(None, description="Created if absent; by default the id.")
    template: str | None = Field(
        None,
        description="Every {prompt} in it is replaced. At most 300 KB, 350 KB with the prompt, "
        "and 1 MB once replaced.",
    )
    model_id: str | None = Field(None, description="By default the account's default model.")
    max_retries: int | None = Field(None, description="From 0 to 20; by default 5.")
    parameters: Parameters | None = None

    def submission(self) -> NewPrompt:
        later = self.parameters and self.parameters.text_to_text
        return NewPrompt(
            text=self.prompt,
            id=self.id or "",
            thread_id=self.thread_id or "",
            model_id=self.model_id or "",
            template=self.template or (later and later.template) or "",
            max_retries=self.max_retries,
            sync=bool(self.sync),
        )


class RemovePrompt(Body):
    """Which prompt to remove."""

    prompt_id: Annotated[str, Field(pattern=ID)]


class PromptList(TypedDict):
    """A page of prompts. `after` is there if there may be more."""

    prompts: list[PromptShape]
    after: NotRequired[str]
    count: Annotated[int, Field(description=f"0 unless asked for; at most {COUNT_CAP}.")]


async def add_prompt(call: Call, body: AddPrompt) -> Response[PromptAnswer]:
    """Store a prompt as the next turn of its thread and put it in the queue.

    Without `sync` the answer comes at once. With it the call waits for the end; when the
    time budget is used up it answers 202 with the prompt as it is, and `Location` is
    where to go on waiting. Sending the same id with the same content again runs nothing
    twice.
    """
    new = body.submission()
    prompt = await call.api.accept(call.principal, new)
    if new.sync:
        left = max(call.api.policy.sync_budget - call.seconds(), 0)
        shown = await call.api.read.show(call.principal, prompt.id, left)
        return _answered(call, shown, waited=True)
    if prompt.status.terminal:  # submitted before
        return _answered(call, await call.api.read.shown(prompt))
    # How many turns are ahead, and the question read back, would cost further calls.
    answer = prompt_answer(Shown(prompt, question_of(prompt, new)), call.principal)
    del answer["prompt"]["ahead"]
    return Response(HTTPStatus.OK, JSON, answer)


def _answered(call: Call, shown: Shown, *, waited: bool = False) -> Response[PromptAnswer]:
    """200, or 202 if the caller waited and it is not over."""
    body = prompt_answer(shown, call.principal)
    if waited and not shown.prompt.status.terminal:
        headers = {"Location": f"/prompt-svc/prompt/{quote(shown.prompt.id)}", **COME_BACK}
        return Response(HTTPStatus.ACCEPTED, JSON, body, headers)
    return Response(HTTPStatus.OK, JSON, body)


async def get_prompt(call: Call, prompt_id: PathId, wait: Wait = 0) -> PromptAnswer:
    """The prompt with its attempts, after waiting up to `wait` seconds for its end."""
    return prompt_answer(await call.api.read.show(call.principal, prompt_id, wait), call.principal)


async def cancel_prompt(call: Call, prompt_id: PathId) -> Response[PromptAnswer]:
    """Cancel the prompt; 202 if its attempt has been asked but is not over yet.

    What there is of the answer is kept and marked partial. If the prompt ended before,
    the answer is how.
    """
    prompt = await call.api.cancel(call.principal, prompt_id)
    return _answered(call, await call.api.read.shown(prompt), waited=True)


async def retry_prompt(call: Call, prompt_id: PathId) -> PromptAnswer:
    """Give an abandoned or canceled prompt a new turn at the end and a fresh budget."""
    prompt = await call.api.retry(call.principal, prompt_id)
    return prompt_answer(await call.api.read.shown(prompt), call.principal)


async def list_prompts(call: Call, body: ListPrompts | None = None) -> PromptList:
    """List prompts in creation order: a user's own, for an admin the account's.

    Without a filter on status: the running and the scheduled. No body is an empty query.
    """
    wanted = asked((body and body.query) or Query())
    if wanted.nothing:
        return PromptList(prompts=[], count=0)

    async def fetch(limit: int) -> Page[Shown]:
        return await call.api.read.list(call.principal, wanted.limited(limit))

    page = await fitting(fetch, wanted.query.limit, _texts)
    count = (
        await call.api.read.count(call.principal, wanted.query, COUNT_CAP) if wanted.count else 0
    )
    answer = PromptList(
        prompts=[prompt_shape(shown, call.principal) for shown in page.items], count=count
    )
    if page.after:
        answer["after"] = page.after
    return answer


def _texts(shown: Shown) -> tuple[str, ...]:
    error = shown.prompt.error
    return (shown.question.text, shown.question.template, error) if shown.question else (error,)


async def remove_prompt(call: Call, body: RemovePrompt) -> Nothing:
    """Remove a prompt; an unfinished one is canceled first. The thread keeps its messages."""
    await call.api.remove(call.principal, body.prompt_id)
    return Nothing()


async def delete_prompt(call: Call, prompt_id: PathId) -> Nothing:
    """Remove a prompt; an unfinished one is canceled first. The thread keeps its messages."""
    await call.api.remove(call.principal, prompt_id)
    return Nothing()


async def subscribe_to_prompt_responses(
    call: Call,
    thread_id: PathId,
    wait: Wait = SYNC_BUDGET_CAP,
    last_event_id: Annotated[str | None, Header(alias="last-event-id")] = None,
) -> Response[str]:
    """What is new in a thread, as complete server-sent events; then the body ends.

    Waits for something new as long as a prompt is unfinished. Come back after `retry`
    milliseconds with the last `id` as `Last-Event-ID`: nothing is lost or repeated.
    `type` is progress, done, restarted (a new attempt begins anew), canceled or abandoned.
    """
    streamed = await call.api.stream(call.principal, thread_id, last_event_id or "", wait)
    headers = {"Cache-Control": "no-store"}
    return Response(HTTPStatus.OK, MEDIA_TYPE, body_of(streamed), headers)


TAG = "prompt-svc"
PROMPT = "/prompt-svc/prompt/<prompt_id>"
ENDPOINTS = (
    Endpoint(
        "POST",
        "/prompt-svc/prompt",
        add_prompt,
        TAG,
        "Add a prompt",
        (Invalid, NotFound, Conflict, TooManyOpenTurns),
        may_wait=True,
    ),
    Endpoint("GET", PROMPT, get_prompt, TAG, "Get a prompt, or wait for it", (Invalid, NotFound)),
    Endpoint(
        "POST",
        f"{PROMPT}/cancel",
        cancel_prompt,
        TAG,
        "Cancel a prompt",
        (Invalid, NotFound),
        may_wait=True,
    ),
    Endpoint(
        "POST",
        f"{PROMPT}/retry",
        retry_prompt,
        TAG,
        "Retry a prompt",
        (Invalid, NotFound, Conflict, TooManyOpenTurns),
    ),
    Endpoint("POST", "/prompt-svc/prompts", list_prompts, TAG, "List prompts", (Invalid,)),
    Endpoint(
        "POST",
        "/prompt-svc/remove",
        remove_prompt,
        TAG,
        "Remove a prompt",
        (Invalid, NotFound),
    ),
    Endpoint("DELETE", PROMPT, delete_prompt, TAG, "Remove a prompt", (Invalid, NotFound)),
    Endpoint(
        "GET",
        "/prompt-svc/prompts/<thread_id>/responses/subscribe",
        subscribe_to_prompt_responses,
        TAG,
        "Follow a thread",
        (Invalid, NotFound),
        stream=True,
    ),
)
