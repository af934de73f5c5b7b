"""The figures of the protocol that a deployment may set. Seconds unless the name says ms."""

from dataclasses import dataclass

OPEN_TURNS_CAP = 100
SWEEP_DISTANCE_CAP_MS = 15 * 60 * 1000


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What every function goes by: each of them may end a turn and wake the next one.

    A figure that a deployment sets has no default, here and below: a function that is not
    given it must not go by another one than its neighbours.
    """

    sweep: float
    cancel_wait: float = 3
    look: float = 1
    delta_pause: float = 0.08
    farewell: float = 5

    @property
    def sweep_ms(self) -> int:
        return int(self.sweep * 1000)


@dataclass(frozen=True, kw_only=True)
class CallPolicy(Policy):
    """What calls of the HTTP API go by, too."""

    default_max_retries: int
    sync_budget: float


@dataclass(frozen=True, kw_only=True)
class AttemptPolicy(Policy):
    """What attempts go by, too."""

    lease: float
    attempt_limit: float
    backoff_base: float

    @property
    def renew_every(self) -> float:
        """A third of the lease: two renewals may fail before it ends."""
        return self.lease / 3

    @property
    def lease_margin(self) -> float:
        """How long before the end of its lease an attempt stops by its own clock.

        It covers the last post under way and the difference between two machines' clocks.
        """
        return self.lease / 6

    @property
    def lease_ms(self) -> int:
        return int(self.lease * 1000)
