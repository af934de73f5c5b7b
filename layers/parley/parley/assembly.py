"""Puts the engines together: use cases on the adapters that the settings name.

Everything here is cheap and holds no connection, no credentials and no secret: clients are
made on their first call, so that a SnapStart snapshot contains none. What needs the
provider's package is in `assembly_runner`, which only the runner imports.
"""

from dataclasses import dataclass

from parley.adapters.apigateway import ApiGatewayPublisher, management_calls
from parley.adapters.aws import AwsCalls
from parley.adapters.dynamodb_accounts import DynamoCatalogues, DynamoKeys
from parley.adapters.dynamodb_chat import DynamoChat
from parley.adapters.dynamodb_prompts import DynamoPrompts
from parley.adapters.dynamodb_resources import DynamoResources
from parley.adapters.dynamodb_subscribers import DynamoSubscribers
from parley.adapters.dynamodb_table import Table, dynamodb_calls
from parley.adapters.dynamodb_threads import DynamoThreads
from parley.adapters.secrets import ParameterStoreWriter, parameter_store_calls
from parley.adapters.sqs import SqsDeadLetters, SqsWakeUps, sqs_calls
from parley.adapters.system import RandomIds, SystemClock, WakefulClock
from parley.core.policy import Policy
from parley.observability import PromptsObserver
from parley.ports import (
    CatalogueStore,
    ChatStore,
    Clock,
    Ids,
    KeyStore,
    PromptStore,
    Publisher,
    ResourceStore,
    SubscriberStore,
    ThreadStore,
    WakeUps,
)
from parley.settings import ApiSettings, FunctionSettings, SocketSettings, SweeperSettings
from parley.usecases.accept import Accept
from parley.usecases.cancel import Cancel, DeleteThread, Remove, Retry
from parley.usecases.catalogue import Models
from parley.usecases.chat import Chat
from parley.usecases.clients import Clients
from parley.usecases.converse import Converse
from parley.usecases.dead_letters import Redrive
from parley.usecases.ending import Ending
from parley.usecases.follow import Follow
from parley.usecases.keys import Authenticate, Keys
from parley.usecases.manifests import manifests_over
from parley.usecases.read import ReadPrompts
from parley.usecases.sessions import Sessions
from parley.usecases.sticky import StickySessions
from parley.usecases.stream import Stream
from parley.usecases.sweep import Sweep
from parley.wire.http_calls import Api, Chats
from parley.wire.socket import Socket


@dataclass(frozen=True, slots=True)
class Parts:
    """The adapters that every function uses."""

    prompts: PromptStore
    threads: ThreadStore
    subscribers: SubscriberStore
    keys: KeyStore
    catalogues: CatalogueStore
    resources: ResourceStore
    chat: ChatStore
    queues: AwsCalls
    wake_ups: WakeUps
    publisher: Publisher
    clock: Clock
    ids: Ids
    policy: Policy

    @property
    def delete_thread(self) -> DeleteThread:
        return DeleteThread(self.prompts, self.threads, self.ending, self.clock)

    @property
    def sessions(self) -> Sessions:
        return Sessions(self.prompts, self.threads, self.delete_thread, self.clock, self.ids)

    @property
    def ending(self) -> Ending:
        return Ending(
            prompts=self.prompts,
            threads=self.threads,
            subscribers=self.subscribers,
            publisher=self.publisher,
            wake_ups=self.wake_ups,
            clock=self.clock,
            policy=self.policy,
        )


def parts(settings: FunctionSettings, policy: Policy) -> Parts:
    """The adapters of a function."""
    clock = SystemClock()
    queues = sqs_calls()
    table = Table(settings.table_name, dynamodb_calls(), clock)
    return Parts(
        prompts=DynamoPrompts(table),
        threads=DynamoThreads(table),
        subscribers=DynamoSubscribers(table),
        keys=DynamoKeys(table),
        catalogues=DynamoCatalogues(table),
        resources=DynamoResources(table),
        chat=DynamoChat(table),
        queues=queues,
        wake_ups=SqsWakeUps(queues, settings.queue_url, settings.solo_queue_url),
        publisher=ApiGatewayPublisher(management_calls(settings.socket_endpoint)),
        clock=clock,
        ids=RandomIds(),
        policy=policy,
    )


def api_engine(settings: ApiSettings) -> Api:
    """What `functions/api` serves."""
    made = parts(settings, settings.policy)
    prompts, threads, clock, ids = made.prompts, made.threads, made.clock, made.ids
    memory = WakefulClock()
    models = Models(made.catalogues, memory.monotonic)
    retry = Retry(prompts, made.ending, clock, ids, made.policy)
    accept = Accept(prompts, models, made.wake_ups, clock, ids, made.policy)
    cancel = Cancel(prompts, made.ending, clock, made.policy)
    sessions = made.sessions
    clients = Clients(made.resources, memory.monotonic)
    keys = Keys(made.keys, made.subscribers, made.publisher, clock, ids, made.resources)
    return Api(
        authenticate=Authenticate(made.keys, memory.monotonic),
        accept=accept,
        read=ReadPrompts(prompts, threads, clock, made.policy),
        cancel=cancel,
        retry=retry,
        remove=Remove(prompts, made.ending, clock),
        stream=Stream(prompts, threads, made.subscribers, clock, made.policy),
        chat=Chat(threads, prompts, made.subscribers, clock, ids),
        delete_thread=made.delete_thread,
        models=models,
        keys=keys,
        redrive=Redrive(SqsDeadLetters(made.queues, settings.dlq_url), retry),
        chats=Chats(
            clients=clients,
            sessions=sessions,
            converse=Converse(
                accept, sessions, cancel, retry, prompts, threads, made.chat, clock, ids
            ),
            sticky=StickySessions(sessions, made.chat, clock, ids),
            clock=clock,
            domain=settings.api_domain,
            environment=settings.environment,
            socket_url=settings.socket_url,
        ),
        manifests=manifests_over(
            resources=made.resources,
            secrets=ParameterStoreWriter(settings.secrets_prefix, parameter_store_calls()),
            keys=keys,
            models=models,
            clients=clients,
            clock=clock,
        ),
        policy=made.policy,
        local_providers=settings.local_providers,
        allowed_origins=settings.allowed_origins,
    )


def socket_engine(settings: SocketSettings) -> Socket:
    """What `functions/socket` serves."""
    made = parts(settings, Policy())
    memory = WakefulClock()
    return Socket(
        authenticate=Authenticate(made.keys, memory.monotonic),
        clients=Clients(made.resources, memory.monotonic),
        sessions=made.sessions,
        follow=Follow(
            subscribers=made.subscribers,
            prompts=made.prompts,
            threads=made.threads,
            clock=made.clock,
            ids=made.ids,
            max_connections=settings.max_connections,
        ),
        cancel=Cancel(made.prompts, made.ending, made.clock, made.policy),
        publisher=made.publisher,
    )


def sweeper_engine(settings: SweeperSettings) -> Sweep:
    """What `functions/sweeper` does."""
    made = parts(settings, settings.policy)
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
