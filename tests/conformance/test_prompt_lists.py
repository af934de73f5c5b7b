"""Lists of prompts: order, filters, pages, cursors and counts."""

import base64
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from parley.core.errors import Invalid, TransitionRefused
from parley.core.lifecycle import Failure
from parley.core.prompt import UNFINISHED, Outcome, Prompt, Status
from parley.ports import PromptQuery

from tests.conformance.material import (
    ACCOUNT,
    OTHER,
    a_prompt,
    accepted,
    answer_of,
    claimed,
)
from tests.conformance.stores import START, Stores

NOW = START + 10_000
# id → thread, turn, user, model. Created in this order.
CAST = {
    "a": ("t1", 1, "ann", "small"),
    "b": ("t2", 1, "bob", "large"),
    "c": ("t1", 2, "ann", "large"),
    "d": ("t1", 3, "bob", "small"),
    "e": ("t3", 1, "ann", ""),
    "f": ("t3", 2, "ann", "small"),
}


@pytest.fixture
async def cast(stores: Stores) -> None:
    """Six prompts of one account, one of another; a completed, c canceled, e running."""
    for number, (id_, (thread_id, turn, user_id, model_id)) in enumerate(CAST.items()):
        prompt = a_prompt(
            id_,
            thread_id,
            turn,
            user_id=user_id,
            model_id=model_id,
            # The last two were created in the same millisecond.
            created_at=START + min(number, 4) * 10,
        )
        await accepted(stores, prompt)
        if id_ == "a":
            running = await claimed(stores, prompt)
            await stores.prompts.finish(running, NOW, answer_of(prompt), None)
        if id_ == "c":
            await stores.prompts.cancel_waiting(ACCOUNT, "c", NOW)
        if id_ == "e":
            await claimed(stores, prompt)
    await accepted(stores, a_prompt("z", account=OTHER, created_at=START))


def ids(prompts: Sequence[Prompt]) -> str:
    return "".join(prompt.id for prompt in prompts)


async def whole(stores: Stores, query: PromptQuery) -> str:
    """Every page of a list, each checked against the limit."""
    found = ""
    while True:
        page = await stores.prompts.prompts(query)
        assert len(page.items) <= query.limit
        found += ids(page.items)
        if not page.after:
            return found
        query = replace(query, after=page.after)


QUERIES = [
    ({}, "abcdef"),
    ({"user_id": "ann"}, "acef"),
    ({"user_id": "nobody"}, ""),
    ({"statuses": tuple(UNFINISHED)}, "bdef"),
    ({"statuses": (Status.RUNNING,)}, "e"),
    ({"statuses": (Status.SCHEDULED,), "user_id": "ann"}, "f"),
    ({"statuses": (Status.COMPLETED, Status.CANCELED)}, "ac"),
    ({"statuses": (Status.COMPLETED, Status.RUNNING)}, "ae"),
    ({"model_ids": ("small",)}, "adf"),
    ({"model_ids": ("small", "large"), "user_id": "bob"}, "bd"),
    ({"thread_id": "t1"}, "acd"),
    ({"thread_id": "t1", "user_id": "ann"}, "ac"),
    ({"thread_id": "t1", "statuses": (Status.CANCELED,)}, "c"),
    ({"thread_id": "absent"}, ""),
    ({"ids": ("f", "a", "absent", "a", "z")}, "af"),
    ({"ids": ("d", "c", "b"), "thread_id": "t1"}, "cd"),
    ({"ids": ("a", "b"), "user_id": "ann"}, "a"),
    ({"ids": ("a", "e"), "statuses": (Status.RUNNING,)}, "e"),
]


@pytest.mark.usefixtures("cast")
@pytest.mark.parametrize("limit", [1, 2, 20])
@pytest.mark.parametrize(("fields", "expected"), QUERIES)
async def test_lists_are_in_creation_order_and_reversible(
    stores: Stores, fields: dict[str, Any], expected: str, limit: int
) -> None:
    query = PromptQuery(**{"account": ACCOUNT, "user_id": None, **fields}, limit=limit)

    assert await whole(stores, query) == expected
    assert await whole(stores, replace(query, descending=True)) == expected[::-1]
    for cap in (1, 3, 1000):
        assert await stores.prompts.count_prompts(query, cap) == min(cap, len(expected))


@pytest.mark.usefixtures("cast")
@pytest.mark.parametrize(("fields", "expected"), QUERIES)
async def test_a_count_by_status_agrees_with_the_lists(
    stores: Stores, fields: dict[str, Any], expected: str
) -> None:
    query = PromptQuery(**{"account": ACCOUNT, "user_id": None, **fields})

    counts = await stores.prompts.count_by_status(query, 1000)

    assert sum(counts.values()) == len(expected)
    for status in Status:
        if not query.statuses:
            alone = await whole(stores, replace(query, statuses=(status,)))
            assert counts.get(status, 0) == len(alone)
    capped = await stores.prompts.count_by_status(query, 1)
    assert {status: count for status, count in capped.items() if count} == dict.fromkeys(
        (status for status, count in counts.items() if count), 1
    )


