"""What the models of manifests are made of: the strict part, and types with rules of their own."""

import json
import re
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from parley.core.address import is_local

NAME_CAP = 50
URL_CAP = 2048
ANNOTATION_TEXT_CAP = 2048
# With a spec of 256 KB a manifest is still one item of the table, which holds 400 KB.
ANNOTATIONS_KB = 32
READ_AS_NULL = {"", "None"}

NAME = re.compile(r"[a-z0-9]([a-z0-9_-]*[a-z0-9])?")
KEY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._~/-]{0,126}[A-Za-z0-9])?")
SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?"
)
HOST_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
DOMAIN = re.compile(rf"(?=.{{1,253}}$){HOST_LABEL}(\.{HOST_LABEL})+")


class Part(BaseModel):
    """A part of a manifest: unknown fields are refused, types are not guessed.

    The texts "" and "None" are null, as in the original.
    """

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, alias_generator=to_camel, defer_build=True
    )

    @model_validator(mode="before")
    @classmethod
    def _null(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {
            name: None if isinstance(one, str) and one in READ_AS_NULL else one
            for name, one in value.items()
        }


def _name(text: str) -> str:
    lower = text.lower()
    if len(text) > NAME_CAP or not NAME.fullmatch(lower):
        raise ValueError(
            f"must be at most {NAME_CAP} letters, digits, hyphens and underscores, "
            "with a letter or digit at both ends"
        )
    return lower


def _semver(text: str) -> str:
    if not SEMVER.fullmatch(text) or len(text) > 100:
        raise ValueError("must be a semantic version such as 0.1.0")
    return text


def _domain(text: str) -> str:
    lower = text.lower().removesuffix(".")
    if not DOMAIN.fullmatch(lower):
        raise ValueError("must be a domain name such as example.com")
    return lower


def _split(url: str) -> SplitResult:
    """The parts of an http URL without credentials; raises ValueError."""
    problem = "must be a URL such as https://example.com"
    odd = any(character.isspace() or not character.isprintable() for character in url)
    try:
        parts = urlsplit(url)
        bad_port = parts.port == 0
    except ValueError:
        raise ValueError(problem) from None
    if odd or bad_port or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(problem)
    if len(url) > URL_CAP or "@" in parts.netloc:
        raise ValueError(f"must be a URL of at most {URL_CAP} characters, without credentials")
    return parts


def _url(text: str) -> str:
    _split(text)
    return text


def _image_url(text: str) -> str:
    """What the page shows: on it, http would be mixed content, and it takes none anywhere."""
    if _split(text).scheme != "https":
        raise ValueError("must begin with https://, or the page does not show it")
    return text


def _origin(text: str) -> str:
    """As browsers send it: lower case, without the port that the scheme has anyway."""
    if "*" in text:
        raise ValueError("must name one origin: with credentials a browser takes no wildcard")
    parts = _split(text)
    host = parts.netloc.lower()
    odd = re.search(r"[^a-z0-9._:\[\]-]", host) or text.endswith(("?", "#"))
    if parts.path or parts.query or parts.fragment or odd:
        raise ValueError("must be scheme://host[:port], without a path or a slash at the end")
    if parts.scheme == "http" and not is_local(host):
        raise ValueError("must begin with https:// unless it is localhost")
    return f"{parts.scheme}://{host.removesuffix(':443' if parts.scheme == 'https' else ':80')}"


def _annotation(one: dict[str, Any]) -> dict[str, Any]:
    if len(one) != 1:
        raise ValueError("must be a mapping of one key")
    (key, value), *_ = one.items()
    if not KEY.fullmatch(key):
        raise ValueError("its key must be URL-friendly: letters, digits and . _ ~ / -")
    waiting = [value]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, str) and len(inner) > ANNOTATION_TEXT_CAP:
            raise ValueError(f"a text may have {ANNOTATION_TEXT_CAP} characters")
        if isinstance(inner, dict | list):
            waiting += inner.values() if isinstance(inner, dict) else inner
    return one


def _annotations(every: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if len(json.dumps(every, ensure_ascii=False).encode()) > ANNOTATIONS_KB * 1024:
        raise ValueError(f"must have at most {ANNOTATIONS_KB} KB")
    return every


def each_once(values: list[str]) -> list[str]:
    """The list, if nothing is in it twice; raises ValueError."""
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice} is there twice")
    return values


Name = Annotated[str, AfterValidator(_name)]
Semver = Annotated[str, AfterValidator(_semver)]
Domain = Annotated[str, AfterValidator(_domain)]
Url = Annotated[str, AfterValidator(_url)]
ImageUrl = Annotated[str, AfterValidator(_image_url)]
Origin = Annotated[str, AfterValidator(_origin)]
Annotation = Annotated[dict[str, Any], AfterValidator(_annotation)]
Annotations = Annotated[list[Annotation], Field(max_length=50), AfterValidator(_annotations)]
Tag = Annotated[str, Field(min_length=1, max_length=100)]
Line = Annotated[str, Field(max_length=255)]
Temperature = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
OnceEach = AfterValidator(each_once)


class Metadata(Part):
    """What every manifest says of itself."""

    name: Name = Field(
        description="Unique among those of its kind. At most 50 letters, digits, `-` and `_`; "
        "stored in lower case."
    )
    description: Annotated[str, Field(max_length=1000)] | None = Field(
        description="The key must be there; it may be null."
    )
    version: Semver | None = Field("0.1.0", description="Semantic version.")
    tags: Annotated[list[Tag], Field(max_length=50), OnceEach] | None = Field(
        None, description="Words to find it by."
    )
    annotations: Annotations | None = Field(
        None,
        description="Mappings of one key each, with any value; texts of at most 2048, "
        f"{ANNOTATIONS_KB} KB of all.",
    )
