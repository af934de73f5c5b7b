// The past conversations of this browser, in its own storage: nothing of it is sent anywhere.
//
// A session key opens its conversation, so the list is as private as the browser profile.

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

/** localStorage, or null where the browser does not give it. */
export function browserStorage(name = "localStorage") {
  try {
    return globalThis[name] ?? null;
  } catch {
    return null;
  }
}
