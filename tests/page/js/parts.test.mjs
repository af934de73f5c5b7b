// The parts that need no page: the calls, the keys, the list of conversations.
import assert from "node:assert/strict";
import { test } from "node:test";

import { ApiError, chatAnswer, historyAnswer, makeApi } from "../../../layers/parley/parley/page/api.js";
import { keyFromFragment, makeDoor, makeKeyStore, makeTokens, onKeyInFragment } from "../../../layers/parley/parley/page/keyring.js";
import { keptText, makeSessions, makeStores, titleOf } from "../../../layers/parley/parley/page/sessions.js";
import { characters, readable, size } from "../../../layers/parley/parley/page/texts.js";

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

test("a key that comes into the address later is taken out as well, and given on", () => {
  const page = new EventTarget();
  const left = [];
  const given = [];
  page.history = { replaceState: (...called) => left.push(called[2]) };
  onKeyInFragment((key) => given.push(key), page);
  for (const hash of ["#key=one", "#composer", "#key=", "#key=two"]) {
    page.location = { hash, pathname: "/p/", search: "" };
    page.dispatchEvent(new Event("hashchange"));
  }
  assert.deepEqual(given, ["one", "two"]);
  assert.deepEqual(left, ["/p/", "/p/", "/p/"]);
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

for (const status of [200, 401]) {
  test(`a key that is given while another is on its way counts (${status})`, async () => {
    const keys = makeKeyStore(new Storage());
    keys.set("first");
    const asked = [];
    const fetch = async (_, { headers }) => {
      asked.push(headers.Authorization);
      if (asked.length > 1) return response(200, { token: "of the second", expires_at: 9e12 });
      keys.set("second");
      return response(status, { token: "of the first", expires_at: 9e12 });
    };
    const tokens = makeTokens({ base: "/", keys, ask: assert.fail, fetch });
    assert.equal(await tokens.get(), "of the second");
    assert.deepEqual([keys.get(), asked], ["second", ["Bearer first", "Bearer second"]]);
  });
}

// --- words --------------------------------------------------------------------

test("one is one, and many are many", () => {
  assert.deepEqual([characters(1), characters(0), characters(2)], ["1 character", "0 characters", "2 characters"]);
  assert.deepEqual([size(1), size(312), size(4200)], ["1 byte", "312 bytes", "4.1 KB"]);
});

test("a tool's name is words", () => {
  const names = ["stackademy-courses", "get_current_weather", "getWeatherNow", "weather.v2", "HTTP", ""];
  const words = ["Stackademy courses", "Get current weather", "Get Weather Now", "Weather v2", "HTTP", ""];
  assert.deepEqual(names.map(readable), words);
});

test("a key for a named host is sent as it is, and forgotten when it was refused", async () => {
  const storage = new Storage();
  const keys = makeKeyStore(storage);
  const door = makeDoor(keys);
  assert.deepEqual([await door.get(), door.refused()], ["", ""]);
  keys.set("prly_a");
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

test("fifty conversations are kept, the newest", () => {
  const sessions = makeSessions("/", new Storage());
  const keys = Array.from({ length: 51 }, (_, n) => n.toString(16).padStart(64, "0"));
  keys.forEach((key, n) => sessions.touch(key, `Question ${n}`, n));
  assert.deepEqual(sessions.list().map((one) => one.key), keys.slice(1).toReversed());
});

test("what another tab has listed is listed, and nothing is named nothing", () => {
  const storage = new Storage();
  const [here, there] = [makeSessions("/", storage), makeSessions("/", storage)];
  here.choose(KEY("a"));
  there.touch(KEY("b"), "There", 1);
  here.touch(KEY("a"), "Here", 2);
  here.rename(KEY("b"), "  ");
  assert.deepEqual(here.list().map((one) => one.title), ["Here", "There"]);
  assert.equal(here.current, KEY("a"));
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

// --- where it is kept ----------------------------------------------------------

/** A page in a frame of embed.js, that gets no storage: `told` is a message to it. */
function framedPage(name = "parley-held") {
  const page = Object.assign(new EventTarget(), { name, parent: { parent: true } });
  page.told = (message) =>
    page.dispatchEvent(Object.assign(new Event("message"), { source: page.parent, origin: "https://shop.example", ports: [], ...message }));
  return page;
}

function port() {
  const sent = [];
  return { sent, postMessage: (data) => sent.push(data) };
}

test("a frame without a storage keeps in the page around it, and hears what that keeps", async () => {
  const page = framedPage();
  const coming = makeStores(page);
  const way = port();
  page.told({ data: { parley: "kept", lasting: '{"one":"1"}', tab: null }, ports: [way] });
  const { lasting, tab } = await coming;

  assert.equal(lasting.getItem("one"), "1");
  assert.equal(tab.getItem("one"), null);
  lasting.setItem("two", "2");
  tab.setItem("key", "k");
  tab.removeItem("key");
  assert.deepEqual(way.sent, [
    { place: "lasting", text: '{"one":"1","two":"2"}' },
    { place: "tab", text: '{"key":"k"}' },
    { place: "tab", text: "{}" },
  ]);
  way.onmessage({ data: '{"three":"3"}' });
  assert.deepEqual([lasting.getItem("three"), lasting.getItem("one")], ["3", null]);
  way.onmessage({ data: "{damaged" });
  way.onmessage({ data: null });
  assert.equal(lasting.getItem("three"), null);
});

test("only the page around it is heard, and only if it has an origin", async () => {
  const page = framedPage();
  const coming = makeStores(page, 20);
  const data = { parley: "kept", lasting: "{}", tab: "{}" };
  page.told({ data, ports: [port()], source: {} });
  page.told({ data, ports: [port()], source: page });
  page.told({ data, ports: [port()], origin: "null" });
  page.told({ data: "kept", ports: [port()] });
  page.told({ data: null, ports: [port()] });
  assert.equal((await coming).lasting, null);
});

test("a page that keeps nothing either, and one that is in no such frame, are not waited for", async () => {
  const page = framedPage();
  const coming = makeStores(page, 1e9);
  page.told({ data: { parley: "kept" } });
  assert.equal((await coming).lasting, null);
  assert.equal((await makeStores(framedPage(""), 1e9)).lasting, null);
  const top = framedPage();
  top.parent = top;
  assert.equal((await makeStores(top, 1e9)).lasting, null);
});
