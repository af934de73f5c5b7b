"""The settings of each function, read from its environment when it starts.

One model per function, built from small ones, so that no function can depend on a
variable that the template does not give it. A function with a wrong or missing setting
refuses to start, which fails the deployment's first call and not the thousandth.
"""

from typing import Annotated, TypeVar

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from parley.core.backoff import MAX_RETRIES_CAP
from parley.core.policy import AttemptPolicy, CallPolicy, Policy

Url = Annotated[str, Field(pattern=r"^https?://[^\s/]+(/\S*)?$")]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]

# API Gateway ends an HTTP call after 30 s, whatever the function does.
SYNC_BUDGET_CAP = 25
# Lambda ends a function after 900 s, and the runner needs 60 s around an attempt.
ATTEMPT_LIMIT_CAP = 840


class SettingsRefused(Exception):
    """The environment is not what the function needs; the message names each variable."""


class Storage(BaseSettings):
    """The table."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True)

    table_name: Annotated[str, Field(min_length=3)]


class Queues(BaseSettings):
    """Where wake-ups go; the second one is for prompts that have to run alone."""

    queue_url: Url
    solo_queue_url: Url


class GivenUp(BaseSettings):
    """Where prompts that were given up are recorded."""

    dlq_url: Url


class Sockets(BaseSettings):
    """The management API of the WebSocket connections."""

    socket_endpoint: Url


class Sweeping(BaseSettings):
    """How long until the sweeper first looks at an open turn that was accepted or woken."""

    sweep_seconds: Annotated[Seconds, Field(ge=1)]


class FunctionSettings(Storage, Queues, Sockets, Sweeping):
    """What every function works with."""

    @property
    def policy(self) -> Policy:
        return Policy(sweep=self.sweep_seconds)


class Addresses(BaseSettings):
    """Where llm_clients and their sockets are for browsers.

    Without a domain no host of an llm_client is printed; production has no environment.
    """

    api_domain: Annotated[str, Field(pattern=r"^([a-z0-9.-]+(:[0-9]{1,5})?)?$")]
    environment: Annotated[str, Field(pattern=r"^(local|alpha|beta|next|prod)?$")]
    socket_url: Annotated[str, Field(pattern=r"^wss?://[^\s/]+(/\S*)?$")]


class ParameterStore(BaseSettings):
    """Below which path accounts' secrets are."""

    secrets_prefix: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9_.-]+)+$")]


class Weather(BaseSettings):
    """The two services behind `get_current_weather`."""

    weather_geocoding_url: Url
    weather_forecast_url: Url


class ApiSettings(FunctionSettings, GivenUp, Addresses, ParameterStore):
    """`functions/api`."""

    # An empty one is a value here: there is a domain or there is none.
    model_config = SettingsConfigDict(env_ignore_empty=False)

    default_max_retries: Annotated[int, Field(ge=0, le=MAX_RETRIES_CAP)]
    sync_budget_seconds: Annotated[Seconds, Field(le=SYNC_BUDGET_CAP)]
    allowed_origins: Annotated[tuple[str, ...], NoDecode, Field(min_length=1)]
    local_providers: bool

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def _split(cls, value: str) -> tuple[str, ...]:
        return tuple(origin.strip() for origin in value.split(",") if origin.strip())

    @property
    def policy(self) -> CallPolicy:
        return CallPolicy(
            default_max_retries=self.default_max_retries,
            sync_budget=self.sync_budget_seconds,
            sweep=self.sweep_seconds,
        )


class RunnerSettings(FunctionSettings, GivenUp, ParameterStore, Weather):
    """`functions/runner`."""

    lease_seconds: Annotated[Seconds, Field(ge=1)]
    attempt_limit_seconds: Annotated[Seconds, Field(le=ATTEMPT_LIMIT_CAP)]
    backoff_base_seconds: Seconds
    connect_seconds: Seconds
    first_token_seconds: Seconds
    between_tokens_seconds: Seconds

    @property
    def policy(self) -> AttemptPolicy:
        return AttemptPolicy(
            lease=self.lease_seconds,
            attempt_limit=self.attempt_limit_seconds,
            backoff_base=self.backoff_base_seconds,
            sweep=self.sweep_seconds,
        )


class SocketSettings(FunctionSettings):
    """`functions/socket`."""

    max_connections: Annotated[int, Field(ge=1)]


class SweeperSettings(FunctionSettings, GivenUp):
    """`functions/sweeper`."""


S = TypeVar("S", bound=BaseSettings)


def read(kind: type[S]) -> S:
    """The settings of a function; raises SettingsRefused, one line per wrong variable."""
    try:
        return kind()
    except ValidationError as error:
        wrong = [
            " ".join([*(str(part).upper() for part in problem["loc"]), problem["msg"]])
            for problem in error.errors(include_url=False, include_context=False)
        ]
        raise SettingsRefused(f"{kind.__name__}: " + "; ".join(wrong)) from None
