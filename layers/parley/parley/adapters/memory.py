"""The stores in memory: the reference that the simulation and the fast tests run on.

They apply the functions of `core.lifecycle` directly, so they are the state table made
executable. No call awaits anything inside: each one is atomic, as the ports promise.
"""

from parley.adapters.memory_accounts import MemoryAccounts, MemoryChat, MemoryResources
from parley.adapters.memory_prompts import MemoryPrompts, MemoryState
from parley.adapters.memory_subscribers import MemorySubscribers
from parley.adapters.memory_threads import MemoryThreads

__all__ = [
    "MemoryAccounts",
    "MemoryChat",
    "MemoryPrompts",
    "MemoryResources",
    "MemoryState",
    "MemorySubscribers",
    "MemoryThreads",
]
