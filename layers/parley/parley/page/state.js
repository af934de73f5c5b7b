// What the page knows of one conversation, and what each event adds to it.
//
// Pure: no DOM, no clock, no network. What it relies on: the deltas of one attempt have no gap,
// a repeat carries the same offset and is discarded here, a higher attempt starts again at 0,
// and a stored message is the truth. Offsets count code points, so texts are cut by them.
//
// A conversation is a list of entries, one for each prompt, in the order of their turns. A
// prompt that is retried goes to a new turn: its entry moves there.

import {
  begun,
  endedTool,
  ENDED,
  entryAt,
  lastTurnOf,
  moved,
  newEntry,
  older,
  put,
  rank,
  storedTool,
  UNFINISHED,
} from "./entries.js";

/** The state of a conversation of which nothing is known. */
export function emptyState() {
  return {
    threadId: "",
    intro: [],
    entries: [],
    replaced: [],
    pending: null,
    after: "",
    settled: 0,
    stale: false,
    gap: false,
  };
}

/** The state after an event; the same object if it says nothing new. */
export function reduce(state, event) {
  const step = STEPS[event.type];
  return step ? step(state, event) : state;
}

const STEPS = {
  // The conversation as the server has it: {threadId, items, prompts, after}.
  opened: (state, event) => {
    const fresh = { ...emptyState(), threadId: event.threadId, after: event.after || "" };
    const read = withHistory(fresh, event.items, event.prompts);
    return { ...read, settled: lastTurnOf(read) };
  },
  // The newest part of it, read again: {items, prompts, after}.
  read: (state, event) => {
    const read = withHistory({ ...state, stale: false }, event.items, event.prompts);
    const left = withoutReplaced(read, event);
    return { ...left, settled: Math.max(state.settled, lastTurnOf(left)) };
  },
  // A part before the oldest entry: {items, after}.
  older: (state, event) => ({ ...withHistory(state, event.items, []), after: event.after || "" }),
  // A question is on its way: {text, replaces, at}. It is shown before the server has it.
  asked: (state, { text, replaces, at }) => ({
    ...state,
    pending: { text, replaces: replaces || 0, at },
  }),
  // The server did not take it.
  refused: (state) => ({ ...state, pending: null }),
  // The server took it: {prompt, messages}.
  accepted,
  frame: (state, { frame }) => {
    const take = FRAMES[frame.type];
    return take ? take(state, frame) : state;
  },
  // A retry is on its way: {promptId}. The answer is shown as under way at once.
  retrying: (state, { promptId }) =>
    patched(state, promptId, (entry) => ({ status: "scheduled", retried: entry.status })),
  notRetried: (state, { promptId }) =>
    patched(state, promptId, ({ retried }) => (retried ? { status: retried, retried: "" } : {})),
  // Its answer is nowhere, though it has ended: {promptId}.
  unanswered: (state, { promptId }) =>
    patched(state, promptId, ({ tools }) => ({ done: true, tools: tools.map(endedTool) })),
  // Somebody takes care of it.
  refreshing: (state) => ({ ...state, stale: false }),
  resubscribing: (state) => ({ ...state, gap: false }),
};

const FRAMES = {
  subscribed: (state, frame) => {
    if (state.threadId && frame.threadId !== state.threadId) return state;
    let next = { ...state, gap: false };
    for (const message of frame.messages || []) next = withMessage(next, message);
    for (const prompt of frame.prompts || []) next = withPrompt(next, prompt);
    const listed = new Set((frame.prompts || []).map((prompt) => prompt.id));
    const unheard = next.entries.some(
      (entry) => UNFINISHED.has(entry.status) && !entry.done && !listed.has(entry.promptId),
    );
    return unheard ? { ...next, stale: true } : next;
  },
  prompt: (state, frame) => withPrompt(state, frame.prompt || {}),
  delta: withDelta,
  tool: withTool,
  message: (state, frame) => withMessage(state, frame.message || {}),
  pong: (state, frame) => (frame.prompts || []).reduce(withPong, state),
};

// --- events ------------------------------------------------------------------

function accepted(state, { prompt, messages = [] }) {
  if (!prompt?.id) return { ...state, pending: null };
  const { pending } = state;
  let next = adopted(withPrompt(state, prompt, true), prompt.id, prompt.turn);
  const entry = next.entries.find((it) => it.promptId === prompt.id);
  if (pending && entry && !entry.question) next = put(next, { ...entry, question: pending.text });
  for (const message of messages) {
    if (message.role !== "assistant" || typeof message.content !== "string") continue;
    next = answered(next, prompt.id, {
      id: message.id,
      text: message.content,
      partial: Boolean(message.partial),
      finishReason: message.finish_reason || "",
      createdAt: message.created_at || 0,
      tools: message.tool_calls,
    });
  }
  return { ...next, pending: null };
}

