// The list of past conversations: open, rename, remove from the list.

import { $, arrange, h, icon } from "./dom.js";
import { moment } from "./texts.js";

const UNDO_MS = 12_000;

/** Shows `sessions` (sessions.js); `open(key)` and `removed(key)` are told what is chosen. */
export function makePanel(sessions, { open, removed }) {
  const list = $("sessions");
  const menu = $("menu");
  const shade = $("shade");
  let renaming = "";
  let current = "";
  const empty = h("li", { class: "empty" }, "No conversations yet.");
  let rows = new Map();
  let undoUntil = 0;

  menu.append(icon("menu"));
  $("panel-close").append(icon("close"));
  menu.addEventListener("click", () => toggle(!isOpen()));
  $("panel-close").addEventListener("click", () => toggle(false));
  shade.addEventListener("click", () => toggle(false));
  // Wherever the focus is, and before anybody else takes the key for a wish to stop.
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.key !== "Escape" || renaming || !isOpen()) return;
      event.stopPropagation();
      toggle(false);
    },
    true,
  );
  // On a wide window the list is no drawer any more.
  matchMedia("(max-width: 860px)").addEventListener("change", () => toggle(false));

  const isOpen = () => document.body.classList.contains("panel-open");

  function toggle(wanted) {
    if (wanted === isOpen()) return;
    document.body.classList.toggle("panel-open", wanted);
    menu.setAttribute("aria-expanded", String(wanted));
    shade.hidden = !wanted;
    for (const rest of document.querySelectorAll("#main, .skip")) rest.inert = wanted;
    if (wanted) (list.querySelector("button") ?? $("panel-close")).focus();
    else menu.focus();
  }

  function row(one) {
    if (one.key === renaming) return renameRow(one);
    const here = one.key === current;
    return h(
      "li",
      { "data-testid": "session", "data-key": one.key, class: here ? "here" : null },
      h(
        "button",
        {
          type: "button",
          class: "session-open",
          "data-testid": "session-open",
          "aria-current": here ? "true" : null,
          onclick: () => {
            toggle(false);
            open(one.key);
          },
        },
        h("span", { class: "session-title", dir: "auto", "data-testid": "session-title" }, one.title || "Conversation"),
        h("span", { class: "session-time" }, moment(one.time)),
      ),
      rowButton("pencil", `Rename “${one.title}”`, "session-rename", () => {
        renaming = one.key;
        show(current);
        list.querySelector("input")?.select();
      }),
      rowButton("trash", `Remove “${one.title}” from this list`, "session-remove", () => {
        const wasHere = one.key === current;
        const entry = sessions.remove(one.key);
        show(current);
        removed(one.key);
        if (entry) offerUndo(entry, wasHere);
      }),
    );
  }

  /** Say for a while what removing does not do, and how to take it back. */
  function offerUndo(entry, wasHere) {
    const box = $("undo");
    clearTimeout(undoUntil);
    const end = () => {
      const focused = box.contains(document.activeElement);
      box.hidden = true;
      // What has the focus does not vanish under it; in a wide window there is nothing to close.
      if (focused) (list.querySelector("button") ?? $(isOpen() ? "panel-close" : "composer")).focus();
    };
    const undo = () => {
      clearTimeout(undoUntil);
      sessions.restore(entry);
      show(current);
      end();
      if (wasHere) open(entry.key);
    };
    box.replaceChildren(
      h("p", {}, "Removed from this list. The conversation stays on the server."),
      h("button", { type: "button", class: "button", "data-testid": "session-undo", onclick: undo }, "Undo"),
    );
    box.hidden = false;
    box.querySelector("button").focus();
    undoUntil = setTimeout(end, UNDO_MS);
  }

  const rowButton = (name, label, testid, onclick) =>
    h("button", { type: "button", class: "icon small", "aria-label": label, title: label, "data-testid": testid, onclick }, icon(name));

  function renameRow(one) {
    const field = h("input", { type: "text", dir: "auto", maxlength: "60", "aria-label": "New name" });
    field.value = one.title;
    const done = (keep) => {
      if (renaming !== one.key) return;
      renaming = "";
      if (keep) sessions.rename(one.key, field.value);
      show(current);
    };
    const back = () => list.querySelector(`[data-key="${one.key}"] button`)?.focus();
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        event.preventDefault(); // else it would press the button that gets the focus
        done(true);
        back();
      }
      if (event.key !== "Escape") return;
      event.stopPropagation();
      done(false);
      back();
    });
    // Who has gone on to something else stays there.
    field.addEventListener("blur", () => done(true));
    return h("li", { "data-testid": "session", class: "renaming" }, field);
  }

  /** Draw the list; `key` is the conversation that is shown. */
  function show(key) {
    current = key;
    // What changes while a name is written is drawn when it is.
    if (renaming && list.querySelector("input")) return;
    const all = sessions.list();
    const focused = list.contains(document.activeElement) ? document.activeElement : null;
    const { key: place } = focused?.closest("li").dataset ?? {};
    // What stays as it is stays the same element: somebody may be about to click it.
    rows = new Map(all.map((one) => [one.key, drawn(one)]));
    arrange(list, all.length ? [...rows.values()].map((it) => it.root) : [empty]);
    // A list that changes meanwhile leaves the focus where it was.
    if (!place || focused === document.activeElement) return;
    list.querySelector(`[data-key="${place}"] [data-testid="${focused.dataset.testid}"]`)?.focus();
  }

  function drawn(one) {
    const signature = JSON.stringify([one, moment(one.time), one.key === current, one.key === renaming]);
    const before = rows.get(one.key);
    return before?.signature === signature ? before : { signature, root: row(one) };
  }

  return { show, close: () => toggle(false) };
}
