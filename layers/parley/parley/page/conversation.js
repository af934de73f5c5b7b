// One conversation at a time: loads it, asks, stops, retries, and keeps it up to date over the
// socket, or by asking again where there is none. No DOM: what is shown is in view.js.

import { ApiError, wait } from "./api.js";
import { busy, context, known, lastEntry, missing, openEntry, shown } from "./reading.js";
import { emptyState, reduce } from "./state.js";
import { said, TEXTS } from "./texts.js";

const POLL_MS = 2000;
const LONG_WAIT_S = 25;
const GRACE_MS = 1500;
const CANCEL_MS = 4000;
// How often an answer is looked for that should be there: it may have been deleted.
const LOOKS = 2;
const RELOAD_MS = [2000, 5000, 15_000];
const REFUSED = new Set([409, 413, 429]);

/**
 * `api` as in api.js, `keepSocket` as in socket.js, `sessions` as in sessions.js, `token` for
 * the socket's address. `onChange` is called after every change, `onDraft(text)` gives back a
 * text that was not taken, `onSaid(entry)` is called with an answer that has just been finished.
 */
export function makeConversation({
  api,
  keepSocket,
  sessions,
  token = async () => "",
  onChange,
  onDraft = () => {},
  onSaid = () => {},
  pause = wait,
  now = Date.now,
}) {
  const it = {
    phase: "loading", // loading, ready, unavailable, closed, failed
    visit: 0, // of which time a conversation is opened this tells
    config: null,
    key: "",
    state: emptyState(),
    errors: {},
    notice: null,
    link: "closed",
    linked: false, // the socket stood once
    stopping: false,
    loadingOlder: false,
  };
  let epoch = 0;
  let socket = null;
  // What is under way for this conversation; the next one begins with nothing.
  let going = {};

  function change(values) {
    Object.assign(it, values);
    onChange(it);
  }

  function dispatch(event) {
    const before = it.state;
    const state = reduce(before, event);
    if (state === before) return;
    change({ state, stopping: it.stopping && busy(state) });
    const finished = answeredBetween(before, state);
    if (finished) onSaid(finished);
    // What tools have answered is not in frames, but the sandbox may read it.
    if (it.config?.sandbox_mode && finished?.tools.some((tool) => !tool.stored)) refresh();
    follow();
  }

  /** What the state asks for: a subscription from where we are, or a read. */
  function follow() {
    const mine = epoch;
    const own = going;
    if (it.state.gap && !own.resubscribing) {
      own.resubscribing = true;
      pause(GRACE_MS / 3).then(() => {
        own.resubscribing = false;
        if (mine !== epoch) return;
        dispatch({ type: "resubscribing" });
        socket?.resubscribe();
      });
    }
    if (it.state.stale) refresh();
    if (missing(it.state).length && !own.waiting) {
      // The answer's message follows its prompt's end, most often at once.
      own.waiting = true;
      pause(GRACE_MS).then(() => {
        own.waiting = false;
        if (mine === epoch && missing(it.state).length) look();
      });
    }
  }

  /** Read what is missing; what was not there that often is nowhere. */
  async function look() {
    if (!(await refresh())) return; // not read: that tells nothing
    const looks = (going.looks ??= new Map());
    for (const { promptId } of missing(it.state)) {
      looks.set(promptId, (looks.get(promptId) ?? 0) + 1);
      if (looks.get(promptId) >= LOOKS) dispatch({ type: "unanswered", promptId });
    }
  }

  /** True if it was read. */
  async function refresh() {
    const own = going;
    if (own.refreshing) return false;
    own.refreshing = true;
    const mine = epoch;
    try {
      const { items, prompts, after } = await api.history(it.key);
      if (mine !== epoch) return false;
      dispatch({ type: "read", items, prompts, after });
      return true;
    } catch {
      // The next frame, poll or connection sees to it.
      if (mine === epoch) dispatch({ type: "refreshing" });
      return false;
    } finally {
      own.refreshing = false;
    }
  }

  async function load(key, reason = null) {
    epoch += 1;
    const mine = epoch;
    going = {};
    socket?.close();
    socket = null;
    change({
      phase: "loading",
      visit: epoch,
      key: "",
      state: emptyState(),
      errors: {},
      notice: reason,
      link: "closed",
      linked: false,
      stopping: false,
    });
    for (let failures = 0; mine === epoch; failures += 1) {
      try {
        const config = await api.config(key);
        if (mine === epoch) opened(config, key);
        return;
      } catch (error) {
        if (mine !== epoch) return;
        const phase = { 401: "closed", 403: "closed", 404: "unavailable" }[error.status] ?? "failed";
        // A key that is damaged opens nothing: start afresh.
        if (error.status === 400 && key) {
          sessions.remove(key);
          load("", reason);
          return;
        }
        change({ phase, notice: null });
        if (phase !== "failed") return;
        await pause(RELOAD_MS[Math.min(failures, RELOAD_MS.length - 1)]);
      }
    }
  }

  function opened(config, asked) {
    const { session_key: key, history = {}, prompts = [], websocket } = config;
    const others = websocket?.account && sessions.belongTo(websocket);
    if (others && key !== asked && sessions.current) {
      // The key that was asked for is of another account's list: go on where this one's was left.
      load(sessions.current, it.notice);
      return;
    }
    const lost = asked && key !== asked && sessions.list().some((one) => one.key === asked);
    if (asked && key !== asked) sessions.remove(asked);
    sessions.choose(key);
    change({
      phase: "ready",
      config,
      key,
      notice: lost && !it.notice ? { kind: "lost", text: TEXTS.lost } : it.notice,
    });
    const items = history.chat_history ?? [];
    const threadId = websocket?.thread_id ?? "";
    dispatch({ type: "opened", threadId, items, prompts, after: history.after });
    const first = shown(it.state)[0];
    if (first && !sessions.list().some((one) => one.key === key)) {
      sessions.touch(key, first.question, first.createdAt || now());
    }
    if (websocket?.url && threadId) connect(websocket);
    else if (openEntry(it.state)) poll();
  }

  function connect({ url, account, llm_client: client, thread_id: threadId }) {
    const mine = epoch;
    socket = keepSocket({
      threadId,
      address: async () => {
        const query = new URLSearchParams({ session_key: it.key, account, llm_client: client });
        const secret = await token();
        if (secret) query.set("token", secret);
        return `${url}?${query}`;
      },
      known: () => known(it.state),
      busy: () => busy(it.state),
      onFrame: (frame) => mine === epoch && dispatch({ type: "frame", frame }),
      onDeleted: () => mine === epoch && load(it.key, { kind: "lost", text: TEXTS.lost }),
      onState: (link) => {
        if (mine !== epoch) return;
        change({ link, linked: it.linked || link === "open" });
        if (link === "open") return;
        // Most often it is back before a read would have been.
        if (openEntry(it.state)) pause(POLL_MS).then(() => mine === epoch && poll());
      },
    });
    socket.open();
  }

  /** Read the session until its answer is there or the socket stands. */
  async function poll() {
    const own = going;
    if (own.polling) return;
    own.polling = true;
    const mine = epoch;
    while (mine === epoch && busy(it.state) && !socket?.isOpen) {
      if (openEntry(it.state)) await refresh();
      await pause(POLL_MS);
    }
    own.polling = false;
  }

  async function send(text, replaces = 0) {
    if (it.phase !== "ready" || busy(it.state) || !text) return;
    const mine = epoch;
    const messages = [...context(it.state), { role: "user", content: text }];
    // What it is called in the list, whichever of its questions is heard of first.
    const title = shown(it.state)[0]?.question || text;
    change({ notice: null, stopping: false });
    dispatch({ type: "asked", text, replaces, at: now() });
    const wait_ = socket?.isOpen ? 0 : LONG_WAIT_S;
    const { key } = it;
    const payload = { session_key: key, messages, wait: wait_ };
    try {
      const answer = await api.chat(replaces ? { ...payload, replaces } : payload);
      if (mine === epoch) took(answer, text, title);
      // Another conversation was opened meanwhile: this one is to be found again.
      else if (answer.prompt?.id) sessions.touch(key, title, now());
    } catch (error) {
      if (mine === epoch) await notTaken(error, text);
    }
  }

  function took(answer, text, title) {
    const taken = answer.prompt?.id && !REFUSED.has(answer.status);
    const error = answer.messages.find((message) => message.role === "smarter_error")?.content;
    if (!taken) {
      dispatch({ type: "refused" });
      change({ notice: { kind: said(answer.status), text: error || TEXTS[said(answer.status)] } });
      onDraft(text);
      return;
    }
    sessions.touch(it.key, title, now());
    if (error) change({ errors: { ...it.errors, [answer.prompt.id]: error } });
    const wanted = it.stopping;
    dispatch({ type: "accepted", prompt: answer.prompt, messages: answer.messages });
    if (wanted && openEntry(it.state)) stop();
    if (!socket?.isOpen) poll();
  }

  async function notTaken(error, text) {
    const mine = epoch;
    if (text) onDraft(text);
    if (error.status === 404) {
      // Is it the session that is gone, or the chat? Config knows, and opens a new session.
      await load(it.key, { kind: "lost", text: text ? TEXTS.lostDraft : TEXTS.lost });
      return;
    }
    if (mine !== epoch) return;
    dispatch({ type: "refused" });
    if (error.status === 401 || error.status === 403) {
      change({ phase: "closed", notice: null });
      return;
    }
    const kind = error instanceof ApiError ? said(error.status) : "failed";
    change({ notice: { kind, text: TEXTS[kind] } });
    // The conversation went on elsewhere: in another tab, most often.
    if (error.status === 409) await refresh();
  }

  async function stop() {
    if (!busy(it.state)) return;
    const mine = epoch;
    change({ stopping: true });
    if (!openEntry(it.state)) {
      // Not taken yet, or a plain request waits for its answer: its prompt may be there already.
      if (!socket?.isOpen) await refresh();
      if (mine !== epoch || !openEntry(it.state)) return; // it is stopped when it is taken
    }
    const { promptId } = openEntry(it.state);
    if (socket?.cancel(promptId)) {
      await pause(CANCEL_MS);
      // It has stopped, even if it is being answered anew by now.
      if (mine !== epoch || !it.stopping || openEntry(it.state)?.promptId !== promptId) return;
    }
    try {
      const answer = await api.cancel(it.key, promptId);
      if (mine !== epoch) return;
      dispatch({ type: "accepted", prompt: answer.prompt, messages: answer.messages });
      if (!answer.prompt) await refresh();
    } catch {
      if (mine === epoch) change({ stopping: false, notice: { kind: "failed", text: TEXTS.stop } });
    }
  }

  async function retry(promptId) {
    if (busy(it.state)) return;
    const mine = epoch;
    const { [promptId]: _gone, ...errors } = it.errors;
    change({ notice: null, errors });
    dispatch({ type: "retrying", promptId });
    try {
      const answer = await api.retry(it.key, promptId);
      if (mine !== epoch) return;
      if (answer.prompt && !REFUSED.has(answer.status)) {
        dispatch({ type: "accepted", prompt: answer.prompt, messages: answer.messages });
        if (!socket?.isOpen) poll();
        return;
      }
      const error = answer.messages.find((message) => message.role === "smarter_error")?.content;
      if (error) change({ notice: { kind: said(answer.status), text: error } });
      await refresh();
      dispatch({ type: "notRetried", promptId });
    } catch (error) {
      if (mine !== epoch) return;
      dispatch({ type: "notRetried", promptId });
      await notTaken(error, "");
    }
  }

  return {
    it,
    load,
    send,
    stop,
    retry,
    newChat: () => load(""),
    openSession: (key) => key !== it.key && load(key),
    /** Answer it anew: what was answered with nothing is asked in its own place. */
    again(promptId) {
      const last = lastEntry(it.state);
      const answered = last?.promptId === promptId && last.done && !last.partial;
      return answered ? send(last.question, last.turn) : retry(promptId);
    },
    /** Ask the last question in other words. */
    edit(text) {
      const last = lastEntry(it.state);
      if (!last) return send(text);
      if (text === last.question && !last.done) return retry(last.promptId);
      return send(text, last.turn);
    },
    async older() {
      if (it.loadingOlder || !it.state.after) return;
      const mine = epoch;
      change({ loadingOlder: true });
      try {
        const { items, after } = await api.history(it.key, it.state.after);
        if (mine === epoch) dispatch({ type: "older", items, after });
      } catch {
        if (mine === epoch) change({ notice: { kind: "failed", text: TEXTS.older } });
      } finally {
        if (mine === epoch) change({ loadingOlder: false });
      }
    },
    dismiss: () => change({ notice: null }),
    wake: () => socket?.wake(),
  };
}

/** The entry whose answer came with the last event: not one that was read from the history. */
function answeredBetween(before, state) {
  const same = new Set(before.entries);
  return state.entries.find((entry) => {
    if (!entry.done || same.has(entry)) return false;
    const was = before.entries.find((one) => one.promptId === entry.promptId);
    return was ? !was.done : Boolean(before.pending);
  });
}
