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
    let after = "";
    do {
      const page = await list(key, after);
      // Another key was given meanwhile: its own list is on its way.
      if ((keys.get() || key) !== key) return;
      if (!page) {
        keys.forget();
        load(REFUSED);
        return;
      }
      keys.set(key);
      if (!after) show(page.llm_clients);
      else $("clients").append(...page.llm_clients.map(card));
      ({ after } = page);
      $("forget").hidden = false;
    } while (after);
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

/** A page of the list, beginning behind `after`; null where the key opens nothing. */
async function list(key, after) {
  const response = await fetch(`/api/v1/llm-clients/${after && `?after=${encodeURIComponent(after)}`}`, {
    headers: { Authorization: `Bearer ${key}`, Accept: "application/json" },
    cache: "no-store",
  });
  if (response.status === 401 || response.status === 403) return null;
  if (!response.ok) throw new Error(`The server answered HTTP ${response.status}.`);
  return (await response.json()).data;
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
