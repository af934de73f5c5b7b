// The parts that need no page: the socket, the calls, the keys, the list of conversations.
import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { ApiError, chatAnswer, historyAnswer, makeApi } from "../../../layers/parley/parley/page/api.js";
import { keyFromFragment, makeDoor, makeKeyStore, makeTokens } from "../../../layers/parley/parley/page/keyring.js";
import { keptText, makeSessions, titleOf } from "../../../layers/parley/parley/page/sessions.js";
import { characters, size } from "../../../layers/parley/parley/page/texts.js";
import { keepSocket } from "../../../layers/parley/parley/page/socket.js";

const KEY = (letter) => letter.repeat(64);

class Storage {
  kept = new Map();
  getItem = (name) => this.kept.get(name) ?? null;
  setItem = (name, text) => void this.kept.set(name, text);
  removeItem = (name) => void this.kept.delete(name);
}

// --- calls -------------------------------------------------------------------

const response = (status, body, headers = {}) => ({
  ok: status < 300, status, json: async () => body, headers: new Map(Object.entries(headers)),
});

function scripted(...answers) {
  const asked = [];
  const fetch = async (url, request) => {
    asked.push({ url, ...request });
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return answer;
  };
  return { fetch, asked, pause: async () => {} };
}

test("a call that fails in passing is repeated, another refusal is not", async () => {
  const passing = scripted(new TypeError("offline"), response(503, null), response(200, { data: { session_key: "k" } }));
  assert.deepEqual(await makeApi({ base: "/", ...passing }).config(""), { session_key: "k" });
  assert.equal(passing.asked.length, 3);
  const final = scripted(response(403, { error: "a key is needed" }));
  await assert.rejects(makeApi({ base: "/", ...final }).config(""), (error) => error instanceof ApiError && error.status === 403 && error.message === "a key is needed");
});

test("a call is given up in the end", async () => {
  const never = scripted(...Array(9).fill(new TypeError("offline")));
  await assert.rejects(makeApi({ base: "/", ...never }).config(""), (error) => error.status === 0);
  assert.equal(never.asked.length, 4);
});

test("the session key is in the body, and in the query of a read only", async () => {
  const { asked, ...rest } = scripted(response(200, { data: {} }), response(200, { data: { messages: [] } }));
  const api = makeApi({ base: "/api/v1/llm-clients/9/", bearer: async () => "tok", ...rest });
  await api.chat({ session_key: "k", messages: [] });
  await api.history("k", "7");
  assert.deepEqual(asked.map((it) => it.url), ["/api/v1/llm-clients/9/chat/", "/api/v1/llm-clients/9/chat/?session_key=k&after=7"]);
  assert.deepEqual(JSON.parse(asked[0].body), { format: "plain", session_key: "k", messages: [] });
  assert.equal(asked[0].headers.Authorization, "Bearer tok");
});

test("an anonymous call has no Authorization at all", async () => {
  const { asked, ...rest } = scripted(response(200, { data: {} }));
  await makeApi({ base: "/", ...rest }).config("");
  assert.equal("Authorization" in asked[0].headers, false);
});

test("envelopes are opened", () => {
  const body = JSON.stringify({ smarter: { messages: [{ role: "assistant" }], prompt: { id: "p" }, session_key: "k" } });
  assert.deepEqual(chatAnswer({ data: { statusCode: 202, body } }), { status: 202, prompt: { id: "p" }, messages: [{ role: "assistant" }], sessionKey: "k" });
  assert.deepEqual(historyAnswer({ data: { messages: [1], prompts: [2], after: "3" } }), { items: [1], prompts: [2], after: "3" });
});

// --- keys --------------------------------------------------------------------

test("a key is taken out of the address", () => {
  const location = { hash: "#key=secret&x=1", pathname: "/p/", search: "?q" };
  const seen = [];
  assert.equal(keyFromFragment(location, { replaceState: (...given) => seen.push(given[2]) }), "secret");
  assert.deepEqual(seen, ["/p/?q#x=1"]);
  assert.equal(keyFromFragment({ hash: "", pathname: "/", search: "" }, null), "");
});

test("a token is kept until shortly before its end, and made once for many", async () => {
  let now = 0;
  const { fetch, asked } = scripted(response(200, { token: "t1", expires_at: 100_000 }), response(200, { token: "t2", expires_at: 900_000 }));
  const keys = makeKeyStore(new Storage());
  keys.set("key");
  const tokens = makeTokens({ base: "/b/", keys, ask: assert.fail, fetch, now: () => now });
  assert.deepEqual(await Promise.all([tokens.get(), tokens.get()]), ["t1", "t1"]);
  now = 39_999;
  assert.equal(await tokens.get(), "t1");
  now = 40_001;
  assert.equal(await tokens.get(), "t2");
  assert.deepEqual(asked.map((it) => [it.url, it.headers.Authorization]), [["/b/token/", "Bearer key"], ["/b/token/", "Bearer key"]]);
});

