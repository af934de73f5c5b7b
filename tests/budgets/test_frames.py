"""What goes over the wires: bytes of a frame, and what a frame adds to its text."""

import pytest
from parley.core.events import (
    FRAME_BYTES,
    delta_frames,
    encoded,
    message_frame,
    prompt_frame,
)
from parley.core.prompt import Prompt, Status
from parley.core.thread import ANSWER, Message, Role

from tests.budgets.world import World

ID = "i" * 128
ENVELOPE_BYTES = 560  # three ids of 128 characters and 176 bytes of JSON around them
USUAL_ENVELOPE_BYTES = 220
STATE_BYTES = 900
WAKE_UP_BYTES = 200
WORST_TEXTS = {"plain": "a", "quotes": '"', "control": "\x00", "emoji": "🍌", "accents": "é"}


def sizes(text: str, id_: str = ID) -> list[int]:
    return [len(encoded(frame)) for frame in delta_frames(id_, id_, 99, text, 0)]


@pytest.mark.parametrize("character", WORST_TEXTS.values(), ids=WORST_TEXTS)
def test_no_delta_is_larger_than_a_frame(character: str) -> None:
    assert max(sizes(character * 200_000)) <= FRAME_BYTES


@pytest.mark.parametrize("character", WORST_TEXTS.values(), ids=WORST_TEXTS)
def test_no_message_is_larger_than_a_frame(character: str) -> None:
    text = character * 100_000
    message = Message(ID, ID, 1, ANSWER, ID, Role.ASSISTANT, text, 1, 1, user_id=ID)

    assert len(encoded(message_frame(message))) <= FRAME_BYTES


def test_a_long_text_takes_few_deltas() -> None:
    length = 300 * 1024

    assert len(sizes("a" * length)) <= 1 + length // (29 * 1024)


def test_a_delta_adds_little_to_its_text() -> None:
    assert sizes("a")[0] - 1 <= ENVELOPE_BYTES
    assert sizes("a", "prom_" + "0" * 24)[0] - 1 <= USUAL_ENVELOPE_BYTES


def test_the_state_of_a_prompt_is_small() -> None:
    prompt = Prompt(
        account=ID,
        id=ID,
        thread_id=ID,
        turn=10**9,
        user_id=ID,
        status=Status.COMPLETED,
        created_at=10**13,
        updated_at=10**13,
        fingerprint="f" * 32,
        max_retries=20,
        error="x" * 4000,
        error_code="first_token_timeout",
        response_message_id=f"msg_{ID}.{10**9}",
    )

    assert len(encoded(prompt_frame(prompt))) <= STATE_BYTES


async def test_a_wake_up_is_a_hint_and_small(warm: World) -> None:
    with warm.meter.bill() as bill:
        await warm.accept("t")

    (sent,) = [call.sent for call in bill.calls if call.operation == "send_message"]
    assert 0 < sent <= WAKE_UP_BYTES
