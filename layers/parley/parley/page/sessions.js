// The past conversations of this browser, in its own storage: nothing of it is sent anywhere.
//
// A session key opens its conversation, so the list is as private as the browser profile. In a
// frame that gets no storage, the page around it keeps the list, if it is embed.js's.

import { browserStorage } from "./dom.js";

const KEPT = 50;
const TITLE_LENGTH = 60;

/**
 * The list of one llm_client, kept in `storage`.
 *
 * Whose list it is, is known when the server has told it (`belongTo`): the workbench's addresses
 * are the same for all accounts. Until then it is that of whoever was at the address `base` last.
 *
 * An entry is {key, title, time (ms), named}. Storage that is absent or full (a private window,
 * a third-party frame) only means that the list ends with the page.
 */
export function makeSessions(base, storage = browserStorage()) {
  const lastHere = `parley:owner:${base}`;
  let owner = "";
  try {
    owner = storage?.getItem(lastHere) ?? "";
  } catch {
    // Forbidden: nothing is kept.
  }
  let kept = read();

  function read() {
    try {
      const found = JSON.parse(storage?.getItem(place()) ?? "{}");
      const list = Array.isArray(found.list) ? found.list.filter((it) => isKey(it?.key)) : [];
      return { current: isKey(found.current) ? found.current : "", list };
    } catch {
      return { current: "", list: [] };
    }
  }

  function place() {
    return `parley:sessions:${owner || base}`;
  }

  function write(next) {
    kept = next;
    try {
      storage?.setItem(place(), JSON.stringify(kept));
    } catch {
      // Full or forbidden: the list lives as long as the page.
    }
  }

  const changed = (key, change) =>
    write({
      ...latest(),
      list: latest().list.map((it) => (it.key === key ? { ...it, ...change } : it)),
    });

  // Another tab may have written meanwhile.
  function latest() {
    if (storage) {
      const found = read();
      if (found.list.length || found.current) kept = { ...found, current: kept.current };
    }
    return kept;
  }

  return {
    /** This list is `account`'s for its `llm_client`; true if it was another one until now. */
    belongTo({ account, llm_client: client }) {
      const found = `${account}/${client}`;
      if (found === owner) return false;
      owner = found;
      kept = read();
      try {
        storage?.setItem(lastHere, owner);
      } catch {
        // Full or forbidden, as above.
      }
      return true;
    },
    get current() {
      return kept.current;
    },
    /** The conversations that had a question, the newest first. */
    list: () => latest().list.toSorted((one, other) => other.time - one.time),
    /** Make this the conversation that a reload shows. */
    choose: (key) => write({ ...latest(), current: key }),
    /** A question was asked: the conversation is worth listing. Its first question names it. */
    touch(key, question, time) {
      const { list } = latest();
      const found = list.find((it) => it.key === key);
      if (found) {
        changed(key, found.title ? { time } : { time, title: titleOf(question) });
        return;
      }
      const entry = { key, title: titleOf(question), time, named: false };
      const newest = [entry, ...list].toSorted((one, other) => other.time - one.time);
      write({ ...kept, list: newest.slice(0, KEPT) });
    },
    rename(key, title) {
      const text = title.trim().slice(0, TITLE_LENGTH);
      if (text) changed(key, { title: text, named: true });
    },
    /** Take it from the list; the entry, for `restore`. */
    remove(key) {
      const { list } = latest();
      const removed = list.find((it) => it.key === key) ?? null;
      write({
        current: kept.current === key ? "" : kept.current,
        list: list.filter((it) => it.key !== key),
      });
      return removed;
    },
    restore(entry) {
      const { list } = latest();
      if (!list.some((it) => it.key === entry.key)) write({ ...kept, list: [...list, entry] });
    },
  };
}

/** A question as a title: one line, cut at a word. */
export function titleOf(question) {
  const line = question.replace(/\s+/g, " ").trim();
  if (line.length <= TITLE_LENGTH) return line;
  const cut = line.slice(0, TITLE_LENGTH - 1);
  const space = cut.lastIndexOf(" ");
  return `${space > TITLE_LENGTH / 2 ? cut.slice(0, space) : cut}…`;
}

const isKey = (key) => typeof key === "string" && /^[0-9a-f]{64}$/i.test(key);

/** A text that this tab keeps over a reload, under `name`. */
export function keptText(name, storage = browserStorage("sessionStorage")) {
  let held = "";
  try {
    held = storage?.getItem(name) ?? "";
  } catch {
    // Forbidden: it goes with the page.
  }
  return {
    get: () => held,
    set(text) {
      if (text === held) return;
      held = text;
      try {
        if (text) storage?.setItem(name, text);
        else storage?.removeItem(name);
      } catch {
        // Full or forbidden.
      }
    },
  };
}

// How embed.js names its frame: that there is somebody who answers.
const HELD = "parley-held";
const HOST_MS = 3000;

/**
 * Where this page keeps something: {lasting, tab}, each a storage, or null where nothing is kept.
 *
 * Browsers refuse storage to a frame in another site. Then embed.js, which runs in the page
 * around it, holds two texts for it in that page's storage. It is asked by "parley:ready" (see
 * app.js) and answers with them and a port, which it hands to our origin alone; what is to be
 * kept goes over that port, so to nobody else. Only the parent is heard, and the browser shows
 * us in no parent that the llm_client does not allow (`frame-ancestors`).
 */
export function makeStores(page = globalThis.window, patience = HOST_MS) {
  const own = { lasting: browserStorage(), tab: browserStorage("sessionStorage") };
  if (own.lasting || page.parent === page || page.name !== HELD) return Promise.resolve(own);
  return new Promise((done) => {
    const nobody = setTimeout(() => end(own), patience);
    function end(stores) {
      clearTimeout(nobody);
      page.removeEventListener("message", hear);
      done(stores);
    }
    function hear({ source, origin, data, ports }) {
      // The parent's origin is one that is allowed; a page without an origin is nobody's.
      if (source !== page.parent || !/^https?:/.test(origin) || data?.parley !== "kept") return;
      end(ports[0] ? heldBy(ports[0], data) : own);
    }
    page.addEventListener("message", hear);
  });
}

function heldBy(port, { lasting, tab }) {
  const make = (place, text) => heldStorage(text, (kept) => port.postMessage({ place, text: kept }));
  const stores = { lasting: make("lasting", lasting), tab: make("tab", tab) };
  // Another tab of the site has written.
  port.onmessage = ({ data }) => stores.lasting.heard(data);
  return stores;
}

/** A storage that is one text somewhere else: `write` is given it after each change. */
function heldStorage(text, write) {
  let held = new Map();
  const heard = (given) => {
    try {
      held = new Map(Object.entries(JSON.parse(given || "{}")));
    } catch {
      // Damaged: as if there was nothing.
    }
  };
  heard(text);
  const wrote = () => write(JSON.stringify(Object.fromEntries(held)));
  return {
    heard,
    getItem: (name) => held.get(name) ?? null,
    setItem: (name, value) => wrote(held.set(name, value)),
    removeItem: (name) => held.delete(name) && wrote(),
  };
}
