"""Puts the sweeper's engine together."""

from parley.adapters.sqs import SqsDeadLetters
from parley.assembly import parts
from parley.observability import PromptsObserver
from parley.settings import SweeperSettings
from parley.usecases.sweep import Sweep


def sweeper_engine(settings: SweeperSettings) -> Sweep:
    """What `functions/sweeper` does."""
    made = parts(settings)
    return Sweep(
        prompts=made.prompts,
        threads=made.threads,
        ending=made.ending,
        delete_thread=made.delete_thread,
        dead_letters=SqsDeadLetters(made.queues, settings.dlq_url),
        clock=made.clock,
        policy=made.policy,
        observer=PromptsObserver(),
    )
