"""From documents to manifests, with the path of each field that is wrong."""

import difflib
import json
import re
from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from parley.core.manifest import API_VERSION, FIRST_VERSION, MASK, Manifest, ManifestKind, refused
from parley.wire.errors import expected
from parley.wire.manifests.kinds import DOCUMENTS, Document
from parley.wire.manifests.reading import documents

SPEC_KB = 256
UNSUPPORTED = {
    "SqlPlugin": "only static plugins are (kind Plugin)",
    "ApiPlugin": "only static plugins are (kind Plugin)",
    "SqlConnection": "only static plugins are (kind Plugin)",
    "ApiConnection": "only static plugins are (kind Plugin)",
    "Prompt": "a session is not described, it is chatted",
    "Chat": "a session is not described, it is chatted",
}
OF_SEVERAL = re.compile(r"[A-Za-z.]+: ")
KINDS = {kind.value: kind for kind in ManifestKind} | {"Chatbot": ManifestKind.LLM_CLIENT}
# null here says something else than nothing: the provider's own temperature.
NULL_IS_SAID = "default_temperature"


def parsed(text: str, *, local_providers: bool) -> list[Manifest]:
    """The manifests of a body; raises Invalid with the path of every wrong field, TooLarge."""
    found = documents(text)
    manifests, problems = [], []
    for number, document in enumerate(found, 1):
        try:
            manifests.append(manifest_of(document, local_providers=local_providers))
        except WrongFields as error:
            where = _place(number, document) if len(found) > 1 else ""
            problems += [f"{where}{problem}" for problem in error.problems]
    if problems:
        raise refused(problems)
    return manifests


def place(number: int, *words: Any) -> str:
    """Which of several documents is meant, as far as its kind and name are known."""
    known = " ".join(word[:50] for word in words if isinstance(word, str))
    return f"document {number}{f' ({known})' if known else ''}: "


def _place(number: int, document: Any) -> str:
    inside = document if isinstance(document, dict) else {}
    metadata = inside.get("metadata")
    return place(
        number, inside.get("kind"), metadata.get("name") if isinstance(metadata, dict) else None
    )


class WrongFields(Exception):
    """A document is no manifest; each problem begins with its path."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def manifest_of(document: Any, *, local_providers: bool) -> Manifest:
    """The manifest of one document; raises WrongFields."""
    model = DOCUMENTS[_kind_of(document)]
    try:
        made = model.model_validate(document, context={"local_providers": local_providers})
    except ValidationError as error:
        raise WrongFields([_problem(model, one) for one in error.errors()]) from None
    return _manifest(KINDS[made.kind], made)


def _kind_of(document: Any) -> ManifestKind:
    if not isinstance(document, dict):
        raise WrongFields([f"must be a mapping with apiVersion: {API_VERSION}, kind and metadata"])
    kind = document.get("kind")
    if kind in (None, ""):
        raise WrongFields(["kind: must be given"])
    if not isinstance(kind, str) or kind not in KINDS:
        raise WrongFields([f"kind: {_unknown_kind(kind)}"])
    return KINDS[kind]


def _unknown_kind(kind: Any) -> str:
    if isinstance(kind, str) and kind in UNSUPPORTED:
        return f"{kind} is not supported: {UNSUPPORTED[kind]}"
    meant = difflib.get_close_matches(str(kind).lower(), [name.lower() for name in KINDS], 1)
    names = {name.lower(): name for name in KINDS}
    hint = f"; did you mean {names[meant[0]]}?" if meant else ""
    return f"must be one of {', '.join(ManifestKind)}{hint}"


# --- what is wrong -------------------------------------------------------------------------

WORDS = {
    "string_type": "must be a text",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
}


def _problem(model: type[Document], error: Any) -> str:
    """A problem as people read it: where, and what is expected; never what was sent."""
    location, kind = error["loc"], error["type"]
    path = ".".join(str(part) for part in location)
    if kind == "extra_forbidden":
        return f"{path}: {_unknown_field(model, location)}"
    if error["input"] is None and kind != "missing":
        return f"{path}: must not be null"
    words = WORDS.get(kind) or expected(kind, error["msg"])
    if kind == "value_error" and OF_SEVERAL.match(words):
        # A rule of several fields is told by the part that has them; it says which one.
        return f"{path}.{words}" if path else words
    return f"{path}: {words}"


def _unknown_field(model: type[Document], location: tuple[str | int, ...]) -> str:
    names = _names_at(model, location[:-1])
    unknown = str(location[-1])
    plain = {name.replace("_", "").lower(): name for name in names}
    close = difflib.get_close_matches(unknown.replace("_", "").lower(), plain, 1)
    hint = f"; did you mean {plain[close[0]]}?" if close else ""
    return f"there is no such field{hint}"


def _names_at(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """The names of the fields of the part at a location."""
    inside = model
    for step in location:
        for name, one in inside.model_fields.items():
            if step in {name, one.alias}:
                inside = part_of(one.annotation) or inside
    return [one.alias or name for name, one in inside.model_fields.items()]


def part_of(annotation: Any) -> type[BaseModel] | None:
    """The part that a field holds, if it holds one."""
    for one in (annotation, *get_args(annotation)):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
    return None


# --- what is right -------------------------------------------------------------------------


def _manifest(kind: ManifestKind, made: Document) -> Manifest:
    spec = _given(made.spec) if made.spec else {}
    secret = ""
    if kind is ManifestKind.SECRET:
        secret = spec.get("config", {}).pop("value", "")
    if len(json.dumps(spec, ensure_ascii=False).encode(errors="replace")) > SPEC_KB * 1024:
        raise WrongFields([f"spec: must have at most {SPEC_KB} KB"])
    return Manifest(
        kind=kind,
        name=made.metadata.name,
        description=made.metadata.description or "",
        version=made.metadata.version or FIRST_VERSION,
        tags=tuple(made.metadata.tags or ()),
        annotations=tuple(made.metadata.annotations or ()),
        spec=_without_empty(spec),
        secret="" if secret == MASK else secret,
    )


def _given(part: BaseModel) -> dict[str, Any]:
    """What a part says, by the manifest's names: without what is null, empty or not said.

    A mapping of the account's own, such as the data of a plugin, stays as it is.
    """
    found: dict[str, Any] = {}
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        if name not in part.model_fields_set:
            continue
        if isinstance(value, BaseModel):
            value = _given(value)
        if value not in (None, [], {}) or name == NULL_IS_SAID:
            found[field.alias or name] = value
    return found


def _without_empty(spec: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in spec.items() if value != {}}
