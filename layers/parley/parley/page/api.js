// The calls of one llm_client's chat API.

const TRIES = 4;
const FIRST_PAUSE = 400;
const LONGEST_PAUSE = 5000;
// What passes by itself: the gateway, a restart, a full queue.
const PASSING = new Set([502, 503, 504]);

/** A call that was not answered with success. `status` is 0 if there was no answer at all. */
export class ApiError extends Error {
  constructor(status, message, retryAfter = 0) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/**
 * The API at `base` (an absolute path that ends with a slash).
 *
 * `bearer` answers the token to send, or "" for none; it is called before every request.
 * Every call may be repeated: a turn's id is made from the session, the last answer and the text.
 */
export function makeApi({ base, bearer = async () => "", fetch = globalThis.fetch, pause = wait }) {
  async function once(method, path, body, signal) {
    const token = await bearer();
    const headers = { Accept: "application/json" };
    if (body) headers["Content-Type"] = "application/json";
    if (token) headers.Authorization = `Bearer ${token}`;
    let response;
    try {
      response = await fetch(base + path, {
        method,
        headers,
        body: body && JSON.stringify(body),
        signal,
        cache: "no-store",
        referrerPolicy: "no-referrer",
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError(0, "The server could not be reached.");
    }
    const answer = await response.json().catch(() => null);
    if (!response.ok) throw refusal(response, answer);
    if (!answer) throw new ApiError(response.status, "The server's answer could not be read.");
    return answer;
  }

  async function call(method, path, body, { signal, tries = TRIES } = {}) {
    for (let failures = 1; ; failures += 1) {
      try {
        return await once(method, path, body, signal);
      } catch (error) {
        const passing = error instanceof ApiError && (!error.status || PASSING.has(error.status));
        if (!passing || failures >= tries) throw error;
        await pause(Math.min(FIRST_PAUSE * 2 ** (failures - 1), LONGEST_PAUSE));
      }
    }
  }

  return {
    /** The config object: `data` of the answer. */
    config: async (sessionKey, options) =>
      (await call("POST", "config/", { session_key: sessionKey || "" }, options)).data,
    /** Ask; answers {status, prompt, messages, sessionKey}. */
    chat: async (payload, options) =>
      chatAnswer(await call("POST", "chat/", { format: "plain", ...payload }, options)),
    cancel: async (sessionKey, promptId) =>
      chatAnswer(
        await call("POST", "chat/cancel/", { session_key: sessionKey, prompt_id: promptId }),
      ),
    retry: async (sessionKey, promptId) =>
      chatAnswer(
        await call("POST", "chat/retry/", { session_key: sessionKey, prompt_id: promptId }),
      ),
    /** The session's messages: {items, prompts, after}; `after` pages to older ones. */
    history: async (sessionKey, after = "", options = {}) => {
      const query = new URLSearchParams({ session_key: sessionKey });
      if (after) query.set("after", after);
      return historyAnswer(await call("GET", `chat/?${query}`, undefined, options));
    },
  };
}

/** What a chat answer says, from the envelope whose `data.body` is a JSON text. */
export function chatAnswer(answer) {
  const data = answer.data ?? {};
  const body = (typeof data.body === "string" ? parsed(data.body) : data.body) ?? data;
  const smarter = body.smarter ?? {};
  return {
    status: Number(data.statusCode || 200),
    prompt: smarter.prompt ?? body.prompt ?? null,
    messages: smarter.messages ?? [],
    sessionKey: smarter.session_key ?? "",
  };
}

/** What a read of the session says. */
export function historyAnswer(answer) {
  const data = answer.data ?? answer;
  const history = data.history ?? data;
  return {
    items: history.chat_history ?? data.messages ?? [],
    prompts: data.prompts ?? history.prompts ?? [],
    after: history.after ?? data.after ?? "",
  };
}

function refusal(response, answer) {
  const said = answer?.error?.message ?? answer?.error ?? answer?.message;
  const text = typeof said === "string" ? said : `The server answered HTTP ${response.status}.`;
  return new ApiError(response.status, text, Number(response.headers.get("retry-after")) || 0);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** A pause of so many ms, a little more or less: clients that failed together return apart. */
export function wait(milliseconds) {
  return new Promise((done) => setTimeout(done, milliseconds * (0.75 + Math.random() / 2)));
}
