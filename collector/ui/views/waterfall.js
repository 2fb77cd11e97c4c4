// @ts-check
// The spans of a trace as rows over time. Only the rows on the screen exist, so size doesn't matter.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/preact-htm.js";
import { onCommand } from "../commands.js";
import { visibleRows } from "../model/pages.js";
import { printable } from "../model/text.js";
import { CIRCLE, ORPHAN } from "../model/trace.js";
import { formatNanoseconds } from "../model/units.js";
import { barOf, ticksOf, walk } from "../model/waterfall.js";
import { Glyph } from "./glyph.js";

/** @typedef {import("../model/trace.js").Trace} Trace */
/** @typedef {import("../model/waterfall.js").Stretch} Stretch */

const ROW = 28;
/** Deeper rows are not moved further right: their names would leave the screen. */
const DEEPEST_INDENT = 20;

/**
 * @typedef {object} Props
 * @property {Trace} trace
 * @property {number[]} shown rows that are open to view
 * @property {ReadonlySet<number>} closed
 * @property {number} selected
 * @property {Stretch} stretch
 * @property {ReadonlyMap<number, [number, number][]>} critical
 * @property {ReadonlySet<number>} hits
 * @property {(row: number) => number} hueOf
 * @property {(row: number) => void} onSelect
 * @property {(row: number) => void} onToggle
 */

/** @param {Props} props */
export function Waterfall(props) {
  const { trace, shown, closed, selected, stretch, onSelect, onToggle } = props;
  const scroller = useRef(/** @type {HTMLElement | null} */ (null));
  const [seen, setSeen] = useState({ top: 0, height: 800 });
  const { from, until } = visibleRows(seen.top, seen.height, ROW, shown.length);
  const look = () => { if (scroller.current) setSeen({ top: scroller.current.scrollTop, height: scroller.current.clientHeight }); };
  useLayoutEffect(() => {
    const watch = new ResizeObserver(look);
    if (scroller.current) watch.observe(scroller.current);
    return () => watch.disconnect();
  }, []);
  useEffect(() => onCommand("graph", () => scroller.current?.focus()), []);
  useEffect(() => { if (isNowhere(document.activeElement)) scroller.current?.focus({ preventScroll: true }); }, []);
  useLayoutEffect(() => {
    const [element, at] = [scroller.current, shown.indexOf(selected)];
    if (!element || at < 0) return;
    if (at * ROW < element.scrollTop) element.scrollTop = at * ROW;
    else if ((at + 1) * ROW > element.scrollTop + element.clientHeight) element.scrollTop = (at + 1) * ROW - element.clientHeight;
  }, [selected]);
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const led = walk(trace, shown, closed, selected, event.key, Math.max(1, Math.floor(seen.height / ROW) - 1));
    if (!led) return;
    event.preventDefault();
    if (led.toggle) onToggle(led.row);
    else onSelect(led.row);
  };
  return html`
    <section class="waterfall" aria-label="Spans">
      <${Ruler} stretch=${stretch} />
      <div id="content-rows" class="span-rows" ref=${scroller} tabindex="0" role="treegrid" aria-label="Spans of the trace" aria-rowcount=${shown.length}
        aria-activedescendant=${shown.includes(selected) ? `span-${selected}` : undefined} onKeyDown=${onKeyDown} onScroll=${look}>
        <div class="sizer" role="presentation" style=${{ height: `${shown.length * ROW}px` }}>
          ${shown.slice(from, until).map((row, index) => html`<${SpanRow} key=${row} ...${props} row=${row} at=${from + index} />`)}
        </div>
      </div>
    </section>`;
}

/** Whether keys go to nothing in particular. @param {Element | null} focused */
function isNowhere(focused) {
  return focused === null || focused === document.body || focused.matches("main");
}

/** @param {{ stretch: Stretch }} props */
function Ruler({ stretch }) {
  return html`
    <div class="ruler" aria-hidden="true"><span class="note">Service and operation</span><div class="ruler-track">${ticksOf(stretch, 6).map((ns) => {
      const { left } = barOf(stretch, ns, 0) ?? { left: 0 };
      return left > 0.95 ? null : html`<i key=${ns} style=${{ left: `${100 * left}%` }}>${formatNanoseconds(ns)}</i>`;
    })}</div></div>`;
}

