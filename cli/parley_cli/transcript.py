"""What was said in a thread, as people read it."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType

from parley_cli.api import Json
from parley_cli.output import Output, clock_time, tool_line

NOTHING: Mapping[int, str] = MappingProxyType({})


def write_transcript(
    output: Output,
    messages: Sequence[Json],
    name: Callable[[Json], str],
    unanswered: Mapping[int, str] = NOTHING,
) -> None:
    """Write messages of the API, oldest first; `name` says who spoke.

    A round of tool calls is a line for each call. The text before them is part of the
    turn's answer: it is written with the round only where there is no answer. What is to
    be said in place of an answer is in `unanswered`, by turn. Below half an answer it says
    that it was stopped.
    """
    answered = {_turn(one) for one in messages if one.get("role") == "assistant"}
    replaced = {int(one.get("replaces") or 0) for one in messages}
    for message, following in pairwise([*messages, {}]):
        calls = message.get("calls") or []
        if not calls or _turn(message) not in answered:
            mark = " · replaced by an edit" if _turn(message) in replaced else ""
            when = clock_time(message.get("createdAt"))
            output.say(f"\n{name(message)} · {when}{mark}", "dim")
            text = str(message.get("content") or message.get("text") or "").rstrip()
            output.write(f"{text}\n" if text or not calls else "")
        for call in calls:
            output.say(f"· {tool_line(call)}", "dim")
        if message.get("partial"):
            output.say("· stopped", "dim")
        turn = _turn(message)
        if turn in unanswered and turn not in answered and turn != _turn(following):
            output.say(f"· {unanswered[turn]}", "dim")


def _turn(message: Json) -> int:
    return int(message.get("turn") or -1)
