"""The ports: what the use cases need of the outside world, as async Protocols.

Every call is an `await`, so that the simulation's scheduler can stand between any two of
them. Store calls are atomic. A store call may raise `core.errors.Busy` for throttling or
contention, when nothing was written, and `core.errors.Unavailable` when it is unknown
whether the call took effect.
"""

from parley.ports.accounts import CatalogueStore, KeyStore, ResourceStore, SecretStore
from parley.ports.followers import (
    UNKNOWN_CONNECTION,
    Connection,
    Followers,
    LiveText,
    Post,
    Publisher,
    Subscriber,
    SubscriberStore,
)
from parley.ports.pages import Page
from parley.ports.prompts import COUNT_EXAMINED, Conversation, PromptQuery, PromptStore, ThreadHead
from parley.ports.provider import (
    ChatMessage,
    Finished,
    Models,
    Provider,
    ProviderRequest,
    Secrets,
    TextDelta,
    Tool,
    ToolResult,
    Tools,
    Weather,
)
from parley.ports.queues import DeadLetter, DeadLetters, Receipts, WakeUp, WakeUps
from parley.ports.system import Clock, Ids
from parley.ports.threads import ChatStore, ThreadChanges, ThreadStore, TurnCounts

__all__ = [
    "COUNT_EXAMINED",
    "UNKNOWN_CONNECTION",
    "CatalogueStore",
    "ChatMessage",
    "ChatStore",
    "Clock",
    "Connection",
    "Conversation",
    "DeadLetter",
    "DeadLetters",
    "Finished",
    "Followers",
    "Ids",
    "KeyStore",
    "LiveText",
    "Models",
    "Page",
    "Post",
    "PromptQuery",
    "PromptStore",
    "Provider",
    "ProviderRequest",
    "Publisher",
    "Receipts",
    "ResourceStore",
    "SecretStore",
    "Secrets",
    "Subscriber",
    "SubscriberStore",
    "TextDelta",
    "ThreadChanges",
    "ThreadHead",
    "ThreadStore",
    "Tool",
    "ToolResult",
    "Tools",
    "TurnCounts",
    "WakeUp",
    "WakeUps",
    "Weather",
]