async def given_up(stores: Stores, prompt: Prompt) -> Prompt:
    await accepted(stores, prompt)
    running = await claimed(stores, prompt)
    return await stores.prompts.abandon(running, NOW, Failure("slow", ""), Outcome.FAILED)


@pytest.mark.usefixtures("cast")
@pytest.mark.parametrize("limit", [1, 2, 20])
async def test_dead_letters_are_an_accounts_own_list(stores: Stores, limit: int) -> None:
    for number, id_ in enumerate("vwxy"):
        await given_up(stores, a_prompt(id_, f"t-{id_}", created_at=START + number))
    await given_up(stores, a_prompt("u", "t-u", account=OTHER))
    refused = a_prompt("r", "t-r")
    await accepted(stores, refused)
    running = await claimed(stores, refused)
    await stores.prompts.abandon(running, NOW, Failure("http_400", ""), Outcome.REFUSED)
    query = PromptQuery(ACCOUNT, None, given_up=True, limit=limit)

    assert await whole(stores, query) == "vwxy"
    assert await whole(stores, replace(query, descending=True)) == "yxwv"
    assert await whole(stores, replace(query, user_id="nobody")) == ""
    assert await stores.prompts.count_prompts(query, 1000) == 4
    assert await whole(stores, PromptQuery(OTHER, None, given_up=True)) == "u"
    assert await whole(stores, PromptQuery(ACCOUNT, None, statuses=tuple(UNFINISHED))) == "bdef"


async def test_what_is_retried_removed_or_forgotten_is_no_dead_letter(stores: Stores) -> None:
    query = PromptQuery(ACCOUNT, None, given_up=True)
    retried, removed, forgotten = [
        await given_up(stores, a_prompt(id_, f"t-{id_}")) for id_ in "xyz"
    ]
    assert await whole(stores, query) == "xyz"

    await stores.prompts.retry(retried, 2, NOW, NOW, 1000)
    await stores.prompts.remove(ACCOUNT, removed.id)
    left = await stores.prompts.forget(forgotten)

    assert await whole(stores, query) == ""
    assert left == replace(forgotten, given_up=False)
    assert await stores.prompts.prompt(ACCOUNT, forgotten.id) == left
    with pytest.raises(TransitionRefused):
        await stores.prompts.forget(forgotten)


@pytest.mark.usefixtures("cast")
async def test_another_accounts_prompts_are_not_listed(stores: Stores) -> None:
    assert await whole(stores, PromptQuery(OTHER, None)) == "z"
    assert await whole(stores, PromptQuery(OTHER, None, ids=("a", "z"))) == "z"
    assert await whole(stores, PromptQuery(OTHER, None, thread_id="t2")) == ""


@pytest.mark.usefixtures("cast")
async def test_a_retried_prompt_is_listed_once_at_its_new_turn(stores: Stores) -> None:
    canceled = await stores.prompts.prompt(ACCOUNT, "c")
    assert canceled is not None
    await stores.prompts.retry(canceled, 4, NOW, NOW, 1000)

    assert await whole(stores, PromptQuery(ACCOUNT, None, thread_id="t1", limit=1)) == "adc"
    assert await whole(stores, PromptQuery(ACCOUNT, None)) == "abcdef"


@pytest.mark.usefixtures("cast")
async def test_a_removed_id_that_is_used_again_is_listed_once(stores: Stores) -> None:
    await stores.prompts.remove(ACCOUNT, "a")
    await accepted(stores, a_prompt("a", "t1", 4, created_at=START + 90))

    assert await whole(stores, PromptQuery(ACCOUNT, None, thread_id="t1", limit=1)) == "cda"
    assert await whole(stores, PromptQuery(ACCOUNT, "ann")) == "cefa"


@pytest.mark.usefixtures("cast")
@pytest.mark.parametrize(
    "fields",
    [{}, {"user_id": "ann"}, {"ids": ("a", "b")}, {"thread_id": "t1"}, {"statuses": ("running",)}],
)
@pytest.mark.parametrize(
    "after",
    ["rubbish", "é", "AAAA", "!", base64.urlsafe_b64encode(b'["a", 7]').decode(), "W10="],
)
async def test_a_malformed_cursor_is_refused(
    stores: Stores, fields: dict[str, Any], after: str
) -> None:
    query = PromptQuery(**{"account": ACCOUNT, "user_id": None, **fields}, after=after)
    with pytest.raises(Invalid):
        await stores.prompts.prompts(query)


@pytest.mark.usefixtures("cast")
async def test_a_cursor_of_another_list_is_refused(stores: Stores) -> None:
    page = await stores.threads.threads(ACCOUNT, None, 1, "")
    assert page.after
    with pytest.raises(Invalid):
        await stores.prompts.prompts(PromptQuery(ACCOUNT, None, after=page.after))
    with pytest.raises(Invalid):
        await stores.threads.messages(ACCOUNT, "t1", 1, page.after)
