"""The prompts of an account that were given up: its dead letters."""

import contextlib
from collections.abc import MutableSequence, Sequence
from dataclasses import dataclass

from parley.core.access import Principal
from parley.core.errors import (
    Busy,
    Conflict,
    NotFound,
    ParleyError,
    TooManyOpenTurns,
    TransitionRefused,
    Unavailable,
)
from parley.core.prompt import Prompt, Status
from parley.ports import DeadLetter, DeadLetters, Page, PromptQuery
from parley.usecases.retry import Retry

AT_ONCE = 100
# A record is written before its prompt is abandoned, which these may still come to be.
UNDER_WAY = frozenset({Status.RUNNING, Status.ERRORED})


@dataclass(frozen=True, slots=True)
class Redrive:
    """Lists dead letters and gives their prompts a new turn.

    The table says what they are, where each account has a list of its own. The queue is one
    for all accounts, so many records of one would hide the others'; it is there for the
    alarm and for operators, and is kept in step as far as one look at it goes.
    """

    dead_letters: DeadLetters
    retry: Retry

    async def list(
        self, principal: Principal, limit: int = AT_ONCE, after: str = ""
    ) -> Page[DeadLetter]:
        """Dead letters of the account, the newest prompt first."""
        principal.require_admin()
        query = PromptQuery(
            principal.account, None, given_up=True, descending=True, limit=limit, after=after
        )
        page = await self.retry.prompts.prompts(query)
        return Page([_letter(prompt) for prompt in page.items], page.after)

    async def redrive(
        self, principal: Principal, prompt_id: str = ""
    ) -> tuple[Sequence[Prompt], Sequence[DeadLetter]]:
        """Retry what was given up: the oldest 100 prompts, or the one that is named.

        Answers the retried prompts and what was obsolete: it cannot be retried, or there is
        but a record in the queue, whose prompt is gone or was dealt with since. Both are dead
        letters no more, and their records are deleted. A record of an unfinished prompt
        stays: it is written before the prompt is abandoned, so its time may be about to
        come. What cannot be retried just now stays, too, and does not keep the others from
        it; that is raised (TooManyOpenTurns, Busy, Unavailable) if nothing else was done.
        """
        principal.require_admin()
        records = list(await self.dead_letters.take(principal.account, AT_ONCE))
        retried: list[Prompt] = []
        obsolete: list[DeadLetter] = []
        blocked: list[ParleyError] = []
        try:
            for prompt in await self._given_up(principal.account, prompt_id):
                try:
                    again = await self._retried(principal, prompt)
                except (TooManyOpenTurns, Busy, Unavailable) as error:
                    blocked.append(error)
                    continue
                if again is not None:
                    retried.append(again)
                else:
                    obsolete.append(_letter(prompt))
                await self._forget(records, prompt.id)
            for record in list(records):
                if prompt_id in ("", record.prompt_id) and await self._over(record):
                    obsolete.append(record)
                    await self._forget(records, record.prompt_id)
        finally:
            await self.dead_letters.give_back(records)
        if blocked and not retried and not obsolete:
            raise blocked[0]
        return retried, obsolete

    async def _given_up(self, account: str, prompt_id: str) -> Sequence[Prompt]:
        prompts = self.retry.prompts
        if prompt_id:
            named = await prompts.prompt(account, prompt_id)
            return [named] if named and named.given_up else []
        query = PromptQuery(account, None, given_up=True, limit=AT_ONCE)
        return (await prompts.prompts(query)).items

    async def _retried(self, principal: Principal, prompt: Prompt) -> Prompt | None:
        """None if it cannot be: its session has gone on, say, or its thread is gone."""
        try:
            return await self.retry(principal, prompt.id)
        except (NotFound, Conflict):
            with contextlib.suppress(TransitionRefused):  # by now it is none in any case
                await self.retry.prompts.forget(prompt)
            return None

    async def _over(self, record: DeadLetter) -> bool:
        prompt = await self.retry.prompts.prompt(record.account, record.prompt_id)
        return prompt is None or not (prompt.given_up or prompt.status in UNDER_WAY)

    async def _forget(self, records: MutableSequence[DeadLetter], prompt_id: str) -> None:
        """Delete the records of a prompt; each leaves the list as it leaves the queue."""
        for record in [one for one in records if one.prompt_id == prompt_id]:
            await self.dead_letters.forget(record)
            records.remove(record)


def _letter(prompt: Prompt) -> DeadLetter:
    return DeadLetter(prompt.account, prompt.id, prompt.error_code)
