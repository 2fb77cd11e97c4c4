// @ts-check
// The frame around the pages of requests, and which of them stands in it.

import { html, useEffect, useState } from "../vendor/preact-htm.js";
import { link } from "../model/place.js";
import { printable } from "../model/text.js";
import { requestTrustParts, traceParts } from "../model/trust.js";
import { RequestJump } from "./jump.js";
import { MapPage } from "./mappage.js";
import { ServicePage } from "./servicepage.js";
import { ServicesPage } from "./servicespage.js";
import { TopBar } from "./topbar.js";
import { TracePage } from "./tracepage.js";
import { TracesPage } from "./tracespage.js";
import { TrustBar } from "./trustbar.js";

/** @typedef {import("../requestsession.js").RequestSession} RequestSession */
/** @typedef {import("../requestsession.js").RequestState} RequestState */
/** @typedef {import("../router.js").Router} Router */
/** @typedef {{ session: RequestSession, state: RequestState }} Shown what most parts of a page need */
/** @typedef {Shown & { router: Router }} Props */

const BODIES = { home: Home, services: ServicesPage, service: ServicePage, traces: TracesPage, trace: TracePage, map: MapPage };

/** @param {{ session: RequestSession, router: Router }} props */
export function RequestPage({ session, router }) {
  const [state, setState] = useState(session.get());
  useEffect(() => { setState(session.get()); return session.subscribe(setState); }, [session]);
  const { page } = state.place;
  useEffect(() => { document.title = title(state); }, [page, state.view.name, state.answers.trace.data]);
  const props = { session, state, router };
  const Body = BODIES[page === "profiles" ? "home" : page];
  return html`
    <a class="skip" href="#content">Skip to the content</a>
    <${TopBar} ...${props} page=${page} timeless=${page === "trace"} jump=${html`<${RequestJump} ...${props} />`} />
    <div class="page-body"><${Body} ...${props} /></div>
    ${page === "trace" ? html`<${TraceTrust} state=${state} />` : html`<${RequestTrust} state=${state} />`}`;
}

/** @param {RequestState} state */
function title({ place, view, answers }) {
  const root = answers.trace.data?.spans[0];
  const words = /** @type {Record<string, string[]>} */ ({
    services: ["Services"], service: [printable(view.name), "Services"], traces: ["Traces"], map: ["Map"],
    trace: [...(root ? [printable(`${root.service} ${root.name}`)] : []), "Traces"],
  });
  return [...(words[place.page] ?? []), "Sonde"].join(" · ");
}

/** Where there is something to see: services if any have sent requests or spans, else profiles. @param {Props} props */
function Home({ state, router }) {
  const { services } = state.answers;
  useEffect(() => {
    if (services.error) router.go(link("/profiles", {}, state.view), { replace: true });
    else if (services.data) router.go(link(services.data.length > 0 ? "/services" : "/profiles", {}, state.view), { replace: true });
  }, [services.data, services.error]);
  return html`<main id="content" class="page" aria-busy="true"></main>`;
}

/** @param {{ state: RequestState }} props */
function RequestTrust({ state }) {
  const { trust } = state.answers;
  return html`<${TrustBar} slot=${trust} parts=${trust.data ? requestTrustParts(trust.data) : []} untilMs=${state.span.untilMs}
    called="no call on a socket and no fact about a process missed, no agent silent. What other programs sent here is not judged" />`;
}

/** @param {{ state: RequestState }} props */
function TraceTrust({ state }) {
  const { trace } = state.answers;
  return html`<${TrustBar} slot=${{ ...trace, error: null }} parts=${trace.data ? traceParts(trace.data) : []} untilMs=${trace.data?.startMs || state.span.untilMs}
    called="the span that began the trace and every parent that is named have been received" />`;
}
