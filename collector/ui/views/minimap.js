// @ts-check
// The whole trace above the waterfall: dragging zooms to a part of its time, a click gives the whole back.

import { html, useLayoutEffect, useRef, useState } from "../vendor/preact-htm.js";
import { drawMinimap } from "../drawing/minimap.js";
import { themeColours } from "../drawing/surface.js";
import { partAround } from "../model/waterfall.js";
import { theme } from "../theme.js";
import { useWidth } from "./width.js";

/** @typedef {import("../model/trace.js").Trace} Trace */

const HEIGHT = 52;
const DRAG_FROM = 4;

/** @param {{ trace: Trace, hueOf: (row: number) => number, part: readonly [number, number] | null, onPart: (part: [number, number] | null) => void }} props */
export function Minimap({ trace, hueOf, part, onPart }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const width = useWidth(place);
  const [drag, setDrag] = useState(/** @type {{ from: number, to: number } | null} */ (null));
  const colours = themeColours();
  useLayoutEffect(() => {
    if (canvas.current && width > 0) drawMinimap(canvas.current, { trace, hueOf, width, height: HEIGHT }, colours);
  }, [trace, width, theme(), colours]);
  const at = (/** @type {PointerEvent} */ event) => Math.min(Math.max(event.clientX - (place.current?.getBoundingClientRect().left ?? 0), 0), width);
  const end = (/** @type {PointerEvent} */ event) => {
    if (!drag) return;
    setDrag(null);
    const [from, to] = [Math.min(drag.from, at(event)), Math.max(drag.from, at(event))];
    onPart(to - from < DRAG_FROM ? null : partAround(trace, { fromNs: (from / width) * trace.lengthNs, untilNs: (to / width) * trace.lengthNs }));
  };
  const shown = drag ? [Math.min(drag.from, drag.to) / width, Math.max(drag.from, drag.to) / width] : part;
  return html`
    <div class="minimap"><div class="minimap-plot" ref=${place} style=${{ height: `${HEIGHT}px` }}
      onPointerDown=${(/** @type {PointerEvent} */ event) => { if (event.button === 0) { /** @type {Element} */ (event.currentTarget).setPointerCapture(event.pointerId); setDrag({ from: at(event), to: at(event) }); } }}
      onPointerMove=${(/** @type {PointerEvent} */ event) => { if (drag) setDrag({ from: drag.from, to: at(event) }); }}
      onPointerUp=${end} onPointerCancel=${() => setDrag(null)}>
      <canvas ref=${canvas} role="img" aria-label="The whole trace, small"></canvas>
      ${shown && html`<i class="shut" style=${{ left: 0, width: `${100 * shown[0]}%` }} /><i class="shut" style=${{ left: `${100 * shown[1]}%`, right: 0 }} />
        <i class="open" style=${{ left: `${100 * shown[0]}%`, width: `${100 * (shown[1] - shown[0])}%` }} />`}
    </div></div>`;
}
