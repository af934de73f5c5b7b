// The WebSocket: connects, follows one thread, and comes back by itself.
//
// It tells frames and whether it stands; what a frame means is in state.js.

const OPEN_MS = 8000;
// API Gateway ends a connection that was silent for 10 minutes.
const IDLE_PING_MS = 240_000;
// While an answer is under way, silence is asked about sooner.
const BUSY_PING_MS = 15_000;
const PONG_MS = 10_000;
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 20_000;
// A session's subscription that is refused so often is not going to stand.
const REFUSALS = 4;

/**
 * A connection that is kept.
 *
 * `address` answers the URL (a promise: a token may have to be renewed), `threadId` the thread,
 * `known` what of its running answers is here, `busy` whether one is under way. `onFrame` gets
 * every frame, `onState` one of "connecting", "open" (subscribed), "lost", "closed". `onDeleted`
 * is called when the thread was deleted, and the connection is kept no longer.
 */
export function keepSocket({
  address,
  threadId,
  known,
  busy,
  onFrame,
  onState,
  onDeleted = () => {},
  WebSocket = globalThis.WebSocket,
  random = Math.random,
}) {
  let socket = null;
  let state = "closed";
  let wanted = false;
  let failures = 0;
  let refusals = 0;
  let heardAt = 0;
  let timers = [];
  let round = 0;

  function tell(next) {
    if (next === state) return;
    state = next;
    onState(next);
  }

  function clear() {
    timers.forEach(clearTimeout);
    timers = [];
  }

  const later = (action, milliseconds) => timers.push(setTimeout(action, milliseconds));

  async function connect() {
    clear();
    round += 1;
    const mine = round;
    tell("connecting");
    let url;
    try {
      url = await address();
    } catch {
      if (mine === round && wanted) lost();
      return;
    }
    if (mine !== round || !wanted) return;
    let made;
    try {
      made = new WebSocket(url);
    } catch {
      lost();
      return;
    }
    socket = made;
    later(() => made === socket && state === "connecting" && drop(), OPEN_MS);
    made.onopen = () => made === socket && subscribe();
    made.onmessage = ({ data }) => made === socket && receive(data);
    made.onclose = () => made === socket && drop();
  }

  function subscribe() {
    send({ action: "subscribe", threadId, known: known() });
  }

  function receive(data) {
    heardAt = Date.now();
    let frame;
    try {
      frame = JSON.parse(data);
    } catch {
      return;
    }
    if (frame.type === "subscribed") {
      failures = refusals = 0;
      clear();
      tell("open");
      watch();
    }
    if (frame.type === "error" && !frame.action && frame.threadId === threadId) {
      close();
      onDeleted(); // nobody asked: the thread is gone
      return;
    }
    if (frame.type === "error" && (frame.action || "subscribe") === "subscribe") {
      refusals += 1;
      if (refusals >= REFUSALS) {
        close();
        return;
      }
      if (state !== "open") drop();
      return;
    }
    onFrame(frame);
  }

  /** Ask for a sign of life when nothing was heard for a while. */
  function watch() {
    const mine = socket;
    const silence = Date.now() - heardAt;
    const patience = busy() ? BUSY_PING_MS : IDLE_PING_MS;
    if (silence >= patience) {
      ping();
    } else {
      later(() => mine === socket && watch(), Math.min(patience - silence, BUSY_PING_MS));
    }
  }

  function ping() {
    const mine = socket;
    const asked = Date.now();
    send(busy() ? { action: "ping", threadId } : { action: "ping" });
    later(() => {
      if (mine !== socket) return;
      if (heardAt < asked) drop();
      else watch();
    }, PONG_MS);
  }

  function drop() {
    const before = socket;
    socket = null;
    if (before) {
      before.onclose = null;
      before.close();
    }
    if (wanted) lost();
  }

  function lost() {
    clear();
    tell("lost");
    const pause = Math.min(FIRST_PAUSE * 2 ** failures, LONGEST_PAUSE);
    failures += 1;
    later(connect, pause * (0.75 + random() / 2));
  }

  function send(frame) {
    if (socket?.readyState !== 1) return false;
    socket.send(JSON.stringify(frame));
    return true;
  }

  function close() {
    wanted = false;
    round += 1;
    clear();
    drop();
    tell("closed");
  }

  return {
    open() {
      if (wanted) return;
      wanted = true;
      connect();
    },
    close,
    /** Subscribe again, because something was missed. */
    resubscribe: () => state === "open" && subscribe(),
    /** Connect now: the network is back, or the page is looked at again. */
    wake() {
      if (!wanted) return;
      if (state === "lost") {
        failures = 0;
        connect();
      } else if (state === "open" && Date.now() - heardAt > BUSY_PING_MS) {
        clear();
        ping();
      }
    },
    /** True if it could be sent. */
    cancel: (promptId) => state === "open" && send({ action: "cancel", promptId }),
    get isOpen() {
      return state === "open";
    },
  };
}
