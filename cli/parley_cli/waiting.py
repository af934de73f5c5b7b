"""Wait for a prompt and show its answer as it comes.

The socket is for speed only: what counts is what the API says of the prompt in the end, so
a lost frame, a refused socket or a repeated delta changes nothing but how it looks.
"""

import time
from contextlib import closing
from dataclasses import dataclass, field

from parley_cli.api import LONGEST_WAIT, Api, Json
from parley_cli.errors import CliError, NotFound, Refused
from parley_cli.follow import Follower
from parley_cli.output import Output, Waiting, one_line, seconds_of, span, tool_line
from parley_cli.view import (
    ENDED,
    TERMINAL,
    CaughtUp,
    Event,
    Heard,
    Restarted,
    Said,
    State,
    Text,
    ThreadView,
    Tool,
    Unheard,
)

# Enough to get over a hiccup; past that the answer is awaited over HTTP.
SOCKET_TRIES = 3
SHORTEST_ROUND = 1.0


@dataclass
class Answer:
    """The text of one answer on its way to stdout.

    `live` shows it as it comes. Otherwise stdout gets the whole of a completed answer, or
    nothing: half an answer in a file looks like one.
    """

    output: Output
    live: bool
    shown: str = ""

    def add(self, text: str) -> None:
        """More of it."""
        self.shown += text
        if self.live:
            self.output.write(text)

    def pause(self) -> None:
        """End the line that is being written: something else is to be told."""
        if self.live and self.shown and not self.shown.endswith("\n"):
            self.output.write("\n")

    def restart(self, why: str) -> None:
        """A higher attempt begins at its start: what stands on the screen is obsolete."""
        if self.live and self.shown:
            self.output.write("\n")
            self.output.note(f"({why}: the answer starts anew)")
        self.shown = ""

    def end(self, text: str, status: str) -> None:
        """Complete it with what the API says it is."""
        if self.live:
            if text and not text.startswith(self.shown):
                self.restart("the stream was of another attempt")
            rest = text[len(self.shown) :]
            self.output.write(rest)
            self.shown += rest
            if self.shown and not self.shown.endswith("\n"):
                self.output.write("\n")
        elif text and status == "completed" and not self.output.json:
            self.output.write(text if text.endswith("\n") else f"{text}\n")
        if not text and status == "completed":
            self.output.note("(no answer to show: it is empty, or of another user's prompt)")


@dataclass
class Watch:
    """One prompt that somebody waits for."""

    api: Api
    output: Output
    prompt_id: str
    thread_id: str
    turn: int
    answer: Answer
    failed: str = field(default="")
    told: tuple[int, int] = (0, 0)  # an attempt, and how many calls of tools were told of it
    view: ThreadView = field(init=False)

    def __post_init__(self) -> None:
        # Known from the start, so that an end before the subscription is noticed as one.
        known = {self.prompt_id: Heard(turn=self.turn, status="scheduled")}
        self.view = ThreadView(heard=known)

    def run(self) -> Json:
        """The API's answer for the prompt once it is terminal."""
        with self.output.waiting("queued") as waiting:
            self._tell_place(waiting)
            self._follow(waiting)
            final = self._final(waiting)
        self.answer.end(answer_of(final), str(final["prompt"].get("status")))
        return final

    def _tell_place(self, waiting: Waiting) -> None:
        ahead = ahead_of(self.api.prompt(self.prompt_id))
        if ahead:
            waiting.show(f"queued behind {ahead} earlier turn{'s' if ahead > 1 else ''}")

    def _follow(self, waiting: Waiting) -> None:
        if self.view.heard[self.prompt_id].status in ENDED:
            return
        try:
            with closing(self._follower().events()) as events:
                for event in events:
                    if self._ended(event, waiting):
                        return
        except CliError as error:
            self.output.note(f"(not live: {error}; waiting over HTTP)")

    def _follower(self) -> Follower:
        return Follower(self.api.target, self.thread_id, tries=SOCKET_TRIES, view=self.view)

    def _ended(self, event: Event, waiting: Waiting) -> bool:
        if isinstance(event, Said | CaughtUp) or event.prompt_id != self.prompt_id:
            return False
        match event:
            case Text(_, text):
                waiting.hide()
                self.answer.add(text)
            case Restarted(_, attempt):
                waiting.hide()
                self.answer.restart(self.failed or f"attempt {attempt}")
            case Tool(_, call):
                self._called(call, waiting)
            case State():
                return self._moved(event, waiting)
            case Unheard():
                return True
        return False

    def _moved(self, event: State, waiting: Waiting) -> bool:
        attempt = event.state.get("attempt", 0)
        if event.status == "running" and not self.answer.shown:
            waiting.show("running" if attempt == 1 else f"running, attempt {attempt}")
        if event.status == "errored":
            code = event.state.get("errorCode") or "failed"
            self.failed = f"attempt {attempt} failed ({code})"
            waiting.hide()
            self.answer.restart(self.failed)
            waiting.show(f"{self.failed}, {next_attempt(event.state)}")
        return event.status in TERMINAL

    def _called(self, call: Json, waiting: Waiting) -> None:
        """A call of a tool: a moving line while it lasts, then one that stays."""
        waiting.hide()
        if call.get("state") == "done":
            self._tell_call(call)
            attempt = int(call.get("attempt") or 0)
            self.told = (attempt, 1 + (self.told[1] if self.told[0] == attempt else 0))
            waiting.show("running")
        else:
            waiting.show(tool_line(call))

    def _tell_call(self, call: Json) -> None:
        self.answer.pause()
        self.output.note(f"· {tool_line(call)}")

    def _final(self, waiting: Waiting) -> Json:
        """Ask until the prompt is terminal."""
        while True:
            began = time.monotonic()
            found = self.api.prompt(self.prompt_id, wait=LONGEST_WAIT)
            prompt = found.get("prompt")
            if not isinstance(prompt, dict):
                raise Refused("the API's answer has no prompt")
            if prompt.get("status") in TERMINAL:
                waiting.hide()
                return found
            if not self.answer.shown:
                waiting.show(str(prompt.get("status")))
            # An API that does not wait must not be asked without a pause.
            time.sleep(max(SHORTEST_ROUND - (time.monotonic() - began), 0))


