"""The dead-letter queue, as an account's admin sees it."""

from collections.abc import Sequence
from dataclasses import dataclass

from parley.core.access import Principal
from parley.core.errors import Conflict, NotFound
from parley.core.prompt import Prompt
from parley.ports import DeadLetter, DeadLetters
from parley.usecases.cancel import Retry

TAKE = 100


@dataclass(frozen=True, slots=True)
class Redrive:
    """Lists dead letters and gives their prompts a new turn."""

    dead_letters: DeadLetters
    retry: Retry

    async def list(self, principal: Principal) -> Sequence[DeadLetter]:
        """Records of the account, at most 100; they stay in the queue."""
        principal.require_admin()
        letters = await self.dead_letters.take(principal.account, TAKE)
        await self.dead_letters.give_back(letters)
        return letters

    async def redrive(
        self, principal: Principal, prompt_id: str = ""
    ) -> tuple[Sequence[Prompt], Sequence[DeadLetter]]:
        """Retry the prompts of the records (of one prompt, if named).

        Answers the retried prompts and the records that were obsolete: their prompt is
        gone, or it ended otherwise since. Both kinds are deleted from the queue. A record
        of an unfinished prompt stays in it: it is written before the prompt is abandoned,
        so its time may be about to come. Whatever could not be retried now stays, too, and
        the error is raised.
        """
        principal.require_admin()
        letters = list(await self.dead_letters.take(principal.account, TAKE))
        retried: list[Prompt] = []
        obsolete: list[DeadLetter] = []
        try:
            for letter in list(letters):
                if prompt_id and letter.prompt_id != prompt_id:
                    continue
                if any(prompt.id == letter.prompt_id for prompt in retried):
                    obsolete.append(letter)
                elif (prompt := await self._retried(principal, letter)) is not None:
                    retried.append(prompt)
                elif await self._unfinished(letter):
                    continue
                else:
                    obsolete.append(letter)
                await self.dead_letters.forget(letter)
                letters.remove(letter)
        finally:
            await self.dead_letters.give_back(letters)
        return retried, obsolete

    async def _retried(self, principal: Principal, letter: DeadLetter) -> Prompt | None:
        """None if there is nothing to retry. One that is scheduled by now was retried before."""
        try:
            return await self.retry(principal, letter.prompt_id)
        except (NotFound, Conflict):
            return None

    async def _unfinished(self, letter: DeadLetter) -> bool:
        prompt = await self.retry.prompts.prompt(letter.account, letter.prompt_id)
        return prompt is not None and not prompt.status.terminal
