// @ts-check
// Ties the address, the clock and the collector together for the pages of requests: services, traces, map.
// The profile page has its own in `session.js`. Draws nothing.

import { address, ask } from "./api.js";
import { createLoader, emptySlot } from "./slot.js";
import { createStore } from "./store.js";
import { decodeHeatmap } from "./model/heatmap.js";
import { resolveRange } from "./model/range.js";
import { isLive, parseRequestView, printRequestView } from "./model/requestview.js";
import { decodeRed } from "./model/series.js";
import { decodeMap } from "./model/servicemap.js";
import { decodeTrace } from "./model/trace.js";

/** @typedef {import("./model/requestview.js").RequestView} RequestView */
/** @typedef {import("./model/place.js").Place} Place */
/** @typedef {import("./slot.js").Slot<any>} Slot */
/** @typedef {"services" | "red" | "routes" | "heatmap" | "traces" | "trace" | "map" | "trust"} Question */
/** @typedef {ReturnType<typeof createRequestSession>} RequestSession */

/**
 * @typedef {object} RequestState
 * @property {Place} place
 * @property {RequestView} view
 * @property {import("./model/range.js").Span} span
 * @property {Record<Question, Slot>} answers
 */

const LIVE_MS = 10_000;
/** Ends of ranges lie on whole steps of this, so that columns keep their edges from one refresh to the next. */
const STEP_MS = 10_000;
const CLOCKS_AGREE_MS = 2000;
const MOST_SPANS_KEPT = 5000;

const DECODE = /** @type {Record<Question, (answer: any) => any>} */ ({
  services: (answer) => answer.services, red: decodeRed, routes: (answer) => answer.routes, heatmap: decodeHeatmap,
  traces: (answer) => answer, trace: decodeTrace, map: decodeMap, trust: (answer) => answer,
});

/**
 * What a page asks.
 * @param {Place} place
 * @param {RequestView} view
 * @param {{ from: number, until: number }} range
 * @returns {Partial<Record<Question, string>>}
 */
function questions({ page, id }, view, range) {
  const services = address("/services", range);
  const trust = address("/trust", range);
  if (page === "services" || page === "home") return { services, trust };
  if (page === "map") return { map: address("/servicemap", range), trust };
  if (page === "trace") return { trace: address(`/traces/${id}`) };
  if (page === "traces") {
    const { service, route, span, status, min, max, attribute, text, limit } = view;
    const wanted = { service, route, name: span, status, min_duration_ms: min, max_duration_ms: max, attribute, text, limit };
    return { traces: address("/traces", { ...wanted, ...range }), services, trust };
  }
  if (page !== "service" || view.name === "") return {};
  const one = { service: view.name, ...range };
  return {
    services, trust, routes: address("/services/routes", one),
    red: address("/services/red", { ...one, route: view.route, points: 120 }),
    heatmap: address("/services/heatmap", { ...one, route: view.route, columns: 120 }),
  };
}

/** Of the largest traces only the one that is shown is in memory. @param {any} data */
const isKept = (data) => !(data?.spans?.length > MOST_SPANS_KEPT);

/** What makes two views of a page views of different things, whose figures must not be mistaken for each other's. */
const subject = (/** @type {Place} */ place, /** @type {RequestView} */ view) => `${place.page} ${place.id} ${view.name}`;

/** @returns {Record<Question, Slot>} */
function noAnswers() {
  const slots = Object.keys(DECODE).map((name) => [name, emptySlot()]);
  return /** @type {Record<Question, Slot>} */ (Object.fromEntries(slots));
}

/** @param {import("./router.js").Router} router */
export function createRequestSession(router) {
  let clockOffset = 0;
  let [beginning, clockKnown] = [false, false];
  /** Whether the profile page is shown: meanwhile time goes on. */
  let away = router.get().place.page === "profiles";
  const first = router.get();
  const view = parseRequestView(first.place.page, first.search);
  const store = createStore(/** @type {RequestState} */ ({ place: first.place, view, span: spanOf(view) ?? { fromMs: 0, untilMs: 1 }, answers: noAnswers() }));
  const loaders = /** @type {Record<Question, ReturnType<typeof createLoader>>} */ (Object.fromEntries(
    /** @type {[Question, any][]} */ (Object.entries(DECODE)).map(([name, decode]) => [name, createLoader(
      () => store.get().answers[name], (slot) => store.set({ answers: { ...store.get().answers, [name]: slot } }), decode, isKept)])));

  /** @param {RequestView} view */
  function spanOf({ from, until }) {
    return resolveRange(from, until, Math.ceil((Date.now() + clockOffset) / STEP_MS) * STEP_MS);
  }

  function asked() {
    const { place, view, span } = store.get();
    return questions(place, view, { from: Math.round(span.fromMs), until: Math.round(span.untilMs) });
  }

  function load(quiet = false) {
    for (const [name, key] of /** @type {[Question, string][]} */ (Object.entries(asked()))) loaders[name].want(key, quiet);
  }

  function arrive() {
    const { place, search } = router.get();
    const back = away;
    away = place.page === "profiles";
    if (away) return;
    const before = store.get();
    const next = parseRequestView(place.page, search);
    const moved = next.from !== before.view.from || next.until !== before.view.until;
    const other = subject(place, next) !== subject(before.place, before.view);
    store.set({
      place, view: next, span: (moved || other || back ? spanOf(next) : null) ?? before.span,
      ...(other ? { answers: { ...noAnswers(), services: before.answers.services, trust: before.answers.trust } } : {}),
    });
    if (clockKnown) load();
    else begin();
  }

  /**
   * @param {Partial<RequestView>} change
   * @param {{ replace?: boolean }} [how] replace: typing in a field is no step to go back to
   */
  function navigate(change, how) {
    const { place, view } = store.get();
    router.go(`${router.get().path}${printRequestView(place.page, { ...view, ...change })}`, how);
  }

  function refresh(quiet = false) {
    store.set({ span: spanOf(store.get().view) ?? store.get().span });
    load(quiet);
  }

  function tick() {
    if (document.hidden || router.get().place.page === "profiles") return;
    if (clockKnown && isLive(store.get().view)) refresh(true);
  }

  /** "Now" is the collector's: its clock first, everything else after it. */
  async function begin() {
    if (beginning) return;
    beginning = true;
    const sent = Date.now();
    const answer = await ask(address("/services", { from: "now-15m", until: "now" })).catch(() => null);
    const until = Number(answer?.until_ms);
    clockOffset = Number.isFinite(until) && Math.abs(until - sent) >= CLOCKS_AGREE_MS ? until - sent : 0;
    clockKnown = true;
    refresh();
  }

  return {
    get: store.get, subscribe: store.subscribe, navigate,
    /** Asks everything again, also where neither the question nor the clock has moved. */
    refresh() {
      const before = asked();
      refresh();
      const now = asked();
      for (const name of /** @type {Question[]} */ (Object.keys(now))) if (now[name] === before[name]) loaders[name].again();
    },
    /** Asks again what failed. */
    retry() {
      for (const name of /** @type {Question[]} */ (Object.keys(asked()))) if (store.get().answers[name].error) loaders[name].again();
    },
    start() {
      router.subscribe(arrive);
      document.addEventListener("visibilitychange", tick);
      setInterval(tick, LIVE_MS);
      if (router.get().place.page !== "profiles") begin();
    },
  };
}
