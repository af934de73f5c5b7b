"""The promises, as checks on a world while it runs and after it came to rest."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from parley.core.events import Frame
from parley.core.lifecycle import TRANSITIONS
from parley.core.prompt import Outcome, Prompt, Status
from parley.core.thread import ANSWER, QUESTION
from parley.ports import ProviderRequest

from tests.fakes.chaos import Actor, Call
from tests.fakes.provider import Ask, Say, Script, Step
from tests.fakes.world import ACCOUNT, World

UNDER_A_LEASE = frozenset({"renew", "finish", "fail", "abandon", "cancel_running"})


def _prompt_of(request: ProviderRequest) -> str:
    """Whose question a request is about: questions are `ask <prompt id>`."""
    asked = [message.text for message in request.messages if message.role == "user"]
    return asked[-1].split()[1]


class Invariants:
    """Watches every effect and every frame. What is broken is in `broken`, by promise."""

    def __init__(self, world: World, *, lossless: bool) -> None:
        self.world = world
        self.lossless = lossless
        self.broken: list[str] = []
        self.before: dict[tuple[str, str], Prompt] = {}
        self.turns: dict[str, list[int]] = defaultdict(list)
        self.stored: dict[str, set[str]] = defaultdict(set)
        self.stored_anew: set[str] = set()
        self.evicted: set[tuple[str, int]] = set()
        self.canceled: dict[str, int] = {}
        self.claims: list[tuple[str, int]] = []
        self.alone: set[str] = set()
        self.holders: dict[tuple[str, int], Actor] = {}
        self.texts: dict[tuple[str, int], str] = {}
        self.heard: dict[tuple[str, str, int], int] = {}
        self.following: dict[tuple[str, str], set[str]] = {}
        self.told: dict[tuple[str, str], list[str]] = defaultdict(list)
        self.callers: dict[str, str] = {}
        self.started: set[tuple[str, str, int, str]] = set()
        world.conductor.on_effect = self.effect
        world.publisher.on_arrival = self.arrived

    def _expect(self, holds: bool, promise: str) -> None:
        if not holds:
            self.broken.append(promise)

    # --- after every effect ------------------------------------------------------------

    def effect(self, call: Call, result: Any, error: Exception | None) -> None:
        if call.port not in {"prompts", "threads"}:
            return
        now = self.world.state.prompts
        if now != self.before:
            before, self.before = self.before, dict(now)
            for key in before.keys() | now.keys():
                old, new = before.get(key), now.get(key)
                if old != new:
                    self._expect(error is None, f"{call}: a refused call changed {key}")
                    self._changed(call, old, new)
            self.one_at_a_time()
        self.turns_and_prompts_agree()

    def _changed(self, call: Call, old: Prompt | None, new: Prompt | None) -> None:
        self.only_the_table(call, old, new)
        if new is None:
            self.stored_anew.add(old.id if old else "")
            self.stored.pop(old.id if old else "", None)
        if new is not None and (old is None or old.turn != new.turn):
            self.turns[new.thread_id].append(new.turn)
            self.stored[new.id].add(new.fingerprint)
            self.canceled.pop(new.id, None)
            self.question_stored(new)
        if new is not None and old is not None and new.run_count > old.run_count:
            self.in_order(new)
            self.suspects_run_alone(call, new)
            self.holders[new.id, new.run_count] = call.actor
        if call.method in UNDER_A_LEASE and old is not None:
            self.only_the_holder(call, old)
            self.claims.append((new.id, new.run_count))
        if call.method == "evict" and old is not None and old.status is Status.RUNNING:
            self.evicted.add((old.id, old.run_count))

    def only_the_table(self, call: Call, old: Prompt | None, new: Prompt | None) -> None:
        """I1: nothing but the transitions of the state table, by their actors."""
        name = call.method
        if name == "claim" and old is not None and old.status is Status.RUNNING:
            name = "claim_expired"
        if name == "delete_page":
            self._expect(old is None or old.status.terminal, f"{call} deleted an unfinished prompt")
            return
        row = TRANSITIONS.get(name)
        if row is None:
            self.broken.append(f"{call} is no transition and changed a prompt")
            return
        self._expect(call.actor.kind in row.actors, f"{name} by {call.actor.kind}")
        source_fits = old.status in row.sources if old else not row.sources
        target_fits = (new.status if new else None) == row.target
        self._expect(source_fits and target_fits, f"{call}: {old} became {new}")

    def one_at_a_time(self) -> None:
        """I5: at most one prompt of a thread runs, and it is the first open turn."""
        running = [p for p in self.before.values() if p.status is Status.RUNNING]
        for prompt in running:
            same = [p for p in running if p.thread_id == prompt.thread_id]
            self._expect(len(same) == 1, f"I5: {[p.id for p in same]} run at once")

    def in_order(self, claimed: Prompt) -> None:
        """I5: an attempt starts only at the head of its thread."""
        turns = self.world.state.open_turns[claimed.account, claimed.thread_id]
        self._expect(
            claimed.turn == min(turns), f"I5: turn {claimed.turn} runs before {min(turns)}"
        )

    def only_the_holder(self, call: Call, prompt: Prompt) -> None:
        """I10: under a lease nobody writes but the attempt that has it."""
        holder = self.holders[prompt.id, prompt.run_count]
        self._expect(call.actor is holder, f"I10: {call}, but {holder.name} has the lease")

    def suspects_run_alone(self, call: Call, claimed: Prompt) -> None:
        """A prompt that lost a runner runs beside no other, in case it killed it."""
        alone = call.actor.name in self.alone
        self._expect(alone or not claimed.losses, f"{claimed.id} lost a runner, is not alone")

    def question_stored(self, prompt: Prompt) -> None:
        """I4: the question is there as soon as the prompt is."""
        messages = self.world.state.messages[prompt.account, prompt.thread_id]
        question = messages.get((prompt.turn, QUESTION))
        self._expect(question is not None and question.id == prompt.id, "I4: no question")

    def turns_and_prompts_agree(self) -> None:
        """Every unfinished prompt has its open turn and the other way round."""
        marked = {(turn.prompt_id, turn.turn) for turn in self.world.open_turns()}
        unfinished = {(p.id, p.turn) for p in self.before.values() if not p.status.terminal}
        self._expect(marked == unfinished, f"open turns {marked}, unfinished {unfinished}")

    def tasks(self, actors: Sequence[Actor]) -> None:
        """No task outlives the return of the handler that made it."""
        for actor in actors:
            if actor.tasks and actor.tasks[0].done() and not actor.dead:
                left = [task for task in actor.tasks if not task.done()]
                self._expect(not left, f"{actor.name} returned and left {left}")

    # --- what callers are answered --------------------------------------------------------

    def accepted(self, prompt_id: str) -> None:
        """I4: what is answered as accepted is (or was) stored."""
        was = prompt_id in self.stored or prompt_id in self.stored_anew
        self._expect(was, f"I4: {prompt_id} was not stored")

    def cancel_answered(self, prompt: Prompt) -> None:
        """I6: when a cancel is answered `canceled`, the provider's stream is closed."""
        if prompt.status is not Status.CANCELED:
            return
        stored = self.before.get((prompt.account, prompt.id))
        if stored is None or stored.turn != prompt.turn or not stored.status.terminal:
            return  # retried or removed meanwhile
        if (prompt.id, prompt.run_count) in self.evicted:
            return  # removed, which stops its attempt within a second
        self.canceled[prompt.id] = prompt.run_count
        streams = map(_prompt_of, self.world.provider.open)
        self._expect(prompt.id not in streams, f"I6: {prompt.id} is canceled, its stream is open")
        tools = [self.callers[arguments] for _, arguments in self.world.tools.open]
        self._expect(prompt.id not in tools, f"I6: {prompt.id} is canceled, its tools work")

    # --- the provider ------------------------------------------------------------------------

    def asked(self, request: ProviderRequest) -> None:
        """A context ends with its own question, and has no other unfinished one."""
        last = request.messages[-1]
        round_ = last.role == "tool"
        self._expect(last.role == "user" or round_, "the last word is not a question")
        self._expect(_prompt_of(request).startswith("p"), "the last word is not a question")
        waiting: list[str] = []
        for message in request.messages:
            if message.role == "tool":
                paired = bool(waiting) and waiting.pop(0) == message.call_id
                self._expect(paired, "a result without its call")
            else:
                self._expect(not waiting, "a call without its result")
                waiting = [call.id for call in message.calls]

    def marked(self, script: Script, number: int, request: ProviderRequest) -> Script:
        """A script whose words are its own, so that two attempts cannot be mixed up."""
        arguments = f'{{"asked": {number}}}'
        self.callers[arguments] = _prompt_of(request)
        return tuple(self._marked(step, number, arguments) for step in script)

    def _marked(self, step: Step, number: int, arguments: str) -> Step:
        match step:
            case Say(text):
                return Say(f"{number}:{text}")
            case Ask(calls):
                return replace(step, calls=tuple((name, arguments) for name, _ in calls))
        return step

    # --- the followers -----------------------------------------------------------------------

    def known(self, connection_id: str) -> dict[str, tuple[int, int]]:
        """What a client that resubscribes says that it has."""
        newest: dict[str, tuple[int, int]] = {}
        for (connection, prompt_id, attempt), end in self.heard.items():
            if connection == connection_id:
                newest[prompt_id] = max(newest.get(prompt_id, (0, 0)), (attempt, end))
        return newest

    def subscribed(self, connection_id: str, frame: Frame) -> None:
        following = self.following.setdefault((connection_id, frame["threadId"]), set())
        following.update(state["id"] for state in frame["prompts"])

    def unsubscribed(self, connection_id: str, thread_id: str) -> None:
        self.following.pop((connection_id, thread_id), None)

    def hung_up(self, connection_id: str) -> None:
        for key in [key for key in self.following if key[0] == connection_id]:
            del self.following[key]

    def arrived(self, connection_id: str, frame: Frame) -> None:
        if frame["type"] == "delta":
            self.no_gap(connection_id, frame)
            self.nothing_after_the_lease(frame["promptId"], frame["attempt"])
            self.nothing_after_a_cancel(frame)
        elif frame["type"] == "tool":
            self.in_its_place(connection_id, frame)
            self.nothing_after_the_lease(frame["promptId"], frame["attempt"])
            self.nothing_after_a_cancel(frame)
        elif frame["type"] == "message" and frame["message"]["role"] == "assistant":
            self.one_answer_told(frame["message"])
        elif frame["type"] == "prompt":
            state = frame["prompt"]
            self.told[connection_id, state["id"]].append(state["status"])

    def in_its_place(self, connection_id: str, frame: Frame) -> None:
        """I3: a tool event comes after the text before it; a call starts before it is done.

        Who comes after the end has the text with the message, and not by deltas.
        """
        attempt = (connection_id, frame["promptId"], frame["attempt"])
        prompt = self.before.get((ACCOUNT, frame["promptId"]))
        over = prompt is None or prompt.status.terminal
        heard = self.heard.get(attempt, 0)
        self._expect(over or frame["offset"] <= heard, f"I3: {frame} after {heard} of the text")
        call = (*attempt, frame["callId"])
        if frame["state"] == "started":
            self.started.add(call)
        self._expect(call in self.started, f"I3: {frame} is done and never started")

    def no_gap(self, connection_id: str, frame: Frame) -> None:
        """I3: deltas of an attempt follow each other; a repeat says the same."""
        key = (connection_id, frame["promptId"], frame["attempt"])
        heard = self.heard.get(key, 0)
        self._expect(frame["offset"] <= heard, f"I3: gap {heard}-{frame['offset']} in {key}")
        self._expect(len(frame["text"]) == frame["end"] - frame["offset"], "I3: offsets")
        self.heard[key] = max(heard, frame["end"])
        attempt = (frame["promptId"], frame["attempt"])
        if self._lived_twice(frame["promptId"]):
            return
        text = self.texts.get(attempt, "")
        both = text[frame["offset"] : frame["end"]]
        self._expect(frame["text"].startswith(both), f"I3: {attempt} says two things")
        self.texts[attempt] = max(text, text[: frame["offset"]] + frame["text"], key=len)

    def _lived_twice(self, prompt_id: str) -> bool:
        numbers = [number for name, number in self.claims if name == prompt_id]
        return len(numbers) != len(set(numbers))

    def nothing_after_the_lease(self, prompt_id: str, attempt: int) -> None:
        """I10: an attempt whose lease was taken by another says nothing any more."""
        stored = self.before.get((ACCOUNT, prompt_id))
        if stored is None or (prompt_id, attempt) in self.evicted:
            return
        self._expect(
            stored.run_count <= attempt or self._lived_twice(prompt_id),
            f"I10: attempt {attempt} of {prompt_id} speaks, {stored.run_count} has the lease",
        )

    def nothing_after_a_cancel(self, frame: Frame) -> None:
        """I6: no delta after a cancel was answered."""
        last = self.canceled.get(frame["promptId"])
        stored = self.before.get((ACCOUNT, frame["promptId"]))
        if last is None or stored is None or stored.status is not Status.CANCELED:
            return
        self._expect(frame["attempt"] > last, f"I6: a delta of {frame['promptId']} after its end")

    def one_answer_told(self, told: Frame) -> None:
        """I2, I6, I10: an answer that is told is the one that is stored."""
        stored = [
            message
            for messages in self.world.state.messages.values()
            for message in messages.values()
            if message.id == told["id"]
        ]
        for message in stored:
            same = (message.text, message.partial) == (told["text"], told["partial"])
            self._expect(same, f"I2: told {told['text']!r}, stored {message.text!r}")

    # --- at rest -----------------------------------------------------------------------------

    def at_rest(self) -> None:
        """Everything that must hold when nothing is left to do."""
        state = self.world.state
        self._expect(not self.world.open_turns(), f"I1: open {self.world.open_turns()}")
        self._expect(not state.deletions, f"unfinished deletions {state.deletions}")
        self._expect(not self.world.provider.open, "a stream is open")
        self._expect(not self.world.tools.open, "a tool works on")
        for prompt in state.prompts.values():
            self.ended_well(prompt)
        for (_, thread_id), messages in state.messages.items():
            self.no_holes(thread_id)
            for (turn, part), message in messages.items():
                if part not in (QUESTION, ANSWER):
                    self.round_belongs(turn, part, messages)
                if part == ANSWER:
                    self.answer_belongs(turn, message)
        for prompt_id, contents in self.stored.items():
            self.once(prompt_id, contents)
        if self.lossless:
            self.all_told()
        assert not self.broken, self.broken[0]

    def ended_well(self, prompt: Prompt) -> None:
        """I1, I2: terminal; an answer if completed; a dead letter if given up."""
        self._expect(prompt.status.terminal, f"I1: {prompt.id} is {prompt.status}")
        self._expect(not prompt.lease_token, f"{prompt.id} ended with a lease")
        thread = self.world.state.threads[prompt.account, prompt.thread_id]
        messages = self.world.state.messages[prompt.account, prompt.thread_id]
        answer = messages.get((prompt.turn, ANSWER))
        if prompt.status is Status.COMPLETED and not thread.deleted:
            whole = answer is not None and not answer.partial
            self._expect(whole, f"I2: {prompt.id} completed without an answer")
        if prompt.status is Status.ABANDONED:
            refused = prompt.attempts[-1].outcome is Outcome.REFUSED
            letters = self.world.letters.of(prompt.id)
            self._expect(refused or bool(letters), f"{prompt.id} abandoned without a dead letter")
        numbers = [attempt.number for attempt in prompt.attempts]
        self._expect(numbers == sorted(set(numbers)), f"attempts {numbers}")

    def answer_belongs(self, turn: int, answer: Any) -> None:
        """I2: at most one answer, of a prompt that says so (unless it was removed)."""
        prompt_id = answer.id.removeprefix("msg_").rpartition(".")[0]
        prompt = self.world.state.prompts.get((answer.account, prompt_id))
        if prompt is not None and prompt.turn == turn:
            self._expect(prompt.response_message_id == answer.id, f"I2: {answer.id} is nobody's")
            partial = prompt.status is Status.CANCELED
            self._expect(answer.partial == partial, f"I2: {prompt.status} with {answer}")

    def round_belongs(self, turn: int, part: int, messages: dict[Any, Any]) -> None:
        """I2: a round is stored with its answer or not at all, whole, after those before it."""
        round_, answer = messages[turn, part], messages.get((turn, ANSWER))
        whole = answer is not None and not answer.partial
        self._expect(whole, f"I2: round {part} of turn {turn} has no answer")
        self._expect((turn, part - 1) in messages, f"I2: a hole before round {part}")
        if answer is not None:
            self._expect(round_.id == f"{answer.id}.{part - QUESTION}", f"I2: {round_.id}")
            self._expect(answer.text.startswith(round_.text) or part > 2, "I2: another's round")
        outcomes = {call.outcome for call in round_.calls}
        self._expect(bool(outcomes) and outcomes <= {"ok", "failed"}, f"I2: {outcomes}")

    def no_holes(self, thread_id: str) -> None:
        """Turns are numbered in commit order without holes."""
        turns = self.turns[thread_id]
        self._expect(turns == list(range(1, len(turns) + 1)), f"turns of {thread_id}: {turns}")

    def once(self, prompt_id: str, contents: set[str]) -> None:
        """I7: an id has one content (until it is removed)."""
        self._expect(len(contents) <= 1, f"I7: {prompt_id} has {len(contents)} contents")

    def all_told(self) -> None:
        """When nothing is lost, every follower hears how each prompt ended."""
        for _, thread_id, connection_id in self.world.memory.sockets:
            if (connection_id, thread_id) not in self.following:
                continue  # it hung up or unsubscribed while it subscribed
            for prompt in self.world.state.prompts.values():
                if prompt.thread_id != thread_id:
                    continue
                told = self.told[connection_id, prompt.id]
                seen = prompt.id in self.following[connection_id, thread_id] or told
                if seen:
                    self._expect(
                        prompt.status.value in told,
                        f"{connection_id} was not told that {prompt.id} is {prompt.status}: {told}",
                    )
