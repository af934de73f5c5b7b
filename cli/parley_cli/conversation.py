"""A chat session with an llm_client: open it, say something, hear the answer as it comes.

As everywhere, the socket is for speed only. What counts is what the session says when it
is read after the turn's end: a refused socket or a lost frame changes how an answer looks
while it comes, and nothing else.
"""

import json
import time
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

from parley_cli import waiting as pace
from parley_cli.api import Api, Json
from parley_cli.config import Target, checked_url
from parley_cli.errors import CliError, NotFound, Refused, Unreachable
from parley_cli.follow import Follower
from parley_cli.held import HeldInterrupt
from parley_cli.kept import KeptSession
from parley_cli.output import Output, Waiting
from parley_cli.view import TERMINAL
from parley_cli.waiting import SOCKET_TRIES, Answer, Watch
from parley_cli.words import failed


@dataclass
class Conversation:
    """A session with one llm_client; `client` is the id that its addresses have."""

    api: Api
    output: Output
    client: str
    kept: KeptSession
    key: str = field(default="", repr=False)
    config: Json = field(default_factory=dict)
    items: list[Json] = field(default_factory=list)
    states: list[Json] = field(default_factory=list)

    # --- the session

    def open(self, *, new: bool) -> bool:
        """Go on with the session that was kept, or begin one; True for a new one.

        Tells when the kept one is gone: removed, or expired because nothing was said in it.
        """
        wanted = "" if new else self.kept.key()
        data = self.api.chat_config(self.client, wanted)
        self.key = str(data.get("session_key") or "")
        if not self.key:
            raise Refused("the API's answer has no session_key")
        try:
            self.kept.keep(self.key)
        except OSError as error:
            self.output.note(
                f"(this session will not be found again: {error.filename or self.kept.path} "
                f"cannot be written: {error.strerror})"
            )
        self.config = data
        history = data.get("history") or {}
        self._take(history.get("chat_history"), data.get("prompts"))
        if wanted and wanted != self.key:
            self.output.note("(the last session is gone; this is a new one)")
        return wanted != self.key

    def _take(self, items: Any, states: Any) -> None:
        self.items, self.states = list(items or []), list(states or [])

    def read(self) -> None:
        """Read the session as it is now."""
        data = self.api.chat_history(self.client, self.key)
        self._take(data.get("messages"), data.get("prompts"))

    @property
    def name(self) -> str:
        """Who answers."""
        return str((self.config.get("chatbot") or {}).get("app_assistant") or "assistant")

    @property
    def unfinished(self) -> Json | None:
        """The state of the newest turn that has no end yet."""
        unfinished = filter(_is_open, self.states)
        return max(unfinished, key=lambda state: int(state.get("turn") or 0), default=None)

    @property
    def failed(self) -> Json | None:
        """The state of the newest turn, if it was given up or canceled."""
        newest = max(self.states, key=lambda state: int(state.get("turn") or 0), default=None)
        return newest if newest and newest.get("status") in {"abandoned", "canceled"} else None

    # --- its turns

    def say(self, text: str, *, live: bool) -> Json:
        """Say something and wait for the answer: {prompt, answer, toolCalls}.

        Raises Refused, in the words that a person is to read, for what was not accepted or
        got no answer.
        """
        # With what was said last, the turn's id is the same whenever this is posted again.
        last = [{"role": item["role"], "content": "", "id": item["id"]} for item in self.items[-1:]]
        messages = [*last, {"role": "user", "content": text}]
        body = {"messages": messages, "wait": 0, "format": "plain"}
        return self._asked("", body, live=live, repeatable=bool(last))

    def retry(self, *, live: bool) -> Json:
        """Try the newest turn again; raises Refused if it has no need of it."""
        failed = self.failed
        if failed is None:
            raise Refused("there is nothing to try again: the last question was answered")
        body = {"prompt_id": str(failed.get("id"))}
        return self._asked("retry/", body, live=live, repeatable=False)

    def resume(self, state: Json, *, live: bool, held: HeldInterrupt | None = None) -> Json:
        """Hear the answer to what was said before, which is still coming."""
        turn = _Turn(
            self.api,
            self.output,
            str(state.get("id")),
            self.thread_id,
            int(state.get("turn") or 0),
            Answer(self.output, live),
            chat=self,
            held=held,
        )
        final = turn.run()
        status = final["prompt"].get("status")
        if status == "abandoned":
            raise Refused(failed(str(final["prompt"].get("errorCode") or ""), turn.prompt_id))
        return final

    def stop(self, prompt_id: str) -> None:
        """Cancel a turn. What there is of its answer is kept."""
        body = {"session_key": self.key, "prompt_id": prompt_id}
        self.api.chat(self.client, "cancel/", body, repeatable=True)

    def _asked(self, call: str, body: Json, *, live: bool, repeatable: bool) -> Json:
        """Post something and hear what becomes of it.

        Race: Ctrl-C while the post is on its way, which the API may accept all the same. So
        it is held until the API has answered, and then cancels what was accepted.
        """
        open_before = {state.get("id") for state in self.states if _is_open(state)}
        body = {"session_key": self.key} | body
        state: Json | None
        with HeldInterrupt(self._tell_held) as held:
            try:
                answer = self.api.chat(
                    self.client, call, body, repeatable=repeatable, leaving=lambda: held.noted
                )
            except Unreachable as lost:
                if not held.noted:
                    raise
                state = self._accepted(open_before, lost)
            else:
                state, words = _said(answer)
                if state is None:
                    raise Refused(words or "the message was not accepted")
            return self.resume(state, live=live, held=held)

    def _tell_held(self) -> None:
        self.output.note("(stopping the answer; Ctrl-C again leaves)")

    def _accepted(self, open_before: Collection[object], lost: Unreachable) -> Json:
        """The turn that was accepted although the answer to its post was lost.

        Raises Unreachable if there is none, or if that cannot be known.
        """
        try:
            self.read()
        except CliError:
            raise Unreachable(
                f"{lost}. Whether the question was accepted is not known: if it was, the next "
                "`parley chat` shows its answer coming, and Ctrl-C stops it"
            ) from None
        state = self.unfinished
        if state is None or state.get("id") in open_before:
            raise lost
        return state

    # --- its socket

    @property
    def _socket(self) -> Json:
        socket: Json = self.config.get("websocket") or {}
        return socket

    @property
    def thread_id(self) -> str:
        """The id of the session, by which an admin finds it; it opens nothing."""
        return str(self._socket.get("thread_id") or "")

    def follower(self, watch: Watch) -> Follower:
        """Who follows the session's thread, with the session's key."""
        named = {name: str(self._socket.get(name) or "") for name in ("account", "llm_client")}
        return Follower(
            self._target(),
            self.thread_id,
            tries=SOCKET_TRIES,
            view=watch.view,
            session={"session_key": self.key, **named},
        )

    def _target(self) -> Target:
        """The API with its socket: the configured one, else where the API says it is."""
        target, told = self.api.target, str(self._socket.get("url") or "")
        if target.websocket or not told:
            return target
        url = checked_url(told, ("wss", "ws"), "the socket's address")
        return replace(target, websocket=url)


