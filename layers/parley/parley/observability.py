"""Structured logs and metrics, made of what the use cases tell.

Every line about a prompt carries account, thread_id, prompt_id and attempt, never text, an
answer, a key, or a provider's words (I9): ids and codes only. Of an unexpected error the
type and the place are logged and not the message, which may quote what was being worked on.

Traces are Lambda's own (the template's `Tracing`): Powertools' Tracer needs the X-Ray SDK,
which would weigh on every cold start, traced or not. The logs carry the trace id.
"""

import logging
import os
import traceback
from collections.abc import Callable
from functools import wraps
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit, single_metric

from parley.core.prompt import OpenTurn, Outcome, Prompt
from parley.usecases import verdicts

if TYPE_CHECKING:
    from parley.wire.http_calls import CallRecord

# One per stack, or two stacks of an AWS account would add up to one set of figures.
NAMESPACE = os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "Parley")

logger = Logger()
metrics = Metrics(namespace=NAMESPACE)

# What adapters log through the standard library comes in the same form.
_adapters = logging.getLogger("parley")
_adapters.handlers = [logger.registered_handler]
_adapters.propagate = False

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


class Crashed(Exception):
    """Stands for an unexpected error, by the name of its type."""


def observed(handler: Handler) -> Handler:
    """The handler with its request in every log line, and its metrics written at the end.

    `log_event` is off even if the environment asks for it: events carry keys and text. For
    the same reason an unexpected error leaves as `Crashed`: Lambda is to count it, and would
    log its words, which may quote what was worked on.
    """
    with_context: Handler = logger.inject_lambda_context(handler, log_event=False)

    @wraps(handler)
    def flushed(event: dict[str, Any], context: Any) -> dict[str, Any]:
        try:
            return with_context(event, context)
        except Exception as error:  # noqa: BLE001 - the outermost boundary, see above
            unexpected(error, "crashed")
            raise Crashed(type(error).__name__) from None
        finally:
            if metrics.metric_set:
                metrics.flush_metrics()

    return flushed


def unexpected(error: BaseException, message: str, **keys: object) -> None:
    """Log an unexpected error, without its words."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    logger.error(message, extra={"error": type(error).__name__, "place": place, **keys})


def waited(prompt: Prompt, turn: OpenTurn, now: int) -> int | None:
    """How long a claimed prompt could have been running already (ms); None if not known.

    A first attempt was due when the prompt was accepted, a repeated one when its back-off
    was over, which stands on the open turn unless a sweep has moved it since.
    """
    if not prompt.attempts:
        return now - prompt.created_at
    last = prompt.attempts[-1]
    if last.outcome is Outcome.LOST:
        return now - last.ended_at
    return now - turn.due if last.ended_at <= turn.due <= now else None


class CallsObserver:
    """`wire.http_calls.HttpObserver`: what the API tells."""

    def answered(self, call: "CallRecord") -> None:
        keys = {
            "account": call.account,
            "method": call.method,
            "route": call.route,
            "status": call.status,
            "duration_ms": round(call.milliseconds),
        }
        logger.info("answered", extra=keys | {"ids": call.ids})

    def failed(self, error: Exception) -> None:
        unexpected(error, "call failed")


class TurnsObserver:
    """`usecases.observing.TurnObserver`: what the API tells of prompts."""

    def accepted(self, prompt: Prompt) -> None:
        _count("PromptsAccepted")
        logger.info("accepted", extra=_keys(prompt))


class PromptsObserver:
    """`usecases.observing.Observer` and `ToolObserver`: what runner and sweeper tell."""

    def claimed(self, prompt: Prompt, turn: OpenTurn, now: int) -> None:
        delay = waited(prompt, turn, now)
        if delay is not None:
            metrics.add_metric("QueueDelay", MetricUnit.Milliseconds, delay)
        logger.info("claimed", extra=_keys(prompt) | {"queue_delay_ms": delay})

    def attempted(
        self, prompt: Prompt, verdict: verdicts.Verdict, first_token_at: int, now: int
    ) -> None:
        keys = _keys(prompt) | {
            "verdict": type(verdict).__name__,
            "duration_ms": now - prompt.last_run,
        }
        if first_token_at:
            first = first_token_at - prompt.last_run
            metrics.add_metric("TimeToFirstToken", MetricUnit.Milliseconds, first)
            keys["first_token_ms"] = first
        if isinstance(verdict, verdicts.Failed):
            keys["reason"] = verdict.failure.reason
            _count_failed(verdict.failure.reason)
        if isinstance(verdict, verdicts.Answered) and verdict.usage is not None:
            usage = verdict.usage
            metrics.add_metric("PromptTokens", MetricUnit.Count, usage.prompt_tokens)
            metrics.add_metric("CompletionTokens", MetricUnit.Count, usage.completion_tokens)
        if isinstance(verdict, verdicts.Answered) and verdict.rounds:
            calls = [call for one in verdict.rounds for call in one.calls]
            keys["tool_rounds"] = len(verdict.rounds)
            keys["tool_calls"] = len(calls)
            keys["tool_calls_failed"] = sum(call.outcome != "ok" for call in calls)
        logger.info("attempted", extra=keys)

    def completed(self, prompt: Prompt) -> None:
        _count("PromptsCompleted")
        logger.info("completed", extra=_keys(prompt))

    def lease_lost(self, prompt: Prompt) -> None:
        _count("LeasesLost")
        logger.warning("lease lost", extra=_keys(prompt))

    def abandoned(self, prompt: Prompt) -> None:
        _count("PromptsAbandoned")
        logger.warning("abandoned", extra=_keys(prompt) | {"reason": prompt.error_code})

    def provider_broke(self, prompt: Prompt, error: Exception) -> None:
        unexpected(error, "provider broke", **_keys(prompt))

    def tool_broke(self, name: str, error: Exception) -> None:
        unexpected(error, "tool broke", tool=name)

    def delivery_failed(self, prompt: Prompt, error: BaseException) -> None:
        unexpected(error, "delivery failed", **_keys(prompt))


def _keys(prompt: Prompt) -> dict[str, object]:
    return {
        "account": prompt.account,
        "thread_id": prompt.thread_id,
        "prompt_id": prompt.id,
        "attempt": prompt.run_count,
    }


def _count(name: str) -> None:
    metrics.add_metric(name, MetricUnit.Count, 1)


def _count_failed(reason: str) -> None:
    """A line of its own: the other metrics of the invocation must not get its dimension."""
    with single_metric("AttemptsFailed", MetricUnit.Count, 1, namespace=NAMESPACE) as metric:
        metric.add_dimension("reason", reason)
