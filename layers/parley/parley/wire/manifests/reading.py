"""From the text of a call to documents: JSON, or YAML without its traps.

Of YAML we take what JSON can say. Anchors and aliases are refused (a few lines of them can
stand for gigabytes), duplicate keys too (one of the two would be lost silently), and plain
words are read as YAML 1.2 does: `no` is a text, `2027-01-01` is a text, `012` is 12.
Documents are built from the parser's events, without recursion, so that depth is a number.
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, Never

import yaml

from parley.core.errors import Invalid, TooLarge

LIMIT_BYTES = 1024 * 1024
DOCUMENTS_CAP = 100
DEPTH_CAP = 50
# For manifests one after the other, which YAML takes for one.
GLUED = "; several manifests need a line `---` between them"
# libyaml's where it was built in: the other one takes seconds for a large file.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _number(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


# What a word without quotes is, by its form.
PLAIN: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...] = (
    (re.compile(r"|~|null|Null|NULL"), lambda _: None),
    (re.compile(r"true|True|TRUE"), lambda _: True),
    (re.compile(r"false|False|FALSE"), lambda _: False),
    (re.compile(r"[-+]?[0-9]{1,18}"), int),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?"), _number),
)
TEXT_TAG = "tag:yaml.org,2002:str"


def documents(text: str) -> list[Any]:
    """The documents of a body: of an array, of `{"manifests": [...]}`, of YAML, or the one.

    Empty documents of YAML are left out. Raises Invalid with the line, TooLarge.
    """
    if len(text.encode(errors="surrogatepass")) > LIMIT_BYTES:
        raise TooLarge(f"the manifests are larger than {LIMIT_BYTES // 1024} KB")
    found = _from_json(text) if text.lstrip()[:1] in {"{", "["} else None
    if found is None:
        found = [one for one in from_yaml(text) if one is not None]
    if len(found) == 1 and isinstance(found[0], list):
        found = found[0]
    elif len(found) == 1 and isinstance(found[0], dict) and set(found[0]) == {"manifests"}:
        found = found[0]["manifests"]
        if not isinstance(found, list):
            raise Invalid("manifests: must be a list of manifests")
    if not found:
        raise Invalid("there is no manifest in the body: send YAML, a JSON object or a JSON array")
    if len(found) > DOCUMENTS_CAP:
        raise Invalid(f"at most {DOCUMENTS_CAP} manifests can be applied at once")
    return found


def _from_json(text: str) -> list[Any] | None:
    """The one value of a JSON text; None if it is not JSON, as YAML may begin like it."""
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
        if "\\u" in text:  # an escape may be half of a character, which nobody can store
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise Invalid(f"more than {DEPTH_CAP} levels deep") from None
    except ValueError:
        return None
    _check_depth(value)
    return [value]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in pairs:
        if name in made:
            raise Invalid(f"the key {name!r} is there twice in one object")
        made[name] = value
    return made


def _no_constant(name: str) -> Never:
    raise Invalid(f"{name} is not a number that can be stored")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEPTH_CAP):
        level = [
            child
            for one in level
            if isinstance(one, dict | list)
            for child in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return
    raise Invalid(f"more than {DEPTH_CAP} levels deep")


def from_yaml(text: str) -> list[Any]:
    """The documents of a YAML text, null for empty ones; raises Invalid with the line."""
    try:
        return list(_documents(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise Invalid(f"not valid YAML: {where}{error.problem or error.context}") from None
    except yaml.reader.ReaderError:
        raise Invalid("not valid YAML: a character that YAML does not allow") from None


def _documents(text: str) -> Iterator[Any]:
    building: _Building | None = None
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.DocumentStartEvent):
            building = _Building()
        elif isinstance(event, yaml.DocumentEndEvent) and building:
            yield building.root
        elif building and isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
            building.take(event)


class _Building:
    """One document in the making: the collections that are open, and where they stand."""

    def __init__(self) -> None:
        self.root: Any = None
        self._open: list[dict[str, Any] | list[Any]] = []
        self._keys: list[str | None] = []

    def take(self, event: Any) -> None:
        if isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()
            self._keys.pop()
            return
        if isinstance(event, yaml.AliasEvent) or event.anchor:
            _refuse(event, "anchors and aliases are not supported")
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
            return
        if len(self._open) == DEPTH_CAP:
            _refuse(event, f"more than {DEPTH_CAP} levels deep")
        _no_tag(event)
        made: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._put(made, event)
        self._open.append(made)
        self._keys.append(None)

    def _scalar(self, event: Any) -> None:
        if self._open and isinstance(self._open[-1], dict) and self._keys[-1] is None:
            self._key(event)
        else:
            self._put(_value(event), event)

    def _key(self, event: Any) -> None:
        if not isinstance(_value(event), str):
            _refuse(event, "a key must be a text: put it in quotes")
        if event.value in self._open[-1]:
            glued = event.value == "apiVersion" and len(self._open) == 1
            _refuse(event, f"the key {event.value!r} is there twice" + (GLUED if glued else ""))
        self._keys[-1] = event.value

    def _put(self, value: Any, event: Any) -> None:
        if not self._open:
            self.root = value
            return
        inside = self._open[-1]
        if isinstance(inside, list):
            inside.append(value)
            return
        key = self._keys[-1]
        if key is None:
            _refuse(event, "a key must be a text")
        inside[key] = value
        self._keys[-1] = None


def _value(event: Any) -> Any:
    """What a scalar stands for: a quoted one is a text, a plain one what JSON would call it."""
    text: str = event.value
    if event.tag == TEXT_TAG or not event.implicit[0]:
        if event.tag not in {None, "!", TEXT_TAG}:
            _no_tag(event)
        return text
    for form, read in PLAIN:
        if form.fullmatch(text):
            return read(text)
    return text


def _no_tag(event: Any) -> None:
    if event.tag not in {None, "!"}:
        # Not which one: a secret that begins with "!" and has no quotes is a tag.
        _refuse(event, "a tag is not supported: put what begins with ! in quotes")


def _refuse(event: Any, problem: str) -> Never:
    mark = event.start_mark
    raise Invalid(f"not valid YAML: line {mark.line + 1}, column {mark.column + 1}: {problem}")
