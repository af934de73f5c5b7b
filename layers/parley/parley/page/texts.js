// What the page says when something does not work: what it is, and what to do.

export const TEXTS = {
  unavailable: "This chat is not available. It may have been moved or switched off.",
  closed: "This chat is private. Ask whoever gave you the address for access.",
  locked: "This chat is private. Enter a key, or ask whoever gave you the address for one.",
  failed: "That did not work. Please try again.",
  unreachable: "The server could not be reached. Your message is still here; please try again.",
  limited: "That was a lot of messages in a short time. Please wait a minute and try again.",
  long: "This message is too long. Please shorten it.",
  open: "The conversation has gone on meanwhile. Please look at it and try again.",
  lost: "That conversation is no longer there, so a new one was started.",
  lostDraft:
    "That conversation is no longer there, so a new one was started. Your message is still in the box.",
  wait: "Wait for the answer, or press Escape to stop it.",
  opening: "This is sent as soon as the conversation is open.",
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

const AGAIN_LATER = "The assistant could not be reached. Please try again in a moment.";
const TOO_SLOW = "The assistant took too long to answer. Please try again.";
const BROKEN_OFF = "The assistant's answer broke off. Please try again.";
const SET_UP = "The assistant is not set up correctly. Please tell whoever runs this page.";

// The words of the server for the same: over the socket it tells the code only.
const CODES = {
  rate_limited: "The assistant is receiving too many requests right now. Please try again in a minute.",
  connect: AGAIN_LATER,
  server_error: AGAIN_LATER,
  unavailable: AGAIN_LATER,
  conflict: AGAIN_LATER,
  timeout: TOO_SLOW,
  timeout_first_token: TOO_SLOW,
  timeout_between_tokens: TOO_SLOW,
  time_limit: TOO_SLOW,
  cut: BROKEN_OFF,
  malformed: BROKEN_OFF,
  lost: BROKEN_OFF,
  tool_rounds: "The assistant looked things up again and again and came to no answer. Please ask differently.",
  secret_unavailable: AGAIN_LATER,
  secret_missing: SET_UP,
  unknown_model: SET_UP,
  misconfigured: SET_UP,
  redirected: SET_UP,
  no_access: SET_UP,
  too_large: "This conversation is larger than the assistant can take. Please start a new chat.",
  refused: "The assistant could not take this message. Please say it differently.",
  client_gone: "This chat was deleted before your message was answered.",
  question_gone: "The message was deleted before it was answered.",
};
const OTHERWISE = "Something went wrong on the way to your answer. Please try again.";

/** Why an answer failed, from its prompt's error code. */
export const failure = (code) => (Object.hasOwn(CODES, code) ? CODES[code] : OTHERWISE);

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
  return bytes < 1024 ? counted(bytes, "byte") : `${(bytes / 1024).toFixed(1)} KB`;
}

/** A name of a program's for people: "get_current_weather" is "Get current weather". */
export function readable(name) {
  const words = name.replace(/[\s_.-]+/g, " ").replace(/(\p{Ll})(?=\p{Lu})/gu, "$1 ").trim();
  return words.slice(0, 1).toUpperCase() + words.slice(1);
}

/** A number of characters for people: "1 character", "1,200 characters". */
export const characters = (count) => counted(count, "character");

const counted = (count, name) => `${count.toLocaleString()} ${name}${count === 1 ? "" : "s"}`;

/** A time for people: the hour today, else the day. */
export function moment(time, now = Date.now()) {
  if (!time) return "";
  const date = new Date(time);
  const today = new Date(now).toDateString() === date.toDateString();
  return today
    ? date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
    : date.toLocaleDateString([], { day: "numeric", month: "short" });
}
