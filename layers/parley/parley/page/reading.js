// What can be read from a state (state.js): what is shown, what is under way, what is missing.
//
// Pure as well. Nothing here is kept: the state is the only truth.

import { UNFINISHED } from "./entries.js";

/** The entries that are shown, oldest first: without those that a later question replaces. */
export function shown(state) {
  const hidden = new Set(state.replaced);
  if (state.pending?.replaces) hidden.add(state.pending.replaces);
  return state.entries.filter((entry) => !hidden.has(entry.turn) && (entry.question || entry.text));
}

/** The newest entry that is shown. */
export function lastEntry(state) {
  return shown(state).at(-1) ?? null;
}

/** The entry whose answer is under way, or null. */
export function openEntry(state) {
  return state.entries.findLast((entry) => UNFINISHED.has(entry.status) && !entry.done) ?? null;
}

/** True while nothing may be sent: a question is on its way or its answer is. */
export function busy(state) {
  return Boolean(state.pending || openEntry(state));
}

/** Entries that have ended and whose answer has not come: to be read if it does not. */
export function missing(state) {
  return state.entries.filter((entry) => entry.status === "completed" && !entry.done);
}

/** For `subscribe`: how much of which attempt is here. */
export function known(state) {
  const open = state.entries.filter((it) => UNFINISHED.has(it.status) && it.attempt && !it.done);
  return Object.fromEntries(
    open.map((entry) => [entry.promptId, { attempt: entry.attempt, offset: entry.length }]),
  );
}

/** How an answer is shown: thinking, streaming, retrying, done, stopped, failed. */
export function answerState(entry) {
  if (entry.done) return entry.partial ? "stopped" : "done";
  if (entry.status === "abandoned") return "failed";
  if (entry.status === "canceled") return "stopped";
  if (entry.status === "completed") return "done";
  if (entry.status === "errored") return "retrying";
  return entry.text ? "streaming" : "thinking";
}

/** What a chat request carries besides the question: from the last answer on, with their ids. */
export function context(state) {
  const said = [];
  for (const message of state.intro) said.push({ ...message, role: "assistant" });
  for (const entry of shown(state)) {
    if (entry.questionId) said.push({ id: entry.questionId, role: "user", content: entry.question });
    if (entry.answerId) said.push({ id: entry.answerId, role: "assistant", content: entry.text });
  }
  const last = said.findLastIndex((message) => message.role === "assistant");
  return said.slice(Math.max(last, 0)).map(({ id, role, content }) => ({ id, role, content }));
}