@dataclass
class _Turn(Watch):
    """One turn of a session that somebody waits for. Ctrl-C stops it, a second one leaves."""

    chat: Conversation = field(kw_only=True)
    held: HeldInterrupt | None = field(default=None, kw_only=True)

    def run(self) -> Json:
        try:
            if self.held:
                self.held.release()
            return super().run()
        except KeyboardInterrupt:
            self.answer.pause()
            if not (self.held and self.held.noted):
                self.output.note("(stopping the answer; Ctrl-C again leaves)")
        try:
            self.chat.stop(self.prompt_id)
        except CliError as error:
            self.output.note(f"(it could not be stopped: {error})")
        return super().run()

    def _tell_place(self, waiting: Waiting) -> None:
        waiting.show(f"{self.chat.name} is thinking")

    def _follower(self) -> Follower:
        return self.chat.follower(self)

    def _final(self, waiting: Waiting) -> Json:
        """Read the session until the turn is over."""
        while True:
            began = time.monotonic()
            self.chat.read()
            found = self._found()
            if found["prompt"].get("status") in TERMINAL:
                waiting.hide()
                self._tell_unheard(found)
                return found
            time.sleep(max(pace.SHORTEST_ROUND - (time.monotonic() - began), 0))

    def _tell_unheard(self, found: Json) -> None:
        """The calls of tools that were over before anybody listened."""
        attempt, heard = self.told
        known = heard if attempt == found["prompt"].get("attempt") else 0
        for call in found["toolCalls"][known:]:
            self._tell_call(call)

    def _found(self) -> Json:
        """The turn as the session has it; raises NotFound if it is gone."""
        states = {str(state.get("id")): state for state in self.chat.states}
        said = [item for item in self.chat.items if item.get("prompt_id") == self.prompt_id]
        answer: Json = next((item for item in said if item.get("role") == "assistant"), {})
        state = states.get(self.prompt_id)
        if state is None and not said:
            raise NotFound("the session, or this question, was removed meanwhile")
        return {
            # A turn that is neither unfinished nor the newest is listed by its messages only.
            "prompt": state or {"id": self.prompt_id, "status": "completed"},
            "answer": str(answer.get("content") or ""),
            "toolCalls": answer.get("tool_calls") or [],
        }


def _is_open(state: Json) -> bool:
    return state.get("status") not in TERMINAL


def _said(data: Json) -> tuple[Json | None, str]:
    """The state of the turn in a chat answer, if there is one, and what a person is told."""
    body: Any = data.get("body")
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except ValueError:
            body = None
    smarter = body.get("smarter") if isinstance(body, dict) else None
    if not isinstance(smarter, dict):
        raise Refused("the API's answer is none of a chat")
    told = [str(one.get("content") or "") for one in smarter.get("messages") or []]
    state = smarter.get("prompt")
    return (state if isinstance(state, dict) and state else None), "\n".join(filter(None, told))
