"""How messages lie in the table: their keys and their attributes.

| item | pk | sk | indexes |
|---|---|---|---|
| message | its thread's | `m#{turn}#{part}` | by_message, but for questions of prompts and rounds |
| id of a message added by hand | `{account}#M#{message}` | `message` | |

A question of a prompt has its prompt's id, which says where it is; a round of tool calls is
found through its turn only. Neither pays for an entry in the index.
"""

from parley.adapters.dynamodb_expressions import Condition, Item, Key, Span, Update
from parley.adapters.dynamodb_items import LAST, plain, taken, thread_pk
from parley.core.prompt import Prompt
from parley.core.thread import QUESTION, Message, Role, ToolCall

MESSAGE_PLAIN = (
    "id",
    "text",
    "created_at",
    "updated_at",
    "user_id",
    "template",
    "finish_reason",
    "partial",
)
# Field of a call → its name in the table. Short: a round repeats them with every call.
CALL_NAMES = {
    "id": "i",
    "name": "n",
    "arguments": "a",
    "result": "r",
    "outcome": "o",
    "milliseconds": "ms",
    "plugin": "p",
}


def message_key(account: str, thread_id: str, turn: int, part: int) -> Key:
    return thread_pk(account, thread_id), f"m#{turn:010d}#{part:04d}"


def message_place(sk: str) -> tuple[int, int]:
    """Turn and part in a message's sort key."""
    _, turn, part = sk.split("#")
    return int(turn), int(part)


def messages_span(account: str, thread_id: str, *, descending: bool = False) -> Span:
    return Span(thread_pk(account, thread_id), "m#", "m#" + LAST, descending=descending)


def message_index_pk(account: str, message_id: str) -> str:
    return f"{account}#M#{message_id}"


def message_item(message: Message) -> Item:
    """A message, found by its place and by its id."""
    pk, sk = message_key(message.account, message.thread_id, message.turn, message.part)
    stored = {
        "pk": pk,
        "sk": sk,
        "g4pk": message_index_pk(message.account, message.id),
        "role": message.role.value,
        **plain(message, MESSAGE_PLAIN),
    }
    if message.asset_ids:
        stored["asset_ids"] = list(message.asset_ids)
    if message.meta:
        stored["meta"] = dict(message.meta)
    if message.calls:
        stored["calls"] = [_call_map(call) for call in message.calls]
    if message.role is Role.TOOL:
        del stored["g4pk"]
    return stored


def _call_map(call: ToolCall) -> Item:
    return {CALL_NAMES[name]: value for name, value in plain(call, CALL_NAMES).items()}


def _to_call(stored: Item) -> ToolCall:
    empty: Item = {"id": "", "name": "", "arguments": ""}
    values = {name: stored[short] for name, short in CALL_NAMES.items() if short in stored}
    return ToolCall(**(empty | values))


def message_id_key(account: str, message_id: str) -> Key:
    return message_index_pk(account, message_id), "message"


def message_id_item(message: Message) -> Item:
    """Takes the id of a message that was added by hand, and says where the message is.

    An index can neither refuse an id nor be asked for what was written just now.
    """
    pk, sk = message_id_key(message.account, message.id)
    return {"pk": pk, "sk": sk, "thread_id": message.thread_id, "turn": message.turn}


def question_item(question: Message) -> Item:
    """The question of a stored prompt, whose id it has: the prompt says where it is.

    An entry in the index would cost every prompt a write for nothing; `index_question` makes
    up for it when the prompt is removed.
    """
    stored = message_item(question)
    del stored["g4pk"]
    return stored


def index_question(prompt: Prompt) -> Update:
    """Let the question that a removed prompt leaves behind be found by its id."""
    return Update(
        message_key(prompt.account, prompt.thread_id, prompt.turn, QUESTION),
        sets={"g4pk": message_index_pk(prompt.account, prompt.id)},
        condition=Condition("#id = :id", {":id": prompt.id}),
    )


def to_message(item: Item) -> Message:
    account, _, thread_id = item["pk"].split("#", 2)
    turn, part = message_place(item["sk"])
    empty: Item = {"id": "", "text": "", "created_at": 0, "updated_at": 0}
    return Message(
        account=account,
        thread_id=thread_id,
        turn=turn,
        part=part,
        role=Role(item["role"]),
        asset_ids=tuple(item.get("asset_ids", ())),
        meta=item.get("meta", {}),
        calls=tuple(_to_call(call) for call in item.get("calls", ())),
        **(empty | taken(item, MESSAGE_PLAIN)),
    )
