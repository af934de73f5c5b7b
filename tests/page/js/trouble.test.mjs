// What the page does when a call or the connection fails. Server and socket are fakes.
import assert from "node:assert/strict";
import { test } from "node:test";

import { ApiError } from "../../../layers/parley/parley/page/api.js";
import { answerState, shown } from "../../../layers/parley/parley/page/reading.js";
import { asked, KEY, last, named, OTHER, prompt, said, taken, until, world } from "./world.mjs";

const failing = (status) => () => { throw new ApiError(status, "no"); };
const answered = { items: [asked("Hi"), said("Yo")], prompts: [prompt({ status: "completed", updatedAt: 20 })], after: "" };
const failed = () => ({
  session_key: KEY,
  history: { chat_history: [asked("Hi")] },
  prompts: [prompt({ status: "abandoned" })],
  websocket: { url: "ws://x/ws", account: "1", llm_client: "plain", thread_id: "t" },
});

test("the connection of the conversation before is closed, and heard no more", async () => {
  const { conversation, it, link } = world();
  await conversation.load(KEY);
  const { onFrame, onState } = link;
  await conversation.load(OTHER);
  assert.equal(link.closed, 1);
  onFrame({ type: "prompt", prompt: prompt() });
  onState("lost");
  assert.deepEqual([it.key, it.link, it.state.entries], [OTHER, "open", []]);
});

test("the socket's address carries who asks, and a token where there is one", async () => {
  for (const token of ["", "tok"]) {
    const { conversation, link } = world({ token: async () => token });
    await conversation.load(KEY);
    const { searchParams } = new URL(await link.address());
    const expected = { session_key: KEY, account: "1", llm_client: "plain", ...(token && { token }) };
    assert.deepEqual(Object.fromEntries(searchParams), expected);
  }
});

test("a key that is damaged is taken from the list, and a new conversation begins", async () => {
  const config = (key) => {
    if (key) throw new ApiError(400, "malformed");
    return { session_key: OTHER, history: {}, websocket: { url: "" } };
  };
  const { conversation, it, sessions } = world({ answers: { config } });
  sessions.touch(KEY, "Hi", 1);
  await conversation.load(KEY);
  await until(() => it.phase === "ready");
  assert.deepEqual([it.key, sessions.list()], [OTHER, []]);
});

test("an answer is read while its connection is lost", async () => {
  const { conversation, it, link } = world({ answers: { history: answered } });
  await conversation.load("");
  await conversation.send("Hi");
  link.open = false;
  link.onState("lost");
  await until(() => last(it).done);
  assert.equal(last(it).text, "Yo");
});

test("an end whose answer does not come is read", async () => {
  const { conversation, calls, it, link } = world({ answers: { history: answered } });
  await conversation.load("");
  await conversation.send("Hi");
  link.onFrame({ type: "prompt", prompt: prompt({ status: "completed", updatedAt: 20 }) });
  await until(() => last(it).done);
  assert.deepEqual([last(it).text, named(calls, "history").length], ["Yo", 1]);
});

test("an end whose answer follows is not", async () => {
  const { conversation, calls, it, link } = world();
  await conversation.load("");
  await conversation.send("Hi");
  link.onFrame({ type: "prompt", prompt: prompt({ status: "completed", updatedAt: 20 }) });
  link.onFrame({ type: "message", message: { ...said("Yo"), text: "Yo" } });
  for (let turns = 0; turns < 5; turns += 1) await new Promise(setImmediate);
  assert.deepEqual([last(it).text, named(calls, "history").length], ["Yo", 0]);
});

