// @ts-check
// Starts the page.

import { html, render } from "./vendor/preact-htm.js";
import { listenToKeys } from "./keys.js";
import { createSession } from "./session.js";
import { App } from "./views/app.js";

const session = createSession();
const place = document.getElementById("app");
if (place) {
  place.replaceChildren();
  render(html`<${App} session=${session} />`, place);
}
listenToKeys();
session.start();
