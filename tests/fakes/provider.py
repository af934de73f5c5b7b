"""A provider that does what its script says: speak, wait, fail, fall silent, cut, finish."""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

from parley.core.errors import ProviderFailed
from parley.core.prompt import Usage
from parley.core.thread import ToolCall
from parley.ports import Finished, ProviderRequest, TextDelta

from tests.fakes.clock import VirtualClock

SILENCE = 1_000_000.0
USAGE = Usage(3, 5)


@dataclass(frozen=True)
class Say:
    text: str


@dataclass(frozen=True)
class Wait:
    seconds: float


@dataclass(frozen=True)
class Fail:
    reason: str = "status_500"
    retryable: bool = True
    retry_after: float | None = None


@dataclass(frozen=True)
class Cut:
    """The stream ends, no finish reason came."""


@dataclass(frozen=True)
class End:
    finish_reason: str = "stop"
    usage: Usage | None = USAGE


@dataclass(frozen=True)
class Ask:
    """The end of a round: the model wants these called, each (name, arguments)."""

    calls: tuple[tuple[str, str], ...] = (("calculator", "{}"),)
    finish_reason: str = "tool_calls"
    usage: Usage | None = USAGE


class Bug(Exception):
    """An error that nobody expects."""


@dataclass(frozen=True)
class Break:
    """An error that no adapter should let through."""


Step = Say | Wait | Fail | Cut | End | Ask | Break
Script = Sequence[Step]

SILENT = Wait(SILENCE)
SHORT: Script = (Say("An answer."), End())
SLOW: Script = (Say("One "), Wait(10), Say("two."), End())


class ScriptedProvider:
    """`ports.Provider`. `scripts` are used up in order, then `otherwise` is asked."""

    def __init__(self, clock: VirtualClock, *scripts: Script) -> None:
        self.clock = clock
        self.scripts = list(scripts)
        self.otherwise: Callable[[ProviderRequest], Script] = lambda _: SHORT
        self.requests: list[ProviderRequest] = []
        self.open: list[ProviderRequest] = []

    async def stream(self, request: ProviderRequest) -> AsyncGenerator[TextDelta | Finished, None]:
        self.requests.append(request)
        script = self.scripts.pop(0) if self.scripts else self.otherwise(request)
        self.open.append(request)
        try:
            for step in script:
                match step:
                    case Say(text):
                        yield TextDelta(text)
                    case Wait(seconds):
                        await self.clock.sleep(seconds)
                    case Fail(reason, retryable, retry_after):
                        raise ProviderFailed(
                            reason,
                            "words of the provider",
                            retryable=retryable,
                            retry_after=retry_after,
                        )
                    case End(finish_reason, usage):
                        yield Finished(finish_reason, usage)
                    case Ask(calls, finish_reason, usage):
                        number = len(self.requests)
                        wanted = (
                            ToolCall(f"call_{number}_{place}", *call)
                            for place, call in enumerate(calls, 1)
                        )
                        yield Finished(finish_reason, usage, tuple(wanted))
                    case Cut():
                        return
                    case Break():
                        raise Bug("the-secret-words")
        finally:
            self.open.remove(request)

    def asked(self) -> list[str]:
        """The last words of each request: which question it was about."""
        return [
            request.messages[-1].text if request.messages else request.completion
            for request in self.requests
        ]


class FakeSecrets:
    """`ports.Secrets` and `ports.SecretStore`."""

    def __init__(self, values: dict[tuple[str, str], str] | None = None) -> None:
        self.values = values or {}

    async def secret(self, account: str, name: str) -> str:
        if (account, name) not in self.values:
            raise ProviderFailed("secret_missing", f"no secret {name}", retryable=False)
        return self.values[account, name]

    async def put_secret(self, account: str, name: str, value: str) -> None:
        self.values[account, name] = value

    async def delete_secret(self, account: str, name: str) -> None:
        self.values.pop((account, name), None)
