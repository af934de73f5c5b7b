// What a conversation looks like after frames, whichever are repeated, late or lost.
import assert from "node:assert/strict";
import { test } from "node:test";

import { answerState, busy, context, known, missing, openEntry, shown } from "../../../layers/parley/parley/page/reading.js";
import { emptyState, reduce } from "../../../layers/parley/parley/page/state.js";

const prompt = (more = {}) => ({
  id: "p1", threadId: "t", turn: 1, status: "running", attempt: 1, updatedAt: 10, ...more,
});
const frame = (type, more) => ({ type: "frame", frame: { type, threadId: "t", ...more } });
const told = (more) => frame("prompt", { prompt: prompt(more) });
const delta = (offset, text, attempt = 1, promptId = "p1") =>
  frame("delta", { promptId, attempt, offset, end: offset + [...text].length, text });
const message = (more) =>
  frame("message", { message: { id: "p1", turn: 1, part: 1, role: "user", text: "Q", partial: false, ...more } });
const answer = (text, more = {}) =>
  message({ id: "msg_p1.1", part: 1000, role: "assistant", text, ...more });
const item = (turn, role, content, more = {}) => ({
  id: role === "user" ? `p${turn}` : `msg_p${turn}.${turn}`,
  prompt_id: `p${turn}`, turn, role, content, part: role === "user" ? 1 : 1000, partial: false, ...more,
});
const opened = (items, prompts = [], after = "") => ({ type: "opened", threadId: "t", items, prompts, after });
const run = (...events) => events.reduce(reduce, reduce(emptyState(), opened([])));
const texts = (state) => shown(state).map((entry) => [entry.question, entry.text]);

test("deltas are put together, repeats are discarded", () => {
  const state = run(told(), message(), delta(0, "Hello"), delta(0, "Hello"), delta(3, "lo, wor"), delta(10, "ld"));
  assert.equal(shown(state)[0].text, "Hello, world");
  assert.equal(answerState(shown(state)[0]), "streaming");
});

test("offsets count code points", () => {
  const state = run(told(), delta(0, "🌊🌊"), delta(1, "🌊 sea"));
  assert.equal(state.entries[0].text, "🌊🌊 sea");
  assert.deepEqual(known(state), { p1: { attempt: 1, offset: 6 } });
});

test("a higher attempt starts the text again, a lower one says nothing", () => {
  const before = run(told(), delta(0, "first try"), told({ status: "errored" }));
  assert.equal(answerState(before.entries[0]), "retrying");
  const state = [told({ attempt: 2, updatedAt: 20 }), delta(0, "sec", 2), delta(9, "!", 1)].reduce(reduce, before);
  assert.equal(state.entries[0].text, "sec");
  assert.equal(state.entries[0].attempt, 2);
});

test("a hole is a gap and adds nothing", () => {
  const state = run(told(), delta(0, "ab"), delta(5, "fg"));
  assert.equal(state.entries[0].text, "ab");
  assert.equal(state.gap, true);
  assert.equal(reduce(state, { type: "resubscribing" }).gap, false);
});

test("the middle of an attempt that was not heard of is a gap", () => {
  assert.equal(run(told(), delta(4, "x", 2)).gap, true);
});

test("the message is the truth, and nothing after it changes it", () => {
  const state = run(told(), delta(0, "Hel"), answer("Hello."), delta(3, "xx"), told({ status: "running", updatedAt: 30 }));
  assert.deepEqual(texts(state), [["", "Hello."]]);
  assert.equal(answerState(shown(state)[0]), "done");
  assert.equal(busy(state), false);
});

test("an answer that comes before its prompt's end stays", () => {
  const state = run(message(), answer("A"), told({ status: "completed", attempt: 1 }));
  assert.deepEqual(texts(state), [["Q", "A"]]);
});

test("a late state does not undo a newer one", () => {
  const state = run(told({ status: "canceled", updatedAt: 30 }), told({ status: "running", updatedAt: 20 }));
  assert.equal(state.entries[0].status, "canceled");
});

