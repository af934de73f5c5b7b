"""The implementations that the one specification runs against."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from moto import mock_aws
from parley.adapters.aws import AwsCalls, client_config
from parley.adapters.dynamodb_accounts import DynamoCatalogues, DynamoKeys
from parley.adapters.dynamodb_chat import DynamoChat
from parley.adapters.dynamodb_prompts import DynamoPrompts
from parley.adapters.dynamodb_resources import DynamoResources
from parley.adapters.dynamodb_subscribers import DynamoSubscribers
from parley.adapters.dynamodb_table import Table
from parley.adapters.dynamodb_threads import DynamoThreads
from parley.adapters.memory import (
    MemoryAccounts,
    MemoryChat,
    MemoryPrompts,
    MemoryResources,
    MemoryState,
    MemorySubscribers,
    MemoryThreads,
)
from parley.ports import (
    CatalogueStore,
    ChatStore,
    KeyStore,
    PromptStore,
    ResourceStore,
    SubscriberStore,
    ThreadStore,
)

from local.emulator import REGION, ROOT_KEY
from tests.conformance.table import definition

START = 1_700_000_000_000


class HandClock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.ms = START

    def now(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000

    async def sleep(self, seconds: float) -> None:
        self.ms += int(seconds * 1000)


@dataclass
class Stores:
    """Every store port of one implementation, on one table."""

    clock: HandClock
    prompts: PromptStore
    threads: ThreadStore
    subscribers: SubscriberStore
    keys: KeyStore
    catalogues: CatalogueStore
    resources: ResourceStore
    chat: ChatStore


def memory_stores() -> Stores:
    clock = HandClock()
    state = MemoryState(now=clock.now)
    resources = MemoryResources()
    accounts = MemoryAccounts(clock.now, resources)
    return Stores(
        clock,
        MemoryPrompts(state),
        MemoryThreads(state),
        MemorySubscribers(clock.now),
        accounts,
        accounts,
        resources,
        MemoryChat(),
    )


def dynamo_stores(client: Any, name: str, threads: int = 1) -> Stores:
    """The DynamoDB stores on the table `name`, with so many calls under way at once.

    Not more than one with moto: when a transaction is refused it puts the whole table back,
    also what another thread has written meanwhile.
    """
    clock = HandClock()
    table = Table(name, AwsCalls(lambda: client, threads), clock)
    return Stores(
        clock,
        DynamoPrompts(table),
        DynamoThreads(table),
        DynamoSubscribers(table),
        DynamoKeys(table),
        DynamoCatalogues(table),
        DynamoResources(table),
        DynamoChat(table),
    )


def new_table(client: Any) -> str:
    """A fresh, empty table; returns its name."""
    name = f"parley-{uuid.uuid4().hex[:12]}"
    client.create_table(**definition(name))
    return name


@contextmanager
def moto_client() -> Iterator[Any]:
    """A DynamoDB client whose every call moto answers in this process."""
    with mock_aws():
        yield boto3.client(
            "dynamodb",
            region_name="eu-central-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=client_config(8),
        )


def emulator_client(url: str) -> Any:
    """A client of the emulator at this URL."""
    return boto3.client(
        "dynamodb",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=ROOT_KEY,
        aws_secret_access_key=ROOT_KEY,
        config=client_config(8),
    )
