// A host page's part: read the attributes of the root element and give them to the component.
// The query of the page says what a test varies: `api`, where the llm_client is, and `strict`,
// whether React's StrictMode calls everything twice (in a development build, as everywhere).
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { SmarterChat } from "@smarter.sh/ui-chat";
import "@smarter.sh/ui-chat/dist/ui-chat.css";

const query = new URLSearchParams(window.location.search);
const root = document.getElementById("smarter-sh-v1-ui-chat-root");
root.setAttribute("smarter-chatbot-api-url", query.get("api"));
// Cookies are kept only when this ends the page's own host.
root.setAttribute("smarter-cookie-domain", window.location.hostname);

const chat = (
  <SmarterChat
    apiUrl={root.getAttribute("smarter-chatbot-api-url")}
    toggleMetadata={root.getAttribute("smarter-toggle-metadata") === "true"}
    csrfCookieName={root.getAttribute("smarter-csrf-cookie-name")}
    sessionCookieName={root.getAttribute("smarter-session-cookie-name")}
    cookieDomain={root.getAttribute("smarter-cookie-domain")}
    authSessionCookieName={root.getAttribute("django-session-cookie-name")}
    csrftoken={root.getAttribute("django-csrftoken")}
    debugMode={root.getAttribute("smarter-debug-mode") === "true"}
  />
);

createRoot(root).render(query.has("strict") ? <StrictMode>{chat}</StrictMode> : chat);
