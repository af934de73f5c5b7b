"""Random lives of a prompt: the store and `core.lifecycle` agree after every step.

States are reached by transitions and never put in place, so whatever the store is asked
here can be asked of it in production. Claims and reads of the past are kept and used
again, as a stale attempt, a late wake-up or a slow sweeper would use them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parley.core import lifecycle
from parley.core.errors import TransitionRefused
from parley.core.lifecycle import Failure
from parley.core.prompt import Outcome, Prompt, Status, Usage
from parley.core.thread import ANSWER, QUESTION
from parley.ports import PromptQuery

from tests.conformance.material import ACCOUNT, LEASE, a_prompt, accepted, answer_of, turn_of
from tests.conformance.stores import START, Stores, dynamo_stores, memory_stores, new_table

REFUSED = "refused"
USAGES = st.one_of(st.none(), st.builds(Usage, st.integers(0, 9), st.integers(0, 9)))
PAST = st.integers(0, 3)  # 0: the newest

STEPS = st.one_of(
    st.tuples(st.just("claim"), PAST, st.booleans()),
    st.tuples(st.just("claim_again")),
    st.tuples(st.just("renew"), PAST),
    st.tuples(st.just("finish"), PAST, USAGES),
    st.tuples(st.just("fail"), PAST, st.sampled_from([0, 1, LEASE])),
    st.tuples(st.just("abandon"), PAST, st.sampled_from([Outcome.FAILED, Outcome.REFUSED])),
    st.tuples(st.just("cancel_running"), PAST, st.booleans()),
    st.tuples(st.just("give_up")),
    st.tuples(st.just("request_cancel")),
    st.tuples(st.just("cancel_waiting")),
    st.tuples(st.just("cancel_expired")),
    st.tuples(st.just("evict"), PAST),
    st.tuples(st.just("retry"), PAST, st.booleans()),
    st.tuples(st.just("forget"), PAST),
    st.tuples(st.just("remove")),
    st.tuples(st.just("accept")),
    st.tuples(st.just("wait"), st.sampled_from([1000, LEASE])),
)


class Life:
    """One prompt in a store, beside what the state table says it is."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.store: Any = stores.prompts
        self.now = START + 5000
        self.next_turn = 1
        self.model: Prompt | None = None
        self.claims = [a_prompt("never-claimed", lease_token="none", status=Status.RUNNING)]
        self.seen: list[Prompt] = []

    def past(self, things: list[Prompt], back: int) -> Prompt:
        return things[max(len(things) - 1 - back, 0)]

    async def step(self, name: str, *arguments: Any) -> None:
        self.now += 1
        await getattr(self, name)(*arguments)
        await self.compare()

    async def compare(self) -> None:
        assert await self.store.prompt(ACCOUNT, "p") == self.model
        given_up = await self.store.prompts(PromptQuery(ACCOUNT, None, given_up=True))
        assert given_up.items == ([self.model] if self.model and self.model.given_up else [])
        head = await self.store.head(ACCOUNT, "t1")
        if self.model is None or self.model.status.terminal:
            assert head is None
        else:
            assert head is not None
            assert (head.turn, head.prompt_id) == (self.model.turn, "p")
            assert lifecycle.same_place(self.model, head)
        if self.model:
            place = (ACCOUNT, "t1", self.model.turn)
            answer = await self.stores.threads.message(*place, ANSWER)
            assert (answer.id if answer else "") == self.model.response_message_id
            assert await self.stores.threads.message(*place, QUESTION) is not None

    def stored(self) -> Prompt:
        if self.model is None:
            raise TransitionRefused("absent")
        return self.model

    async def check(
        self, call: Awaitable[Prompt | None], expected: Callable[[Prompt], Prompt]
    ) -> Prompt | None:
        """Make the call, and hold its result or its refusal against the state table's."""
        try:
            result: Any = await call
        except TransitionRefused:
            result = REFUSED
        try:
            wanted: Any = expected(self.stored())
        except TransitionRefused:
            assert result == REFUSED
            return None
        assert result == wanted
        self.model = wanted
        self.seen.append(wanted)
        return result

    async def accept(self) -> None:
        prompt = a_prompt("p", turn=self.next_turn, created_at=self.now, updated_at=self.now)
        try:
            await accepted(self.stores, prompt)
        except TransitionRefused:
            assert self.model is not None
            return
        assert self.model is None
        self.model = prompt
        self.seen.append(prompt)
        self.next_turn += 1

    async def claim(self, back: int, alone: bool) -> None:
        token, until = f"token-{self.now}", self.now + LEASE
        turn = turn_of(self.past(self.seen, back))
        prompt = await self.check(
            self.store.claim(turn, token, self.now, until, alone=alone),
            lambda p: lifecycle.claim(p, turn, token, self.now, until, alone=alone),
        )
        if prompt:
            self.claims.append(prompt)

    async def claim_again(self) -> None:
        if self.model and self.model.status is Status.RUNNING:
            turn, token = turn_of(self.model), self.model.lease_token
            until = self.now + LEASE
            await self.check(
                self.store.claim(turn, token, self.now, until, alone=False), lambda p: p
            )

    async def renew(self, back: int) -> None:
        claim, until = self.past(self.claims, back), self.now + LEASE
        await self.check(
            self.store.renew(claim, until),
            lambda p: lifecycle.renew(p, claim.lease_token, until),
        )

    async def finish(self, back: int, usage: Usage | None) -> None:
        claim = self.past(self.claims, back)
        answer = answer_of(claim)

        def expected(prompt: Prompt) -> Prompt:
            if lifecycle.finished_by(prompt, claim, answer.id):
                return prompt
            return lifecycle.finish(prompt, claim.lease_token, self.now, answer.id, usage)

        await self.check(self.store.finish(claim, self.now, answer, usage), expected)

    async def fail(self, back: int, wait: int) -> None:
        claim, failure = self.past(self.claims, back), Failure("rate_limited", "slow")
        await self.check(
            self.store.fail(claim, self.now, failure, self.now + wait),
            lambda p: lifecycle.fail(p, claim.lease_token, self.now, failure, self.now + wait),
        )

    async def abandon(self, back: int, outcome: Outcome) -> None:
        claim, failure = self.past(self.claims, back), Failure("http_400", "no")
        await self.check(
            self.store.abandon(claim, self.now, failure, outcome),
            lambda p: lifecycle.abandon(p, claim.lease_token, self.now, failure, outcome),
        )

    async def cancel_running(self, back: int, kept: bool) -> None:
        claim = self.past(self.claims, back)
        partial = answer_of(claim, "A fr", partial=True) if kept else None
        id_ = partial.id if partial else ""
        await self.check(
            self.store.cancel_running(claim, self.now, partial),
            lambda p: lifecycle.cancel_running(p, claim.lease_token, self.now, id_),
        )

    async def give_up(self) -> None:
        call = self.store.give_up(ACCOUNT, "p", self.now)
        await self.check(call, lambda p: lifecycle.give_up(p, self.now))

    async def request_cancel(self) -> None:
        await self.check(self.store.request_cancel(ACCOUNT, "p"), lifecycle.request_cancel)

    async def cancel_waiting(self) -> None:
        call = self.store.cancel_waiting(ACCOUNT, "p", self.now)
        await self.check(call, lambda p: lifecycle.cancel_waiting(p, self.now))

    async def cancel_expired(self) -> None:
        call = self.store.cancel_expired(ACCOUNT, "p", self.now)
        await self.check(call, lambda p: lifecycle.cancel_expired(p, self.now))

    async def evict(self, back: int) -> None:
        seen = self.past(self.seen, back)
        call = self.store.evict(seen, self.now)
        await self.check(call, lambda p: lifecycle.evict(p, seen, self.now))

    async def retry(self, back: int, stale_turn: bool) -> None:
        seen = self.past(self.seen, back)
        turn = self.next_turn - stale_turn

        def expected(prompt: Prompt) -> Prompt:
            changed = lifecycle.retry(prompt, seen, turn, self.now)
            if stale_turn:
                raise TransitionRefused("taken")
            return changed

        call = self.store.retry(seen, turn, self.now, self.now + 1000, 1000)
        if await self.check(call, expected):
            self.next_turn += 1

    async def forget(self, back: int) -> None:
        seen = self.past(self.seen, back)
        await self.check(self.store.forget(seen), lambda p: lifecycle.forget(p, seen))

    async def remove(self) -> None:
        try:
            await self.store.remove(ACCOUNT, "p")
        except TransitionRefused:
            assert self.model is None or not self.model.status.terminal
        else:
            assert self.model is not None
            lifecycle.removable(self.model)
            self.model = None

    async def wait(self, ms: int) -> None:
        self.now += ms


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEPS, max_size=25))
def test_store_and_state_table_agree(
    implementation: tuple[str, Any], steps: list[tuple[Any, ...]]
) -> None:
    name, client = implementation
    table = "" if name == "memory" else new_table(client)
    stores = dynamo_stores(client, table) if table else memory_stores()

    async def live() -> None:
        life = Life(stores)
        await life.step("accept")
        # Most lives start with an attempt: it opens the larger half of the table.
        await life.step("claim", 0, True)
        for step in steps:
            await life.step(*step)

    asyncio.run(live())
    if table:
        client.delete_table(TableName=table)


def test_the_attempts_kept_are_the_newest(implementation: tuple[str, Any]) -> None:
    name, client = implementation
    table = "" if name == "memory" else new_table(client)
    stores = dynamo_stores(client, table) if table else memory_stores()

    async def live() -> None:
        life = Life(stores)
        await life.step("accept")
        for _ in range(35):
            await life.step("claim", 0, True)
            await life.step("fail", 0, 0)
        assert life.model is not None
        assert life.model.run_count == 35
        assert [life.model.attempts[0].number, len(life.model.attempts)] == [6, 30]

    asyncio.run(live())


def test_lives_are_made_of_every_transition() -> None:
    assert {*lifecycle.TRANSITIONS} - {"claim_expired"} <= {*dir(Life)}
