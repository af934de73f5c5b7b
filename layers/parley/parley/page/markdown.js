// An answer's Markdown as elements. What a model writes is not trusted: raw HTML is shown as
// text, what is made of the rest goes through DOMPurify, and images are links: an image that
// loads by itself could carry what was said here to whoever serves it.

import { Marked } from "./vendor/marked.esm.js";
import DOMPurify from "./vendor/purify.es.mjs";
import { copy, h, icon } from "./dom.js";

const ALLOWED = {
  ALLOWED_TAGS:
    "p br hr h1 h2 h3 h4 h5 h6 strong em b i del code pre blockquote ul ol li a table thead tbody tr th td".split(" "),
  ALLOWED_ATTR: ["href", "title", "align", "start", "class"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};
// Each says its own direction. What is in a list item or a quote follows it.
const DIRECTED = "h1, h2, h3, h4, h5, h6, li, th, td, blockquote, p:not(li p, blockquote p)";
// What a cell holds is not broken up to this length (a date, a price), and not narrower beyond it.
const SHORT = 16;
const TASK = /^[☑☐] /;
const LEFTWARD = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/;
const LINK = /^(https?:|mailto:|tel:)/i;

const escaped = (text) =>
  String(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

const parser = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    html: ({ text }) => (/^<br\s*\/?>$/i.test(text.trim()) ? "<br>" : escaped(text)),
    image: ({ href, text }) => `<a href="${escaped(href)}">${escaped(text || "image")}</a>`,
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
  },
});

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.nodeName !== "A") return;
  if (!LINK.test(node.getAttribute("href") ?? "")) {
    node.removeAttribute("href");
    return;
  }
  node.setAttribute("target", "_blank");
  node.setAttribute("rel", "noopener noreferrer");
});

/**
 * Show `text` in `container`. Called again with more text, it touches only the blocks that have
 * changed: what the reader has selected or focused stays.
 */
export function showMarkdown(container, text) {
  const tokens = parser.lexer(text).filter((token) => token.type !== "space" && token.type !== "def");
  const blocks = [...container.children];
  for (const [index, token] of tokens.entries()) {
    const block = blocks[index];
    if (block?.raw === token.raw) continue;
    const made = blockOf(token);
    if (block) block.replaceWith(made);
    else container.append(made);
  }
  for (const block of blocks.slice(tokens.length)) block.remove();
}

function blockOf(token) {
  const block = h("div", { class: "block" });
  block.raw = token.raw;
  block.append(token.type === "code" ? codeBlock(token) : clean(parser.parser([token])));
  for (const one of block.querySelectorAll(DIRECTED)) one.dir = "auto";
  for (const item of block.querySelectorAll("li")) if (TASK.test(item.textContent)) item.className = "task";
  for (const table of block.querySelectorAll("table")) {
    const frame = h("div", { class: "table", tabindex: "0", role: "region", "aria-label": "Table" });
    // Its columns follow the first of its words: "auto" would not look into cells that have their own.
    frame.dir = LEFTWARD.test(/\p{L}/u.exec(table.textContent)?.[0]) ? "rtl" : "ltr";
    for (const cell of table.querySelectorAll("td")) cell.classList.toggle("long", cell.textContent.length > SHORT);
    table.replaceWith(frame);
    frame.append(table);
  }
  // A list may hold code as well.
  for (const pre of block.querySelectorAll("pre:not(.code pre)")) {
    const language = /language-([\w+#.-]+)/.exec(pre.firstElementChild?.className ?? "")?.[1];
    pre.replaceWith(codeBlock({ text: pre.textContent.replace(/\n$/, ""), lang: language }));
  }
  return block;
}

const clean = (html) => DOMPurify.sanitize(html, ALLOWED);

function codeBlock({ text, lang }) {
  const language = (lang || "").trim().split(/\s/)[0].slice(0, 30);
  const button = h(
    "button",
    { type: "button", class: "quiet", "data-testid": "copy", "aria-label": "Copy the code" },
    icon("copy"),
    h("span", {}, "Copy"),
  );
  button.addEventListener("click", async () => {
    const done = await copy(text);
    button.replaceChildren(icon(done ? "check" : "warn"), h("span", {}, done ? "Copied" : "Not copied"));
    setTimeout(() => button.replaceChildren(icon("copy"), h("span", {}, "Copy")), 2000);
  });
  return h(
    "div",
    { class: "code", dir: "ltr" },
    h("div", { class: "code-head" }, h("span", {}, language || "code"), button),
    h("pre", { tabindex: "0", "aria-label": `Code${language ? `, ${language}` : ""}` }, h("code", {}, text)),
  );
}

/** The text without its marks, for a screen reader's announcement. */
export function plainText(text) {
  return clean(parser.parse(text)).textContent.replace(/\s+/g, " ").trim();
}
