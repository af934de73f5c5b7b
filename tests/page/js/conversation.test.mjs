// What the page does when something is asked, stopped, refused, lost. Server and socket are fakes.
import assert from "node:assert/strict";
import { test } from "node:test";

import { ApiError } from "../../../layers/parley/parley/page/api.js";
import { answerState, shown } from "../../../layers/parley/parley/page/reading.js";
import { asked, KEY, last, named, OTHER, prompt, said, taken, until, world } from "./world.mjs";

test("with a socket a question is posted without waiting", async () => {
  const { conversation, calls, it, link, sessions } = world();
  await conversation.load("");
  await conversation.send("Hi");
  const [, payload] = named(calls, "chat")[0];
  assert.equal(payload.wait, 0);
  assert.deepEqual(payload.messages, [{ role: "user", content: "Hi" }]);
  link.onFrame({ type: "delta", promptId: "p1", attempt: 1, offset: 0, end: 2, text: "Yo" });
  assert.equal(last(it).text, "Yo");
  assert.deepEqual(sessions.list().map((one) => [one.key, one.title]), [[KEY, "Hi"]]);
});

test("without one it waits, and then reads until the answer is there", async () => {
  let reads = 0;
  const history = () => {
    reads += 1;
    const items = reads < 3 ? [asked("Hi")] : [asked("Hi"), said("Yo")];
    return { items, prompts: reads < 3 ? [prompt()] : [prompt({ status: "completed", updatedAt: 20 })] };
  };
  const { conversation, calls, it } = world({ sockets: false, answers: { history } });
  await conversation.load("");
  await conversation.send("Hi");
  assert.equal(named(calls, "chat")[0][1].wait, 25);
  await until(() => answerState(last(it)) === "done");
  assert.equal(last(it).text, "Yo");
});

test("a second question waits for the first one's answer", async () => {
  const { conversation, calls } = world();
  await conversation.load("");
  await conversation.send("Hi");
  await conversation.send("And?");
  assert.equal(named(calls, "chat").length, 1);
});

test("a limit gives the draft back with the server's words", async () => {
  const refused = { status: 429, prompt: null, messages: [{ role: "smarter_error", content: "Ten a minute." }] };
  const { conversation, drafts, it } = world({ answers: { chat: refused } });
  await conversation.load("");
  await conversation.send("Hi");
  assert.deepEqual([it.notice, drafts], [{ kind: "limited", text: "Ten a minute." }, ["Hi"]]);
  assert.deepEqual(shown(it.state), []);
  assert.equal(it.state.pending, null);
});

test("a server that cannot be reached gives the draft back", async () => {
  const chat = () => { throw new ApiError(0, "nobody"); };
  const { conversation, drafts, it } = world({ answers: { chat } });
  await conversation.load("");
  await conversation.send("Hi");
  assert.deepEqual([it.notice.kind, drafts, it.phase], ["unreachable", ["Hi"], "ready"]);
});

test("what was answered with nothing is asked again in its place, what failed is retried", async () => {
  const items = [asked("Hi"), said("")];
  const config = () => ({ session_key: KEY, history: { chat_history: items }, prompts: [prompt({ status: "completed" })] });
  const { conversation, calls } = world({ answers: { config } });
  await conversation.load("");
  await conversation.again("p1");
  const [, payload] = named(calls, "chat")[0];
  assert.deepEqual([payload.replaces, payload.messages.at(-1).content], [1, "Hi"]);
  assert.equal(named(calls, "retry").length, 0);

  const failing = world({ answers: { config: () => ({ ...config(), history: { chat_history: [asked("Hi")] }, prompts: [prompt({ status: "abandoned" })] }) } });
  await failing.conversation.load("");
  await failing.conversation.again("p1");
  assert.deepEqual(named(failing.calls, "retry").map(([, , id]) => id), ["p1"]);
});

