"""The provider of a model, and what a call to it needs: the model, its secret, its tools."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from parley.core.functions.spec import Results
from parley.core.model import Model
from parley.core.plugin import StaticPlugin
from parley.core.prompt import Usage
from parley.core.thread import ToolCall


class Models(Protocol):
    """What model ids stand for."""

    async def resolve(self, account: str, model_id: str) -> Model:
        """The model with this id, or the default for an empty one; raises Invalid."""


class Secrets(Protocol):
    """The parameter store."""

    async def secret(self, account: str, name: str) -> str:
        """The value; raises ProviderFailed (not retryable, `secret_missing`) if absent."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call; `parameters` is the JSON schema of its arguments."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message as a provider gets it.

    An assistant's may carry the calls it asked for; one of the role `tool` answers the
    call `call_id`.
    """

    role: str
    text: str
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class ProviderRequest:
    """One call to a provider: chat completions, or completions if `completion` is set.

    `temperature` None leaves it to the provider.
    """

    model: Model
    api_key: str
    messages: tuple[ChatMessage, ...] = ()
    completion: str = ""
    tools: tuple[Tool, ...] = ()
    temperature: float | None = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of an answer. Always the last event; a stream without it was cut.

    `calls` are the tools that the model wants called before it goes on, without results.
    """

    finish_reason: str
    usage: Usage | None
    calls: tuple[ToolCall, ...] = ()


class Provider(Protocol):
    """An OpenAI-compatible endpoint."""

    def stream(self, request: ProviderRequest) -> AsyncGenerator[TextDelta | Finished, None]:
        """The answer as it comes; raises ProviderFailed. Closing the iterator ends the call."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What the model is told (JSON text), and whether the call did what it should."""

    text: str
    failed: bool = False


class Weather(Protocol):
    """The weather of the world."""

    async def forecast(self, arguments: Mapping[str, Any]) -> Results:
        """The answer of `get_current_weather`; raises nothing, an error is data."""


class Tools(Protocol):
    """What the model may call."""

    async def call(self, name: str, arguments: str, plugins: Sequence[StaticPlugin]) -> ToolResult:
        """Call a function or a plugin with the model's JSON text; raises nothing.

        What goes wrong is a result: the model is told.
        """
