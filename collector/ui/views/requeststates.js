// @ts-check
// What stands on the pages of requests where data should be.

import { html } from "../vendor/preact-htm.js";
import { rangeTitle } from "../model/range.js";
import { Failure } from "./states.js";

/** @param {{ title: string, what: string, view: { from: string, until: string }, onRange?: () => void, children?: unknown }} props */
export function NothingYet({ title, what, view, onRange, children }) {
  const { origin } = location;
  return html`
    <section class="state">
      <h1>${title}</h1>
      <p>${what} in “${rangeTitle(view.from, view.until)}”.</p>
      <ol>
        <li>See the requests of every process of a host, without changing one: <code>sudo sonde-agent run --requests on --collector ${origin}</code></li>
        <li>Or point any OpenTelemetry SDK here; ports 4317 and 4318 take it too: <code>OTEL_EXPORTER_OTLP_ENDPOINT=${origin}</code></li>
      </ol>
      ${children}
      ${onRange && view.from !== "now-24h" && html`<p class="row"><button type="button" class="button" onClick=${onRange}>Look at the last 24 hours</button></p>`}
    </section>`;
}

/**
 * A failed answer: above what is still shown of before, or in its place.
 * @param {{ slot: import("../slot.js").Slot<any>, onRetry: () => void, slim?: boolean }} props
 */
export function Failed({ slot, onRetry, slim = false }) {
  return slot.error && html`<${Failure} error=${slot.error} onRetry=${onRetry} slim=${slim || slot.data !== null} />`;
}

/** @param {{ rows?: number }} props */
export function SkeletonTable({ rows = 8 }) {
  return html`<div class="skeleton rows wide" aria-hidden="true">${Array.from({ length: rows }, (_, row) => html`
    <div key=${row}><i style=${{ width: `${22 - ((row * 7) % 11)}%` }} /><i style=${{ width: `${34 - ((row * 5) % 9)}%` }} /></div>`)}</div>`;
}
