// @ts-check
// How the graph is drawn and searched, where in it we are, and what the selection adds up to.

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { onCommand, run } from "../commands.js";
import { ALL } from "../model/nodeid.js";
import { relativeError } from "../model/precision.js";
import { lengthTitle } from "../model/range.js";
import { printable } from "../model/text.js";
import { chainTo, idOf, nameOf } from "../model/tree.js";
import { counted, formatCores, formatPercent, formatShare, formatValue } from "../model/units.js";
import { isStale } from "../slot.js";
import { Glyph } from "./glyph.js";
import { Choices, Menu } from "./menu.js";

const TYPING_MS = 160;
const COLOURS = { kind: "kind", binary: "binary" };

/** @param {import("./profilepage.js").Props} props */
export function Toolbar({ session, state }) {
  const { view } = state;
  return html`
    <div class="toolbar" role="group" aria-label="Graph">
      <div class="segments" role="group" aria-label="Orientation">
        ${/** @type {const} */ (["icicle", "flame"]).map((key) => html`<button type="button" key=${key} aria-pressed=${view.view === key ? "true" : "false"}
          onClick=${() => session.navigate({ view: key })}>${key === "icicle" ? "Icicle" : "Flame"}</button>`)}
      </div>
      <${Find} session=${session} state=${state} />
      <${Menu} label=${html`Colour: ${COLOURS[view.colour]} <span aria-hidden="true">▾</span>`} title="Colour of the boxes">
        ${(/** @type {() => void} */ close) => html`<${Choices} current=${view.colour}
          items=${[{ key: "kind", title: "by kind", detail: "native, kernel, runtime …" }, { key: "binary", title: "by binary", detail: "one hue per file" }]}
          onPick=${(/** @type {"kind" | "binary"} */ colour) => { session.navigate({ colour }); close(); }} />`}
      <//>
      <${Breadcrumb} session=${session} state=${state} />
      <${Summary} state=${state} />
    </div>`;
}

/** @param {import("./profilepage.js").Props} props */
function Find({ session, state }) {
  const { q } = state.view;
  const [text, setText] = useState(q);
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => { setText(q); }, [q]);
  useEffect(() => onCommand("find", () => field.current?.select()), []);
  useEffect(() => {
    if (text === q) return;
    const timer = setTimeout(() => session.navigate({ q: text }, { replace: q !== "" }), TYPING_MS);
    return () => clearTimeout(timer);
  }, [text]);
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Enter") run(event.shiftKey ? "previous-match" : "next-match");
    else if (event.key === "Escape") { if (text === "") field.current?.blur(); session.navigate({ q: "" }); }
    else return;
    event.preventDefault();
  };
  return html`
    <div class=${`find ${q ? "active" : ""}`}>
      <input ref=${field} id="find" type="text" class="bare" spellcheck=${false} autocomplete="off" placeholder="Find frames or /regex/" aria-label="Find frames"
        value=${text} onInput=${(/** @type {any} */ event) => setText(event.target.value)} onKeyDown=${onKeyDown} />
      ${q !== "" && html`<${Matches} state=${state} />
        <button type="button" class="step" title="Previous match (N)" onClick=${() => run("previous-match")}><${Glyph} sign="‹" words="Previous match" /></button>
        <button type="button" class="step" title="Next match (n)" onClick=${() => run("next-match")}><${Glyph} sign="›" words="Next match" /></button>
        <button type="button" class="step" title="End the search" onClick=${() => session.navigate({ q: "" })}><${Glyph} sign="✕" words="End the search" /></button>`}
    </div>`;
}

