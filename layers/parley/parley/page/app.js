// The chat page: puts the parts together and minds the header, the greeting and the notices.

import { ApiError, makeApi } from "./api.js";
import { makeComposer } from "./composer.js";
import { makeConversation } from "./conversation.js";
import { $, answerForm, askForKey, h, icon, keyForm, themeButton, webAddress } from "./dom.js";
import { keyFromFragment, makeDoor, makeKeyStore, makeTokens, onKeyInFragment } from "./keyring.js";
import { plainText } from "./markdown.js";
import { makePanel } from "./panel.js";
import { followEnd } from "./scroll.js";
import { keptText, makeSessions, makeStores } from "./sessions.js";
import { keepSocket } from "./socket.js";
import { busy, shown } from "./reading.js";
import { TEXTS } from "./texts.js";
import { makeView, portrait } from "./view.js";

const BANNER_MS = 1500;
const SPOKEN = 1500;

const framed = window.parent !== window;
const coming = makeStores();
// For embed.js, which cannot see whether the browser has refused the frame.
if (framed) window.parent.postMessage("parley:ready", "*");
const stores = await coming;
const { base, bearer, token, drop, door, keys } = access(location.pathname);
const sessions = makeSessions(base, stores.lasting);
const scroll = followEnd($("scroll"), $("newest"));
let frame = 0;
let oldest = "";
let asking = "";
let uncalled = false; // it was opened while the site around had the keyboard

const conversation = makeConversation({
  api: makeApi({ base, bearer, fetch: guarded }),
  keepSocket,
  sessions,
  token,
  onChange: () => {
    frame ||= requestAnimationFrame(draw);
  },
  onDraft: (text) => composer.giveBack(text),
  onSaid: (entry) => speak(plainText(entry.text)),
});
const composer = makeComposer(conversation, {
  draft: keptText(`parley:draft:${base}`),
  ask,
  edit(text) {
    conversation.edit(text);
    scroll.toEnd(true);
  },
});
const view = makeView($("messages"), {
  edit: composer.startEditing,
  retry: (promptId) => conversation.again(promptId),
});
const panel = makePanel(sessions, {
  open: (key) => conversation.openSession(key),
  removed: (key) => key === conversation.it.key && conversation.newChat(),
});

/**
 * Where the API is and what opens it: nothing on a named host, or the key itself where the
 * llm_client wants one; a token in the sandbox.
 */
function access(path) {
  const sandbox = /^\/workbench\/llm-clients\/([^/]+)\/(?:prompt|chat)\/?$/.exec(path);
  const keys = makeKeyStore(stores.tab);
  const given = keyFromFragment();
  if (given) keys.set(given);
  onKeyInFragment((key) => answerForm(key) || enter(key));
  if (!sandbox) {
    const door = makeDoor(keys);
    return { base: "/", bearer: door.get, token: door.get, door, keys };
  }
  const at = `/api/v1/llm-clients/${sandbox[1]}/`;
  const tokens = makeTokens({
    base: at,
    keys,
    ask: askForKey,
    fetch: async (...request) => {
      try {
        return await fetch(...request);
      } catch {
        throw new ApiError(0, TEXTS.unreachable);
      }
    },
  });
  return { base: at, bearer: tokens.get, token: tokens.get, drop: tokens.drop, keys };
}

/** A token that ended before its time is made anew, once. */
async function guarded(url, request) {
  const response = await fetch(url, request);
  if (response.status !== 401 || !request.headers.Authorization || !drop) return response;
  drop();
  const headers = { ...request.headers, Authorization: `Bearer ${await bearer()}` };
  return fetch(url, { ...request, headers });
}

// --- drawing -----------------------------------------------------------------

function draw() {
  frame = 0;
  const { it } = conversation;
  const { phase, config, state } = it;
  $("app").dataset.state = phase;
  $("loading").hidden = phase !== "loading" && phase !== "failed";
  if (config) drawLook(config.chatbot ?? {});
  drawPlaceholder(it);
  const first = shown(state)[0]?.promptId ?? "";
  const older = oldest && first !== oldest && shown(state).some((one) => one.promptId === oldest);
  oldest = first;
  if (older) scroll.keeping(() => view(it));
  else view(it);
  drawWelcome(it);
  $("older").hidden = !state.after || phase !== "ready";
  $("older").disabled = it.loadingOlder;
  $("new-chat").disabled = phase !== "ready";
  composer.draw(it);
  drawNotice(it);
  drawBanner(it);
  panel.show(it.key);
  // An empty conversation is read from its top, where the greeting is.
  const empty = isEmpty();
  if (!older && !empty) scroll.changed();
  if (asking !== it.key && phase === "ready") {
    asking = it.key;
    if (!empty) scroll.toEnd();
    // Not from the button that takes a removal back.
    // Nor from the site around it.
    uncalled = framed && !document.hasFocus();
    if (!uncalled && !$("undo").contains(document.activeElement)) invite();
  }
}

/** Who has a keyboard can write at once. */
function invite() {
  if (matchMedia("(hover: hover)").matches) composer.focus();
}

/** Nothing has been asked yet. */
function isEmpty() {
  const { state } = conversation.it;
  return !shown(state).length && !state.pending;
}

function drawLook(chatbot) {
  const name = chatbot.app_name || chatbot.name || "Chat";
  if ($("name").textContent === name) return;
  document.title = name;
  $("name").textContent = name;
  const assistant = chatbot.app_assistant ?? "";
  $("assistant").textContent = assistant === name ? "" : assistant;
  portrait($("logo"), { name, logo: webAddress(chatbot.app_logo_url ?? "", ["https:"]) });
  composer.placeholder = chatbot.app_placeholder || "Type a message";
  const info = webAddress(chatbot.app_info_url ?? "");
  $("info").hidden = !info;
  if (info) $("info").href = info;
  const background = webAddress(chatbot.app_background_image_url ?? "", ["https:"]);
  document.body.classList.toggle("pictured", Boolean(background));
  if (background) $("main").style.backgroundImage = `url("${background.replaceAll('"', "%22")}")`;
}

