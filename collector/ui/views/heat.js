// @ts-check
// The latency heatmap: pointing says interval and count, dragging opens the traces of the area.

import { html, useLayoutEffect, useRef, useState } from "../vendor/preact-htm.js";
import { AXIS } from "../drawing/axis.js";
import { drawHeatmap, STRENGTH } from "../drawing/heatmap.js";
import { themeColours } from "../drawing/surface.js";
import { areaOf, boundsOf, bucketAt } from "../model/heatmap.js";
import { clock, spanTitle } from "../model/range.js";
import { seconds } from "../model/services.js";
import { timeAt, xOf } from "../model/timeline.js";
import { counted } from "../model/units.js";
import { isStale } from "../slot.js";
import { useWidth } from "./width.js";

/** @typedef {import("../model/heatmap.js").Heatmap} Heatmap */
/** @typedef {import("../model/range.js").Span} Span */
/** @typedef {ReturnType<typeof areaOf>} Area */
/** @typedef {{ x: number, y: number }} Point */

const ROW = 15;
const FEWEST_ROWS = 6;

/** @param {{ slot: import("../slot.js").Slot<Heatmap>, span: Span, title: string, onPick: (area: Area) => void }} props */
export function Heat({ slot, span, title, onPick }) {
  const heatmap = slot.data;
  const rows = heatmap ? Math.max(heatmap.high - heatmap.low, FEWEST_ROWS) : FEWEST_ROWS + 4;
  return html`
    <section class=${`card-box heat ${isStale(slot) && !slot.quiet ? "stale" : ""}`} aria-label="Latency heatmap">
      <div class="card-head"><h2>${title}</h2><span class="note">drag over what stands out to see its traces</span><span class="spring" />
        <span class="note">fewer<span class="shades" aria-hidden="true">${STRENGTH.slice(1).map((opacity) => html`<i key=${opacity} style=${{ opacity }} />`)}</span>more</span></div>
      <${Plot} heatmap=${heatmap} height=${rows * ROW + AXIS} span=${span} onPick=${onPick} />
      ${heatmap?.total === 0 && html`<p class="note pad">No request was measured in this range.</p>`}
    </section>`;
}

/** @param {{ heatmap: Heatmap | null, height: number, span: Span, onPick: (area: Area) => void }} props */
function Plot({ heatmap, height, span, onPick }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const width = useWidth(place);
  const [hover, setHover] = useState(/** @type {Point | null} */ (null));
  const [from, setFrom] = useState(/** @type {Point | null} */ (null));
  const base = height - AXIS;
  useLayoutEffect(() => {
    if (canvas.current && width > 0 && heatmap) drawHeatmap(canvas.current, { heatmap, span, width, height }, themeColours());
  });
  const at = (/** @type {PointerEvent} */ event) => {
    const box = /** @type {Element} */ (event.currentTarget).getBoundingClientRect();
    return { x: Math.min(Math.max(event.clientX - box.left, 0), width), y: Math.min(Math.max(event.clientY - box.top, 0), base - 1) };
  };
  const areaBetween = (/** @type {Point} */ one, /** @type {Point} */ other) => (heatmap ? areaOf(heatmap,
    { fromMs: timeAt(span, width, one.x), untilMs: timeAt(span, width, other.x) + (one.x === other.x ? 1 : 0) },
    [bucketAt(heatmap, base, one.y), bucketAt(heatmap, base, other.y)]) : null);
  const area = hover && heatmap && heatmap.total > 0 ? areaBetween(from ?? hover, hover) : null;
  const end = (/** @type {PointerEvent} */ event) => {
    const done = from && areaBetween(from, at(event));
    setFrom(null);
    if (done && done.requests > 0) onPick(done);
  };
  return html`
    <div class="heat-plot" ref=${place} style=${{ height: `${height}px` }}
      onPointerDown=${(/** @type {PointerEvent} */ event) => { if (event.button === 0) { /** @type {Element} */ (event.currentTarget).setPointerCapture(event.pointerId); setFrom(at(event)); } }}
      onPointerMove=${(/** @type {PointerEvent} */ event) => setHover(at(event))} onPointerUp=${end}
      onPointerCancel=${() => setFrom(null)} onPointerLeave=${() => { if (!from) setHover(null); }}>
      <canvas ref=${canvas} role="img" aria-label=${heatmap ? words(heatmap) : "Latency over time"}></canvas>
      ${heatmap && html`<${Scale} heatmap=${heatmap} base=${base} />`}
      ${heatmap && area && html`<${Outline} heatmap=${heatmap} area=${area} span=${span} width=${width} base=${base} dragging=${from !== null} />`}
    </div>`;
}

/** Bounds of the buckets at the left. @param {{ heatmap: Heatmap, base: number }} props */
function Scale({ heatmap, base }) {
  const { low, high } = heatmap;
  const row = base / (high - low);
  const every = Math.ceil(13 / row);
  const labels = [];
  for (let bucket = low; bucket < high; bucket += every) labels.push({ bucket, y: base - (bucket - low) * row });
  return labels.filter(({ bucket }) => bucket > 0).map(({ bucket, y }) => html`<span key=${bucket} class="heat-scale" style=${{ top: `${y}px` }}>${seconds(boundsOf(heatmap, bucket)[0])}</span>`);
}

/** @param {{ heatmap: Heatmap, area: Area, span: Span, width: number, base: number, dragging: boolean }} props */
function Outline({ heatmap, area, span, width, base, dragging }) {
  const row = base / (heatmap.high - heatmap.low);
  const [left, right] = [Math.max(0, xOf(span, width, area.fromMs)), Math.min(width, xOf(span, width, area.untilMs))];
  const top = base - (area.top - heatmap.low + 1) * row;
  const box = { left: `${left}px`, width: `${Math.max(right - left, 2)}px`, top: `${top}px`, height: `${(area.top - area.bottom + 1) * row}px` };
  const beside = right > width / 2 ? { right: `${width - left + 8}px` } : { left: `${right + 8}px` };
  const time = dragging ? spanTitle(area) : `${clock(area.fromMs, heatmap.stepMs < 60e3)}`;
  return html`
    <div class=${dragging ? "heat-area" : "heat-cell"} style=${box}></div>
    <div class="readout" style=${{ ...beside, top: `${Math.min(Math.max(top - 2, 0), base - 22)}px` }}>
      ${time} · ${bounds(area)} · <b>${counted(area.requests, "request")}</b>${dragging ? " · release to see their traces" : ""}</div>`;
}

/** @param {{ minS: number, maxS: number }} area */
function bounds({ minS, maxS }) {
  if (maxS === Infinity) return `above ${seconds(minS)}`;
  return minS === 0 ? `up to ${seconds(maxS)}` : `${seconds(minS)} – ${seconds(maxS)}`;
}

/** The picture for those who don't see it. @param {Heatmap} heatmap */
function words(heatmap) {
  const sums = Array.from({ length: heatmap.bounds.length + 1 }, (_, bucket) => heatmap.columns.reduce((sum, column) => sum + (column[bucket] ?? 0), 0));
  const most = sums.map((sum, bucket) => ({ sum, bucket })).filter(({ sum }) => sum > 0)
    .map(({ sum, bucket }) => `${bounds({ minS: boundsOf(heatmap, bucket)[0], maxS: boundsOf(heatmap, bucket)[1] })}: ${Math.round(sum).toLocaleString("en")}`);
  return `Latency over time, ${counted(heatmap.total, "request")}. ${most.join("; ")}`;
}
