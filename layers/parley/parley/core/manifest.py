"""Manifests: what an account describes itself with, whatever it is stored as."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from parley.core.errors import NotFound, WrongManifests
from parley.core.resource import Kind, Resource

API_VERSION = "smarter.sh/v1"
FIRST_VERSION = "0.1.0"
# What stands for a secret's value where a manifest is shown. Applied again it changes nothing.
MASK = "********"


class ManifestKind(StrEnum):
    """The kinds of manifests."""

    ACCOUNT = "Account"
    USER = "User"
    API_KEY = "ApiKey"
    LLM_CLIENT = "LLMClient"
    PLUGIN = "Plugin"
    PROVIDER = "Provider"
    SECRET = "Secret"  # noqa: S105 - a kind
    MODEL = "Model"


STORED_AS_RESOURCE = {
    ManifestKind.ACCOUNT: Kind.ACCOUNT,
    ManifestKind.USER: Kind.USER,
    ManifestKind.LLM_CLIENT: Kind.LLM_CLIENT,
    ManifestKind.PLUGIN: Kind.PLUGIN,
    ManifestKind.SECRET: Kind.SECRET,
}
OLDER_NAMES = {"chatbot": ManifestKind.LLM_CLIENT}


# So many are told in the text of a refusal, so many are listed for programs.
PROBLEMS_NAMED = 20
PROBLEMS_LISTED = 1000


def refused(problems: Sequence[str]) -> WrongManifests:
    """The error of these problems, each of which is one line and begins with its path."""
    lines = _first(problems, PROBLEMS_NAMED)
    return WrongManifests("\n".join(lines), _first(problems, PROBLEMS_LISTED))


def _first(problems: Sequence[str], cap: int) -> list[str]:
    more = len(problems) - cap
    lines = [" ".join(problem.split()) for problem in problems[:cap]]
    return [*lines, f"and {more} more"] if more > 0 else lines


def kind_named(word: str) -> ManifestKind:
    """The kind that a word in a path means: any case, one or many, `-` and `_` ignored.

    Raises NotFound, naming the kinds.
    """
    plain = re.sub(r"[-_]", "", word.lower())
    names = {kind.value.lower(): kind for kind in ManifestKind} | OLDER_NAMES
    found = names.get(plain) or names.get(plain.removesuffix("s"))
    if found is None:
        raise NotFound(f"no such kind; the kinds are {', '.join(ManifestKind)}")
    return found


@dataclass(frozen=True, slots=True)
class Manifest:
    """A thing of an account, as one describes it or as it is described by what is stored.

    `spec` holds what was given, in the manifest's own names, without what is null or empty.
    `secret` is the value of a Secret on its way in, and nowhere else. `status` is read-only,
    times in ms. `resource` is what it was read from, for kinds that are stored as such.
    """

    kind: ManifestKind
    name: str
    description: str = ""
    version: str = FIRST_VERSION
    tags: tuple[str, ...] = ()
    annotations: tuple[dict[str, Any], ...] = ()
    spec: dict[str, Any] = field(default_factory=dict)
    secret: str = field(default="", repr=False)
    status: dict[str, Any] = field(default_factory=dict, compare=False)
    resource: Resource | None = field(default=None, compare=False, repr=False)

    def at(self, *path: str) -> Any:
        """What the spec has at a path; None if nothing is there."""
        found: Any = self.spec
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        return found


METADATA = ("description", "version", "tags", "annotations")
DEFAULTS: dict[str, Any] = {one.name: one.default for one in fields(Manifest)}


def differences(before: Manifest, after: Manifest) -> tuple[str, ...]:
    """The paths at which two manifests of a thing differ; a secret's value always does."""
    found = [
        f"metadata.{name}" for name in METADATA if getattr(before, name) != getattr(after, name)
    ]
    found += _differing("spec", before.spec, after.spec)
    if after.secret:
        found.append("spec.config.value")
    return tuple(found)


def _differing(path: str, before: Any, after: Any) -> list[str]:
    # What is not there yet, or any more, is told by its parts.
    before = {} if before is None and after and isinstance(after, dict) else before
    after = {} if after is None and before and isinstance(before, dict) else after
    if isinstance(before, dict) and isinstance(after, dict):
        names = [*before, *(name for name in after if name not in before)]
        return [
            one
            for name in names
            for one in _differing(f"{path}.{name}", before.get(name), after.get(name))
        ]
    # As JSON, for which True is not 1.
    return [] if json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True) else [path]
