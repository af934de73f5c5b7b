"""Static plugins: data that a model may ask for."""

import json
import re
import unicodedata
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from parley.core.functions.spec import FunctionSpec, failed, quoted
from parley.core.resource import Resource

ALWAYS = "always"
SEARCH_TERMS = "search_terms"
LLM = "llm"

TOOL_PREFIX = "smarter_plugin_"
INQUIRY = "inquiry_type"
KEYS_OFFERED = 50
RESULT_BYTES = 16 * 1024

APOSTROPHES = str.maketrans("", "", "'\u2019")
PUNCTUATION = re.compile(r"[\W_]+")
# Between the words of CamelCase; McDonald is one.
CAMEL = re.compile(
    r"(?<!Mc)(?<=[a-z\u00df-\u00f6\u00f8-\u00ff])(?=[A-Z\u00c0-\u00d6\u00d8-\u00de])"
)


@dataclass(frozen=True, slots=True)
class StaticPlugin:
    """A plugin as its manifest describes it; `number` is its integer id in the account."""

    name: str
    number: int
    description: str = ""
    directive: str = "always"
    search_terms: tuple[str, ...] = ()
    system_role: str = ""
    model: str = ""
    temperature: float | None = None
    max_tokens: int = 0
    static_data: dict[str, Any] = field(default_factory=dict)

    @property
    def tool_name(self) -> str:
        """What the model calls it by."""
        return f"{TOOL_PREFIX}{self.number:010}"


def plugin_of(resource: Resource) -> StaticPlugin:
    """The plugin that a validated Plugin manifest describes."""
    selector: dict[str, Any] = resource.spec.get("selector") or {}
    prompt: dict[str, Any] = resource.spec.get("prompt") or {}
    data: dict[str, Any] = resource.spec.get("data") or {}
    return StaticPlugin(
        name=resource.name,
        number=resource.number,
        description=data.get("description") or resource.description,
        directive=selector.get("directive") or ALWAYS,
        search_terms=tuple(selector.get("searchTerms") or ()),
        system_role=prompt.get("systemRole") or "",
        model=prompt.get("model") or "",
        temperature=prompt.get("temperature"),
        max_tokens=prompt.get("maxTokens") or 0,
        static_data=data.get("staticData") or {},
    )


@dataclass(frozen=True, slots=True)
class Selection:
    """What a turn has of the attached plugins, in their order.

    `selected` apply: tool, system role, and model, temperature and tokens where they give
    them, the last one's winning. `offered` are only tools, for the model to choose.
    """

    selected: tuple[StaticPlugin, ...] = ()
    offered: tuple[StaticPlugin, ...] = ()


def selected(
    plugins: Sequence[StaticPlugin],
    input_text: str,
    user_texts: Iterable[str] = (),
    called_up: Collection[int] = (),
) -> Selection:
    """Which plugins a turn with this new text has.

    A plugin that a term has called up stays: `called_up` are the numbers of those that
    earlier turns had for a term, `user_texts` the user's earlier texts. These are read only
    if the new text has no term of some plugin.
    """
    by_terms = [plugin for plugin in plugins if plugin.directive == SEARCH_TERMS]
    waiting = [plugin for plugin in by_terms if plugin.number not in called_up]
    found = {plugin.number for plugin in plugins if plugin.directive == ALWAYS}
    found |= {plugin.number for plugin in by_terms} & set(called_up)
    texts = _chained(input_text, user_texts)
    while waiting and (text := next(texts, None)) is not None:
        cleaned = _Cleaned(text)
        found |= {p.number for p in waiting if any(map(cleaned.has, p.search_terms))}
        waiting = [plugin for plugin in waiting if plugin.number not in found]
    return Selection(
        selected=tuple(plugin for plugin in plugins if plugin.number in found),
        offered=tuple(plugin for plugin in plugins if plugin.directive == LLM),
    )


class _Cleaned:
    """A text made ready to look for terms."""

    def __init__(self, text: str) -> None:
        self._forms = _forms(text)
        self._words = {word for form in self._forms for word in form.split()}

    def has(self, term: str) -> bool:
        """Whether the text has a term, whatever the case and the punctuation.

        As a part of the text, or with all of its words apart from each other in the text.
        Words in CamelCase are words: `MachineLearning` is `machine learning`.
        """
        return any(self._has_form(form) for form in _forms(term) if form)

    def _has_form(self, form: str) -> bool:
        # One character, as "C++" leaves it, is a part of nearly every text: only as a word.
        if len(form) > 1 and any(form in text for text in self._forms):
            return True
        return self._words.issuperset(form.split())


def _chained(first: str, others: Iterable[str]) -> Iterator[str]:
    yield first
    yield from others


def _forms(text: str) -> set[str]:
    """Lower-case words with one space between them: as written, and with CamelCase apart."""
    text = unicodedata.normalize("NFKC", text).translate(APOSTROPHES)
    return {_clean(text), _clean(CAMEL.sub(" ", text))}


def _clean(text: str) -> str:
    return PUNCTUATION.sub(" ", text).strip().casefold()


def tool_of(plugin: StaticPlugin) -> FunctionSpec:
    """The function by which a model asks a plugin for the value at one of its keys."""
    inquiry: dict[str, Any] = {"type": "string", "description": "What to look up"}
    if keys := offered_keys(plugin):
        # Providers refuse an empty list.
        inquiry["enum"] = list(keys)
    parameters = {"type": "object", "properties": {INQUIRY: inquiry}, "required": [INQUIRY]}
    return FunctionSpec(plugin.tool_name, plugin.description or plugin.name, parameters)


def offered_keys(plugin: StaticPlugin) -> tuple[str, ...]:
    """The keys of the data, those further out first, each once, 50 at most."""
    keys: dict[str, None] = {}
    for key, _ in _entries(plugin.static_data):
        keys.setdefault(key)
        if len(keys) == KEYS_OFFERED:
            break
    return tuple(keys)


def knows(plugin: StaticPlugin, inquiry_type: str) -> bool:
    """Whether `lookup` finds a value."""
    return any(key == inquiry_type for key, _ in _entries(plugin.static_data))


def lookup(plugin: StaticPlugin, inquiry_type: str) -> str:
    """The value at a key as JSON text, wherever the key is; the outermost one's if it is at
    several. An unknown key is an error as data.

    A text of more than 16 KB is cut and comes in an object that says so.
    """
    for key, value in _entries(plugin.static_data):
        if key == inquiry_type:
            return _bounded(json.dumps(value, ensure_ascii=False))
    known = ", ".join(map(quoted, offered_keys(plugin)))
    text = f"{INQUIRY} {quoted(inquiry_type)} is not known; known are: {known}"
    return json.dumps(failed(text), ensure_ascii=False)


def _entries(data: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every key with its value, breadth first, through objects and lists."""
    waiting: deque[Any] = deque([data])
    while waiting:
        value = waiting.popleft()
        if isinstance(value, dict):
            yield from value.items()
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _bounded(text: str) -> str:
    size = len(text.encode(errors="replace"))
    if size <= RESULT_BYTES:
        return text
    note = f"cut: the beginning of {size} bytes; ask for a key within it"
    kept = RESULT_BYTES
    while True:
        cut = json.dumps({"note": note, "text": text[:kept]}, ensure_ascii=False)
        over = len(cut.encode(errors="replace")) - RESULT_BYTES
        if over <= 0:
            return cut
        # A character has 4 bytes at most, 6 with what JSON writes for it.
        kept -= max(over // 6, 1)