test("an end stays an end, and is taken for one, whatever the clocks say", () => {
  for (const status of ["completed", "abandoned", "canceled"]) {
    const end = told({ status, updatedAt: 5 });
    assert.equal(run(told({ updatedAt: 10 }), end).entries[0].status, status);
    assert.equal(run(end, told({ updatedAt: 10 })).entries[0].status, status);
    assert.equal(run(end, told({ attempt: 2, updatedAt: 1 })).entries[0].status, "running");
  }
});

test("what is kept of a stopped answer is marked", () => {
  const state = run(told(), delta(0, "Half an ans"), told({ status: "canceled", updatedAt: 20 }), answer("Half an ans", { partial: true }));
  assert.equal(answerState(state.entries[0]), "stopped");
  assert.equal(state.entries[0].text, "Half an ans");
});

test("a question is shown before it is taken and is there once afterwards", () => {
  const asked = { type: "asked", text: "Q", replaces: 0, at: 5 };
  const posted = { type: "accepted", prompt: prompt({ status: "scheduled", attempt: 0 }), messages: [] };
  for (const order of [[posted, told(), message()], [told(), message(), posted], [message(), told(), posted]]) {
    const before = run(asked);
    assert.equal(busy(before), true);
    const state = order.reduce(reduce, before);
    assert.deepEqual(texts(state), [["Q", ""]]);
    assert.equal(state.pending, null);
  }
});

test("a plain answer is taken from the response", () => {
  const state = run(
    { type: "asked", text: "Q", at: 5 },
    { type: "accepted", prompt: prompt({ status: "completed" }), messages: [item(1, "assistant", "A")] },
  );
  assert.deepEqual(texts(state), [["Q", "A"]]);
  assert.equal(answerState(shown(state)[0]), "done");
});

test("an edit hides the turn it replaces at once, and shows it again if it is refused", () => {
  const before = reduce(emptyState(), opened([item(1, "user", "old"), item(1, "assistant", "A")]));
  const asked = reduce(before, { type: "asked", text: "new", replaces: 1, at: 5 });
  assert.deepEqual(texts(asked), []);
  assert.deepEqual(texts(reduce(asked, { type: "refused" })), [["old", "A"]]);
  const taken = reduce(asked, { type: "accepted", prompt: prompt({ id: "p2", turn: 2 }), messages: [] });
  assert.deepEqual(texts(taken), [["new", ""]]);
});

test("an edit from elsewhere hides what it replaces, heard or read", () => {
  const before = reduce(emptyState(), opened([item(1, "user", "old"), item(1, "assistant", "A")]));
  const heard = [told({ id: "p2", turn: 2 }), message({ id: "p2", turn: 2, text: "new", replaces: 1 })];
  assert.deepEqual(texts(heard.reduce(reduce, before)), [["new", ""]]);
  const items = [item(2, "user", "new", { replaces: 1 }), item(2, "assistant", "B")];
  assert.deepEqual(texts(reduce(before, { type: "read", items, prompts: [] })), [["new", "B"]]);
});

test("a read forgets what was replaced by what was replaced itself", () => {
  const before = reduce(emptyState(), opened([1, 2].flatMap((n) => [item(n, "user", `Q${n}`), item(n, "assistant", "A")])));
  const items = [item(1, "user", "Q1"), item(1, "assistant", "A"), item(4, "user", "Q4", { replaces: 3 })];
  const state = reduce(before, { type: "read", items, prompts: [] });
  assert.deepEqual(texts(state).map(([question]) => question), ["Q1", "Q4"]);
  const shownAfter = (after) => texts(reduce(before, { type: "read", items: items.slice(2), prompts: [], after })).length;
  assert.deepEqual([shownAfter(""), shownAfter("4.3")], [1, 3]);
});

test("a subscription does not bring back what was replaced or is older", () => {
  const before = reduce(emptyState(), opened([item(2, "user", "new"), item(2, "assistant", "B")]));
  const stored = [item(1, "user", "old"), item(1, "assistant", "A"), item(2, "user", "new")];
  const messages = stored.map((it) => ({ ...it, text: it.content }));
  const state = reduce(before, frame("subscribed", { prompts: [], messages }));
  assert.deepEqual(texts(state), [["new", "B"]]);
});

