"""Puts the runner's engine together: the one that reaches providers and their secrets."""

from dataclasses import dataclass

from parley.adapters.open_meteo import OpenMeteo
from parley.adapters.openai_provider import OpenAIProvider
from parley.adapters.secrets import ParameterStoreSecrets, parameter_store_calls
from parley.adapters.sqs import SqsDeadLetters, SqsReceipts
from parley.adapters.system import WakefulClock
from parley.assembly import parts
from parley.observability import PromptsObserver
from parley.ports import Clock, DeadLetters, Receipts
from parley.settings import RunnerSettings
from parley.usecases.attempt import AttemptPorts
from parley.usecases.catalogue import Models
from parley.usecases.run import Run
from parley.usecases.setups import Setups
from parley.usecases.tools import Toolbox


@dataclass(frozen=True, slots=True)
class Runner:
    """What `functions/runner` works with."""

    run: Run
    receipts: Receipts
    dead_letters: DeadLetters
    clock: Clock


def runner_engine(settings: RunnerSettings) -> Runner:
    """What `functions/runner` works with, on AWS."""
    made = parts(settings)
    dead_letters = SqsDeadLetters(made.queues, settings.dlq_url)
    memory = WakefulClock()
    observer = PromptsObserver()
    ports = AttemptPorts(
        prompts=made.prompts,
        threads=made.threads,
        subscribers=made.subscribers,
        models=Models(made.catalogues, memory.monotonic),
        secrets=ParameterStoreSecrets(settings.secrets_prefix, parameter_store_calls(), memory),
        provider=OpenAIProvider(
            connect_seconds=settings.connect_seconds,
            first_token_seconds=settings.first_token_seconds,
            between_tokens_seconds=settings.between_tokens_seconds,
        ),
        publisher=made.publisher,
        clock=made.clock,
        policy=settings.policy,
        setups=Setups(made.catalogues, made.resources, memory.monotonic),
        tools=Toolbox(
            made.clock,
            OpenMeteo(memory, settings.weather_geocoding_url, settings.weather_forecast_url),
            observer,
        ),
    )
    run = Run(
        ports=ports,
        ending=made.ending,
        dead_letters=dead_letters,
        ids=made.ids,
        observer=observer,
    )
    receipts = SqsReceipts(made.queues, [settings.queue_url, settings.solo_queue_url])
    return Runner(run, receipts, dead_letters, made.clock)
