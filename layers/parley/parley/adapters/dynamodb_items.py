"""How threads and prompts lie in the table: their keys and their attributes.

Every partition starts with the account. Attributes that are empty are left out: a prompt
without trouble stays below 1 KB, which is what a write is billed by.

| item | pk | sk | indexes |
|---|---|---|---|
| thread | `{account}#T#{thread}` | `o` | by_owner of its creator, by_account; due if deleted |
| session | the same | `o` | by_owner of its llm_client, by_account of sessions; due if deleted |
| open turn | the thread's | `o#{turn}` | by_open, due |
| member | the thread's | `u#{user}` | by_owner |
| prompt | `{account}#P#{prompt}` | `prompt` | by_owner, by_account; by_open if given up |

A session without any turn expires, and so does the mark of a deleted thread: the same
attribute, which is the thread's own only as long as it is not deleted.
"""

import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from parley.adapters.dynamodb_expressions import Condition, Item, Key, Put
from parley.core.prompt import Attempt, OpenTurn, Outcome, Prompt, Status, Usage
from parley.core.thread import Thread

SHARDS = 8
LAST = "~"  # sorts after every character of an id
PROMPT_FIXED = (
    "thread_id",
    "user_id",
    "created_at",
    "fingerprint",
    "max_retries",
    "sync",
    "model_id",
    "client",
    "client_number",
)
PROMPT_MOVING = (
    "turn",
    "status",
    "updated_at",
    "run_count",
    "failures",
    "losses",
    "last_run",
    "next_attempt_at",
    "lease_token",
    "lease_until",
    "cancel_requested",
    "error",
    "error_code",
    "given_up",
    "response_message_id",
)
THREAD_PLAIN = (
    "title",
    "created_by",
    "created_at",
    "updated_at",
    "next_turn",
    "deleted",
    "client",
    "expires_at",
    "minute",
    "minute_turns",
    "client_number",
)
THREAD_LISTS = ("user_ids", "topic_ids", "intro")


def plain(thing: object, names: Iterable[str]) -> Item:
    """The named fields that are not empty. Enumerations are their text already."""
    return {name: value for name in names if (value := getattr(thing, name))}


def taken(item: Item, names: Iterable[str]) -> Item:
    return {name: item[name] for name in names if name in item}


def place(at: int, id_: str) -> str:
    """Where something stands in a list by time."""
    return f"{at:013d}#{id_}"


def shard(id_: str) -> int:
    """Spreads the work due over partitions; the same in every process."""
    return zlib.crc32(id_.encode()) % SHARDS


# --- prompts


def prompt_key(account: str, prompt_id: str) -> Key:
    return f"{account}#P#{prompt_id}", "prompt"


def live_key(account: str, prompt_id: str) -> Key:
    """The text of a running attempt, beside its prompt."""
    return f"{account}#P#{prompt_id}", "live"


def prompts_of_user(account: str, user_id: str) -> str:
    return f"{account}#U#{user_id}#P"


def prompts_of_account(account: str) -> str:
    return f"{account}#P"


def open_prompts(account: str) -> str:
    return f"{account}#open"


def dead_letters(account: str) -> str:
    return f"{account}#dead"


def prompt_item(prompt: Prompt) -> Item:
    """A new prompt. Of its index keys only those of a dead letter come and go."""
    pk, sk = prompt_key(prompt.account, prompt.id)
    listed = place(prompt.created_at, prompt.id)
    return {
        "pk": pk,
        "sk": sk,
        "g1pk": prompts_of_user(prompt.account, prompt.user_id),
        "g1sk": listed,
        "g2pk": prompts_of_account(prompt.account),
        "g2sk": listed,
        **plain(prompt, PROMPT_FIXED),
        **moving_attributes(prompt),
    }


def moving_attributes(prompt: Prompt) -> Item:
    """What transitions change, as far as it is not empty."""
    attempts = [_attempt_map(attempt) for attempt in prompt.attempts]
    return plain(prompt, PROMPT_MOVING) | ({"attempts": attempts} if attempts else {})


def emptied_attributes(prompt: Prompt) -> list[str]:
    """What transitions change and what is empty now."""
    stored = moving_attributes(prompt) | dead_letter_keys(prompt)
    names = (*PROMPT_MOVING, "attempts", "g3pk", "g3sk")
    return [name for name in names if name not in stored]


def dead_letter_keys(prompt: Prompt) -> Item:
    """Its place in the list of what was given up, which is in the index of what is open."""
    if not prompt.given_up:
        return {}
    return {"g3pk": dead_letters(prompt.account), "g3sk": place(prompt.created_at, prompt.id)}


def to_prompt(item: Item) -> Prompt:
    account, _, prompt_id = item["pk"].split("#", 2)
    empty: Item = {"user_id": "", "fingerprint": "", "created_at": 0, "updated_at": 0, "turn": 0}
    values = empty | taken(item, (*PROMPT_FIXED, *PROMPT_MOVING))
    return Prompt(
        account=account,
        id=prompt_id,
        max_retries=values.pop("max_retries", 0),
        status=Status(values.pop("status")),
        attempts=tuple(_to_attempt(attempt) for attempt in item.get("attempts", ())),
        **values,
    )