test("a retry moves the turn to the end with nothing of its old answer", () => {
  const state = run(told(), message(), delta(0, "I was"), told({ status: "abandoned", updatedAt: 20 }));
  assert.equal(answerState(shown(state)[0]), "failed");
  const trying = reduce(state, { type: "retrying", promptId: "p1" });
  assert.equal(busy(trying), true);
  assert.equal(answerState(reduce(trying, { type: "notRetried", promptId: "p1" }).entries[0]), "failed");
  const retried = reduce(trying, { type: "accepted", prompt: prompt({ turn: 2, status: "scheduled", updatedAt: 30 }), messages: [] });
  assert.deepEqual(texts(retried), [["Q", ""]]);
  assert.equal(shown(retried)[0].turn, 2);
});

test("the answer of a turn that was tried again is not left behind", () => {
  const left = { ...item(1, "assistant", "half", { partial: true }), prompt_id: "" };
  const state = reduce(emptyState(), opened([left, item(2, "user", "Q", { id: "p1", prompt_id: "p1" })]));
  assert.deepEqual(texts(state), [["Q", ""]]);
});

test("what ended while nothing was heard is to be read", () => {
  const before = run(told(), delta(0, "Hel"));
  const state = reduce(before, frame("subscribed", { prompts: [], messages: [] }));
  assert.equal(state.stale, true);
  const read = reduce(state, { type: "read", items: [item(1, "user", "Q"), item(1, "assistant", "Hello.")], prompts: [] });
  assert.deepEqual([texts(read), read.stale], [[["Q", "Hello."]], false]);
});

test("a subscription that brings the answer leaves nothing to be read", () => {
  const messages = [{ ...item(1, "assistant", ""), text: "Hello." }];
  const state = reduce(run(told(), delta(0, "Hel")), frame("subscribed", { prompts: [], messages }));
  assert.deepEqual([state.stale, shown(state)[0].text], [false, "Hello."]);
});

test("a ping that tells an unheard end or attempt asks for more", () => {
  assert.equal(reduce(run(told()), frame("pong", { prompts: [prompt({ status: "completed" })] })).stale, true);
  assert.equal(reduce(run(told()), frame("pong", { prompts: [prompt({ attempt: 2 })] })).gap, true);
  assert.equal(reduce(run(), frame("pong", { prompts: [prompt()] })).gap, true);
});

test("an end without its answer is missing until the message comes", () => {
  const state = run(told(), told({ status: "completed", updatedAt: 20 }));
  assert.equal(missing(state).length, 1);
  assert.equal(missing(reduce(state, answer("A"))).length, 0);
});

test("a cut message is read over HTTP", () => {
  assert.equal(run(told(), answer("begin", { truncated: true })).stale, true);
});

test("calls of tools are told apart by round, and forgotten with their attempt", () => {
  const tool = (round, state, more = {}) =>
    frame("tool", { promptId: "p1", attempt: 1, round, callId: "call_1", name: "f", arguments: "{}", state, outcome: "", milliseconds: 5, size: 9, ...more });
  const state = run(told(), tool(1, "started"), tool(1, "done", { outcome: "ok" }), tool(1, "started"), tool(2, "started"));
  assert.deepEqual(state.entries[0].tools.map((it) => [it.callId, it.state, it.outcome]), [["1.call_1", "done", "ok"], ["2.call_1", "started", ""]]);
  assert.deepEqual(reduce(state, told({ attempt: 2, updatedAt: 20 })).entries[0].tools, []);
});

test("calls that were not heard of come with their stored round", () => {
  const calls = [{ id: "call_1", name: "f", arguments: "{}", outcome: "failed", milliseconds: 3, size: 2 }];
  const state = run(told(), message({ id: "m", role: "tool", part: 2, text: "", calls }), answer("A"));
  assert.deepEqual(state.entries[0].tools.map((it) => [it.name, it.outcome, it.state]), [["f", "failed", "done"]]);
});

test("history brings the calls with their results", () => {
  const call = { name: "f", arguments: "{}", outcome: "ok", ms: 412, size: 3, result: "17" };
  const state = reduce(emptyState(), opened([item(1, "user", "Q"), item(1, "assistant", "A", { tool_calls: [call] })]));
  assert.deepEqual([state.entries[0].tools[0].result, state.entries[0].tools[0].milliseconds], ["17", 412]);
});

