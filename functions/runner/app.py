"""The runner: starts an attempt for each wake-up of a batch, all on one event loop."""

import asyncio
from typing import Any

from parley.adapters.sqs import parse_wake_up
from parley.assembly_runner import runner_engine
from parley.core.backoff import receive_pause
from parley.core.errors import Busy, TransitionRefused, Unavailable
from parley.kept_loop import KeptLoop
from parley.observability import logger, observed, unexpected
from parley.settings import RunnerSettings, read
from parley.usecases.run import Again, Done, Result

# Attempts end themselves so long before Lambda would end them, to write how they ended.
RESERVE_SECONDS = 20

engine = runner_engine(read(RunnerSettings))
loop = KeptLoop()


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answers which messages are to be shown again; SQS deletes the others."""
    left: float = context.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS
    failed = loop(batch(event["Records"], left))
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


async def batch(records: list[dict[str, Any]], left: float) -> list[str]:
    """Works on all records at once for `left` seconds; ids of those that are not done."""
    deadline = engine.clock.monotonic() + left
    alone = len(records) == 1
    done = await asyncio.gather(*(settled(record, deadline, alone) for record in records))
    return [record["messageId"] for record, ok in zip(records, done, strict=True) if not ok]


async def settled(record: dict[str, Any], deadline: float, alone: bool) -> bool:
    """True if the message may be deleted. Whatever goes wrong stays with this one record."""
    try:
        result = await look(record, deadline, alone)
        if isinstance(result, Again):
            await engine.receipts.postpone(
                record["receiptHandle"], record["eventSourceARN"], result.seconds
            )
        return isinstance(result, Done)
    except Exception as error:  # noqa: BLE001 - a bug met by one prompt must not fail nine others
        # Left to the queue's own visibility: the sweeper comes sooner, and the queue gives
        # up after its number of receives.
        unexpected(error, "record failed", message_id=record["messageId"])
        return False


async def look(record: dict[str, Any], deadline: float, alone: bool) -> Result:
    """What is to become of a message."""
    wake_up = parse_wake_up(record["body"])
    if wake_up is None:
        await engine.dead_letters.set_aside(record["messageId"], record["body"])
        return Done()
    try:
        return await engine.run(wake_up, alone=alone, deadline=deadline)
    except (TransitionRefused, Busy, Unavailable) as error:
        logger.warning("trying later", extra={"error": type(error).__name__})
        return Again(receive_pause(int(record["attributes"]["ApproximateReceiveCount"])))
