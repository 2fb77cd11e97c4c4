// @ts-check
// Requests, errors and latency over time: three charts with one crosshair. Dragging picks a range.

import { html, useLayoutEffect, useRef, useState } from "../vendor/preact-htm.js";
import { AXIS } from "../drawing/axis.js";
import { drawLines } from "../drawing/lines.js";
import { themeColours } from "../drawing/surface.js";
import { clock } from "../model/range.js";
import { peakOf, stepAt } from "../model/series.js";
import { percent, rate, seconds } from "../model/services.js";
import { timeAt, wholeSteps, xOf } from "../model/timeline.js";
import { useDrag } from "./drag.js";
import { useWidth } from "./width.js";

/** @typedef {import("../model/series.js").Red} Red */
/** @typedef {import("../model/range.js").Span} Span */
/** @typedef {import("../drawing/lines.js").Line} Line */
/** @typedef {{ requests: number | null, rate: number | null, errors: number | null, error_rate: number | null, p50_s: number | null, p95_s: number | null, p99_s: number | null }} Figures */

const HEIGHT = 96;

/** @param {{ red: Red | null, whole: Figures | null, bad: boolean, span: Span, stale: boolean, onPick: (span: Span) => void }} props */
export function RedCharts({ red, whole, bad, span, stale, onPick }) {
  const [hoverMs, setHover] = useState(/** @type {number | null} */ (null));
  const shared = { red, span, hoverMs, onHover: setHover, onPick };
  const at = (/** @type {(number | null)[] | undefined} */ values, /** @type {number} */ step) => values?.[step] ?? null;
  return html`
    <div class=${`cards ${stale ? "stale" : ""}`}>
      <${Chart} ...${shared} title="Requests" figure=${html`${rate(whole?.rate)} <small>/s</small>`}
        lines=${red ? [{ values: red.rate, colour: "accent", fill: true }, { values: red.failing, colour: "bad", fill: true, width: 1 }] : []} label=${rate}
        words=${(/** @type {number} */ step) => html`<b>${rate(at(red?.rate, step))}</b> /s, <b>${rate(at(red?.failing, step))}</b> failed`} />
      <${Chart} ...${shared} title="Errors" figure=${html`<span class=${bad ? "bad" : ""}>${percent(whole?.error_rate)}</span> <small>${failedOf(whole)}</small>`}
        lines=${red ? [{ values: red.errorRate, colour: "bad", fill: true }] : []} label=${percent}
        words=${(/** @type {number} */ step) => html`<b>${percent(at(red?.errorRate, step))}</b>`} />
      <${Chart} ...${shared} title="Latency" legend=${html`<${QuantileKey} />`}
        figure=${html`${seconds(whole?.p50_s)} <small>·</small> ${seconds(whole?.p95_s)} <small>·</small> ${seconds(whole?.p99_s)}`}
        lines=${red ? [{ values: red.p99, colour: "kernel-line" }, { values: red.p95, colour: "accent", dash: [5, 3] }, { values: red.p50, colour: "third" }] : []} label=${seconds}
        words=${(/** @type {number} */ step) => html`<b>${seconds(at(red?.p50, step))}</b> · <b>${seconds(at(red?.p95, step))}</b> · <b>${seconds(at(red?.p99, step))}</b>`} />
    </div>`;
}

/** @param {Figures | null} whole */
function failedOf(whole) {
  if (!whole || whole.errors === null || whole.requests === null) return "";
  return `${Math.round(whole.errors).toLocaleString("en")} of ${Math.round(whole.requests).toLocaleString("en")}`;
}

function QuantileKey() {
  return html`<span class="note"><i class="key-line p50" aria-hidden="true" />p50<i class="key-line p95" aria-hidden="true" />p95<i class="key-line p99" aria-hidden="true" />p99</span>`;
}

/**
 * @param {{ title: string, figure: unknown, legend?: unknown, lines: Line[], label: (value: number) => string, words: (step: number) => unknown,
 *   red: Red | null, span: Span, hoverMs: number | null, onHover: (ms: number | null) => void, onPick: (span: Span) => void }} props
 */
function Chart({ title, figure, legend, lines, label, words, red, span, hoverMs, onHover, onPick }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const width = useWidth(place);
  const { dragged, handlers } = useDrag((picked) => { if (red && picked) onPick(wholeSteps(red, timeAt(span, width, picked.from), timeAt(span, width, picked.to))); },
    (x) => onHover(x === null ? null : timeAt(span, width, x)));
  const peak = peakOf(...lines.map(({ values }) => values));
  useLayoutEffect(() => {
    if (!canvas.current || width === 0) return;
    drawLines(canvas.current, { lines, startMs: red?.startMs ?? 0, stepMs: red?.stepMs ?? 1, span, width, height: HEIGHT, peak, label }, themeColours());
  });
  const step = red && hoverMs !== null ? stepAt(red, hoverMs) : null;
  return html`
    <section class="card-box" aria-label=${title}>
      <div class="card-head"><h2>${title}</h2><span class="spring" />${legend}</div>
      <div class="card-figure">${figure}</div>
      <div class="chart" ref=${place} ...${handlers}>
        <canvas ref=${canvas} role="img" aria-label=${`${title} over time`}></canvas>
        ${dragged && html`<div class="selection" style=${{ left: `${dragged.from}px`, width: `${dragged.to - dragged.from}px`, height: `${HEIGHT - AXIS}px` }}></div>`}
        ${red && step !== null && html`<${Readout} red=${red} span=${span} width=${width} step=${step}>${words(step)}<//>`}
      </div>
    </section>`;
}

/** @param {{ red: Red, span: Span, width: number, step: number, children?: unknown }} props */
function Readout({ red, span, width, step, children }) {
  const ms = red.startMs + (step + 0.5) * red.stepMs;
  const x = xOf(span, width, ms);
  const place = x > width / 2 ? { right: `${width - x + 8}px` } : { left: `${x + 8}px` };
  return html`<i class="hairline" style=${{ left: `${x}px` }} /><div class="readout" style=${place}>${clock(red.startMs + step * red.stepMs, red.stepMs < 60e3)} ${children}</div>`;
}
