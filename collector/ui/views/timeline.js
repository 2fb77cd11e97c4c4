// @ts-check
// CPU over time above the graph: what stands out is picked by dragging, a click gives it back.

import { html, useLayoutEffect, useRef, useState } from "../vendor/preact-htm.js";
import { AXIS } from "../drawing/axis.js";
import { drawTimeline } from "../drawing/timeline.js";
import { themeColours } from "../drawing/surface.js";
import { clock, lengthTitle, spanInFull, spanTitle } from "../model/range.js";
import { timeAt, wholeSteps, xOf } from "../model/timeline.js";
import { parseSelect, printSelect } from "../model/view.js";
import { formatCores, significant } from "../model/units.js";
import { isStale } from "../slot.js";
import { useDrag } from "./drag.js";
import { useWidth } from "./width.js";

/** @typedef {import("../model/range.js").Span} Span */

const HEIGHT = 92;

/** @param {import("./profilepage.js").Props} props */
export function TimelineView({ session, state }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const [hover, setHover] = useState(/** @type {number | null} */ (null));
  const slot = state.timeline;
  const timeline = /** @type {import("../model/timeline.js").Timeline | null} */ (slot.data);
  const width = useWidth(place);
  useLayoutEffect(() => {
    if (canvas.current && width > 0) drawTimeline(canvas.current, { timeline, span: state.span, width, height: HEIGHT }, themeColours());
  });
  const picked = parseSelect(state.view.select);
  const pick = (/** @type {Span | null} */ span) => session.navigate({ select: span ? printSelect(clampTo(span, state.span)) : "" });
  const { dragged, handlers } = useDrag((stretch) => pick(stretch && timeline
    && wholeSteps(timeline, timeAt(state.span, width, stretch.from), timeAt(state.span, width, stretch.to))), setHover);
  const shown = dragged ? { fromMs: timeAt(state.span, width, dragged.from), untilMs: timeAt(state.span, width, dragged.to) } : picked;
  return html`
    <section class=${`timeline ${isStale(slot) && !slot.quiet ? "stale" : ""}`} aria-label="CPU over time">
      <div class="plot" ref=${place} tabindex="0" role="slider" aria-label="Picked part of the range" aria-valuetext=${picked ? spanTitle(picked) : "the whole range"}
        aria-valuemin="0" aria-valuemax="100" aria-valuenow=${picked ? Math.round(xOf(state.span, 100, picked.fromMs)) : 0}
        onKeyDown=${(/** @type {KeyboardEvent} */ event) => { const next = moved(event, picked, state.span); if (next !== undefined) { event.preventDefault(); pick(next); } }} ...${handlers}>
        <canvas ref=${canvas} aria-hidden="true"></canvas>
        ${shown && html`<${Selection} span=${state.span} shown=${shown} width=${width} />`}
        ${hover !== null && timeline && html`<${Readout} timeline=${timeline} span=${state.span} width=${width} x=${hover} />`}
      </div>
      ${picked ? html`
        <div class="picked"><span title=${spanInFull(picked)}><b>${spanTitle(picked)}</b> · ${lengthTitle(picked.untilMs - picked.fromMs)}</span>
          <button type="button" class="plain" onClick=${() => session.navigate({ from: `${picked.fromMs}`, until: `${picked.untilMs}`, select: "" })}>Zoom in</button>
          <button type="button" class="plain" onClick=${() => pick(null)}>Clear</button></div>`
        : html`<${Legend} timeline=${timeline} />`}
    </section>`;
}

/** @param {{ timeline: import("../model/timeline.js").Timeline | null }} props */
function Legend({ timeline }) {
  return html`<ul class="legend" aria-label="Colours">${(timeline?.series ?? []).map(({ name }) => html`<li key=${name}><i class=${`swatch ${name}`} aria-hidden="true" />${name}</li>`)}</ul>`;
}

/** @param {{ span: Span, shown: Span, width: number }} props */
function Selection({ span, shown, width }) {
  const left = Math.max(0, xOf(span, width, shown.fromMs));
  const right = Math.min(width, xOf(span, width, shown.untilMs));
  if (right <= left) return null;
  return html`<div class="selection" style=${{ left: `${left}px`, width: `${Math.max(right - left, 2)}px`, height: `${HEIGHT - AXIS}px` }}></div>`;
}

/** @param {{ timeline: import("../model/timeline.js").Timeline, span: Span, width: number, x: number }} props */
function Readout({ timeline, span, width, x }) {
  const step = Math.floor((timeAt(span, width, x) - timeline.startMs) / timeline.stepMs);
  if (step < 0 || step >= timeline.steps) return null;
  const sum = timeline.series.reduce((all, { values }) => all + (values[step] ?? 0), 0);
  const ms = timeline.startMs + step * timeline.stepMs;
  const words = timeline.unit === "nanoseconds" ? formatCores(sum) : `${significant(sum)} ${timeline.unit}/s`;
  const place = x > width / 2 ? { right: `${width - x + 8}px` } : { left: `${x + 8}px` };
  return html`<i class="hairline" style=${{ left: `${x}px` }} /><div class="readout" style=${place}><span>${clock(ms, true)}</span> <b>${words}</b></div>`;
}

/** @param {Span} part @param {Span} whole @returns {Span} */
function clampTo(part, whole) {
  return { fromMs: Math.max(part.fromMs, whole.fromMs), untilMs: Math.min(part.untilMs, whole.untilMs) };
}

/**
 * The range after a key: arrows pick an outer tenth, then move it; with Shift they move its end; Delete gives it back.
 * @param {KeyboardEvent} event
 * @param {Span | null} picked
 * @param {Span} whole
 * @returns {Span | null | undefined} undefined: not our key
 */
function moved(event, picked, whole) {
  if (event.key === "Delete") return null;
  const way = event.key === "ArrowLeft" ? -1 : event.key === "ArrowRight" ? 1 : 0;
  if (way === 0) return undefined;
  const length = whole.untilMs - whole.fromMs;
  if (!picked) return way < 0 ? { fromMs: whole.untilMs - length / 10, untilMs: whole.untilMs } : { fromMs: whole.fromMs, untilMs: whole.fromMs + length / 10 };
  const by = (way * length) / 50;
  if (event.shiftKey) return { fromMs: picked.fromMs, untilMs: Math.max(picked.untilMs + by, picked.fromMs + length / 50) };
  const shift = Math.min(Math.max(by, whole.fromMs - picked.fromMs), whole.untilMs - picked.untilMs);
  return { fromMs: picked.fromMs + shift, untilMs: picked.untilMs + shift };
}
