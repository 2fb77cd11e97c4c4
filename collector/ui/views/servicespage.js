// @ts-check
// All services: how many requests each serves, how many fail, how long they take.

import { html } from "../vendor/preact-htm.js";
import { link } from "../model/place.js";
import { stamp } from "../model/range.js";
import { arranged, needsAttention, percent, rate, seconds, totals, unmeasuredWords } from "../model/services.js";
import { printable } from "../model/text.js";
import { counted } from "../model/units.js";
import { isBusy, isStale } from "../slot.js";
import { Narrow } from "./narrow.js";
import { Failed, NothingYet, SkeletonTable } from "./requeststates.js";
import { SortHeads, walkRows } from "./rows.js";
import { Spark } from "./spark.js";

/** @typedef {import("../model/services.js").Service} Service */

const COLUMNS = /** @type {const} */ ([
  ["name", "Service", "name"], ["rate", "Requests /s", "number"], ["error_rate", "Errors", "number"], ["p50_s", "p50", "number"],
  ["p95_s", "p95", "number"], ["p99_s", "p99", "number"], ["", "Requests over time", "wide"],
]);

/** @param {import("./requestpage.js").Props} props */
export function ServicesPage({ session, state, router }) {
  const slot = state.answers.services;
  const services = /** @type {Service[] | null} */ (slot.data);
  if (services?.length === 0 && !slot.error) {
    return html`<main id="content" class="page"><${NothingYet} title="No service has been seen" what="Neither a request nor a span arrived" view=${state.view}
      onRange=${() => session.navigate({ from: "now-24h", until: "now" })} /></main>`;
  }
  return html`
    <main id="content" class=${`page scroll ${isStale(slot) && !slot.quiet ? "stale" : ""}`} aria-busy=${isBusy(slot) ? "true" : "false"}>
      <h1 class="hidden">Services</h1>
      <${Failed} slot=${slot} onRetry=${session.retry} />
      ${services ? html`<${Figures} services=${services} />` : !slot.error && html`<div class="figures-strip waiting-strip"></div>`}
      ${services && html`<${Narrow} session=${session} state=${state} label="Narrow the services" placeholder="Narrow by name">
        <span class="note">${state.view.sort === "" ? "what needs attention first" : ""}</span><//>`}
      ${services ? html`<${ServiceTable} session=${session} state=${state} services=${services} router=${router} />` : !slot.error && html`<div class="sheet"><${SkeletonTable} /></div>`}
    </main>`;
}

/** @param {{ services: Service[] }} props */
function Figures({ services }) {
  const sum = totals(services);
  return html`
    <dl class="figures-strip">
      <div><dt>Services</dt><dd>${sum.services}</dd><dd class=${`note ${sum.attention ? "bad" : ""}`}>${sum.attention ? `${sum.attention} ${sum.attention === 1 ? "needs" : "need"} attention` : "none fails often"}</dd></div>
      <div><dt>Requests</dt><dd>${rate(sum.rate)} <small>/s</small></dd><dd class="note">${counted(sum.requests, "request")}, counted before any sampling</dd></div>
      <div><dt>Errors</dt><dd>${percent(sum.errorRate)}</dd><dd class="note">${counted(sum.errors, "failed request")}</dd></div>
      <div><dt>Slowest p99</dt><dd>${seconds(sum.slowest?.p99_s)}</dd><dd class="note">${sum.slowest ? printable(sum.slowest.service) : "nothing measured"}</dd></div>
    </dl>`;
}

/** @param {import("./requestpage.js").Props & { services: Service[] }} props */
function ServiceTable({ session, state, services, router }) {
  const { q, sort, order } = state.view;
  const rows = arranged(services, { q, sort, order, text: ({ service }) => service });
  return html`
    <div class="sheet"><table class="list services" onKeyDown=${walkRows}>
      <thead><tr><${SortHeads} columns=${COLUMNS} sort=${sort} order=${order} onSort=${session.navigate} /></tr></thead>
      <tbody>${rows.map((row) => html`<${ServiceRow} key=${row.service} row=${row} href=${link("/service", { name: row.service }, state.view)} router=${router} />`)}</tbody>
    </table>
    ${rows.length === 0 && html`<p class="note pad">No service matches “${printable(q)}”.</p>`}</div>`;
}

/** @param {{ row: Service, href: string, router: import("../router.js").Router }} props */
function ServiceRow({ row, href, router }) {
  const bad = needsAttention(row);
  const measured = row.requests !== null;
  return html`
    <tr onClick=${(/** @type {MouseEvent} */ event) => { if (!event.defaultPrevented && !(/** @type {Element} */ (event.target).closest("a"))) router.go(href); }}
      title=${`last seen ${stamp(row.last_ms)}`}>
      <th scope="row" class="name"><i class=${`dot ${!measured ? "none" : bad ? "bad" : "good"}`} aria-hidden="true" />
        <a href=${href}>${printable(row.service)}</a><span class="third instances">${row.instances > 1 ? `× ${row.instances}` : ""}</span></th>
      ${measured ? html`
        <td class="number"><b>${rate(row.rate)}</b></td>
        <td class=${`number ${bad ? "bad" : row.errors ? "" : "third"}`}>${percent(row.error_rate)}${bad && html`<span class="hidden">, needs attention</span>`}</td>
        <td class="number second">${seconds(row.p50_s)}</td><td class="number second">${seconds(row.p95_s)}</td><td class="number">${seconds(row.p99_s)}</td>
        <td class="wide"><${Spark} values=${row.spark} label=${`Requests of ${printable(row.service)} over time`} /></td>`
        : html`<td class="note" colspan="6">${unmeasuredWords(row)}</td>`}
    </tr>`;
}
