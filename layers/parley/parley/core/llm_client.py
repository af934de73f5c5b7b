"""An llm_client: a chat endpoint of an account, as its manifest describes it."""

import base64
import binascii
import re
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from parley.core.context import ContextBudget
from parley.core.resource import Resource

HASH_OFFSET = 1_000_000
HASHED = re.compile(r"r([A-Za-z0-9_-]+)x")
CAMEL = re.compile(r"_(\w)")


@dataclass(frozen=True, slots=True)
class Limits:
    """What an llm_client lets people do: a public endpoint spends its owner's money.

    Turns are counted per minute. `open_turn` says what becomes of a question while another
    one of its session is open: "refuse" or "queue". `tool_rounds` bounds the rounds of tool
    calls of a turn.
    """

    session_turns_per_minute: int = 20
    client_turns_per_minute: int = 600
    address_turns_per_minute: int = 60
    open_turn: str = "refuse"
    input_characters: int = 16_000
    tool_rounds: int = 8


@dataclass(frozen=True, slots=True)
class Look:
    """What a chat component shows of an llm_client. Empty URLs are absent."""

    app_name: str = ""
    app_assistant: str = "Assistant"
    app_welcome_message: str = "Welcome! How can I help you?"
    app_example_prompts: tuple[str, ...] = ()
    app_placeholder: str = "Type something here..."
    app_info_url: str = ""
    app_background_image_url: str = ""
    app_logo_url: str = ""
    app_file_attachment: bool = False


DEFAULT_SYSTEM_ROLE = "You are a helpful assistant."


@dataclass(frozen=True, slots=True)
class LlmClient:
    """A configured chat endpoint.

    `provider` and `model` are names, empty for the account's default model; `api_key`
    names the key that callers need, empty for a public one. `temperature` None leaves it
    to the provider.
    """

    account: str
    name: str
    number: int
    description: str = ""
    version: str = "0.1.0"
    tags: tuple[str, ...] = ()
    annotations: tuple[dict[str, Any], ...] = ()
    created_at: int = 0
    updated_at: int = 0
    deployed: bool = False
    provider: str = ""
    model: str = ""
    system_role: str = DEFAULT_SYSTEM_ROLE
    temperature: float | None = 0.5
    max_tokens: int = 2048
    plugins: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    api_key: str = ""
    allowed_origins: tuple[str, ...] = ()
    custom_domain: str = ""
    host: str = ""
    look: Look = field(default_factory=Look)
    limits: Limits = field(default_factory=Limits)
    budget: ContextBudget = field(default_factory=ContextBudget)

    @property
    def hashed_id(self) -> str:
        return hashed_id(self.number)

    def meant_by(self, name: str, number: int) -> bool:
        """True if a key for this name and number is for this llm_client.

        Number 0 is of a key that was made before there was any of its name.
        """
        return name == self.name and number in {0, self.number}

    @property
    def dns_name(self) -> str:
        """The client's label in host names."""
        return self.name.replace("_", "-")


T = TypeVar("T")


def client_of(resource: Resource) -> LlmClient:
    """The llm_client that a validated LLMClient manifest describes."""
    config: dict[str, Any] = resource.spec.get("config") or {}
    limits: dict[str, Any] = resource.spec.get("limits") or {}
    domain: dict[str, Any] = config.get("customDomain") or {}
    context: dict[str, Any] = resource.spec.get("context") or {}
    return LlmClient(
        account=resource.account,
        name=resource.name,
        number=resource.number,
        description=resource.description,
        version=resource.version,
        tags=resource.tags,
        annotations=resource.annotations,
        created_at=resource.created_at,
        updated_at=resource.updated_at,
        deployed=bool(config.get("deployed")),
        provider=config.get("provider") or "",
        model=config.get("defaultModel") or "",
        system_role=config.get("defaultSystemRole") or DEFAULT_SYSTEM_ROLE,
        temperature=config.get("defaultTemperature", 0.5),
        max_tokens=config.get("defaultMaxTokens") or 2048,
        plugins=tuple(resource.spec.get("plugins") or ()),
        functions=tuple(resource.spec.get("functions") or ()),
        api_key=resource.spec.get("apiKey") or "",
        allowed_origins=tuple(resource.spec.get("allowedOrigins") or ()),
        custom_domain=domain.get("domain_name") or "",
        host=resource.host,
        look=_given(Look, config),
        limits=_given(Limits, limits),
        budget=_given(ContextBudget, context),
    )


def _given(kind: type[T], values: dict[str, Any]) -> T:
    """The dataclass with what the manifest gives, defaults for the rest."""
    given = {}
    for one in fields(kind):  # type: ignore[arg-type] # each is a dataclass
        value = values.get(CAMEL.sub(lambda found: found[1].upper(), one.name))
        if value is not None:
            given[one.name] = tuple(value) if isinstance(value, list) else value
    return kind(**given)


def hashed_id(number: int) -> str:
    """An integer id as it looks in URLs: reversible, hides nothing."""
    text = base64.urlsafe_b64encode(str(number + HASH_OFFSET).encode()).decode().rstrip("=")
    return f"r{text}x"


def number_of(id_: str) -> int | None:
    """The integer in an integer or hashed id; None if it is neither."""
    if re.fullmatch(r"[0-9]{1,9}", id_):
        return int(id_) or None
    found = HASHED.fullmatch(id_)
    if not found:
        return None
    try:
        text = base64.b64decode(found[1] + "=" * (-len(found[1]) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    if not re.fullmatch(rb"[0-9]{7,10}", text):
        return None
    number = int(text) - HASH_OFFSET
    return number if number > 0 and hashed_id(number) == id_ else None
