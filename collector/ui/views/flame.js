// @ts-check
// The flame graph: a canvas for the eyes, a tree for keys and screen readers, a card for the frame pointed at.
// Pointer moves never render the page; they move two boxes and a card.

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/preact-htm.js";
import { onCommand } from "../commands.js";
import { contentHeight, drawFlame } from "../drawing/flame.js";
import { themeColours } from "../drawing/surface.js";
import { litNodes, matchesIn } from "../model/lit.js";
import { ALL } from "../model/nodeid.js";
import { idOf } from "../model/tree.js";
import { parsePart, printPart } from "../model/view.js";
import { isStale } from "../slot.js";
import { glide, hide, hitAt, hovered, place, reveal, stillness } from "./flamepointer.js";
import { useCurrent, useSize } from "./flamestate.js";
import { FlameTree } from "./flametree.js";
import { Skeleton, Waiting } from "./states.js";
import { walk } from "./walk.js";

/** @typedef {import("../model/tree.js").Tree} Tree */
/** @typedef {import("../drawing/flame.js").Picture} Picture */

/** @param {import("./profilepage.js").Props} props */
export function Flame({ session, state }) {
  const tree = /** @type {Tree | null} */ (state.tree.data);
  const stale = isStale(state.tree);
  const zooming = tree !== null && state.zoom?.tree === tree;
  return html`
    <section id="graph" class=${`flame ${stale && !state.tree.quiet && !zooming ? "stale" : ""}`} aria-label="Flame graph" aria-busy=${stale ? "true" : "false"}>
      ${tree === null || !(tree.total[0] > 0) ? html`<${Measure} onWidth=${session.setWidth} /><${Skeleton} />`
        : html`<${Graph} session=${session} state=${state} tree=${tree} focus=${zooming ? state.zoom?.node ?? 0 : 0} />`}
      ${state.types.pending && state.types.data === null && html`<${Waiting} key="types" what="Asking the collector" />`}
      ${state.tree.pending && !state.tree.quiet && html`<${Waiting} key=${state.tree.key} what="Merging stacks" />`}
    </section>`;
}

/**
 * The part of the root that opens a filler. One that fills the width already is opened from its left, where the largest are.
 * @param {[number, number]} shown
 * @param {number} from
 * @param {number} until
 */
function stretched([left, right], from, until) {
  const wide = right - left;
  return printPart(from, until - from > 0.8 * wide ? from + wide / 8 : until);
}

/** Tells the width before there is anything to draw. @param {{ onWidth: (width: number) => void }} props */
function Measure({ onWidth }) {
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  useLayoutEffect(() => { if (place.current) onWidth(Math.floor(place.current.clientWidth)); }, []);
  return html`<div ref=${place} class="measure"></div>`;
}

/** @param {import("./profilepage.js").Props & { tree: Tree, focus: number }} props */
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
    const from = filler.x[item] / tree.total[0];
    session.navigate({ part: stretched(parsePart(view.part) ?? [0, 1], from, Math.min(from + filler.total[item] / tree.total[0], 1)) });
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
