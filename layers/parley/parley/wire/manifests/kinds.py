"""The manifests of the other kinds, and all of them together."""

import json
from datetime import date, datetime
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, model_validator

from parley.core.access import ID_PATTERN
from parley.core.errors import Invalid
from parley.core.manifest import API_VERSION, ManifestKind
from parley.wire.manifests.fields import URL_CAP, Line, Metadata, Name, OnceEach, Part, Temperature
from parley.wire.manifests.llm_client import LlmClientContext, LlmClientMetadata, LlmClientSpec
from parley.wire.provider_url import checked_base_url

STATIC_DATA_KB = 200
SECRET_BYTES = 4096
TEMPLATE_BYTES = 8 * 1024


class Document(Part):
    """A manifest. `status` is what describe tells; apply reads nothing of it."""

    api_version: Literal["smarter.sh/v1"] = Field(description=f"`{API_VERSION}`.")
    kind: str
    metadata: Metadata
    spec: Part | None
    status: Any = Field(None, description="Read-only: what `describe` tells. apply ignores it.")


# --- account, users, keys, secrets ---------------------------------------------------------


class AccountSpec(Part):
    """The account itself. There is one, which cannot be deleted."""

    account_number: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{4}-[0-9]{4}$")] | None = Field(
        None, description="Must be the account's own; it never changes."
    )
    company_name: Line | None = Field(None, description="Whose it is.")


class UserConfig(Part):
    """Who it is."""

    email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)] | None = Field(
        None, description="Where to write to."
    )
    first_name: Line | None = Field(None, description="Given name.")
    last_name: Line | None = Field(None, description="Family name.")


class UserSpec(Part):
    """A person of the account. The name is the user id that keys have."""

    config: UserConfig | None = Field(None, description="Who it is.")


class ApiKeySpec(Part):
    """A key. The answer that creates it shows it, once; nothing of it changes but `active`."""

    user: Annotated[str, Field(pattern=f"^{ID_PATTERN.pattern}$")] | None = Field(
        None, description="User id that it acts as; without it a new one."
    )
    role: Literal["admin", "user", "client"] | None = Field(
        "user",
        description="An admin's works on the whole account, a user's on its own, a client's "
        "only chats with one LLMClient.",
    )
    llm_client: Name | None = Field(
        None, description="The LLMClient of a client's key; needed for it, and only for it."
    )
    active: bool | None = Field(True, description="false revokes it for good.")

    @model_validator(mode="after")
    def _of_a_client(self) -> "ApiKeySpec":
        if self.role == "client" and not self.llm_client:
            raise ValueError("llmClient: must be given for the role client")
        if self.role != "client" and self.llm_client:
            raise ValueError("llmClient: is only for the role client")
        return self


def _value(text: str) -> str:
    if len(text.encode(errors="surrogatepass")) > SECRET_BYTES:
        raise ValueError(f"must have at most {SECRET_BYTES} bytes")
    return text


