// @ts-check
// Draws figures over time: areas and lines above a time axis.

import { xOf, roundAbove } from "../model/timeline.js";
import { stretches } from "../model/series.js";
import { AXIS, drawTicks } from "./axis.js";
import { prepare } from "./surface.js";

/** @typedef {import("../model/range.js").Span} Span */
/** @typedef {{ values: (number | null)[], colour: string, fill?: boolean, dash?: number[], width?: number }} Line `colour`: a token of the style sheet */

const TOP = 14;

/**
 * @param {HTMLCanvasElement} canvas
 * @param {{ lines: Line[], startMs: number, stepMs: number, span: Span, width: number, height: number, peak: number, label: (value: number) => string }} picture
 * @param {import("./surface.js").Colours} colours
 */
export function drawLines(canvas, { lines, startMs, stepMs, span, width, height, peak, label }, colours) {
  const context = prepare(canvas, width, height);
  context.font = `11px ${getComputedStyle(canvas).fontFamily}`;
  const base = height - AXIS;
  const top = roundAbove(peak);
  const y = (/** @type {number} */ value) => base - (value / top) * (base - TOP);
  const x = (/** @type {number} */ step) => xOf(span, width, startMs + (step + 0.5) * stepMs);
  if (peak > 0) drawScale(context, width, label(top), colours);
  for (const line of lines) drawLine(context, line, { x, y, base }, colours);
  context.fillStyle = colours.line;
  context.fillRect(0, base, width, 1);
  drawTicks(context, span, width, height, colours, 80);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Line} line
 * @param {{ x: (step: number) => number, y: (value: number) => number, base: number }} place
 * @param {import("./surface.js").Colours} colours
 */
function drawLine(context, { values, colour, fill = false, dash = [], width = 1.5 }, { x, y, base }, colours) {
  context.strokeStyle = context.fillStyle = colours[colour];
  context.lineWidth = width;
  context.lineJoin = "round";
  for (const [first, run] of stretches(values)) {
    context.setLineDash(dash);
    context.beginPath();
    run.forEach((value, at) => (at === 0 ? context.moveTo(x(first), y(value)) : context.lineTo(x(first + at), y(value))));
    if (run.length === 1) context.lineTo(x(first) + 1.5, y(run[0]));
    context.stroke();
    if (!fill) continue;
    context.lineTo(x(first + run.length - 1), base);
    context.lineTo(x(first), base);
    context.globalAlpha = 0.14;
    context.fill();
    context.globalAlpha = 1;
  }
  context.setLineDash([]);
}

/** @param {CanvasRenderingContext2D} context @param {number} width @param {string} words @param {import("./surface.js").Colours} colours */
function drawScale(context, width, words, colours) {
  context.fillStyle = colours.line;
  for (let x = 0; x < width; x += 6) context.fillRect(x, TOP, 2, 1);
  context.fillStyle = colours.third;
  context.textAlign = "right";
  context.textBaseline = "bottom";
  context.fillText(words, width - 6, TOP - 1);
}
