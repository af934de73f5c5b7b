"""What can go wrong, in the domain's words.

Errors that a caller can act on are types here; `wire` has one table from these
types to HTTP status codes. Anything else propagates and is a bug or an outage.
The name of a class is also the code that callers of the API are told.
"""

from collections.abc import Sequence


class ParleyError(Exception):
    """Base of every error whose message may be shown to the caller.

    `text` is the message of a class that always says the same.
    """

    text = ""

    def __init__(self, text: str = "") -> None:
        super().__init__(text or self.text)


class Invalid(ParleyError):
    """The request breaks a documented rule; nothing was stored."""


class TooLarge(Invalid):
    """The text is larger than a message may be."""


class WrongCursor(Invalid):
    """What was given as `after` is from another list, or from nowhere."""

    text = "the cursor is not one of this list"


class UnknownModel(Invalid):
    """The catalogue has no model with this id."""

    text = "unknown modelId"


class WrongManifests(Invalid):
    """Manifests that cannot be applied. The message tells the first `problems`, a line each."""

    def __init__(self, text: str, problems: Sequence[str]) -> None:
        super().__init__(text)
        self.problems = tuple(problems)


class Unauthenticated(ParleyError):
    """No key, an unknown key, or a revoked one."""


class Forbidden(ParleyError):
    """The key is good, its role is not enough."""


class AdminNeeded(Forbidden):
    """The key is a user's, and the call is for admins."""

    text = "this call needs an admin key"


class NotFound(ParleyError):
    """Absent, or not the caller's: the two must not be told apart (I8)."""


class NoSuchPath(NotFound):
    """Nothing is served at this address."""

    text = "no such path"


class NoSuchPrompt(NotFound):
    """No prompt has this id."""

    text = "no such prompt"


class NoSuchThread(NotFound):
    """No thread has this id, or it is deleted."""

    text = "no such thread"


class NoSuchMessage(NotFound):
    """No message has this id."""

    text = "no such message"


class NoSuchSession(NotFound):
    """No session has this key or id."""

    text = "no such session"


class NoSuchLlmClient(NotFound):
    """No llm_client has this name or number, or it is not deployed."""

    text = "no such llm_client"


class NoSuchKey(NotFound):
    """No key has this id."""

    text = "no such key"


class NoSuchResource(NotFound):
    """Of what manifests describe, nothing of this kind has this name."""


class Conflict(ParleyError):
    """The id is taken by other content, or the thing is in no state for this call."""


class LabelTaken(Conflict):
    """Another llm_client has a name with the same label in its host."""


class TooManyOpenTurns(ParleyError):
    """The thread already has as many unfinished turns as it may have."""


class Limited(ParleyError):
    """A limit of the llm_client was met; the message says which one, for the person who chats.

    `limit` is its name in the manifest.
    """

    def __init__(self, limit: str, text: str) -> None:
        super().__init__(text)
        self.limit = limit


class TooManyConnections(ParleyError):
    """The account already has as many live sockets as it may have."""


class Busy(ParleyError):
    """Too much contention or throttling just now: the same call may be tried again."""


class Unavailable(ParleyError):
    """A service that Parley needs did not answer; whether the call took effect is unknown."""


class TransitionRefused(Exception):
    """The condition of a transition did not hold; nothing was written.

    Not for callers of the API: use cases read again and decide anew.
    """


class TurnTaken(TransitionRefused):
    """Another accept or retry of the thread committed first (`thread.next_turn` moved)."""


class PromptExists(TransitionRefused):
    """A prompt with this id is stored already (I7)."""


class ThreadDeleted(Conflict):
    """The thread is marked deleted; nothing can be added to it."""


class ProviderFailed(Exception):
    """A provider's call did not give a whole answer.

    `reason` is a code for logs and metrics; `detail` may quote the provider and is
    stored for the prompt's owner only (I9). `retry_after` is in seconds.
    """

    def __init__(
        self, reason: str, detail: str, *, retryable: bool, retry_after: float | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail
        self.retryable = retryable
        self.retry_after = retry_after