test("a conversation that is left before its first question is taken is listed all the same", async () => {
  let answer;
  const chat = () => new Promise((done) => { answer = done; });
  const config = (key) => ({ session_key: key || (answer ? OTHER : KEY), history: {}, websocket: { url: "" } });
  const { conversation, it, sessions } = world({ answers: { chat, config } });
  await conversation.load("");
  const sending = conversation.send("Hi");
  await conversation.newChat();
  answer(taken());
  await sending;
  assert.deepEqual([it.key, sessions.list().map((one) => [one.key, one.title])], [OTHER, [[KEY, "Hi"]]]);
  assert.equal(sessions.current, OTHER);
});

test("a conversation is named by its first question, though the second is taken first", async () => {
  const takes = [];
  const chat = () => new Promise((take) => takes.push(take));
  const { conversation, sessions, it, link } = world({ answers: { chat } });
  await conversation.load("");
  conversation.send("The first");
  await until(() => takes.length === 1);
  link.onFrame({ type: "prompt", prompt: prompt() });
  link.onFrame({ type: "message", message: { ...asked("The first"), text: "The first" } });
  link.onFrame({ type: "message", message: { ...said("Yo"), text: "Yo" } });
  conversation.send("The second");
  await until(() => takes.length === 2);

  takes[1](taken({ id: "p2", turn: 2 }));

  await until(() => sessions.list().length);
  assert.deepEqual([sessions.list()[0].title, it.key], ["The first", KEY]);
});

test("the sandbox reads what tools have answered, a public page does not ask", async () => {
  for (const sandbox of [true, false]) {
    const config = () => ({
      session_key: KEY,
      sandbox_mode: sandbox,
      history: {},
      websocket: { url: "ws://x/ws", account: "1", llm_client: "plain", thread_id: "t" },
    });
    const answer = { ...said("17 degrees"), tool_calls: [{ name: "weather", arguments: "{}", result: "17" }] };
    const history = { items: [asked("Hi"), answer], prompts: [], after: "" };
    const { conversation, calls, it, link } = world({ answers: { config, history } });
    await conversation.load("");
    await conversation.send("Hi");
    const tool = { type: "tool", promptId: "p1", attempt: 1, round: 1, callId: "c", name: "weather", state: "done", offset: 0 };
    link.onFrame(tool);
    link.onFrame({ type: "message", message: { ...said("17 degrees"), text: "17 degrees", part: 1000 } });
    await until(() => last(it).done && (!sandbox || last(it).tools[0].stored));
    assert.deepEqual([last(it).tools[0].result, named(calls, "history").length], sandbox ? ["17", 1] : ["", 0]);
  }
});

test("a session that is gone is followed by a new one that says so", async () => {
  let gone = false;
  const config = (key) => ({
    session_key: gone ? OTHER : key || KEY,
    history: {},
    websocket: { url: "", thread_id: "t" },
  });
  const chat = () => { throw new ApiError(404, "no such session"); };
  const { conversation, drafts, it, sessions } = world({ answers: { config, chat } });
  await conversation.load("");
  gone = true;
  await conversation.send("Hi");
  assert.deepEqual([it.key, it.notice.kind, drafts, sessions.current], [OTHER, "lost", ["Hi"], OTHER]);
  assert.match(it.notice.text, /still in the box/);
});

test("a session that is deleted while it is open is followed by a new one that says so", async () => {
  let gone = false;
  const config = (key) => ({
    session_key: gone ? OTHER : key || KEY,
    history: {},
    websocket: { url: "ws://x/ws", account: "1", llm_client: "plain", thread_id: "t" },
  });
  const { conversation, it, link, sessions } = world({ answers: { config } });
  await conversation.load("");
  gone = true;
  const { onDeleted } = link;
  onDeleted();
  await until(() => it.phase === "ready");
  assert.deepEqual([it.key, it.notice.kind, sessions.current], [OTHER, "lost", OTHER]);
  onDeleted(); // of the connection that was
  assert.equal(it.phase, "ready");
});

