"""What the use cases tell about themselves. Never text, never a provider's words (I9)."""

from typing import Protocol

from parley.core.prompt import OpenTurn, Prompt
from parley.usecases.verdicts import Verdict


class TurnObserver(Protocol):
    """Receives which prompts are to run."""

    def accepted(self, prompt: Prompt) -> None:
        """A prompt got a new turn: it was submitted, or tried again. Not for a repetition."""


class ToolObserver(Protocol):
    """Receives what operators should hear of tools."""

    def tool_broke(self, name: str, error: Exception) -> None:
        """A tool of ours failed for an unexpected reason; the model is told that it did."""


class Observer(Protocol):
    """Receives the events that logs and metrics are made of; times in ms."""

    def claimed(self, prompt: Prompt, turn: OpenTurn, now: int) -> None:
        """An attempt started; `turn` is as it was before."""

    def attempted(self, prompt: Prompt, verdict: Verdict, first_token_at: int, now: int) -> None:
        """An attempt came to a verdict, nothing is written yet. 0: it had no token."""

    def completed(self, prompt: Prompt) -> None:
        """A prompt was completed."""

    def lease_lost(self, prompt: Prompt) -> None:
        """An attempt found that it may not write any more."""

    def abandoned(self, prompt: Prompt) -> None:
        """A prompt was given up."""

    def provider_broke(self, prompt: Prompt, error: Exception) -> None:
        """A provider's call failed for an unexpected reason; it is tried again."""

    def delivery_failed(self, prompt: Prompt, error: BaseException) -> None:
        """Followers of an attempt could not be served, for an unexpected reason."""
