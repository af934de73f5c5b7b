"""The calls around the account: models, keys, dead letters, status."""

from collections.abc import Sequence
from typing import Annotated, Literal, NotRequired, cast

from aws_lambda_powertools.event_handler.openapi.params import Query
from pydantic import Field
from typing_extensions import TypedDict

from parley.core.access import ApiKey, KeyRole
from parley.core.context import ContextBudget
from parley.core.errors import Conflict, Invalid, NotFound, TooManyOpenTurns
from parley.core.model import Catalogue, Model
from parley.core.prompt import Prompt
from parley.ports import DeadLetter
from parley.wire.fields import Body, PathId
from parley.wire.http_calls import Call, Endpoint
from parley.wire.prompt_query import COUNT_CAP
from parley.wire.provider_url import checked_base_url
from parley.wire.public import VERSION
from parley.wire.shapes import StatusWord, Time, stamp

MODELS_CAP = 100
LETTERS_CAP = 100
NAME_CAP = 256
BUDGET = ContextBudget()

Name = Annotated[str, Field(min_length=1, max_length=NAME_CAP, pattern=r"^\S(.*\S)?$")]


class ContextBody(Body):
    """How much of a thread goes to the model."""

    turns: Annotated[int, Field(ge=1, le=1000)] = BUDGET.turns
    tokens: Annotated[int, Field(ge=1, le=10_000_000)] = BUDGET.tokens


class ModelBody(Body):
    """What a model id stands for."""

    id: Name = Field(description="What prompts say as modelId.")
    base_url: str = Field(description="Of the OpenAI-compatible API: https, a public host.")
    provider_model: Name = Field(description="The provider's own name of the model.")
    template: str | None = Field(
        None, description="Makes prompts go to the completions call. At most 8 KB."
    )
    secret: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{0,128}$")] | None = Field(
        None, description="Name of the provider's key in the parameter store; never the key."
    )
    context: ContextBody | None = None
    max_tokens: Annotated[int, Field(ge=0, le=10_000_000)] | None = Field(
        None, description="Longest answer; without it, or with 0, the provider's own bound."
    )
    default: bool | None = None

    def model(self, *, local_providers: bool) -> Model:
        context = self.context or ContextBody()
        return Model(
            id=self.id,
            base_url=checked_base_url(self.base_url, local_providers=local_providers),
            provider_model=self.provider_model,
            template=self.template or "",
            secret=self.secret or "",
            budget=ContextBudget(context.turns, context.tokens),
            max_tokens=self.max_tokens or 0,
            default=bool(self.default),
        )


class PutModels(Body):
    """The whole catalogue, at most 300 KB.

    Prompts without a modelId go to the default, else to the first.
    """

    models: Annotated[list[ModelBody], Field(max_length=MODELS_CAP)]


class CreateKey(Body):
    """Whom a key is for. Without a userId it is for a new user."""

    user_id: str | None = None
    role: Literal["admin", "user", "client"] | None = Field(
        None, description="By default user. A client's key may only chat, with one llm_client."
    )
    name: str | None = None
    llm_client: str | None = Field(
        None, description="Of a client's key: the name of the one llm_client that it is for."
    )


class RedriveBody(Body):
    """Which dead letter to redrive; all of them if no prompt is named."""

    prompt_id: str | None = None


class ContextShape(TypedDict):
    """A context budget."""

    turns: int
    tokens: int


class ModelShape(TypedDict):
    """A model; `secret` is the name of one."""

    id: str
    baseUrl: str
    providerModel: str
    template: str
    secret: str
    context: ContextShape
    maxTokens: int
    default: bool


class ModelList(TypedDict):
    """The catalogue."""

    models: list[ModelShape]


class KeyShape(TypedDict):
    """A key, without the key itself."""

    id: str
    userId: str
    role: Literal["admin", "user", "client"]
    name: str
    createdAt: Time
    revokedAt: NotRequired[Time]
    llmClient: NotRequired[str]
    expiresAt: NotRequired[Time]


class NewKey(TypedDict):
    """A new key; `secret` is the key itself, shown this once."""

    key: KeyShape
    secret: str


class OneKey(TypedDict):
    """A key."""

    key: KeyShape


class KeyList(TypedDict):
    """The keys of the account, oldest first."""

    keys: list[KeyShape]


class Record(TypedDict):
    """A dead letter: a prompt that was given up, and why."""

    promptId: str
    reason: str


class RecordList(TypedDict):
    """Dead letters, the newest prompt first. `after` is there if there may be more."""

    records: list[Record]
    after: NotRequired[str]


class Retried(TypedDict):
    """A prompt that has a new turn."""

    id: str
    threadId: str
    turn: int
    status: StatusWord


class Redriven(TypedDict):
    """What became of the dead letters: obsolete ones had nothing left to retry."""

    retried: list[Retried]
    obsolete: list[Record]


class StatusShape(TypedDict):
    """The account as the caller sees it.

    Counts end at 1000, and the oldest 5000 unfinished prompts of the account are looked at.
    """

    account: str
    userId: str
    role: Literal["admin", "user"]
    models: int
    unfinished: dict[str, int]
    version: str


async def get_models(call: Call) -> ModelList:
    """The catalogue of the account."""
    return _catalogue(await call.api.models.catalogue(call.principal.account))


