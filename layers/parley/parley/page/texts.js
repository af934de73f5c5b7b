// What the page says when something does not work: what it is, and what to do.

export const TEXTS = {
  unavailable: "This chat is not available. It may have been moved or switched off.",
  closed: "This chat is private. Ask whoever gave you the address for access.",
  failed: "That did not work. Please try again.",
  unreachable: "The server could not be reached. Your message is still here; please try again.",
  limited: "That was a lot of messages in a short time. Please wait a minute and try again.",
  long: "This message is too long. Please shorten it.",
  open: "The conversation has gone on meanwhile. Please look at it and try again.",
  lost: "That conversation is no longer there, so a new one was started.",
  lostDraft:
    "That conversation is no longer there, so a new one was started. Your message is still in the box.",
  stop: "The answer could not be stopped. Please try again.",
  older: "Older messages could not be loaded. Please try again.",
  offline: "You are offline. The conversation goes on as soon as you are back.",
  reconnecting: "The connection was lost. Reconnecting…",
  connecting: "The chat could not be loaded. Trying again…",
};

/** The kind of a refusal, from its HTTP status; 0 means that nothing was answered. */
export function said(status) {
  if (!status) return "unreachable";
  return { 409: "open", 413: "long", 429: "limited" }[status] ?? "failed";
}

const CODES = {
  lost: "The answer was interrupted.",
  timeout: "The assistant took too long to answer.",
  refused: "The assistant could not answer this.",
};

/** Why an answer failed, from its prompt's error code. */
export const failure = (code) => CODES[code] ?? "Something went wrong while answering.";

/** A duration for people: "340 ms", "1.2 s". */
export function duration(milliseconds) {
  if (milliseconds === null || milliseconds === undefined) return "";
  return milliseconds < 1000
    ? `${Math.round(milliseconds)} ms`
    : `${(milliseconds / 1000).toFixed(1)} s`;
}

/** A size for people: "312 bytes", "4.1 KB". */
export function size(bytes) {
  if (bytes === null || bytes === undefined) return "";
  return bytes < 1024 ? `${bytes} bytes` : `${(bytes / 1024).toFixed(1)} KB`;
}

/** A time for people: the hour today, else the day. */
export function moment(time, now = Date.now()) {
  if (!time) return "";
  const date = new Date(time);
  const today = new Date(now).toDateString() === date.toDateString();
  return today
    ? date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
    : date.toLocaleDateString([], { day: "numeric", month: "short" });
}
