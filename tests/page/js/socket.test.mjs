// The connection: it comes back, asks for signs of life, and knows when to give up.
import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { keepSocket } from "../../../layers/parley/parley/page/socket.js";

class FakeSocket {
  static made = [];
  readyState = 0;
  sent = [];
  constructor(url) {
    this.url = url;
    FakeSocket.made.push(this);
  }
  send(text) { this.sent.push(JSON.parse(text)); }
  close() { this.readyState = 3; }
  opens() { this.readyState = 1; this.onopen(); }
  says(frame) { this.onmessage({ data: JSON.stringify(frame) }); }
  fails() { this.readyState = 3; this.onclose?.(); }
}

/** A kept socket under a clock that is moved by hand. */
function kept(t, more = {}) {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  t.after(() => mock.timers.reset());
  FakeSocket.made = [];
  const states = [];
  const frames = [];
  const socket = keepSocket({
    address: async () => "ws://x/ws?session_key=k",
    threadId: "t",
    known: () => ({ p: { attempt: 1, offset: 5 } }),
    busy: () => false,
    onFrame: (frame) => frames.push(frame),
    onState: (state) => states.push(state),
    WebSocket: FakeSocket,
    random: () => 0.5,
    ...more,
  });
  return { socket, states, frames, newest: () => FakeSocket.made.at(-1) };
}
const settle = async () => { for (let n = 0; n < 5; n += 1) await Promise.resolve(); };
const pass = async (milliseconds) => { mock.timers.tick(milliseconds); await settle(); };
const stands = async ({ socket, newest }) => {
  socket.open();
  await settle();
  newest().opens();
  newest().says({ type: "subscribed", threadId: "t", prompts: [], messages: [] });
};

test("it subscribes with what is known, and stands when that is answered", async (t) => {
  const all = kept(t);
  all.socket.open();
  await settle();
  assert.equal(all.socket.isOpen, false);
  all.newest().opens();
  assert.deepEqual(all.newest().sent, [{ action: "subscribe", threadId: "t", known: { p: { attempt: 1, offset: 5 } } }]);
  all.newest().says({ type: "subscribed", threadId: "t", prompts: [], messages: [] });
  assert.deepEqual([all.states, all.frames.length, all.socket.isOpen], [["connecting", "open"], 1, true]);
});

test("it comes back with growing pauses, and from the start after a success", async (t) => {
  const all = kept(t);
  await stands(all);
  for (const pause of [500, 1000, 2000]) {
    const before = FakeSocket.made.length;
    all.newest().fails();
    await pass(pause - 1);
    assert.equal(FakeSocket.made.length, before);
    await pass(1);
    assert.equal(FakeSocket.made.length, before + 1);
  }
  all.newest().opens();
  all.newest().says({ type: "subscribed", threadId: "t", prompts: [], messages: [] });
  all.newest().fails();
  await pass(500);
  assert.equal(all.states.at(-1), "connecting");
});

test("silence is asked about, sooner while an answer is under way, and its lack ends it", async (t) => {
  let busy = false;
  const all = kept(t, { busy: () => busy });
  await stands(all);
  const pings = () => all.newest().sent.filter((frame) => frame.action === "ping");
  await pass(16_000);
  assert.deepEqual(pings(), []);
  busy = true;
  await pass(15_000);
  assert.deepEqual(pings(), [{ action: "ping", threadId: "t" }]);
  await pass(10_000);
  assert.equal(all.states.at(-1), "lost");
});

test("an answered ping keeps it", async (t) => {
  const all = kept(t, { busy: () => true });
  await stands(all);
  await pass(15_000);
  await pass(1000);
  all.newest().says({ type: "pong", prompts: [] });
  await pass(9000);
  assert.equal(all.states.at(-1), "open");
});

test("a connection that does not open in time is given up and tried again", async (t) => {
  const all = kept(t);
  all.socket.open();
  await settle();
  await pass(8000);
  assert.equal(all.states.at(-1), "lost");
  await pass(500);
  assert.equal(FakeSocket.made.length, 2);
});

test("a thread that was deleted closes it for good, and that is told", async (t) => {
  let deleted = 0;
  const all = kept(t, { onDeleted: () => (deleted += 1) });
  await stands(all);
  const gone = { type: "error", error: "the thread was deleted" };
  all.newest().says({ ...gone, threadId: "another" });
  assert.deepEqual([all.states.at(-1), deleted], ["open", 0]);
  all.newest().says({ ...gone, threadId: "t" });
  await pass(60_000);
  assert.deepEqual([all.states.at(-1), deleted, FakeSocket.made.length], ["closed", 1, 1]);
});