test("what is not there or not open says so, and is not asked again", async () => {
  for (const [status, phase] of [[404, "unavailable"], [403, "closed"]]) {
    const config = () => { throw new ApiError(status, "no"); };
    const { conversation, calls, it } = world({ answers: { config } });
    await conversation.load("");
    assert.deepEqual([it.phase, named(calls, "config").length], [phase, 1]);
  }
});

test("a server in trouble is asked until it answers", async () => {
  let tries = 0;
  const config = () => {
    tries += 1;
    if (tries < 3) throw new ApiError(503, "busy");
    return { session_key: KEY, history: {}, websocket: { url: "" } };
  };
  const { conversation, it } = world({ answers: { config } });
  await conversation.load("");
  assert.equal(it.phase, "ready");
});

test("a failed turn keeps the server's words and can be tried again", async () => {
  const failed = { status: 502, prompt: prompt({ status: "abandoned" }), messages: [{ role: "smarter_error", content: "The model is away." }] };
  const { conversation, calls, it } = world({ answers: { chat: failed } });
  await conversation.load("");
  await conversation.send("Hi");
  assert.deepEqual([answerState(last(it)), it.errors.p1], ["failed", "The model is away."]);
  await conversation.retry("p1");
  assert.deepEqual(named(calls, "retry"), [["retry", KEY, "p1"]]);
  assert.deepEqual([answerState(last(it)), last(it).turn, it.errors.p1], ["thinking", 2, undefined]);
});

test("stop goes over the socket, and over HTTP if that does not help", async () => {
  const { conversation, calls, it, link } = world();
  await conversation.load("");
  await conversation.send("Hi");
  await conversation.stop();
  assert.deepEqual([link.canceled, named(calls, "cancel")], [["p1"], [["cancel", KEY, "p1"]]]);
  assert.equal(answerState(last(it)), "stopped");
});

test("what was stopped and is asked for again is not stopped again", async () => {
  const { calls, conversation, it, link } = world();
  await conversation.load("");
  await conversation.send("Hi");
  const stopping = conversation.stop();
  link.onFrame({ type: "prompt", prompt: prompt({ status: "canceled", updatedAt: 15 }) });
  const again = conversation.retry("p1");
  assert.equal(answerState(last(it)), "thinking");
  await Promise.all([stopping, again]);
  assert.deepEqual(named(calls, "cancel"), []);
  assert.deepEqual([answerState(last(it)), last(it).turn], ["thinking", 2]);
});

test("stop before the question is taken stops it when it is", async () => {
  let take;
  const chat = () => new Promise((done) => { take = () => done(taken()); });
  const { conversation, it, link } = world({ answers: { chat } });
  await conversation.load("");
  const sent = conversation.send("Hi");
  await conversation.stop();
  assert.deepEqual(link.canceled, []);
  take();
  await sent;
  await until(() => link.canceled.length === 1);
  await until(() => answerState(last(it)) === "stopped");
});

test("an edit names the turn that it replaces; the same words after a failure are a retry", async () => {
  const history = { chat_history: [asked("Hi"), said("Yo")] };
  const config = { session_key: KEY, history, websocket: { url: "", thread_id: "t" } };
  const one = world({ answers: { config, chat: taken({ id: "p2", turn: 2 }) } });
  await one.conversation.load(KEY);
  await one.conversation.edit("Hello");
  const [, payload] = named(one.calls, "chat")[0];
  assert.equal(payload.replaces, 1);
  assert.deepEqual(payload.messages.map((message) => message.id), ["msg_p1.1", undefined]);
  assert.deepEqual(shown(one.it.state).map((entry) => entry.question), ["Hello"]);

  const failed = { ...config, history: { chat_history: [asked("Hi")] }, prompts: [prompt({ status: "abandoned" })] };
  const two = world({ answers: { config: failed } });
  await two.conversation.load(KEY);
  await two.conversation.edit("Hi");
  assert.deepEqual([named(two.calls, "chat").length, named(two.calls, "retry").length], [0, 1]);
});

