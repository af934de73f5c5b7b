"""Reading prompts: one, lists of them by index, heads of threads and work due."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace

from parley.adapters.dynamodb_cursors import beyond, cursor, position_in
from parley.adapters.dynamodb_expressions import ALWAYS, KEYS, Condition, Item, Key, Span
from parley.adapters.dynamodb_items import (
    LAST,
    SHARDS,
    dead_letters,
    due_shard,
    open_prompts,
    place,
    prompt_key,
    prompts_of_account,
    prompts_of_user,
    thread_pk,
    to_open_turn,
    to_prompt,
    to_thread,
)
from parley.adapters.dynamodb_messages import (
    message_place,
    messages_span,
    to_message,
)
from parley.adapters.dynamodb_table import Table
from parley.core.prompt import UNFINISHED, OpenTurn, Prompt, Status
from parley.core.thread import QUESTION
from parley.ports import COUNT_EXAMINED, Conversation, Page, PromptQuery, ThreadHead

HEAD_LIMIT = 101
PAGE = 100
# A list call examines so many prompts at most and hands out a cursor then: what a filter
# leaves out costs as much as what it lets through.
EXAMINED = 1000


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A prompt that an index names; `turn` is the one it must still have, 0 for any."""

    position: str
    prompt_id: str
    turn: int = 0


def _list_name(query: PromptQuery) -> str:
    """Which list serves a query. Status is no index key: only "unfinished" has an index."""
    if query.given_up:
        return "dead letters"
    if query.thread_id:
        return f"thread {query.thread_id}"
    if query.statuses and UNFINISHED.issuperset(query.statuses):
        return "by_open"
    return "by_account" if query.user_id is None else "by_owner"


def _span(query: PromptQuery) -> Span:
    name = _list_name(query)
    if query.given_up:
        return Span(dead_letters(query.account), "0", LAST, "by_open", query.descending)
    if query.thread_id:
        span = messages_span(query.account, query.thread_id, descending=query.descending)
        return replace(span, attributes=("pk", "sk", "id"))
    if name == "by_owner":
        pk = prompts_of_user(query.account, query.user_id or "")
    elif name == "by_account":
        pk = prompts_of_account(query.account)
    else:
        pk = open_prompts(query.account)
    span = Span(pk, "0", LAST, name, query.descending)
    if name == "by_open" and query.user_id is not None:
        own = Condition("#user_id = :user_id", {":user_id": query.user_id})
        return replace(span, condition=own)
    return span


def _candidate(item: Item, index: str) -> _Candidate | None:
    """The prompt that an entry of a list names; None for messages that are no question."""
    position = item[KEYS[index][1]]
    if index:
        return _Candidate(position, position.partition("#")[2])
    turn, part = message_place(position)
    return _Candidate(position, item["id"], turn) if part == QUESTION else None


def _may_own(item: Item, query: PromptQuery) -> bool:
    """False for the entry of somebody else's prompt, where the index tells."""
    return query.user_id is None or item.get("user_id", query.user_id) == query.user_id


def _matches(prompt: Prompt, query: PromptQuery) -> bool:
    return (
        query.user_id in (None, prompt.user_id)
        and (not query.given_up or prompt.given_up)
        and query.thread_id in ("", prompt.thread_id)
        and (not query.statuses or prompt.status in query.statuses)
        and (not query.model_ids or prompt.model_id in query.model_ids)
    )


def _index_decides(query: PromptQuery) -> bool:
    """True if every entry of the list matches, so that counting them is enough."""
    every = not query.statuses or frozenset(query.statuses) == UNFINISHED
    return every and not (query.model_ids or query.ids or query.thread_id or query.given_up)


def _next_due(places: Sequence[tuple[int, Key]], limit: int) -> str:
    """Where the page after these starts: with the last moment, of which there may be more.

    A page of one single moment is not to be read for ever: what else became due in it, more
    than a page in one millisecond, is left to the next sweep.
    """
    if len(places) < limit:
        return ""
    first, last = places[0][0], places[-1][0]
    return str(last + (first == last))


