// @ts-check
// A trace as a tree in arrays: rows in the order of the waterfall, whatever the spans claim about their parents.

import { hueOf, HUES } from "./palette.js";

/**
 * @typedef {object} Trace
 * @property {string} id
 * @property {number} startMs start of the earliest span
 * @property {number} lengthNs from there to the latest end
 * @property {any[]} spans as the collector sent them, in row order
 * @property {any[]} resources
 * @property {Float64Array} start offset by row, nanoseconds
 * @property {Float64Array} duration
 * @property {Int32Array} parent row of the parent, -1 for a root
 * @property {Int32Array} depth
 * @property {Int32Array} end one past the last row beneath
 * @property {Uint8Array} flag 0, or one of the flags below
 * @property {{ name: string, hue: number, spans: number, errors: number }[]} services in order of appearance
 * @property {number} errors
 * @property {number} orphans
 * @property {boolean} truncated whether the collector has more spans than it answers
 * @property {number} roots rows without a parent that claim none
 */

/** The parent is named, and is not among the spans. */
export const ORPHAN = 1;
/** The parents lead in a circle; it is cut here. */
export const CIRCLE = 2;

/**
 * @param {any} answer of /traces/{id}
 * @returns {Trace}
 */
export function decodeTrace(answer) {
  const given = /** @type {any[]} */ (Array.isArray(answer.spans) ? answer.spans : []);
  const startOf = given.map((span) => finite(span.start_offset_ns));
  const { order, parentOf, flagOf } = arrange(given, startOf);
  const count = given.length;
  const rowOf = new Int32Array(count);
  order.forEach((at, row) => { rowOf[at] = row; });
  const trace = {
    id: String(answer.trace_id ?? ""), startMs: Number(answer.start_ns ?? 0) / 1e6, lengthNs: 0,
    spans: order.map((at) => given[at]), resources: answer.resources ?? [],
    start: new Float64Array(count), duration: new Float64Array(count), parent: new Int32Array(count),
    depth: new Int32Array(count), end: new Int32Array(count), flag: new Uint8Array(count),
    services: /** @type {Trace["services"]} */ ([]), errors: 0, orphans: 0, roots: 0, truncated: answer.truncated === true,
  };
  order.forEach((at, row) => {
    trace.start[row] = startOf[at];
    trace.duration[row] = Math.max(0, finite(given[at].duration_ns));
    trace.parent[row] = parentOf[at] < 0 ? -1 : rowOf[parentOf[at]];
    trace.depth[row] = trace.parent[row] < 0 ? 0 : trace.depth[trace.parent[row]] + 1;
    trace.flag[row] = flagOf[at];
    trace.lengthNs = Math.max(trace.lengthNs, trace.start[row] + trace.duration[row]);
    if (given[at].status === "error") trace.errors++;
    if (flagOf[at] === ORPHAN) trace.orphans++;
    else if (parentOf[at] < 0 && flagOf[at] === 0) trace.roots++;
  });
  for (let row = count - 1; row >= 0; row--) {
    trace.end[row] = Math.max(trace.end[row], row + 1);
    const above = trace.parent[row];
    if (above >= 0) trace.end[above] = Math.max(trace.end[above], trace.end[row]);
  }
  trace.services = servicesOf(trace.spans);
  return trace;
}

/**
 * Spans depth first, siblings by their start. Ids may be missing, repeated, or lead in circles.
 * @param {any[]} spans
 * @param {number[]} startOf
 */
function arrange(spans, startOf) {
  const byId = new Map();
  spans.forEach((span, at) => { if (span.span_id && !byId.has(span.span_id)) byId.set(span.span_id, at); });
  const parentOf = new Int32Array(spans.length).fill(-1);
  const flagOf = new Uint8Array(spans.length);
  /** @type {number[][]} */
  const children = spans.map(() => []);
  const tops = [];
  const byStart = spans.map((_, at) => at).sort((one, other) => startOf[one] - startOf[other] || one - other);
  for (const at of byStart) {
    const named = spans[at].parent_span_id;
    const above = named ? byId.get(named) : undefined;
    if (above === undefined) {
      if (named) flagOf[at] = ORPHAN;
      tops.push(at);
    } else {
      parentOf[at] = above;
      children[above].push(at);
    }
  }
  const order = /** @type {number[]} */ ([]);
  const seen = new Uint8Array(spans.length);
  const walk = (/** @type {number} */ top) => {
    const waiting = [top];
    while (waiting.length > 0) {
      const at = /** @type {number} */ (waiting.pop());
      if (seen[at]) continue;
      seen[at] = 1;
      order.push(at);
      for (let child = children[at].length - 1; child >= 0; child--) waiting.push(children[at][child]);
    }
  };
  tops.forEach(walk);
  // Whatever no top leads to hangs in a circle: it is cut at its earliest span.
  for (const at of byStart) {
    if (seen[at]) continue;
    flagOf[at] = CIRCLE;
    parentOf[at] = -1;
    walk(at);
  }
  return { order, parentOf, flagOf };
}

/** A colour each, by its own hash where that is free, so that a service mostly looks the same everywhere. @param {any[]} spans */
function servicesOf(spans) {
  /** @type {Map<string, { name: string, hue: number, spans: number, errors: number }>} */
  const found = new Map();
  const taken = new Set();
  for (const span of spans) {
    const name = String(span.service ?? "");
    let one = found.get(name);
    if (!one) {
      let hue = hueOf(name);
      for (let step = 0; step < HUES && taken.has(hue); step++) hue = (hue + 5) % HUES;
      taken.add(hue);
      one = { name, hue, spans: 0, errors: 0 };
      found.set(name, one);
    }
    one.spans++;
    if (span.status === "error") one.errors++;
  }
  return [...found.values()];
}

/**
 * Rows that are shown, given those that are closed.
 * @param {Trace} trace
 * @param {ReadonlySet<number>} closed
 */
export function openRows(trace, closed) {
  const rows = [];
  for (let row = 0; row < trace.spans.length; row = closed.has(row) ? trace.end[row] : row + 1) rows.push(row);
  return rows;
}

/** Rows directly beneath. @param {Trace} trace @param {number} row */
export function childrenOf({ end }, row) {
  const found = [];
  for (let child = row + 1; child < end[row]; child = end[child]) found.push(child);
  return found;
}

/** Rows above, the nearest first. @param {Trace} trace @param {number} row */
export function rowsAbove({ parent }, row) {
  const found = [];
  for (let at = parent[row]; at >= 0; at = parent[at]) found.push(at);
  return found;
}

/**
 * Rows whose service, name, id, message or attributes hold the text.
 * @param {Trace} trace
 * @param {string} text
 */
export function findRows({ spans }, text) {
  const wanted = text.trim().toLowerCase();
  if (wanted === "") return [];
  const holds = (/** @type {unknown} */ value) => String(value ?? "").toLowerCase().includes(wanted);
  const found = [];
  for (let row = 0; row < spans.length; row++) {
    const { service, name, span_id, status_message, attributes } = spans[row];
    if (holds(service) || holds(name) || holds(span_id) || holds(status_message)
      || (attributes ?? []).some((/** @type {any} */ one) => holds(`${one.key}=${valueText(one.value)}`))) found.push(row);
  }
  return found;
}

/** An attribute's value as text. @param {unknown} value */
export function valueText(value) {
  return typeof value === "string" ? value : value === undefined || value === null ? "" : JSON.stringify(value);
}

/** @param {unknown} value */
function finite(value) {
  const number = Number(value);
  return Number.isFinite(number) ? number : 0;
}
