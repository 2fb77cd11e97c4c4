// @ts-check
// Finding traces: a search, what it found as points and as a list.

import { html } from "../vendor/preact-htm.js";
import { binaryToken } from "../model/palette.js";
import { link } from "../model/place.js";
import { clock, dayOf, spanTitle, stamp } from "../model/range.js";
import { printable } from "../model/text.js";
import { counted, formatNanoseconds } from "../model/units.js";
import { isBusy, isStale } from "../slot.js";
import { Failed, NothingYet, SkeletonTable } from "./requeststates.js";
import { SortHeads, walkRows } from "./rows.js";
import { Scatter } from "./scatter.js";
import { SearchForm } from "./searchform.js";
import { Waiting } from "./states.js";

const COLUMNS = /** @type {const} */ ([
  ["start_ms", "Started", "when"], ["", "Trace", "name"], ["duration_ms", "Duration", "bar-cell"],
  ["spans", "Spans", "number"], ["errors", "Errors", "number"], ["", "Services", "who"],
]);
const LIMITS = ["50", "200", "500"];
const SHOWN_SERVICES = 3;

/** @param {import("./requestpage.js").Props} props */
export function TracesPage({ session, state, router }) {
  const slot = state.answers.traces;
  const { view, span } = state;
  const traces = /** @type {any[] | null} */ (slot.data?.traces ?? null);
  const stale = isStale(slot) && !slot.quiet;
  const open = (/** @type {string} */ id) => router.go(link(`/trace/${id}`, {}, view));
  const nothing = traces?.length === 0 && !stale && !slot.error;
  return html`
    <main id="content" class="page scroll" aria-busy=${isBusy(slot) ? "true" : "false"}>
      ${!nothing && html`<h1 class="hidden">Traces</h1>`}
      <${SearchForm} session=${session} state=${state} router=${router} />
      <${Failed} slot=${slot} onRetry=${session.retry} />
      ${!nothing && html`<${Scatter} traces=${traces} more=${slot.data?.more === true} span=${span} stale=${stale} onOpen=${open} />`}
      ${nothing ? html`<${Nothing} session=${session} state=${state} />` : html`
        <${ResultBar} session=${session} state=${state} />
        <div class=${`sheet ${stale ? "stale" : ""}`}>${traces ? html`<${TraceTable} session=${session} state=${state} traces=${traces} onOpen=${open} />` : !slot.error && html`<${SkeletonTable} rows=${12} />`}</div>`}
    </main>`;
}

/** @param {import("./requestpage.js").Shown} props */
function ResultBar({ session, state }) {
  const { traces: slot } = state.answers;
  const { view, span } = state;
  const next = LIMITS.find((limit) => Number(limit) > Number(view.limit));
  const found = slot.data?.traces.length ?? 0;
  return html`
    <div class="resultbar" role="status">
      ${slot.data && html`<span><b>${slot.data.more ? `The newest ${found.toLocaleString("en")}` : counted(found, "trace")}</b>
        <span class="note"> in ${spanTitle(span)}${slot.data.scanned_spans > 0 ? `, of ${counted(slot.data.scanned_spans, "span")} looked through` : ""}</span></span>`}
      ${slot.pending && !slot.quiet && html`<${Waiting} key=${slot.key} what="Searching" />`}
      <span class="spring" />
      ${slot.data?.more && next && html`<button type="button" class="button" onClick=${() => session.navigate({ limit: next })}>Show ${next}</button>`}
      <button type="button" class="button" onClick=${session.refresh}>Search again</button>
    </div>`;
}