/** @param {Props & { row: number, at: number }} props */
function SpanRow({ trace, closed, selected, stretch, critical, hits, hueOf, onSelect, onToggle, row, at }) {
  const span = trace.spans[row];
  const beneath = trace.end[row] - row - 1;
  const open = !closed.has(row);
  const failed = span.status === "error";
  const toggle = (/** @type {Event} */ event) => { event.stopPropagation(); onToggle(row); };
  return html`
    <div id=${`span-${row}`} role="row" class=${`span-row ${selected === row ? "chosen" : ""} ${hits.has(row) ? "hit" : ""}`} style=${{ transform: `translateY(${at * ROW}px)` }}
      aria-level=${trace.depth[row] + 1} aria-rowindex=${at + 1} aria-selected=${selected === row ? "true" : "false"} aria-expanded=${beneath > 0 ? (open ? "true" : "false") : undefined} onClick=${() => onSelect(row)}>
      <div role="gridcell" class="span-name" style=${{ "--depth": Math.min(trace.depth[row], DEEPEST_INDENT) }} title=${`${printable(span.service)}\n${printable(span.name)}`}>
        ${beneath > 0 ? html`<button type="button" class="twist" tabindex="-1" onClick=${toggle}><${Glyph} sign=${open ? "▾" : "▸"} words=${open ? "Close" : "Open"} /></button>`
          : html`<i class="twist" />`}
        <i class=${`stripe hue-${hueOf(row)}`} aria-hidden="true" />
        ${failed && html`<span class="failed-mark" title=${printable(span.status_message || "error")}><${Glyph} sign="!" words="error" /></span>`}
        <b>${printable(span.service)}</b><code>${printable(span.name)}</code>
        ${!open && html`<span class="third beneath">+ ${beneath.toLocaleString("en")}</span>`}
        ${trace.flag[row] === ORPHAN && html`<span class="lost-parent" title="It names a parent that is not here, so its place in the tree is not known.">parent not received</span>`}
        ${trace.flag[row] === CIRCLE && html`<span class="lost-parent" title="The parents of this span lead back to itself; the circle is cut here.">parents lead in a circle</span>`}
      </div>
      <div role="gridcell" class="span-track"><${Bar} stretch=${stretch} start=${trace.start[row]} duration=${trace.duration[row]} hue=${hueOf(row)} failed=${failed} parts=${critical.get(row) ?? []} /></div>
    </div>`;
}

/** Where to look for a bar that is not in the part that is shown. @param {{ before: boolean, duration: number }} props */
function Outside({ before, duration }) {
  const length = formatNanoseconds(duration);
  return html`<span class=${`aside third ${before ? "" : "after"}`}><${Glyph} sign=${before ? `◂ ${length}` : `${length} ▸`} words=${`${length}, ${before ? "before" : "after"} what is shown`} /></span>`;
}

/** @param {{ stretch: Stretch, start: number, duration: number, hue: number, failed: boolean, parts: [number, number][] }} props */
function Bar({ stretch, start, duration, hue, failed, parts }) {
  const bar = barOf(stretch, start, duration);
  if (!bar) return html`<${Outside} before=${start < stretch.fromNs} duration=${duration} />`;
  const label = bar.right < 0.82 ? { left: `${100 * bar.right}%` } : bar.left > 0.18 ? { right: `${100 * (1 - bar.left)}%` } : { right: `${100 * (1 - bar.right)}%` };
  const inside = bar.right >= 0.82 && bar.left <= 0.18;
  const place = (/** @type {number} */ left, /** @type {number} */ right) => ({ left: `${100 * left}%`, width: `${100 * (right - left)}%` });
  return html`
    <i class=${`span-bar hue-${hue} ${failed ? "failed" : ""}`} style=${place(bar.left, bar.right)} />
    ${parts.map(([from, until]) => {
      const part = barOf(stretch, from, until - from);
      return part && html`<i key=${from} class="critical" style=${place(part.left, part.right)} />`;
    })}
    <span class=${`bar-label ${inside ? "inside" : ""}`} style=${label}>${formatNanoseconds(duration)}</span>`;
}
