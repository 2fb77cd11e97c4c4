// @ts-check
// Draws traces as points: when and how long. Failed ones are diamonds, so that colour isn't the only sign.

import { heightOf } from "../model/scatter.js";
import { formatNanoseconds } from "../model/units.js";
import { AXIS, drawTicks } from "./axis.js";
import { prepare } from "./surface.js";

/** Room for the labels of durations. */
export const LEFT = 62;
const TOP = 10;

/** @typedef {{ x: number, y: number, radius: number, failed: boolean }} Dot */

/** Where a duration lies. @param {import("../model/scatter.js").Scale} scale @param {number} height @param {number} ms */
export function yOf(scale, height, ms) {
  return TOP + heightOf(scale, height - AXIS - TOP - 8, ms);
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {{ dots: Dot[], scale: import("../model/scatter.js").Scale, span: import("../model/range.js").Span, width: number, height: number }} picture
 * @param {import("./surface.js").Colours} colours
 */
export function drawScatter(canvas, { dots, scale, span, width, height }, colours) {
  const context = prepare(canvas, width, height);
  context.font = `11px ${getComputedStyle(canvas).fontFamily}`;
  context.textAlign = "right";
  context.textBaseline = "middle";
  const every = Math.max(1, Math.ceil((scale.high - scale.low) / 5));
  for (let power = scale.low; power <= scale.high; power += every) {
    const y = Math.round(yOf(scale, height, 10 ** power));
    context.fillStyle = colours.faint;
    context.fillRect(LEFT, y, width - LEFT, 1);
    context.fillStyle = colours.third;
    context.fillText(formatNanoseconds(10 ** power * 1e6), LEFT - 8, y);
  }
  for (const failed of [false, true]) {
    context.fillStyle = failed ? colours.bad : colours.accent;
    context.strokeStyle = colours.panel;
    // Each by itself: where many lie on each other it gets darker, and their edges stay apart.
    for (const { x, y, radius } of dots.filter((dot) => dot.failed === failed)) {
      context.beginPath();
      addMark(context, x, y, radius, failed);
      context.globalAlpha = failed ? 0.9 : 0.55;
      context.fill();
      context.globalAlpha = 1;
      context.stroke();
    }
  }
  context.fillStyle = colours.line;
  context.fillRect(LEFT, height - AXIS, width - LEFT, 1);
  context.save();
  context.translate(LEFT, 0);
  drawTicks(context, span, width - LEFT - 16, height, colours);
  context.restore();
}

/** @param {CanvasRenderingContext2D} context @param {number} x @param {number} y @param {number} radius @param {boolean} failed */
function addMark(context, x, y, radius, failed) {
  if (!failed) {
    context.moveTo(x + radius, y);
    context.arc(x, y, radius, 0, 2 * Math.PI);
    return;
  }
  const reach = radius * 1.3;
  context.moveTo(x, y - reach);
  context.lineTo(x + reach, y);
  context.lineTo(x, y + reach);
  context.lineTo(x - reach, y);
  context.closePath();
}