test("a refused key is forgotten and asked for with the reason", async () => {
  const storage = new Storage();
  const keys = makeKeyStore(storage);
  keys.set("old");
  const reasons = [];
  const { fetch } = scripted(response(401, {}), response(200, { token: "t", expires_at: 9e12 }));
  const ask = async (reason) => {
    reasons.push(reason);
    assert.equal(storage.kept.size, 0);
    return "new";
  };
  assert.equal(await makeTokens({ base: "/", keys, ask, fetch }).get(), "t");
  assert.match(reasons[0], /not accepted/);
  assert.equal(keys.get(), "new");
});

// --- words --------------------------------------------------------------------

test("one is one, and many are many", () => {
  assert.deepEqual([characters(1), characters(0), characters(2)], ["1 character", "0 characters", "2 characters"]);
  assert.deepEqual([size(1), size(312), size(4200)], ["1 byte", "312 bytes", "4.1 KB"]);
});

test("a key for a named host is sent as it is, and forgotten when it was refused", async () => {
  const storage = new Storage();
  const door = makeDoor(makeKeyStore(storage));
  assert.deepEqual([await door.get(), door.refused()], ["", ""]);
  door.enter("prly_a");
  assert.equal(await makeDoor(makeKeyStore(storage)).get(), "prly_a");
  assert.match(door.refused(), /not accepted/);
  assert.deepEqual([await door.get(), storage.kept.size], ["", 0]);
});

// --- the list of conversations -----------------------------------------------

test("conversations are listed newest first, named by their first question or by hand", () => {
  const storage = new Storage();
  const sessions = makeSessions("/", storage);
  sessions.choose(KEY("a"));
  assert.deepEqual(sessions.list(), []);
  sessions.touch(KEY("a"), "First  question\nhere", 1);
  sessions.touch(KEY("b"), "Second", 2);
  sessions.touch(KEY("a"), "Another", 3);
  sessions.rename(KEY("b"), "  Mine ");
  const again = makeSessions("/", storage);
  assert.deepEqual(again.list().map((one) => one.title), ["First question here", "Mine"]);
  assert.equal(again.current, KEY("a"));
  const removed = again.remove(KEY("a"));
  assert.deepEqual(again.list().map((one) => one.key).includes(KEY("a")), false);
  again.restore(removed);
  again.restore(removed);
  assert.deepEqual(makeSessions("/", storage).list().filter((one) => one.key === KEY("a")), [removed]);
  again.remove(KEY("a"));
  assert.deepEqual([again.current, again.list().length], ["", 1]);
  assert.deepEqual(makeSessions("/other/", storage).list(), []);
});

test("each account's llm_client has a list of its own, at whichever address", () => {
  const storage = new Storage();
  const [mine, theirs] = ["1", "2"].map((account) => ({ account, llm_client: "plain" }));
  const sessions = makeSessions("/api/v1/llm-clients/1/", storage);
  assert.equal(sessions.belongTo(mine), true);
  assert.equal(sessions.belongTo(mine), false);
  sessions.choose(KEY("a"));
  sessions.touch(KEY("a"), "Mine", 1);
  const again = makeSessions("/api/v1/llm-clients/1/", storage);
  assert.deepEqual([again.current, again.list().length], [KEY("a"), 1]);
  assert.equal(again.belongTo(theirs), true);
  assert.deepEqual([again.current, again.list()], ["", []]);
  again.touch(KEY("b"), "Theirs", 2);
  const hashed = makeSessions("/api/v1/llm-clients/rMQx/", storage);
  assert.equal(hashed.belongTo(mine), true);
  assert.deepEqual([hashed.current, hashed.list().map((one) => one.title)], [KEY("a"), ["Mine"]]);
});

test("a draft is kept over a reload, and an empty one leaves nothing", () => {
  const storage = new Storage();
  keptText("parley:draft:/", storage).set("Half a ques");
  const kept = keptText("parley:draft:/", storage);
  assert.deepEqual([kept.get(), keptText("parley:draft:/other/", storage).get()], ["Half a ques", ""]);
  kept.set("");
  assert.equal(storage.kept.size, 0);
  const forbidden = keptText("x", { getItem: () => { throw new Error(); }, setItem: () => { throw new Error(); } });
  forbidden.set("as long as the page");
  assert.equal(forbidden.get(), "as long as the page");
});

test("a list that is broken or forbidden is an empty one", () => {
  const broken = new Storage();
  broken.setItem("parley:sessions:/", '{"list": [{"key": "<script>"}], "current": 5}');
  assert.deepEqual([makeSessions("/", broken).list(), makeSessions("/", broken).current], [[], ""]);
  const sessions = makeSessions("/", { getItem: () => { throw new Error(); }, setItem: () => { throw new Error(); } });
  sessions.touch(KEY("a"), "Q", 1);
  assert.equal(sessions.list().length, 1);
});

test("a title is one line, cut at a word", () => {
  const title = titleOf(`${"word ".repeat(40)}`);
  assert.ok(title.length <= 60 && title.endsWith("word…"));
});

// --- the socket --------------------------------------------------------------

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
