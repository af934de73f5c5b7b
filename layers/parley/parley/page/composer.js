// Where one writes: the text, its length, and what Enter does with it.

import { $ } from "./dom.js";
import { busy, lastEntry } from "./reading.js";
import { characters, TEXTS } from "./texts.js";

const PATIENT = 0.9; // of the longest input, after which what is left is told

/**
 * `conversation` as in conversation.js; `draft` keeps the text (keptText of sessions.js);
 * `ask(text)` sends a question, `edit(text)` the last one in other words.
 */
export function makeComposer(conversation, { draft, ask, edit }) {
  const box = $("composer");
  const send = $("send");
  let editing = 0; // the visit (conversation.js) whose last question is edited
  let draftBefore = "";
  let hurried = false; // something was to be sent before the answer was there
  let eager = 0; // the visit in which something was to be sent too early

  /** Draw it for `it`, the conversation as it is, and send what has waited for that. */
  function draw(it = conversation.it) {
    const ready = it.phase === "ready";
    // While another conversation is opened one can write already.
    const open = ready || (it.phase === "loading" && Boolean(it.config));
    const working = busy(it.state);
    box.disabled = !open;
    $("stop").hidden = !working;
    $("stop").disabled = it.stopping;
    send.hidden = working;
    const left = editing !== it.visit;
    if (editing && (left || working)) stopEditing(left);
    if (!working) hurried = false;
    $("editing").hidden = !editing;
    const limit = Number(it.config?.limits?.input_characters) || 0;
    const length = [...box.value.trim()].length;
    const over = Boolean(limit) && length > limit;
    $("counter").textContent = remark(it, length, limit);
    $("counter").classList.toggle("wrong", over);
    box.setAttribute("aria-invalid", String(over));
    send.disabled = !open || working || !length || over;
    if (ready && eager) sendWaiting(it);
  }

  function remark(it, length, limit) {
    if (limit && length > limit) return `${characters(length - limit)} too many`;
    if (limit && length > limit * PATIENT) return `${characters(limit - length)} left`;
    if (hurried) return TEXTS.wait;
    return eager && eager === it.visit ? TEXTS.opening : "";
  }

  /** What was to be sent while the conversation was opened, if it is the one that was meant. */
  function sendWaiting({ visit, notice }) {
    const meant = eager === visit && !notice;
    eager = 0;
    if (meant) submit();
    else draw();
  }

  function submit() {
    const { phase, state, visit } = conversation.it;
    const text = box.value.trim();
    if (text && busy(state)) {
      hurried = true;
      draw();
      return;
    }
    if (send.disabled || send.hidden || !text) return;
    if (phase === "loading") {
      eager = editing ? 0 : visit;
      draw();
      return;
    }
    // What is drawn may be a moment old: nobody's text goes where nothing can be asked.
    if (phase !== "ready") return;
    const edited = editing > 0;
    stopEditing(false);
    box.value = edited ? draftBefore : "";
    draftBefore = "";
    fit();
    if (edited) edit(text);
    else ask(text);
  }

  function startEditing() {
    const last = lastEntry(conversation.it.state);
    if (!last) return;
    draftBefore = box.value;
    editing = conversation.it.visit;
    box.value = last.question;
    fit();
    box.focus();
    box.setSelectionRange(box.value.length, box.value.length);
  }

  function stopEditing(restore) {
    if (!editing) return;
    editing = 0;
    if (restore) {
      box.value = draftBefore;
      draftBefore = "";
      fit();
    }
  }

  /** The box is as high as its text, up to a third of the window. */
  function fit() {
    box.style.height = "auto";
    box.style.height = `${Math.min(box.scrollHeight, innerHeight / 3)}px`;
    draw();
    draft.set(editing ? draftBefore : box.value);
  }

  box.addEventListener("input", fit);
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  $("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  $("stop").addEventListener("click", () => {
    conversation.stop();
    box.focus();
  });
  $("edit-cancel").addEventListener("click", () => {
    stopEditing(true);
    box.focus();
  });
  if (draft.get()) {
    box.value = draft.get();
    fit();
  }

  return {
    draw,
    startEditing,
    /** True if there was something to leave: the text that was there before is back. */
    leaveEditing() {
      const was = editing > 0;
      stopEditing(true);
      return was;
    },
    /** Give a text back that was not taken. */
    giveBack(text) {
      if (!box.value) box.value = text;
      fit();
    },
    focus: () => box.focus({ preventScroll: true }),
    set placeholder(text) {
      box.placeholder = text;
    },
  };
}