test("a gap leads to a subscription, an unheard end to a read", async () => {
  const items = [asked("Hi"), said("Yo")];
  const { conversation, calls, it, link } = world({ answers: { history: { items, prompts: [] } } });
  await conversation.load("");
  await conversation.send("Hi");
  link.onFrame({ type: "delta", promptId: "p1", attempt: 1, offset: 9, end: 10, text: "x" });
  await until(() => link.resubscribed === 1);
  link.onFrame({ type: "subscribed", threadId: "t", prompts: [], messages: [] });
  await until(() => last(it).done);
  assert.equal(named(calls, "history").length, 1);
});

test("a finished answer is announced once, whichever frame comes first; a read history is not", async () => {
  const message = { ...said("Yo"), text: "Yo" };
  const frames = [
    { type: "prompt", prompt: prompt({ status: "completed", updatedAt: 20 }) },
    { type: "message", message },
  ];
  for (const order of [frames, frames.toReversed()]) {
    const { conversation, heard, link } = world();
    await conversation.load("");
    await conversation.send("Hi");
    for (const frame of [...order, ...order]) link.onFrame(frame);
    assert.deepEqual(heard, ["Yo"]);
  }
  const plain = world({ sockets: false, answers: { chat: { ...taken({ status: "completed" }), messages: [said("Yo")] } } });
  await plain.conversation.load("");
  await plain.conversation.send("Hi");
  assert.deepEqual(plain.heard, ["Yo"]);
  const config = { session_key: KEY, history: { chat_history: [asked("Hi"), said("Yo")] }, websocket: { url: "" } };
  const read = world({ answers: { config } });
  await read.conversation.load(KEY);
  assert.deepEqual(read.heard, []);
});

test("without a socket the next conversation is read, too, while a read of the one before hangs", async () => {
  const item = { ...asked("Ho"), id: "p9", prompt_id: "p9" };
  const open = { ...prompt(), id: "p9" };
  let reads = 0;
  const history = (key) => {
    if (key === KEY) return new Promise(() => {});
    reads += 1;
    const end = reads > 1;
    return { items: end ? [item, { ...said("Yo"), prompt_id: "p9" }] : [item], prompts: [{ ...open, status: end ? "completed" : "running" }] };
  };
  const config = (key) => ({
    session_key: key || KEY, history: { chat_history: [key === OTHER ? item : asked("Hi")] },
    prompts: [key === OTHER ? open : prompt()], websocket: { url: "" },
  });
  const { conversation, it } = world({ sockets: false, answers: { config, history } });
  await conversation.load(KEY);
  await conversation.load(OTHER);
  await until(() => last(it).text === "Yo");
  assert.equal(reads, 2);
});

test("another account's key at the same address goes on with that account's conversation", async () => {
  let account = "1";
  const known = { 1: KEY, 2: OTHER };
  const config = (key) => ({
    session_key: key === known[account] ? key : "c".repeat(64), history: {},
    websocket: { url: "", account, llm_client: "plain", thread_id: "t" },
  });
  const { conversation, it, sessions } = world({ answers: { config } });
  const list = {};
  for (account of ["1", "2", "1"]) {
    await conversation.load(sessions.current);
    await until(() => it.phase === "ready");
    list[account] ??= sessions.touch(it.key, `of ${account}`, 1) ?? it.key;
    known[account] = list[account];
    assert.deepEqual([it.key, it.notice], [list[account], null]);
    assert.deepEqual(sessions.list().map((one) => one.title), [`of ${account}`]);
  }
});

test("what belongs to the conversation before is dropped", async () => {
  let take;
  const chat = () => new Promise((done) => { take = () => done(taken()); });
  const { conversation, it } = world({ answers: { chat } });
  await conversation.load(KEY);
  const sent = conversation.send("Hi");
  await conversation.load(OTHER);
  take();
  await sent;
  assert.deepEqual([it.key, it.state.entries], [OTHER, []]);
});
