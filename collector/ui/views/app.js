// @ts-check
// Which page is shown, and what all of them share: theme and help.

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { onTheme } from "../theme.js";
import { Help } from "./help.js";
import { ProfilePage } from "./profilepage.js";
import { RequestPage } from "./requestpage.js";

/** @param {{ router: import("../router.js").Router, profiles: import("../session.js").Session, requests: import("../requestsession.js").RequestSession }} props */
export function App({ router, profiles, requests }) {
  const [{ place }, setPlace] = useState(router.get());
  const [, redraw] = useState(0);
  useEffect(() => router.subscribe(setPlace), [router]);
  useEffect(() => onTheme(() => redraw((count) => count + 1)), []);
  useFocusOnArrival(`${place.page} ${place.id}`);
  return html`
    <div class="frame">${place.page === "profiles" ? html`<${ProfilePage} session=${profiles} router=${router} />` : html`<${RequestPage} session=${requests} router=${router} />`}</div>
    <${Help} page=${place.page} />`;
}

/** Another page starts at its content: for keys that scroll it, and for those who hear it. @param {string} where */
function useFocusOnArrival(where) {
  const shown = useRef(where);
  useEffect(() => {
    if (shown.current === where) return;
    shown.current = where;
    const main = document.querySelector("main");
    main?.setAttribute("tabindex", "-1");
    main?.focus({ preventScroll: true });
  }, [where]);
}
