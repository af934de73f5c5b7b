"""The sweeper: on schedule, moves what lost wake-ups and lost runners left behind."""

from typing import Any

from parley.assembly_sweeper import sweeper_engine
from parley.kept_loop import KeptLoop
from parley.observability import logger, observed
from parley.settings import SweeperSettings, read

# Shorter than the schedule's shortest interval, so that two sweeps seldom overlap.
LONGEST_SECONDS = 45
# What a look that has begun may still need.
RESERVE_SECONDS = 8

engine = sweeper_engine(read(SweeperSettings))
loop = KeptLoop()


@observed
def handler(_event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Sweeps within the invocation's time; answers how many open turns were looked at."""
    left: float = context.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS
    looked = loop(engine(min(left, LONGEST_SECONDS)))
    logger.info("swept", extra={"turns": looked})
    return {"turns": looked}
