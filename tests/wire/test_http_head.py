"""HEAD: whoever checks a link asks for a page's headers alone."""

from collections.abc import Iterator

import pytest

from tests.fakes.world import ACCOUNT
from tests.wire.chat_client import DOMAIN, HOST, ChatClient
from tests.wire.http_client import Recorder


@pytest.fixture
def client() -> Iterator[ChatClient]:
    made = ChatClient()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("host", "path", "accept"),
    [
        (HOST, "/", "text/html"),
        (HOST, "/", "application/json"),
        (HOST, "/config/", ""),
        (HOST, "/embed.js", ""),
        (HOST, "/none", ""),
        (f"closed.{ACCOUNT}.{DOMAIN}", "/config/", ""),
        (f"none.{ACCOUNT}.{DOMAIN}", "/", "text/html"),
        (DOMAIN, "/", "text/html"),
        (DOMAIN, "/workbench/", ""),
        (DOMAIN, "/workbench/llm-clients/9/prompt/", ""),
        (DOMAIN, "/health", ""),
        (DOMAIN, "/status", ""),
        (DOMAIN, "/prompt-svc/prompt", ""),
    ],
)
def test_head_is_get_without_a_body(client: ChatClient, host: str, path: str, accept: str) -> None:
    recorder = client.observer
    assert isinstance(recorder, Recorder)
    asked = {"host": host, "accept": accept, "key": "user-key" if path == "/status" else ""}
    got, head = client.at("GET", path, **asked), client.at("HEAD", path, **asked)
    assert (head.status, head.text) == (got.status, "")
    assert head.headers == got.headers
    assert got.text or got.status == 302
    assert [call.method for call in recorder.calls] == ["GET", "HEAD"]


def test_a_path_that_is_not_read_does_not_answer_head(client: ChatClient) -> None:
    reply = client.at("HEAD", "/prompt-svc/prompt", host=DOMAIN, key="user-key")
    assert (reply.status, reply.headers["allow"], reply.text) == (405, "OPTIONS, POST", "")
