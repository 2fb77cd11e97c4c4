// @ts-check
// Services and routes as rows: which need attention, how they sort, what they add up to.

import { formatPercent, formatNanoseconds, significant } from "./units.js";

/**
 * @typedef {object} Service
 * @property {string} service
 * @property {number} instances
 * @property {number | null} requests null: only spans or client calls are known of it
 * @property {number | null} rate per second
 * @property {number | null} errors
 * @property {number | null} error_rate 0 … 1
 * @property {number | null} p50_s
 * @property {number | null} p95_s
 * @property {number | null} p99_s
 * @property {number | null} client_requests
 * @property {number | null} spans
 * @property {number} last_ms
 * @property {(number | null)[]} spark
 */

/** From this share of failed requests on, red says so. */
export const BAD_ERROR_RATE = 0.01;

/** @param {{ error_rate: number | null }} row */
export function needsAttention({ error_rate }) {
  return error_rate !== null && error_rate >= BAD_ERROR_RATE;
}

/**
 * Rows that hold the text, in order. Without a column: what needs attention first, then the busiest.
 * @template {Record<string, any>} Row
 * @param {Row[]} rows
 * @param {{ q: string, sort: string, order: "asc" | "desc", text: (row: Row) => string }} how
 */
export function arranged(rows, { q, sort, order, text }) {
  const wanted = q.trim().toLowerCase();
  const kept = rows.filter((row) => text(row).toLowerCase().includes(wanted));
  const byName = (/** @type {Row} */ one, /** @type {Row} */ other) => text(one).localeCompare(text(other));
  if (sort === "") {
    return kept.sort((one, other) => Number(needsAttention(/** @type {any} */ (other))) - Number(needsAttention(/** @type {any} */ (one)))
      || (other.rate ?? -1) - (one.rate ?? -1) || byName(one, other));
  }
  const way = order === "asc" ? 1 : -1;
  if (sort === "name") return kept.sort((one, other) => -way * byName(one, other));
  // What isn't known stands last in either order.
  return kept.sort((one, other) => {
    const [left, right] = [one[sort] ?? null, other[sort] ?? null];
    if (left === null || right === null) return Number(left === null) - Number(right === null) || byName(one, other);
    return way * (left - right) || byName(one, other);
  });
}

/** @param {Service[]} services */
export function totals(services) {
  const measured = services.filter(({ requests }) => requests !== null);
  const sum = (/** @type {(one: Service) => number | null} */ of) => measured.reduce((all, one) => all + (of(one) ?? 0), 0);
  // Where the range cuts a report in two, a part of its requests is in.
  const [requests, errors] = [Math.round(sum((one) => one.requests)), Math.round(sum((one) => one.errors))];
  const slowest = measured.filter(({ p99_s }) => p99_s !== null).sort((one, other) => (other.p99_s ?? 0) - (one.p99_s ?? 0))[0] ?? null;
  return {
    services: services.length, unmeasured: services.length - measured.length, attention: services.filter(needsAttention).length,
    rate: sum((one) => one.rate), requests, errors, errorRate: requests > 0 ? errors / requests : null, slowest,
  };
}

/**
 * The figures of one route, whatever the methods: counts add up, quantiles don't, so of several they are not known.
 * @param {any[]} routes
 * @param {string} route
 */
export function ofRoute(routes, route) {
  const found = routes.filter((one) => one.route === route && !one.overflow);
  if (found.length < 2) return found[0] ?? null;
  const sum = (/** @type {"requests" | "rate" | "errors"} */ key) => found.reduce((all, one) => all + one[key], 0);
  const [requests, errors] = [sum("requests"), sum("errors")];
  return { route, requests, rate: sum("rate"), errors, error_rate: requests > 0 ? errors / requests : null, p50_s: null, p95_s: null, p99_s: null };
}

/** What is known of a service whose requests were not measured. @param {Service} row */
export function unmeasuredWords({ spans, client_requests }) {
  if (client_requests) return "calls others; serves no measured request";
  return spans ? "spans only; no request metrics" : "no requests in this range";
}

/** A share, 0 … 1, in percent. @param {number | null | undefined} share */
export function percent(share) {
  if (share === null || share === undefined) return "–";
  return share < 1 && share > 0.9995 ? "> 99.9 %" : formatPercent(100 * share);
}

/** @param {number | null | undefined} seconds */
export function seconds(seconds) {
  return seconds === null || seconds === undefined ? "–" : formatNanoseconds(seconds * 1e9);
}

/** @param {number | null | undefined} perSecond */
export function rate(perSecond) {
  if (perSecond === null || perSecond === undefined) return "–";
  return perSecond > 0 && perSecond < 0.001 ? "< 0.001" : significant(perSecond);
}
