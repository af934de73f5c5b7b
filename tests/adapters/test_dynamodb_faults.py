"""Throttling, conflicts and lost responses: what the DynamoDB stores make of them."""

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from parley.adapters.aws import AwsCalls
from parley.adapters.dynamodb_prompts import DynamoPrompts
from parley.adapters.dynamodb_table import Put, Table, dynamodb_calls
from parley.core.errors import (
    Busy,
    PromptExists,
    TransitionRefused,
    TurnTaken,
    Unavailable,
)
from parley.core.lifecycle import Failure
from parley.core.prompt import Outcome, Status

from tests.conformance.faults import (
    BROKEN,
    CHOKED,
    CONFLICT,
    INVALID,
    LOST,
    THROTTLED,
    UNSENT,
    faulty,
)
from tests.conformance.material import (
    ACCOUNT,
    LEASE,
    a_prompt,
    a_thread,
    accepted,
    answer_of,
    claimed,
    question_of,
    turn_of,
)
from tests.conformance.stores import (
    START,
    HandClock,
    Stores,
    dynamo_stores,
    moto_client,
    new_table,
)

NOW = START + 10_000
FAILURE = Failure("rate_limited", "slow down")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore waits up to a second before it repeats an attempt."""
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))


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


async def test_a_throttled_attempt_is_repeated(stores: Stores, client: Any) -> None:
    prompt = await accepted(stores, a_prompt())
    with faulty(client, GetItem=[THROTTLED]) as faults:
        assert await stores.prompts.prompt(ACCOUNT, "p1") == prompt
    assert faults.attempts == {"GetItem": 2}


async def test_throttling_that_lasts_is_busy_and_writes_nothing(
    stores: Stores, client: Any
) -> None:
    prompt = await accepted(stores, a_prompt())
    with faulty(client, UpdateItem=[THROTTLED] * 3), pytest.raises(Busy):
        await claimed(stores, prompt)
    assert await stores.prompts.prompt(ACCOUNT, "p1") == prompt


@pytest.mark.parametrize("fault", [UNSENT, LOST, BROKEN])
async def test_no_answer_is_told_from_busy(stores: Stores, client: Any, fault: str) -> None:
    prompt = await accepted(stores, a_prompt())
    with faulty(client, UpdateItem=[fault] * 3), pytest.raises(Unavailable):
        await claimed(stores, prompt)


async def test_a_claim_whose_answer_was_lost_is_repeated_as_one_attempt(
    stores: Stores, client: Any
) -> None:
    prompt = await accepted(stores, a_prompt())
    with faulty(client, UpdateItem=[LOST]) as faults:
        running = await claimed(stores, prompt)
    assert faults.attempts == {"UpdateItem": 2}
    assert (running.status, running.run_count) == (Status.RUNNING, 1)

    with faulty(client, UpdateItem=[LOST] * 3), pytest.raises(Unavailable):
        await claimed(stores, await accepted(stores, a_prompt("p2", "t2")), "own")
    again = await claimed(stores, a_prompt("p2", "t2"), "own")
    assert again.run_count == 1


async def test_a_takeover_whose_answer_was_lost_is_one_attempt(stores: Stores, client: Any) -> None:
    prompt = await accepted(stores, a_prompt())
    await claimed(stores, prompt, "tok-1", NOW)
    # The first update is refused, for the prompt runs; the second takes it over.
    with faulty(client, UpdateItem=["", LOST]):
        taken = await claimed(stores, prompt, "tok-2", NOW + LEASE)
    assert (taken.run_count, taken.losses, taken.lease_token) == (2, 1, "tok-2")


async def test_ends_of_attempts_whose_response_was_lost_are_successes(
    stores: Stores, client: Any
) -> None:
    store = stores.prompts

    async def running(name: str) -> Any:
        return await claimed(stores, await accepted(stores, a_prompt(name, f"t-{name}")))

    async def wanted(name: str) -> Any:
        claim = await running(name)
        await store.request_cancel(ACCOUNT, name)
        return claim

    for prompt, call in (
        (a := await running("a"), store.finish(a, NOW, answer_of(a), None)),
        (b := await running("b"), store.fail(b, NOW, FAILURE, NOW + 1000)),
        (c := await running("c"), store.abandon(c, NOW, FAILURE, Outcome.FAILED)),
        (d := await wanted("d"), store.cancel_running(d, NOW, None)),
        (e := await running("e"), store.evict(e, NOW)),
    ):
        with faulty(client, TransactWriteItems=[LOST]) as faults:
            ended = await call
        assert faults.attempts["TransactWriteItems"] == 2
        assert ended == await store.prompt(ACCOUNT, prompt.id)


async def test_a_finish_repeated_by_the_attempt_itself_is_a_success(
    stores: Stores, client: Any
) -> None:
    running = await claimed(stores, await accepted(stores, a_prompt()))
    with faulty(client, TransactWriteItems=[LOST] * 3), pytest.raises(Unavailable):
        await stores.prompts.finish(running, NOW, answer_of(running), None)

    done = await stores.prompts.finish(running, NOW + 700, answer_of(running), None)
    assert (done.status, done.updated_at) == (Status.COMPLETED, NOW)


async def test_a_retry_whose_response_was_lost_is_a_success(stores: Stores, client: Any) -> None:
    await accepted(stores, a_prompt())
    canceled = await stores.prompts.cancel_waiting(ACCOUNT, "p1", NOW)
    # moto knows no ClientRequestToken: the repetition meets what the first attempt wrote.
    with faulty(client, TransactWriteItems=[LOST]):
        retried = await stores.prompts.retry(canceled, 2, NOW, NOW, 1000)
    assert retried == await stores.prompts.prompt(ACCOUNT, "p1")


async def test_a_moved_look_whose_response_was_lost_is_a_success(
    stores: Stores, client: Any
) -> None:
    await accepted(stores, a_prompt())
    head = await stores.prompts.head(ACCOUNT, "t1")
    assert head is not None
    with faulty(client, UpdateItem=[LOST]):
        await stores.prompts.move_due(head, NOW, 2000)
    assert await stores.prompts.head(ACCOUNT, "t1") == replace(head, due=NOW, distance=2000)


async def test_an_account_whose_creation_was_repeated_is_created(
    stores: Stores, client: Any
) -> None:
    with faulty(client, PutItem=[LOST]):
        await stores.keys.create_account(ACCOUNT, "mine", NOW)


async def test_an_accept_in_conflict_is_a_taken_turn_at_once(stores: Stores, client: Any) -> None:
    await accepted(stores, a_prompt())
    with faulty(client, TransactWriteItems=[CONFLICT]) as faults, pytest.raises(TurnTaken):
        await accepted(stores, a_prompt("p2", turn=2))
    assert faults.attempts == {"TransactWriteItems": 1}


async def test_an_accept_that_was_lost_and_is_repeated_is_a_known_id(
    stores: Stores, client: Any
) -> None:
    with faulty(client, TransactWriteItems=[LOST]), pytest.raises(PromptExists):
        await accepted(stores, a_prompt())
    assert await stores.prompts.prompt(ACCOUNT, "p1") == a_prompt()


async def test_a_retry_and_a_message_in_conflict_are_taken_turns(
    stores: Stores, client: Any
) -> None:
    await accepted(stores, a_prompt())
    canceled = await stores.prompts.cancel_waiting(ACCOUNT, "p1", NOW)
    with faulty(client, TransactWriteItems=[CONFLICT]), pytest.raises(TurnTaken):
        await stores.prompts.retry(canceled, 2, NOW, NOW, 1000)
    with faulty(client, TransactWriteItems=[CONFLICT]), pytest.raises(TurnTaken):
        await stores.threads.put_message(replace(question_of(a_prompt()), id="note"))


async def test_other_transactions_in_conflict_are_repeated_then_busy(
    stores: Stores, client: Any
) -> None:
    running = await claimed(stores, await accepted(stores, a_prompt()))
    with faulty(client, TransactWriteItems=[CONFLICT] * 5), pytest.raises(Busy):
        await stores.prompts.finish(running, NOW, answer_of(running), None)
    with faulty(client, TransactWriteItems=[CONFLICT] * 2) as faults:
        await stores.prompts.finish(running, NOW, answer_of(running), None)
    assert faults.attempts == {"TransactWriteItems": 3}


async def test_a_canceled_transaction_is_told_by_its_reasons(stores: Stores, client: Any) -> None:
    running = await claimed(stores, await accepted(stores, a_prompt()))
    with faulty(client, TransactWriteItems=[CHOKED]), pytest.raises(Busy):
        await stores.prompts.finish(running, NOW, answer_of(running), None)
    with faulty(client, TransactWriteItems=[INVALID]), pytest.raises(ClientError):
        await stores.prompts.finish(running, NOW, answer_of(running), None)


async def test_a_single_write_in_conflict_is_busy(stores: Stores, client: Any) -> None:
    running = await claimed(stores, await accepted(stores, a_prompt()))
    with faulty(client, UpdateItem=[CONFLICT]), pytest.raises(Busy):
        await stores.prompts.renew(running, NOW + LEASE)


async def test_a_write_that_another_one_overtook_is_decided_anew(
    stores: Stores, client: Any
) -> None:
    """Between the read and the write of `cancel_waiting` the prompt is claimed."""
    prompt = await accepted(stores, a_prompt())
    table = stores.prompts._table  # type: ignore[attr-defined]
    transact = table.transact

    async def overtaken(*arguments: Any, **named: Any) -> None:
        table.transact = transact
        await claimed(stores, prompt)
        await transact(*arguments, **named)

    table.transact = overtaken
    with pytest.raises(TransitionRefused):
        await stores.prompts.cancel_waiting(ACCOUNT, "p1", NOW)
    again = await accepted(stores, a_prompt("p2", "t2"))

    async def canceled_first(*arguments: Any, **named: Any) -> None:
        table.transact = transact
        await stores.prompts.request_cancel(ACCOUNT, "p2")
        await transact(*arguments, **named)

    running = await claimed(stores, again)
    table.transact = canceled_first
    evicted = await stores.prompts.evict(running, NOW)
    assert (evicted.status, evicted.run_count) == (Status.CANCELED, 1)


async def test_a_question_edited_during_a_retry_keeps_its_new_text(
    stores: Stores, client: Any
) -> None:
    prompt = await accepted(stores, a_prompt())
    canceled = await stores.prompts.cancel_waiting(ACCOUNT, "p1", NOW)
    table = stores.prompts._table  # type: ignore[attr-defined]
    transact = table.transact

    async def overtaken(*arguments: Any, **named: Any) -> None:
        table.transact = transact
        edited = replace(question_of(prompt), text="edited", updated_at=NOW)
        await stores.threads.put_message(edited)
        await transact(*arguments, **named)

    table.transact = overtaken
    await stores.prompts.retry(canceled, 2, NOW, NOW, 1000)
    (question,) = await stores.threads.message_by_id(ACCOUNT, "p1")
    assert (question.turn, question.text) == (2, "edited")


async def test_keys_left_out_of_a_batch_are_asked_for_again(
    stores: Stores, client: Any, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = question_of(await accepted(stores, a_prompt()))
    calls = stores.threads._table._calls  # type: ignore[attr-defined]
    call = calls.call
    empty: list[int] = [0]

    async def partly(operation: str, **arguments: Any) -> Any:
        if operation == "batch_get_item" and empty[0]:
            empty[0] -= 1
            return {"Responses": {}, "UnprocessedKeys": arguments["RequestItems"]}
        return await call(operation, **arguments)

    monkeypatch.setattr(calls, "call", partly)
    place = (ACCOUNT, "t1", 1, question.part)
    empty[0] = 2
    assert list(await stores.threads.messages_at([place])) == [question]
    empty[0] = 99
    with pytest.raises(Busy):
        await stores.threads.messages_at([place])


async def test_a_refusal_that_is_no_condition_is_raised_as_it_is(client: Any) -> None:
    store = DynamoPrompts(Table("absent", AwsCalls(lambda: client, 1), HandClock()))
    with pytest.raises(ClientError):
        await store.prompt(ACCOUNT, "p1")
    with pytest.raises(ClientError):
        await store.remove(ACCOUNT, "p1")
    with pytest.raises(ClientError):
        await store._table.put(Put({"pk": "a", "sk": "b"}))
    with pytest.raises(ClientError):
        await store.claim(turn_of(a_prompt()), "t", NOW, NOW + LEASE, alone=True)
    with pytest.raises(ClientError):
        await store.accept(a_prompt(), question_of(a_prompt()), a_thread(next_turn=2), NOW, 1)


def test_a_client_is_made_on_the_first_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    calls = dynamodb_calls()
    assert calls.client() is calls.client()
    assert calls.client().meta.config.max_pool_connections == 32