test("an answer that is nowhere is looked for twice, and then it is an empty one", async () => {
  const gone = { ...answered, items: [asked("Hi")] };
  let reads = 0;
  const history = () => {
    reads += 1;
    if (reads === 1) throw new ApiError(503, "no"); // that one has not looked
    return gone;
  };
  const config = { session_key: KEY, history: { chat_history: gone.items }, prompts: gone.prompts, websocket: { url: "" } };
  const { conversation, calls, it } = world({ answers: { config, history } });
  await conversation.load(KEY);

  await until(() => last(it).done);
  for (let turns = 0; turns < 20; turns += 1) await new Promise(setImmediate);
  assert.equal(reads, 3);
  assert.deepEqual([answerState(last(it)), last(it).text], ["done", ""]);
  // It can be asked anew, in its place.
  conversation.again("p1");
  await until(() => named(calls, "chat").length);
  assert.equal(named(calls, "chat")[0][1].replaces, 1);
});

test("a question that comes too late gives the draft back and shows what was said meanwhile", async () => {
  const { conversation, drafts, it } = world({ answers: { chat: failing(409), history: answered } });
  await conversation.load("");
  await conversation.send("And?");
  assert.deepEqual([it.notice.kind, drafts, last(it).text, it.state.pending], ["open", ["And?"], "Yo", null]);
});

test("a chat that has been closed meanwhile asks for its key", async () => {
  for (const status of [401, 403]) {
    const { conversation, drafts, it } = world({ answers: { chat: failing(status) } });
    await conversation.load("");
    await conversation.send("Hi");
    assert.deepEqual([it.phase, it.notice, drafts], ["closed", null, ["Hi"]]);
  }
});

test("an answer that cannot be stopped says so, and the button can be pressed again", async () => {
  const { conversation, it } = world({ sockets: false, answers: { cancel: failing(0), history: { items: [asked("Hi")], prompts: [prompt()] } } });
  await conversation.load("");
  await conversation.send("Hi");
  await conversation.stop();
  assert.deepEqual([it.stopping, it.notice.kind, busyOf(it)], [false, "failed", true]);
});

const busyOf = (it) => ["thinking", "streaming"].includes(answerState(last(it)));

test("older messages are asked for once at a time, and say when they do not come", async () => {
  const config = () => ({ session_key: KEY, history: { chat_history: [asked("Hi")], after: "7" }, websocket: { url: "" } });
  const { conversation, calls, it } = world({ answers: { config, history: failing(503) } });
  await conversation.load(KEY);
  await Promise.all([conversation.older(), conversation.older()]);
  assert.deepEqual(named(calls, "history"), [["history", KEY, "7"]]);
  assert.deepEqual([it.notice.kind, it.loadingOlder, it.state.after], ["failed", false, "7"]);
});

test("a retry that is not taken leaves the turn as it was, and says why", async () => {
  const limited = { ...taken(), status: 429, prompt: null, messages: [{ role: "smarter_error", content: "Ten a minute." }] };
  const read = { items: [asked("Hi")], prompts: [prompt({ status: "abandoned" })], after: "" };
  for (const [retry, notice] of [[limited, "Ten a minute."], [failing(0), /could not be reached/]]) {
    const { conversation, it } = world({ answers: { config: failed, retry, history: read } });
    await conversation.load(KEY);
    await conversation.retry("p1");
    assert.match(it.notice.text, new RegExp(notice));
    assert.equal(answerState(last(it)), "failed");
  }
});

test("the conversation that is shown is not loaded again", async () => {
  const { conversation, calls } = world();
  await conversation.load(KEY);
  await conversation.openSession(KEY);
  assert.equal(named(calls, "config").length, 1);
  await conversation.openSession(OTHER);
  assert.equal(named(calls, "config").length, 2);
});

test("a text of nothing is not sent, nor anything before the chat is there", async () => {
  const { conversation, calls, it } = world({ answers: { config: failing(404) } });
  await conversation.load("");
  await conversation.send("Hi");
  assert.deepEqual([named(calls, "chat"), shown(it.state)], [[], []]);
  const ready = world();
  await ready.conversation.load("");
  await ready.conversation.send("");
  assert.deepEqual(named(ready.calls, "chat"), []);
});
