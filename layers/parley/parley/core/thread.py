"""Threads and their messages: the only place where text lives."""

from dataclasses import dataclass, field
from enum import StrEnum

TITLE_LENGTH = 100
DEFAULT_TITLE = "New chat"
# A thread and its members change in one transaction, which holds 100 writes: all of the
# users may be replaced by as many others.
MEMBERS_CAP = 49

# Where a template of the completions call has its question, and how large the two may get
# together: a question of 300 KB, named often enough, would fill the runner's memory.
PLACEHOLDER = "{prompt}"
COMPLETION_LIMIT_BYTES = 1024 * 1024


class Role(StrEnum):
    """Who speaks."""

    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


# The parts of a turn. A turn has at most one answer because the answer's key is
# (thread, turn, ANSWER): a second one has no place to be (I2). Rounds of tool calls lie
# between the two, round n at part QUESTION + n.
QUESTION = 1
ANSWER = 1000

# In the `meta` of an answer: the numbers of the plugins that its turn had for a term.
CALLED_UP = "plugins"
# And, of an answer of an llm_client: the model that gave it, and its provider; the latter only
# if the model is the llm_client's own and not one that a plugin chose.
MODEL = "model"
PROVIDER = "provider"
# And the figures that the model was asked with, as texts; no temperature if it was left to it.
TEMPERATURE = "temperature"
MAX_TOKENS = "max_tokens"
# In the `meta` of a question that was edited: the turn whose place it takes.
REPLACES = "replaces"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model asked for, and what came of it.

    `arguments` is the model's JSON text, `result` what the model was told. `outcome` is
    "ok" or "failed"; a failed call is told to the model like any other. `plugin` is the
    name of the account's plugin behind the call, empty for a function.
    """

    id: str
    name: str
    arguments: str
    result: str = ""
    outcome: str = ""
    milliseconds: int = 0
    plugin: str = ""


@dataclass(frozen=True, slots=True)
class Thread:
    """An ordered conversation. `next_turn` is the number the next turn gets.

    The last fields are a session's: its llm_client by name and number, the texts it opens
    with, when it expires (seconds; 0 for never) as long as nobody has asked anything, and
    how many turns were accepted in which minute (since the epoch).
    """

    account: str
    id: str
    title: str
    created_by: str
    created_at: int
    updated_at: int
    user_ids: tuple[str, ...] = ()
    topic_ids: tuple[str, ...] = ()
    next_turn: int = 1
    deleted: bool = False
    client: str = ""
    intro: tuple[str, ...] = ()
    expires_at: int = 0
    minute: int = 0
    minute_turns: int = 0
    client_number: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of a thread.

    `template` belongs to a question that is sent to the completions call. `partial`
    marks what was kept of a canceled answer. `meta` is small and free of secrets. A
    message with the role `tool` is one round of `calls`: call and result are one item, so
    that no reader can get one without the other.
    """

    account: str
    thread_id: str
    turn: int
    part: int
    id: str
    role: Role
    text: str
    created_at: int
    updated_at: int
    user_id: str = ""
    template: str = ""
    finish_reason: str = ""
    partial: bool = False
    asset_ids: tuple[str, ...] = ()
    meta: dict[str, str] = field(default_factory=dict)
    calls: tuple[ToolCall, ...] = ()


def replaced_turn(message: Message) -> int:
    """The turn that a question takes the place of, or 0: an edit's is always an earlier one."""
    text = message.meta.get(REPLACES, "") if message.part == QUESTION else ""
    turn = int(text) if text.isascii() and text.isdigit() else 0
    return turn if turn < message.turn else 0


def title_of(text: str) -> str:
    """The contract's title rule, cut on a character and not inside of one."""
    return text[:TITLE_LENGTH]


def answer_id(prompt_id: str, turn: int) -> str:
    """The id of a prompt's answer, derived so that a repeated finish writes the same one."""
    return f"msg_{prompt_id}.{turn}"


def round_id(prompt_id: str, turn: int, number: int) -> str:
    """The id of an answer's round of tool calls, derived like the answer's."""
    return f"{answer_id(prompt_id, turn)}.{number}"


# Between the texts of two rounds in the answer that they make together.
ROUNDS_APART = "\n\n"


def rendered_size(template: str, text: str) -> int:
    """The UTF-8 bytes of `render`'s result, known without making it."""
    places = template.count(PLACEHOLDER)
    growth = _size(text) - len(PLACEHOLDER)
    return _size(template) + places * growth


def render(template: str, text: str) -> str:
    """The template with the question in its places.

    Only for what `rendered_size` found to be within `COMPLETION_LIMIT_BYTES`.
    """
    return template.replace(PLACEHOLDER, text)


def _size(text: str) -> int:
    return len(text.encode(errors="replace"))
