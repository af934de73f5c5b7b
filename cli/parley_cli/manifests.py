"""Manifests on their way to the API: from files, standard input or a directory, as one text."""

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from parley_cli.errors import Usage

SUFFIXES = (".yaml", ".yml", ".json")
# What others name comes before what names it.
ORDER = ("Account", "User", "Secret", "Provider", "Model", "Plugin", "ApiKey", "LLMClient")
KIND = re.compile(r"""(?:^|[{,])\s*["']?kind["']?\s*:\s*["']?(\w+)""", re.MULTILINE)
PLACE = re.compile(r"\bdocument ([0-9]+)\b")


@dataclass(frozen=True)
class Source:
    """A file's text and how many manifests are in it."""

    name: str
    text: str
    count: int

    @property
    def rank(self) -> int:
        """Where among others it is to be applied: after what its last kind may name."""
        kinds = KIND.findall(self.text)
        if "ApiKey" in kinds and "llmClient" in self.text:
            return len(ORDER)  # a client's key names its LLMClient
        return max((ORDER.index(kind) for kind in kinds if kind in ORDER), default=0)


def read_sources(names: Sequence[str]) -> list[Source]:
    """The manifests of files, `-` and directories, in the order in which they can be applied.

    A directory's are those of its own files, without those below it. Files that are no
    manifests, such as a catalogue of models, are left out there. Raises Usage.
    """
    sources = [source for name in names for source in _of(name)]
    for source in sources:
        _check_content(source)
    if not sources:
        raise Usage(f"there are no manifests in {', '.join(names)}")
    return sorted(sources, key=lambda source: source.rank)


def _check_content(source: Source) -> None:
    """Raise Usage for what is no manifest at all, with the file's name."""
    if not source.text.strip():
        raise Usage(f"{source.name} is empty")
    if re.match(r"(\s*(#.*)?\n)*models:", source.text):
        raise Usage(f"{source.name} is a catalogue of models: parley models apply -f {source.name}")


def _of(name: str) -> list[Source]:
    path = Path(name)
    if name == "-" or not path.is_dir():
        return [_read(name)]
    files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
    return [source for source in map(_read, map(str, files)) if KIND.search(source.text)]


def _read(name: str) -> Source:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        text = data.decode()
    except OSError as error:
        raise Usage(f"{name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Usage(f"{name} is not UTF-8 text") from None
    return Source(name, text, _count(text))


def _count(text: str) -> int:
    """How many documents the API will find; what is wrong with them is for it to say."""
    try:
        found = json.loads(text)
    except ValueError:
        pass
    else:
        return len(found) if isinstance(found, list) else 1
    try:
        return sum(not _is_empty(node) for node in yaml.compose_all(text, yaml.SafeLoader))
    except yaml.YAMLError:
        return 1


def _is_empty(node: yaml.Node | None) -> bool:
    return node is None or node.tag == "tag:yaml.org,2002:null"


def joined(sources: Sequence[Source]) -> str:
    """One text of all of them; that of a single file as it is."""
    if len(sources) == 1:
        return sources[0].text
    return "\n".join(f"---\n{_as_yaml(source.text)}" for source in sources)


def _as_yaml(text: str) -> str:
    """JSON as YAML documents, for a list in JSON is many manifests and in YAML it is one list."""
    try:
        found = json.loads(text)
    except ValueError:
        return text
    several = found if isinstance(found, list) else [found]
    return "\n---\n".join(json.dumps(one) for one in several)


def in_file(words: str, sources: Sequence[Source]) -> str:
    """What the API says of a document of the whole, said of the file that it is in."""
    if len(sources) == 1:
        return words
    return PLACE.sub(lambda found: _place(int(found[1]), sources) or found[0], words)


def _place(number: int, sources: Sequence[Source]) -> str:
    for source in sources:
        if number <= source.count:
            return f"{source.name}, document {number}" if source.count > 1 else source.name
        number -= source.count
    return ""
