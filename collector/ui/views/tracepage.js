// @ts-check
// One trace: its shape, its spans over time, and the one that is picked.

import { html, useEffect, useMemo, useRef, useState } from "../vendor/preact-htm.js";
import { address } from "../api.js";
import { onCommand, run } from "../commands.js";
import { criticalPath } from "../model/criticalpath.js";
import { link } from "../model/place.js";
import { stamp, zone } from "../model/range.js";
import { printable } from "../model/text.js";
import { findRows, openRows } from "../model/trace.js";
import { counted, formatNanoseconds } from "../model/units.js";
import { parsePart, printPart } from "../model/view.js";
import { allParents, partAround, revealed, stretchOf } from "../model/waterfall.js";
import { isBusy } from "../slot.js";
import { Glyph } from "./glyph.js";
import { Minimap } from "./minimap.js";
import { SkeletonTable } from "./requeststates.js";
import { SpanDetail } from "./spandetail.js";
import { Failure, Waiting } from "./states.js";
import { Waterfall } from "./waterfall.js";

/** @typedef {import("../model/trace.js").Trace} Trace */

/** A held key picks thirty spans a second; browsers refuse so many changes of the address. */
const ADDRESS_PAUSE_MS = 150;

/** @param {import("./requestpage.js").Props} props */
export function TracePage(props) {
  const { session, state } = props;
  const slot = state.answers.trace;
  if (slot.data?.spans.length > 0) return html`<${Loaded} key=${slot.shown} ...${props} trace=${slot.data} />`;
  const unknown = slot.error?.status === 404;
  return html`
    <${TraceBar} state=${state} trace=${null} />
    <main id="content" class="page" aria-busy=${isBusy(slot) ? "true" : "false"}>
      ${slot.error && !unknown && html`<${Failure} error=${slot.error} onRetry=${session.retry} />`}
      ${(unknown || slot.data) && html`<${Unknown} state=${state} said=${slot.error?.message ?? "The trace has no spans."} onRetry=${session.retry} />`}
      ${slot.pending && html`<${SkeletonTable} rows=${14} /><${Waiting} what="Loading the trace" />`}
    </main>`;
}

/** @param {{ state: import("../requestsession.js").RequestState, said: string, onRetry: () => void }} props */
function Unknown({ state, said, onRetry }) {
  return html`
    <section class="state">
      <h1>This trace is not here</h1>
      <p>${said}</p>
      <p>Its spans may still be on their way, may not have been sampled, or may be older than what is kept.</p>
      <p class="row"><button type="button" class="button primary" onClick=${onRetry}>Look again</button>
        <a class="button" href=${link("/traces", {}, state.view)}>Find traces</a></p>
    </section>`;
}

/** @param {import("./requestpage.js").Props & { trace: Trace }} props */
function Loaded({ session, state, trace }) {
  const { view } = state;
  const [closed, setClosed] = useState(/** @type {ReadonlySet<number>} */ (new Set()));
  const [selected, setSelected] = useState(() => Math.max(0, trace.spans.findIndex(({ span_id }) => span_id === view.span)));
  const told = useRef(/** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined));
  const shown = useMemo(() => openRows(trace, closed), [trace, closed]);
  const critical = useMemo(() => criticalPath(trace), [trace]);
  const matches = useMemo(() => findRows(trace, view.q), [trace, view.q]);
  const hits = useMemo(() => new Set(matches), [matches]);
  const hueOf = useMemo(() => { const hues = new Map(trace.services.map(({ name, hue }) => [name, hue])); return (/** @type {number} */ row) => hues.get(String(trace.spans[row].service ?? "")) ?? 0; }, [trace]);
  const part = parsePart(view.part);
  const setPart = (/** @type {[number, number] | null} */ next) => session.navigate({ part: next ? printPart(...next) : "" });
  const select = (/** @type {number} */ row) => {
    setSelected(row);
    setClosed(revealed(trace, closed, row));
    clearTimeout(told.current);
    told.current = setTimeout(() => session.navigate({ span: trace.spans[row].span_id ?? "" }, { replace: true }), ADDRESS_PAUSE_MS);
  };
  useEffect(() => () => clearTimeout(told.current), []);
  const toggle = (/** @type {number} */ row) => {
    const next = new Set(closed);
    if (!next.delete(row)) next.add(row);
    setClosed(next);
    setSelected(row);
  };
  useEffect(() => {
    const row = trace.spans.findIndex(({ span_id }) => span_id === view.span);
    if (row >= 0 && trace.spans[selected].span_id !== view.span) { setSelected(row); setClosed(revealed(trace, closed, row)); }
  }, [view.span]);
  const toMatch = (/** @type {1 | -1} */ way) => {
    if (matches.length === 0) return;
    const next = way > 0 ? matches.find((row) => row > selected) ?? matches[0] : matches.findLast((row) => row < selected) ?? matches[matches.length - 1];
    select(next);
  };
  useCommands({
    "next-match": () => toMatch(1), "previous-match": () => toMatch(-1), "open-all": () => setClosed(new Set()),
    "close-all": () => { setClosed(allParents(trace)); setSelected(0); },
    "zoom-in": () => setPart(partAround(trace, { fromNs: trace.start[selected], untilNs: trace.start[selected] + trace.duration[selected] })),
    "zoom-out": () => { if (view.part) setPart(null); else if (view.q) session.navigate({ q: "" }); },
  });
  return html`
    <${TraceBar} state=${state} trace=${trace} />
    <main id="content" class="page">
      <${Minimap} trace=${trace} hueOf=${hueOf} part=${part} onPart=${setPart} />
      <${Tools} session=${session} view=${view} trace=${trace} found=${view.q === "" ? null : matches.length} zoomed=${part !== null} />
      <div class="trace-panes">
        <${Waterfall} trace=${trace} shown=${shown} closed=${closed} selected=${selected} stretch=${stretchOf(trace, part)} critical=${critical} hits=${hits} hueOf=${hueOf} onSelect=${select} onToggle=${toggle} />
        <${SpanDetail} trace=${trace} row=${selected} critical=${critical} view=${view} onSelect=${select} />
      </div>
    </main>`;
}

