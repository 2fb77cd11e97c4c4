// @ts-check
// The whole trace above the waterfall: dragging zooms to a part of its time, a click gives the whole back.

import { html, useLayoutEffect, useRef } from "../vendor/preact-htm.js";
import { drawMinimap } from "../drawing/minimap.js";
import { themeColours } from "../drawing/surface.js";
import { partAround } from "../model/waterfall.js";
import { theme } from "../theme.js";
import { useDrag } from "./drag.js";
import { useWidth } from "./width.js";

/** @typedef {import("../model/trace.js").Trace} Trace */

const HEIGHT = 52;

/** @param {{ trace: Trace, hueOf: (row: number) => number, part: readonly [number, number] | null, onPart: (part: [number, number] | null) => void }} props */
export function Minimap({ trace, hueOf, part, onPart }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const width = useWidth(place);
  const { dragged, handlers } = useDrag((picked, wide) => onPart(picked
    && partAround(trace, { fromNs: (picked.from / wide) * trace.lengthNs, untilNs: (picked.to / wide) * trace.lengthNs })));
  const colours = themeColours();
  useLayoutEffect(() => {
    if (canvas.current && width > 0) drawMinimap(canvas.current, { trace, hueOf, width, height: HEIGHT }, colours);
  }, [trace, width, theme(), colours]);
  const shown = dragged ? [dragged.from / width, dragged.to / width] : part;
  return html`
    <div class="minimap"><div class="minimap-plot" ref=${place} style=${{ height: `${HEIGHT}px` }} ...${handlers}>
      <canvas ref=${canvas} role="img" aria-label="The whole trace, small"></canvas>
      ${shown && html`<i class="shut" style=${{ left: 0, width: `${100 * shown[0]}%` }} /><i class="shut" style=${{ left: `${100 * shown[1]}%`, right: 0 }} />
        <i class="open" style=${{ left: `${100 * shown[0]}%`, width: `${100 * (shown[1] - shown[0])}%` }} />`}
    </div></div>`;
}
