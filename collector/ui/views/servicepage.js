// @ts-check
// One service: its requests, errors and latency over time, its routes, and the ways to its traces and its profile.

import { html } from "../vendor/preact-htm.js";
import { link } from "../model/place.js";
import { needsAttention, ofRoute, unmeasuredWords } from "../model/services.js";
import { printSelector } from "../model/selector.js";
import { printable } from "../model/text.js";
import { counted } from "../model/units.js";
import { isBusy, isStale } from "../slot.js";
import { Glyph } from "./glyph.js";
import { Heat } from "./heat.js";
import { RedCharts } from "./redcharts.js";
import { Failed, NothingYet, SkeletonTable } from "./requeststates.js";
import { Routes } from "./routes.js";

/** @typedef {import("../model/services.js").Service} Service */
/** @typedef {ReturnType<typeof import("../model/heatmap.js").areaOf>} Area */

/** @param {import("./requestpage.js").Props} props */
export function ServicePage({ session, state, router }) {
  const { view, answers, span } = state;
  const { services, red, routes, heatmap } = answers;
  const service = /** @type {Service | undefined} */ (services.data?.find((/** @type {Service} */ one) => one.service === view.name));
  const whole = view.route ? ofRoute(routes.data ?? [], view.route) : service ?? null;
  const failed = [services, red, heatmap, routes].find(({ error }) => error) ?? services;
  const nothing = services.error && !services.data && !red.data;
  const toTraces = (/** @type {Area} */ area) => router.go(link("/traces", {
    service: view.name, route: view.route, min: milliseconds(area.minS), max: area.maxS === Infinity ? "" : milliseconds(area.maxS),
  }, { from: String(Math.floor(area.fromMs)), until: String(Math.ceil(area.untilMs)) }));
  const onRange = (/** @type {import("../model/range.js").Span} */ { fromMs, untilMs }) => session.navigate({ from: `${Math.round(fromMs)}`, until: `${Math.round(untilMs)}` });
  return html`
    <${ServiceBar} session=${session} state=${state} service=${service} />
    <main id="content" class="page scroll" aria-busy=${isBusy(red) ? "true" : "false"}>
      <${Failed} slot=${failed} onRetry=${session.retry} slim=${!nothing} />
      ${nothing ? "" : services.data && !service ? html`<${Unseen} session=${session} state=${state} />` : service && service.requests === null ? html`<${SpansOnly} state=${state} service=${service} />` : html`
        <${RedCharts} red=${red.data} whole=${whole} bad=${whole !== null && needsAttention(whole)} span=${span} stale=${isStale(red) && !red.quiet} onPick=${onRange} />
        <${Heat} slot=${heatmap} span=${span} title=${view.route ? `Latency of ${printable(view.route)}` : "Latency of all routes"} onPick=${toTraces} />
        <div class="section-head"><h2>Routes</h2><span class="note">${routes.data ? counted(routes.data.length, "route") : ""}</span></div>
        <div class="sheet">${routes.data ? html`<${Routes} session=${session} state=${state} routes=${routes.data} />` : !routes.error && html`<${SkeletonTable} rows=${5} />`}</div>`}
    </main>`;
}

/** Name, and where else to look at it. @param {import("./requestpage.js").Shown & { service: Service | undefined }} props */
function ServiceBar({ session, state, service }) {
  const { view } = state;
  const name = printable(view.name);
  return html`
    <div class="scopebar" role="region" aria-label="Service">
      <div class="chips"><h1 class="subject">${name}</h1>
        ${service && html`<span class="note">${counted(service.instances, "instance")}${service.spans ? ` · ${counted(service.spans, "span")}` : ""}</span>`}
        ${view.route && html`<span class="chip split"><span class="inner">route <b><code>${printable(view.route)}</code></b></span>
          <button type="button" class="remove" title="Show all routes" onClick=${() => session.navigate({ route: "" })}><${Glyph} sign="✕" words="Show all routes" /></button></span>`}
      </div>
      <a class="button" href=${link("/traces", { service: view.name, route: view.route }, view)}>Traces</a>
      <a class="button" href=${link("/profiles", { selector: printSelector([{ name: "service_name", op: "=", value: view.name }]) }, view)}>Profile</a>
      <a class="button" href=${link("/map", { q: view.name }, view)}>Map</a>
    </div>`;
}

/** @param {import("./requestpage.js").Shown} props */
function Unseen({ session, state }) {
  const { view } = state;
  return html`<${NothingYet} title=${view.name ? `Nothing was seen of ${printable(view.name)}` : "No service is named"} view=${view}
    what="Neither a request nor a span of it arrived" onRange=${() => session.navigate({ from: "now-24h", until: "now" })}>
    <p class="row"><a class="button" href=${link("/services", {}, view)}>All services</a></p><//>`;
}

/** @param {{ state: import("../requestsession.js").RequestState, service: Service }} props */
function SpansOnly({ state, service }) {
  const { view } = state;
  return html`
    <section class="state">
      <h1>Requests of ${printable(view.name)} are not counted</h1>
      <p>What is here of it: ${unmeasuredWords(service)}. Rates and latencies come from <span class="nowrap">http.server.request.duration</span>, which nothing sends for it.
        Spans may be sampled, so no rate is computed from them.</p>
      <ol><li>Count every request on its host, without changing it: <code>sudo sonde-agent run --requests on --collector ${location.origin}</code></li></ol>
      <p class="row"><a class="button primary" href=${link("/traces", { service: view.name }, view)}>See its traces</a>
        <a class="button" href=${link("/map", { q: view.name }, view)}>See it on the map</a></p>
    </section>`;
}

/** @param {number} seconds */
function milliseconds(seconds) {
  return String(Number((seconds * 1e3).toFixed(6)));
}
