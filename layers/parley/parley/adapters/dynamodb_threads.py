"""Threads and their messages in DynamoDB."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from parley.adapters.aws import BUSY
from parley.adapters.dynamodb_conditions import ABSENT, advance_thread, raise_if_thread_refused
from parley.adapters.dynamodb_cursors import beyond, cursor, position_in
from parley.adapters.dynamodb_expressions import (
    KEYS,
    Condition,
    Delete,
    Item,
    Key,
    Put,
    Span,
    Update,
    Write,
)
from parley.adapters.dynamodb_items import (
    LAST,
    SHARDS,
    deletion_shard,
    live_key,
    member_item,
    member_key,
    members,
    new_thread_writes,
    prompt_key,
    sessions_of_account,
    sessions_of_client,
    shard,
    thread_attributes,
    thread_key,
    thread_pk,
    threads_of_account,
    threads_of_user,
    to_thread,
)
from parley.adapters.dynamodb_messages import (
    message_id_item,
    message_id_key,
    message_index_pk,
    message_item,
    message_key,
    message_place,
    messages_span,
    to_message,
)
from parley.adapters.dynamodb_table import (
    ATTEMPTS,
    ConditionFailed,
    Contention,
    Table,
    TransactionFailed,
)
from parley.core.errors import (
    Busy,
    Conflict,
    NoSuchThread,
    ThreadDeleted,
    TransitionRefused,
    TurnTaken,
)
from parley.core.thread import QUESTION, Message, Thread
from parley.ports import Page, ThreadChanges

LIST_PAGE = 100
# A list call reads so many pages at most and hands out a cursor then: sessions that nobody
# used, which a crawler leaves by the thousand, stay in the index until TTL removes them.
LIST_PAGES = 10
TOMBSTONE_SECONDS = 7 * 24 * 60 * 60


class DynamoThreads:
    """`ports.ThreadStore`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def thread(self, account: str, thread_id: str) -> Thread | None:
        item = await self._table.get(thread_key(account, thread_id))
        return to_thread(item) if item else None

    async def threads(
        self, account: str, user_id: str | None, limit: int, after: str
    ) -> Page[Thread]:
        if user_id is None:
            index, pk = "by_account", threads_of_account(account)
        else:
            index, pk = "by_owner", threads_of_user(account, user_id)
        return await self._list(f"threads {index}", index, pk, limit, after)

    async def sessions(self, account: str, client: str, limit: int, after: str) -> Page[Thread]:
        if client:
            index, pk = "by_owner", sessions_of_client(account, client)
        else:
            index, pk = "by_account", sessions_of_account(account)
        return await self._list(f"sessions {client}", index, pk, limit, after)

    async def _list(self, name: str, index: str, pk: str, limit: int, after: str) -> Page[Thread]:
        position = position_in(name, after)
        span = beyond(Span(pk, "0", LAST, index, descending=True), position)
        found: list[tuple[str, Thread]] = []
        last, read = "", 0
        async for entries in self._table.pages(span, min(LIST_PAGE, limit + 2)):
            rest = [e for e in entries if e[KEYS[index][1]] != position]
            found += await self._listed(rest, index)
            read += 1
            if len(found) > limit:
                last = found[limit - 1][0]
                break
            if read >= LIST_PAGES and rest:
                last = rest[-1][KEYS[index][1]]
                break
        return Page([thread for _, thread in found[:limit]], cursor(name, last) if last else "")

    async def _listed(self, entries: Sequence[Item], index: str) -> list[tuple[str, Thread]]:
        """The threads that entries of a list stand for; deleted and expired ones left out."""
        keys: list[Key] = [(entry["pk"], "o") for entry in entries]
        items = await self._table.batch_get(keys)
        return [
            (entry[KEYS[index][1]], to_thread(item))
            for entry, key in zip(entries, keys, strict=True)
            if (item := items.get(key)) and not item.get("deleted")
        ]

    async def create_thread(self, thread: Thread) -> None:
        now_seconds = self._table.now_seconds()
        try:
            await self._table.transact(new_thread_writes(thread, now_seconds))
        except TransactionFailed as failed:
            try:
                raise_if_thread_refused(failed.refusals[0], now_seconds)
            except TurnTaken:
                raise Conflict("a thread with this id exists") from None

    async def update_thread(
        self, account: str, thread_id: str, changes: ThreadChanges, now: int
    ) -> Thread:
        """Race: one call takes a user away while another changes the title. What is not
        given is merged with the very read that the write's condition is on, so the second
        reads again: it would bring the user back otherwise, or leave a list behind.
        """
        for _ in range(ATTEMPTS):
            stored = await self.thread(account, thread_id)
            if stored is None or stored.deleted:
                raise NoSuchThread
            changed = changes.applied(stored, now)
            try:
                await self._table.transact(_replacing(stored, changed))
            except TransactionFailed:
                continue
            return changed
        raise Busy(BUSY)

    async def mark_deleted(
        self, account: str, thread_id: str, now: int, *, older_than: int = 0
    ) -> Thread | None:
        """Race: a session is found old, and its holder goes on with it before it is marked."""
        now_seconds = self._table.now_seconds()
        old = Condition("")
        if older_than:
            old = Condition(" AND #updated_at < :older", {":older": older_than})
        update = Update(
            thread_key(account, thread_id),
            sets={
                "deleted": True,
                "updated_at": now,
                "duepk": deletion_shard(shard(thread_id)),
                "duesk": now,
            },
            # The mark of a session must not go when the session would have: see `_bury`.
            removes=("g1pk", "g1sk", "g2pk", "g2sk", "expires_at"),
            # A repeated mark must not put a finished deletion back into the index.
            condition=Condition(
                "attribute_exists(#pk) AND attribute_not_exists(#deleted)"
                f" AND (attribute_not_exists(#expires_at) OR #expires_at > :now){old.text}",
                {":now": now_seconds, **old.values},
            ),
        )
        try:
            return to_thread(await self._table.update(update))
        except ConditionFailed as failed:
            item = failed.item
        if item is None or item.get("expires_at", now_seconds + 1) <= now_seconds:
            return None
        if not item.get("deleted"):
            raise TransitionRefused("mark_deleted")
        return to_thread(item)

    async def delete_page(self, account: str, thread_id: str, limit: int) -> bool:
        """Prompts go before the messages that name them, so that a crash strands none."""
        thread = await self.thread(account, thread_id)
        if thread is None:
            return True
        if not thread.deleted:
            raise Conflict("the thread is not marked deleted")
        pk = thread_pk(account, thread_id)
        span = Span(pk, attributes=("pk", "sk", "id", "prompt_id", "g4pk"))
        items, more = await self._table.page(span, limit + 1)
        rest = [item for item in items if item["sk"] != "o"]
        doomed = [item for item in rest if not item["sk"].startswith("o#")][:limit]
        asked = [item["id"] for item in doomed if _is_question(item)]
        gone = await asyncio.gather(
            *(self._drop(prompt_key(account, id_), thread_id) for id_ in asked)
        )
        # Only what was added by hand has taken its id, and is in the index by it.
        by_hand = [item["id"] for item in doomed if _is_question(item) and "g4pk" in item]
        await asyncio.gather(
            *(self._drop(message_id_key(account, id_), thread_id) for id_ in by_hand)
        )
        lives = [live_key(account, id_) for id_, ended in zip(asked, gone, strict=True) if ended]
        await self._table.batch_delete([*lives, *((item["pk"], item["sk"]) for item in doomed)])
        if more or len(rest) > len(doomed):
            return False
        await self._bury(account, thread_id)
        return True

    async def _drop(self, key: Key, thread_id: str) -> bool:
        """Race: the id was removed and added again, to another thread: leave that one."""
        here = Condition("#thread_id = :thread_id", {":thread_id": thread_id})
        try:
            await self._table.delete(Delete(key, here))
        except ConditionFailed:
            return False
        return True

    async def _bury(self, account: str, thread_id: str) -> None:
        """Leave the mark for a week: late requests must not create the thread anew."""
        expires_at = self._table.now_seconds() + TOMBSTONE_SECONDS
        update = Update(
            thread_key(account, thread_id),
            sets={"expires_at": expires_at},
            removes=("duepk", "duesk"),
            condition=Condition("#deleted = :true AND attribute_exists(#duepk)", {":true": True}),
        )
        try:
            await self._table.update(update)
        except ConditionFailed:
            return

    async def deletions_due(self, now: int, limit: int) -> Sequence[Thread]:
        keys = await self._table.due(map(deletion_shard, range(SHARDS)), now, limit)
        found = await self._table.batch_get(keys)
        return [to_thread(found[key]) for key in keys if key in found and "duepk" in found[key]]

    async def messages(
        self, account: str, thread_id: str, limit: int, after: str, *, newest_first: bool = False
    ) -> Page[Message]:
        """A page may be short, with a cursor: one read ends at 1 MB of texts."""
        name = f"messages {thread_id}"
        position = position_in(name, after)
        span = beyond(messages_span(account, thread_id, descending=newest_first), position)
        found, more = await self._table.page(span, limit + 2)
        items = [item for item in found if item["sk"] != position]
        page = items[:limit]
        more = more or len(items) > len(page)
        after = cursor(name, page[-1]["sk"]) if page and more else ""
        return Page([to_message(item) for item in page], after)

    async def context(
        self, account: str, thread_id: str, turn: int, page: int
    ) -> AsyncIterator[Message]:
        newest = message_key(account, thread_id, turn, 9999)
        span = Span(newest[0], "m#", newest[1], descending=True)
        async for items in self._table.pages(span, page):
            for item in items:
                yield to_message(item)

    async def message(self, account: str, thread_id: str, turn: int, part: int) -> Message | None:
        item = await self._table.get(message_key(account, thread_id, turn, part))
        return to_message(item) if item else None

    async def messages_at(self, places: Sequence[tuple[str, str, int, int]]) -> Sequence[Message]:
        items = await self._table.batch_get([message_key(*place) for place in places])
        return [to_message(item) for item in items.values()]

    async def message_by_id(self, account: str, message_id: str) -> Sequence[Message]:
        span = Span(message_index_pk(account, message_id), index="by_message")
        owners, entries = await asyncio.gather(
            self._table.batch_get(
                [prompt_key(account, message_id), message_id_key(account, message_id)]
            ),
            self._table.every(span),
        )
        keys: list[Key] = [(entry["pk"], entry["sk"]) for entry in entries]
        # What is new may be missing in the index, which lags; these say where it is.
        keys += [
            message_key(account, owner["thread_id"], owner["turn"], QUESTION)
            for owner in owners.values()
        ]
        items = await self._table.batch_get(keys)
        return [to_message(item) for item in items.values() if item["id"] == message_id]

    async def put_message(self, message: Message) -> Message:
        """Race: one message is sent twice, and neither call sees the other's yet. Both would
        be appended; the id can be taken once, so the second one is told to look again.
        """
        stored = await self.message_by_id(message.account, message.id)
        for same in stored:
            if same.thread_id == message.thread_id:
                return await self._replace_text(same, message)
        thread = await self.thread(message.account, message.thread_id)
        if thread is None or thread.deleted:
            raise NoSuchThread
        appended = replace(message, turn=thread.next_turn, part=QUESTION)
        now_seconds = self._table.now_seconds()
        writes: list[Write] = [
            advance_thread(thread.account, thread.id, thread.next_turn, now_seconds),
            Put(message_item(appended)),
            Put(message_id_item(appended), ABSENT),
        ]
        try:
            await self._table.transact(writes, attempts=1)
        except Contention:
            raise TurnTaken from None
        except TransactionFailed as failed:
            of_thread, _, of_id = failed.refusals
            try:
                raise_if_thread_refused(of_thread, now_seconds)
            except ThreadDeleted:
                raise NoSuchThread from None
            if of_id.item and of_id.item["thread_id"] != message.thread_id:
                raise Conflict("the id is taken by another message") from None
            raise TurnTaken from None
        return appended

    async def _replace_text(self, stored: Message, message: Message) -> Message:
        """Race: the message is deleted, or moved by a retry, after it was found by its id.

        Writing to its old place would bring a piece of it back.
        """
        changed = message_item(
            replace(
                stored,
                text=message.text,
                asset_ids=message.asset_ids,
                updated_at=message.updated_at,
            )
        )
        moving = ("text", "asset_ids", "updated_at")
        update = Update(
            message_key(stored.account, stored.thread_id, stored.turn, stored.part),
            sets={name: changed[name] for name in moving if name in changed},
            removes=[name for name in moving if name not in changed],
            condition=Condition("attribute_exists(#pk) AND #id = :id", {":id": stored.id}),
        )
        try:
            return to_message(await self._table.update(update))
        except ConditionFailed:
            raise TurnTaken from None

    async def delete_message(self, message: Message) -> None:
        place = (message.account, message.thread_id, message.turn, message.part)
        deletion = Delete(message_key(*place))
        own = Condition(
            "attribute_not_exists(#pk) OR (#thread_id = :thread_id AND #turn = :turn)",
            {":thread_id": message.thread_id, ":turn": message.turn},
        )
        id_key = message_id_key(message.account, message.id)
        try:
            await self._table.transact([deletion, Delete(id_key, own)])
        except TransactionFailed:
            # The id is taken by another message: this one was the question of a prompt.
            await self._table.delete(deletion)


def _is_question(item: Item) -> bool:
    return item["sk"].startswith("m#") and message_place(item["sk"])[1] == QUESTION


def _replacing(stored: Thread, changed: Thread) -> list[Write]:
    """The thread's title, users and topics as they are to be, and the users' lists with them."""
    attributes = thread_attributes(changed)
    moving = ("title", "user_ids", "topic_ids", "updated_at")
    read = thread_attributes(stored)
    as_read = {
        name: f"#{name} = :read_{name}" if name in read else f"attribute_not_exists(#{name})"
        for name in ("title", "user_ids", "topic_ids")
    }
    update = Update(
        thread_key(changed.account, changed.id),
        sets={name: attributes[name] for name in moving if name in attributes},
        removes=[name for name in moving if name not in attributes],
        condition=Condition(
            " AND ".join(
                ("attribute_exists(#pk)", "attribute_not_exists(#deleted)", *as_read.values())
            ),
            {f":read_{name}": read[name] for name in as_read if name in read},
        ),
    )
    added = members(changed) - members(stored)
    removed = members(stored) - members(changed)
    return [
        update,
        *(Put(member_item(changed, user_id)) for user_id in sorted(added)),
        *(Delete(member_key(changed, user_id)) for user_id in sorted(removed)),
    ]
