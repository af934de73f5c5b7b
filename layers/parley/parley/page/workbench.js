// The workbench: the account's llm_clients, each with a link to its page.

import { $, answerForm, askForKey, browserStorage, h, icon, themeButton, webAddress } from "./dom.js";
import { keyFromFragment, makeKeyStore, onKeyInFragment } from "./keyring.js";

const keys = makeKeyStore(browserStorage("sessionStorage"));
const REFUSED = "This key was not accepted. Check it, or ask for another one.";

async function load(reason = "") {
  const key = keys.get() || (await askForKey(reason));
  $("notice").hidden = true;
  $("loading").hidden = false;
  try {
    const response = await fetch("/api/v1/llm-clients/", {
      headers: { Authorization: `Bearer ${key}`, Accept: "application/json" },
      cache: "no-store",
    });
    // Another key was given meanwhile: its own list is on its way.
    if ((keys.get() || key) !== key) return;
    if (response.status === 401 || response.status === 403) {
      keys.forget();
      load(REFUSED);
      return;
    }
    if (!response.ok) throw new Error(`The server answered HTTP ${response.status}.`);
    keys.set(key);
    show((await response.json()).data?.llm_clients ?? []);
    $("forget").hidden = false;
  } catch (error) {
    const text = error instanceof TypeError ? "The server could not be reached." : error.message;
    $("notice").replaceChildren(
      icon("warn"),
      h("span", {}, `The list could not be loaded. ${text}`),
      h("button", { type: "button", class: "button", onclick: () => load() }, "Try again"),
    );
    $("notice").hidden = false;
  } finally {
    $("loading").hidden = true;
  }
}

function show(clients) {
  $("clients").replaceChildren(...clients.map(card));
  if (clients.length) return;
  $("clients").append(
    h("li", { class: "empty" }, "No llm_clients yet. Apply a manifest: ", h("code", {}, "parley apply -f examples/stackademy.yaml")),
  );
}

function card(client) {
  return h(
    "li",
    { "data-testid": "client" },
    h(
      "a",
      { href: `/workbench/llm-clients/${encodeURIComponent(client.hashed_id || client.id)}/prompt/`, "data-testid": "client-open" },
      h("strong", { dir: "auto" }, client.app_name || client.name),
      h("span", { class: client.deployed ? "tag on" : "tag" }, client.deployed ? "deployed" : "not deployed"),
    ),
    h("p", { dir: "auto" }, client.description || ""),
    h(
      "p",
      { class: "fine" },
      h("code", {}, client.name),
      client.version ? ` · ${client.version}` : "",
      client.deployed && webAddress(client.url ?? "")
        ? [" · ", h("a", { href: client.url, target: "_blank", rel: "noopener noreferrer" }, client.url)]
        : "",
    ),
  );
}

$("forget").addEventListener("click", () => {
  keys.forget();
  $("clients").replaceChildren();
  $("forget").hidden = true;
  load();
});
themeButton($("theme"));
const given = keyFromFragment();
if (given) keys.set(given);
onKeyInFragment((key) => {
  if (answerForm(key)) return;
  keys.set(key);
  load();
});
load();
