"""Sessions and what chat counts, in DynamoDB: what expires, what is stored, who is overtaken."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from parley.adapters.dynamodb_expressions import decoded
from parley.core.errors import TurnTaken
from parley.core.thread import QUESTION, Message, Role, Thread, ToolCall
from parley.ports import Connection

from tests.conformance.material import (
    ACCOUNT,
    ANN,
    a_prompt,
    a_thread,
    accepted,
    answer_of,
    claimed,
    question_of,
)
from tests.conformance.stores import START, Stores, dynamo_stores, moto_client, new_table

NOW = START + 10_000
EXPIRES = START // 1000 + 86_400
SESSION = a_thread(
    "s1", created_by="s1", user_ids=("s1",), client="weather", intro=("Hi",), expires_at=EXPIRES
)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with moto_client() as made:
        yield made


@pytest.fixture
def table(client: Any) -> str:
    return new_table(client)


@pytest.fixture
def stores(client: Any, table: str) -> Stores:
    return dynamo_stores(client, table)


def raw(client: Any, table: str, pk: str, sk: str) -> dict[str, Any] | None:
    key = {"pk": {"S": pk}, "sk": {"S": sk}}
    item = client.get_item(TableName=table, Key=key).get("Item")
    return {name: decoded(value) for name, value in item.items()} if item else None


def thread_item(client: Any, table: str) -> dict[str, Any]:
    item = raw(client, table, f"{ACCOUNT}#T#s1", "o")
    assert item is not None
    return item


async def ask(stores: Stores, session: Thread = SESSION) -> None:
    prompt = a_prompt(thread_id="s1", user_id="s1", client="weather")
    advanced = replace(session, updated_at=NOW, minute=1, minute_turns=1)
    question = question_of(prompt)
    await stores.prompts.accept(prompt, question, None, NOW, 1000, advanced=advanced)


async def test_ttl_removes_a_session_until_its_first_turn(
    stores: Stores, client: Any, table: str
) -> None:
    await stores.threads.create_thread(SESSION)
    assert thread_item(client, table)["expires_at"] == EXPIRES

    await ask(stores)

    assert "expires_at" not in thread_item(client, table)


async def test_a_first_turn_that_ttl_overtakes_is_refused_whole(
    stores: Stores, client: Any, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # accept                               TTL
    # reads the session, alive
    #                                      a day is over: the item goes
    # takes turn 1                         <- refused, or a turn would be without its thread
    await stores.threads.create_thread(SESSION)
    transact = stores.prompts._table.transact  # type: ignore[attr-defined]

    async def overtaken(*arguments: Any, **named: Any) -> None:
        key = {"pk": {"S": f"{ACCOUNT}#T#s1"}, "sk": {"S": "o"}}
        client.delete_item(TableName=table, Key=key)
        await transact(*arguments, **named)

    monkeypatch.setattr(stores.prompts._table, "transact", overtaken)  # type: ignore[attr-defined]
    with pytest.raises(TurnTaken):
        await ask(stores)
    assert client.scan(TableName=table)["Items"] == []


async def test_a_first_turn_in_the_session_s_last_moment_keeps_it(stores: Stores) -> None:
    await stores.threads.create_thread(SESSION)
    stores.clock.ms = EXPIRES * 1000 - 1
    await ask(stores)
    stores.clock.ms += 1
    assert await stores.threads.thread(ACCOUNT, "s1") is not None
    assert await stores.threads.message(ACCOUNT, "s1", 1, QUESTION) is not None


async def test_a_session_stored_by_ttl_s_grace_is_no_entry_of_a_list(stores: Stores) -> None:
    """TTL deletes late: the index still names the session."""
    await stores.threads.create_thread(SESSION)
    stores.clock.ms = EXPIRES * 1000
    page = await stores.threads.sessions(ACCOUNT, "", 10, "")
    assert (list(page.items), page.after) == ([], "")


async def test_a_round_is_one_item_in_no_index(stores: Stores, client: Any, table: str) -> None:
    running = await claimed(stores, await accepted(stores, a_prompt()))
    calls = (ToolCall("c1", "f", "{}", "1", "ok", 5), ToolCall("c2", "g", ""))
    place = (ACCOUNT, "t1", 1, QUESTION + 1)
    round_ = Message(*place, "r1", Role.TOOL, "", NOW, NOW, calls=calls)
    await stores.prompts.finish(running, NOW, answer_of(running), None, [round_])

    item = raw(client, table, f"{ACCOUNT}#T#t1", "m#0000000001#0002")
    assert item is not None
    assert "g4pk" not in item
    assert item["calls"] == [
        {"i": "c1", "n": "f", "a": "{}", "r": "1", "o": "ok", "ms": 5},
        {"i": "c2", "n": "g"},
    ]


async def test_what_chat_counts_expires(stores: Stores, client: Any, table: str) -> None:
    await stores.chat.count_turn(ACCOUNT, "weather", "0a1b", 1000, (5, 5))
    await stores.chat.sticky(ACCOUNT, "id", "text", NOW, renew=False)

    counted = raw(client, table, f"{ACCOUNT}#L#weather", "0000001000")
    assert counted is not None
    assert (counted["n"], counted["a_0a1b"], counted["expires_at"]) == (1, 1, 1000 * 60 + 300)
    kept = raw(client, table, f"{ACCOUNT}#Y#id", "sticky")
    assert kept is not None
    assert kept["expires_at"] == NOW // 1000 + 86_400


async def test_a_connection_stored_before_there_were_llm_clients_is_read(
    stores: Stores, client: Any, table: str
) -> None:
    old = Connection("c", ANN, START)
    await stores.subscribers.add_connection(old)
    item = raw(client, table, "C#c", "conn")
    assert item is not None
    assert "client" not in item
    assert await stores.subscribers.connection("c") == old
