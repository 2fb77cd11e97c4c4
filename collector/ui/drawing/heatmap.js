// @ts-check
// Draws latency over time: one cell for each step and bucket, darker for more requests.

import { shade, SHADES } from "../model/heatmap.js";
import { xOf } from "../model/timeline.js";
import { AXIS, drawTicks } from "./axis.js";
import { prepare } from "./surface.js";

/** @typedef {import("../model/heatmap.js").Heatmap} Heatmap */

/** How much of the full colour each shade has. */
export const STRENGTH = [0, 0.2, 0.38, 0.56, 0.77, 1];

/**
 * @param {HTMLCanvasElement} canvas
 * @param {{ heatmap: Heatmap, span: import("../model/range.js").Span, width: number, height: number }} picture
 * @param {import("./surface.js").Colours} colours
 */
export function drawHeatmap(canvas, { heatmap, span, width, height }, colours) {
  const context = prepare(canvas, width, height);
  context.font = `11px ${getComputedStyle(canvas).fontFamily}`;
  const base = height - AXIS;
  const { columns, low, high, peak, startMs, stepMs } = heatmap;
  const row = base / (high - low);
  context.fillStyle = colours.faint;
  for (let bucket = low; bucket <= high; bucket++) context.fillRect(0, Math.round(base - (bucket - low) * row), width, 1);
  context.fillStyle = colours.accent;
  // Shade by shade, so that the canvas changes its state five times and not once per cell.
  for (let level = 1; level <= SHADES; level++) {
    context.globalAlpha = STRENGTH[level];
    columns.forEach((column, step) => {
      const left = Math.max(0, Math.round(xOf(span, width, startMs + step * stepMs)));
      const right = Math.min(width, Math.round(xOf(span, width, startMs + (step + 1) * stepMs)));
      if (right <= left) return;
      for (let bucket = low; bucket < high; bucket++) {
        if (shade(column[bucket] ?? 0, peak) !== level) continue;
        const top = Math.round(base - (bucket - low + 1) * row);
        const bottom = Math.round(base - (bucket - low) * row);
        context.fillRect(left, top, Math.max(right - left - (right - left > 3 ? 1 : 0), 1), bottom - top - 1);
      }
    });
  }
  context.globalAlpha = 1;
  context.fillStyle = colours.line;
  context.fillRect(0, base, width, 1);
  drawTicks(context, span, width, height, colours);
}
