"""Account x endpoint x role (I8): what a caller may not see is not there.

For a caller who may not, each call about somebody else's things gets, byte for byte, the
answer that it gets about things that do not exist; and nothing changes.
"""

from typing import Any

import pytest
from parley.core.session import session_id
from parley.wire import cli_api, http, llm_clients_api

from tests.fakes.provider import Fail
from tests.fakes.sessions import CLIENT, KEY
from tests.wire.http_client import Client, Reply
from tests.wire.test_http_refusals import stored

# The path, and what is sent, by endpoint; {p}, {t}, {m}, {k} are a prompt, its thread, a
# message of it and a key.
ABOUT: dict[str, tuple[str, Any]] = {
    "get_prompt": ("/prompt-svc/prompt/{p}", None),
    "cancel_prompt": ("/prompt-svc/prompt/{p}/cancel", None),
    "retry_prompt": ("/prompt-svc/prompt/{p}/retry", None),
    "delete_prompt": ("/prompt-svc/prompt/{p}", None),
    "remove_prompt": ("/prompt-svc/remove", {"promptId": "{p}"}),
    "list_prompts": (
        "/prompt-svc/prompts",
        {
            "query": {
                "count": True,
                "filters": [
                    {"fields": ["threadId"], "op": "equals", "jsonValues": '["{t}"]'},
                    {
                        "fields": ["status"],
                        "op": "isInList",
                        "jsonValues": '["scheduled", "completed", "abandoned"]',
                    },
                ],
            }
        },
    ),
    "subscribe_to_prompt_responses": ("/prompt-svc/prompts/{t}/responses/subscribe", None),
    "get_thread": ("/chat-svc/thread/{t}", None),
    "update_thread": ("/chat-svc/thread/{t}", {"thread": {"title": "stolen"}}),
    "delete_thread": ("/chat-svc/thread/{t}", None),
    "add_message": ("/chat-svc/thread/{t}/message", {"message": {"content": "x"}}),
    "get_messages": ("/chat-svc/thread/{t}/messages", None),
    "delete_message": ("/chat-svc/message/{m}", None),
    "get_threads": ("/chat-svc/threads", None),
    "revoke_key": ("/keys/{k}", None),
    "redrive_dead_letters": ("/dlq/redrive", {"promptId": "{p}"}),
    "list_dead_letters": ("/dlq", None),
    "list_keys": ("/keys", None),
    "get_status": ("/status", None),
    "get_models": ("/models", None),
    "list_sessions": ("/api/v1/sessions", None),
    "get_session": ("/api/v1/sessions/{s}", None),
    "delete_session": ("/api/v1/sessions/{s}", None),
    "purge_sessions": ("/api/v1/sessions/purge", {"older_than_days": 0, "dry_run": False}),
}
# These make new things, and are looked at below.
MAKING = {"add_prompt", "add_thread", "put_models", "create_key"}
# What an account describes belongs to all who have a key of it.
SHARED = {e.handler.__name__ for e in (*cli_api.ENDPOINTS, *llm_clients_api.ENDPOINTS)}
ADMINS = {
    *("list_sessions", "get_session", "delete_session", "purge_sessions"),
    *("put_models", "create_key", "list_keys", "revoke_key"),
    *("list_dead_letters", "redrive_dead_letters"),
}
SESSION = session_id(KEY)
# Whose calls see nothing of the user's things; and the other user's of the account.
BLIND = ["stranger-key", "stranger-user-key", "other-user-key"]


def about(endpoint: Any, names: dict[str, str]) -> tuple[str, Any]:
    path, body = ABOUT[endpoint.handler.__name__]

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            for name, text in names.items():
                value = value.replace(f"{{{name}}}", text)
        elif isinstance(value, dict):
            value = {key: filled(item) for key, item in value.items()}
        elif isinstance(value, list):
            value = [filled(item) for item in value]
        return value

    return filled(path), filled(body)


def asked(client: Client, endpoint: Any, names: dict[str, str], key: str) -> Reply:
    path, body = about(endpoint, names)
    return client.call(endpoint.method, path, body, key=key)


def furnished() -> Client:
    """The user of the account has an abandoned prompt with its record, and an open one."""
    client = Client()
    client.world.provider.scripts.append([Fail()])
    client.add("given-up", "theirs", maxRetries=0)
    client.drain()
    client.add("open", "theirs")
    client.run(client.world.sessions.resume(CLIENT, KEY))
    client.run(client.world.clock.sleep(0.01))
    return client


