// @ts-check
// Starts the page.

import { html, render } from "./vendor/preact-htm.js";
import { listenToKeys } from "./keys.js";
import { createRequestSession } from "./requestsession.js";
import { createRouter } from "./router.js";
import { createSession } from "./session.js";
import { App } from "./views/app.js";

const router = createRouter();
const profiles = createSession(router);
const requests = createRequestSession(router);
const place = document.getElementById("app");
if (place) {
  place.replaceChildren();
  render(html`<${App} router=${router} profiles=${profiles} requests=${requests} />`, place);
}
listenToKeys();
router.start();
profiles.start();
requests.start();
