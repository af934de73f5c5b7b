"""The conditions under which prompts and threads are written, each with its race."""

from parley.adapters.dynamodb_expressions import Condition, Item, Update
from parley.adapters.dynamodb_items import thread_key
from parley.adapters.dynamodb_table import Refusal
from parley.core.errors import ThreadDeleted, TurnTaken
from parley.core.prompt import OpenTurn, Prompt, Status
from parley.core.thread import Thread

ABSENT = Condition("attribute_not_exists(#pk)")
PRESENT = Condition("attribute_exists(#pk)")


def held(prompt: Prompt) -> Condition:
    """The attempt still has its lease (I10).

    Race: attempt 1 stalls past its lease, attempt 2 takes over with a token of its own,
    attempt 1 wakes up and writes its answer. It finds another token, or none at all, for
    every end of an attempt takes the token away.
    """
    return Condition(
        "#lease_token = :held AND #status = :running",
        {":held": prompt.lease_token, ":running": Status.RUNNING},
    )


def held_and_wanted(prompt: Prompt) -> Condition:
    """The attempt has its lease and was not asked to cancel; `lifecycle.fail` draws the race."""
    mine = held(prompt)
    return Condition(f"{mine.text} AND attribute_not_exists(#cancel_requested)", mine.values)


def held_and_unwanted(prompt: Prompt) -> Condition:
    """The attempt has its lease and was asked to cancel.

    What is stored counts, for the wish comes after the claim. Race: the attempt's failure is
    refused because its lease is over; without a wish it may not be called canceled.
    """
    mine = held(prompt)
    return Condition(f"{mine.text} AND attribute_exists(#cancel_requested)", mine.values)


def unmoved(prompt: Prompt) -> Condition:
    """Nothing that a transition's condition looks at has changed since the read.

    Race: the sweeper reads an expired lease and gives the prompt up, meanwhile a late
    renewal, a takeover or a cancel arrives: the lease's end, the count of attempts or the
    status has moved. Thread and turn tell a removed prompt from a new one of its id.
    """
    seen = {
        "thread_id": prompt.thread_id,
        "turn": prompt.turn,
        "status": prompt.status,
        "run_count": prompt.run_count,
        "lease_until": prompt.lease_until,
        "cancel_requested": prompt.cancel_requested,
    }
    texts = [f"#{n} = :seen_{n}" if v else f"attribute_not_exists(#{n})" for n, v in seen.items()]
    return Condition(" AND ".join(texts), {f":seen_{n}": v for n, v in seen.items() if v})


def waiting(turn: OpenTurn, now: int, *, alone: bool) -> Condition:
    """The prompt waits, at the place of the head that was seen, and is no suspect here.

    Race: between the look at the head and the claim the prompt is canceled and retried,
    and has its turn behind others now. `lifecycle.claim` draws it.
    """
    innocent = "" if alone else " AND attribute_not_exists(#losses)"
    return Condition(
        "#thread_id = :thread_id AND #turn = :turn AND (#status = :scheduled"
        " OR (#status = :errored AND #next_attempt_at <= :now))" + innocent,
        {
            ":thread_id": turn.thread_id,
            ":turn": turn.turn,
            ":scheduled": Status.SCHEDULED,
            ":errored": Status.ERRORED,
            ":now": now,
        },
    )


def advance_thread(
    account: str, thread_id: str, turn: int, now_seconds: int, advanced: Thread | None = None
) -> Update:
    """Take turn `turn`; with `advanced`, store what the turn changes of a session.

    Race: two accepts read `next_turn` 7; both write turn 7 only if it still is 7, so one
    of them gets it and the other reads again. Turns are numbered as they are committed,
    without holes, and nothing is added to a thread once it is marked deleted.

    A thread with a turn does not expire. Race of a session's first turn with its expiry:

        accept                          another call, TTL
        reads the session, alive
                                        a day is over: finds no session, and says so
        would take turn 1, stay for ever
                                        makes the session anew, or deletes the old one

    So the turn is refused from the moment on that readers ignore the session; whoever
    reads again sees none, and begins a new one.
    """
    return Update(
        thread_key(account, thread_id),
        sets={"next_turn": turn + 1, **(_moved(advanced, turn) if advanced else {})},
        removes=("expires_at",),
        condition=Condition(
            "#next_turn = :turn AND attribute_not_exists(#deleted)"
            " AND (attribute_not_exists(#expires_at) OR #expires_at > :now)",
            {":turn": turn, ":now": now_seconds},
        ),
    )


def _moved(session: Thread, turn: int) -> Item:
    """What a turn changes of its session.

    Only the first one gives it a title: a later one would undo a renaming since its read.
    """
    names = ("updated_at", "minute", "minute_turns", *(("title",) if turn == 1 else ()))
    return {name: getattr(session, name) for name in names}


def raise_if_thread_refused(refusal: Refusal, now_seconds: int) -> None:
    """Tell a deleted thread, whose mark has not expired, from a turn that is taken."""
    if not refusal.refused:
        return
    item = refusal.item or {}
    if item.get("deleted") and item.get("expires_at", now_seconds + 1) > now_seconds:
        raise ThreadDeleted("the thread was deleted") from None
    raise TurnTaken from None