def _moment(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError:
        try:
            datetime.fromisoformat(text)
        except ValueError:
            raise ValueError("must be a date such as 2027-01-31, or a date and time") from None
    return text


class SecretConfig(Part):
    """The value, and when it stops working at whoever gave it."""

    value: Annotated[str, AfterValidator(_value)] | None = Field(
        None,
        description="Kept encrypted in the parameter store and never shown again. A new Secret "
        "needs one; without it, or with the mask that describe shows, the stored one stays.",
    )
    expiration_date: Annotated[str, AfterValidator(_moment)] | None = Field(
        None,
        alias="expiration_date",
        description="For you to remember: nothing is refused after it.",
    )


class SecretSpec(Part):
    """A value that other manifests name and nobody reads."""

    config: SecretConfig = Field(description="The value.")


# --- plugins -------------------------------------------------------------------------------


class PluginMetadata(Metadata):
    """As of every manifest, and the class."""

    plugin_class: str | None = Field("static", description="Only `static` is supported.")

    @model_validator(mode="after")
    def _static(self) -> "PluginMetadata":
        if self.plugin_class not in {None, "static"}:
            raise ValueError("pluginClass: must be static: sql and api plugins are not supported")
        return self


class PluginSelector(Part):
    """When it is used in a turn."""

    directive: Literal["always", "search_terms", "llm"] = Field(
        description="always; search_terms: once one of the terms was said; llm: when the model "
        "asks for it."
    )
    search_terms: (
        Annotated[
            list[Annotated[str, Field(min_length=1, max_length=100)]],
            Field(max_length=100),
            OnceEach,
        ]
        | None
    ) = Field(None, description="Needed for search_terms, and only for it.")

    @model_validator(mode="after")
    def _terms(self) -> "PluginSelector":
        if (self.directive == "search_terms") != bool(self.search_terms):
            needed = self.directive == "search_terms"
            words = "must be given for" if needed else "is only for"
            raise ValueError(f"searchTerms: {words} the directive search_terms")
        return self


class PluginPrompt(Part):
    """What it changes in a turn that uses it."""

    provider: Name | None = Field(
        None,
        description="A Provider, or one built in. Kept; the client's provider is used.",
    )
    system_role: Annotated[str, Field(max_length=8192)] = Field(
        description="Added to what the model is told first."
    )
    model: Annotated[str, Field(max_length=256)] | None = Field(
        None,
        description="Instead of the client's model: a name of its provider's, without a "
        "provider the id of a Model.",
    )
    temperature: Temperature | None = Field(None, description="Instead of the client's.")
    max_tokens: Annotated[int, Field(ge=1, le=8192)] | None = Field(
        None, description="Instead of the client's."
    )


def _sized(data: dict[str, Any]) -> dict[str, Any]:
    if len(json.dumps(data, ensure_ascii=False).encode()) > STATIC_DATA_KB * 1024:
        raise ValueError(f"must have at most {STATIC_DATA_KB} KB")
    return data


class PluginData(Part):
    """What it knows."""

    description: Annotated[str, Field(max_length=1000)] | None = Field(
        None, description="Tells the model what can be asked for."
    )
    static_data: Annotated[dict[str, Any], Field(min_length=1), AfterValidator(_sized)] = Field(
        description=f"A mapping, of any depth, of at most {STATIC_DATA_KB} KB."
    )


class PluginSpec(Part):
    """Data that a model may ask for."""

    selector: PluginSelector = Field(description="When it is used.")
    prompt: PluginPrompt = Field(description="What it changes.")
    data: PluginData = Field(description="What it knows.")


# --- providers and models ------------------------------------------------------------------


def _base_url(url: str, info: ValidationInfo) -> str:
    local = bool((info.context or {}).get("local_providers"))
    try:
        return checked_base_url(url, local_providers=local)
    except Invalid as error:
        raise ValueError(str(error).removeprefix("baseUrl ")) from None


BaseUrl = Annotated[str, AfterValidator(_base_url)]


# What the original's manifests say besides: taken, so that they can be applied as they are,
# and named in the report as what is not kept.
Unkept = Annotated[str | None, Field(max_length=URL_CAP, description="Not kept.")]
UnkeptFlag = Annotated[bool | None, Field(description="Not kept.")]


class ProviderEndpoint(Part):
    """Where the provider is."""

    model_config = ConfigDict(alias_generator=None)

    name: Name | None = Field(None, description="As in the metadata, if given.")
    base_url: BaseUrl = Field(description="Of its OpenAI-compatible API: https, a public host.")
    api_key: Name | None = Field(None, description="The Secret with its key; never the key.")
    default_model: Annotated[str, Field(max_length=256)] | None = Field(
        None, description="For clients that name the provider alone."
    )
    description: Unkept = None
    connectivity_test_path: Unkept = None
    logo: Unkept = None
    website_url: Unkept = None
    docs_url: Unkept = None
    terms_of_service_url: Unkept = None
    privacy_policy_url: Unkept = None
    contact_email: Unkept = None
    support_email: Unkept = None
    is_active: UnkeptFlag = None
    is_default: UnkeptFlag = None
    is_verified: UnkeptFlag = None
    is_suspended: UnkeptFlag = None
    is_deprecated: UnkeptFlag = None
    is_flagged: UnkeptFlag = None


class ProviderSpec(Part):
    """An OpenAI-compatible endpoint."""

    provider: ProviderEndpoint = Field(description="Where it is.")


def _model_name(text: str) -> str:
    if not 1 <= len(text) <= 256 or text != text.strip() or not text.isprintable():
        raise ValueError("must be 1 to 256 printable characters, without spaces around them")
    return text


class ModelMetadata(Metadata):
    """As of every manifest; the name is the id that prompts say."""

    name: Annotated[str, AfterValidator(_model_name)] = Field(
        description="The id that prompts say: 1 to 256 characters, kept as they are."
    )


def _template(text: str) -> str:
    if len(text.encode(errors="surrogatepass")) > TEMPLATE_BYTES:
        raise ValueError(f"must have at most {TEMPLATE_BYTES // 1024} KB")
    return text


class ModelContext(LlmClientContext):
    """How much of a thread the model sees."""


class ModelSpec(Part):
    """What a model id stands for."""

    base_url: BaseUrl = Field(description="Of the OpenAI-compatible API: https, a public host.")
    provider_model: Annotated[str, AfterValidator(_model_name)] = Field(
        description="The provider's own name of the model."
    )
    template: Annotated[str, AfterValidator(_template)] | None = Field(
        None, description="Makes prompts go to the completions call. At most 8 KB."
    )
    secret: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,128}$")] | None = Field(
        None, description="The Secret with the provider's key; never the key."
    )
    context: ModelContext | None = Field(None, description="Bounds of what the model sees.")
    max_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = Field(
        None, description="Longest answer; without it the provider's own bound."
    )
    default: bool | None = Field(
        False,
        description="Whether it answers what names no model. One does: the last that was "
        "applied so.",
    )


