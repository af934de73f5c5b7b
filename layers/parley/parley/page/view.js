// The messages as elements. What browser tests may rely on, by data-testid:
//
//   message  data-role="user" | "assistant"; data-state of a question: "pending" | "sent", of an
//            answer: "thinking" | "streaming" | "retrying" | "done" | "stopped" | "failed"
//   edit     on the last question, while nothing is under way
//   retry    on a failed, a stopped and an empty answer, if it is the last
//   tool     one call, in the sandbox a <details>; data-state="started" | "done", data-outcome
//   copy     of a code block; copy-answer of a whole answer
//   example  an example prompt, while the conversation is empty
//
// The rest of the page (index.html) has: composer, send, stop, new-chat, menu, sessions,
// session, session-title, session-open, session-rename, session-remove, session-undo, banner,
// notice, theme, older, newest, counter, key-form.

import { arrange, copy, h, icon, initial, webAddress } from "./dom.js";
import { showMarkdown } from "./markdown.js";
import { answerState, busy, shown } from "./reading.js";
import { duration, failure, moment, readable, size } from "./texts.js";

/** Shows conversations in `container`; `actions` are {edit, retry}. */
export function makeView(container, actions) {
  const turns = new Map();

  function turnFor(key, question) {
    if (turns.has(key)) return turns.get(key);
    // The question that was on its way has been taken: it stays the same element.
    const pending = turns.get("pending");
    const turn =
      pending && key !== "pending" && pending.asked === question ? pending : makeTurn(actions);
    if (turn === pending) turns.delete("pending");
    turns.set(key, turn);
    return turn;
  }

  return function show(it) {
    const { state, config } = it;
    const look = lookOf(config);
    const rows = shown(state).map((entry) => ({ key: entry.promptId, entry }));
    if (state.pending) rows.push({ key: "pending", entry: pendingEntry(state.pending) });
    const nodes = rows.map(({ key, entry }, index) => {
      const turn = turnFor(key, entry.question);
      const last = index === rows.length - 1;
      turn.show(entry, {
        look,
        details: Boolean(config?.sandbox_mode),
        pending: key === "pending",
        editable: last && !busy(state),
        retryable: last && !busy(state),
        stopping: it.stopping,
        error: it.errors[entry.promptId],
      });
      return turn.root;
    });
    const keys = new Set(rows.map((row) => row.key));
    for (const key of [...turns.keys()]) if (!keys.has(key)) turns.delete(key);
    arrange(container, nodes);
  };
}

const lookOf = (config) => ({
  name: config?.chatbot?.app_assistant || config?.chatbot?.app_name || "Assistant",
  logo: webAddress(config?.chatbot?.app_logo_url ?? "", ["https:"]),
});

const pendingEntry = ({ text, at }) => ({
  promptId: "pending",
  question: text,
  createdAt: at,
  status: "scheduled",
  text: "",
  tools: [],
});

function makeTurn(actions) {
  const question = makeQuestion(actions);
  const answer = makeAnswer(actions);
  const root = h("section", { class: "turn" }, question.root, answer.root);
  const turn = {
    root,
    asked: "",
    show(entry, how) {
      turn.asked = entry.question;
      question.show(entry, how);
      answer.show(entry, how);
    },
  };
  return turn;
}

function makeQuestion(actions) {
  const bubble = h("div", { class: "bubble", dir: "auto" });
  const foot = h("div", { class: "foot" });
  const root = h(
    "article",
    { class: "message user", "data-testid": "message", "data-role": "user", "aria-label": "You" },
    h("span", { class: "hidden" }, "You said:"),
    bubble,
    foot,
  );
  const edit = h(
    "button",
    { type: "button", class: "quiet", "data-testid": "edit", onclick: () => actions.edit() },
    icon("pencil"),
    h("span", {}, "Edit"),
  );
  const time = h("time");
  foot.append(time, edit);
  return {
    root,
    show(entry, { pending, editable }) {
      root.hidden = !entry.question;
      root.dataset.state = pending ? "pending" : "sent";
      if (bubble.textContent !== entry.question) bubble.textContent = entry.question;
      time.textContent = moment(entry.createdAt);
      edit.hidden = !editable;
    },
  };
}

