"""The figures of the protocol that a deployment may set. Seconds unless the name says ms."""

from dataclasses import dataclass

OPEN_TURNS_CAP = 100
SWEEP_DISTANCE_CAP_MS = 15 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Policy:
    """How long things take and how often they are tried."""

    lease: float = 30
    attempt_limit: float = 300
    backoff_base: float = 1
    sweep: float = 60
    default_max_retries: int = 5
    sync_budget: float = 25
    cancel_wait: float = 3
    look: float = 1
    delta_pause: float = 0.08
    farewell: float = 5

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

    @property
    def sweep_ms(self) -> int:
        return int(self.sweep * 1000)
