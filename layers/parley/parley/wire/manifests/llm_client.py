"""The manifest of an LLMClient."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from parley.core.context import ContextBudget
from parley.core.llm_client import DEFAULT_SYSTEM_ROLE, Limits, LlmClient, Look
from parley.wire.manifests.fields import (
    Domain,
    ImageUrl,
    Line,
    Metadata,
    Name,
    OnceEach,
    Origin,
    Part,
    Temperature,
    Url,
)

# All turns of an llm_client's minute are counted in one item of at most 8 KB, and a key of the
# table takes about 1,000 write units per second.
TURNS_PER_MINUTE = 6000
LOOK = Look()
LIMITS = Limits()
BUDGET = ContextBudget()
CLIENT = LlmClient("", "", 0)
# Labels that people take for the service's own.
RESERVED = frozenset(
    {"admin", "api", "app", "auth", "cdn", "login", "mail", "platform", "static", "www", "ws"}
)


def _label(name: str) -> str:
    """The name, if it makes a label of a host and comes back from it."""
    if name in RESERVED:
        raise ValueError(f"{name} is reserved")
    if not re.search(r"[a-z]", name):
        raise ValueError("must have a letter: a number alone is an id")
    if "-" in name and "_" in name:
        raise ValueError("may have hyphens or underscores, not both: both are hyphens in its host")
    if re.search(r"[-_]{2}", name):
        raise ValueError("must not have two hyphens or underscores in a row")
    return name


class LlmClientMetadata(Metadata):
    """As of every manifest; the name is the label of the client's host."""

    name: Annotated[Name, AfterValidator(_label)] = Field(
        description="The label of its host, `_` becoming `-`. At most 50 letters, digits and "
        "`-` or `_`, never two of these in a row, with a letter; stored in lower case."
    )


class CustomDomain(Part):
    """A domain of the account's own."""

    aws_hosted_zone_id: Annotated[str, Field(pattern=r"^[A-Z0-9]{1,32}$")] | None = Field(
        None, alias="aws_hosted_zone_id", description="Its hosted zone in Route 53."
    )
    domain_name: Domain = Field(
        alias="domain_name", description="Its host is this name or one below it, once verified."
    )


class LlmClientConfig(Part):
    """What answers, and what the chat page shows."""

    subdomain: dict[str, Any] | None = Field(None, description="Kept; Parley does not use it.")
    custom_domain: CustomDomain | None = Field(
        None, description="A host of your own, which the operator verifies."
    )
    deployed: bool | None = Field(
        None,
        description="Whether its named host answers. Without it apply leaves that as it is "
        "(`deploy` and `undeploy` change it); at first it is not.",
    )
    provider: Name | None = Field(
        None,
        description="A Provider of the account, or openai, googleai or metaai. "
        "Without it the account's models are meant.",
    )
    default_model: Annotated[str, Field(max_length=256)] | None = Field(
        None,
        description="The provider's name of a model; without a provider the id of a Model of "
        "the account. Without either, the account's default model.",
    )
    default_system_role: Annotated[str, Field(max_length=32_768)] | None = Field(
        DEFAULT_SYSTEM_ROLE, description="What the model is told first."
    )
    default_temperature: Temperature | None = Field(
        CLIENT.temperature, description="0 to 1; 0 is valid. null leaves it to the provider."
    )
    default_max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        CLIENT.max_tokens, description="Longest answer, in tokens."
    )
    app_name: Line | None = Field(LOOK.app_name, description="Title of the page.")
    app_assistant: Line | None = Field(LOOK.app_assistant, description="Name of who answers.")
    app_welcome_message: Line | None = Field(
        LOOK.app_welcome_message, description="The first message that people see."
    )
    app_example_prompts: (
        Annotated[
            list[Annotated[str, Field(min_length=1, max_length=255)]],
            Field(max_length=20),
            OnceEach,
        ]
        | None
    ) = Field(None, description="Questions to begin with.")
    app_placeholder: Line | None = Field(
        LOOK.app_placeholder, description="Text of the empty input box."
    )
    app_info_url: Url | None = Field(None, description="Where to read more.")
    app_background_image_url: ImageUrl | None = Field(
        None, description="Behind the page; https only."
    )
    app_logo_url: ImageUrl | None = Field(None, description="On the page; https only.")
    app_file_attachment: bool | None = Field(
        LOOK.app_file_attachment, description="Whether a file may be attached as text."
    )


class LlmClientLimits(Part):
    """What people may spend: a public endpoint spends its owner's money."""

    session_turns_per_minute: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        LIMITS.session_turns_per_minute, description="Turns of one session."
    )
    client_turns_per_minute: Annotated[int, Field(ge=1, le=TURNS_PER_MINUTE)] | None = Field(
        LIMITS.client_turns_per_minute, description="Turns of all its sessions together."
    )
    address_turns_per_minute: Annotated[int, Field(ge=1, le=TURNS_PER_MINUTE)] | None = Field(
        LIMITS.address_turns_per_minute, description="Turns from one network address."
    )
    open_turn: Literal["refuse", "queue"] | None = Field(
        "refuse", description="What becomes of a question while another one is unanswered."
    )
    input_characters: Annotated[int, Field(ge=1, le=75_000)] | None = Field(
        LIMITS.input_characters, description="Longest question."
    )
    tool_rounds: Annotated[int, Field(ge=0, le=16)] | None = Field(
        LIMITS.tool_rounds, description="Rounds of tool calls of one turn; 0 allows none."
    )


class LlmClientContext(Part):
    """How much of a session the model sees."""

    turns: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        BUDGET.turns, description="Newest turns, at most."
    )
    tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = Field(
        BUDGET.tokens, description="Tokens of them, estimated at four characters each."
    )


class LlmClientSpec(Part):
    """A chat endpoint."""

    config: LlmClientConfig = Field(
        default_factory=LlmClientConfig, description="What answers, and how it looks."
    )
    plugins: Annotated[list[Name], Field(max_length=20), OnceEach] | None = Field(
        None, description="Plugins of the account that it uses; others are detached."
    )
    functions: (
        Annotated[list[Literal["get_current_weather", "date_calculator", "calculator"]], OnceEach]
        | None
    ) = Field(None, description="Built-in functions that the model may call.")
    api_key: Name | None = Field(
        None,
        description="An active ApiKey. With it the client is not public: callers need a key of "
        "the account.",
    )
    allowed_origins: Annotated[list[Origin], Field(max_length=50), OnceEach] | None = Field(
        None, description="Other sites whose pages may call it: `https://host[:port]`."
    )
    limits: LlmClientLimits | None = Field(None, description="Bounds of use.")
    context: LlmClientContext | None = Field(None, description="Bounds of what the model sees.")
