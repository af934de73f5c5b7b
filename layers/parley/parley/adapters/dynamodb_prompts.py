"""The transitions of prompts in DynamoDB.

`core.lifecycle` computes what a prompt becomes; here stands under which condition that
may be written. Claim, renew and finish, which every prompt goes through, cost one call
each. The rarer transitions read first, and write on the condition that nothing they
looked at has moved.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from parley.adapters.aws import BUSY
from parley.adapters.dynamodb_conditions import (
    ABSENT,
    PRESENT,
    advance_thread,
    held,
    held_and_unwanted,
    held_and_wanted,
    raise_if_thread_refused,
    unmoved,
    waiting,
)
from parley.adapters.dynamodb_expressions import Condition, Delete, Item, Put, Update, Write
from parley.adapters.dynamodb_items import (
    dead_letter_keys,
    emptied_attributes,
    live_key,
    moving_attributes,
    new_thread_writes,
    open_turn_item,
    open_turn_key,
    prompt_item,
    prompt_key,
    to_prompt,
)
from parley.adapters.dynamodb_messages import (
    index_question,
    message_item,
    message_key,
    question_item,
    to_message,
)
from parley.adapters.dynamodb_prompt_reads import PromptReads
from parley.adapters.dynamodb_table import ATTEMPTS, ConditionFailed, Contention, TransactionFailed
from parley.core import lifecycle
from parley.core.errors import Busy, PromptExists, TransitionRefused, TurnTaken
from parley.core.lifecycle import TRANSITIONS, Failure
from parley.core.prompt import OpenTurn, Outcome, Prompt, Status, Usage
from parley.core.thread import ANSWER, QUESTION, Message, Thread


def _update(prompt: Prompt, condition: Condition) -> Update:
    """Write every attribute that transitions change.

    All of them and not the difference, for under a lease one of them may have moved:
    `finish` writes the wish to cancel away that came after its claim.
    """
    return Update(
        prompt_key(prompt.account, prompt.id),
        sets=moving_attributes(prompt) | dead_letter_keys(prompt),
        removes=emptied_attributes(prompt),
        condition=condition,
    )


def _close_turn(prompt: Prompt) -> Delete:
    return Delete(open_turn_key(prompt.account, prompt.thread_id, prompt.turn))


class DynamoPrompts(PromptReads):
    """`ports.PromptStore`."""

    async def accept(
        self,
        prompt: Prompt,
        question: Message,
        new_thread: Thread | None,
        due: int,
        distance: int,
        *,
        advanced: Thread | None = None,
    ) -> None:
        now_seconds = self._table.now_seconds()
        if new_thread:
            lasting = replace(new_thread, expires_at=0)  # it has a turn
            thread: Sequence[Write] = new_thread_writes(lasting, now_seconds)
        else:
            place = (prompt.account, prompt.thread_id, prompt.turn)
            thread = [advance_thread(*place, now_seconds, advanced)]
        writes: list[Write] = [
            # I7: of two submissions of one id, one is stored.
            Put(prompt_item(prompt), ABSENT),
            *thread,
            Put(question_item(question)),
            Put(open_turn_item(prompt, due, distance)),
        ]
        try:
            await self._table.transact(writes, attempts=1)
        except TransactionFailed as failed:
            if failed.refusals[0].refused:
                raise PromptExists from None
            raise_if_thread_refused(failed.refusals[1], now_seconds)
            raise
        except Contention:
            raise TurnTaken from None

    async def claim(
        self, turn: OpenTurn, token: str, now: int, lease_until: int, *, alone: bool
    ) -> Prompt:
        """In one call for a waiting prompt; a takeover decides on what the refusal returns.

        Race: two wake-ups of one prompt claim at once. The first moves the status, the
        second is refused, unless the stored token is its own: then the first was its own
        call, repeated because its response was lost.
        """
        first_try = Update(
            prompt_key(turn.account, turn.prompt_id),
            sets={
                "status": Status.RUNNING,
                "updated_at": now,
                "last_run": now,
                "lease_token": token,
                "lease_until": lease_until,
            },
            adds={"run_count": 1},
            removes=("next_attempt_at", "error", "error_code"),
            condition=waiting(turn, now, alone=alone),
        )
        try:
            return to_prompt(await self._table.update(first_try))
        except ConditionFailed as failed:
            stored = _stored(failed.item)
        return await self._change(
            stored, lambda p: lifecycle.claim(p, turn, token, now, lease_until, alone=alone)
        )

    async def renew(self, prompt: Prompt, lease_until: int) -> Prompt:
        update = Update(
            prompt_key(prompt.account, prompt.id),
            sets={"lease_until": lease_until},
            condition=held(prompt),
        )
        return await self._update_or_refuse(update, "renew")

    async def request_cancel(self, account: str, prompt_id: str) -> Prompt:
        """Race: the attempt finishes first. Then there is nobody left to see the wish."""
        update = Update(
            prompt_key(account, prompt_id),
            sets={"cancel_requested": True},
            condition=Condition("#status = :running", {":running": Status.RUNNING}),
        )
        return await self._update_or_refuse(update, "request_cancel")

    async def _update_or_refuse(self, update: Update, name: str) -> Prompt:
        try:
            return to_prompt(await self._table.update(update))
        except ConditionFailed:
            raise TransitionRefused(name) from None

    async def finish(
        self,
        prompt: Prompt,
        now: int,
        answer: Message,
        usage: Usage | None,
        rounds: Sequence[Message] = (),
    ) -> Prompt:
        changed = lifecycle.finish(prompt, prompt.lease_token, now, answer.id, usage)
        messages = [Put(message_item(message)) for message in (answer, *rounds)]
        return await self._end(prompt, changed, [*messages, _close_turn(prompt)])

    async def fail(
        self, prompt: Prompt, now: int, failure: Failure, next_attempt_at: int
    ) -> Prompt:
        changed = lifecycle.fail(prompt, prompt.lease_token, now, failure, next_attempt_at)
        postponed = Update(
            open_turn_key(prompt.account, prompt.thread_id, prompt.turn),
            sets={"duesk": next_attempt_at},
            condition=PRESENT,
        )
        return await self._end(prompt, changed, [postponed], held_and_wanted(prompt))

    async def abandon(self, prompt: Prompt, now: int, failure: Failure, outcome: Outcome) -> Prompt:
        changed = lifecycle.abandon(prompt, prompt.lease_token, now, failure, outcome)
        return await self._end(prompt, changed, [_close_turn(prompt)])

    async def cancel_running(self, prompt: Prompt, now: int, partial: Message | None) -> Prompt:
        message_id = partial.id if partial else ""
        asked = replace(prompt, cancel_requested=True)  # as stored: that is the condition
        changed = lifecycle.cancel_running(asked, prompt.lease_token, now, message_id)
        writes: list[Write] = [Put(message_item(partial))] if partial else []
        writes.append(_close_turn(prompt))
        return await self._end(prompt, changed, writes, held_and_unwanted(prompt))

    async def _end(
        self,
        prompt: Prompt,
        changed: Prompt,
        writes: Sequence[Write],
        condition: Condition | None = None,
    ) -> Prompt:
        """End an attempt under its lease; a repeated end finds itself done already.

        Race: the response to `finish` is lost and the attempt repeats it. Its token is
        gone by its own doing; that the answer's id is stored tells that from a lost lease.
        """
        try:
            condition = condition or held(prompt)
            await self._table.transact([_update(changed, condition), *writes])
        except TransactionFailed as failed:
            item = failed.refusals[0].item
            stored = to_prompt(item) if item else None
            if stored and _same_end(stored, changed):
                return stored
            raise TransitionRefused(changed.status) from None
        return changed

    async def give_up(self, account: str, prompt_id: str, now: int) -> Prompt:
        return await self._read_and_change(account, prompt_id, lambda p: lifecycle.give_up(p, now))

    async def cancel_waiting(self, account: str, prompt_id: str, now: int) -> Prompt:
        return await self._read_and_change(
            account, prompt_id, lambda p: lifecycle.cancel_waiting(p, now)
        )

    async def cancel_expired(self, account: str, prompt_id: str, now: int) -> Prompt:
        return await self._read_and_change(
            account, prompt_id, lambda p: lifecycle.cancel_expired(p, now)
        )

    async def evict(self, prompt: Prompt, now: int) -> Prompt:
        return await self._change(prompt, lambda p: lifecycle.evict(p, prompt, now))

    async def _read_and_change(
        self, account: str, prompt_id: str, transition: Callable[[Prompt], Prompt]
    ) -> Prompt:
        stored = await self.prompt(account, prompt_id)
        if stored is None:
            raise TransitionRefused("absent")
        return await self._change(stored, transition)

    async def _change(self, stored: Prompt, transition: Callable[[Prompt], Prompt]) -> Prompt:
        """Apply a transition to what is stored, deciding anew while that moves.

        A refused write answers with what is stored instead, so deciding anew costs no
        read, and a write that took effect although its response was lost is recognised.
        """
        for _ in range(ATTEMPTS):
            changed = transition(stored)
            if changed == stored:
                return stored
            writes: list[Write] = [_update(changed, unmoved(stored))]
            if changed.status.terminal:
                writes.append(_close_turn(stored))
            moved_to = await self._moved(writes)
            if moved_to is None or moved_to == changed:
                return changed
            stored = moved_to
        raise Busy(BUSY)

    async def _moved(self, writes: Sequence[Write]) -> Prompt | None:
        """Write, the prompt's update first. None if done, else what is stored instead."""
        try:
            match writes:
                case [Update() as only]:
                    await self._table.update(only)
                case _:
                    await self._table.transact(writes)
        except ConditionFailed as failed:
            return _stored(failed.item)
        except TransactionFailed as failed:
            return _stored(failed.refusals[0].item)
        return None

    async def retry(
        self,
        prompt: Prompt,
        turn: int,
        now: int,
        due: int,
        distance: int,
        *,
        advanced: Thread | None = None,
    ) -> Prompt:
        changed = lifecycle.retry(prompt, prompt, turn, now)
        if turn <= prompt.turn:
            raise TurnTaken  # turns only grow: a thread's next one is past all of its prompts
        now_seconds = self._table.now_seconds()
        place = (prompt.account, prompt.thread_id, turn)
        thread = advance_thread(*place, now_seconds, advanced)
        opened = Put(open_turn_item(changed, due, distance))
        for _ in range(ATTEMPTS):
            moved = await self._question_moved(prompt, turn)
            writes = [_update(changed, unmoved(prompt)), thread, *moved, opened]
            try:
                await self._table.transact(writes, attempts=1)
            except Contention:
                raise TurnTaken from None
            except TransactionFailed as failed:
                of_prompt, of_thread, _ = failed.refusals[:3]
                if of_prompt.item and to_prompt(of_prompt.item) == changed:
                    return changed
                if of_prompt.refused:
                    raise TransitionRefused("retry") from None
                raise_if_thread_refused(of_thread, now_seconds)
            else:
                return changed
        raise Busy(BUSY)

    async def _question_moved(self, prompt: Prompt, turn: int) -> list[Write]:
        """The writes that move a question to another turn, the one that can refuse first.

        Race: the question's text is replaced after it was read here, and the move would
        bring the old text back: then it is read again.
        """
        place = (prompt.account, prompt.thread_id, prompt.turn)
        item = await self._table.get(message_key(*place, QUESTION))
        if item is None:
            raise TransitionRefused("retry")
        question = to_message(item)
        unchanged = Condition("#updated_at = :read", {":read": item.get("updated_at", 0)})
        writes: list[Write] = [
            Delete(message_key(*place, QUESTION), unchanged),
            Put(question_item(replace(question, turn=turn))),
        ]
        if prompt.response_message_id:
            writes.append(Delete(message_key(*place, ANSWER)))
        return writes

    async def forget(self, prompt: Prompt) -> Prompt:
        """Race: a retry gives it a new turn, which may be given up again: another letter."""
        update = Update(
            prompt_key(prompt.account, prompt.id),
            removes=("given_up", "g3pk", "g3sk"),
            condition=Condition(
                "#thread_id = :thread_id AND #turn = :turn AND #given_up = :true",
                {":thread_id": prompt.thread_id, ":turn": prompt.turn, ":true": True},
            ),
        )
        return await self._update_or_refuse(update, "forget")

    async def remove(self, account: str, prompt_id: str) -> None:
        """With its live text, which a new prompt of the same id must not inherit.

        Race: a retry reopens the prompt after the caller saw it ended; then it is not
        terminal any more, and its open turn would be left without a prompt.
        """
        stored = await self.prompt(account, prompt_id)
        if stored is None or stored.status not in TRANSITIONS["remove"].sources:
            raise TransitionRefused("remove")
        removal: list[Write] = [
            Delete(prompt_key(account, prompt_id), unmoved(stored)),
            Delete(live_key(account, prompt_id)),
        ]
        try:
            await self._remove([*removal, index_question(stored)])
        except ConditionFailed:
            await self._remove(removal)

    async def _remove(self, writes: Sequence[Write]) -> None:
        """Raises ConditionFailed if it is the question that is gone, and not the prompt."""
        try:
            await self._table.transact(writes)
        except TransactionFailed as failed:
            if failed.refusals[0].refused:
                raise TransitionRefused("remove") from None
            raise ConditionFailed(None) from None

    async def move_due(self, turn: OpenTurn, due: int, distance: int) -> None:
        """Race: two sweepers look at one turn; the first moves it, the second leaves it be.

        Without the condition a stale look could also undo the due time of a back-off.
        """
        update = Update(
            open_turn_key(turn.account, turn.thread_id, turn.turn),
            sets={"duesk": due, "distance": distance},
            condition=Condition("#duesk = :due", {":due": turn.due}),
        )
        try:
            await self._table.update(update)
        except ConditionFailed as failed:
            stored = failed.item or {}
            if (stored.get("duesk"), stored.get("distance")) != (due, distance):
                raise TransitionRefused("move_due") from None


def _stored(item: Item | None) -> Prompt:
    if item is None:
        raise TransitionRefused("absent")
    return to_prompt(item)


def _same_end(stored: Prompt, changed: Prompt) -> bool:
    """True if what is stored is the end that was to be written."""
    answered = changed.status is Status.COMPLETED and lifecycle.finished_by(
        stored, changed, changed.response_message_id
    )
    return stored == changed or answered
