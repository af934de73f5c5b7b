"""Puts the HTTP API's engine together."""

from parley.adapters.secrets import ParameterStoreWriter, parameter_store_calls
from parley.adapters.sqs import SqsDeadLetters
from parley.adapters.system import WakefulClock
from parley.assembly import Parts, parts
from parley.observability import TurnsObserver
from parley.settings import ApiSettings
from parley.usecases.accept import Accept
from parley.usecases.cancel import Cancel
from parley.usecases.catalogue import Models
from parley.usecases.chat import Chat
from parley.usecases.clients import Clients
from parley.usecases.converse import Converse
from parley.usecases.dead_letters import Redrive
from parley.usecases.keys import Authenticate, Keys
from parley.usecases.manifest_stores import CatalogueManifests, KeyManifests, ResourceManifests
from parley.usecases.manifests import Manifests
from parley.usecases.read import ReadPrompts
from parley.usecases.remove import Remove
from parley.usecases.retry import Retry
from parley.usecases.sessions import Sessions
from parley.usecases.sticky import StickySessions
from parley.usecases.stream import Stream
from parley.wire.http_calls import Api, Chats


def api_engine(settings: ApiSettings) -> Api:
    """What `functions/api` serves."""
    made, policy = parts(settings), settings.policy
    prompts, threads, clock, ids = made.prompts, made.threads, made.clock, made.ids
    memory = WakefulClock()
    models = Models(made.catalogues, memory.monotonic)
    observer = TurnsObserver()
    retry = Retry(prompts, made.ending, clock, ids, policy, observer)
    accept = Accept(prompts, models, made.wake_ups, clock, ids, policy, observer)
    cancel = Cancel(prompts, made.ending, clock, policy)
    clients = Clients(made.resources, memory.monotonic)
    keys = Keys(made.keys, made.subscribers, made.publisher, clock, ids, made.resources)
    return Api(
        authenticate=Authenticate(made.keys, memory.monotonic),
        accept=accept,
        read=ReadPrompts(prompts, threads, clock, policy),
        cancel=cancel,
        retry=retry,
        remove=Remove(prompts, made.ending, clock),
        stream=Stream(prompts, threads, made.subscribers, clock, policy),
        chat=Chat(threads, prompts, made.subscribers, clock, ids),
        delete_thread=made.delete_thread,
        models=models,
        keys=keys,
        redrive=Redrive(SqsDeadLetters(made.queues, settings.dlq_url), retry),
        chats=_chats(made, settings, clients, accept=accept, cancel=cancel, retry=retry),
        manifests=_manifests(made, settings, keys, models, clients),
        policy=policy,
        local_providers=settings.local_providers,
        allowed_origins=settings.allowed_origins,
    )


def _chats(
    made: Parts,
    settings: ApiSettings,
    clients: Clients,
    *,
    accept: Accept,
    cancel: Cancel,
    retry: Retry,
) -> Chats:
    prompts, threads, clock, ids = made.prompts, made.threads, made.clock, made.ids
    sessions = Sessions(prompts, threads, made.delete_thread, clock, ids)
    return Chats(
        clients=clients,
        sessions=sessions,
        converse=Converse(accept, sessions, cancel, retry, prompts, threads, made.chat, clock, ids),
        sticky=StickySessions(sessions, made.chat, clock, ids),
        clock=clock,
        domain=settings.api_domain,
        environment=settings.environment,
        socket_url=settings.socket_url,
    )


def _manifests(
    made: Parts, settings: ApiSettings, keys: Keys, models: Models, clients: Clients
) -> Manifests:
    secrets = ParameterStoreWriter(settings.secrets_prefix, parameter_store_calls())
    return Manifests(
        ResourceManifests(made.resources, secrets, made.clock),
        CatalogueManifests(models),
        KeyManifests(keys),
        models,
        clients,
    )