def test_the_matrix_has_every_endpoint() -> None:
    keyed = {e.handler.__name__ for e in http.ENDPOINTS if not e.public and not e.chat}
    assert set(ABOUT) | MAKING | SHARED == keyed


ENDPOINTS = [e for e in http.ENDPOINTS if e.handler.__name__ in ABOUT]


@pytest.mark.parametrize("key", BLIND)
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: e.handler.__name__)
@pytest.mark.parametrize("prompt", ["open", "given-up"])
def test_what_is_anothers_is_not_there(endpoint: Any, key: str, prompt: str) -> None:
    there = {"p": prompt, "t": "theirs", "m": prompt, "k": "key_user-key", "s": SESSION}
    nowhere = {"p": "none", "t": "nowhere", "m": "none", "k": "key_none", "s": f"ses_{'0' * 40}"}
    full, empty = furnished(), Client()
    before = stored(full)
    seen = asked(full, endpoint, there, key)
    missed = asked(empty, endpoint, nowhere, key)
    if key == "other-user-key" and endpoint.stream:
        # Inside an account the two differ: one may wait for a thread that is yet to come.
        assert (seen.status, missed.status) == (404, 200)
    else:
        assert seen == missed
    if endpoint.handler.__name__ in ADMINS and key != "stranger-key":
        assert seen.status == 403
    assert stored(full) == before
    full.close()
    empty.close()


@pytest.mark.parametrize("key", ["stranger-key", "stranger-user-key"])
def test_an_accounts_ids_are_its_own(key: str) -> None:
    """The same ids in another account are other things, and no conflict."""
    client = furnished()
    prompt = client.add("open", "theirs", key=key)
    assert prompt["turn"] == 1
    thread = client.call("POST", "/chat-svc/thread", {"thread": {"id": "mine"}}, key=key)
    assert thread.status == 200
    messages = client.call("POST", "/chat-svc/thread/theirs/messages", key=key).json["messages"]
    assert [message["id"] for message in messages] == ["open"]
    client.close()


@pytest.mark.parametrize("key", ["user-key", "other-user-key", "stranger-user-key"])
@pytest.mark.parametrize("name", sorted(ADMINS))
def test_a_user_cannot_do_what_admins_do(name: str, key: str) -> None:
    client = furnished()
    before = stored(client)
    endpoint = next(e for e in http.ENDPOINTS if e.handler.__name__ == name)
    bodies = {
        "put_models": {
            "models": [
                {"id": "x", "baseUrl": "https://api.example.com", "providerModel": "x"},
            ]
        },
        "create_key": {"role": "admin"},
        "purge_sessions": {"older_than_days": 0, "dry_run": False},
    }
    path = endpoint.path.replace("<key_id>", "key_user-key").replace("<session_id>", SESSION)
    reply = client.call(endpoint.method, path, bodies.get(name), key=key)
    assert (reply.status, reply.json) == (
        403,
        {"error": "this call needs an admin key", "code": "admin_needed"},
    )
    assert stored(client) == before
    client.close()


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: e.handler.__name__)
def test_an_admin_of_the_account_gets_through(endpoint: Any) -> None:
    client = furnished()
    ended = endpoint.handler.__name__ in {"retry_prompt", "delete_message"}
    prompt = "given-up" if ended else "open"
    names = {"p": prompt, "t": "theirs", "m": prompt, "k": "key_user-key", "s": SESSION}
    assert asked(client, endpoint, names, "admin-key").status == 200
    client.close()


def test_a_member_of_a_thread_reads_it_and_not_the_prompts_of_others(client: Client) -> None:
    client.add("p")
    client.call("PUT", "/chat-svc/thread/t", {"thread": {"userIds": ["usr_1", "usr_2"]}})
    key = "other-user-key"
    assert len(client.call("POST", "/chat-svc/thread/t/messages", key=key).json["messages"]) == 1
    assert client.call("GET", "/prompt-svc/prompt/p", key=key).status == 404
    assert client.call("POST", "/prompt-svc/prompts", key=key).json["prompts"] == []
    assert client.add("q", key=key)["turn"] == 2
