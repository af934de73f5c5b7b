// Elements made by hand: every text is a text node, nothing is parsed as HTML.

/** An element with attributes, listeners (`onclick`), and children (nodes, texts, null). */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

const PATHS = {
  menu: "M4 7h16M4 12h16M4 17h10",
  close: "M6 6l12 12M18 6L6 18",
  plus: "M12 5v14M5 12h14",
  send: "M12 19V5M6 11l6-6 6 6",
  stop: "M8 8h8v8H8z",
  copy: "M9 9h10v10H9zM5 15V5h10",
  check: "M5 12.5l4.5 4.5L19 7.5",
  pencil: "M5 19l1-4L16 5l3 3L9 18zM14 7l3 3",
  again: "M19 12a7 7 0 1 1-2-5M19 4v4h-4",
  trash: "M5 7h14M10 7V5h4v2M7 7l1 12h8l1-12",
  down: "M12 5v14M6 13l6 6 6-6",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6L7 7M17 17l1.4 1.4M18.4 5.6L17 7M7 17l-1.4 1.4",
  moon: "M20 14.5A8 8 0 0 1 9.5 4 8 8 0 1 0 20 14.5z",
  info: "M12 11v6M12 7.5v.5M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z",
  tool: "M14.5 6.5a4 4 0 0 0-5.2 5.2L4 17v3h3l5.3-5.3a4 4 0 0 0 5.2-5.2L15 12l-3-3z",
  warn: "M12 4l9 16H3zM12 10v4M12 17v.5",
  open: "M9 5h10v10M19 5L6 18",
};

/** A line icon; it says nothing to a screen reader. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [key, value] of Object.entries({
    viewBox: "0 0 24 24",
    width: "20",
    height: "20",
    fill: name === "stop" ? "currentColor" : "none",
    stroke: "currentColor",
    "stroke-width": "1.8",
    "stroke-linecap": "round",
    "stroke-linejoin": "round",
    "aria-hidden": "true",
  })) {
    svg.setAttribute(key, value);
  }
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** The element with this id. */
export const $ = (id) => document.getElementById(id);

/** The nodes in this order, moving only what has to: a moved element loses its focus. */
export function arrange(container, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...container.childNodes]) if (!wanted.has(child)) child.remove();
  nodes.forEach((node, index) => {
    const there = container.childNodes[index];
    if (there !== node) container.insertBefore(node, there ?? null);
  });
}

/** The first letter of a name, for an avatar. */
export const initial = (name) => [...(name || "").trim()][0]?.toUpperCase() ?? "•";

/** The address if it is one that a link or an image may have, else "". */
export function webAddress(text, schemes = ["https:", "http:"]) {
  try {
    const url = new URL(text);
    return schemes.includes(url.protocol) ? url.href : "";
  } catch {
    return "";
  }
}

/** Put a text in the clipboard; false if the browser refuses. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h("textarea", { class: "hidden", readonly: true });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

/** localStorage, or null where the browser does not give it. */
export function browserStorage(name = "localStorage") {
  try {
    return globalThis[name] ?? null;
  } catch {
    return null;
  }
}

/** The theme's button: what it shows is what the reader gets by it. */
export function themeButton(button) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const current = () =>
    document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");
  const show = () => {
    const other = current() === "dark" ? "light" : "dark";
    button.replaceChildren(icon(other === "dark" ? "moon" : "sun"));
    button.setAttribute("aria-label", `Switch to the ${other} theme`);
    button.title = `Switch to the ${other} theme`;
  };
  button.addEventListener("click", () => {
    const next = current() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem("parley:theme", next);
    } catch {
      // It holds until the page is left.
    }
    show();
  });
  dark.addEventListener("change", show);
  show();
}

/** A form that asks for an API key; `given(key)` is called with what is entered. */
export function keyForm(reason, given) {
  const field = h("input", {
    id: "api-key",
    type: "password",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
    "aria-describedby": "api-key-why",
  });
  const form = h(
    "form",
    { class: "key", "data-testid": "key-form" },
    h("h2", { id: "key-title" }, "API key"),
    h(
      "p",
      { id: "api-key-why" },
      "This address needs a key of the account. It stays in this tab until you close it.",
    ),
    reason ? h("p", { class: "wrong", role: "alert" }, reason) : null,
    h("label", { for: "api-key" }, "Key"),
    field,
    h("button", { type: "submit", class: "button primary" }, "Continue"),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const key = field.value.trim();
    if (key) given(key);
  });
  return form;
}

/** Give a key to the form that asks for one; false if none does. */
export function answerForm(key) {
  const field = $("api-key");
  if (!field) return false;
  field.value = key;
  field.form.requestSubmit();
  return true;
}

/** The form in front of everything; answers the key. */
export function askForKey(reason) {
  return new Promise((answer) => {
    const form = keyForm(reason, (key) => {
      dialog.close();
      dialog.remove();
      answer(key);
    });
    const dialog = h("dialog", { class: "key", "aria-labelledby": "key-title" }, form);
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    document.body.append(dialog);
    dialog.showModal();
    form.querySelector("input").focus();
  });
}
