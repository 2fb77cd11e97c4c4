// @ts-check
// What the flame graph remembers between two drawings: its size, and the frame that keys act on.

import { useLayoutEffect, useRef, useState } from "../vendor/preact-htm.js";
import { follow, nameOf } from "../model/tree.js";

/** @typedef {import("../model/tree.js").Tree} Tree */

/**
 * Size of an element, kept up to date; its width is also told to the session, which asks for what fits.
 * @param {import("../vendor/preact-htm.js").Ref<HTMLElement | null>} place
 * @param {(width: number) => void} onWidth
 */
export function useSize(place, onWidth) {
  const [size, setSize] = useState({ width: 0, height: 0 });
  useLayoutEffect(() => {
    const element = place.current;
    if (!element) return;
    let settled = 0;
    const measure = () => {
      const next = { width: element.clientWidth, height: element.clientHeight };
      setSize((now) => (now.width === next.width && now.height === next.height ? now : next));
      clearTimeout(settled);
      settled = setTimeout(() => onWidth(next.width), 100);
    };
    const watch = new ResizeObserver(measure);
    watch.observe(element);
    measure();
    return () => { watch.disconnect(); clearTimeout(settled); };
  }, []);
  return size;
}

/**
 * The frame that keys act on. Renewed data keeps the place as far as it still exists.
 * @param {Tree} tree
 * @returns {[number, (node: number) => void]}
 */
export function useCurrent(tree) {
  const kept = useRef({ tree, node: 0 });
  const [, redraw] = useState(0);
  if (kept.current.tree !== tree) {
    const trail = trailOf(kept.current.tree, kept.current.node);
    kept.current = { tree, node: follow(tree, trail.slice(tree.ancestors.length + 1)) };
  }
  return [kept.current.node, (node) => { kept.current = { tree, node }; redraw((count) => count + 1); }];
}

/** @param {Tree} tree @param {number} node */
function trailOf(tree, node) {
  const trail = [];
  for (let at = node; at >= 0; at = tree.parent[at]) trail.unshift({ name: nameOf(tree, at), binary: tree.binaries[tree.binary[at]] ?? "" });
  return [...tree.ancestors, ...trail];
}
