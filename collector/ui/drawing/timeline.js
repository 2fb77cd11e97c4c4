// @ts-check
// Draws CPU over time as stacked steps, its axis and the picked range.

import { roundAbove, scaleLabel, xOf } from "../model/timeline.js";
import { AXIS, drawTicks } from "./axis.js";
import { prepare } from "./surface.js";

/** @typedef {import("../model/timeline.js").Timeline} Timeline */
/** @typedef {import("../model/range.js").Span} Span */

const TOP = 10;

/**
 * @param {HTMLCanvasElement} canvas
 * @param {{ timeline: Timeline | null, span: Span, width: number, height: number }} picture
 * @param {import("./surface.js").Colours} colours
 */
export function drawTimeline(canvas, { timeline, span, width, height }, colours) {
  const context = prepare(canvas, width, height);
  const font = getComputedStyle(canvas).fontFamily;
  context.font = `11px ${font}`;
  const base = height - AXIS;
  if (timeline) drawStack(context, timeline, span, width, base, colours);
  context.fillStyle = colours.line;
  context.fillRect(0, base, width, 1);
  drawTicks(context, span, width, height, colours);
  if (timeline) drawScale(context, timeline, colours, width);
}

/** @param {CanvasRenderingContext2D} context @param {Timeline} timeline @param {Span} span @param {number} width @param {number} base @param {import("./surface.js").Colours} colours */
function drawStack(context, timeline, span, width, base, colours) {
  const { series, steps, startMs, stepMs, peak } = timeline;
  const scale = (base - TOP) / roundAbove(peak);
  const floor = new Float64Array(steps);
  for (const { name, values } of series) {
    context.fillStyle = colours[name];
    for (let step = 0; step < steps; step++) {
      const high = (values[step] ?? 0) * scale;
      if (high <= 0) continue;
      const left = Math.round(xOf(span, width, startMs + step * stepMs));
      const right = Math.round(xOf(span, width, startMs + (step + 1) * stepMs));
      context.fillRect(left, base - floor[step] - high, Math.max(right - left, 1), high);
      floor[step] += high;
    }
  }
}

/** The highest value of the axis, said where it is. @param {CanvasRenderingContext2D} context @param {Timeline} timeline @param {import("./surface.js").Colours} colours @param {number} width */
function drawScale(context, timeline, colours, width) {
  if (timeline.peak <= 0) return;
  context.fillStyle = colours.line;
  for (let x = 0; x < width; x += 6) context.fillRect(x, TOP, 2, 1);
  const label = scaleLabel(roundAbove(timeline.peak), timeline.unit);
  context.textAlign = "left";
  context.textBaseline = "top";
  const wide = context.measureText(label).width;
  context.globalAlpha = 0.8;
  context.fillStyle = colours.panel;
  context.fillRect(14, TOP - 6, wide + 8, 15);
  context.globalAlpha = 1;
  context.fillStyle = colours.second;
  context.fillText(label, 18, TOP - 5);
}
