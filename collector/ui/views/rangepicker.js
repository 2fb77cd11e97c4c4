// @ts-check
// Chooses a range: relative to now, between two moments, or one width earlier or later.

import { html, useState } from "../vendor/preact-htm.js";
import { dayOf, clock, isRelative, PRESETS, rangeTitle, spanInFull, zone } from "../model/range.js";
import { Glyph } from "./glyph.js";
import { Choices, Menu } from "./menu.js";

/** @param {import("./topbar.js").Framed} props */
export function RangePicker({ session, state }) {
  const { view, span } = state;
  const title = rangeTitle(view.from, view.until);
  const shift = (/** @type {-1 | 1} */ way) => {
    const width = span.untilMs - span.fromMs;
    const untilMs = Math.min(span.untilMs + way * width, Date.now());
    session.navigate({ from: `${Math.round(untilMs - width)}`, until: `${Math.round(untilMs)}`, select: "" });
  };
  return html`
    <div class="range" role="group" aria-label="Time range">
      <button type="button" class="button icon" title="Earlier" onClick=${() => shift(-1)}><${Glyph} sign="‹" words="Earlier" /></button>
      <${Menu} label=${html`${title} <span aria-hidden="true">▾</span>`} title=${spanInFull(span)} panel="ranges" end>
        ${(/** @type {() => void} */ close) => html`
          <${Choices} current=${isRelative(view.from) ? view.from.slice(4) : ""}
            items=${PRESETS.map((key) => ({ key, title: rangeTitle(`now-${key}`, "now") }))}
            onPick=${(/** @type {string} */ key) => { session.navigate({ from: `now-${key}`, until: "now", select: "" }); close(); }} />
          <${Absolute} span=${span} onPick=${(/** @type {number} */ from, /** @type {number} */ until) => {
            session.navigate({ from: `${from}`, until: `${until}`, select: "" });
            close();
          }} />`}
      <//>
      <button type="button" class="button icon" title="Later" disabled=${isRelative(view.until)} onClick=${() => shift(1)}><${Glyph} sign="›" words="Later" /></button>
    </div>`;
}

/** @param {{ span: import("../model/range.js").Span, onPick: (from: number, until: number) => void }} props */
function Absolute({ span, onPick }) {
  const [from, setFrom] = useState(`${dayOf(span.fromMs)}T${clock(span.fromMs, true)}`);
  const [until, setUntil] = useState(`${dayOf(span.untilMs)}T${clock(span.untilMs, true)}`);
  const [fromMs, untilMs] = [new Date(from).getTime(), new Date(until).getTime()];
  const right = fromMs < untilMs;
  const apply = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (right) onPick(fromMs, untilMs);
  };
  return html`
    <form class="absolute" onSubmit=${apply}>
      <label>From <input class="field" type="datetime-local" step="1" value=${from} onInput=${(/** @type {any} */ event) => setFrom(event.target.value)} /></label>
      <label>Until <input class="field" type="datetime-local" step="1" value=${until} onInput=${(/** @type {any} */ event) => setUntil(event.target.value)} /></label>
      <p class="note">${right ? `Local time, ${zone(span.untilMs)}` : "The end must come after the start."}</p>
      <button type="submit" class="button primary" disabled=${!right}>Show this range</button>
    </form>`;
}
