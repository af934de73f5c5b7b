// The key: asked for and kept for this tab. The sandbox exchanges it for a short-lived token.

const RENEW_BEFORE_MS = 60_000;
const PLACE = "parley:key";

const REFUSED = "This key was not accepted. Check it, or ask for another one.";

/** The key was refused. */
export class KeyRefused extends Error {}

/** Take a key out of `#key=…` of the address, so that no history and no screenshot shows it. */
export function keyFromFragment(location = globalThis.location, history = globalThis.history) {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const key = (fragment.get("key") ?? "").trim();
  if (!fragment.has("key")) return "";
  fragment.delete("key");
  const rest = fragment.toString();
  history.replaceState(null, "", location.pathname + location.search + (rest && `#${rest}`));
  return key;
}

/** Take each key that comes into the address of a page that is shown already, and give it on. */
export function onKeyInFragment(given, page = globalThis) {
  page.addEventListener("hashchange", () => {
    const key = keyFromFragment(page.location, page.history);
    if (key) given(key);
  });
}

/** The key of this tab, in `storage`: it goes when the tab is closed. */
export function makeKeyStore(storage) {
  let held = "";
  return {
    get: () => held || safely(() => storage?.getItem(PLACE)) || "",
    set(key) {
      held = key;
      safely(() => storage?.setItem(PLACE, key));
    },
    forget() {
      held = "";
      safely(() => storage?.removeItem(PLACE));
    },
  };
}

/** What was given to a named host that wants a key: sent as it is, and no longer if refused. */
export function makeDoor(keys) {
  return {
    get: async () => keys.get(),
    /** Nobody was let in: why, if there was a key. */
    refused() {
      if (!keys.get()) return "";
      keys.forget();
      return REFUSED;
    },
  };
}

/**
 * Tokens for the llm_client at `base`: answers a function that gives one that is still good.
 *
 * `ask(reason)` shows the form and answers a key; it is called when there is none, and again with
 * the reason when the one that there was is refused.
 */
export function makeTokens({ base, keys, ask, fetch = globalThis.fetch, now = Date.now }) {
  let token = null;
  let renewing = null;

  async function exchange(key) {
    const response = await fetch(`${base}token/`, {
      method: "POST",
      headers: {
        Authorization: `Bearer ${key}`,
        Accept: "application/json",
        "Content-Type": "application/json",
      },
      body: "{}",
      cache: "no-store",
    });
    const answer = await response.json().catch(() => null);
    if (response.status === 401 || response.status === 403) {
      throw new KeyRefused(REFUSED);
    }
    if (!response.ok) {
      const error = new Error(`The server answered HTTP ${response.status}.`);
      throw Object.assign(error, { status: response.status });
    }
    const found = answer?.data?.token ? answer.data : answer;
    return { value: found.token, expiresAt: Number(found.expires_at) };
  }

  async function renew() {
    let reason = "";
    for (;;) {
      const key = keys.get() || (await ask(reason));
      // Another may be given while this one is on its way: then that one counts.
      const isLatest = () => (keys.get() || key) === key;
      try {
        const found = await exchange(key);
        if (!isLatest()) continue;
        token = found;
        keys.set(key);
        return token.value;
      } catch (error) {
        if (!(error instanceof KeyRefused)) throw error;
        if (isLatest()) keys.forget();
        reason = error.message;
      }
    }
  }

  return {
    async get() {
      if (token && token.expiresAt - RENEW_BEFORE_MS > now()) return token.value;
      renewing ??= renew().finally(() => {
        renewing = null;
      });
      return renewing;
    },
    /** The token was refused: the next `get` makes another. */
    drop() {
      token = null;
    },
  };
}

function safely(action) {
  try {
    return action();
  } catch {
    return "";
  }
}
