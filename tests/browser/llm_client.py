"""A deployed llm_client: its address for a browser, and its endpoints for a test.

A browser resolves `*.localhost` by itself. Python does not, so a test names the host in a header.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.e2e.cli import Parley
from tests.e2e.stack import Stack

Json = dict[str, Any]


class LlmClient:
    """One of the stack's account, by its name."""

    def __init__(self, stack: Stack, name: str, account: str = "") -> None:
        port = urlsplit(stack.api).port
        host = f"{name}.{account or stack.account}.api.localhost:{port}"
        self.name = name
        self.origin = f"http://{host}"
        self.url = f"{self.origin}/"
        self._http = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers={"Host": host}, timeout=40
        )

    def config(self, session_key: str = "") -> Json:
        """The config object's `data`."""
        answer = self._http.post("/config/", json={"session_key": session_key})
        assert answer.status_code == 200, answer.text
        data: Json = answer.json()["data"]
        return data

    def history(self, session_key: str, limit: int) -> Json:
        """The newest turns of a session as config tells them, and where older ones begin."""
        query: dict[str, str | int] = {"session_key": session_key, "limit": limit}
        answer = self._http.get("/chat/", params=query)
        assert answer.status_code == 200, answer.text
        data: Json = answer.json()["data"]
        return {"chat_history": data["messages"], "after": data["after"]}

    def said(self, session_key: str, role: str) -> list[str]:
        """What somebody (user, assistant) said in a session, as it is stored; no greetings."""
        config = self.config(session_key)
        assert config["session_key"] == session_key, "the session is not known"
        history = config["history"]["chat_history"]
        return [m["content"] for m in history if m["role"] == role and m.get("turn")]


@contextmanager
def applied(stack: Stack, directory: Path, name: str, manifest: str) -> Iterator[LlmClient]:
    """An llm_client of a test's own, as long as the context is open."""
    parley = Parley(stack, stack.admin_key, directory)
    (directory / f"{name}.yaml").write_text(manifest)
    parley("apply", "-f", f"{name}.yaml")
    try:
        yield LlmClient(stack, name)
    finally:
        parley("delete", "llmclient", name, "--yes")
