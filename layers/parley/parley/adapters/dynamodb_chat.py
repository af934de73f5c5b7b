"""What chat keeps besides its threads, in DynamoDB. All of it expires.

| item | pk | sk |
|---|---|---|
| turns of a minute | `{account}#L#{llm_client}` | `{minute}` |
| sticky text | `{account}#Y#{id}` | `sticky` |
"""

from parley.adapters.dynamodb_expressions import Condition, Put, Update
from parley.adapters.dynamodb_table import ConditionFailed, Table
from parley.ports import TurnCounts

COUNTED_SECONDS = 5 * 60
STICKY_SECONDS = 24 * 60 * 60


class DynamoChat:
    """`ports.ChatStore`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def count_turn(
        self, account: str, client: str, address: str, minute: int, caps: tuple[int, int]
    ) -> TurnCounts:
        """One item holds the minute of all addresses, so that one write can look at both bounds.

        It stays below 8 KB, eight write units: `address` is one of at most 1024 groups, each a
        name of five characters. So one key takes the 100 turns per second that a manifest may
        allow. Race: two turns see the last free place; the condition is on what is counted,
        so one of them gets it.
        """
        if min(caps) < 1:
            return TurnCounts(client_full=caps[0] < 1, address_full=caps[1] < 1)
        own = f"a_{address}"
        free = Condition(
            "(attribute_not_exists(#n) OR #n < :client)"
            f" AND (attribute_not_exists(#{own}) OR #{own} < :address)",
            {":client": caps[0], ":address": caps[1]},
        )
        count = Update(
            (f"{account}#L#{client}", f"{minute:010d}"),
            sets={"expires_at": minute * 60 + COUNTED_SECONDS},
            adds={"n": 1, own: 1},
            condition=free,
        )
        try:
            await self._table.update(count)
        except ConditionFailed as failed:
            counted = failed.item or {}
            return TurnCounts(
                client_full=counted.get("n", 0) >= caps[0],
                address_full=counted.get(own, 0) >= caps[1],
            )
        return TurnCounts()

    async def sticky(self, account: str, id_: str, fresh: str, now: int, *, renew: bool) -> str:
        """One call: the write that is refused answers with what is stored."""
        seconds = now // 1000
        item = {
            "pk": f"{account}#Y#{id_}",
            "sk": "sticky",
            "text": fresh,
            "expires_at": seconds + STICKY_SECONDS,
        }
        absent = Condition("attribute_not_exists(#pk) OR #expires_at <= :now", {":now": seconds})
        try:
            await self._table.put(Put(item) if renew else Put(item, absent))
        except ConditionFailed as failed:
            stored: str = failed.item["text"] if failed.item else fresh
            return stored
        return fresh
