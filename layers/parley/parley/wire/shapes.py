"""What the API answers: the shapes of prompts, messages and threads, and how they are made.

One object carries the fields of the 2024 prompt-svc contract, those of the later one
(`responseMessageId`, `text` beside `content`) and Parley's own, so that clients of each
find what they look for.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, NotRequired, TypeVar, cast

from pydantic import Field
from typing_extensions import TypedDict

from parley.core.access import Principal
from parley.core.prompt import Attempt, Prompt, Status, Usage
from parley.core.thread import Message, Thread, ToolCall, replaced_turn
from parley.ports import Page
from parley.usecases.read import Shown

T = TypeVar("T")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEVER = "0001-01-01T00:00:00Z"
PROMPT_TYPE = "Text-to-Text"

# Lambda answers at most 6 MB. The body is escaped once more on its way out, a message carries
# its text twice, and a character takes up to four bytes.
PAGE_CHARACTERS = 1_000_000

StatusWord = Literal["scheduled", "running", "errored", "completed", "abandoned", "canceled"]
Time = Annotated[str, Field(description="RFC 3339, UTC, milliseconds.")]


def stamp(ms: int) -> str:
    """A time as RFC 3339; the contract's zero time for 0."""
    if not ms:
        return NEVER
    moment = EPOCH + timedelta(milliseconds=ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class UsageShape(TypedDict):
    """Tokens, as the provider counted them."""

    promptTokens: int
    completionTokens: int


class AttemptShape(TypedDict):
    """One ended attempt."""

    number: int
    startedAt: Time
    endedAt: Time
    outcome: Literal["completed", "failed", "refused", "canceled", "lost"]
    reason: str
    usage: NotRequired[UsageShape]


class PromptShape(TypedDict):
    """A prompt. `prompt`, `template` and `error` are its owner's only: others get "".

    The turn of an llm_client's session is shown to the account's admins as well.
    """

    id: str
    prompt: str
    sync: bool
    threadId: str
    template: str
    modelId: str
    maxRetries: int
    createdAt: Time
    updatedAt: Time
    status: StatusWord
    lastRun: Annotated[str, Field(description=f"Start of the latest attempt, or {NEVER}.")]
    runCount: Annotated[int, Field(description="Attempts started.")]
    error: Annotated[str, Field(description="Why the latest attempt failed.")]
    userId: str
    type: str
    requestMessageId: str
    responseMessageId: Annotated[str, Field(description="Empty while there is no answer.")]
    parameters: NotRequired[dict[str, Any]]
    turn: Annotated[int, Field(description="Place in the thread, from 1.")]
    errorCode: str
    cancelRequested: bool
    nextAttemptAt: NotRequired[Time]
    attempts: list[AttemptShape]
    ahead: NotRequired[Annotated[int, Field(description="Unfinished turns that run before it.")]]


class CallShape(TypedDict):
    """A call of a tool, as the model asked for it, and what it was told."""

    id: str
    name: str
    plugin: Annotated[str, Field(description="The plugin behind it; empty for a function.")]
    arguments: Annotated[str, Field(description="The model's own text, most often JSON.")]
    result: str
    outcome: Literal["ok", "failed", ""]
    milliseconds: int
    size: Annotated[int, Field(description="Of the result, in UTF-8 bytes.")]


class MessageShape(TypedDict):
    """A message: `content` for the 2024 contract, `text` for the later one.

    One of the role `tool` is a round of calls. Its text is what the model said before them;
    the turn's answer, if there is one, begins with it.
    """

    id: str
    threadId: str
    content: str
    text: str
    createdAt: Time
    updatedAt: Time
    role: Literal["user", "assistant", "tool"]
    turn: int
    userId: NotRequired[str]
    assetIds: NotRequired[list[str]]
    finishReason: NotRequired[str]
    partial: NotRequired[Annotated[bool, Field(description="Kept of a canceled answer.")]]
    calls: NotRequired[list[CallShape]]
    replaces: NotRequired[
        Annotated[int, Field(description="The turn whose place the question takes, as an edit.")]
    ]


class ThreadShape(TypedDict):
    """A thread."""

    id: str
    title: str
    userIds: list[str]
    topicIds: list[str]
    createdAt: Time
    updatedAt: Time


class PromptAnswer(TypedDict):
    """A prompt with its answer. `answer` is empty unless the prompt is completed."""

    answer: str
    prompt: PromptShape
    responseMessage: NotRequired[MessageShape]


class Nothing(TypedDict):
    """An empty object."""


def prompt_answer(shown: Shown, principal: Principal) -> PromptAnswer:
    """The prompt with its answer, as the caller may see it."""
    answer = shown.answer if _told(shown.prompt, principal) else None
    completed = answer is not None and shown.prompt.status is Status.COMPLETED
    prompt = prompt_shape(shown, principal)
    prompt["ahead"] = shown.ahead
    body = PromptAnswer(answer=answer.text if answer and completed else "", prompt=prompt)
    if answer:
        body["responseMessage"] = message_shape(answer)
    return body


def prompt_shape(shown: Shown, principal: Principal) -> PromptShape:
    """The prompt as the caller may see it; without `ahead`, which not every call knows."""
    prompt = shown.prompt
    told = _told(prompt, principal)
    question = shown.question if told else None
    template = question.template if question else ""
    shape = PromptShape(
        id=prompt.id,
        prompt=question.text if question else "",
        sync=prompt.sync,
        threadId=prompt.thread_id,
        template=template,
        modelId=prompt.model_id,
        maxRetries=prompt.max_retries,
        createdAt=stamp(prompt.created_at),
        updatedAt=stamp(prompt.updated_at),
        status=prompt.status.value,
        lastRun=stamp(prompt.last_run),
        runCount=prompt.run_count,
        error=prompt.error if told else "",
        userId=prompt.user_id,
        type=PROMPT_TYPE,
        requestMessageId=prompt.id,
        responseMessageId=prompt.response_message_id,
        turn=prompt.turn,
        errorCode=prompt.error_code,
        cancelRequested=prompt.cancel_requested,
        attempts=[_attempt(attempt) for attempt in prompt.attempts],
    )
    if template:
        shape["parameters"] = {"textToText": {"template": template}}
    if prompt.next_attempt_at:
        shape["nextAttemptAt"] = stamp(prompt.next_attempt_at)
    return shape


def _told(prompt: Prompt, principal: Principal) -> bool:
    """True if the caller gets the texts: it is the owner's, or an admin's account's session's.

    A session is no user who could ask why its turn failed; whose llm_client it is must.
    """
    of_session = bool(prompt.client) and principal.admin and prompt.account == principal.account
    return of_session or prompt.user_id == principal.user_id


def _attempt(attempt: Attempt) -> AttemptShape:
    shape = AttemptShape(
        number=attempt.number,
        startedAt=stamp(attempt.started_at),
        endedAt=stamp(attempt.ended_at),
        outcome=attempt.outcome.value,
        reason=attempt.reason,
    )
    if attempt.usage:
        shape["usage"] = _usage(attempt.usage)
    return shape


def _usage(usage: Usage) -> UsageShape:
    return UsageShape(promptTokens=usage.prompt_tokens, completionTokens=usage.completion_tokens)


def message_shape(message: Message) -> MessageShape:
    """A message; what is empty is left out, as in the contract."""
    shape = MessageShape(
        id=message.id,
        threadId=message.thread_id,
        content=message.text,
        text=message.text,
        createdAt=stamp(message.created_at),
        updatedAt=stamp(message.updated_at),
        role=message.role.value,
        turn=message.turn,
    )
    if message.user_id:
        shape["userId"] = message.user_id
    if message.asset_ids:
        shape["assetIds"] = list(message.asset_ids)
    if message.finish_reason:
        shape["finishReason"] = message.finish_reason
    if message.partial:
        shape["partial"] = True
    if message.calls:
        shape["calls"] = [_call(call) for call in message.calls]
    if replaced := replaced_turn(message):
        shape["replaces"] = replaced
    return shape


def _call(call: ToolCall) -> CallShape:
    return CallShape(
        id=call.id,
        name=call.name,
        plugin=call.plugin,
        arguments=call.arguments,
        result=call.result,
        outcome=cast('Literal["ok", "failed", ""]', call.outcome),
        milliseconds=call.milliseconds,
        size=len(call.result.encode(errors="replace")),
    )


def texts_of(message: Message) -> list[str]:
    """All of a message's texts, as `fitting` counts them."""
    told = [text for call in message.calls for text in (call.arguments, call.result)]
    return [message.text, *told]


def thread_shape(thread: Thread) -> ThreadShape:
    return ThreadShape(
        id=thread.id,
        title=thread.title,
        userIds=list(thread.user_ids),
        topicIds=list(thread.topic_ids),
        createdAt=stamp(thread.created_at),
        updatedAt=stamp(thread.updated_at),
    )


async def fitting(
    fetch: Callable[[int], Awaitable[Page[T]]], limit: int, texts: Callable[[T], Sequence[str]]
) -> Page[T]:
    """A page that fits into an answer: read again with half the items while it does not.

    A page of the longest texts is larger than Lambda may answer, and where its cursor
    stands only the store knows.
    """
    while True:
        page = await fetch(limit)
        written = (json.dumps(text, ensure_ascii=False) for it in page.items for text in texts(it))
        size = sum(map(len, written))
        if size <= PAGE_CHARACTERS or limit == 1:
            return page
        limit //= 2
