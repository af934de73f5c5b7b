"""What the use cases need of accounts' resources, of chat's own figures, and of tools."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from parley.core.plugin import StaticPlugin
from parley.core.resource import Kind, Resource
from parley.ports.pipeline import Page


class ResourceStore(Protocol):
    """What accounts describe in manifests. Reads are consistent."""

    async def resource(self, account: str, kind: Kind, name: str) -> Resource | None:
        """By its name."""

    async def by_number(self, account: str, kind: Kind, number: int) -> Resource | None:
        """By its integer id."""

    async def by_host(self, host: str) -> Resource | None:
        """The llm_client with this verified custom host."""

    async def resources(self, account: str, kind: Kind, limit: int, after: str) -> Page[Resource]:
        """Those of a kind, by name."""

    async def some(self, account: str, kind: Kind, names: Sequence[str]) -> Sequence[Resource]:
        """Those with these names (at most 100), in one read; absent ones are left out."""

    async def add(self, resource: Resource) -> Resource:
        """Store a new one, with the next number of its kind; raises Conflict if the name is taken.

        Raises LabelTaken if another llm_client has the name's label in its host.
        Contention of two new ones raises Busy.
        """

    async def replace(self, resource: Resource) -> Resource:
        """Store a changed one, its revision becoming one more.

        Conditional on the stored revision being `resource.revision`: raises
        TransitionRefused otherwise. Raises Conflict if its host is another's.
        """

    async def delete(self, resource: Resource) -> None:
        """Delete it; absent is a success. Its number is not used again."""


@dataclass(frozen=True, slots=True)
class TurnCounts:
    """Which bound of an llm_client's minute a turn met, if any."""

    client_full: bool = False
    address_full: bool = False


class ChatStore(Protocol):
    """What chat keeps besides its threads."""

    async def count_turn(
        self, account: str, client: str, address: str, minute: int, caps: tuple[int, int]
    ) -> TurnCounts:
        """Count a turn of a minute, unless a bound is met.

        `address` is one of at most 1024 groups of addresses, three hex digits. `caps`
        are those of the llm_client and of one address. One conditional write.
        """

    async def sticky(self, account: str, id_: str, fresh: str, now: int, *, renew: bool) -> str:
        """The random text kept under an id for 24 h: the stored one, else `fresh`, stored now.

        `renew` stores `fresh` in any case.
        """


class SecretStore(Protocol):
    """Where secrets are put; they are read through `Secrets` by the runner alone."""

    async def put_secret(self, account: str, name: str, value: str) -> None:
        """Store or replace, encrypted."""

    async def delete_secret(self, account: str, name: str) -> None:
        """Absent is a success."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What the model is told (JSON text), and whether the call did what it should."""

    text: str
    failed: bool = False


class Tools(Protocol):
    """What the model may call."""

    async def call(self, name: str, arguments: str, plugins: Sequence[StaticPlugin]) -> ToolResult:
        """Call a function or a plugin with the model's JSON text; raises nothing.

        What goes wrong is a result: the model is told.
        """