test("a subscription that is refused again and again closes it for good", async (t) => {
  const all = kept(t);
  all.socket.open();
  await settle();
  for (let n = 0; n < 4; n += 1) {
    all.newest().opens();
    all.newest().says({ type: "error", action: "subscribe", error: "no such thread" });
    await pass(20_000);
  }
  assert.equal(all.states.at(-1), "closed");
  const before = FakeSocket.made.length;
  await pass(60_000);
  assert.equal(FakeSocket.made.length, before);
});

test("waking connects at once, closing ends it, a late event of an old socket says nothing", async (t) => {
  const all = kept(t);
  await stands(all);
  const first = all.newest();
  first.fails();
  all.socket.wake();
  await settle();
  assert.equal(FakeSocket.made.length, 2);
  first.onmessage({ data: '{"type": "delta"}' });
  assert.equal(all.frames.length, 1);
  all.socket.close();
  await pass(60_000);
  assert.deepEqual([all.states.at(-1), FakeSocket.made.length], ["closed", 2]);
});

const refuses = ({ newest }) => {
  newest().opens();
  newest().says({ type: "error", action: "subscribe", error: "no such thread" });
};

test("refusals count in a row only", async (t) => {
  const all = kept(t);
  await stands(all);
  for (let round = 0; round < 2; round += 1) {
    all.newest().fails();
    for (let n = 0; n < 3; n += 1) {
      await pass(20_000);
      refuses(all);
    }
    await pass(20_000);
    all.newest().opens();
    all.newest().says({ type: "subscribed", threadId: "t", prompts: [], messages: [] });
    assert.equal(all.states.at(-1), "open");
  }
});

test("it never waits longer than 20 seconds", async (t) => {
  const all = kept(t);
  await stands(all);
  for (let n = 0; n < 9; n += 1) {
    const before = FakeSocket.made.length;
    all.newest().fails();
    await pass(20_000);
    assert.equal(FakeSocket.made.length, before + 1);
  }
});

test("an address that cannot be had is asked for again", async (t) => {
  let tries = 0;
  const address = async () => {
    tries += 1;
    if (tries === 1) throw new Error("no token");
    return "ws://x/ws";
  };
  const all = kept(t, { address });
  all.socket.open();
  await settle();
  assert.deepEqual([all.states.at(-1), FakeSocket.made.length], ["lost", 0]);
  await pass(500);
  assert.deepEqual([tries, FakeSocket.made.length], [2, 1]);
});

test("a connection that is closed while its address is made is not opened", async (t) => {
  let give;
  const all = kept(t, { address: () => new Promise((done) => { give = done; }) });
  all.socket.open();
  all.socket.close();
  give("ws://x/ws");
  await settle();
  assert.deepEqual([all.states.at(-1), FakeSocket.made.length], ["closed", 0]);
});

test("opened twice it is one", async (t) => {
  const all = kept(t);
  await stands(all);
  all.socket.open();
  await settle();
  assert.deepEqual([all.states.at(-1), FakeSocket.made.length], ["open", 1]);
});

test("waking asks a connection that was silent for a sign of life, and no other", async (t) => {
  const all = kept(t);
  await stands(all);
  await pass(10_000);
  all.socket.wake();
  assert.equal(all.newest().sent.length, 1);
  await pass(6000);
  all.socket.wake();
  assert.deepEqual(all.newest().sent[1], { action: "ping" });
  await pass(10_000);
  assert.equal(all.states.at(-1), "lost");
});

test("an idle connection is kept from being ended, with a ping about nothing", async (t) => {
  const all = kept(t);
  await stands(all);
  for (let n = 0; n < 16; n += 1) await pass(15_000);
  assert.deepEqual(all.newest().sent.slice(1), [{ action: "ping" }]);
});

test("an error about something else, and what is no JSON, do not end it", async (t) => {
  const all = kept(t);
  await stands(all);
  all.newest().onmessage({ data: "not json" });
  all.newest().says({ type: "error", action: "cancel", error: "no such prompt" });
  assert.deepEqual([all.states.at(-1), all.frames.map((frame) => frame.type)], ["open", ["subscribed", "error"]]);
});
