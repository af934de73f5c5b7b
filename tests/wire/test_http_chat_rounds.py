"""What the account's admins read of a session: tool calls, and what was edited."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from parley.core.session import session_id
from parley.wire.shapes import PAGE_CHARACTERS

from tests.fakes.provider import Ask, End, Say
from tests.wire.chat_client import ChatClient

API = "api.example.com"


@pytest.fixture
def client() -> Iterator[ChatClient]:
    made = ChatClient()
    yield made
    made.close()


def read(client: ChatClient, key: str, limit: int = 100, after: str = "") -> dict[str, Any]:
    """A page of a session's messages, as an admin reads it."""
    path = f"/chat-svc/thread/{session_id(key)}/messages"
    body = {"limit": limit, "after": after}
    page: dict[str, Any] = client.at("POST", path, body, host=API, key="admin-key").json
    return page


def test_an_admin_reads_which_tools_were_called_and_what_they_gave(client: ChatClient) -> None:
    sums = [("calculator", '{"expression":"1+1"}'), ("absent", "{}")]
    client.world.provider.scripts = [[Say("Let me see."), Ask(tuple(sums))]]
    key = client.opened()
    client.answered(key, "hi")

    question, round_, answer = read(client, key)["messages"]

    assert round_["role"] == "tool"
    assert [(one["name"], one["arguments"]) for one in round_["calls"]] == sums
    assert [one["outcome"] for one in round_["calls"]] == ["ok", "failed"]
    assert round_["calls"][0]["result"] == '["calculator"]'
    for one in round_["calls"]:
        assert one["size"] == len(one["result"].encode())
        assert one["plugin"] == ""
        assert one["milliseconds"] >= 0
        assert one["id"]
    assert "calls" not in question | answer


@pytest.mark.parametrize(
    "arguments",
    [
        "[" * 60_000,
        "[" * 101 + "]" * 101,
        '{"a":' * 500 + "1" + "}" * 500,
        '{"a":NaN}',
        '{"a":1e999}',
        "9" * 5000,
        '{"expression":',
    ],
)
def test_arguments_that_are_no_json_to_be_written_again_are_told_as_the_models_text(
    client: ChatClient, arguments: str
) -> None:
    client.world.provider.scripts = [[Ask((("calculator", arguments),))], [Say("Sorry."), End()]]
    body = client.answered(client.opened(), "hi")
    assert (body["status"], body["choices"][0]["message"]["content"]) == (200, "Sorry.")
    assert body["metadata"]["tool_calls"] == [
        {"function_name": "calculator", "function_args": arguments}
    ]


def test_nested_arguments_are_told_as_what_they_are(client: ChatClient) -> None:
    arguments = "[" * 100 + "]" * 100
    client.world.provider.scripts = [[Ask((("calculator", arguments),))], [Say("Sorry."), End()]]
    (call,) = client.answered(client.opened(), "hi")["metadata"]["tool_calls"]
    assert call["function_args"] == json.loads(arguments)


def test_an_admin_reads_which_question_was_edited(client: ChatClient) -> None:
    key = client.opened()
    client.answered(key, "one")
    client.answered(key, "one, edited", body={"replaces": 1})

    said = [message for message in read(client, key)["messages"] if message["role"] == "user"]

    assert [(one["content"], one.get("replaces")) for one in said] == [
        ("one", None),
        ("one, edited", 1),
    ]


def test_what_tools_gave_counts_for_the_length_of_a_page(
    client: ChatClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer of Lambda's must not be too large for the calls in it."""
    asked = Ask(tuple(("calculator", '{"expression":"1+1"}') for _ in range(3)))
    key = client.opened()
    for text in ("one", "two"):
        client.world.provider.scripts = [[asked]]
        client.answered(key, text)
    whole = read(client, key)["messages"]
    texts = sum(len(json.dumps(message["text"])) for message in whole)
    assert texts < PAGE_CHARACTERS
    monkeypatch.setattr("parley.wire.shapes.PAGE_CHARACTERS", texts + 10)

    page = read(client, key)

    assert 0 < len(page["messages"]) < len(whole)
    assert page["after"]
