"""Observers for tests."""

from parley.core.prompt import OpenTurn, Prompt
from parley.usecases.verdicts import Verdict


class Accepted:
    """Remembers which prompts got a new turn, with the number of that turn."""

    def __init__(self) -> None:
        self.turns: list[tuple[str, int]] = []

    def accepted(self, prompt: Prompt) -> None:
        self.turns.append((prompt.id, prompt.turn))


class Silent:
    """An observer for tests that do not look at what is told."""

    def claimed(self, prompt: Prompt, turn: OpenTurn, now: int) -> None:
        pass

    def attempted(self, prompt: Prompt, verdict: Verdict, first_token_at: int, now: int) -> None:
        pass

    def completed(self, prompt: Prompt) -> None:
        pass

    def lease_lost(self, prompt: Prompt) -> None:
        pass

    def abandoned(self, prompt: Prompt) -> None:
        pass

    def provider_broke(self, prompt: Prompt, error: Exception) -> None:
        pass

    def delivery_failed(self, prompt: Prompt, error: BaseException) -> None:
        pass
