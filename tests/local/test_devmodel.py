"""The development model, as its clients and the tests of others rely on it."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from local.devmodel import answers
from local.devmodel.server import application, serving

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "required": ["city", "days", "unit", "exact"],
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer"},
                "unit": {"type": "string", "enum": ["C", "F"]},
                "exact": {"type": "boolean"},
                "unneeded": {"type": "string"},
            },
        },
    },
}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with client() as session:
        await told(session, chunk_ms=0)
        yield session


@asynccontextmanager
async def client(api_key: str = "") -> AsyncIterator[aiohttp.ClientSession]:
    async with (
        serving(application(api_key), "127.0.0.1", 0) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        yield session


async def told(http: aiohttp.ClientSession, **rule: Any) -> dict[str, Any]:
    async with http.post("/_control", json=rule) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def shown(http: aiohttp.ClientSession, match: str = "") -> dict[str, Any]:
    async with http.get("/_control", params={"match": match}) as response:
        return await response.json()


async def until_state(http: aiohttp.ClientSession, state: str) -> None:
    async with asyncio.timeout(30):
        while True:
            if [call["state"] for call in (await shown(http))["calls"]][-1:] == [state]:
                return
            await asyncio.sleep(0.01)


def chat(text: str = "What's a banana?", **more: Any) -> dict[str, Any]:
    return {"model": "parley-dev", "messages": [{"role": "user", "content": text}], **more}


async def post(http: aiohttp.ClientSession, body: dict[str, Any], path: str = "chat/") -> Any:
    async with http.post(f"/v1/{path}completions", json=body) as response:
        return response.status, await response.json()


async def streamed(
    http: aiohttp.ClientSession, body: dict[str, Any], path: str = "chat/"
) -> list[Any]:
    """The events of a stream, `[DONE]` as it is."""
    async with http.post(f"/v1/{path}completions", json=body | {"stream": True}) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        text = await response.text()
    datas = [event.removeprefix("data: ") for event in text.split("\n\n") if event]
    return [data if data == "[DONE]" else json.loads(data) for data in datas]


def texts(events: list[Any]) -> list[str]:
    choices = [event["choices"][0] for event in events[:-1] if event["choices"]]
    return [
        choice["delta"].get("content", "") if "delta" in choice else choice["text"]
        for choice in choices
    ]


class TestAnswers:
    async def test_whole_and_streamed_say_the_same_each_time(self, http):
        _, whole = await post(http, chat())
        said = whole["choices"][0]["message"]["content"]
        assert said.startswith("I am Parley's development model")
        assert "You asked: “What's a banana?”" in said
        for _ in range(2):
            pieces = texts(await streamed(http, chat()))
            assert "".join(pieces) == said
            assert len(pieces) > 36
        assert whole["choices"][0]["finish_reason"] == "stop"

    async def test_completions_say_the_same_whole_and_streamed(self, http):
        body = {"model": "m", "prompt": "[INST] banana"}
        _, whole = await post(http, body, "")
        assert whole["object"] == "text_completion"
        assert "“[INST] banana”" in whole["choices"][0]["text"]
        pieces = texts(await streamed(http, body, ""))
        assert "".join(pieces) == whole["choices"][0]["text"]

    async def test_usage_comes_last_if_asked_for(self, http):
        events = await streamed(http, chat(stream_options={"include_usage": True}))
        finish, usage, done = events[-3:]
        assert finish["choices"][0]["finish_reason"] == "stop"
        assert usage["choices"] == []
        assert usage["usage"] == (await post(http, chat()))[1]["usage"]
        assert usage["usage"]["prompt_tokens"] == 4
        assert done == "[DONE]"
        assert all("usage" not in event for event in (await streamed(http, chat()))[:-1])

    @pytest.mark.parametrize("text", ["a b  c", "  lead trail  ", "x", "", "a\n\nb\nc d", " "])
    def test_chunks_make_up_the_text(self, text):
        assert "".join(answers.words(text)) == text

    def test_a_question_in_parts_is_read(self):
        parts = [{"type": "text", "text": "what "}, {"type": "text", "text": "now"}]
        assert answers.question({"messages": [{"role": "user", "content": parts}]}) == "what now"

    async def test_models_are_listed(self, http):
        async with http.get("/v1/models") as response:
            assert "parley-dev" in [model["id"] for model in (await response.json())["data"]]

    @pytest.mark.parametrize("body", [b"{", b"[]", b"{}"])
    async def test_a_bad_body_is_refused(self, http, body):
        async with http.post("/v1/chat/completions", data=body) as response:
            assert response.status == 400
            assert (await response.json())["error"]["type"] == "invalid_request_error"


class TestTools:
    async def test_a_tool_that_the_text_names_is_called(self, http):
        _, whole = await post(http, chat("Please use get_weather now", tools=[TOOL]))
        choice = whole["choices"][0]
        assert choice["finish_reason"] == "tool_calls"
        (call,) = choice["message"]["tool_calls"]
        assert call["function"]["name"] == "get_weather"
        assert json.loads(call["function"]["arguments"]) == {
            "city": "Please use get_weather now",
            "days": 1,
            "unit": "C",
            "exact": True,
        }

    async def test_arguments_can_be_given_in_the_text(self, http):
        text = 'get_weather {"city": "Oslo"} please'
        events = await streamed(http, chat(text, tools=[TOOL]))
        deltas = [event["choices"][0]["delta"] for event in events[:-2]]
        calls = [call for delta in deltas for call in delta["tool_calls"]]
        assert calls[0]["id"]
        arguments = "".join(call["function"]["arguments"] for call in calls)
        assert json.loads(arguments) == {"city": "Oslo"}
        assert events[-2]["choices"][0]["finish_reason"] == "tool_calls"

    @pytest.mark.parametrize(
        ("text", "more", "called"),
        [
            ("hello", {}, False),
            ("get_weather", {"tool_choice": "none"}, False),
            ("get_weathers", {}, False),
            ("hello", {"tool_choice": "required"}, True),
            (
                "hello",
                {"tool_choice": {"type": "function", "function": {"name": "get_weather"}}},
                True,
            ),
        ],
    )
    async def test_when_a_tool_is_called(self, http, text, more, called):
        _, whole = await post(http, chat(text, tools=[TOOL], **more))
        assert ("tool_calls" in whole["choices"][0]["message"]) is called

    @pytest.mark.parametrize(
        ("text", "arguments"),
        [
            ("What is the weather in San José, CA?", {"location": "San José, CA"}),
            ("The Weather!", {"location": "The Weather!"}),
            ("How is it in Oslo?", None),
        ],
    )
    async def test_a_question_about_a_tool_calls_it(self, http, text, arguments):
        schema = {"required": ["location"], "properties": {"location": {"type": "string"}}}
        tool = {"function": {"name": "get_current_weather", "parameters": schema}}
        _, whole = await post(http, chat(text, tools=[tool]))
        calls = whole["choices"][0]["message"].get("tool_calls", [])
        assert [json.loads(call["function"]["arguments"]) for call in calls] == (
            [] if arguments is None else [arguments]
        )

    async def test_a_value_that_an_argument_may_have_calls_its_tool_with_it(self, http):
        keys = {"type": "string", "enum": ["courses", "paths"]}
        schema = {"required": ["key"], "properties": {"key": keys}}
        tool = {"function": {"name": "plugin_1", "parameters": schema}}
        _, whole = await post(http, chat("Which paths are there?", tools=[tool]))
        (call,) = whole["choices"][0]["message"]["tool_calls"]
        assert json.loads(call["function"]["arguments"]) == {"key": "paths"}

    async def test_a_told_answer_can_come_after_the_tools(self, http):
        await told(http, match="weather", answer="Sunny.", after_tools=True)
        _, whole = await post(http, chat("get_weather", tools=[TOOL]))
        assert whole["choices"][0]["message"]["tool_calls"]
        _, whole = await post(http, chat("get_weather"))
        assert whole["choices"][0]["message"]["content"] == "Sunny."

    async def test_the_result_of_a_tool_ends_up_in_the_answer(self, http):
        body = chat("get_weather", tools=[TOOL])
        body["messages"] += [
            {"role": "assistant", "tool_calls": [{"id": "call_1"}], "content": None},
            {"role": "tool", "tool_call_id": "call_1", "content": "sunny, 21 °C"},
        ]
        _, whole = await post(http, body)
        assert "sunny, 21 °C" in whole["choices"][0]["message"]["content"]
        assert whole["choices"][0]["finish_reason"] == "stop"


class TestControl:
    async def test_failures_are_counted_down(self, http):
        await told(http, fail={"status": 503, "count": 2, "retry_after": 7})
        statuses = [(await post(http, chat()))[0] for _ in range(3)]
        assert statuses == [503, 503, 200]
        states = [(call["state"], call["status"]) for call in (await shown(http))["calls"]]
        assert states == [("failed", 503), ("failed", 503), ("completed", 200)]

    async def test_rules_with_a_match_do_not_disturb_other_calls(self, http):
        await told(http, match="alpha", fail={"status": 429})
        await told(http, match="beta", answer="for beta")
        assert (await post(http, chat("about alpha")))[0] == 429
        _, whole = await post(http, chat("about beta"))
        assert whole["choices"][0]["message"]["content"] == "for beta"
        _, whole = await post(http, chat("about gamma"))
        assert "development model" in whole["choices"][0]["message"]["content"]
        assert [call["text"] for call in (await shown(http, "alpha"))["calls"]] == ["about alpha"]

    async def test_told_twice_is_merged_and_null_takes_back(self, http):
        await told(http, match="a", answer="one", delay_ms=1)
        state = await told(http, match="a", delay_ms=None)
        assert state["rules"][1] == {"match": "a", "answer": "one"}
        async with http.delete("/_control", params={"match": "a"}) as response:
            assert [rule["match"] for rule in (await response.json())["rules"]] == [""]

    async def test_a_longer_match_wins(self, http):
        await told(http, match="banana split", answer="long")
        await told(http, match="banana", answer="short")
        _, whole = await post(http, chat("a banana split"))
        assert whole["choices"][0]["message"]["content"] == "long"

    async def test_reset_forgets_rules_and_calls(self, http):
        await told(http, fail={"status": 500})
        await post(http, chat())
        async with http.delete("/_control") as response:
            assert await response.json() == {"rules": [], "calls": []}
        assert (await post(http, chat()))[0] == 200

    @pytest.mark.parametrize("rule", [{"dleay_ms": 1}, {"delay_ms": -1}, {"fail": {}}, []])
    async def test_what_it_does_not_understand_is_refused(self, http, rule):
        async with http.post("/_control", json=rule) as response:
            assert response.status == 400
            assert "stall_after" in (await response.json())["error"]["message"]

    async def test_a_stalled_call_goes_on_when_it_is_let(self, http):
        await told(http, match="slow", stall_after=2)
        reading = asyncio.create_task(streamed(http, chat("slow")))
        async with asyncio.timeout(30):
            while True:
                if [call["chunks"] for call in (await shown(http))["calls"]] == [2]:
                    break
                await asyncio.sleep(0.01)
        await told(http, match="slow", stall_after=None)
        assert (await reading)[-1] == "[DONE]"
        assert (await shown(http))["calls"][0]["state"] == "completed"

    async def test_a_client_that_goes_is_noticed(self, http):
        await told(http, stall_after=2)
        async with http.post("/v1/chat/completions", json=chat(stream=True)) as response:
            await response.content.readline()
            assert (await shown(http))["calls"][0]["state"] == "open"
            response.close()
        await until_state(http, "disconnected")

    async def test_a_cut_stream_ends_without_reason_and_done(self, http):
        await told(http, cut_after=3)
        events = await streamed(http, chat())
        assert len(events) == 3
        assert all(event["choices"][0]["finish_reason"] is None for event in events)
        assert (await shown(http))["calls"][0]["state"] == "failed"

    async def test_a_reset_stream_breaks_the_connection(self, http):
        await told(http, reset_after=3)
        with pytest.raises(aiohttp.ClientError):
            await streamed(http, chat())

    async def test_the_log_keeps_the_last_200_and_their_numbers(self, http):
        await told(http, answer="")
        for _ in range(203):
            await post(http, chat())
        calls = (await shown(http))["calls"]
        assert [calls[0]["no"], calls[-1]["no"], len(calls)] == [4, 203, 200]


async def test_with_an_api_key_callers_without_it_are_refused():
    async with client("sk-dev") as http:
        assert (await post(http, chat()))[0] == 401
        async with http.get("/v1/models", headers={"Authorization": "Bearer sk-dev"}) as response:
            assert response.status == 200


async def test_it_runs_as_a_program_and_stops_when_told():
    arguments = ["-m", "local.devmodel", "--port", "0"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    url = (await process.stdout.readline()).decode().split()[-1]
    async with aiohttp.ClientSession() as session, session.get(f"{url}/models") as response:
        assert response.status == 200
    process.terminate()
    assert await process.wait() == 0
