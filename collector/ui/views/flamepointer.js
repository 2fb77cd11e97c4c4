// @ts-check
// Pointing at the flame graph: outline, card and scroll position are moved by hand, so that the pointer never
// renders the page; and the glide from one zoom to the next.

import { html, render } from "../vendor/preact-htm.js";
import { boxOf, hitTest, ROW } from "../drawing/flame.js";
import { HoverCard } from "./hovercard.js";

/** @typedef {import("../drawing/flame.js").Picture} Picture */

const ZOOM_MS = 120;

/**
 * Moves from one zoom to the next in a blink, so that the eye keeps its place.
 * @param {Picture} picture
 * @param {Picture} from
 * @param {() => void} draw
 */
export function glide(picture, from, draw) {
  const { x0, x1 } = picture;
  const started = performance.now();
  const step = () => {
    const part = Math.min((performance.now() - started) / ZOOM_MS, 1);
    const eased = 1 - (1 - part) ** 3;
    picture.x0 = from.x0 + (x0 - from.x0) * eased;
    picture.x1 = from.x1 + (x1 - from.x1) * eased;
    draw();
    if (part < 1) requestAnimationFrame(step);
  };
  step();
}

export function stillness() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** @param {MouseEvent} event @param {HTMLCanvasElement | null} canvas @param {Picture | null} picture */
export function hitAt(event, canvas, picture) {
  if (!canvas || !picture) return null;
  const { left, top } = canvas.getBoundingClientRect();
  return hitTest(picture, event.clientX - left, event.clientY - top);
}

/**
 * Puts the outline on what is pointed at and the card beside the pointer.
 * @param {ReturnType<typeof hitTest>} hit
 * @param {PointerEvent} event
 * @param {Picture | null} picture
 * @param {HTMLElement | null} box
 * @param {HTMLElement | null} card
 * @param {HTMLElement | null} canvas
 */
export function hovered(hit, event, picture, box, card, canvas) {
  if (!hit || !picture || !box || !card || !canvas) return hide(box, card);
  canvas.style.cursor = "pointer";
  const key = JSON.stringify(hit);
  if (card.dataset.of !== key || card.hidden) {
    card.dataset.of = key;
    render(html`<${HoverCard} tree=${picture.tree} hit=${hit} shown=${picture.tree.total[picture.focus]} />`, card);
    if ("node" in hit) place(box, picture, hit.node);
    else box.hidden = true;
  }
  card.hidden = false;
  moveCard(card, event.clientX, event.clientY);
}

/** Beside the pointer, inside the window. @param {HTMLElement} card @param {number} x @param {number} y */
function moveCard(card, x, y) {
  const { offsetWidth: wide, offsetHeight: high } = card;
  const left = Math.max(4, Math.min(x + 14, innerWidth - wide - 8));
  const top = y + ROW + high + 8 > innerHeight ? y - high - ROW + 4 : y + ROW;
  card.style.transform = `translate(${Math.round(left)}px, ${Math.round(Math.max(4, top))}px)`;
}

/** @param {HTMLElement | null} box @param {HTMLElement | null} card */
export function hide(box, card) {
  if (box) box.hidden = true;
  if (card) card.hidden = true;
}

/** @param {HTMLElement | null} box @param {Picture} picture @param {number} node */
export function place(box, picture, node) {
  if (!box) return;
  const { left, wide, top } = boxOf(picture, node);
  box.hidden = wide <= 0;
  box.style.transform = `translate(${left}px, ${top}px)`;
  box.style.width = `${Math.max(wide - 1, 2)}px`;
}

/** Scrolls no more than needed. @param {HTMLElement | null} scroller @param {Picture | null} picture @param {number} node */
export function reveal(scroller, picture, node) {
  if (!scroller || !picture) return;
  const { top } = boxOf({ ...picture, scroll: scroller.scrollTop }, node);
  if (top < 0) scroller.scrollTop += top - ROW;
  else if (top + ROW > picture.height) scroller.scrollTop += top + 2 * ROW - picture.height;
}
