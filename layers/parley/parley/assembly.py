"""The adapters that the engines of all functions are put together on.

One engine per function, each in a module of its own beside this one, so that a function loads
what it uses: `assembly_api`, `assembly_runner`, `assembly_socket`, `assembly_sweeper`.

Everything here is cheap and holds no connection, no credentials and no secret: clients are
made on their first call, so that a SnapStart snapshot contains none.
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
from parley.adapters.sqs import SqsWakeUps, sqs_calls
from parley.adapters.system import RandomIds, SystemClock
from parley.core.policy import Policy
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
from parley.settings import FunctionSettings
from parley.usecases.ending import Ending
from parley.usecases.remove import DeleteThread


@dataclass(frozen=True, slots=True)
class Parts:
    """The adapters that functions share: stores, queues, sockets, clock and chance."""

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


def parts(settings: FunctionSettings) -> Parts:
    """These adapters as a function's settings name them."""
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
        policy=settings.policy,
    )
