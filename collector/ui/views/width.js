// @ts-check
// The width an element has, as it changes.

import { useLayoutEffect, useState } from "../vendor/preact-htm.js";

/**
 * @param {import("../vendor/preact-htm.js").Ref<HTMLElement | null>} place
 * @returns {number} whole CSS pixels, 0 until it is known
 */
export function useWidth(place) {
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    if (!place.current) return;
    setWidth(Math.floor(place.current.getBoundingClientRect().width));
    const watch = new ResizeObserver(([entry]) => setWidth(Math.floor(entry.contentRect.width)));
    watch.observe(place.current);
    return () => watch.disconnect();
  }, []);
  return width;
}