def _attempt_map(attempt: Attempt) -> Item:
    """Short names: they are stored with every attempt."""
    stored: Item = {
        "n": attempt.number,
        "s": attempt.started_at,
        "e": attempt.ended_at,
        "o": attempt.outcome.value,
    }
    if attempt.reason:
        stored["r"] = attempt.reason
    if attempt.usage:
        stored["u"] = [attempt.usage.prompt_tokens, attempt.usage.completion_tokens]
    return stored


def _to_attempt(stored: Mapping[str, Any]) -> Attempt:
    return Attempt(
        stored["n"],
        stored["s"],
        stored["e"],
        Outcome(stored["o"]),
        stored.get("r", ""),
        Usage(*stored["u"]) if "u" in stored else None,
    )


# --- threads


def thread_pk(account: str, thread_id: str) -> str:
    return f"{account}#T#{thread_id}"


def thread_key(account: str, thread_id: str) -> Key:
    return thread_pk(account, thread_id), "o"


def threads_of_user(account: str, user_id: str) -> str:
    return f"{account}#U#{user_id}#T"


def threads_of_account(account: str) -> str:
    return f"{account}#T"


def sessions_of_client(account: str, client: str) -> str:
    return f"{account}#C#{client}#S"


def sessions_of_account(account: str) -> str:
    return f"{account}#S"


def thread_item(thread: Thread) -> Item:
    """A new thread in its lists: a session's are its llm_client's and the account's own.

    Its holder is nobody who lists threads, and people's lists must not fill with sessions.
    """
    account = thread.account
    pk, sk = thread_key(account, thread.id)
    listed = place(thread.created_at, thread.id)
    if thread.client:
        owner, every = sessions_of_client(account, thread.client), sessions_of_account(account)
    else:
        owner, every = threads_of_user(account, thread.created_by), threads_of_account(account)
    return {
        "pk": pk,
        "sk": sk,
        "g1pk": owner,
        "g1sk": listed,
        "g2pk": every,
        "g2sk": listed,
        **thread_attributes(thread),
    }


def thread_attributes(thread: Thread) -> Item:
    lists = {name: list(entries) for name, entries in plain(thread, THREAD_LISTS).items()}
    return plain(thread, THREAD_PLAIN) | lists


def to_thread(item: Item) -> Thread:
    account, _, thread_id = item["pk"].split("#", 2)
    values: Item = {"title": "", "created_by": "", "created_at": 0, "updated_at": 0, "next_turn": 0}
    values |= taken(item, THREAD_PLAIN)
    if "deleted" in values:
        values.pop("expires_at", 0)  # of the mark
    values |= {name: tuple(entries) for name, entries in taken(item, THREAD_LISTS).items()}
    return Thread(account=account, id=thread_id, **values)


def members(thread: Thread) -> set[str]:
    """The users whose lists show the thread besides its creator's; none for a session."""
    return set() if thread.client else set(thread.user_ids) - {thread.created_by}


def member_key(thread: Thread, user_id: str) -> Key:
    return thread_pk(thread.account, thread.id), f"u#{user_id}"


def member_item(thread: Thread, user_id: str) -> Item:
    pk, sk = member_key(thread, user_id)
    return {
        "pk": pk,
        "sk": sk,
        "g1pk": threads_of_user(thread.account, user_id),
        "g1sk": place(thread.created_at, thread.id),
    }


def new_thread_writes(thread: Thread, now_seconds: int) -> list[Put]:
    """A thread that must not exist yet, first, and its members.

    The mark of a deleted one is respected until it expires, and so is a session that nobody
    has asked anything in: TTL removes them late.
    """
    absent = Condition("attribute_not_exists(#pk) OR #expires_at <= :now", {":now": now_seconds})
    return [
        Put(thread_item(thread), absent),
        *(Put(member_item(thread, user_id)) for user_id in sorted(members(thread))),
    ]


# --- open turns


def open_turn_key(account: str, thread_id: str, turn: int) -> Key:
    return thread_pk(account, thread_id), f"o#{turn:010d}"


def due_shard(number: int) -> str:
    return f"due#{number}"


def deletion_shard(number: int) -> str:
    return f"delete#{number}"


def open_turn_item(prompt: Prompt, due: int, distance: int) -> Item:
    """The mark of an unfinished prompt in its thread, and in the index of work due."""
    pk, sk = open_turn_key(prompt.account, prompt.thread_id, prompt.turn)
    return {
        "pk": pk,
        "sk": sk,
        "prompt_id": prompt.id,
        "user_id": prompt.user_id,
        "distance": distance,
        "duepk": due_shard(shard(prompt.id)),
        "duesk": due,
        "g3pk": open_prompts(prompt.account),
        "g3sk": place(prompt.created_at, prompt.id),
    }


def to_open_turn(item: Item) -> OpenTurn:
    account, _, thread_id = item["pk"].split("#", 2)
    return OpenTurn(
        account=account,
        thread_id=thread_id,
        turn=int(item["sk"].removeprefix("o#")),
        prompt_id=item["prompt_id"],
        user_id=item["user_id"],
        due=item["duesk"],
        distance=item["distance"],
    )