class PromptReads:
    """The reading half of `ports.PromptStore`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def thread_head(self, account: str, thread_id: str) -> ThreadHead:
        span = Span(thread_pk(account, thread_id), "o", "o#" + LAST)
        items, _ = await self._table.page(span, HEAD_LIMIT + 1)
        thread = to_thread(items.pop(0)) if items and items[0]["sk"] == "o" else None
        return ThreadHead(thread, tuple(to_open_turn(item) for item in items[:HEAD_LIMIT]))

    async def conversation(self, account: str, thread_id: str, limit: int) -> Conversation:
        """Backwards through the thread: its open turns (`o#…`), itself (`o`), messages (`m#…`)."""
        span = Span(thread_pk(account, thread_id), "m#", "o#" + LAST, descending=True)
        items, more = await self._table.page(span, max(limit, HEAD_LIMIT + 1))
        thread = next((to_thread(item) for item in items if item["sk"] == "o"), None)
        turns = [to_open_turn(item) for item in reversed(items) if item["sk"].startswith("o#")]
        messages = [to_message(item) for item in items if item["sk"].startswith("m#")]
        return Conversation(ThreadHead(thread, tuple(turns[:HEAD_LIMIT])), tuple(messages), more)

    async def head(self, account: str, thread_id: str) -> OpenTurn | None:
        span = Span(thread_pk(account, thread_id), "o#", "o#" + LAST)
        items, _ = await self._table.page(span, 1)
        return to_open_turn(items[0]) if items else None

    async def prompt(self, account: str, prompt_id: str) -> Prompt | None:
        item = await self._table.get(prompt_key(account, prompt_id))
        return to_prompt(item) if item else None

    async def _read(self, account: str, ids: Sequence[str]) -> dict[str, Prompt]:
        items = await self._table.batch_get([prompt_key(account, id_) for id_ in ids])
        found = [to_prompt(item) for item in items.values()]
        return {prompt.id: prompt for prompt in found}

    async def prompts(self, query: PromptQuery) -> Page[Prompt]:
        if query.ids:
            return await self._named(query)
        name = _list_name(query)
        found: list[tuple[str, Prompt]] = []
        examined = 0
        last = ""
        span = _span(query)
        position = position_in(name, query.after)
        async for items in self._entries(query, span, position):
            named = (_candidate(item, span.index) for item in items if _may_own(item, query))
            found += await self._kept(query, [candidate for candidate in named if candidate])
            if len(found) > query.limit:
                break
            examined += len(items)
            if examined >= EXAMINED:
                last = items[-1][KEYS[span.index][1]]
                break
        page = found[: query.limit]
        if len(found) > len(page):
            last = page[-1][0] if page else ""
        return Page([prompt for _, prompt in page], cursor(name, last) if last else "")

    async def _entries(
        self, query: PromptQuery, span: Span, position: str
    ) -> AsyncIterator[list[Item]]:
        """The entries of the list after `position`, a page at a time.

        Without the span's condition: what DynamoDB leaves out has cost the same, and could
        not be counted, so one call might read through everybody's open turns.
        """
        after = beyond(replace(span, condition=ALWAYS), position)
        async for items in self._table.pages(after, min(PAGE, query.limit + 2)):
            rest = [item for item in items if item[KEYS[span.index][1]] != position]
            if rest:
                yield rest

    async def _kept(
        self, query: PromptQuery, candidates: Sequence[_Candidate]
    ) -> list[tuple[str, Prompt]]:
        """The candidates that match, read from the table: an index lags and knows no status."""
        prompts = await self._read(query.account, [c.prompt_id for c in candidates])
        return [
            (candidate.position, prompt)
            for candidate in candidates
            if (prompt := prompts.get(candidate.prompt_id))
            # A retry may have moved the question between the two reads, and a removed id
            # may have been used again: only the turn that a prompt has now lists it.
            and candidate.turn in (0, prompt.turn)
            and _matches(prompt, query)
        ]

    async def _named(self, query: PromptQuery) -> Page[Prompt]:
        """A list of given ids, in the order of every other list."""
        position = position_in("ids", query.after)
        prompts = await self._read(query.account, query.ids)
        places = sorted(
            (
                f"{prompt.turn:010d}" if query.thread_id else place(prompt.created_at, prompt.id),
                prompt.id,
            )
            for prompt in prompts.values()
            if _matches(prompt, query)
        )
        if query.descending:
            places.reverse()
        if position:
            places = [
                at for at in places if (at[0] < position if query.descending else at[0] > position)
            ]
        page = places[: query.limit]
        after = cursor("ids", page[-1][0]) if page and len(places) > len(page) else ""
        return Page([prompts[id_] for _, id_ in page], after)

    async def count_prompts(self, query: PromptQuery, cap: int) -> int:
        if _index_decides(query):
            return await self._table.count(_span(query), cap, COUNT_EXAMINED)
        counts: Counter[Status] = Counter()
        async for prompts in self._examined(query):
            counts.update(prompt.status for prompt in prompts)
            if counts.total() >= cap:
                break
        return min(counts.total(), cap)

    async def count_by_status(self, query: PromptQuery, cap: int) -> Mapping[Status, int]:
        counts: Counter[Status] = Counter()
        async for prompts in self._examined(query):
            counts.update(prompt.status for prompt in prompts)
        return {status: min(count, cap) for status, count in counts.items()}

    async def _examined(self, query: PromptQuery) -> AsyncIterator[list[Prompt]]:
        """The matches among the first `COUNT_EXAMINED` of a list, a page at a time."""
        if query.ids:
            found = await self._read(query.account, query.ids)
            yield [prompt for prompt in found.values() if _matches(prompt, query)]
            return
        span = _span(query)
        examined = 0
        # Counted by what a page examines, not by what it holds: a page whose items the
        # condition all left out has cost the same.
        async for items in self._table.pages(span, PAGE):
            named = (_candidate(item, span.index) for item in items)
            kept = await self._kept(query, [candidate for candidate in named if candidate])
            yield [prompt for _, prompt in kept]
            examined += PAGE
            if examined >= COUNT_EXAMINED:
                return

    async def due(self, now: int, limit: int, after: str = "") -> Page[OpenTurn]:
        since = int(after or 0)
        places = await self._table.due_since(map(due_shard, range(SHARDS)), since, now, limit)
        found = await self._table.batch_get([key for _, key in places])
        # Read from the table: the index names the places only, and what it names may be
        # over, or moved, by now.
        turns = [to_open_turn(found[key]) for _, key in places if key in found]
        return Page([turn for turn in turns if turn.due <= now], _next_due(places, limit))
