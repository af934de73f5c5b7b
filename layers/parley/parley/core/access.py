"""Keys, and who may see what."""

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum

from parley.core.errors import AdminNeeded, Invalid, TooLarge
from parley.core.prompt import Prompt
from parley.core.thread import Thread

ID_PATTERN = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
TEXT_LIMIT_BYTES = 300 * 1024
# A question and its template share one item, of which DynamoDB takes 400 KB.
QUESTION_LIMIT_BYTES = 350 * 1024


class KeyRole(StrEnum):
    """What a key may do: an admin's works on the whole account, a user's on its own.

    A client's may only chat, with one llm_client. A session is no key's: its role is of
    whoever holds a session key, for that one thread.
    """

    ADMIN = "admin"
    USER = "user"
    CLIENT = "client"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A stored key: its hash, never the key.

    `client` is the llm_client of a client's key, `client_number` its number, or 0 if there
    was none yet: a later llm_client of the same name does not match. `expires_at` (seconds,
    0 for never) is of the short-lived ones that pages get, and `made_by` the hash of the key
    that made such a one: it is good for as long as that is.
    """

    account: str
    id: str
    hash: str
    user_id: str
    role: KeyRole
    name: str
    created_at: int
    revoked_at: int = 0
    client: str = ""
    expires_at: int = 0
    made_by: str = ""
    client_number: int = 0


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling. What follows `key_hash` is as in the key that was sent, or the session."""

    account: str
    user_id: str
    role: KeyRole
    key_hash: str
    client: str = ""
    made_by: str = ""
    expires_at: int = 0
    client_number: int = 0

    @property
    def admin(self) -> bool:
        return self.role is KeyRole.ADMIN

    def require_admin(self) -> None:
        """Raise AdminNeeded unless the key is an admin's."""
        if not self.admin:
            raise AdminNeeded

    def owns(self, prompt: Prompt) -> bool:
        """True if the caller may see and change the prompt."""
        return prompt.account == self.account and (self.admin or prompt.user_id == self.user_id)

    def sees(self, thread: Thread) -> bool:
        """True if the caller may read and follow the thread; a session's holder only that."""
        if self.role is KeyRole.SESSION and thread.id != self.user_id:
            return False
        return thread.account == self.account and (
            self.admin or self.user_id == thread.created_by or self.user_id in thread.user_ids
        )


def key_hash(key: str) -> str:
    """What is stored of a key. The keys have 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(key.encode()).hexdigest()


def bare_key(header: str) -> str:
    """The key in an `Authorization` value: `Bearer KEY`, `Token KEY` or the bare key."""
    words = header.split()
    if len(words) == 2 and words[0].lower() in {"bearer", "token"}:
        return words[1]
    return words[0] if len(words) == 1 and words[0].lower() not in {"bearer", "token"} else ""


def checked_id(value: str, name: str) -> str:
    """The id itself; raises Invalid if it is outside the allowed form."""
    if not ID_PATTERN.fullmatch(value):
        raise Invalid(f"{name} must match [A-Za-z0-9_.:-]{{1,128}}")
    return value


def checked_text(value: str, name: str) -> str:
    """The text itself; raises Invalid if blank, TooLarge if over 300 KB in UTF-8."""
    if not value.strip():
        raise Invalid(f"{name} must not be blank")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise Invalid(f"{name} must be valid Unicode") from None
    if size > TEXT_LIMIT_BYTES:
        raise TooLarge(f"{name} is larger than {TEXT_LIMIT_BYTES // 1024} KB")
    return value


def check_question(text: str, template: str, name: str = "prompt") -> None:
    """Raise TooLarge if a text and its template are over 350 KB together."""
    if len(text.encode()) + len(template.encode()) > QUESTION_LIMIT_BYTES:
        limit = QUESTION_LIMIT_BYTES // 1024
        raise TooLarge(f"{name} and template are together larger than {limit} KB")