/** @param {{ state: import("../session.js").State }} props */
function Matches({ state }) {
  const tree = /** @type {import("../model/tree.js").Tree | null} */ (state.tree.data);
  const match = tree?.match;
  if (!tree || !match || match.q !== state.view.q) return html`<output class="count">…</output>`;
  const share = formatShare(match.total, tree.total[0]);
  const title = `${counted(match.functions, "function")} in ${counted(match.frames, "frame")}: ${formatValue(match.total, tree.unit)}, nested matches counted once`;
  return html`<output class="count" title=${title}>${match.frames === 0 ? "no frame" : `${counted(match.frames, "frame")} · ${share}`}</output>`;
}

/** @param {import("./profilepage.js").Props} props */
function Breadcrumb({ session, state }) {
  const tree = /** @type {import("../model/tree.js").Tree | null} */ (state.tree.data);
  if (!tree) return html`<span class="spring" />`;
  const known = state.zoom?.tree === tree ? state.zoom.node : 0;
  const path = [...tree.ancestors.map(({ name, id }) => ({ name, id: () => id })),
    ...chainTo(tree, known).map((node) => ({ name: nameOf(tree, node), id: () => idOf(tree, node) }))];
  const missing = tree.rootMissing && html`<span class="note" title="It was zoomed to before the range or the filter changed.">the frame zoomed to is not in this range</span>`;
  const narrow = state.view.part !== "" && html`<span class="third" aria-hidden="true">›</span><span class="crumb here">▸ narrow frames</span>
    <button type="button" class="crumb close" title="Back to the whole width (Esc)" onClick=${() => session.navigate({ part: "" })}><${Glyph} sign="✕" words="Back to the whole width" /></button>`;
  if (path.length < 2) return html`<nav class="crumbs" aria-label="Zoom">${narrow && html`<span class="crumb all">all</span>`}${narrow}${missing}</nav>`;
  const folded = path.length > 4 ? path.length - 3 : 0;
  const last = path.length - 1;
  return html`
    <nav class="crumbs" aria-label="Zoom">
      <button type="button" class="crumb all" onClick=${() => session.zoomTo(ALL, null)}>all</button>
      ${folded > 0 && html`<span class="third" aria-hidden="true">›</span><button type="button" class="crumb" title=${`${folded} frames between`} onClick=${() => session.zoomTo(path[folded].id(), null)}>…</button>`}
      ${path.slice(1 + folded).map(({ name, id }, at) => {
        const here = at + 1 + folded === last;
        return html`<span class="third" aria-hidden="true">›</span>${here ? html`<code class="crumb here" title=${printable(name)}>${printable(name)}</code>
          <button type="button" class="crumb close" title="Reset the zoom (0)" onClick=${() => session.zoomTo(ALL, null)}><${Glyph} sign="✕" words="Reset the zoom" /></button>`
          : html`<button type="button" class="crumb" title=${printable(name)} onClick=${() => session.zoomTo(id(), null)}><code>${printable(name)}</code></button>`}`;
      })}
      ${narrow}${missing}
    </nav>`;
}

/** @param {{ state: import("../session.js").State }} props */
function Summary({ state }) {
  const tree = /** @type {import("../model/tree.js").Tree | null} */ (state.tree.data);
  if (!tree) return null;
  const ms = tree.span.untilMs - tree.span.fromMs;
  // A range that ends now is rounded up to a whole window: what is still to come has used nothing.
  const passed = Math.max(1, Math.min(tree.span.untilMs, Date.now()) - tree.span.fromMs);
  const time = tree.unit === "nanoseconds";
  const error = relativeError(tree.events);
  return html`
    <p class=${`summary ${isStale(state.tree) && !state.tree.quiet ? "stale" : ""}`}>
      <b>${formatValue(tree.whole, tree.unit)}</b> ${time ? "CPU" : ""} of ${lengthTitle(ms)}
      ${time && html` · ${formatCores(tree.whole / (passed * 1e6))}`}
      ${tree.events > 0 && html` · <b>${tree.events.toLocaleString("en")}</b> samples`}
      ${error !== null && html` · <span class="nowrap" title="95 % error of the whole, from the number of samples">± ${formatPercent(100 * error)}</span>`}
    </p>`;
}
