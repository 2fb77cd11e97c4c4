// @ts-check
// What stands where data should be: nothing yet, nothing at all, or a failure.

import { html, useEffect, useState } from "../vendor/preact-htm.js";
import { rangeTitle, spanTitle } from "../model/range.js";

/** In the shape of what comes. */
export function Skeleton() {
  const widths = [[100], [100], [96], [58, 30], [34, 20, 28], [30, 12, 18, 9], [22, 10, 12], [14, 8, 10], [9, 7]];
  return html`<div class="skeleton" aria-hidden="true">${widths.map((row, depth) => html`
    <div key=${depth}>${row.map((width, at) => html`<i key=${at} style=${{ width: `${width}%` }} />`)}</div>`)}</div>`;
}

export function SkeletonRows() {
  return html`<div class="skeleton rows" aria-hidden="true">${Array.from({ length: 14 }, (_, row) => html`
    <div key=${row}><i style=${{ width: `${48 - ((row * 13) % 30)}%` }} /></div>`)}</div>`;
}

/**
 * Says after a second how long it takes.
 * @param {{ what: string }} props
 */
export function Waiting({ what }) {
  const [seconds, setSeconds] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setSeconds((now) => now + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  return seconds < 1 ? null : html`<div class="waiting" role="status">${what} … ${seconds} s</div>`;
}

export function EmptyCollector() {
  const here = location.origin;
  return html`
    <section class="state">
      <h1>No profile has arrived yet</h1>
      <ol>
        <li>On the host to watch, as root: <code>sudo sonde-agent run --collector ${here}</code></li>
        <li>If that host can't reach ${here}, let the collector listen further: <code>sonde-collector serve --listen 0.0.0.0:4040</code></li>
        <li>Within ten seconds this page shows where the CPU goes. It looks by itself.</li>
      </ol>
    </section>`;
}

/** @param {import("./profilepage.js").Props} props */
export function EmptySelection({ session, state }) {
  const { view, nearest } = state;
  const where = view.select ? "the picked part of the range" : `“${rangeTitle(view.from, view.until)}”`;
  return html`
    <section class="state">
      <h1>No samples here</h1>
      <p>Nothing was recorded in ${where}${view.selector ? " for these filters" : ""}.</p>
      <p class="row">
        ${nearest && html`<button type="button" class="button primary" onClick=${() => session.navigate({ from: `${nearest.fromMs}`, until: `${nearest.untilMs}`, select: "" })}>
          Show ${spanTitle(nearest)}, the nearest with data</button>`}
        ${view.select && html`<button type="button" class="button" onClick=${() => session.navigate({ select: "" })}>Show the whole range</button>`}
        ${view.selector && html`<button type="button" class="button" onClick=${() => session.navigate({ selector: "" })}>Remove the filters</button>`}
      </p>
    </section>`;
}

/** @param {{ error: import("../api.js").ApiError, onRetry: () => void, slim?: boolean }} props */
export function Failure({ error, onRetry, slim = false }) {
  return html`
    <section class=${`state failure ${slim ? "slim" : ""}`} role="alert">
      ${!slim && html`<h1>The view could not be loaded</h1>`}
      <p><b>${error.message}</b> <span>${error.remedy ?? ""}</span></p>
      <button type="button" class="button" onClick=${onRetry}>Try again</button>
    </section>`;
}
