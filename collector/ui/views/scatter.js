// @ts-check
// The traces found, as points: pointing names one, a click opens it.

import { html, useLayoutEffect, useMemo, useRef, useState } from "../vendor/preact-htm.js";
import { drawScatter, LEFT, yOf } from "../drawing/scatter.js";
import { themeColours } from "../drawing/surface.js";
import { clock } from "../model/range.js";
import { nearest, radiusOf, scaleOf, timeOf } from "../model/scatter.js";
import { printable } from "../model/text.js";
import { xOf } from "../model/timeline.js";
import { counted, formatNanoseconds } from "../model/units.js";
import { useWidth } from "./width.js";

const HEIGHT = 150;
const RIGHT = 16;

/** @param {{ traces: any[] | null, more: boolean, span: import("../model/range.js").Span, stale: boolean, onOpen: (id: string) => void }} props */
export function Scatter({ traces, more, span: whole, stale, onOpen }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const width = useWidth(place);
  const [over, setOver] = useState(-1);
  const span = useMemo(() => timeOf(traces ?? [], more, whole), [traces, more, whole]);
  const scale = useMemo(() => scaleOf((traces ?? []).map(({ duration_ms }) => duration_ms)), [traces]);
  const dots = useMemo(() => (traces ?? []).map(({ start_ms, duration_ms, spans, errors }) => ({
    x: LEFT + xOf(span, Math.max(width - LEFT - RIGHT, 1), start_ms), y: yOf(scale, HEIGHT, duration_ms), radius: radiusOf(spans), failed: errors > 0,
  })), [traces, span, width, scale]);
  useLayoutEffect(() => {
    if (canvas.current && width > 0) drawScatter(canvas.current, { dots, scale, span, width, height: HEIGHT }, themeColours());
  });
  const at = (/** @type {PointerEvent | MouseEvent} */ event) => {
    const box = /** @type {Element} */ (event.currentTarget).getBoundingClientRect();
    return nearest(dots, event.clientX - box.left, event.clientY - box.top);
  };
  const named = over >= 0 ? traces?.[over] : undefined;
  const dot = named ? dots[over] : undefined;
  return html`
    <section class=${`scatter ${named ? "over" : ""} ${stale ? "stale" : ""}`} ref=${place} aria-label="Duration over time" style=${{ height: `${HEIGHT}px` }}
      onPointerMove=${(/** @type {PointerEvent} */ event) => setOver(at(event))} onPointerLeave=${() => setOver(-1)}
      onClick=${(/** @type {MouseEvent} */ event) => { const found = traces?.[at(event)]; if (found) onOpen(found.trace_id); }}>
      <canvas ref=${canvas} role="img" aria-label=${traces ? `${counted(traces.length, "trace")} by time and duration; the list below says the same` : "Traces by time and duration"}></canvas>
      ${named && dot && html`<i class="ring-mark" style=${{ left: `${dot.x}px`, top: `${dot.y}px` }} />
        <div class="readout" style=${{ ...(dot.x > width / 2 ? { right: `${width - dot.x + 14}px` } : { left: `${dot.x + 14}px` }), top: `${Math.min(Math.max(dot.y - 10, 2), HEIGHT - 42)}px` }}>
          <b>${formatNanoseconds(named.duration_ms * 1e6)}</b> ${printable(named.root_service || "?")} ${printable(named.root_name || "")}
          ${" "}· ${counted(named.spans, "span")}${named.errors > 0 ? html` · <span class="bad">${counted(named.errors, "error")}</span>` : ""} · ${clock(named.start_ms, true)}</div>`}
    </section>`;
}
