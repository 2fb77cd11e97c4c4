// @ts-check
// The time axis beneath a drawing.

import { clock, dayOf, timeTicks } from "../model/range.js";
import { xOf } from "../model/timeline.js";

/** Room for the tick labels. */
export const AXIS = 18;

/**
 * @param {CanvasRenderingContext2D} context
 * @param {import("../model/range.js").Span} span
 * @param {number} width
 * @param {number} height of the whole drawing
 * @param {import("./surface.js").Colours} colours
 * @param {number} [every] pixels a tick has for itself
 */
export function drawTicks(context, span, width, height, colours, every = 110) {
  const { ticks, step } = timeTicks(span, Math.max(2, Math.floor(width / every)));
  context.textAlign = "center";
  context.textBaseline = "bottom";
  for (const ms of ticks) {
    const x = xOf(span, width, ms);
    const midnight = new Date(ms).getHours() === 0 && new Date(ms).getMinutes() === 0;
    const label = step >= 86400e3 || (midnight && step >= 3600e3) ? dayOf(ms).slice(5) : clock(ms, step < 60e3);
    context.fillStyle = colours.line;
    context.fillRect(Math.round(x), height - AXIS, 1, 4);
    context.fillStyle = colours.third;
    if (x > 26 && x < width - 26) context.fillText(label, x, height - 1);
  }
}
