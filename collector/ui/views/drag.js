// @ts-check
// A stretch that is picked by dragging along an element.

import { useState } from "../vendor/preact-htm.js";

/** A shorter way is a click. */
const DRAG_FROM = 4;

/** @typedef {{ from: number, to: number }} Stretch pixels from the left edge, the smaller first */

/**
 * @param {(picked: Stretch | null, width: number) => void} onPick null: it was a click
 * @param {(x: number | null) => void} [onMove] where the pointer is; null when it has left
 * @returns {{ dragged: Stretch | null, handlers: Record<string, (event: PointerEvent) => void> }}
 */
export function useDrag(onPick, onMove) {
  const [drag, setDrag] = useState(/** @type {Stretch | null} */ (null));
  const at = (/** @type {PointerEvent} */ event) => {
    const { left, width } = /** @type {Element} */ (event.currentTarget).getBoundingClientRect();
    return Math.min(Math.max(event.clientX - left, 0), width);
  };
  return {
    dragged: drag && sorted(drag),
    handlers: {
      onPointerDown(event) {
        if (event.button !== 0) return;
        /** @type {Element} */ (event.currentTarget).setPointerCapture(event.pointerId);
        setDrag({ from: at(event), to: at(event) });
      },
      onPointerMove(event) {
        onMove?.(at(event));
        if (drag) setDrag({ from: drag.from, to: at(event) });
      },
      onPointerUp(event) {
        setDrag(null);
        if (drag) onPick(sorted({ from: drag.from, to: at(event) }), /** @type {Element} */ (event.currentTarget).clientWidth);
      },
      onPointerCancel: () => setDrag(null),
      onPointerLeave: () => onMove?.(null),
    },
  };
}

/** @param {Stretch} stretch */
function sorted({ from, to }) {
  return Math.abs(to - from) < DRAG_FROM ? null : { from: Math.min(from, to), to: Math.max(from, to) };
}
