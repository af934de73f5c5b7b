"""What the environment asks of a local stack. Options pass through make.

PORT               where the edge listens (9357)
KEEP=1             keep the data for the next run
LLM_BASE_URL       an OpenAI-compatible provider to use instead of the development model, with
                   LLM_MODEL (its name of the model) and LLM_API_KEY
STACK_FILE         where to write what a client needs to know (.local/stack.json; for another
                   port .local/stack-PORT.json)
STACK_PARAMETERS   template parameters, e.g. "LeaseSeconds=4 BackoffBaseSeconds=0.2"
SWEEP_EVERY        seconds between sweeps, shorter than EventBridge Scheduler's minute: the
                   sweeper is then invoked from here, with the same event
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.deployment import LOCAL
from local.processes import StackError
from local.seed import Provider

DEFAULT_PORT = 9357


@dataclass(frozen=True)
class Options:
    """What the environment asks for."""

    port: int
    keep: bool
    provider: Provider | None
    stack_file: Path
    parameters: dict[str, str]
    sweep_every: float | None

    @property
    def home(self) -> Path:
        """Where this stack keeps its logs and its data."""
        return LOCAL / str(self.port)


def read_options(env: Mapping[str, str]) -> Options:
    """The options from the environment; StackError when one makes no sense."""
    try:
        port = int(env.get("PORT") or DEFAULT_PORT)
        sweep_every = float(env["SWEEP_EVERY"]) if env.get("SWEEP_EVERY") else None
    except ValueError as error:
        raise StackError(f"PORT or SWEEP_EVERY cannot be read: {error}") from error
    name = "stack.json" if port == DEFAULT_PORT else f"stack-{port}.json"
    return Options(
        port=port,
        keep=env.get("KEEP") == "1",
        provider=read_provider(env),
        stack_file=Path(env.get("STACK_FILE") or LOCAL / name),
        parameters=read_parameters(env),
        sweep_every=sweep_every,
    )


def read_provider(env: Mapping[str, str]) -> Provider | None:
    """The provider to use instead of the development model, if one is named."""
    base_url = env.get("LLM_BASE_URL")
    if not base_url:
        return None
    model = env.get("LLM_MODEL")
    if not model:
        raise StackError("LLM_BASE_URL needs LLM_MODEL: the provider's name of the model.")
    return Provider(base_url=base_url, model=model, key=env.get("LLM_API_KEY", ""))


def read_parameters(env: Mapping[str, str]) -> dict[str, str]:
    """The template parameters in STACK_PARAMETERS; StackError when it cannot be read."""
    try:
        return dict(pair.split("=", 1) for pair in shlex.split(env.get("STACK_PARAMETERS", "")))
    except ValueError as error:
        raise StackError(f"STACK_PARAMETERS cannot be read: {error}") from error