function patched(state, promptId, values) {
  const entry = state.entries.find((it) => it.promptId === promptId);
  return entry ? put(state, { ...entry, ...values(entry) }) : state;
}

/** The pending question belongs to this prompt: it is no longer pending. */
function adopted(state, promptId, turn) {
  const { pending } = state;
  if (!pending) return state;
  const entry = state.entries.find((it) => it.promptId === promptId);
  const replaced =
    pending.replaces && pending.replaces !== turn
      ? [...state.replaced, pending.replaces]
      : state.replaced;
  const next = { ...state, pending: null, replaced };
  if (!entry) return next;
  const question = entry.question || pending.text;
  return put(next, { ...entry, question, createdAt: entry.createdAt || pending.at });
}

function withHistory(state, items = [], prompts = []) {
  let next = state;
  for (const item of items) {
    if (String(item.id || "").startsWith("intro.")) next = withIntro(next, item);
    else if (item.role === "user") next = asked(next, item);
    else if (item.role === "assistant") next = answeredByItem(next, item);
  }
  for (const prompt of prompts) {
    // One that has ended and whose question is not here belongs to an older part.
    const here = next.entries.some((entry) => entry.promptId === prompt.id);
    if (here || UNFINISHED.has(prompt.status)) next = withPrompt(next, prompt, true);
  }
  return next;
}

/** Without what belongs to the part that was read and was not in it: it was replaced. */
function withoutReplaced(state, { items = [], after }) {
  const turns = items.map((item) => item.turn).filter(Boolean);
  const here = new Set(turns);
  const first = after === "" ? 0 : Math.min(...turns);
  const last = Math.max(...turns);
  const gone = ({ turn }) => turn > first && turn < last && !here.has(turn);
  return state.entries.some(gone)
    ? { ...state, entries: state.entries.filter((entry) => !gone(entry)) }
    : state;
}

function withIntro(state, item) {
  if (state.intro.some((message) => message.id === item.id)) return state;
  const intro = [...state.intro, { id: item.id, content: String(item.content ?? "") }];
  return { ...state, intro: intro.sort((one, other) => (one.id < other.id ? -1 : 1)) };
}

function asked(state, item) {
  const promptId = item.prompt_id || item.id || `turn.${item.turn}`;
  const entry = entryAt(state, promptId, item.turn);
  if (item.turn < entry.turn) return state;
  const next = put(state, {
    ...moved(entry, item.turn),
    question: String(item.content ?? ""),
    questionId: item.id || promptId,
    createdAt: item.created_at || entry.createdAt,
  });
  return item.replaces ? { ...next, replaced: [...next.replaced, Number(item.replaces)] } : next;
}

function answeredByItem(state, item) {
  const found = state.entries.find((entry) => entry.turn === item.turn);
  // After a retry the answer of the turn before has no question any more; its id says whose it is.
  const own = /^msg_(.+)\.\d+$/.exec(item.id || "")?.[1];
  const promptId = item.prompt_id || found?.promptId || own || `turn.${item.turn}`;
  const entry = entryAt(state, promptId, item.turn);
  if (item.turn < entry.turn) return state;
  return answered(put(state, moved(entry, item.turn)), promptId, {
    id: item.id,
    text: String(item.content ?? ""),
    partial: Boolean(item.partial),
    finishReason: item.finish_reason || "",
    createdAt: item.created_at || 0,
    tools: item.tool_calls,
  });
}

/** The answer's message: the truth, whatever was streamed. */
function answered(state, promptId, { id, text, partial, finishReason, createdAt, tools }) {
  const entry = state.entries.find((it) => it.promptId === promptId);
  if (!entry) return state;
  const status = ENDED.has(entry.status) ? entry.status : partial ? "canceled" : "completed";
  return put(state, {
    ...entry,
    answerId: id || entry.answerId,
    text,
    length: [...text].length,
    partial,
    finishReason,
    answeredAt: createdAt || entry.answeredAt,
    tools: tools?.length ? tools.map(storedTool) : entry.tools.map(endedTool),
    status,
    done: true,
  });
}

// --- frames ------------------------------------------------------------------

