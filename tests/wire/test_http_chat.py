"""chat-svc over HTTP: the eight calls of the 2024 contract."""

from typing import Any

from parley.core.thread import DEFAULT_TITLE

from tests.wire.http_client import Client

THREAD = "/chat-svc/thread"


def add_thread(client: Client, key: str = "user-key", **thread: Any) -> Any:
    reply = client.call("POST", THREAD, {"thread": thread}, key=key)
    assert reply.status == 200, reply.text
    return reply.json["thread"]


def messages(client: Client, thread_id: str, body: Any = None, query: str = "") -> Any:
    reply = client.call("POST", f"{THREAD}/{thread_id}/messages{query}", body)
    assert reply.status == 200, reply.text
    return reply.json


def test_a_thread_is_created_with_defaults_and_shown(client: Client) -> None:
    thread = add_thread(client)
    assert thread | {"title": DEFAULT_TITLE, "userIds": ["usr_1"], "topicIds": []} == thread
    shown = client.call("GET", f"{THREAD}/{thread['id']}").json
    assert shown == {"exists": True, "thread": thread}


def test_a_thread_that_is_not_there_is_no_error(client: Client) -> None:
    reply = client.call("GET", f"{THREAD}/none")
    assert (reply.status, reply.json) == (200, {"exists": False, "thread": None})


def test_a_thread_can_be_changed_and_shared(client: Client) -> None:
    thread = add_thread(client, id="t", title="mine")
    path = f"{THREAD}/t"
    assert client.call("GET", path, key="other-user-key").json["exists"] is False
    changed = {"thread": {"title": "ours", "userIds": ["usr_1", "usr_2"], "id": "ignored"}}
    reply = client.call("PUT", path, changed)
    assert reply.json["thread"] | {"id": "t", "title": "ours"} == reply.json["thread"]
    assert reply.json["thread"]["createdAt"] == thread["createdAt"]
    assert client.call("GET", path, key="other-user-key").json["exists"] is True


def test_threads_are_listed_newest_first_and_paged(client: Client) -> None:
    for number in range(3):
        add_thread(client, id=f"t{number}")
        client.world.clock.skip(1)
    add_thread(client, key="other-user-key", id="theirs")
    everything = client.call("POST", "/chat-svc/threads", {}).json
    assert [thread["id"] for thread in everything["threads"]] == ["t2", "t1", "t0"]
    assert "after" not in everything
    first = client.call("POST", "/chat-svc/threads", {"limit": 2}).json
    rest = client.call("POST", f"/chat-svc/threads?limit=2&after={first['after']}").json
    assert [thread["id"] for thread in rest["threads"]] == ["t0"]
    seen = client.call("POST", "/chat-svc/threads", key="admin-key").json["threads"]
    assert len(seen) == 4


def test_messages_carry_the_text_under_both_names(client: Client) -> None:
    client.add("p")
    client.drain()
    question, answer = messages(client, "t")["messages"]
    assert question == {
        "id": "p",
        "threadId": "t",
        "content": "ask p",
        "text": "ask p",
        "createdAt": "2025-06-15T15:06:40.000Z",
        "updatedAt": "2025-06-15T15:06:40.000Z",
        "role": "user",
        "turn": 1,
        "userId": "usr_1",
    }
    assert (answer["role"], answer["content"], "userId" in answer) == (
        "assistant",
        "An answer.",
        False,
    )


def test_messages_are_added_replaced_paged_and_deleted(client: Client) -> None:
    add_thread(client, id="t")
    path = f"{THREAD}/t/message"
    for number in range(3):
        message = {"id": f"m{number}", "content": f"text {number}", "userId": "usr_1"}
        reply = client.call("POST", path, {"message": {**message, "assetIds": ["a"]}})
        assert (reply.status, reply.json) == (200, {})
    client.call("POST", path, {"message": {"id": "m1", "text": "changed", "userId": "usr_1"}})
    first = messages(client, "t", {"limit": 2})
    assert [message["content"] for message in first["messages"]] == ["text 0", "changed"]
    rest = messages(client, "t", query=f"?limit=2&after={first['after']}")
    assert [message["id"] for message in rest["messages"]] == ["m2"]
    assert rest["messages"][0]["assetIds"] == ["a"]
    assert client.call("DELETE", "/chat-svc/message/m1").json == {}
    assert [message["id"] for message in messages(client, "t")["messages"]] == ["m0", "m2"]


def test_a_message_without_a_user_is_an_assistants(client: Client) -> None:
    add_thread(client, id="t")
    client.call("POST", f"{THREAD}/t/message", {"message": {"content": "said by hand"}})
    assert messages(client, "t")["messages"][0]["role"] == "assistant"


def test_deleting_a_thread_cancels_and_removes_everything(client: Client) -> None:
    client.add("p")
    client.add("q")
    reply = client.call("DELETE", f"{THREAD}/t")
    assert (reply.status, reply.json) == (200, {})
    assert client.call("GET", f"{THREAD}/t").json["exists"] is False
    assert client.call("GET", "/prompt-svc/prompt/p").status == 404
    assert client.call("DELETE", f"{THREAD}/t").status == 404


def test_an_encoded_slash_does_not_leave_the_id(client: Client) -> None:
    reply = client.call("GET", f"{THREAD}/thr%2F1%20a")
    assert reply.status == 400
    assert "threadId" in reply.json["error"]
