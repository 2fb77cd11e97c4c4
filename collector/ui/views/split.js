// @ts-check
// Two panes with a border that can be dragged, or moved by arrow keys.

import { html, useRef, useState } from "../vendor/preact-htm.js";

const KEY = "sonde.split";
const LEAST = 0.25;
const MOST = 0.85;

/** @param {{ left: unknown, right: unknown, hidden: boolean }} props */
export function Split({ left, right, hidden }) {
  const [share, setShare] = useState(stored);
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const set = (/** @type {number} */ next) => {
    const kept = Math.min(Math.max(next, LEAST), MOST);
    setShare(kept);
    try {
      localStorage.setItem(KEY, String(kept));
    } catch {
      // Forbidden storage: the width lasts until the page is left.
    }
  };
  const onPointerMove = (/** @type {PointerEvent} */ event) => {
    if (!place.current || !/** @type {Element} */ (event.currentTarget).hasPointerCapture(event.pointerId)) return;
    const { left: edge, width } = place.current.getBoundingClientRect();
    set((event.clientX - edge) / width);
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    const step = event.key === "ArrowLeft" ? -0.02 : event.key === "ArrowRight" ? 0.02 : 0;
    if (step === 0) return;
    event.preventDefault();
    set(share + step);
  };
  if (hidden) return html`<div class="split-pane alone" ref=${place}>${left}</div>`;
  return html`
    <div class="split-pane" ref=${place} style=${{ "--left": `${(100 * share).toFixed(2)}%` }}>
      ${left}
      <div class="divider" role="separator" tabindex="0" aria-orientation="vertical" aria-label="Width of the graph" aria-valuemin=${100 * LEAST}
        aria-valuemax=${100 * MOST} aria-valuenow=${Math.round(100 * share)} onKeyDown=${onKeyDown} onPointerMove=${onPointerMove}
        onPointerDown=${(/** @type {PointerEvent} */ event) => /** @type {Element} */ (event.currentTarget).setPointerCapture(event.pointerId)}></div>
      ${right}
    </div>`;
}

function stored() {
  try {
    const kept = Number(localStorage.getItem(KEY));
    return kept >= LEAST && kept <= MOST ? kept : 0.67;
  } catch {
    return 0.67;
  }
}
