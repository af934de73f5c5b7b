"""Puts the socket's engine together."""

from parley.adapters.system import WakefulClock
from parley.assembly import parts
from parley.settings import SocketSettings
from parley.usecases.cancel import Cancel
from parley.usecases.clients import Clients
from parley.usecases.follow import Follow
from parley.usecases.keys import Authenticate
from parley.usecases.sessions import Sessions
from parley.wire.socket import Socket


def socket_engine(settings: SocketSettings) -> Socket:
    """What `functions/socket` serves."""
    made = parts(settings)
    memory = WakefulClock()
    return Socket(
        authenticate=Authenticate(made.keys, memory.monotonic),
        clients=Clients(made.resources, memory.monotonic),
        sessions=Sessions(made.prompts, made.threads, made.delete_thread, made.clock, made.ids),
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
