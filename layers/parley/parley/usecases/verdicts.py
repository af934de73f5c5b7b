"""How an attempt can end, before anything of it is written."""

from dataclasses import dataclass

from parley.core.errors import ProviderFailed
from parley.core.prompt import Usage
from parley.core.thread import ToolCall


@dataclass(frozen=True, slots=True)
class Round:
    """A round of calls, numbered from 1, with what the model said when it asked for them."""

    number: int
    text: str
    calls: tuple[ToolCall, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """The provider gave a whole answer."""

    text: str
    finish_reason: str
    usage: Usage | None
    rounds: tuple[Round, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """The provider did not, or Parley could not ask it."""

    failure: ProviderFailed


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """Somebody asked the attempt to cancel itself."""


@dataclass(frozen=True, slots=True)
class LeaseLost:
    """The attempt has no right to write any more."""


Verdict = Answered | Failed | CancelAsked | LeaseLost
