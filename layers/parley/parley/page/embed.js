// One line on another site:
//
//   <script src="https://NAME.ACCOUNT.api.DOMAIN/embed.js" defer></script>
//
// puts a button in the corner, which opens the chat page of the script's own origin in a frame.
// data-title="Ask us", data-position="left", data-color="#0a7d5a" and data-open are attributes of
// the script tag.
// It lives in a shadow root: the site's styles do not reach it, nor its own the site.
(() => {
  const script = document.currentScript;
  if (!script) return;
  const origin = new URL(script.src).origin;
  // Where this site keeps what the chat may not keep itself: each chat has its own place.
  const KEPT = `parley:${origin}`;
  const LONGEST = 100_000;
  const title = script.dataset.title || "Chat";
  const side = script.dataset.position === "left" ? "left" : "right";

  const { color = "#3b5bdb" } = script.dataset;
  const known = /^#([0-9a-f]{3}){1,2}$/i.test(color);
  if (!known) console.warn(`Parley: data-color="${color}" is no colour such as #0a7d5a or #fc0.`);
  const back = known ? color : "#3b5bdb";
  const front = isLight(back) ? "#111" : "#fff";

  const STYLE = `
    :host { all: initial !important; position: fixed !important; inset: auto 20px 20px auto !important;
      z-index: 2147483000 !important; }
    :host([data-side="left"]) { inset: auto auto 20px 20px !important; }
    button {
      display: grid; place-items: center; width: 58px; height: 58px; margin: 0; padding: 0; border: 0;
      border-radius: 50%; background: ${back}; color: ${front}; cursor: pointer;
      box-shadow: 0 4px 18px rgb(20 22 30 / 28%); transition: transform .15s;
    }
    button:hover { transform: scale(1.05); }
    button:focus-visible { outline: 3px solid ${front}; box-shadow: 0 0 0 6px ${back}; }
    svg { width: 26px; height: 26px; fill: none; stroke: currentColor; stroke-width: 1.9;
      stroke-linecap: round; stroke-linejoin: round; }
    .frame {
      position: absolute; bottom: 74px; right: 0; width: min(410px, calc(100vw - 40px));
      height: min(660px, calc(100vh - 120px)); border-radius: 20px; overflow: hidden; background: Canvas;
      box-shadow: 0 12px 48px rgb(20 22 30 / 30%); border: 1px solid rgb(128 128 128 / 25%);
    }
    :host([data-side="left"]) .frame { right: auto; left: 0; }
    .frame[hidden], .frame p[hidden] { display: none; }
    .frame p {
      position: absolute; inset: 0; display: grid; place-content: center; margin: 0; padding: 32px;
      background: Canvas; color: CanvasText; font: 16px/1.5 system-ui, sans-serif; text-align: center;
    }
    iframe { display: block; width: 100%; height: 100%; border: 0; }
    @media (max-width: 480px) {
      .frame { position: fixed; inset: 8px 8px 88px 8px; width: auto; height: auto; }
      :host([data-side="left"]) .frame { left: 8px; right: 8px; }
    }
    @media (prefers-reduced-motion: reduce) { button { transition: none; } }
  `;
  // The page says that it is there as soon as its script runs.
  const READY_MS = 4000;
  const LOAD_MS = 20_000;
  const SHAPES = {
    chat: "M5 6.5A2.5 2.5 0 0 1 7.5 4h9A2.5 2.5 0 0 1 19 6.5v7a2.5 2.5 0 0 1-2.5 2.5H12l-4.5 4v-4A2.5 2.5 0 0 1 5 13.5z",
    close: "M6 6l12 12M18 6L6 18",
  };

  function start() {
    const host = document.createElement("parley-chat");
    host.dataset.side = side;
    const root = host.attachShadow({ mode: "open" });
    // A constructed sheet passes a site's Content-Security-Policy where a <style> would not.
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];

    const frame = document.createElement("div");
    frame.className = "frame";
    frame.id = "frame";
    frame.hidden = true;
    frame.setAttribute("role", "dialog");
    frame.setAttribute("aria-label", title);

    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-controls", "frame");
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    svg.append(path);
    button.append(svg);

    const apology = document.createElement("p");
    apology.setAttribute("role", "alert");
    apology.textContent = "The chat cannot be shown here at the moment.";
    apology.hidden = true;
    let doubts = 0;
    let told = false;

    /** A browser that refuses the frame tells nobody but its console, and there not what to do. */
    function doubt(milliseconds) {
      clearTimeout(doubts);
      doubts = setTimeout(() => {
        apology.hidden = false;
        if (told) return;
        told = true;
        console.error(`Parley: the chat at ${origin} did not load in its frame. ${advice()}`);
      }, milliseconds);
    }

    function isReady() {
      clearTimeout(doubts);
      doubts = -1;
      apology.hidden = true;
    }

    let page = null;
    let port = null;

    /**
     * Browsers refuse storage to a frame of another origin: this page keeps the keys of the
     * visitor's conversations for it. The port is handed to the chat's origin and to no other, and
     * ends with the page that it was handed to.
     */
    function hand() {
      const places = { lasting: storage("localStorage"), tab: storage("sessionStorage") };
      if (!places.lasting || !places.tab) {
        page.contentWindow.postMessage({ parley: "kept" }, origin);
        return;
      }
      const { port1, port2 } = new MessageChannel();
      port?.close();
      port = port1;
      port.onmessage = ({ data }) => keep(places[data?.place], data?.text);
      const texts = { lasting: places.lasting.getItem(KEPT), tab: places.tab.getItem(KEPT) };
      page.contentWindow.postMessage({ parley: "kept", ...texts }, origin, [port2]);
    }

    // What another tab of this site has kept.
    addEventListener("storage", ({ key, newValue, storageArea }) => {
      if (key === KEPT && storageArea === storage("localStorage")) port?.postMessage(newValue);
    });

    // Who opens it goes there; one that is open from the start leaves the keyboard to the site.
    let called = false;
    const enter = () => called && !frame.hidden && page.focus();

    function show(open) {
      // The page is loaded when somebody wants it, not with every page of the site.
      if (open && !page) {
        page = document.createElement("iframe");
        page.title = title;
        page.name = "parley-held"; // it is answered, see hand
        page.src = `${origin}/`;
        page.allow = "clipboard-write";
        page.addEventListener("load", () => {
          enter();
          if (doubts !== -1) doubt(READY_MS);
        });
        frame.append(page, apology);
        doubt(LOAD_MS);
      }
      frame.hidden = !open;
      path.setAttribute("d", open ? SHAPES.close : SHAPES.chat);
      button.setAttribute("aria-expanded", String(open));
      button.setAttribute("aria-label", open ? `Close: ${title}` : title);
      button.title = open ? "Close" : title;
    }

    function close() {
      if (frame.hidden) return;
      show(false);
      button.focus();
    }

    button.addEventListener("click", () => {
      called = true;
      if (frame.hidden) show(true);
      else close();
    });
    document.addEventListener("keydown", (event) => event.key === "Escape" && close());
    // Keys pressed inside of the frame stay there: the page says when Escape has nothing to stop.
    addEventListener("message", (event) => {
      if (!page || event.source !== page.contentWindow || event.origin !== origin) return;
      if (event.data === "parley:ready") {
        isReady();
        hand();
        enter();
      }
      if (event.data === "parley:close") close();
    });
    // Tab goes from the button to the frame that it has opened.
    root.append(button, frame);
    document.body.append(host);
    show("open" in script.dataset && script.dataset.open !== "false");
  }

  /** True if dark lines are seen better on it (WCAG's luminance, at equal contrast with both). */
  function isLight(hex) {
    const digits = hex.length === 4 ? [...hex.slice(1)].map((one) => one + one) : hex.slice(1).match(/../g);
    const linear = digits.map((pair) => (parseInt(pair, 16) / 255) ** 2.2);
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.2;
  }

  /** What whoever looks after this site can do. */
  function advice() {
    return location.protocol.startsWith("http")
      ? `If the browser refused it, add ${location.origin} to spec.allowedOrigins in the manifest of ` +
          "the llm_client. Or there is no such llm_client, or it is not deployed (parley deploy NAME)."
      : `A page that is opened as a file (${location.protocol}) has no origin that could be allowed: ` +
          "serve its folder, for example with python3 -m http.server, and open it over http.";
  }

  /** A storage of this site, or null where the browser does not give it. */
  function storage(name) {
    try {
      return window[name];
    } catch {
      return null;
    }
  }

  function keep(place, text) {
    if (!place || typeof text !== "string" || text.length > LONGEST) return;
    try {
      if (text === "{}") place.removeItem(KEPT);
      else place.setItem(KEPT, text);
    } catch {
      // Full: what was kept before stays.
    }
  }

  if (document.body) start();
  else addEventListener("DOMContentLoaded", start);
})();
