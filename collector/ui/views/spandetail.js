// @ts-check
// Everything a span says about itself, and where to go on from it.

import { html } from "../vendor/preact-htm.js";
import { link } from "../model/place.js";
import { selfTime } from "../model/criticalpath.js";
import { stamp, zone } from "../model/range.js";
import { printSelector } from "../model/selector.js";
import { printable } from "../model/text.js";
import { CIRCLE, ORPHAN, valueText } from "../model/trace.js";
import { counted, formatNanoseconds, formatShare } from "../model/units.js";
import { Glyph } from "./glyph.js";

/** @typedef {import("../model/trace.js").Trace} Trace */
/** @typedef {{ key: string, value: unknown }} Attribute */

/** Profiles count in windows: some time on both sides catches the windows a span lies in. */
const AROUND_MS = 60_000;
const STEP_MS = 10_000;
/** Characters that no longer fit beside a name. */
const LONG = 60;
/** A longer value is no condition to search by. */
const LONGEST_SOUGHT = 200;

/** @param {{ trace: Trace, row: number, critical: ReadonlyMap<number, [number, number][]>, view: { from: string, until: string }, onSelect: (row: number) => void }} props */
export function SpanDetail({ trace, row, critical, view, onSelect }) {
  const span = trace.spans[row];
  const duration = trace.duration[row];
  const own = selfTime(trace, row);
  const waited = (critical.get(row) ?? []).reduce((sum, [from, until]) => sum + until - from, 0);
  const startMs = trace.startMs + trace.start[row] / 1e6;
  const resource = trace.resources[span.resource]?.attributes ?? [];
  const parent = trace.parent[row];
  return html`
    <aside class="span-detail" aria-label="The picked span" tabindex="-1">
      <h2><i class=${`swatch hue-${trace.services.find(({ name }) => name === span.service)?.hue ?? 0}`} aria-hidden="true" /> ${printable(span.service)}</h2>
      <p class="detail-name"><code>${printable(span.name)}</code></p>
      ${span.status === "error" && html`<p class="detail-error" role="note"><b>Error</b> ${printable(span.status_message || "no message")}</p>`}
      <dl class="facts">
        <div><dt>Duration</dt><dd><b>${formatNanoseconds(duration)}</b> <span class="third">${formatShare(duration, trace.lengthNs)} of the trace</span></dd></div>
        <div><dt>Own time</dt><dd><b>${formatNanoseconds(own)}</b> <span class="third">outside its children</span></dd></div>
        ${waited > 0 && html`<div><dt>Critical path</dt><dd><b>${formatNanoseconds(waited)}</b> <span class="third">the trace waited for</span></dd></div>`}
        <div><dt>Starts</dt><dd>${formatNanoseconds(trace.start[row])} <span class="third">in, at ${stamp(startMs)}.${milliseconds(startMs)} ${zone(startMs)}</span></dd></div>
        <div><dt>Kind</dt><dd>${printable(String(span.kind ?? "unspecified"))}${span.status === "ok" ? " · marked as ok" : ""}${span.scope ? html` <span class="third">by ${printable(scopeName(span.scope))}</span>` : ""}</dd></div>
        <div><dt>Span</dt><dd><code>${printable(span.span_id)}</code></dd></div>
        ${parent >= 0 && html`<div><dt>Parent</dt><dd><button type="button" class="plain-link" onClick=${() => onSelect(parent)}>
          ${printable(trace.spans[parent].service)} <code>${printable(trace.spans[parent].name)}</code></button></dd></div>`}
        ${trace.flag[row] === ORPHAN && html`<div><dt>Parent</dt><dd class="warn"><code>${printable(span.parent_span_id)}</code> not received</dd></div>`}
        ${trace.flag[row] === CIRCLE && html`<div><dt>Parent</dt><dd class="warn"><code>${printable(span.parent_span_id)}</code>, which leads back to this span</dd></div>`}
      </dl>
      <p class="row ways">
        <a class="button" href=${link("/service", { name: span.service }, view)}>Service</a>
        <a class="button" href=${profileLink(span.service, startMs, duration)}>Profile of its time</a>
      </p>
      <${Attributes} title="Attributes" attributes=${span.attributes ?? []} view=${view} />
      <${Dropped} span=${span} />
      <${Events} trace=${trace} row=${row} />
      <${Links} links=${span.links ?? []} view=${view} />
      <${Attributes} title="Resource" attributes=${resource} view=${view} />
    </aside>`;
}

