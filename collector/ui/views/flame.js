// @ts-check
// The flame graph: a canvas for the eyes, a tree for keys and screen readers, a card for the frame pointed at.
// Pointer moves never render the page; they move two boxes and a card.

import { html, render, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/preact-htm.js";
import { onCommand } from "../commands.js";
import { boxOf, contentHeight, drawFlame, hitTest, ROW } from "../drawing/flame.js";
import { themeColours } from "../drawing/surface.js";
import { litNodes, matchesIn } from "../model/lit.js";
import { ALL } from "../model/nodeid.js";
import { follow, idOf, nameOf } from "../model/tree.js";
import { parsePart, printPart } from "../model/view.js";
import { isStale } from "../slot.js";
import { FlameTree } from "./flametree.js";
import { HoverCard } from "./hovercard.js";
import { Skeleton, Waiting } from "./states.js";
import { walk } from "./walk.js";

/** @typedef {import("../model/tree.js").Tree} Tree */
/** @typedef {import("../drawing/flame.js").Picture} Picture */

const ZOOM_MS = 120;

/** @param {import("./app.js").Props} props */
export function Flame({ session, state }) {
  const tree = /** @type {Tree | null} */ (state.tree.data);
  const stale = isStale(state.tree);
  const zooming = tree !== null && state.zoom?.tree === tree;
  return html`
    <section id="graph" class=${`flame ${stale && !state.tree.quiet && !zooming ? "stale" : ""}`} aria-label="Flame graph" aria-busy=${stale ? "true" : "false"}>
      ${tree === null || tree.total[0] === 0 ? html`<${Measure} onWidth=${session.setWidth} /><${Skeleton} />`
        : html`<${Graph} session=${session} state=${state} tree=${tree} focus=${zooming ? state.zoom?.node ?? 0 : 0} />`}
      ${state.types.pending && state.types.data === null && html`<${Waiting} key="types" what="Asking the collector" />`}
      ${state.tree.pending && !state.tree.quiet && html`<${Waiting} key=${state.tree.key} what="Merging stacks" />`}
    </section>`;
}

/** Tells the width before there is anything to draw. @param {{ onWidth: (width: number) => void }} props */
function Measure({ onWidth }) {
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  useLayoutEffect(() => { if (place.current) onWidth(Math.floor(place.current.clientWidth)); }, []);
  return html`<div ref=${place} class="measure"></div>`;
}

/** @param {import("./app.js").Props & { tree: Tree, focus: number }} props */
function Graph({ session, state, tree, focus }) {
  const { view } = state;
  const scroller = useRef(/** @type {HTMLElement | null} */ (null));
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const hoverBox = useRef(/** @type {HTMLElement | null} */ (null));
  const hereBox = useRef(/** @type {HTMLElement | null} */ (null));
  const card = useRef(/** @type {HTMLElement | null} */ (null));
  const size = useSize(scroller, session.setWidth);
  const lit = useMemo(() => litNodes(tree, view.q), [tree, view.q]);
  const [here, setHere] = useCurrent(tree);
  const [walking, setWalking] = useState(false);
  /** What is on the canvas now. */
  const picture = useRef(/** @type {Picture | null} */ (null));
  const frame = useRef(0);

  /** Draws at most once per frame of the screen. */
  const draw = () => {
    cancelAnimationFrame(frame.current);
    frame.current = requestAnimationFrame(() => {
      if (!canvas.current || !picture.current || !scroller.current) return;
      picture.current.scroll = scroller.current.scrollTop;
      drawFlame(canvas.current, picture.current, themeColours());
      place(hereBox.current, picture.current, here);
    });
  };

  useLayoutEffect(() => {
    if (size.width === 0 || !scroller.current) return;
    const before = picture.current;
    const [from, until] = (focus === 0 && parsePart(view.part)) || [0, 1];
    const [x0, x1] = [tree.x[focus] + from * tree.total[focus], tree.x[focus] + until * tree.total[focus]];
    const next = { tree, focus, x0, x1, ...size, scroll: scroller.current.scrollTop, upwards: view.view === "flame", colour: view.colour, lit };
    picture.current = next;
    hide(hoverBox.current, card.current);
    if (before && before.tree === tree && (before.x0 !== x0 || before.x1 !== x1) && !stillness()) return glide(next, before, draw);
    draw();
  });
  useLayoutEffect(() => {
    const element = scroller.current;
    if (element) element.scrollTop = view.view === "flame" ? element.scrollHeight : 0;
  }, [view.view]);

  const zoomTo = (/** @type {number} */ node) => {
    if (node > 0) session.zoomTo(idOf(tree, node), { tree, node });
    else if (view.part !== "") session.navigate({ part: "" });
  };
  /** Opens a filler: zooms to its parent, or, where that fills the width already, stretches the filler. */
  const open = (/** @type {number} */ item) => {
    const { filler } = tree;
    if (filler.parent[item] > 0) return zoomTo(filler.parent[item]);
    session.navigate({ part: printPart(filler.x[item] / tree.total[0], Math.min((filler.x[item] + filler.total[item]) / tree.total[0], 1)) });
  };
  const up = () => {
    if (view.part !== "") return session.navigate({ part: "" });
    if (focus > 0) return session.zoomTo(tree.rootId, null);
    const above = tree.ancestors.at(-1);
    if (above) return session.zoomTo(above.id, null);
    if (view.q !== "") session.navigate({ q: "" });
  };
  const goTo = (/** @type {number} */ node) => { setHere(node); reveal(scroller.current, picture.current, node); };
  const step = (/** @type {1 | -1} */ way) => {
    const matches = matchesIn(lit);
    if (matches.length === 0) return;
    const next = way > 0 ? matches.find((node) => node > here) ?? matches[0] : matches.findLast((node) => node < here) ?? matches[matches.length - 1];
    setWalking(true);
    goTo(next);
  };
  useEffect(() => {
    const off = [onCommand("next-match", () => step(1)), onCommand("previous-match", () => step(-1)), onCommand("zoom-in", () => zoomTo(here)),
      onCommand("zoom-out", up), onCommand("reset-zoom", () => session.zoomTo(ALL, null)),
      onCommand("graph", () => scroller.current?.querySelector("[role=tree]") instanceof HTMLElement && /** @type {HTMLElement} */ (scroller.current.querySelector("[role=tree]")).focus())];
    return () => off.forEach((remove) => remove());
  });

  const onClick = (/** @type {MouseEvent} */ event) => {
    const hit = hitAt(event, canvas.current, picture.current);
    if (!hit) return;
    if ("ancestor" in hit) session.zoomTo(tree.ancestors[hit.ancestor].id, null);
    else if ("filler" in hit) open(hit.filler);
    else { setHere(hit.node); zoomTo(hit.node); }
  };
  const onPointerMove = (/** @type {PointerEvent} */ event) => {
    if (event.pointerType === "touch") return;
    const hit = hitAt(event, canvas.current, picture.current);
    hovered(hit, event, picture.current, hoverBox.current, card.current, canvas.current);
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Enter" || event.key === " ") zoomTo(here);
    else {
      const next = walk(tree, here, event.key, view.view === "flame");
      if (next === null) return;
      setWalking(true);
      goTo(next);
    }
    event.preventDefault();
  };
  return html`
    <div class="scroller" ref=${scroller} onScroll=${() => { hide(hoverBox.current, card.current); draw(); }}
      onPointerMove=${onPointerMove} onPointerLeave=${() => hide(hoverBox.current, card.current)} onClick=${onClick}>
      <div class="sizer" style=${{ height: `${Math.max(contentHeight(tree), size.height)}px` }}>
        <div class="window" style=${{ height: `${size.height}px` }}>
          <canvas ref=${canvas} aria-hidden="true"></canvas>
          <div class="hover-box" ref=${hoverBox} hidden></div>
          <div class=${`here-box ${walking ? "walking" : ""}`} ref=${hereBox} hidden></div>
        </div>
        <${FlameTree} tree=${tree} here=${here} upwards=${view.view === "flame"} onKeyDown=${onKeyDown} onBlur=${() => setWalking(false)} onFocus=${() => setWalking(true)} />
      </div>
    </div>
    <div class="card" ref=${card} hidden></div>`;
}

/**
 * Size of an element, kept up to date; its width is also told to the session, which asks for what fits.
 * @param {import("../vendor/preact-htm.js").Ref<HTMLElement | null>} place
 * @param {(width: number) => void} onWidth
 */
function useSize(place, onWidth) {
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
function useCurrent(tree) {
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

/**
 * Moves from one zoom to the next in a blink, so that the eye keeps its place.
 * @param {Picture} picture
 * @param {Picture} from
 * @param {() => void} draw
 */
function glide(picture, from, draw) {
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

function stillness() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** @param {MouseEvent} event @param {HTMLCanvasElement | null} canvas @param {Picture | null} picture */
function hitAt(event, canvas, picture) {
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
function hovered(hit, event, picture, box, card, canvas) {
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
function hide(box, card) {
  if (box) box.hidden = true;
  if (card) card.hidden = true;
}

/** @param {HTMLElement | null} box @param {Picture} picture @param {number} node */
function place(box, picture, node) {
  if (!box) return;
  const { left, wide, top } = boxOf(picture, node);
  box.hidden = wide <= 0;
  box.style.transform = `translate(${left}px, ${top}px)`;
  box.style.width = `${Math.max(wide - 1, 2)}px`;
}

/** Scrolls no more than needed. @param {HTMLElement | null} scroller @param {Picture | null} picture @param {number} node */
function reveal(scroller, picture, node) {
  if (!scroller || !picture) return;
  const { top } = boxOf({ ...picture, scroll: scroller.scrollTop }, node);
  if (top < 0) scroller.scrollTop += top - ROW;
  else if (top + ROW > picture.height) scroller.scrollTop += top + 2 * ROW - picture.height;
}