/** The chat is not there: say so where the messages would be. */
function drawPlaceholder({ phase, visit }) {
  const text = { unavailable: TEXTS.unavailable, closed: door ? TEXTS.locked : TEXTS.closed }[phase];
  document.body.classList.toggle("absent", Boolean(text));
  const there = document.querySelector(".absence");
  // What is refused again may be so before that it was loading is drawn.
  const of = `${phase} ${visit}`;
  if (there?.dataset.of === of) return;
  there?.remove();
  if (!text) return;
  const reason = phase === "closed" && door ? door.refused() : "";
  const form = phase === "closed" && door ? keyForm(reason, enter) : null;
  $("column").append(
    h(
      "div",
      { class: "absence", "data-testid": "absence", "data-of": of },
      icon("warn"),
      h("p", { role: "alert" }, text),
      form,
    ),
  );
  if (reason) form.querySelector("input").focus();
}

function enter(key) {
  keys.set(key);
  drop?.();
  conversation.load(sessions.current);
}

function drawWelcome({ phase, config, state }) {
  const box = $("welcome");
  box.hidden = phase !== "ready" || Boolean(state.after);
  if (box.hidden) return;
  const chatbot = config.chatbot ?? {};
  const empty = isEmpty();
  const text = state.intro[0]?.content || chatbot.app_welcome_message || "";
  const signature = JSON.stringify([empty, text, chatbot.app_example_prompts]);
  if (box.dataset.drawn === signature) return;
  box.dataset.drawn = signature;
  box.className = empty ? "empty" : "";
  const face = h("span", { class: empty ? "avatar huge" : "avatar", "aria-hidden": "true" });
  portrait(face, {
    name: chatbot.app_assistant || chatbot.app_name,
    logo: webAddress(chatbot.app_logo_url ?? "", ["https:"]),
  });
  const examples = empty ? (chatbot.app_example_prompts ?? []) : [];
  box.replaceChildren(
    face,
    h("p", { class: "greeting", dir: "auto", "data-testid": "welcome" }, text),
    h(
      "div",
      { class: "examples" },
      examples.map((one) =>
        h("button", { type: "button", dir: "auto", "data-testid": "example", onclick: () => ask(one) }, one),
      ),
    ),
  );
}

function drawNotice({ notice }) {
  const box = $("notice");
  const signature = notice ? notice.kind + notice.text : "";
  if (box.dataset.drawn === signature) return;
  box.dataset.drawn = signature;
  box.dataset.testid = "notice";
  box.dataset.kind = notice?.kind ?? "";
  box.hidden = !notice;
  if (!notice) return;
  box.replaceChildren(
    icon(notice.kind === "lost" ? "info" : "warn"),
    h("span", {}, notice.text),
    h(
      "button",
      { type: "button", class: "icon small", "aria-label": "Dismiss", onclick: () => conversation.dismiss() },
      icon("close"),
    ),
  );
}

let bannerDue = 0;

function drawBanner(it) {
  const text = !navigator.onLine
    ? TEXTS.offline
    : it.phase === "failed"
      ? TEXTS.connecting
      : it.linked && it.link !== "open" && it.phase === "ready"
        ? TEXTS.reconnecting
        : "";
  const box = $("banner");
  clearTimeout(bannerDue);
  const show = () => {
    box.hidden = !text;
    if (box.textContent !== text) box.textContent = text;
  };
  // A connection that is back at once needs no words.
  if (text === TEXTS.reconnecting && box.hidden) bannerDue = setTimeout(show, BANNER_MS);
  else show();
}

function speak(text) {
  $("spoken").textContent = text.length > SPOKEN ? `${text.slice(0, SPOKEN)}…` : text;
}

// --- asking ------------------------------------------------------------------

function ask(text) {
  conversation.send(text);
  speak("Waiting for the answer.");
  scroll.toEnd(true);
}

$("new-chat").addEventListener("click", () => {
  composer.leaveEditing();
  panel.close();
  if (!isEmpty()) conversation.newChat();
  composer.focus();
});
$("older").addEventListener("click", () => conversation.older());
addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented) return;
  if (composer.leaveEditing()) return;
  if (busy(conversation.it.state)) conversation.stop();
  // In a frame of embed.js there is somebody to close it. It learns nothing but the wish.
  else if (framed) window.parent.postMessage("parley:close", "*");
});
for (const name of ["online", "offline"]) {
  addEventListener(name, () => {
    if (name === "online") conversation.wake();
    drawBanner(conversation.it);
  });
}
// The site gives the keyboard to who opens the chat, but may be slower than the chat is opened.
addEventListener("focus", () => {
  if (uncalled && document.activeElement === document.body) invite();
  uncalled = false;
});
document.addEventListener("visibilitychange", () => document.hidden || conversation.wake());
// A window, a banner, a draft of many lines: whatever takes room from the end that is read.
new ResizeObserver(() => isEmpty() || scroll.changed()).observe($("scroll"));

for (const [id, name] of [["info", "info"], ["send", "send"], ["stop", "stop"]]) $(id).append(icon(name));
$("new-chat").prepend(icon("plus"));
$("newest").prepend(icon("down"));
themeButton($("theme"));
document.body.classList.toggle("framed", framed);
// A list that ends with the page is none.
document.body.classList.toggle("unkept", !stores.lasting);
conversation.load(sessions.current);
