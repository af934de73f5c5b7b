"""The config object: each key, nothing that leaks, few reads, strings as they are."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from parley.core.session import UNUSED_SECONDS, session_id
from parley.core.thread import ANSWER, QUESTION, Message, Role, ToolCall

from tests.fakes.world import ACCOUNT
from tests.wire.chat_client import (
    CONFIG,
    DOMAIN,
    HOST,
    ORIGIN,
    SANDBOX,
    SOCKET,
    SYSTEM,
    ChatClient,
    told,
)

ADMIN = {"host": DOMAIN, "key": "admin-key"}


@pytest.fixture
def client() -> Iterator[ChatClient]:
    made = ChatClient()
    yield made
    made.close()


def data_of(client: ChatClient, path: str = "/config/", **more: Any) -> Any:
    reply = client.at("POST", path, {}, **more)
    assert reply.status == 200, reply.text
    return reply.json["data"]


# What the published component reads, and every key of contract 3.2 that is no leak.
KEYS: dict[str, Any] = {
    "session_key": str,
    "session_new": True,
    "sandbox_mode": False,
    "debug_mode": False,
    "chatbot.id": 1,
    "chatbot.hashed_id": "rMTAwMDAwMQx",
    "chatbot.url_chatbot": f"{ORIGIN}/chat/",
    "chatbot.name": "stackademy",
    "chatbot.description": "",
    "chatbot.version": "0.1.0",
    "chatbot.deployed": True,
    "chatbot.provider": "openai-compatible",
    "chatbot.default_model": "model",
    "chatbot.default_temperature": 0.5,
    "chatbot.default_max_tokens": 2048,
    "chatbot.default_system_role": "",
    "chatbot.app_name": "Stackademy",
    "chatbot.app_assistant": "Assistant",
    "chatbot.app_welcome_message": "Welcome!",
    "chatbot.app_example_prompts": ["What is the_weather?", "<b>&amp;"],
    "chatbot.app_placeholder": "Type something here...",
    "chatbot.app_info_url": None,
    "chatbot.app_background_image_url": None,
    "chatbot.app_logo_url": None,
    "chatbot.app_file_attachment": False,
    "chatbot.created_at": str,
    "chatbot.updated_at": str,
    "chatbot.annotations": [],
    "chatbot.tags": [],
    "chatbot.dns_verification_status": "Verified",
    "chatbot.tls_certificate_issuance_status": "Issued",
    "chatbot.subdomain": "stackademy",
    "chatbot.custom_domain": None,
    "chatbot.account.accountNumber": ACCOUNT,
    "chatbot.user_profile.account.accountNumber": ACCOUNT,
    **{
        f"history.{name}.{key}": wanted
        for name in ("chat", "prompt")
        for key, wanted in {
            **dict.fromkeys(("thread_id", "created_at", "updated_at", "name", "session_key"), str),
            "id": int,
            "description": "",
            "version": "1.0.0",
            "annotations": [],
            "url": f"{ORIGIN}/chat/",
            "user_profile.account.accountNumber": ACCOUNT,
            "chatbot": 1,
        }.items()
    },
    "history.chat_history": list,
    "history.chat_tool_call_history": [],
    "history.prompt_tool_call_history": [],
    "history.chat_plugin_usage_history": [],
    "history.prompt_plugin_usage_history": [],
    "history.chatbot_request_history": [],
    "history.plugin_selector_history": [],
    "history.after": "",
    "prompts": [],
    "websocket.url": SOCKET,
    "websocket.account": ACCOUNT,
    "websocket.llm_client": "stackademy",
    "websocket.thread_id": str,
    "limits.input_characters": 16_000,
    "limits.open_turn": "refuse",
    "meta_data.is_valid": True,
    "meta_data.is_ready": True,
    "meta_data.is_deployed": True,
    "meta_data.is_authentication_required": False,
    "meta_data.is_chatbot_named_url": True,
    "meta_data.is_chatbot_sandbox_url": False,
    "meta_data.is_custom_domain": False,
    "meta_data.account.accountNumber": ACCOUNT,
    "meta_data.chatbot_name": "stackademy",
    "meta_data.hostname": HOST,
    "plugins.meta_data.total_plugins": 1,
    "plugins.meta_data.plugins_returned": 1,
    "plugins.plugins": list,
    "functions.meta_data.total_functions": 1,
    "functions.meta_data.functions_returned": 1,
    "functions.functions": list,
}


@pytest.mark.parametrize("path", KEYS)
def test_a_key_of_the_config(client: ChatClient, path: str) -> None:
    found = data_of(client)
    for name in path.split("."):
        found = found[name]
    wanted = KEYS[path]
    assert isinstance(found, wanted) if isinstance(wanted, type) else found == wanted


def test_the_envelope_has_both_forms_of_metadata(client: ChatClient) -> None:
    answer = client.at("POST", "/config/", {"session_key": ""}).json
    assert set(answer) == {"data", "api", "thing", "metadata"}
    assert (answer["api"], answer["thing"]) == ("smarter.sh/v1", "ChatConfig")
    assert answer["metadata"] == {"command": "chat_config", "thing": "ChatConfig"}


def test_what_a_session_opens_with_comes_from_the_server(client: ChatClient) -> None:
    history = data_of(client)["history"]["chat_history"]
    assert [(item["id"], item["role"], item["turn"]) for item in history] == [
        ("intro.1", "assistant", 0),
        ("intro.2", "assistant", 0),
    ]
    assert history[0]["content"] == "Welcome!"
    assert "What is the_weather?" in history[1]["content"]
    assert "<b>&amp;" in history[1]["content"]


def test_a_history_item_has_all_that_pages_read(client: ChatClient) -> None:
    key = client.opened()
    client.answered(key, "hello")
    question, answer = data_of(client, f"/config/?session_key={key}")["history"]["chat_history"][
        -2:
    ]
    now = client.world.clock.now()
    assert question.pop("created_at") <= answer.pop("created_at") <= now
    common = {
        "smarter_is_new": False,
        "turn": 1,
        "partial": False,
        "prompt_id": question["id"],
        "replaces": 0,
    }
    assert question == common | {
        "id": question["id"],
        "role": "user",
        "content": "hello",
        "part": QUESTION,
        "finish_reason": "",
    }
    assert answer == common | {
        "id": f"msg_{question['id']}.1",
        "role": "assistant",
        "content": "An answer.",
        "part": ANSWER,
        "finish_reason": "stop",
    }


FAMILIES = [
    (HOST, "/", "", f"{ORIGIN}/chat/"),
    (HOST, "/config", "", f"{ORIGIN}/chat/"),
    (HOST, "/chat/config/", "", f"{ORIGIN}/chat/"),
    (HOST, "/prompt/config/", "admin-key", f"{ORIGIN}/chat/"),
    ("courses.school.example", "/config/", "", "https://courses.school.example/chat/"),
    (
        "localhost:9357",
        f"{SANDBOX}/config/",
        "user-key",
        "http://localhost:9357/api/v1/llm-clients/rMTAwMDAwMQx/chat/",
    ),
    (
        "api.example.com",
        "/workbench/llm-clients/rMTAwMDAwMQx/config/",
        "admin-key",
        "https://api.example.com/api/v1/llm-clients/rMTAwMDAwMQx/chat/",
    ),
]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: "".join(family[:2]))
def test_every_family_of_addresses_leads_on_within_itself(
    client: ChatClient, method: str, family: tuple[str, str, str, str]
) -> None:
    host, path, key, url = family
    client.changed(host="courses.school.example")
    data = client.at(method, path, host=host, key=key).json["data"]
    assert data["chatbot"]["url_chatbot"] == url
    assert data["sandbox_mode"] is (path != "/" and ("v1" in path or "workbench" in path))
    # The component appends `config/` to it.
    tail = url.partition(host)[2]
    again = client.at(
        "POST", f"{tail}config/?session_key={data['session_key']}", host=host, key=key
    )
    assert again.json["data"]["session_key"] == data["session_key"]


def test_the_scheme_is_the_callers(client: ChatClient) -> None:
    data = client.at("GET", "/config", x_forwarded_proto="http").json["data"]
    assert data["chatbot"]["url_chatbot"] == f"http://{HOST}/chat/"


@pytest.mark.parametrize(
    ("host", "told"),
    [
        (f"{HOST}.", HOST),
        (f"{HOST}:443", HOST),
        (f"{HOST.upper()}.:80", HOST),
        # Here a port is part of the address: this machine's, and a network's without names.
        (f"stackademy.{ACCOUNT}.api.localhost:9357", f"stackademy.{ACCOUNT}.api.localhost:9357"),
        ("127.0.0.1:9357", "127.0.0.1:9357"),
        ("10.1.2.3:9357", "10.1.2.3:9357"),
        ("parley:9357", "parley:9357"),
        ("[::1]:9357", "[::1]:9357"),
    ],
)
def test_an_address_has_no_port_where_there_is_but_one(
    client: ChatClient, host: str, told: str
) -> None:
    base, key = ("", "") if "." + ACCOUNT in host else (SANDBOX, "user-key")
    data = data_of(client, f"{base}/config/", host=host, key=key, x_forwarded_proto="https")
    shown = base.replace("/1", "/rMTAwMDAwMQx")
    assert data["chatbot"]["url_chatbot"] == f"https://{told}{shown}/chat/"
    assert (
        data["history"]["chat"]["url"] == data["meta_data"]["url"] == f"https://{told}{shown}/chat/"
    )
    assert data["meta_data"]["hostname"] == told
    listed = client.at("GET", "/api/v1/llm-clients/1/", host=host, key="user-key")
    if base:
        assert listed.json["data"]["llm_client"]["status"]["sandboxHost"] == told


def test_a_page_in_another_spelling_of_its_host_is_its_own(client: ChatClient) -> None:
    for host in (f"{HOST}.", f"{HOST}:8443"):
        reply = client.at("GET", "/config/", host=host, origin=f"https://{host}")
        assert reply.headers["access-control-allow-origin"] == f"https://{host}"


def test_a_session_is_kept_and_one_that_is_not_known_is_replaced(client: ChatClient) -> None:
    first = data_of(client)
    assert first["session_new"] is True
    again = data_of(client, f"/config/?session_key={first['session_key']}")
    assert (again["session_new"], again["session_key"]) == (False, first["session_key"])
    unknown = data_of(client, f"/config/?session_key={'ab' * 32}")
    assert unknown["session_new"] is True
    assert unknown["session_key"] not in {"ab" * 32, first["session_key"]}


@pytest.mark.parametrize("place", ["query", "body", "cookie"])
@pytest.mark.parametrize("key", ["x", "ab" * 31, "ab" * 33, "zz" * 32])
def test_a_malformed_key_is_refused(client: ChatClient, place: str, key: str) -> None:
    path = f"/config/?session_key={key}" if place == "query" else "/config/"
    body = {"session_key": key} if place == "body" else {}
    cookie = {"cookie": f"session_key={key}"} if place == "cookie" else {}
    reply = client.at("POST", path, body, **cookie)
    assert reply.status == 400
    assert reply.json == {"error": "session_key must be 64 hexadecimal digits", "code": "invalid"}


def test_a_session_that_nobody_used_expires_after_a_day(client: ChatClient) -> None:
    used, unused = client.opened(), client.opened()
    client.answered(used, "hello")
    client.run(client.world.clock.sleep(UNUSED_SECONDS + 60))
    assert data_of(client, f"/config/?session_key={used}")["session_new"] is False
    assert data_of(client, f"/config/?session_key={unused}")["session_new"] is True


def test_the_key_itself_is_stored_nowhere(client: ChatClient) -> None:
    key = client.opened()
    client.answered(key, "hello")
    assert key not in repr(vars(client.world.state))
    assert session_id(key) in repr(vars(client.world.state))


def test_unfinished_turns_are_told(client: ChatClient) -> None:
    key = client.opened()
    prompt = told(client.say(key, "hello"))["smarter"]["prompt"]
    data = data_of(client, f"/config/?session_key={key}")
    assert data["prompts"] == [prompt]
    assert data["history"]["chat_history"][-1]["content"] == "hello"


def test_nothing_leaks(client: ChatClient) -> None:
    client.describe("stackademy", 1, apiKey="the name of a key", config=CONFIG)
    key = client.opened(key="admin-key")
    client.say(key, "hello", key="admin-key", user_agent="Browser/1.0")
    reply = client.at("POST", f"/config/?session_key={key}", {}, key="admin-key", user_agent="B/1")
    for secret in (SYSTEM, "admin-key", "the name of a key", "usr_", "192.0.2.1", "Browser/1.0"):
        assert secret not in reply.text, secret
    for chat in (client.say(key, "again", key="admin-key"),):
        assert SYSTEM not in chat.text


@pytest.mark.parametrize("turns", [0, 1, 60])
def test_it_takes_three_reads_at_most_whatever_the_history(client: ChatClient, turns: int) -> None:
    key = client.opened()
    for number in range(turns):
        client.answered(key, f"question {number}")
        client.run(client.world.clock.sleep(60))
    client.api.chats.clients.forget()
    before = len(client.world.conductor.log)
    data = data_of(client, f"/config/?session_key={key}")
    names = [call.name.partition(".")[2] for call in client.world.conductor.log[before:]]
    # The llm_client's own read is not behind this fake.
    assert 1 <= len(names) <= 2, names
    items = [item for item in data["history"]["chat_history"] if item["turn"]]
    assert len({item["turn"] for item in items}) == min(turns, 50)
    assert bool(data["history"]["after"]) is (turns > 50)
    # What it opened with is not where older turns are missing.
    assert (len(items) == len(data["history"]["chat_history"])) is (turns > 50)
    assert len(json.dumps(data)) < 100_000


@pytest.mark.parametrize("character", ["x", "語", "ж", "\n", "\x07", "😀"])
@pytest.mark.parametrize("sandbox", [False, True])
def test_what_it_gives_of_a_long_conversation_can_be_posted_back(
    client: ChatClient, character: str, sandbox: bool
) -> None:
    """The published component posts every message that it has, with all that came with it."""
    key = client.opened()
    expression = json.dumps({"expression": character * 600})
    call = replace(CALL, arguments=expression, result=character * 600)
    long_talk(client, key, character * 6_000, call)
    base, more = (SANDBOX, ADMIN) if sandbox else ("", {})
    config = client.at("POST", f"{base}/config/", {"session_key": key}, **more)
    history = config.json["data"]["history"]
    assert history["after"]
    items = history["chat_history"]
    assert len(items) > 5
    reply = client.say(key, f"{character * 15_999}?", *items, path=f"{base}/chat/", **more)
    assert reply.status == 200, reply.text
    assert told(reply)["status"] == 202


@pytest.mark.parametrize("character", ["x", "語"])
def test_of_a_calls_arguments_it_gives_as_much_as_followers_are_told(
    client: ChatClient, character: str
) -> None:
    """They are in it five times, and a model may write 64 KB of them."""
    key = client.opened()
    arguments = json.dumps({"expression": character * 20_000}, ensure_ascii=False)
    long_talk(client, key, "Well.", replace(CALL, arguments=arguments, plugin="courses"))
    config = client.at("POST", f"{SANDBOX}/config/", {"session_key": key}, **ADMIN)
    history = config.json["data"]["history"]
    rows = [*history["chat_tool_call_history"], *history["chat_plugin_usage_history"]]
    items = [call for item in history["chat_history"] for call in item.get("tool_calls", ())]
    told = {row["function_args"] for row in rows} | {item["arguments"] for item in items}
    assert len(told) == 1
    cut = told.pop()
    assert arguments.startswith(cut)
    assert 2040 < len(cut.encode()) <= 2048


CALL = ToolCall("c", "calculator", '{"expression": "1+1"}', "2", "ok")


def long_talk(client: ChatClient, key: str, text: str, call: ToolCall = CALL) -> None:
    """Fill a session with 60 turns: a question, two rounds of a call each, an answer."""
    id_ = session_id(key)
    stored = client.world.state.messages.setdefault((ACCOUNT, id_), {})
    for turn in range(1, 61):
        for part, role in ((1, Role.USER), (2, Role.TOOL), (3, Role.TOOL), (1000, Role.ASSISTANT)):
            calls = (call,) if role is Role.TOOL else ()
            said = text if part == 1000 else "What is it?"
            message = Message(ACCOUNT, id_, turn, part, f"m{turn}.{part}", role, said, 1, 1)
            stored[turn, part] = replace(message, calls=calls)
    thread = client.world.state.threads[ACCOUNT, id_]
    client.world.state.threads[ACCOUNT, id_] = replace(thread, next_turn=61, expires_at=0)