function makeAnswer(actions) {
  const face = h("span", { class: "avatar", "aria-hidden": "true" });
  const tools = h("div", { class: "tools" });
  const body = h("div", { class: "text" });
  const dots = h("div", { class: "dots", role: "img" }, h("i"), h("i"), h("i"));
  const note = h("div", { class: "note" });
  const foot = h("div", { class: "foot" });
  const root = h(
    "article",
    { class: "message assistant", "data-testid": "message", "data-role": "assistant" },
    face,
    h("div", { class: "bubble" }, tools, body, dots, note),
    foot,
  );
  const calls = new Map();
  let drawn = "";
  let promptId = "";
  let text = "";
  const time = h("time");
  const copying = copyButton(() => text);
  const again = h(
    "button",
    { type: "button", class: "button", "data-testid": "retry", onclick: () => actions.retry(promptId) },
    icon("again"),
    h("span", {}, "Try again"),
  );
  foot.append(time, copying);

  function showTools(list, details) {
    for (const tool of list) {
      if (!calls.has(tool.callId)) {
        calls.set(tool.callId, details ? makeTool() : makePlainTool());
        tools.append(calls.get(tool.callId).root);
      }
      calls.get(tool.callId).show(tool);
    }
    const ids = new Set(list.map((tool) => tool.callId));
    for (const [id, call] of calls) {
      if (ids.has(id)) continue;
      call.root.remove();
      calls.delete(id);
    }
  }

  function showNote(state, entry, { error, retryable, stopping }) {
    const parts = noteParts(state, entry, error, stopping);
    const wanting = ["failed", "stopped"].includes(state) || isEmpty(state, entry);
    const button = wanting && retryable ? again : null;
    const signature = JSON.stringify([parts, Boolean(button)]);
    note.hidden = !parts && !button;
    if (note.dataset.drawn === signature) return;
    note.dataset.drawn = signature;
    note.className = state === "failed" ? "note wrong" : "note";
    note.replaceChildren(
      ...[state === "failed" ? icon("warn") : null, parts ? h("span", {}, parts) : null, button].filter(Boolean),
    );
  }

  return {
    root,
    show(entry, how) {
      const state = answerState(entry);
      promptId = entry.promptId;
      root.dataset.state = state;
      root.setAttribute("aria-label", how.look.name);
      root.setAttribute("aria-busy", String(!["done", "stopped", "failed"].includes(state)));
      if (face.dataset.of !== how.look.name + how.look.logo) portrait(face, how.look);
      showTools(entry.tools, how.details);
      if (text !== entry.text || drawn !== entry.promptId) showMarkdown(body, entry.text);
      text = entry.text;
      drawn = entry.promptId;
      dots.hidden = !["thinking", "retrying"].includes(state) || how.stopping;
      dots.setAttribute("aria-label", `${how.look.name} is writing`);
      showNote(state, entry, how);
      foot.hidden = !entry.text || !["done", "stopped"].includes(state);
      time.textContent = moment(entry.answeredAt);
    },
  };
}

/** The answer is there, and says nothing. */
const isEmpty = (state, entry) => state === "done" && entry.done && !entry.text.trim();

function noteParts(state, entry, error, stopping) {
  if (state === "failed") return error || failure(entry.errorCode);
  if (state === "retrying") return "That did not work at once. Trying again…";
  if (state === "stopped") return entry.text ? "Stopped. This answer is incomplete." : "Stopped.";
  if (isEmpty(state, entry)) return "The assistant answered nothing.";
  if (stopping) return "Stopping…";
  if (state === "done" && entry.finishReason === "length") {
    return "The answer was cut at its longest length.";
  }
  return "";
}

/** A picture of who answers: the logo, or the first letter of the name. */
export function portrait(face, { name, logo }) {
  face.dataset.of = name + logo;
  face.replaceChildren(initial(name));
  if (!logo) return;
  const image = h("img", { alt: "", src: logo, referrerpolicy: "no-referrer" });
  image.addEventListener("load", () => face.replaceChildren(image));
}

function copyButton(text) {
  const button = h("button", { type: "button", class: "quiet", "data-testid": "copy-answer" });
  const draw = (name, label) => button.replaceChildren(icon(name), h("span", {}, label));
  draw("copy", "Copy");
  button.addEventListener("click", async () => {
    const done = await copy(text());
    draw(done ? "check" : "warn", done ? "Copied" : "Not copied");
    setTimeout(() => draw("copy", "Copy"), 2000);
  });
  return button;
}

/** What a call is to who came to ask something: what is used, and whether it worked. */
function makePlainTool() {
  const name = h("span", { class: "tool-name", dir: "auto" });
  const status = h("span", { class: "tool-status" });
  const root = h("div", { class: "tool", "data-testid": "tool" }, icon("tool"), name, status);
  return {
    root,
    show(tool) {
      root.dataset.state = tool.state;
      root.dataset.outcome = tool.outcome;
      name.textContent = readable(tool.name);
      const ended = { ok: "done", failed: "did not work" }[tool.outcome] ?? "";
      status.textContent = tool.state === "done" ? ended : "at work…";
    },
  };
}

/** What it is to who looks after the llm_client: with what was asked and answered. */
function makeTool() {
  const title = h("span", { class: "tool-name" });
  const status = h("span", { class: "tool-status" });
  const facts = h("dl");
  const root = h(
    "details",
    { class: "tool", "data-testid": "tool" },
    h("summary", {}, icon("tool"), title, status),
    facts,
  );
  let drawn = "";
  return {
    root,
    show(tool) {
      const signature = JSON.stringify(tool);
      if (signature === drawn) return;
      drawn = signature;
      root.dataset.state = tool.state;
      root.dataset.outcome = tool.outcome;
      const running = tool.state !== "done";
      title.replaceChildren(running ? "Using " : "Used ", h("code", {}, tool.name));
      const time = duration(tool.milliseconds);
      status.textContent = running ? "running…" : tool.outcome === "failed" ? "failed" : time;
      facts.replaceChildren(
        ...fact("Arguments", pretty(tool.arguments), true),
        ...fact("Result", pretty(tool.result), true),
        ...fact("Outcome", running ? "running" : { ok: "succeeded", failed: "failed" }[tool.outcome]),
        ...fact("Time", time),
        ...fact("Size of the result", size(tool.size)),
      );
    },
  };
}

function fact(name, text, block = false) {
  if (!text) return [];
  const value = h("dd", {}, block ? h("pre", { tabindex: "0" }, text) : text);
  return [h("div", { class: block ? "wide" : null }, h("dt", {}, name), value)];
}

function pretty(value) {
  if (!value) return "";
  if (typeof value !== "string") return JSON.stringify(value, null, 2);
  try {
    return JSON.stringify(JSON.parse(value), null, 2);
  } catch {
    return value;
  }
}
