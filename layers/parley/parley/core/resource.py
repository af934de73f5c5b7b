"""What an account describes in manifests, as it is stored."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """The kinds of manifests that are stored as resources.

    A Provider and a Model are entries of the catalogue, an ApiKey is a key: those are
    stored where they are used.
    """

    ACCOUNT = "Account"
    USER = "User"
    LLM_CLIENT = "LLMClient"
    PLUGIN = "Plugin"
    SECRET = "Secret"  # noqa: S105 - a kind; its resource has no value, only what is told of it


@dataclass(frozen=True, slots=True)
class Resource:
    """A described thing of an account.

    `spec` is the validated manifest's, JSON values with the manifest's own (camelCase)
    names. `number` is its integer id, counted from 1 within account and kind. `revision`
    counts the changes; `host` is the verified custom host of an llm_client, or empty.
    """

    account: str
    kind: Kind
    name: str
    created_at: int
    updated_at: int
    description: str = ""
    version: str = "0.1.0"
    tags: tuple[str, ...] = ()
    annotations: tuple[dict[str, Any], ...] = ()
    spec: dict[str, Any] = field(default_factory=dict)
    number: int = 0
    revision: int = 0
    host: str = ""

    @property
    def twin(self) -> str:
        """The other name of an llm_client that would have its label; empty if there is none."""
        other = twin_of(self.name)
        return other if self.kind is Kind.LLM_CLIENT and other != self.name else ""


def twin_of(name: str) -> str:
    """The other name that has the same label in a host, where `_` is `-`.

    There is one, or the name itself, for a name has hyphens or underscores, not both.
    """
    return name.replace("_", "-") if "_" in name else name.replace("-", "_")