function withPrompt(state, prompt, trusted = false) {
  if (!prompt.id) return state;
  const found = state.entries.find((entry) => entry.promptId === prompt.id);
  const turn = Number(prompt.turn || found?.turn || 0);
  // What is before the newest turn that was read, and was not in it, was replaced or is older.
  if (!found && turn <= state.settled && (!trusted || ENDED.has(prompt.status))) return state;
  const entry = found ?? newEntry(prompt.id, turn);
  const attempt = Number(prompt.attempt || 0);
  const updatedAt = Number(prompt.updatedAt || 0);
  // Clocks that disagree said when: within an attempt a later status is known by what it is.
  const told = [turn, attempt, rank(prompt.status), updatedAt];
  if (older(told, [entry.turn, entry.attempt, rank(entry.status), entry.updatedAt])) return state;
  const next = put(state, {
    ...begun(moved(entry, turn), attempt),
    status: prompt.status || "scheduled",
    retried: "",
    updatedAt,
    errorCode: prompt.errorCode || "",
  });
  return found ? next : adopted(next, prompt.id, turn);
}

/** A state that a ping brought: one that was not heard of is a gap, an unheard end is read. */
function withPong(state, prompt) {
  const entry = state.entries.find((it) => it.promptId === prompt.id);
  if (ENDED.has(prompt.status)) {
    const open = entry && UNFINISHED.has(entry.status) && !entry.done;
    return open ? { ...state, stale: true } : state;
  }
  if (!entry) return prompt.turn > state.settled ? { ...state, gap: true } : state;
  if (Number(prompt.attempt || 0) > entry.attempt) return { ...state, gap: true };
  return withPrompt(state, prompt);
}

function withDelta(state, frame) {
  const entry = state.entries.find((it) => it.promptId === frame.promptId);
  // The prompt's frame is sent before its deltas: without it something was missed.
  if (!entry) return { ...state, gap: true };
  if (entry.done || frame.attempt < entry.attempt) return state;
  if (frame.attempt > entry.attempt && frame.offset > 0) return { ...state, gap: true };
  const current = begun(entry, frame.attempt);
  if (frame.offset > current.length) return { ...state, gap: true };
  const fresh = [...String(frame.text)].slice(current.length - frame.offset);
  if (!fresh.length) return current === entry ? state : put(state, current);
  return put(state, {
    ...current,
    status: current.status === "scheduled" || current.status === "errored" ? "running" : current.status,
    text: current.text + fresh.join(""),
    length: current.length + fresh.length,
  });
}

function withTool(state, frame) {
  const entry = state.entries.find((it) => it.promptId === frame.promptId);
  if (!entry || entry.done || frame.attempt < entry.attempt) return state;
  const current = begun(entry, frame.attempt);
  const call = { ...frame, id: frame.callId };
  return put(state, { ...current, tools: withCall(current.tools, frame.round, call) });
}

/** The calls with this one in its place. Some providers number them anew in every round. */
function withCall(tools, round, call) {
  const callId = `${round}.${call.id}`;
  const before = tools.find((tool) => tool.callId === callId);
  if (before?.state === "done") return tools;
  const done = call.state !== "started";
  const tool = {
    callId,
    name: call.plugin || call.name || "",
    arguments: call.arguments || "",
    state: done ? "done" : "started",
    outcome: call.outcome || "",
    milliseconds: done ? (call.milliseconds ?? null) : null,
    size: done ? (call.size ?? null) : null,
    result: "",
  };
  return before ? tools.map((it) => (it === before ? tool : it)) : [...tools, tool];
}

function withMessage(state, message) {
  const turn = Number(message.turn || 0);
  if (!turn) return state;
  const atTurn = state.entries.find((entry) => entry.turn === turn);
  if (message.role === "user") {
    const found = atTurn ?? state.entries.find((entry) => entry.promptId === message.id);
    if (!found && turn <= state.settled) return state;
    if (found && turn < found.turn) return state;
    const promptId = found?.promptId ?? message.id;
    const next = asked(found ? state : put(state, newEntry(promptId, turn)), {
      ...message,
      prompt_id: promptId,
      content: message.truncated ? found?.question || message.text : message.text,
      created_at: message.createdAt,
    });
    const mine = !found && state.pending?.text === message.text;
    return mine ? adopted(next, promptId, turn) : next;
  }
  if (message.role === "tool" && atTurn) {
    // A round of calls as it is stored: part 2 is the first.
    const place = (tools, call) => withCall(tools, message.part - 1, call);
    const missed = !atTurn.tools.some((tool) => tool.stored);
    return missed ? put(state, { ...atTurn, tools: (message.calls || []).reduce(place, atTurn.tools) }) : state;
  }
  if (message.role !== "assistant" || !atTurn) return state;
  if (message.truncated) return atTurn.done ? state : { ...state, stale: true };
  return answered(state, atTurn.promptId, {
    id: message.id,
    text: String(message.text ?? ""),
    partial: Boolean(message.partial),
    finishReason: message.finishReason || "",
    createdAt: message.createdAt || 0,
  });
}