/** @param {import("./requestpage.js").Shown & { traces: any[], onOpen: (id: string) => void }} props */
function TraceTable({ session, state, traces, onOpen }) {
  const { sort, order } = state.view;
  const longest = traces.reduce((most, { duration_ms }) => Math.max(most, duration_ms), 0);
  const way = order === "asc" ? 1 : -1;
  const rows = sort === "" ? traces : traces.toSorted((one, other) => way * ((one[sort] ?? 0) - (other[sort] ?? 0)));
  return html`
    <table class="list traces" onKeyDown=${walkRows}>
      <thead><tr><${SortHeads} columns=${COLUMNS} sort=${sort} order=${order} onSort=${session.navigate} /></tr></thead>
      <tbody>${rows.map((trace) => html`<${TraceRow} key=${trace.trace_id} trace=${trace} longest=${longest} href=${link(`/trace/${trace.trace_id}`, {}, state.view)} onOpen=${onOpen} />`)}</tbody>
    </table>`;
}

/** @param {{ trace: any, longest: number, href: string, onOpen: (id: string) => void }} props */
function TraceRow({ trace, longest, href, onOpen }) {
  const { trace_id, root_service, root_name, start_ms, duration_ms, spans, errors, services, complete } = trace;
  const today = dayOf(start_ms) === dayOf(Date.now());
  const others = services.length - SHOWN_SERVICES;
  return html`
    <tr onClick=${(/** @type {MouseEvent} */ event) => { if (!(/** @type {Element} */ (event.target).closest("a"))) onOpen(trace_id); }}>
      <td class="when second" title=${stamp(start_ms)}>${today ? "" : `${dayOf(start_ms).slice(5)} `}${clock(start_ms, true)}</td>
      <th scope="row" class="name"><a href=${href}>${printable(root_service || "?")}</a> <code>${printable(root_name || trace_id)}</code>
        ${!complete && html` <span class="note" title="The span that began the trace has not been received">root not received</span>`}</th>
      <td class="bar-cell"><span class=${`lasting ${errors > 0 ? "failed" : ""}`}><b>${formatNanoseconds(duration_ms * 1e6)}</b>
        <span class="track"><i style=${{ width: `${longest > 0 ? (100 * duration_ms) / longest : 0}%` }} /></span></span></td>
      <td class="number">${spans.toLocaleString("en")}</td>
      <td class=${`number ${errors > 0 ? "bad" : "third"}`}>${errors.toLocaleString("en")}</td>
      <td class="who" title=${services.map((/** @type {any} */ one) => `${printable(one.service)}: ${counted(one.spans, "span")}`).join("\n")}>
        ${services.slice(0, SHOWN_SERVICES).map((/** @type {any} */ one) => html`<span key=${one.service}><i class=${`swatch ${binaryToken(one.service)}`} aria-hidden="true" />${printable(one.service)}</span>`)}
        ${others > 0 && html`<span class="third">+ ${others}</span>`}</td>
    </tr>`;
}

/** @param {import("./requestpage.js").Shown} props */
function Nothing({ session, state }) {
  const { view, answers } = state;
  const { service, route, span, status, min, max, attribute, text } = view;
  const narrowed = [service, route, span, status, min, max, text].some((one) => one !== "") || attribute.length > 0;
  const day = () => session.navigate({ from: "now-24h", until: "now" });
  if (!narrowed) return html`<${NothingYet} title="No trace has been seen" what="No span arrived" view=${view} onRange=${day} />`;
  const scanned = answers.traces.data?.scanned_spans ?? 0;
  return html`
    <section class="state">
      <h1>No trace matches</h1>
      <p>${scanned > 0 ? `${counted(scanned, "span")} in ${spanTitle(state.span)} were looked through.` : `No span that could match arrived in ${spanTitle(state.span)}.`}
        ${" "}Spans can be sampled: a request may have been counted, and its trace not kept.</p>
      <p class="row">
        <button type="button" class="button primary" onClick=${() => session.navigate({ service: "", route: "", span: "", status: "", min: "", max: "", attribute: [], text: "" })}>Remove all conditions</button>
        ${view.from !== "now-24h" && html`<button type="button" class="button" onClick=${day}>Look at the last 24 hours</button>`}
      </p>
    </section>`;
}
