"""prompt-svc over HTTP: the shapes of the contract, and what the calls do."""

import gzip
import json
from typing import Any

import pytest
from parley.core.errors import Busy, Unavailable
from parley.wire import shapes

from tests.fakes.provider import SILENT, End, Fail, Say
from tests.wire.http_client import Client, Reply

PROMPT = "/prompt-svc/prompt"
LIST = "/prompt-svc/prompts"
CONTRACT_FIELDS = {
    *("id", "prompt", "sync", "threadId", "template", "modelId", "maxRetries", "createdAt"),
    *("updatedAt", "status", "lastRun", "runCount", "error", "userId"),
    *("type", "requestMessageId", "responseMessageId"),
}
OWN_FIELDS = {"turn", "attempts", "errorCode", "cancelRequested"}


def listed(client: Client, key: str = "user-key", **query: Any) -> Any:
    reply = client.call("POST", LIST, {"query": query}, key=key)
    assert reply.status == 200, reply.text
    return reply.json


def statuses(*words: str) -> dict[str, Any]:
    return {"fields": ["status"], "op": "isInList", "jsonValues": json.dumps(words)}


def ids(answer: Any) -> list[str]:
    return [prompt["id"] for prompt in answer["prompts"]]


class TestAdd:
    def test_answers_at_once_with_every_field_of_the_contract(self, client: Client) -> None:
        reply = client.call("POST", PROMPT, {"prompt": "What's a banana?"})
        assert reply.status == 200
        assert set(reply.json) == {"answer", "prompt"}
        prompt = reply.json["prompt"]
        assert set(prompt) == CONTRACT_FIELDS | OWN_FIELDS
        assert prompt["id"] == prompt["threadId"] == prompt["requestMessageId"]
        assert (prompt["status"], prompt["lastRun"]) == ("scheduled", "0001-01-01T00:00:00Z")
        assert prompt["createdAt"] == "2025-06-15T15:06:40.000Z"
        assert (prompt["prompt"], prompt["maxRetries"]) == ("What's a banana?", 5)
        assert client.world.accepted.turns == [(prompt["id"], 1)]

    def test_waits_for_the_answer_if_asked_to(self, client: Client) -> None:
        client.start(client.work_after(0.5))
        reply = client.call("POST", PROMPT, {"id": "p", "prompt": "hello", "sync": True})
        assert (reply.status, reply.json["answer"]) == (200, "An answer.")
        prompt, message = reply.json["prompt"], reply.json["responseMessage"]
        assert (prompt["status"], prompt["runCount"], prompt["sync"]) == ("completed", 1, True)
        assert prompt["attempts"] == [
            {
                "number": 1,
                "startedAt": "2025-06-15T15:06:40.500Z",
                "endedAt": "2025-06-15T15:06:40.500Z",
                "outcome": "completed",
                "reason": "",
                "usage": {"promptTokens": 3, "completionTokens": 5},
            }
        ]
        assert message["id"] == prompt["responseMessageId"]
        assert message["content"] == message["text"] == "An answer."
        assert "userId" not in message

    def test_tells_where_to_wait_on_when_the_budget_is_used_up(self, client: Client) -> None:
        reply = client.call("POST", PROMPT, {"id": "a:b", "prompt": "hello", "sync": True})
        assert (reply.status, reply.json["answer"]) == (202, "")
        assert reply.json["prompt"]["status"] == "scheduled"
        assert reply.headers["location"] == f"{PROMPT}/a%3Ab"
        assert reply.headers["retry-after"] == "1"
        assert client.world.clock.monotonic() == pytest.approx(25, abs=1)
        client.drain()
        assert client.call("GET", reply.headers["location"]).json["answer"] == "An answer."

    def test_answers_200_for_an_end_without_an_answer(self, client: Client) -> None:
        client.world.provider.scripts.append([Fail("status_400", retryable=False)])
        client.start(client.work_after(0.5))
        reply = client.call("POST", PROMPT, {"prompt": "hello", "sync": True})
        assert (reply.status, reply.json["answer"]) == (200, "")
        prompt = reply.json["prompt"]
        assert (prompt["status"], prompt["errorCode"]) == ("abandoned", "status_400")
        assert prompt["error"] == "words of the provider"

    def test_runs_nothing_twice_for_the_same_submission(self, client: Client) -> None:
        body = {"id": "p", "prompt": "hello", "threadId": "t"}
        first = client.call("POST", PROMPT, body)
        again = client.call("POST", PROMPT, {**body, "sync": False})
        assert first.json == again.json
        client.drain()
        late = client.call("POST", PROMPT, body)
        assert (late.status, late.json["answer"]) == (200, "An answer.")
        client.drain()
        assert len(client.world.provider.requests) == 1

    def test_takes_the_template_of_either_contract(self, client: Client) -> None:
        old = client.add("old", template="<{prompt}>")
        new = client.add("new", parameters={"textToText": {"template": "({prompt})"}})
        assert (old["template"], new["template"]) == ("<{prompt}>", "({prompt})")
        assert new["parameters"] == {"textToText": {"template": "({prompt})"}}
        client.drain()
        assert [r.completion for r in client.world.provider.requests] == ["<ask old>", "(ask new)"]

    def test_ignores_unknown_fields_and_takes_null_for_absent(self, client: Client) -> None:
        body = {"prompt": "hello", "engineParameters": {"x": 1}, "id": None, "template": None}
        assert client.call("POST", PROMPT, body).status == 200

    @pytest.mark.parametrize("path", [PROMPT, f"{PROMPT}/"])
    @pytest.mark.parametrize("authorization", ["user-key", "Bearer user-key", "Token user-key"])
    def test_takes_the_key_as_each_client_sends_it(
        self, client: Client, path: str, authorization: str
    ) -> None:
        headers = {"Authorization": authorization}
        assert client.call("POST", path, {"prompt": "x"}, key="", headers=headers).status == 200

    @pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded", ""])
    def test_takes_json_whatever_its_type_is_said_to_be(self, client: Client, kind: str) -> None:
        headers = {"content-type": kind}
        assert client.call("POST", PROMPT, {"prompt": "x"}, headers=headers).status == 200

    def test_takes_base64_and_gzip(self, client: Client) -> None:
        body = json.dumps({"prompt": "grüße"}, ensure_ascii=False).encode()
        plain = client.call("POST", PROMPT, body)
        zipped = client.call(
            "POST", PROMPT, gzip.compress(body), headers={"Content-Encoding": "gzip"}
        )
        assert plain.json["prompt"]["prompt"] == zipped.json["prompt"]["prompt"] == "grüße"

    @pytest.mark.parametrize(
        ("error", "code"),
        [(Busy("the table is busy"), "busy"), (Unavailable("no answer"), "unavailable")],
    )
    def test_asks_to_come_back_when_the_table_is_busy(
        self, client: Client, error: Exception, code: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def resolve(*_: object) -> None:
            raise error

        monkeypatch.setattr(client.world.models, "resolve", resolve)
        reply = client.call("POST", PROMPT, {"prompt": "hello"})
        assert (reply.status, reply.json) == (503, {"error": str(error), "code": code})
        assert reply.headers["retry-after"] == "1"


class TestGet:
    def test_shows_how_many_are_ahead(self, client: Client) -> None:
        client.add("first")
        client.add("second")
        reply = client.call("GET", f"{PROMPT}/second")
        assert reply.json["prompt"] | {"ahead": 1, "turn": 2} == reply.json["prompt"]
        assert set(reply.json["prompt"]) == CONTRACT_FIELDS | OWN_FIELDS | {"ahead"}

    def test_waits_no_longer_than_asked_and_no_longer_than_25_seconds(self, client: Client) -> None:
        client.add("p")
        assert client.call("GET", f"{PROMPT}/p?wait=1.5").json["prompt"]["status"] == "scheduled"
        assert client.world.clock.monotonic() == pytest.approx(1.5)
        assert client.call("GET", f"{PROMPT}/p?wait=9000").status == 200
        assert client.world.clock.monotonic() == pytest.approx(26.5)
        client.start(client.work_after(2))
        reply = client.call("GET", f"{PROMPT}/p?wait=25")
        assert reply.json["answer"] == "An answer."
        assert client.world.clock.monotonic() < 30

    @pytest.mark.parametrize("wait", ["nan", "", "1,2", "-inf"])
    def test_refuses_a_wait_that_is_no_number(self, client: Client, wait: str) -> None:
        client.add("p")
        assert client.call("GET", f"{PROMPT}/p?wait={wait}").status == 400

    @pytest.mark.parametrize("path", ["a:b.c-d_E", "a%3Ab.c-d_E", "a%3ab%2Ec%2Dd_E/"])
    def test_finds_an_id_however_it_is_encoded(self, client: Client, path: str) -> None:
        client.add("a:b.c-d_E")
        assert client.call("GET", f"{PROMPT}/{path}").status == 200

    def test_shows_an_admin_the_prompt_without_its_owners_words(self, client: Client) -> None:
        client.world.provider.scripts.append([Fail("status_400", retryable=False)])
        client.add("failed", template="T{prompt}")
        client.add("fine", "other")
        client.drain()
        failed = client.call("GET", f"{PROMPT}/failed", key="admin-key").json["prompt"]
        assert (failed["status"], failed["errorCode"]) == ("abandoned", "status_400")
        assert failed["prompt"] == failed["template"] == failed["error"] == ""
        fine = client.call("GET", f"{PROMPT}/fine", key="admin-key").json
        assert (fine["answer"], "responseMessage" in fine) == ("", False)
        assert fine["prompt"]["responseMessageId"] == "msg_fine.1"

    def test_says_when_the_next_attempt_is(self, client: Client) -> None:
        client.world.provider.scripts.append([Fail()])
        client.add("p")
        client.run(client.work_after(0))
        prompt = client.call("GET", f"{PROMPT}/p").json["prompt"]
        assert (prompt["status"], prompt["nextAttemptAt"]) == (
            "errored",
            "2025-06-15T15:06:41.000Z",
        )


class TestCancelRetryRemove:
    def test_cancels_what_waits_and_retries_it_at_the_tail(self, client: Client) -> None:
        client.add("p")
        canceled = client.call("POST", f"{PROMPT}/p/cancel")
        assert (canceled.status, canceled.json["prompt"]["status"]) == (200, "canceled")
        retried = client.call("POST", f"{PROMPT}/p/retry").json["prompt"]
        assert (retried["status"], retried["turn"], retried["prompt"]) == ("scheduled", 2, "ask p")

    def test_answers_202_while_the_attempt_is_still_running(self, client: Client) -> None:
        client.world.provider.scripts.append([Say("some "), SILENT])
        client.add("p")
        task = client.start(client.work_after(0))
        client.run(client.world.clock.sleep(0.5))
        asked = client.world.prompt("p")
        task.cancel()  # the runner dies: nobody is left to cancel it
        reply = client.call("POST", f"{PROMPT}/p/cancel")
        assert asked.status == "running"
        assert (reply.status, reply.json["prompt"]["cancelRequested"]) == (202, True)
        assert reply.headers["location"] == f"{PROMPT}/p"

    def test_keeps_what_there_was_of_a_canceled_answer(self, client: Client) -> None:
        client.world.provider.scripts.append([Say("some "), SILENT])
        client.add("p")
        client.start(client.work_after(0))
        client.run(client.world.clock.sleep(0.5))
        reply = client.call("POST", f"{PROMPT}/p/cancel")
        assert (reply.status, reply.json["prompt"]["status"]) == (200, "canceled")
        assert (reply.json["answer"], reply.json["responseMessage"]["text"]) == ("", "some ")
        assert reply.json["responseMessage"]["partial"] is True

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("POST", "/prompt-svc/remove", {"promptId": "p"}),
            ("DELETE", f"{PROMPT}/p", {"promptId": "p"}),
            ("DELETE", f"{PROMPT}/p", None),
        ],
    )
    def test_removes_as_the_client_and_as_the_cli_ask(
        self, client: Client, method: str, path: str, body: Any
    ) -> None:
        client.add("p")
        reply = client.call(method, path, body)
        assert (reply.status, reply.json) == (200, {})
        assert client.call("GET", f"{PROMPT}/p").status == 404
        assert client.call(method, path, body).status == 404


