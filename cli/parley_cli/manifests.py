"""Manifests on their way to the API: from files, standard input or a directory, as one text."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from parley_cli.errors import Usage
from parley_cli.typed import STDIN, called, read_text

SUFFIXES = (".yaml", ".yml", ".json")
# What others name comes before what names it.
ORDER = ("Account", "User", "Secret", "Provider", "Model", "Plugin", "ApiKey", "LLMClient")
ALIAS = "Chatbot"  # of LLMClient
KIND = re.compile(r"""(?:^|[{,])\s*["']?kind["']?\s*:\s*["']?(\w+)""", re.MULTILINE)
CATALOGUE = re.compile(r"(\s*(#.*)?\n)*models:")
# How the API says where something is wrong: which document, which field, which line.
PLACE = re.compile(r"document ([0-9]+)\b")
FIELD = re.compile(r"[\w.-]+: ")
LINE = re.compile(r"not valid YAML: line ([0-9]+), ")
NULL_TAG = "tag:yaml.org,2002:null"


def is_kind(word: str) -> bool:
    """Whether the API takes it for a kind: in any case, one or many, `llm-clients`."""
    plain = re.sub("[-_]", "", word).lower().removesuffix("s")
    return plain in {kind.lower() for kind in (*ORDER, ALIAS)}


@dataclass(frozen=True)
class Source:
    """A file's text; `labels` are the kind and the name of each manifest in it."""

    name: str
    text: str
    labels: tuple[str, ...]

    @property
    def rank(self) -> int:
        """Where among others it is to be applied: after what its last kind may name."""
        kinds = KIND.findall(self.text)
        if "ApiKey" in kinds and "llmClient" in self.text:
            return len(ORDER)  # a client's key names its LLMClient
        return max((ORDER.index(kind) for kind in kinds if kind in ORDER), default=0)


@dataclass(frozen=True)
class Sources:
    """What was named, in the order in which it can be applied.

    `left_out` are the files of directories in which there is no manifest.
    """

    found: tuple[Source, ...]
    left_out: tuple[str, ...] = field(default=())


def read_sources(names: Sequence[str]) -> Sources:
    """The manifests of files, `-` and directories; raises Usage.

    A directory's are those of its own files by their names, without those below it. Files
    that are no manifests, such as a catalogue of models, are left out there. What is named
    twice is taken once.
    """
    found: dict[str, Source] = {}
    left_out = []
    for name in names:
        inside = name != STDIN and Path(name).is_dir()
        for file in _files(Path(name)) if inside else [name]:
            key = file if file == STDIN else str(Path(file).resolve())
            source = found.get(key) or _read(file)
            if inside and not KIND.search(source.text):
                left_out.append(file)
                continue
            _check_content(source)
            found[key] = source
    if not found:
        raise Usage(
            f"there are no manifests in {', '.join(names)}: of a directory, its own files that "
            f"end with {', '.join(SUFFIXES)} and have a `kind` are read"
        )
    ordered = sorted(found.values(), key=lambda source: source.rank)
    return Sources(tuple(ordered), tuple(dict.fromkeys(left_out)))


def _files(directory: Path) -> list[str]:
    try:
        inside = sorted(directory.iterdir())
    except OSError as error:
        raise Usage(f"{directory} cannot be read: {error.strerror}") from None
    return [str(file) for file in inside if file.suffix in SUFFIXES and file.is_file()]


def _check_content(source: Source) -> None:
    """Raise Usage for what is no manifest at all, with the file's name."""
    name = called(source.name)
    if not source.text.strip():
        raise Usage(f"{name} is empty")
    if CATALOGUE.match(source.text):
        raise Usage(f"{name} is a catalogue of models: parley models apply -f {source.name}")


def _read(name: str) -> Source:
    text = read_text(name)
    return Source(name, text, _labels(text))


def _labels(text: str) -> tuple[str, ...]:
    """The manifests that the API will find; what is wrong with them is for it to say."""
    json_ = _of_json(text)
    try:
        if json_ is not None:
            nodes = [yaml.compose(json.dumps(one), yaml.SafeLoader) for one in json_]
        else:
            nodes = list(yaml.compose_all(text, yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError):
        return ("",)
    return tuple(_label(node) for node in nodes if node is not None and node.tag != NULL_TAG)


def _label(node: yaml.Node) -> str:
    named = (_at(node, "kind"), _at(_at(node, "metadata"), "name"))
    return " ".join(one.value[:50] for one in named if isinstance(one, yaml.ScalarNode))


def _at(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)


def _of_json(text: str) -> list[object] | None:
    """The manifests of a JSON text as the API finds them; None if it is not JSON."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(found, dict) and set(found) == {"manifests"}:
        found = found["manifests"]
    return found if isinstance(found, list) else [found]


def joined(sources: Sequence[Source]) -> str:
    """One text of all of them; that of a single file as it is."""
    if len(sources) == 1:
        return sources[0].text
    return "\n".join(_part(source) for source in sources)


def _part(source: Source) -> str:
    """Its YAML documents; a list in JSON is many manifests, and in YAML it would be one list."""
    found = _of_json(source.text)
    several = [source.text] if found is None else map(json.dumps, found)
    return "\n".join(f"---\n{one}" for one in several)


# --- what is wrong with them


def problems_of(told: Sequence[str], sources: Sequence[Source]) -> list[str]:
    """The problems that the API finds in the whole, said of the files that they are in."""
    return [_in_file(" ".join(problem.split()), sources) for problem in told]


def _in_file(line: str, sources: Sequence[Source]) -> str:
    if place := PLACE.match(line):
        return _placed(int(place[1]), sources) + line[place.end() :]
    if broken := LINE.match(line):
        name, number = _line(int(broken[1]), sources)
        where = f"{called(name)}: " if name else ""
        return f"{where}not valid YAML: line {number}, {line[broken.end() :]}"
    if len(sources) > 1 or line.startswith("and "):
        return line
    name, labels = sources[0].name, sources[0].labels
    if len(labels) == 1 and labels[0] and FIELD.match(line):
        return f"{called(name)} ({labels[0]}): {line}"
    return f"{called(name)}: {line}"


def _placed(number: int, sources: Sequence[Source]) -> str:
    """Which file, and which document of it, if it has several."""
    rest = number
    for source in sources:
        count = len(source.labels)
        if rest <= count:
            return f"{called(source.name)}, document {rest}" if count > 1 else called(source.name)
        rest -= count
    return f"document {number}"


def _line(number: int, sources: Sequence[Source]) -> tuple[str, int]:
    """The file that a line of the joined text is in, and which line of it that is."""
    if len(sources) == 1:
        return sources[0].name, number
    rest, before = number, ("", number)
    for source in sources:
        # Each begins with a line `---`: what is wrong there is the end of the one before.
        length = _part(source).count("\n") + 1
        if rest <= length:
            return (source.name, rest - 1) if rest > 1 else before
        rest, before = rest - length, (source.name, length - 1)
    return before
