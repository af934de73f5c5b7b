// One entry of a conversation: a prompt with its question and its answer.

export const UNFINISHED = new Set(["scheduled", "running", "errored"]);
export const ENDED = new Set(["completed", "abandoned", "canceled"]);

/** An entry of which only the place is known. */
export function newEntry(promptId, turn) {
  return {
    promptId,
    turn: Number(turn || 0),
    question: "",
    questionId: "",
    createdAt: 0,
    status: "",
    retried: "",
    attempt: 0,
    updatedAt: 0,
    errorCode: "",
    text: "",
    length: 0,
    tools: [],
    answerId: "",
    answeredAt: 0,
    partial: false,
    finishReason: "",
    done: false,
  };
}

/** The entry of a prompt; of the turn, if it was known by that alone; else a new one. */
export function entryAt(state, promptId, turn) {
  return state.entries.find((entry) => entry.promptId === promptId) ?? newEntry(promptId, turn);
}

/** The entry at a later turn, which a retry gave it: nothing of the answer is kept. */
export function moved(entry, turn) {
  if (!(turn > entry.turn) || !entry.turn) return turn === entry.turn ? entry : { ...entry, turn };
  return { ...entry, turn, ...noAnswer };
}

/** The entry in this attempt; a higher one forgets the text of the lower. */
export function begun(entry, attempt) {
  if (!(attempt > entry.attempt)) return entry;
  // Within one turn nothing comes after the answer's message.
  return entry.done ? { ...entry, attempt } : { ...entry, ...noAnswer, attempt };
}

const noAnswer = { text: "", length: 0, tools: [], answerId: "", partial: false, done: false };

/** The state with this entry in its place. */
export function put(state, entry) {
  const others = state.entries.filter((it) => it.promptId !== entry.promptId);
  const entries = [...others, entry].sort((one, other) => one.turn - other.turn);
  return { ...state, entries };
}

/** The newest turn that is known. */
export function lastTurnOf(state) {
  return Math.max(0, ...state.entries.map((entry) => entry.turn));
}

/** How far a status is within its attempt. */
export const rank = (status) =>
  ENDED.has(status) ? 3 : { running: 1, errored: 2 }[status] ?? 0;

/** True if the first tuple comes before the second. */
export function older(one, other) {
  for (const [index, value] of one.entries()) {
    if (value !== other[index]) return value < other[index];
  }
  return false;
}

/** A tool call as an answer in the history carries it. */
export function storedTool(call, index) {
  return {
    callId: `stored.${index}`,
    stored: true,
    name: call.plugin || call.name || "",
    arguments: typeof call.arguments === "string" ? call.arguments : JSON.stringify(call.arguments),
    state: "done",
    outcome: call.outcome || "ok",
    milliseconds: call.ms ?? call.milliseconds ?? null,
    size: call.size ?? null,
    result: call.result ?? "",
  };
}

/** A tool call whose end was not heard of. */
export const endedTool = (tool) => (tool.state === "done" ? tool : { ...tool, state: "done", outcome: "" });