/** What is long or has lines gets the whole width. @param {string} text */
function shape(text) {
  return text.length > LONG || text.includes("\n") ? "long" : "";
}

/** @param {{ title: string, attributes: Attribute[], view: { from: string, until: string } }} props */
function Attributes({ title, attributes, view }) {
  return attributes.length > 0 && html`
    <h3>${title}</h3>
    <dl class="attributes">${attributes.map(({ key, value }, at) => {
      const text = valueText(value);
      return html`<div key=${`${at} ${key}`} class=${shape(text)}><dt>${printable(key)}</dt><dd><span>${printable(text, true)}</span>
        ${text !== "" && text.length <= LONGEST_SOUGHT && html`<a class="more-like" href=${link("/traces", { attribute: `${key}=${text}` }, view)} title="Find traces with it">
          <${Glyph} sign="⌕" words=${`Find traces with ${printable(key)} = ${printable(text)}`} /></a>`}</dd></div>`;
    })}</dl>`;
}

/** What the program that sent the span left out itself. @param {{ span: any }} props */
function Dropped({ span }) {
  const words = [["dropped_attributes", "attribute"], ["dropped_events", "event"], ["dropped_links", "link"]]
    .filter(([key]) => span[key] > 0).map(([key, one]) => counted(span[key], one));
  return words.length > 0 && html`<p class="note dropped">Its sender left out ${words.join(", ")}.</p>`;
}

/** @param {{ trace: Trace, row: number }} props */
function Events({ trace, row }) {
  const events = /** @type {any[]} */ (trace.spans[row].events ?? []);
  return events.length > 0 && html`
    <h3>${counted(events.length, "event")}</h3>
    <ol class="events">${events.map((event, at) => html`
      <li key=${at}><p><b>${printable(event.name)}</b> <span class="third">${afterStart(Number(event.offset_ns) - trace.start[row])}</span></p>
        ${event.attributes?.length > 0 && html`<dl class="attributes">${event.attributes.map((/** @type {Attribute} */ { key, value }) => html`
          <div key=${key} class=${shape(valueText(value))}><dt>${printable(key)}</dt><dd><span>${printable(valueText(value), true)}</span></dd></div>`)}</dl>`}</li>`)}</ol>`;
}

/** @param {number} ns from the start of the span */
function afterStart(ns) {
  if (!Number.isFinite(ns)) return "";
  return ns < 0 ? `${formatNanoseconds(-ns)} before the span` : `${formatNanoseconds(ns)} into the span`;
}

/** @param {{ links: any[], view: { from: string, until: string } }} props */
function Links({ links, view }) {
  return links.length > 0 && html`
    <h3>${counted(links.length, "link")}</h3>
    <ul class="links">${links.map(({ trace_id, span_id }, at) => html`
      <li key=${at}><a href=${link(`/trace/${trace_id}`, { span: span_id }, view)}>trace <code>${printable(trace_id)}</code></a></li>`)}</ul>`;
}

/** @param {unknown} scope a name, or an object with one */
function scopeName(scope) {
  return typeof scope === "string" ? scope : String(/** @type {any} */ (scope)?.name ?? "");
}

/** @param {string} service @param {number} startMs @param {number} durationNs */
function profileLink(service, startMs, durationNs) {
  const from = Math.floor((startMs - AROUND_MS) / STEP_MS) * STEP_MS;
  const until = Math.ceil((startMs + durationNs / 1e6 + AROUND_MS) / STEP_MS) * STEP_MS;
  return link("/profiles", { selector: printSelector([{ name: "service_name", op: "=", value: service }]) }, { from: String(from), until: String(until) });
}

/** @param {number} ms */
function milliseconds(ms) {
  return String(Math.floor(((ms % 1000) + 1000) % 1000)).padStart(3, "0");
}
