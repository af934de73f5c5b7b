"""The development model's control: what it is to do with a prompt, and what it has seen."""

from typing import Any

import httpx

from tests.e2e.waiting import until

Call = dict[str, Any]


class Model:
    """Rules and calls of those prompts whose text contains a word."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=10)
        self._words: set[str] = set()

    def told(self, word: str, **rule: Any) -> None:
        """Merge into the rule for this word: see `local/devmodel/control.py` for the fields."""
        self._words.add(word)
        answer = self._http.post("/_control", json={"match": word, **rule})
        assert answer.status_code == 200, answer.text

    def released(self, word: str) -> None:
        """Let a stalled answer go on to its end."""
        self.told(word, stall_after=None)

    def forget_all(self) -> None:
        """Take back every rule that was made here, which ends every stall."""
        for word in self._words:
            self._http.delete("/_control", params={"match": word})
        self._words.clear()

    def calls(self, word: str) -> list[Call]:
        """The calls so far, oldest first."""
        answer = self._http.get("/_control", params={"match": word})
        calls: list[Call] = answer.json()["calls"]
        return calls

    def until_called(self, word: str, times: int = 1, chunks: int = 0) -> Call:
        """Wait for the call number `times`, until it has sent so many chunks."""

        def look() -> Call | None:
            calls = self.calls(word)
            reached = len(calls) >= times and calls[times - 1]["chunks"] >= chunks
            return calls[times - 1] if reached else None

        return until(look, f"call {times} of the model with {word}") or {}

    def until_state(self, word: str, state: str, times: int = 1) -> None:
        """Wait until call number `times` is in a state, e.g. `disconnected`."""
        until(
            lambda: self.until_called(word, times)["state"] == state,
            f"call {times} of the model with {word} to be {state}",
        )