def ahead_of(found: Json) -> int:
    """How many turns of the thread come before the prompt."""
    return int((found.get("prompt") or {}).get("ahead") or 0)


def answer_of(found: Json) -> str:
    """The answer, or what is kept of a canceled one; empty if it is somebody else's."""
    message = found.get("responseMessage") or {}
    return str(found.get("answer") or message.get("text") or "")


def next_attempt(state: Json) -> str:
    """When an errored prompt is tried again."""
    at = seconds_of(state.get("nextAttemptAt"))
    wait = (at or 0) - time.time()
    return f"next one in {span(wait, whole=True)}" if wait >= 1 else "next one now"


def wait_for(api: Api, output: Output, prompt: Json, *, live: bool) -> Json:
    """Wait for a prompt and show its answer; then how it ended, on stderr.

    Raises Refused if it ended abandoned or canceled, after showing what there is.
    """
    prompt_id, thread_id = str(prompt["id"]), str(prompt.get("threadId") or prompt["id"])
    turn = int(prompt.get("turn") or 0)
    watch = Watch(api, output, prompt_id, thread_id, turn, Answer(output, live))
    try:
        final = watch.run()
    except KeyboardInterrupt:
        output.note(
            f"\nThe prompt goes on without you. See it with `parley prompts show {prompt_id}`, "
            f"stop it with `parley prompts cancel {prompt_id}`."
        )
        raise
    except NotFound:
        raise NotFound(f"the prompt {prompt_id} was removed meanwhile") from None
    if output.json:
        output.result(final)
    ended = final["prompt"]
    if ended.get("status") != "completed":
        raise Refused(_end_of(ended))
    output.note(summary(ended))
    return final


def _end_of(prompt: Json) -> str:
    error = prompt.get("error")
    why = f": {one_line(str(error), 500)}" if error else ""
    return f"the prompt was {prompt.get('status')}{why} ({prompt.get('id')})"


def summary(prompt: Json) -> str:
    """How a prompt ended, in a line."""
    attempts = prompt.get("attempts") or []
    parts = [str(prompt.get("status")), str(prompt.get("id"))]
    runs = int(prompt.get("runCount") or 0)
    if runs > 1:
        parts.append(f"{runs} attempts")
    if attempts:
        parts.append(duration(attempts[-1]))
        parts.append(tokens(attempts[-1]))
    if prompt.get("threadId") != prompt.get("id"):
        parts.append(f"thread {prompt.get('threadId')}")
    return " · ".join(part for part in parts if part)


def duration(attempt: Json) -> str:
    """How long an attempt took."""
    begin, end = seconds_of(attempt.get("startedAt")), seconds_of(attempt.get("endedAt"))
    return span(end - begin) if begin is not None and end is not None else ""


def tokens(attempt: Json) -> str:
    """What an attempt used, as the provider counted."""
    usage = attempt.get("usage")
    if not isinstance(usage, dict):
        return ""
    return f"{usage.get('promptTokens', 0)} + {usage.get('completionTokens', 0)} tokens"