/** Commands whose answers change with each drawing. @param {Partial<Record<import("../commands.js").Command, () => void>>} commands */
function useCommands(commands) {
  const latest = useRef(commands);
  latest.current = commands;
  useEffect(() => {
    const undo = /** @type {import("../commands.js").Command[]} */ (Object.keys(commands)).map((name) => onCommand(name, () => latest.current[name]?.()));
    return () => undo.forEach((one) => one());
  }, []);
}

/** @param {{ state: import("../requestsession.js").RequestState, trace: Trace | null }} props */
function TraceBar({ state, trace }) {
  const { id } = state.place;
  const root = trace?.spans[0];
  return html`
    <div class="scopebar" role="region" aria-label="Trace">
      <div class="chips">
        ${trace ? html`<h1 class="subject">${printable(root.service)} <code>${printable(root.name)}</code></h1>
          <span class="chip"><b>${formatNanoseconds(trace.lengthNs)}</b></span>
          <span class="note">${counted(trace.spans.length, "span")} · ${counted(trace.services.length, "service")}
            ${trace.errors > 0 && html` · <span class="bad">${counted(trace.errors, "error")}</span>`} · ${stamp(trace.startMs)} ${zone(trace.startMs)}</span>`
          : html`<h1 class="subject">Trace</h1>`}
        <code class="third trace-id">${id}</code>
      </div>
      <a class="button" href=${address(`/traces/${id}`)} download=${`trace-${id}.json`}><span aria-hidden="true">⤓</span> JSON</a>
      <a class="button" href=${link("/traces", {}, state.view)}>Find traces</a>
    </div>`;
}

/** @param {{ session: import("../requestsession.js").RequestSession, view: import("../model/requestview.js").RequestView, trace: Trace, found: number | null, zoomed: boolean }} props */
function Tools({ session, view, trace, found, zoomed }) {
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => onCommand("find", () => field.current?.select()), []);
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Enter") run(event.shiftKey ? "previous-match" : "next-match");
    else if (event.key === "Escape") { session.navigate({ q: "" }, { replace: true }); field.current?.blur(); }
    else return;
    event.preventDefault();
  };
  return html`
    <div class="toolbar" role="group" aria-label="Waterfall">
      <div class=${`find ${view.q ? "active" : ""}`}>
        <input ref=${field} type="text" class="bare" spellcheck=${false} autocomplete="off" placeholder="Find spans" aria-label="Find spans" value=${view.q}
          onInput=${(/** @type {any} */ event) => session.navigate({ q: event.target.value }, { replace: true })} onKeyDown=${onKeyDown} />
        ${found !== null && html`<output class="count">${found === 0 ? "no span" : counted(found, "span")}</output>
          <button type="button" class="step" title="Previous match (N)" onClick=${() => run("previous-match")}><${Glyph} sign="‹" words="Previous match" /></button>
          <button type="button" class="step" title="Next match (n)" onClick=${() => run("next-match")}><${Glyph} sign="›" words="Next match" /></button>`}
      </div>
      <button type="button" class="button" title="Open all spans (o)" onClick=${() => run("open-all")}>Open all</button>
      <button type="button" class="button" title="Close all spans (p)" onClick=${() => run("close-all")}>Close all</button>
      ${zoomed && html`<button type="button" class="button primary" title="The whole width (Esc)" onClick=${() => run("zoom-out")}>Whole trace</button>`}
      <span class="spring" />
      <ul class="trace-legend" aria-label="Services">${trace.services.slice(0, 8).map(({ name, hue, spans, errors }) => html`
        <li key=${name} title=${`${counted(spans, "span")}, ${counted(errors, "error")}`}><i class=${`swatch hue-${hue}`} aria-hidden="true" />${printable(name || "?")} <span class="third">${spans.toLocaleString("en")}</span></li>`)}
        ${trace.services.length > 8 && html`<li class="third">+ ${trace.services.length - 8}</li>`}
        <li><i class="critical-key" aria-hidden="true" />critical path</li></ul>
    </div>`;
}
