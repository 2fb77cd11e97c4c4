// @ts-check
// Draws a whole trace small: each span a stroke, so that the shape of it is seen at once.

import { prepare } from "./surface.js";

const AIR = 4;

/**
 * @param {HTMLCanvasElement} canvas
 * @param {{ trace: import("../model/trace.js").Trace, hueOf: (row: number) => number, width: number, height: number }} picture
 * @param {import("./surface.js").Colours} colours
 */
export function drawMinimap(canvas, { trace, hueOf, width, height }, colours) {
  const context = prepare(canvas, width, height);
  const { spans, start, duration, lengthNs } = trace;
  const room = height - 2 * AIR;
  const row = room / Math.max(spans.length, 1);
  const thick = Math.min(Math.max(row - 1, 1), 3);
  const scale = width / Math.max(lengthNs, 1);
  for (let at = 0; at < spans.length; at++) {
    const failed = spans[at].status === "error";
    context.fillStyle = failed ? colours.bad : colours[`hue-${hueOf(at)}`];
    context.fillRect(start[at] * scale, AIR + Math.min(at * row, room - thick), Math.max(duration[at] * scale, 1), thick);
  }
}
