"""Say something in a session: a turn of its thread, run by the pipeline like any prompt.

A public endpoint spends its owner's money, so what may be said how often is bounded here,
and the same turn posted twice (a double click, a component that is rendered twice, a retry
of the browser) is one prompt.
"""

import hashlib
import ipaddress
from dataclasses import dataclass, field, replace

from parley.core.access import Principal
from parley.core.errors import Conflict, Limited, NoSuchSession
from parley.core.llm_client import LlmClient
from parley.core.prompt import OpenTurn, Prompt
from parley.core.session import (
    CHAT_RETRIES,
    Session,
    advanced,
    belongs,
    checked_session_key,
    opened,
    session_id,
    session_principal,
    turn_id,
    turns_this_minute,
)
from parley.core.thread import ANSWER, QUESTION, Message, Thread
from parley.ports import ChatStore, Clock, Ids, PromptStore, ThreadHead, ThreadStore
from parley.usecases.accept import Accept, NewPrompt
from parley.usecases.cancel import Cancel
from parley.usecases.read import owned
from parley.usecases.retry import Retry
from parley.usecases.sessions import Sessions
from parley.usecases.waiting import poll

# All addresses of a minute are counted in one item, of which each turn bills the whole: in so
# many groups it stays below 8 KB, whatever comes. Two networks may share a group, and so a
# bound, for a minute; whoever tries to fill other people's groups hits the llm_client's first.
ADDRESS_GROUPS = 1024


@dataclass(frozen=True, slots=True)
class Said:
    """What a person said, as the caller posted it.

    `last_server_message` is the id of the newest of our messages that the caller had when
    saying it, or empty; `source_ip` is where the call came from; `replaces` is the turn whose
    question this edits, or 0; `key_hash` is of the API key that was used, or empty.
    """

    text: str
    last_server_message: str = ""
    source_ip: str = ""
    replaces: int = 0
    key_hash: str = ""


@dataclass(frozen=True, slots=True)
class Turned:
    """A turn as it is after the wait: over, or going on without its caller."""

    session: Session
    prompt: Prompt
    question: Message | None = None
    answer: Message | None = None
    rounds: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class Converse:
    """The calls of whoever holds a session key."""

    accept: Accept
    sessions: Sessions
    cancel_prompt: Cancel
    retry_prompt: Retry
    prompts: PromptStore
    threads: ThreadStore
    chat: ChatStore
    clock: Clock
    ids: Ids

    async def __call__(self, client: LlmClient, key: str, said: Said, seconds: float) -> Turned:
        """Accept what was said and wait up to `seconds` for the end of its turn.

        Without a key a session is made. Raises Limited (with the limit's name), Invalid,
        NotFound (the key is of no session of this llm_client), Conflict, TooManyOpenTurns,
        Busy.
        """
        _check_length(client, said.text)
        minted = not key
        key = checked_session_key(key) if key else self.ids.token()
        rules = _SessionRules(
            client=client,
            key=key,
            said=said,
            minted=minted,
            waits=seconds > 0,
            prompts=self.prompts,
            threads=self.threads,
            chat=self.chat,
            clock=self.clock,
        )
        new = NewPrompt(
            text=said.text,
            id=rules.turn_id or self.ids.new("chat"),
            thread_id=session_id(key),
            max_retries=CHAT_RETRIES,
            client=client.name,
            client_number=client.number,
            replaces=said.replaces,
        )
        principal = session_principal(rules.fresh(self.clock.now()), said.key_hash)
        prompt = await self.accept(principal, new, rules)
        prompt = await self._waited(principal, prompt, seconds if rules.waits else 0)
        session = Session(key, client, rules.thread, new=minted)
        return await self._turned(session, prompt)

    async def _waited(self, principal: Principal, prompt: Prompt, seconds: float) -> Prompt:
        if prompt.status.terminal or seconds <= 0:
            return prompt

        async def look() -> Prompt:
            return await owned(self.prompts, principal, prompt.id)

        return await poll(self.clock, seconds, look, lambda found: found.status.terminal)

    async def _turned(self, session: Session, prompt: Prompt) -> Turned:
        """With the turn's messages, if it is over: nobody needs them before."""
        if not prompt.status.terminal:
            return Turned(session, prompt)
        rounds = range(QUESTION + 1, QUESTION + 1 + session.client.limits.tool_rounds)
        parts = (QUESTION, *rounds, ANSWER)
        places = [(prompt.account, prompt.thread_id, prompt.turn, part) for part in parts]
        stored = {message.part: message for message in await self.threads.messages_at(places)}
        return Turned(
            session,
            prompt,
            stored.pop(QUESTION, None),
            stored.pop(ANSWER, None),
            tuple(stored[part] for part in sorted(stored)),
        )

    async def cancel(self, client: LlmClient, key: str, prompt_id: str) -> Turned:
        """Cancel a turn of the session; what there is of the answer is kept. NotFound."""
        session = await self.sessions.require(client, key)
        prompt = await self.cancel_prompt(session.principal, prompt_id)
        return await self._turned(session, prompt)

    async def retry(self, client: LlmClient, key: str, prompt_id: str, source_ip: str) -> Prompt:
        """Try the newest turn again, which was given up or canceled.

        Raises NotFound, Conflict (another state, or turns after it), Limited.
        """
        session = await self.sessions.require(client, key)
        rules = _RetryRules(client, source_ip, self.chat, self.clock)
        return await self.retry_prompt(session.principal, prompt_id, rules)


