"""Read prompts: one, one with waiting, a list; with the text from the threads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from parley.core.access import Principal
from parley.core.errors import NoSuchPrompt
from parley.core.policy import CallPolicy
from parley.core.prompt import UNFINISHED, Prompt, Status
from parley.core.thread import ANSWER, QUESTION, Message
from parley.ports import Clock, Page, PromptQuery, PromptStore, ThreadStore
from parley.usecases.waiting import poll


async def owned(prompts: PromptStore, principal: Principal, prompt_id: str) -> Prompt:
    """The caller's own prompt (an admin's: any of the account); raises NotFound."""
    prompt = await prompts.prompt(principal.account, prompt_id)
    if prompt is None or not principal.owns(prompt):
        raise NoSuchPrompt
    return prompt


@dataclass(frozen=True, slots=True)
class Shown:
    """A prompt with what belongs to it; `ahead` counts the thread's turns before it."""

    prompt: Prompt
    question: Message | None
    answer: Message | None = None
    ahead: int = 0


@dataclass(frozen=True, slots=True)
class ReadPrompts:
    """What the API shows of prompts."""

    prompts: PromptStore
    threads: ThreadStore
    clock: Clock
    policy: CallPolicy

    async def show(self, principal: Principal, prompt_id: str, wait: float = 0) -> Shown:
        """The caller's prompt, after waiting up to `wait` seconds for a terminal state.

        Raises NotFound, also if the prompt is removed while waiting.
        """

        async def look() -> Prompt:
            return await owned(self.prompts, principal, prompt_id)

        seconds = min(wait, self.policy.sync_budget)
        prompt = await poll(self.clock, seconds, look, lambda found: found.status.terminal)
        return await self.shown(prompt)

    async def shown(self, prompt: Prompt) -> Shown:
        """The prompt with its question, its answer, and the turns ahead of it."""
        places = [(prompt.account, prompt.thread_id, prompt.turn, QUESTION)]
        if prompt.response_message_id:
            places.append((prompt.account, prompt.thread_id, prompt.turn, ANSWER))
        parts = {message.part: message for message in await self.threads.messages_at(places)}
        ahead = 0
        if not prompt.status.terminal:
            head = await self.prompts.thread_head(prompt.account, prompt.thread_id)
            ahead = sum(turn.turn < prompt.turn for turn in head.open_turns)
        return Shown(prompt, parts.get(QUESTION), parts.get(ANSWER), ahead)

    async def list(self, principal: Principal, query: PromptQuery) -> Page[Shown]:
        """A page of the caller's prompts (an admin's: of the account), with their questions."""
        page = await self.prompts.prompts(_own(principal, query))
        questions = await self._questions(page.items)
        shown = [Shown(prompt, questions.get(prompt.id)) for prompt in page.items]
        return Page(shown, page.after)

    async def count(self, principal: Principal, query: PromptQuery, cap: int) -> int:
        """How many of the caller's prompts match, not counting past `cap`."""
        return await self.prompts.count_prompts(_own(principal, query), cap)

    async def unfinished(self, principal: Principal, cap: int) -> Mapping[Status, int]:
        """How many of the caller's prompts are unfinished, by status, each up to `cap`."""
        query = PromptQuery(principal.account, None, statuses=tuple(sorted(UNFINISHED)))
        counts = await self.prompts.count_by_status(_own(principal, query), cap)
        return {status: counts.get(status, 0) for status in query.statuses}

    async def _questions(self, prompts: Sequence[Prompt]) -> dict[str, Message]:
        places = [(p.account, p.thread_id, p.turn, QUESTION) for p in prompts]
        if not places:
            return {}
        return {message.id: message for message in await self.threads.messages_at(places)}


def _own(principal: Principal, query: PromptQuery) -> PromptQuery:
    """The query, bound to what the caller may see: users their own, admins the account's."""
    user_id = None if principal.admin else principal.user_id
    return replace(query, account=principal.account, user_id=user_id)
