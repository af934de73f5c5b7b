"""The HTTP API as a user's program calls it."""

from typing import Any

import httpx

from tests.e2e.waiting import until

Json = dict[str, Any]
TERMINAL = {"completed", "abandoned", "canceled"}
WAIT_SECONDS = 5


class Client:
    """Calls with one key."""

    def __init__(self, api: str, key: str) -> None:
        self.key = key
        self.http = httpx.Client(
            base_url=api, headers={"Authorization": f"Bearer {key}"}, timeout=40
        )

    def call(self, method: str, path: str, body: Json | None = None, **rest: Any) -> Json:
        """The body of a call that succeeds."""
        answer = self.http.request(method, path, json=body, **rest)
        assert answer.status_code == 200, f"{method} {path}: {answer.status_code} {answer.text}"
        content: Json = answer.json()
        return content

    def refused(self, method: str, path: str, body: Json | None = None) -> tuple[int, str]:
        """Status and words of a call that is refused."""
        answer = self.http.request(method, path, json=body)
        assert not answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.status_code, answer.json()["error"]

    def add(self, text: str, **fields: Any) -> Json:
        """Add a prompt and do not wait; the prompt."""
        prompt: Json = self.call("POST", "/prompt-svc/prompt", {"prompt": text, **fields})["prompt"]
        return prompt

    def shown(self, prompt_id: str) -> Json:
        """The prompt with its answer."""
        return self.call("GET", f"/prompt-svc/prompt/{prompt_id}")

    def state(self, prompt_id: str) -> Json:
        """The prompt alone."""
        prompt: Json = self.shown(prompt_id)["prompt"]
        return prompt

    def ended(self, prompt_id: str, status: str = "completed", seconds: float = 60) -> Json:
        """The prompt with its answer once it is terminal, which has to be in this status."""

        def look() -> Json | None:
            path = f"/prompt-svc/prompt/{prompt_id}?wait={WAIT_SECONDS}"
            found = self.call("GET", path)
            return found if found["prompt"]["status"] in TERMINAL else None

        found = until(look, f"the end of {prompt_id}", seconds) or {}
        assert found["prompt"]["status"] == status, found["prompt"]
        return found

    def answered(self, text: str, **fields: Any) -> Json:
        """Add a prompt and wait until it is completed."""
        return self.ended(self.add(text, **fields)["id"])

    def until_status(self, prompt_id: str, status: str) -> Json:
        """Wait for a state that may pass."""

        def look() -> Json | None:
            prompt = self.state(prompt_id)
            return prompt if prompt["status"] == status else None

        return until(look, f"{prompt_id} to be {status}") or {}

    def act(self, prompt_id: str, action: str) -> Json:
        """Cancel or retry a prompt; the prompt afterwards."""
        prompt: Json = self.call("POST", f"/prompt-svc/prompt/{prompt_id}/{action}")["prompt"]
        return prompt

    def canceled(self, prompt_id: str) -> Json:
        """Cancel a running prompt; the prompt once it is over.

        The call waits 3 s for its attempt, which on a busy machine may not hear of it so soon.
        """
        assert self.act(prompt_id, "cancel")["status"] in {"canceled", "running"}
        prompt: Json = self.ended(prompt_id, "canceled")["prompt"]
        return prompt

    def messages(self, thread_id: str) -> list[Json]:
        """All messages of a thread, oldest first."""
        answer = self.call("POST", f"/chat-svc/thread/{thread_id}/messages")
        messages: list[Json] = answer["messages"]
        return messages

    def answers(self, thread_id: str) -> list[str]:
        """What the assistant said in a thread."""
        return [m["text"] for m in self.messages(thread_id) if m["role"] == "assistant"]

    def dead_letters(self) -> dict[str, str]:
        """Reasons by prompt id."""
        records = self.call("GET", "/dlq")["records"]
        return {record["promptId"]: record["reason"] for record in records}