@dataclass
class _SessionRules:
    """`usecases.accept.Rules` of a session, for one thing that was said.

    `waits` says whether the caller waits for the end of the turn; it may be taken back.
    """

    client: LlmClient
    key: str
    said: Said
    minted: bool
    waits: bool
    prompts: PromptStore
    threads: ThreadStore
    chat: ChatStore
    clock: Clock
    thread: Thread = field(init=False)
    _counted: bool = False

    def __post_init__(self) -> None:
        self.thread = self.fresh(self.clock.now())

    def fresh(self, now: int) -> Thread:
        """The session's thread as it begins."""
        return opened(self.key, self.client, now)

    @property
    def turn_id(self) -> str:
        """The id of just this turn; empty if the caller had none of our messages."""
        known = self.said.last_server_message
        return turn_id(session_id(self.key), known, self.said.text) if known else ""

    async def admit(self, _principal: Principal, head: ThreadHead) -> str:
        """Raise unless the session lives and its limits let one more turn in.

        Race: two different questions are posted at once and both read no open turn. Both
        are admitted, one commits; the other's commit is refused, for the turn is taken,
        and is admitted anew by what it reads then: an open turn.
        """
        now = self.clock.now()
        thread = head.thread
        if thread is None or not belongs(thread, self.client, now):
            if thread is None and self.minted:
                await self._count(now)
                return ""
            raise NoSuchSession
        self.thread = thread
        if same := await self._same(head.open_turns):
            await self._count_wait(now)
            return same
        try:
            self._check(head.open_turns, thread, now)
            await self._count(now)
        except (Limited, Conflict):
            if await self._accepted_before():
                return self.turn_id
            raise
        return ""

    def _check(self, open_turns: tuple[OpenTurn, ...], thread: Thread, now: int) -> None:
        _check_open_turns(self.client, open_turns)
        newest = 0 if open_turns else thread.next_turn - 1
        if self.said.replaces and self.said.replaces != newest:
            raise Conflict("only the last question can be edited, once its turn is over")
        _check_minute(self.client, thread, now)

    async def _same(self, open_turns: tuple[OpenTurn, ...]) -> str:
        """The id of the unfinished turn that says just this, or ""."""
        if not open_turns:
            return ""
        if id_ := self.turn_id:
            return id_ if any(turn.prompt_id == id_ for turn in open_turns) else ""
        places = [(turn.account, turn.thread_id, turn.turn, QUESTION) for turn in open_turns]
        for question in await self.threads.messages_at(places[-10:]):
            if question.text == self.said.text:
                return question.id
        return ""

    async def _accepted_before(self) -> bool:
        """True if this very turn is stored: posted again, it is answered and not refused."""
        stored = None
        if self.turn_id:
            stored = await self.prompts.prompt(self.client.account, self.turn_id)
        return stored is not None

    async def _count_wait(self, now: int) -> None:
        """A wait for an open turn holds a function, so it costs as much as a turn.

        Where there are none left, the repetition is answered at once.
        """
        if not self.waits:
            return
        try:
            await self._count(now)
        except Limited:
            self.waits = False

    async def _count(self, now: int) -> None:
        """Once, however often the turn is admitted."""
        if not self._counted:
            await count_turn(self.chat, self.client, self.said.source_ip, now)
            self._counted = True

    def started(self, _principal: Principal, new: NewPrompt, now: int) -> Thread:
        self.thread = replace(advanced(self.fresh(now), new.text, now), next_turn=2)
        return self.thread

    def advanced(self, thread: Thread, new: NewPrompt, now: int) -> Thread | None:
        self.thread = advanced(thread, new.text, now)
        return self.thread


