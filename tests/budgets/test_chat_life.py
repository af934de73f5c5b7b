"""What a chat costs, counted: config, and what a turn adds to what a prompt costs anyway."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from parley.adapters.dynamodb_expressions import encoded_item
from parley.adapters.dynamodb_items import thread_item
from parley.adapters.dynamodb_messages import message_item
from parley.core.resource import Kind, Resource
from parley.core.session import opened, session_id
from parley.core.thread import QUESTION, Message, Role, ToolCall

from tests.budgets.families import CLIENT, FAMILIES, HOST, SESSION_KEY, Family
from tests.budgets.meter import Bill, clients
from tests.budgets.test_prompt_life import RUNNER_CALLS
from tests.budgets.world import ACCOUNT, TABLE, TEXT, World, finished_turn
from tests.budgets.world import world as a_world
from tests.fakes.provider import Ask, Say

CHAT_ADDS = 3
READS = {"get_item", "batch_get_item", "query"}
PLAIN_ACCEPT = ("query", "transact_write_items", "send_message")
RUNNING = {"query": 5, "batch_get_item": 1, "update_item": 1, "transact_write_items": 1}
# Turns, and the text of question and of answer.
HISTORIES = {
    "one turn": (1, TEXT),
    "500 turns": (500, TEXT),
    "60 turns of long texts": (60, "語" * 7000),
}
RESOURCE = Resource(
    ACCOUNT, Kind.LLM_CLIENT, "stackademy", 1, 1, spec={"config": {"deployed": True}}
)
PLUGIN = Resource(
    ACCOUNT,
    Kind.PLUGIN,
    "courses",
    1,
    1,
    spec={
        "selector": {"directive": "always"},
        "prompt": {"systemRole": "You know the courses."},
        "data": {"description": "Courses", "staticData": {"ai": "An introduction"}},
    },
)


def rounds(turn: int) -> Message:
    """A round of tool calls in a turn, with a result of some length."""
    call = ToolCall("c", "calculator", '{"expression":"1+1"}', "x" * 400, "ok", 3)
    id_ = f"prom_{turn:024d}.1"
    place = (ACCOUNT, "", turn, QUESTION + 1, id_)
    return Message(*place, Role.TOOL, "", 1, 1, calls=(call,))


def fill(turns: int, key: str = SESSION_KEY, text: str = TEXT) -> None:
    """A session with so many finished turns, a round of calls in every tenth."""
    id_ = session_id(key)
    thread = replace(opened(key, CLIENT, 1), next_turn=turns + 1, expires_at=0)
    items = [encoded_item(thread_item(thread))]
    for turn in range(1, turns + 1):
        said: Sequence[Message] = finished_turn(id_, turn, text)
        called = [replace(rounds(turn), thread_id=id_)] if turn % 10 == 0 else []
        items += [encoded_item(message_item(message)) for message in (*said, *called)]
    dynamodb, *_ = clients()
    for start in range(0, len(items), 25):
        puts = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
        dynamodb.batch_write_item(RequestItems={TABLE: puts})


# What happens in a chat → calls, write units, read units; docs/performance.md shows them.
FIGURES: dict[str, tuple[int, int, float]] = {
    "config of a new session": (2, 4, 1),
    "config, turn 2": (3, 0, 3),
    "config, turn 500": (3, 0, 25),
    "a chat turn, turn 2": (13, 23, 9),
    "a chat turn, turn 500": (13, 23, 17),
    "the same, the llm_client remembered": (11, 23, 6),
    "the same, with a round of tool calls": (11, 25, 6),
}


@pytest.fixture
def chatting(warm: World) -> World:
    """An account with an llm_client; keys and models are remembered, the llm_client is not."""
    add(warm, RESOURCE)
    return warm


def add(world: World, *resources: Resource) -> None:
    for resource in resources:
        asyncio.run(world.parts.resources.add(resource))


def describe(world: World, **spec: Any) -> None:
    """Give the llm_client something more."""
    store = world.parts.resources
    client = asyncio.run(store.resource(ACCOUNT, Kind.LLM_CLIENT, "stackademy"))
    assert client is not None
    asyncio.run(store.replace(replace(client, spec=client.spec | spec)))


def said(world: World, path: str, **body: Any) -> dict[str, Any]:
    """A call of the llm_client's own host; what its answer has as `data`."""
    answer = world.call(path, {"session_key": SESSION_KEY, **body}, {"host": HOST})
    assert answer["statusCode"] == 200, answer
    data: dict[str, Any] = json.loads(answer["body"])["data"]
    return data


def chatted(world: World, after: str = "msg_1") -> tuple[Bill, Bill]:
    """The bills of accepting a turn of the session, and of running it."""
    last = {"role": "assistant", "content": "…", "id": after}
    messages = [last, {"role": "user", "content": TEXT}]
    with world.meter.bill() as accepting:
        data = said(world, "/chat/", messages=messages, wait=0)
    id_ = json.loads(data["body"])["smarter"]["prompt"]["id"]
    prompt = asyncio.run(world.parts.prompts.prompt(ACCOUNT, id_))
    assert prompt is not None
    with world.meter.bill() as running:
        asyncio.run(world.run(prompt))
    return accepting, running


@pytest.mark.parametrize(("turns", "text"), HISTORIES.values(), ids=HISTORIES)
@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_config_reads_as_often_at_every_address_whatever_the_history(
    chatting: World, family: Family, turns: int, text: str
) -> None:
    """From a cold start: no key is remembered, nor who made it, nor the llm_client."""
    caller = family.arranged(chatting)
    fill(turns, caller.session_key, text)
    with chatting.meter.bill() as bill:
        data = caller.asked(chatting.cold())
    items = data["history"]["chat_history"] if "history" in data else data["messages"]
    assert len(items) >= min(2 * turns, 10)
    assert len([name for name in bill.operations if name in READS]) == family.reads
    assert [name for name in bill.operations if name not in READS] == list(family.writes)


