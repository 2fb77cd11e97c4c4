// @ts-check
// Functions by what they cost, exact, from the whole tree. Only the rows on the screen exist.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/preact-htm.js";
import { run } from "../commands.js";
import { exactly, exactName, matcherOf } from "../model/pattern.js";
import { rowAt, visibleRows } from "../model/pages.js";
import { printable, splitPath } from "../model/text.js";
import { KINDS } from "../model/tree.js";
import { columnFormat, counted, formatShare } from "../model/units.js";
import { isStale } from "../slot.js";
import { SkeletonRows } from "./states.js";

const ROW = 26;

/** @param {import("./profilepage.js").Props} props */
export function Table({ session, state }) {
  const { view, top, tree } = state;
  const scroller = useRef(/** @type {HTMLElement | null} */ (null));
  const [seen, setSeen] = useState({ top: 0, height: 800 });
  const [current, setCurrent] = useState(0);
  const pages = top.data?.pages;
  const { from, until } = visibleRows(seen.top, seen.height, ROW, pages?.count ?? 0);
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const watch = new ResizeObserver(() => setSeen({ top: element.scrollTop, height: element.clientHeight }));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);
  useEffect(() => { session.showRows(from, until); }, [from, until, top.shown]);
  const sorted = `${view.sort} ${view.order} ${view.root} ${view.table}`;
  useEffect(() => { if (scroller.current) scroller.current.scrollTop = 0; setCurrent(0); }, [sorted]);

  const goTo = (/** @type {number} */ row) => {
    const element = scroller.current;
    const next = Math.min(Math.max(row, 0), (pages?.count ?? 1) - 1);
    setCurrent(next);
    if (!element) return;
    if (next * ROW < element.scrollTop) element.scrollTop = next * ROW;
    else if ((next + 1) * ROW > element.scrollTop + element.clientHeight) element.scrollTop = (next + 1) * ROW - element.clientHeight;
    requestAnimationFrame(() => /** @type {HTMLElement | null} */ (element.querySelector("button[tabindex='0']"))?.focus());
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    const page = Math.max(1, Math.floor(seen.height / ROW) - 1);
    const steps = /** @type {Record<string, number>} */ ({ ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity });
    if (!(event.key in steps)) return;
    event.preventDefault();
    goTo(current + steps[event.key]);
  };
  const chosen = exactName(view.q);
  const matches = matcherOf(view.q);
  const find = (/** @type {string} */ name) => {
    session.navigate({ q: chosen === name ? "" : exactly(name), ...(view.table === "matching" ? { table: "all" } : {}) });
    if (chosen !== name) setTimeout(() => run("next-match"), 250);
  };
  const format = columnFormat(tree.data?.total[0] ?? top.data?.total ?? 0, tree.data?.unit ?? "nanoseconds");
  const rows = [];
  for (let row = from; row < until; row++) {
    rows.push({ row, data: pages ? rowAt(pages, row) : undefined });
  }
  return html`
    <section class=${`top ${isStale(top) && !top.quiet ? "stale" : ""}`} aria-label="Functions">
      <div class="grid" role="table" aria-label="Functions by cost" aria-rowcount=${(pages?.count ?? 0) + 1} aria-busy=${top.pending ? "true" : "false"}>
        <${Head} session=${session} state=${state} count=${pages?.count ?? null} />
        <div class="rows" role="rowgroup" ref=${scroller} onKeyDown=${onKeyDown} tabindex=${pages?.count ? undefined : 0}
          onScroll=${(/** @type {any} */ event) => setSeen({ top: event.target.scrollTop, height: event.target.clientHeight })}>
          ${top.data === null && !top.error && html`<${SkeletonRows} />`}
          ${top.error && html`<p class="note pad">${top.error.message} <button type="button" class="plain" onClick=${session.retry}>Try again</button></p>`}
          ${pages?.count === 0 && html`<p class="note pad">No function matches.</p>`}
          <div class="sizer" role="presentation" style=${{ height: `${(pages?.count ?? 0) * ROW}px` }}>
            ${rows.map(({ row, data }) => html`<${Row} key=${row} row=${row} data=${data} whole=${tree.data?.whole ?? top.data.total} format=${format}
              current=${row === current} hit=${data !== undefined && view.q !== "" && matches(data.name)} chosen=${data !== undefined && data.name === chosen} onFind=${find} onFocus=${setCurrent} />`)}
          </div>
        </div>
      </div>
    </section>`;
}

/** @param {import("./profilepage.js").Props & { count: number | null }} props */
function Head({ session, state, count }) {
  const { view } = state;
  const sortBy = (/** @type {"self" | "total"} */ sort) =>
    session.navigate({ sort, order: view.sort === sort && view.order === "desc" ? "asc" : "desc" });
  const column = (/** @type {"self" | "total"} */ sort, /** @type {string} */ title) => {
    const mine = view.sort === sort;
    return html`<div role="columnheader" class="number" aria-sort=${mine ? (view.order === "desc" ? "descending" : "ascending") : "none"}>
      <button type="button" onClick=${() => sortBy(sort)}>${title}${mine && html` <span aria-hidden="true">${view.order === "desc" ? "▾" : "▴"}</span>`}</button></div>`;
  };
  return html`
    <div role="rowgroup"><div class="head" role="row">
      <div role="columnheader" class="name">${count === null ? "Function" : counted(count, "function")}
        ${view.q !== "" && html`<button type="button" class="plain small" aria-pressed=${view.table === "matching" ? "true" : "false"}
          onClick=${() => session.navigate({ table: view.table === "matching" ? "all" : "matching" })}>${view.table === "matching" ? "show all" : "only matches"}</button>`}</div>
      ${column("self", "Self")}${column("total", "Total")}
    </div></div>`;
}

/**
 * @param {{ row: number, data: any, whole: number, format: (value: number) => string, current: boolean, hit: boolean, chosen: boolean,
 *   onFind: (name: string) => void, onFocus: (row: number) => void }} props
 */
function Row({ row, data, whole, format, current, hit, chosen, onFind, onFocus }) {
  const place = { transform: `translateY(${row * ROW}px)` };
  if (!data) return html`<div class="row" role="row" aria-rowindex=${row + 2} style=${place}><div role="cell" class="name third">…</div><div role="cell"></div><div role="cell"></div></div>`;
  const { path, rest } = splitPath(printable(data.name));
  const source = data.file ? `${printable(data.file)}${data.line > 0 ? `:${data.line}` : ""}` : "";
  return html`
    <div class=${`row ${hit ? "hit" : ""} ${chosen ? "chosen" : ""}`} role="row" aria-rowindex=${row + 2} style=${place}
      title=${[path + rest, source, printable(data.binary)].filter(Boolean).join("\n")} onClick=${() => onFind(data.name)}>
      <div role="cell" class="name"><i class=${`swatch ${KINDS[data.kind] ?? "unknown"}`} aria-hidden="true" /><button type="button" tabindex=${current ? 0 : -1} aria-pressed=${chosen ? "true" : "false"}
        onFocus=${() => onFocus(row)}><code>${path && html`<span class="path">${path}</span>`}${rest}</code></button><span class="binary">${printable(data.binary)}</span></div>
      <div role="cell" class=${`number ${data.self === 0 ? "third" : ""}`}>${format(data.self)}</div>
      <div role="cell" class="number"><i class="bar" style=${{ width: `${whole > 0 ? (100 * data.total) / whole : 0}%` }} />${format(data.total)} <span class="share">${formatShare(data.total, whole)}</span></div>
    </div>`;
}
