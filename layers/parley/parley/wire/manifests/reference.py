"""What the models say of themselves: JSON schemas, and the page of all fields.

`python -m parley.wire.manifests.reference > docs/manifests.md` writes the committed page.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from parley.core.manifest import ManifestKind
from parley.wire.manifests.examples import EXAMPLES
from parley.wire.manifests.fields import Metadata, Part
from parley.wire.manifests.kinds import DOCUMENTS
from parley.wire.manifests.parsing import part_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"

HEAD = """# Manifests

An account describes what it has in manifests: YAML or JSON, `apiVersion: smarter.sh/v1`.
Generated from the models (`python -m parley.wire.manifests.reference > docs/manifests.md`).

- `parley apply -f FILE` creates or changes what a file describes, several documents included, and
  says of each: created, changed (what), unchanged. All of it is looked at before anything is
  written; `--dry-run` writes nothing. What a document names must be there, or come before it.
- Unknown fields are refused with their path, and so is everything that breaks a rule. The texts
  `""` and `"None"` are read as null. `status` is read-only: `describe` tells it, `apply` ignores
  it.
- **needed** fields must be there; one inside of a mapping that is not needed, once the mapping is.
  `spec` must be there for an LLMClient, a Plugin, a Provider, a Secret and a Model; that of an
  LLMClient may be `{}`.
- Of YAML only what JSON can say is read: no anchors, no duplicate keys, `no` and `2027-01-31` are
  texts. A call takes at most 100 documents and 1 MB, a `spec` 256 KB,
  annotations 32 KB.
- `Chatbot` is the older name of `LLMClient`. `SqlPlugin` and `ApiPlugin` are not supported.
- What others name cannot be deleted, nor the `Model` that answers what names none: make another
  one the default first. An `ApiKey` that is deleted is revoked; the `Account` stays.
- An `ApiKey` and a `Model` keep only their name of the metadata, a `Provider` also its description:
  the report says what was not kept.
"""


def schema(kind: ManifestKind) -> dict[str, Any]:
    """The JSON schema of a kind's manifests."""
    return {"$schema": DIALECT, **DOCUMENTS[kind].model_json_schema(by_alias=True)}


def page() -> str:
    """The page of all kinds."""
    metadata = _table(_rows(Metadata, "metadata.", schema(ManifestKind.USER)))
    common = f"## Metadata\n\nOf every kind, unless it says otherwise.\n\n{metadata}"
    return "\n".join([HEAD, common, *(_section(kind) for kind in ManifestKind)])


def _section(kind: ManifestKind) -> str:
    model = DOCUMENTS[kind]
    spec = part_of(model.model_fields["spec"].annotation)
    about = (spec.__doc__ or "").strip() if spec else ""
    common = {name: one.description for name, one in Metadata.model_fields.items()}
    metadata = part_of(model.model_fields["metadata"].annotation) or Metadata
    own = {
        f"`metadata.{one.alias}`"
        for name, one in metadata.model_fields.items()
        if common.get(name) != one.description
    }
    rows = [
        cells
        for cells in _rows(model, "", schema(kind))
        if cells[0] in own or not cells[0].startswith("`metadata.")
    ]
    example = f"```yaml\n{EXAMPLES[kind]}```"
    return "\n".join([f"## {kind.value}", "", about, "", _table(rows), example, ""])


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    head = ["| field | type | default | meaning |", "|---|---|---|---|"]
    return "\n".join([*head, *(f"| {' | '.join(cells)} |" for cells in rows), ""])


def _rows(model: type[Part], before: str, whole: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    properties = _properties(model, whole)
    for name, one in model.model_fields.items():
        alias = one.alias or name
        if not before and alias in {"apiVersion", "kind", "status"}:
            continue
        inside = part_of(one.annotation)
        if inside and alias not in {"metadata", "spec"}:
            needed = "**needed**" if one.is_required() else ""
            yield (f"`{before}{alias}`", "mapping", needed, _cell(one.description or ""))
        if inside and issubclass(inside, Part):
            yield from _rows(inside, f"{before}{alias}.", whole)
        elif not inside:
            needed = "**needed**" if one.is_required() else _default(one.default)
            yield (
                f"`{before}{alias}`",
                _type(properties[alias]),
                needed,
                _cell(one.description or ""),
            )


def _properties(model: type[Part], whole: dict[str, Any]) -> dict[str, Any]:
    definitions: dict[str, Any] = whole.get("$defs", {})
    found: dict[str, Any] = definitions.get(model.__name__, whole)["properties"]
    return found


def _default(value: Any) -> str:
    return "" if value in (None, "") else f"`{json.dumps(value, ensure_ascii=False)}`"


def _type(property_: dict[str, Any]) -> str:
    """A property's type with its bounds, e.g. `integer 1 … 1000`."""
    choices = [one for one in property_.get("anyOf", [property_]) if one.get("type") != "null"]
    one: dict[str, Any] = choices[0] if choices else {}
    if "enum" in one or "const" in one:
        return ", ".join(f"`{value}`" for value in one.get("enum", [one.get("const")]))
    if one.get("type") == "array":
        most = f"at most {one['maxItems']} " if "maxItems" in one else ""
        return f"list of {most}({_type(one.get('items', {}))})"
    words = {"object": "mapping", "string": "text"}
    return words.get(str(one.get("type")), str(one.get("type", "any"))) + _bounds(one)


def _bounds(one: dict[str, Any]) -> str:
    low, high = one.get("minimum"), one.get("maximum")
    if low is not None or high is not None:
        return f" {low if low is not None else ''} … {high if high is not None else ''}"
    longest = one.get("maxLength")
    return f", at most {longest}" if longest else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
