// A conversation (conversation.js) over a server and a socket that are fakes.
import assert from "node:assert/strict";

import { makeConversation } from "../../../layers/parley/parley/page/conversation.js";
import { shown } from "../../../layers/parley/parley/page/reading.js";
import { makeSessions } from "../../../layers/parley/parley/page/sessions.js";

export const KEY = "a".repeat(64);
export const OTHER = "b".repeat(64);
export const prompt = (more = {}) => ({ id: "p1", turn: 1, status: "running", attempt: 1, updatedAt: 10, ...more });
export const taken = (more = {}) => ({ status: 202, prompt: prompt(more), messages: [], sessionKey: KEY });
export const said = (text) => ({ id: "msg_p1.1", prompt_id: "p1", turn: 1, role: "assistant", content: text });
export const asked = (text) => ({ id: "p1", prompt_id: "p1", turn: 1, role: "user", content: text });

class Storage {
  kept = new Map();
  getItem = (name) => this.kept.get(name) ?? null;
  setItem = (name, text) => void this.kept.set(name, text);
}

/** A conversation over fakes: `answers` says what each call answers, or throws. */
export function world({ answers = {}, sockets = true, token = async () => "" } = {}) {
  const calls = [];
  const drafts = [];
  const heard = [];
  let pauses = 0;
  const link = { open: sockets, canceled: [], resubscribed: 0, closed: 0 };
  const config = (key) => ({
    session_key: key || KEY,
    history: { chat_history: [] },
    websocket: { url: "ws://x/ws", account: "1", llm_client: "plain", thread_id: "t" },
  });
  const call = (name, otherwise) => async (...given) => {
    calls.push([name, ...given]);
    const answer = answers[name] ?? otherwise;
    return typeof answer === "function" ? answer(...given) : answer;
  };
  const api = {
    config: call("config", config),
    chat: call("chat", taken()),
    cancel: call("cancel", taken({ status: "canceled", updatedAt: 20 })),
    retry: call("retry", taken({ turn: 2, status: "scheduled", updatedAt: 20 })),
    history: call("history", { items: [], prompts: [], after: "" }),
  };
  const keepSocket = (given) => {
    Object.assign(link, given);
    return {
      open: () => given.onState(link.open ? "open" : "lost"),
      close: () => (link.closed += 1),
      cancel: (id) => link.open && Boolean(link.canceled.push(id)),
      resubscribe: () => (link.resubscribed += 1),
      wake: () => {},
      get isOpen() {
        return link.open;
      },
    };
  };
  const sessions = makeSessions("test", new Storage());
  const conversation = makeConversation({
    api,
    keepSocket,
    sessions,
    token,
    onChange: () => {},
    onDraft: (text) => drafts.push(text),
    onSaid: (entry) => heard.push(entry.text),
    // Some of what waits would go on for ever: a test has seen enough after a while.
    pause: () => new Promise((done) => (pauses += 1) < 100 && setImmediate(done)),
    now: () => 1000,
  });
  return { conversation, calls, drafts, heard, link, sessions, it: conversation.it };
}

export const named = (calls, name) => calls.filter(([which]) => which === name);
export const last = (it) => shown(it.state).at(-1);
export async function until(condition) {
  for (let turns = 0; turns < 200 && !condition(); turns += 1) await new Promise(setImmediate);
  assert.ok(condition());
}