class TestList:
    def test_finds_the_running_and_the_scheduled_by_default(self, client: Client) -> None:
        for body in (None, {}, {"query": {}}, {"query": None}):
            assert client.call("POST", LIST, body).json == {"prompts": [], "count": 0}
        client.add("done")
        client.drain()
        client.add("waiting")
        assert ids(client.call("POST", LIST).json) == ["waiting"]
        assert ids(listed(client, filters=[statuses("completed")])) == ["done"]
        assert ids(listed(client, filters=[statuses()])) == []

    def test_pages_with_an_opaque_cursor_in_either_order(self, client: Client) -> None:
        for number in range(5):
            client.add(f"p{number}", f"t{number}")
            client.world.clock.skip(1)
        for names in (("jsonAfter", False), ("afterJson", True)):
            cursor, desc = names
            order = [{"field": "createdAt", "desc": desc}]
            seen: list[str] = []
            after: dict[str, str] = {}
            while True:
                page = listed(client, limit=2, orderBys=order, count=True, **after)
                assert page["count"] == 5
                seen += ids(page)
                if "after" not in page:
                    break
                after = {cursor: json.dumps([page["after"]])}
            assert seen == sorted(seen, reverse=desc)
            assert len(seen) == 5

    def test_filters_by_each_field_and_joins_filters(self, client: Client) -> None:
        client.add("a", "t1")
        client.add("b", "t1", modelId="model")
        client.add("c", "t2")

        def found(*filters: tuple[str, str, list[Any]]) -> list[str]:
            wanted = [
                {"fields": [field], "op": op, "valuesJson": json.dumps(values)}
                for field, op, values in filters
            ]
            return ids(listed(client, filters=wanted))

        assert found(("id", "equals", ["c"])) == ["c"]
        assert found(("id", "isInList", [["c", "a"]])) == ["a", "c"]
        assert found(("id", "isInList", ["c", "a", "none"])) == ["a", "c"]
        assert found(("threadId", "equals", ["t1"])) == ["a", "b"]
        assert found(("modelId", "equals", ["model"])) == ["b"]
        assert found(("threadId", "equals", ["t1"]), ("id", "isInList", ["b", "c"])) == ["b"]
        assert found(("id", "equals", ["a"]), ("id", "equals", ["b"])) == []
        assert found(("status", "equals", ["scheduled"])) == ["a", "b", "c"]

    def test_shows_users_their_own_and_admins_the_account_without_its_words(
        self, client: Client
    ) -> None:
        client.add("mine", "t1")
        client.add("theirs", "t2", key="other-user-key")
        client.add("foreign", "t3", key="stranger-key")
        assert ids(listed(client)) == ["mine"]
        seen = listed(client, key="admin-key")
        assert ids(seen) == ["mine", "theirs"]
        assert [prompt["prompt"] for prompt in seen["prompts"]] == ["", ""]
        assert [prompt["userId"] for prompt in seen["prompts"]] == ["usr_1", "usr_2"]

    def test_cuts_a_page_that_would_not_fit_into_an_answer(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shapes, "PAGE_CHARACTERS", 1000)
        for number in range(8):
            client.add(f"p{number}", f"t{number}", prompt="x" * 300)
            client.world.clock.skip(1)
        page = listed(client, limit=8)
        assert ids(page) == ["p0", "p1"]
        rest = listed(client, limit=8, jsonAfter=json.dumps([page["after"]]))
        assert ids(rest)[0] == "p2"


