"""What belongs to an account: its keys, its catalogue of models, its resources, its secrets."""

from collections.abc import Sequence
from typing import Protocol

from parley.core.access import ApiKey
from parley.core.model import Catalogue
from parley.core.resource import Kind, Resource
from parley.ports.pages import Page


class KeyStore(Protocol):
    """API keys, accounts and users."""

    async def create_account(self, account: str, name: str, now: int) -> None:
        """Raises Conflict if it exists."""

    async def accounts(self) -> Sequence[tuple[str, str, int]]:
        """Number, name and time of creation (ms) of every account, oldest first.

        For operators with access to the table; no call of the API asks for it.
        """

    async def put_key(self, key: ApiKey) -> None:
        """Store a new key by its hash, and in its account's list."""

    async def key(self, hash_: str) -> ApiKey | None:
        """A key by its hash, revoked ones included."""

    async def keys(self, account: str) -> Sequence[ApiKey]:
        """The keys of an account, oldest first."""

    async def revoke_key(self, account: str, key_id: str, now: int) -> ApiKey | None:
        """Mark revoked; None if the account has no such key."""


class CatalogueStore(Protocol):
    """The models of an account."""

    async def catalogue(self, account: str) -> Catalogue:
        """Empty if none was put."""

    async def put_catalogue(self, account: str, catalogue: Catalogue) -> None:
        """Replace the whole, its version becoming one more.

        Conditional on the stored version being `catalogue.version`; raises
        TransitionRefused otherwise.
        """

    async def with_client(
        self, account: str, client: str, plugins: Sequence[str] = ()
    ) -> tuple[Catalogue, Resource | None, Sequence[Resource]]:
        """The catalogue, the LLMClient of this name if any, and those Plugins (at most 98)
        of these names that there are; one consistent read.
        """


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


class SecretStore(Protocol):
    """Where secrets are put; they are read through `Secrets` by the runner alone."""

    async def put_secret(self, account: str, name: str, value: str) -> None:
        """Store or replace, encrypted."""

    async def delete_secret(self, account: str, name: str) -> None:
        """Absent is a success."""
