"""When a failed attempt is repeated, and when it is not."""

from parley.core.errors import ProviderFailed
from parley.core.prompt import Prompt

BACKOFF_STEPS = 10
RETRY_AFTER_CAP_SECONDS = 15 * 60
MAX_RETRIES_CAP = 20
SOON_SECONDS = 5
LATEST_SECONDS = 900


def backoff_ms(base_seconds: float, attempt: int) -> int:
    """The wait after failed attempt `attempt` (from 1): base * 2^(min(n, 10) - 1)."""
    return int(base_seconds * 1000 * 2 ** (min(max(attempt, 1), BACKOFF_STEPS) - 1))


def receive_pause(receives: int) -> int:
    """Seconds until a wake-up that met an outage is shown again: twice as long each time.

    The queue gives a message up after 50 receives: with a steady pause, some minutes of
    throttling would move a whole backlog of healthy wake-ups to the dead letters.
    """
    return int(min(SOON_SECONDS * 2 ** min(receives - 1, 10), LATEST_SECONDS))


def next_attempt_at(
    prompt: Prompt, failed: ProviderFailed, now: int, base_seconds: float
) -> int | None:
    """When to try again (ms), or None if the prompt is to be abandoned.

    A provider's longer `Retry-After` wins over the back-off; one beyond 15 minutes is
    longer than a caller can be asked to wait.
    """
    if not failed.retryable or prompt.failures >= prompt.max_retries:
        return None
    retry_after = failed.retry_after or 0
    if retry_after > RETRY_AFTER_CAP_SECONDS:
        return None
    wait = max(backoff_ms(base_seconds, prompt.failures + 1), int(retry_after * 1000))
    return now + wait
