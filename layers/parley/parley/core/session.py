"""A session: a thread opened through an llm_client and addressed by a secret key.

The key is never stored. The thread's id is made from it, so whoever has the key finds the
thread, and the thread does not tell the key.
"""

import hashlib
import re
from dataclasses import dataclass, replace

from parley.core.access import KeyRole, Principal
from parley.core.errors import Invalid
from parley.core.llm_client import LlmClient
from parley.core.prompt import OpenTurn
from parley.core.thread import DEFAULT_TITLE, Message, Thread, title_of

SESSION_KEY = re.compile(r"[a-fA-F0-9]{64}")
SESSION_ID = re.compile(r"ses_[a-f0-9]{40}")
# One that nobody ever asked anything in is most often a crawler's.
UNUSED_SECONDS = 24 * 60 * 60
CHAT_RETRIES = 2
EXAMPLES_HEADING = "Some things you can ask:"


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest messages of a session, newest first; `more` if there may be older ones."""

    messages: tuple[Message, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class Session:
    """A session as its caller has it. `new` says that this call made it.

    `open_turns` are its unfinished turns, oldest first, as they were when it was read, and
    `newest` the messages, if they were asked for.
    """

    key: str
    client: LlmClient
    thread: Thread
    new: bool = False
    open_turns: tuple[OpenTurn, ...] = ()
    newest: Newest | None = None

    @property
    def principal(self) -> Principal:
        """Who holds the session key may see and do what is in the session, and no more."""
        return session_principal(self.thread)


def session_principal(thread: Thread, key_hash: str = "") -> Principal:
    """The holder of a session's key; `key_hash` is of the API key that was needed besides."""
    return Principal(
        account=thread.account,
        user_id=thread.id,
        role=KeyRole.SESSION,
        key_hash=key_hash,
        client=thread.client,
        client_number=thread.client_number,
    )


def checked_session_key(key: str) -> str:
    """The key, in lower case; raises Invalid unless there is one of 64 hex digits."""
    if not key:
        raise Invalid("session_key is needed")
    if not SESSION_KEY.fullmatch(key):
        raise Invalid("session_key must be 64 hexadecimal digits")
    return key.lower()


def session_id(key: str) -> str:
    """The id of the thread that a session key opens."""
    return f"ses_{hashlib.sha256(key.lower().encode()).hexdigest()[:40]}"


def intro_of(client: LlmClient) -> tuple[str, ...]:
    """The texts that a session opens with: the welcome and the example prompts."""
    look = client.look
    examples = "\n".join((EXAMPLES_HEADING, "", *(f"- {one}" for one in look.app_example_prompts)))
    texts = (look.app_welcome_message, examples if look.app_example_prompts else "")
    return tuple(text for text in texts if text)


def intro_id(number: int) -> str:
    """The id of an opening message, counted from 1."""
    return f"intro.{number}"


def opened(key: str, client: LlmClient, now: int) -> Thread:
    """The thread of a fresh session; `now` in ms."""
    id_ = session_id(key)
    return Thread(
        account=client.account,
        id=id_,
        title=DEFAULT_TITLE,
        created_by=id_,
        created_at=now,
        updated_at=now,
        user_ids=(id_,),
        client=client.name,
        client_number=client.number,
        intro=intro_of(client),
        expires_at=now // 1000 + UNUSED_SECONDS,
    )


def belongs(thread: Thread | None, client: LlmClient, now: int) -> bool:
    """True if the thread is a live session of this very llm_client.

    One that was deleted and described again has another number, and is another one.
    """
    if thread is None or thread.deleted or thread.account != client.account:
        return False
    expired = 0 < thread.expires_at <= now // 1000
    same = (thread.client, thread.client_number) == (client.name, client.number)
    return same and not expired


def turns_this_minute(thread: Thread, now: int) -> int:
    """How many turns of the session were accepted in the minute of `now` (ms)."""
    return thread.minute_turns if thread.minute == now // 60_000 else 0


def advanced(thread: Thread, text: str, now: int) -> Thread:
    """The session's thread with one more turn counted: it lives on, and has a title.

    `next_turn` is not touched: the store moves it, conditionally.
    """
    title = title_of(text) if thread.next_turn == 1 else thread.title
    return replace(retried(thread, now), title=title)


def retried(thread: Thread, now: int) -> Thread:
    """The session's thread with one more try of its last turn counted: it was used just now."""
    return replace(
        thread,
        updated_at=now,
        expires_at=0,
        minute=now // 60_000,
        minute_turns=turns_this_minute(thread, now) + 1,
    )


def turn_id(thread_id: str, last_server_message: str, text: str) -> str:
    """The prompt id of a turn: the same text after the same message is the same turn."""
    said = f"{thread_id}\n{last_server_message}\n{text}"
    return f"chat_{hashlib.sha256(said.encode()).hexdigest()[:32]}"