def events_of(reply: Reply) -> list[dict[str, Any]]:
    """The events as a strict client of server-sent events reads them."""
    events = []
    for block in reply.text.removesuffix("\n\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        events.append({**fields, "data": json.loads(fields.get("data", "null"))})
    return events


class TestStream:
    PATH = f"{LIST}/t/responses/subscribe"

    def test_with_nothing_unfinished_it_answers_at_once(self, client: Client) -> None:
        reply = client.call("GET", self.PATH)
        assert reply.text == "id: 1.0.0\nretry: 10000\n\n"
        assert reply.headers["content-type"] == "text/event-stream"
        assert client.world.clock.monotonic() == 0

    def test_carries_both_chunk_shapes_and_ends(self, client: Client) -> None:
        client.add("p")
        client.start(client.work_after(1))
        reply = client.call("GET", self.PATH)
        progress, done, end = events_of(reply)
        assert progress["id"] == "1.1.10"
        assert progress["data"] == {
            "id": "cmpl-p",
            "object": "text_completion",
            "created": 1750000001,
            "choices": [{"text": "An answer."}],
            "usage": {},
            "text": "An answer.",
            "type": "progress",
            "promptId": "p",
        }
        assert done["data"]["choices"] == [{"finish_reason": "stop"}]
        assert (done["data"]["type"], done["data"]["messageId"]) == ("done", "msg_p.1")
        assert end == {"id": done["id"], "retry": "10000", "data": None}

    def test_every_line_with_data_is_whole_for_clients_that_split_lines(
        self, client: Client
    ) -> None:
        client.world.provider.scripts.append([Say("a\n\nb\r\u2028\x85c"), End()])
        client.add("p")
        client.start(client.work_after(1))
        lines = client.call("GET", self.PATH).text.splitlines()
        chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
        assert chunks[0]["choices"][0]["text"] == "a\n\nb\r\u2028\x85c"

    def test_resumes_without_loss_or_repetition(self, client: Client) -> None:
        client.add("p")
        client.add("q")
        client.start(client.work_after(1))
        client.start(client.work_after(2))
        text, last = "", ""
        for _ in range(6):
            reply = client.call("GET", self.PATH, headers={"Last-Event-ID": last} if last else {})
            events = events_of(reply)
            text += "".join(event["data"]["text"] for event in events if event["data"])
            last = events[-1]["id"]
            if events[-1]["retry"] == "10000":
                break
        assert text == "An answer.An answer."
        assert last == "3.0.0"

    @pytest.mark.parametrize(
        ("script", "end"), [([Fail("x", retryable=False)], "abandoned"), ([SILENT], "canceled")]
    )
    def test_says_so_when_there_is_no_whole_answer(
        self, client: Client, script: Any, end: str
    ) -> None:
        client.world.provider.scripts.append(script)
        client.add("p")
        client.start(client.work_after(0))
        client.run(client.world.clock.sleep(0.5))
        if end == "canceled":
            client.call("POST", f"{PROMPT}/p/cancel")
        reply = client.call("GET", self.PATH, headers={"last-event-id": "1.0.0"})
        data = events_of(reply)[-2]["data"]
        assert (data["type"], data["choices"]) == (end, [{"finish_reason": end}])

    def test_a_body_that_would_not_fit_is_cut_between_events(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("parley.wire.sse.BODY_BYTES", 600)
        for number in range(5):
            client.add(f"p{number}")
        client.drain()
        texts, last, calls = "", "1.0.0", 0
        while last != "6.0.0":
            events = events_of(client.call("GET", self.PATH, headers={"last-event-id": last}))
            texts += "".join(event["data"]["text"] for event in events if event["data"])
            last = events[-1]["id"]
            calls += 1
        assert texts == "An answer." * 5
        assert calls > 2
