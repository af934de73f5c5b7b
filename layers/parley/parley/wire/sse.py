"""The thread stream as server-sent events: complete events in one body, then the end.

An event's data carries the chunk of the 2024 contract and the fields of the later one in
one object. A client that knows only the former sees text and a `finish_reason` of the
model's for an answer that is whole; other ends have words of their own.
"""

import json
from typing import Any

from parley.usecases.stream import RETRY_SOON_MS, EventType, Streamed, ThreadEvent

MEDIA_TYPE = "text/event-stream"
# Lambda answers at most 6 MB, escaped once more. What does not fit is asked for again.
BODY_BYTES = 3_000_000


def body_of(streamed: Streamed) -> str:
    """The events, and at last where to go on and when."""
    blocks: list[str] = []
    size = 0
    place, retry_ms = streamed.place, streamed.retry_ms
    for event in streamed.events:
        # ASCII only: some clients split lines at every character that Unicode calls a break.
        block = f"id: {event.place}\ndata: {json.dumps(chunk(event))}\n\n"
        size += len(block.encode())
        if blocks and size > BODY_BYTES:
            retry_ms = RETRY_SOON_MS
            break
        blocks.append(block)
        place = event.place
    else:
        place = streamed.place
    return "".join([*blocks, f"id: {place}\nretry: {retry_ms}\n\n"])


def chunk(event: ThreadEvent) -> dict[str, Any]:
    """An event's data."""
    choice = {"text": event.text}
    if event.type is EventType.DONE:
        # An answer that was deleted since has lost its reason; it was whole all the same.
        whole = event.finish_reason and event.finish_reason != "completed"
        choice = {"finish_reason": event.finish_reason if whole else "stop"}
    elif event.type in {EventType.CANCELED, EventType.ABANDONED}:
        choice = {"finish_reason": event.type.value}
    data: dict[str, Any] = {
        "id": f"cmpl-{event.prompt_id}",
        "object": "text_completion",
        "created": event.created_at // 1000,
        "choices": [choice],
        "usage": {},
        "text": event.text,
        "type": event.type.value,
        "promptId": event.prompt_id,
    }
    if event.message_id:
        data["messageId"] = event.message_id
    return data