@dataclass
class _RetryRules:
    """`usecases.retry.RetryRules` of a session: a try is bounded like a turn, and costs one."""

    client: LlmClient
    source_ip: str
    chat: ChatStore
    clock: Clock
    _counted: bool = False

    async def admit(self, head: ThreadHead) -> None:
        """Raises NotFound, Limited."""
        now = self.clock.now()
        if head.thread is None or not belongs(head.thread, self.client, now):
            raise NoSuchSession
        _check_open_turns(self.client, head.open_turns)
        _check_minute(self.client, head.thread, now)
        if not self._counted:
            await count_turn(self.chat, self.client, self.source_ip, now)
            self._counted = True


def _check_open_turns(client: LlmClient, open_turns: tuple[OpenTurn, ...]) -> None:
    if open_turns and client.limits.open_turn == "refuse":
        raise Limited(
            "openTurn",
            "I am still working on your last message. Please wait for that answer, "
            "or stop it, before you send the next one.",
        )


def _check_minute(client: LlmClient, thread: Thread, now: int) -> None:
    cap = client.limits.session_turns_per_minute
    if turns_this_minute(thread, now) >= cap:
        raise Limited(
            "sessionTurnsPerMinute",
            f"This conversation may have {cap} messages per minute. "
            "Please wait a minute before you go on.",
        )


def _check_length(client: LlmClient, text: str) -> None:
    cap = client.limits.input_characters
    if len(text) > cap:
        raise Limited(
            "inputCharacters",
            f"Your message has {len(text):,} characters. At most {cap:,} are possible here: "
            "please shorten it.",
        )


async def count_turn(chat: ChatStore, client: LlmClient, source_ip: str, now: int) -> None:
    """Count a turn of an llm_client and of an address; raises Limited.

    Of the IP address only a group is kept, and that for some minutes.
    """
    limits, minute = client.limits, now // 60_000
    group = address_group(client.account, source_ip, minute)
    caps = (limits.client_turns_per_minute, limits.address_turns_per_minute)
    counts = await chat.count_turn(client.account, client.name, group, minute, caps)
    if counts.client_full:
        raise Limited(
            "clientTurnsPerMinute",
            "Many people are asking just now. Please try again in a minute.",
        )
    if counts.address_full:
        raise Limited(
            "addressTurnsPerMinute",
            "A lot of messages are coming from your network. Please try again in a minute.",
        )


def address_group(account: str, source_ip: str, minute: int) -> str:
    """Which of 1024 groups an IP address is counted in, three hex digits; others in each minute."""
    digest = hashlib.sha256(f"{account} {minute} {_network(source_ip)}".encode()).digest()
    return f"{int.from_bytes(digest[:8]) % ADDRESS_GROUPS:03x}"


def _network(source_ip: str) -> str:
    """Whose address it is: of a /64 of IPv6 one device may have every address."""
    try:
        parsed = ipaddress.ip_address(source_ip)
    except ValueError:
        return source_ip
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or ipaddress.IPv6Address(int(parsed) >> 64 << 64))
