// @ts-check
// Routes of a service. A click shows one alone.

import { html } from "../vendor/preact-htm.js";
import { link } from "../model/place.js";
import { arranged, needsAttention, percent, rate, seconds } from "../model/services.js";
import { printable } from "../model/text.js";
import { SortHeads, walkRows } from "./rows.js";

const COLUMNS = /** @type {const} */ ([
  ["name", "Route", "name"], ["rate", "Requests /s", "number"], ["error_rate", "Errors", "number"], ["p50_s", "p50", "number"],
  ["p95_s", "p95", "number"], ["p99_s", "p99", "number"], ["", "Statuses", "wide"],
]);

const MOST_STATUSES = 4;

/** @param {import("./requestpage.js").Shown & { routes: any[] }} props */
export function Routes({ session, state, routes }) {
  const { sort, order, route } = state.view;
  const text = (/** @type {any} */ one) => `${one.route} ${one.method}`;
  const rows = sort === "" ? routes : arranged(routes, { q: "", sort, order, text });
  if (rows.length === 0) return html`<p class="note pad">No route was measured in this range.</p>`;
  return html`
    <table class="list routes" onKeyDown=${walkRows}>
      <thead><tr><${SortHeads} columns=${COLUMNS} sort=${sort} order=${order} onSort=${session.navigate} /></tr></thead>
      <tbody>${rows.map((row) => html`<${RouteRow} key=${`${row.method} ${row.route} ${row.overflow}`} row=${row} session=${session} state=${state} chosen=${Boolean(row.route) && row.route === route} />`)}</tbody>
    </table>`;
}

/** @param {{ row: any, session: import("../requestsession.js").RequestSession, state: import("../requestsession.js").RequestState, chosen: boolean }} props */
function RouteRow({ row, session, state, chosen }) {
  const bad = needsAttention(row);
  const pick = () => { if (row.route) session.navigate({ route: chosen ? "" : row.route }); };
  const errors = link("/traces", { service: state.view.name, route: row.route, status: "error" }, state.view);
  const title = row.overflow ? "other routes, too many to count apart" : row.route === "" ? "no route known" : "";
  return html`
    <tr aria-current=${chosen ? "true" : undefined} onClick=${(/** @type {MouseEvent} */ event) => { if (!(/** @type {Element} */ (event.target).closest("a, button"))) pick(); }}>
      <th scope="row" class="name">${title ? html`<span class="note">${row.method} ${title}</span>` : html`
        <button type="button" data-row aria-pressed=${chosen ? "true" : "false"} onClick=${pick}><code><span class="third">${printable(row.method)}</span> ${printable(row.route)}</code></button>`}</th>
      <td class="number"><b>${rate(row.rate)}</b></td>
      <td class=${`number ${bad ? "bad" : row.errors ? "" : "third"}`}>${row.errors && row.route
        ? html`<a class="plain-link" title="Traces of its errors" href=${errors}>${percent(row.error_rate)}</a>` : percent(row.error_rate)}</td>
      <td class="number second">${seconds(row.p50_s)}</td><td class="number second">${seconds(row.p95_s)}</td><td class="number">${seconds(row.p99_s)}</td>
      <td class="wide note"><${Statuses} statuses=${row.statuses ?? []} whole=${row.requests} /></td>
    </tr>`;
}

/** @param {{ statuses: { status: string, requests: number }[], whole: number }} props */
function Statuses({ statuses, whole }) {
  return statuses.slice(0, MOST_STATUSES).map(({ status, requests }) => html`
    <span key=${status} class=${`status ${Number(status) >= 500 ? "bad" : ""}`}>${printable(String(status))}
      ${statuses.length > 1 && html` <small>${percent(whole > 0 ? requests / whole : 0)}</small>`}</span>`);
}