@pytest.mark.parametrize("name", [name for name, one in FAMILIES.items() if one.method == "POST"])
def test_config_of_a_session_without_turns_may_read_what_the_model_is_called(
    chatting: World, name: str
) -> None:
    caller = replace(FAMILIES[name].arranged(chatting), session_key="")
    with chatting.meter.bill() as bill:
        data = caller.asked(chatting.cold())
    assert data["chatbot"]["default_model"] == "default"
    assert len([name for name in bill.operations if name in READS]) <= 4


@pytest.mark.parametrize(("turns", "text"), HISTORIES.values(), ids=HISTORIES)
def test_older_turns_are_read_in_one_query_each_page(
    chatting: World, turns: int, text: str
) -> None:
    """The llm_client, the thread, its messages: a page is smaller than what a query reads."""
    fill(turns, text=text)
    after, seen = "", 0
    for _ in range(turns):
        path = f"/chat/?session_key={SESSION_KEY}&after={after}"
        with chatting.meter.bill() as bill:
            answer = chatting.cold().call(path, {}, {"host": HOST}, "GET")
        assert len(bill.calls) <= 3
        data = json.loads(answer["body"])["data"]
        after, seen = data["after"], seen + len([one for one in data["messages"] if one["turn"]])
        if not after:
            break
    assert seen == 2 * turns


@pytest.mark.parametrize("turns", [1, 2, 500])
def test_config_has_the_newest_turns(chatting: World, turns: int) -> None:
    fill(turns)
    data = said(chatting, "/config/")
    assert not data["session_new"]
    assert len(data["history"]["chat_history"]) >= 2 * min(turns, 50)


def test_config_of_a_new_session_reads_the_llm_client_and_writes_the_session(
    chatting: World,
) -> None:
    with chatting.meter.bill() as bill:
        data = said(chatting, "/config/", session_key="")
    assert data["session_new"]
    assert bill.operations == ["get_item", "transact_write_items"]


@pytest.mark.parametrize("turns", [1, 499])
def test_a_turn_adds_two_calls_to_a_prompts(chatting: World, turns: int) -> None:
    """The same on turn 2 and on turn 500: only how much one call reads differs."""
    fill(turns)
    accepting, running = chatted(chatting)
    # The llm_client, and the turns of it and of the address in this minute.
    assert accepting.operations == [
        "get_item",
        "query",
        "update_item",
        "transact_write_items",
        "send_message",
    ]
    # Catalogue and llm_client are one read, in place of the catalogue's.
    assert running.by_operation == RUNNING
    assert added(accepting, running) <= CHAT_ADDS


def test_with_a_plugin_it_is_still_three_once_the_plugin_is_known(chatting: World) -> None:
    """A container that has met an llm_client reads its plugins along with it."""
    fill(1)
    add(chatting, PLUGIN)
    describe(chatting, plugins=["courses"])
    chatted(chatting)
    chatting.api.chats.clients.forget()
    chatting.runner.run.ports.setups.remembered.forget_all()
    accepting, running = chatted(chatting, "msg_2")
    assert chatting.provider.requests[-1].tools, "the plugin is not offered"
    assert running.by_operation == RUNNING
    assert added(accepting, running) <= CHAT_ADDS


def test_from_a_cold_start_it_is_three_with_a_plugin_too() -> None:
    """Nothing is remembered: a prompt reads its key and the catalogue where a chat does not."""
    with a_world() as world:
        asyncio.run(world.seed())
        with world.meter.bill() as plain:
            prompt = asyncio.run(world.accept())
            asyncio.run(world.run(prompt))
    with a_world() as world:
        asyncio.run(world.seed())
        fill(1)
        add(world, PLUGIN, RESOURCE)
        describe(world, plugins=["courses"])
        accepting, running = chatted(world)
    assert len(accepting.calls) + len(running.calls) <= len(plain.calls) + CHAT_ADDS


def test_a_round_of_tool_calls_costs_no_call(chatting: World) -> None:
    fill(1)
    describe(chatting, functions=["calculator"])
    asked = Ask((("calculator", '{"expression": "6*7"}'),))
    chatting.provider.scripts = [[Say("Let me see."), asked]]
    _, running = chatted(chatting)
    assert len(chatting.provider.requests[-1].messages) > 3
    assert running.by_operation == RUNNING


def added(accepting: Bill, running: Bill) -> int:
    """The calls beyond those of a plain prompt."""
    return len(accepting.calls) - len(PLAIN_ACCEPT) + len(running.calls) - RUNNER_CALLS


def bill_of(world: World, name: str) -> Bill:
    """What that costs."""
    fill(1 if "500" not in name else 499)
    if name.startswith("config"):
        with world.meter.bill() as bill:
            said(world, "/config/", session_key="" if "new" in name else SESSION_KEY)
        return bill
    if "round" in name:
        describe(world, functions=["calculator"])
    if "same" in name:
        chatted(world)
    if "round" in name:
        asked = Ask((("calculator", '{"expression": "6*7"}'),))
        world.provider.scripts = [[Say("Let me see."), asked]]
    accepting, running = chatted(world, "msg_2")
    return accepting + running


@pytest.mark.parametrize("name", FIGURES)
def test_what_a_chat_costs(chatting: World, name: str) -> None:
    assert bill_of(chatting, name).figures == FIGURES[name]