# --- all of them ---------------------------------------------------------------------------


class AccountDocument(Document):
    kind: Literal["Account"]
    spec: AccountSpec | None = None


class UserDocument(Document):
    kind: Literal["User"]
    spec: UserSpec | None = None


class ApiKeyDocument(Document):
    kind: Literal["ApiKey"]
    spec: ApiKeySpec | None = None


class LlmClientDocument(Document):
    kind: Literal["LLMClient", "Chatbot"]
    metadata: LlmClientMetadata
    spec: LlmClientSpec


class PluginDocument(Document):
    kind: Literal["Plugin"]
    metadata: PluginMetadata
    spec: PluginSpec


class ProviderDocument(Document):
    kind: Literal["Provider"]
    spec: ProviderSpec

    @model_validator(mode="after")
    def _one_name(self) -> "ProviderDocument":
        if self.spec.provider.name not in {None, self.metadata.name}:
            raise ValueError("spec.provider.name: must be the name in the metadata")
        return self


class SecretDocument(Document):
    kind: Literal["Secret"]
    spec: SecretSpec


class ModelDocument(Document):
    kind: Literal["Model"]
    metadata: ModelMetadata
    spec: ModelSpec


DOCUMENTS: MappingProxyType[ManifestKind, type[Document]] = MappingProxyType(
    {
        ManifestKind.ACCOUNT: AccountDocument,
        ManifestKind.USER: UserDocument,
        ManifestKind.API_KEY: ApiKeyDocument,
        ManifestKind.LLM_CLIENT: LlmClientDocument,
        ManifestKind.PLUGIN: PluginDocument,
        ManifestKind.PROVIDER: ProviderDocument,
        ManifestKind.SECRET: SecretDocument,
        ManifestKind.MODEL: ModelDocument,
    }
)