test("older turns go before, and their ended prompts do not show up by themselves", () => {
  const old = prompt({ id: "p1", turn: 1, status: "completed" });
  const before = reduce(emptyState(), opened([item(2, "user", "B")], [old, prompt({ id: "p2", turn: 2, status: "abandoned" })], "2"));
  assert.deepEqual(before.entries.map((entry) => [entry.promptId, entry.status]), [["p2", "abandoned"]]);
  const state = reduce(before, { type: "older", items: [item(1, "user", "A")], after: "" });
  assert.deepEqual([texts(state).map(([question]) => question), state.after], [["A", "B"], ""]);
});

test("a reload in the middle of an answer goes on with it", () => {
  const state = reduce(emptyState(), opened([item(1, "user", "Q")], [prompt()]));
  assert.equal(openEntry(state).promptId, "p1");
  assert.deepEqual(known(state), { p1: { attempt: 1, offset: 0 } });
});

test("a request carries the last answer on, with ids", () => {
  const intro = { id: "intro.1", role: "assistant", content: "Welcome" };
  const empty = reduce(emptyState(), opened([intro]));
  assert.deepEqual(context(empty).map((it) => it.id), ["intro.1"]);
  const state = reduce(emptyState(), opened([intro, item(1, "user", "Q"), item(1, "assistant", "A"), item(2, "user", "R")]));
  assert.deepEqual(context(state).map((it) => it.id), ["msg_p1.1", "p2"]);
});

test("frames of other threads and unknown types say nothing", () => {
  const state = run(told());
  assert.equal(reduce(state, frame("news", {})), state);
  assert.equal(reduce(state, { type: "frame", frame: { type: "subscribed", threadId: "other", prompts: [], messages: [] } }), state);
});

test("a ping that tells of what is settled asks for nothing", () => {
  const state = reduce(emptyState(), opened([item(2, "user", "Q"), item(2, "assistant", "A")]));
  assert.equal(reduce(state, frame("pong", { prompts: [prompt({ id: "p0", turn: 1 })] })), state);
});

test("a subscription closes the gap", () => {
  const state = run(told(), delta(5, "fg"));
  assert.equal(reduce(state, frame("subscribed", { prompts: [prompt()], messages: [] })).gap, false);
});

test("nothing is added to an answer that is complete", () => {
  assert.deepEqual(texts(run(told(), message(), answer("Hello."), delta(6, " And"))), [["Q", "Hello."]]);
});

test("the next attempt's text is shown before its prompt says that it runs", () => {
  const state = run(told(), delta(0, "a"), told({ status: "errored" }), delta(0, "b", 2));
  assert.deepEqual([answerState(state.entries[0]), state.entries[0].text], ["streaming", "b"]);
});

test("a call of an attempt that was given up is not shown", () => {
  const late = frame("tool", { promptId: "p1", attempt: 1, round: 1, callId: "c", name: "f", state: "started" });
  assert.deepEqual(run(told({ attempt: 2 }), late).entries[0].tools, []);
});

test("a question that was cut for the socket does not replace the whole one", () => {
  const state = run(told(), message({ text: "The whole question" }), message({ text: "The who", truncated: true }));
  assert.equal(shown(state)[0].question, "The whole question");
});

test("a call whose end was not heard of has ended with the answer", () => {
  const started = frame("tool", { promptId: "p1", attempt: 1, round: 1, callId: "c", name: "f", state: "started" });
  const { tools } = run(told(), started, answer("A")).entries[0];
  assert.deepEqual(tools.map((it) => [it.name, it.state, it.outcome]), [["f", "done", ""]]);
});

test("what a conversation begins with is in its order, whichever is read first", () => {
  const intro = ["intro.2", "intro.1"].map((id) => ({ id, role: "assistant", content: id }));
  const state = reduce(emptyState(), opened(intro));
  assert.deepEqual(state.intro.map((it) => it.id), ["intro.1", "intro.2"]);
});
