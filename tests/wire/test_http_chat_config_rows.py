"""The rows of the config object that the published component's console shows."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from parley.core.resource import Kind
from parley.core.session import session_id

from tests.fakes.provider import Ask, End, Fail, Say
from tests.fakes.world import ACCOUNT
from tests.wire.chat_client import DOMAIN, ORIGIN, SANDBOX, ChatClient

TOOL = "smarter_plugin_0000000011"
ARGUMENTS = '{"inquiry_type": "ai"}'
RESULT = "AI 101: sesame"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
BY_TWO_NAMES = {
    f"{name}_{kind}_history"
    for name in ("chat", "prompt")
    for kind in ("tool_call", "plugin_usage")
}
SANDBOXED = {"path": f"{SANDBOX}/config/", "host": DOMAIN, "key": "user-key"}
MAX_SAFE_INTEGER = 2**53 - 1


@pytest.fixture
def client() -> Iterator[ChatClient]:
    made = ChatClient()
    spec = {
        "selector": {"directive": "always"},
        "prompt": {"systemRole": "Know the courses."},
        "data": {"description": "Courses.", "staticData": {"ai": RESULT}},
    }
    made.world.describe(Kind.PLUGIN, "courses", number=11, **spec)
    yield made
    made.close()


def data_of(client: ChatClient, session: str, path: str = "/config/", **more: Any) -> Any:
    return client.at("POST", path, {"session_key": session}, **more).json["data"]


def history_of(client: ChatClient, session: str, **more: Any) -> Any:
    return data_of(client, session, **more)["history"]


@pytest.fixture
def key(client: ChatClient) -> str:
    """A session in which a function was called, and in the next turn a plugin twice."""
    key = client.opened()
    calculator = ("calculator", '{"expression": "6*7"}')
    client.world.provider.scripts += [
        [Ask((calculator,))],
        [Say("42"), End()],
        [Ask(((TOOL, ARGUMENTS), (TOOL, ARGUMENTS)))],
        [Say("AI 101."), End()],
    ]
    client.answered(key, "6*7?")
    client.answered(key, "which?")
    return key


def test_a_call_is_a_row_of_the_contract(client: ChatClient, key: str) -> None:
    history = history_of(client, key)
    first, *_ = rows = history["chat_tool_call_history"]
    assert [(row["turn"], row["function_name"]) for row in rows] == [
        (1, "calculator"),
        (2, TOOL),
        (2, TOOL),
    ]
    session = history["chat"]
    assert first["prompt"] == {name: session[name] for name in ("id", "thread_id", "session_key")}
    assert TIME.fullmatch(first["created_at"])
    assert TIME.fullmatch(first["updated_at"])
    assert (first["plugin"], first["function_args"]) == (None, '{"expression": "6*7"}')
    function = {"name": "calculator", "arguments": '{"expression": "6*7"}'}
    assert first["request"] == [{"id": first["id"], "type": "function", "function": function}]


def test_a_plugins_call_has_the_question_with_it(client: ChatClient, key: str) -> None:
    history = history_of(client, key)
    used = history["chat_plugin_usage_history"]
    assert [(row["plugin"], row["input_text"]) for row in used] == [("courses", "which?")] * 2
    [selected] = history["plugin_selector_history"]
    assert (selected["id"], selected["plugin"], selected["input_text"]) == (1, "courses", "which?")
    for kind in ("tool_call", "plugin_usage"):
        assert history[f"prompt_{kind}_history"] == history[f"chat_{kind}_history"]


def test_what_a_call_resulted_in_is_a_row_of_the_sandbox_only(client: ChatClient, key: str) -> None:
    shown = history_of(client, key, **SANDBOXED)["chat_tool_call_history"]
    [answered] = shown[0]["response"]
    assert answered == {
        "role": "tool",
        "tool_call_id": shown[0]["id"],
        "name": "calculator",
        "content": '["calculator"]',
    }
    public = history_of(client, key)
    assert {tuple(row["response"]) for row in public["chat_tool_call_history"]} == {()}
    assert "Know the courses." not in json.dumps([shown, public])


def test_each_question_is_a_request(client: ChatClient, key: str) -> None:
    client.world.provider.scripts.append([Fail(retryable=False)])
    client.answered(key, "fails?")
    requests = history_of(client, key)["chatbot_request_history"]
    said = [row["request"]["messages"][0] for row in requests]
    assert said == [{"role": "user", "content": text} for text in ("6*7?", "which?", "fails?")]
    assert [row["id"] for row in requests] == [1, 2, 3]
    assert {row["request"]["session_key"] for row in requests} == {key}
    assert {row["is_aggregation"] for row in requests} == {False}
    assert all(TIME.fullmatch(row[at]) for row in requests for at in ("created_at", "updated_at"))


def test_the_texts_of_rows_end_and_so_do_the_rows(client: ChatClient) -> None:
    key = client.opened()
    long = "語" * 1000
    asked = [Ask(((TOOL, ARGUMENTS),) * 60)]
    client.world.provider.scripts += [asked, [Say("Well."), End()]]
    client.answered(key, long)
    history = history_of(client, key)
    assert history["chat_history"][-2]["content"] == long
    cut = {row["input_text"] for row in history["chat_plugin_usage_history"]}
    cut.add(history["chatbot_request_history"][0]["request"]["messages"][0]["content"])
    assert cut == {long[:682]}
    assert {len(history[name]) for name in BY_TWO_NAMES} == {50}


def test_a_sessions_number_is_one_that_javascript_can_hold(client: ChatClient) -> None:
    keys = [client.opened() for _ in range(20)]
    rows = [history_of(client, key)["chat"] for key in keys]
    numbers = {row["id"] for row in rows}
    assert len(numbers) == 20
    assert all(0 < number <= MAX_SAFE_INTEGER for number in numbers)
    assert [row["thread_id"] for row in rows] == [session_id(key) for key in keys]
    read = client.at("GET", f"/chat/?session_key={keys[0]}").json["data"]["session"]
    assert read["id"] == rows[0]["id"]


def test_a_row_says_nothing_of_who_asks(client: ChatClient, key: str) -> None:
    history = history_of(client, key, user_agent="Browser/1.0")
    assert not {"ip_address", "user_agent"} & set(history["chat"])
    assert "192.0.2.1" not in json.dumps(history)
    assert "Browser" not in json.dumps(history)


def test_the_rows_url_is_of_the_family_that_the_caller_came_by(
    client: ChatClient, key: str
) -> None:
    assert history_of(client, key)["chat"]["url"] == f"{ORIGIN}/chat/"
    sandbox = data_of(client, key, **SANDBOXED)
    assert sandbox["history"]["chat"]["url"] == sandbox["chatbot"]["url_chatbot"]


def test_what_is_attached_has_the_contracts_fields(client: ChatClient) -> None:
    client.describe("stackademy", 1, functions=["calculator", "date_calculator"])
    data = data_of(client, "")
    [plugin] = data["plugins"]["plugins"]
    assert (plugin["id"], plugin["name"], plugin["chatbot"]) == (1, "courses", 1)
    account = data["chatbot"]["account"]
    meta = {"name": "courses", "pluginClass": "static", "account": account}
    assert plugin["plugin_meta"] == meta
    functions = data["functions"]["functions"]
    assert [(row["id"], row["name"], row["chatbot"]) for row in functions] == [
        (1, "calculator", 1),
        (2, "date_calculator", 1),
    ]
    assert all(TIME.fullmatch(row["updated_at"]) for row in (plugin, *functions))


@pytest.mark.parametrize("thing", ["function", "plugin"])
def test_what_is_attached_has_the_same_id_in_the_lists_of_the_llm_client(
    client: ChatClient, thing: str
) -> None:
    spec = client.world.resources.stored[ACCOUNT, Kind.PLUGIN, "courses"].spec
    client.world.describe(Kind.PLUGIN, "books", number=12, **spec)
    functions = ["date_calculator", "calculator"]
    client.describe("stackademy", 1, functions=functions, plugins=["books", "courses"])
    told = data_of(client, "")[f"{thing}s"][f"{thing}s"]
    assert [row["id"] for row in told] == [1, 2]
    for row in told:
        path = f"{SANDBOX}/{thing}s/{row['id']}/"
        found = client.at("GET", path, host=DOMAIN, key="user-key").json["data"][thing]
        assert (found["id"], found["name"]) == (row["id"], row["name"])