async def put_models(call: Call, body: PutModels) -> ModelList:
    """Replace the catalogue of the account."""
    call.principal.require_admin()
    local = call.api.local_providers
    models = tuple(model.model(local_providers=local) for model in body.models)
    if len({model.id for model in models}) < len(models):
        raise Invalid("models: ids must be unique")
    if sum(model.default for model in models) > 1:
        raise Invalid("models: only one may be the default")
    catalogue = Catalogue(models)
    await call.api.models.replace(call.principal, catalogue)
    return _catalogue(catalogue)


def _catalogue(catalogue: Catalogue) -> ModelList:
    return ModelList(models=[_model(model) for model in catalogue.models])


def _model(model: Model) -> ModelShape:
    return ModelShape(
        id=model.id,
        baseUrl=model.base_url,
        providerModel=model.provider_model,
        template=model.template,
        secret=model.secret,
        context=ContextShape(turns=model.budget.turns, tokens=model.budget.tokens),
        maxTokens=model.max_tokens,
        default=model.default,
    )


async def create_key(call: Call, body: CreateKey) -> NewKey:
    """Make a key of the account. It is shown in this answer and never again."""
    role = KeyRole(body.role or "user")
    llm_client = (body.llm_client or "").lower()  # as names are stored
    key, secret = await call.api.keys.create(
        call.principal, body.user_id or "", role, body.name or "", llm_client
    )
    return NewKey(key=_key(key), secret=secret)


async def list_keys(call: Call) -> KeyList:
    """The keys of the account, revoked ones included."""
    return KeyList(keys=[_key(key) for key in await call.api.keys.list(call.principal)])


async def revoke_key(call: Call, key_id: PathId) -> OneKey:
    """Revoke a key and end its sockets. It is refused everywhere within a minute."""
    return OneKey(key=_key(await call.api.keys.revoke(call.principal, key_id)))


def _key(key: ApiKey) -> KeyShape:
    shape = KeyShape(
        id=key.id,
        userId=key.user_id,
        # A session is no key's.
        role=cast('Literal["admin", "user", "client"]', key.role.value),
        name=key.name,
        createdAt=stamp(key.created_at),
    )
    if key.revoked_at:
        shape["revokedAt"] = stamp(key.revoked_at)
    if key.client:
        shape["llmClient"] = key.client
    if key.expires_at:
        shape["expiresAt"] = stamp(key.expires_at * 1000)
    return shape


async def list_dead_letters(
    call: Call,
    limit: Annotated[int, Query(ge=1, le=LETTERS_CAP)] = LETTERS_CAP,
    after: Annotated[str, Query(max_length=1024)] = "",
) -> RecordList:
    """Prompts of the account that were given up. They stay what they are."""
    page = await call.api.redrive.list(call.principal, limit, after)
    records = RecordList(records=_records(page.items))
    if page.after:
        records["after"] = page.after
    return records


async def redrive_dead_letters(call: Call, body: RedriveBody | None = None) -> Redriven:
    """Retry what was given up: the oldest 100 prompts, or one."""
    prompt_id = (body and body.prompt_id) or ""
    retried, obsolete = await call.api.redrive.redrive(call.principal, prompt_id)
    return Redriven(retried=[_retried(prompt) for prompt in retried], obsolete=_records(obsolete))


def _records(letters: Sequence[DeadLetter]) -> list[Record]:
    return [Record(promptId=letter.prompt_id, reason=letter.reason) for letter in letters]


def _retried(prompt: Prompt) -> Retried:
    return Retried(
        id=prompt.id, threadId=prompt.thread_id, turn=prompt.turn, status=prompt.status.value
    )


async def get_status(call: Call) -> StatusShape:
    """Who the caller is, and how much is unfinished: of a user's own, or the account's."""
    principal = call.principal
    unfinished = await call.api.read.unfinished(principal, COUNT_CAP)
    catalogue = await call.api.models.catalogue(principal.account)
    return StatusShape(
        account=principal.account,
        userId=principal.user_id,
        # Nobody else gets here.
        role=cast('Literal["admin", "user"]', principal.role.value),
        models=len(catalogue.models),
        unfinished={status.value: count for status, count in unfinished.items()},
        version=VERSION,
    )


TAG = "account"
ENDPOINTS = (
    Endpoint("GET", "/models", get_models, TAG, "Get the catalogue of models"),
    Endpoint("PUT", "/models", put_models, TAG, "Replace the catalogue", (Invalid,)),
    Endpoint("POST", "/keys", create_key, TAG, "Create a key", (Invalid, NotFound)),
    Endpoint("GET", "/keys", list_keys, TAG, "List keys"),
    Endpoint("DELETE", "/keys/<key_id>", revoke_key, TAG, "Revoke a key", (Invalid, NotFound)),
    Endpoint("GET", "/dlq", list_dead_letters, TAG, "List dead letters", (Invalid,)),
    Endpoint(
        "POST",
        "/dlq/redrive",
        redrive_dead_letters,
        TAG,
        "Redrive dead letters",
        (Invalid, Conflict, TooManyOpenTurns),
    ),
    Endpoint("GET", "/status", get_status, TAG, "Get the account's status"),
)
