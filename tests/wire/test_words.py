"""What a person is told of a turn without an answer, beside what the flows show."""

import pytest
from parley.wire.smarter.words import TOLD


@pytest.mark.parametrize("reason", ["client_gone", "question_gone"])
def test_what_was_deleted_meanwhile_is_told_as_such(reason: str) -> None:
    """To try again, as is said of what is not foreseen, would not help."""
    words, status = TOLD[reason]
    assert "deleted" in words
    assert status == 410


def test_nobody_is_told_to_say_differently_what_the_provider_never_looked_at() -> None:
    """A wrong key, no credit, a model that is gone: who runs the page can mend it."""
    words, status = TOLD["no_access"]
    assert "tell whoever runs this page" in words
    assert status == 502
    assert "differently" in TOLD["refused"][0]
