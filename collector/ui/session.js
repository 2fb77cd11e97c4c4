// @ts-check
// Ties the address, the clock and the collector together for the profile page: a view comes in, questions go out,
// answers are kept. Draws nothing.

import { address, ask } from "./api.js";
import { createStore } from "./store.js";
import { createLoader, emptySlot } from "./slot.js";
import { firstPage, missingPages, withPage, PAGE } from "./model/pages.js";
import { isRelative, resolveRange } from "./model/range.js";
import { newestWithData, decodeTimeline } from "./model/timeline.js";
import { decodeTree } from "./model/tree.js";
import { parsePart, parseSelect, parseView, printView } from "./model/view.js";

/** @typedef {import("./model/view.js").View} View */
/** @typedef {import("./model/range.js").Span} Span */
/** @typedef {ReturnType<typeof createSession>} Session */
/** @typedef {import("./slot.js").Slot<any>} Slot */

/**
 * @typedef {object} State
 * @property {View} view
 * @property {Span} span the whole range, resolved
 * @property {number} width pixels the graph has
 * @property {Slot} types
 * @property {Slot} tree
 * @property {Slot} top
 * @property {Slot} timeline
 * @property {Slot} trust
 * @property {{ tree: import("./model/tree.js").Tree, node: number } | null} zoom what is known while a zoom's answer comes
 * @property {Span | null} nearest range with data, when this one has none
 */

const LIVE_MS = 10_000;
/** Length of the windows in which agents count. */
const WINDOW_MS = 10_000;
const WAITING_MS = 4_000;
/** Widest graph to ask for, pixels. */
const MOST_PIXELS = 16_384;

/** @param {import("./router.js").Router} router */
export function createSession(router) {
  const isHere = () => router.get().place.page === "profiles";
  const view = parseView(isHere() ? router.get().search : "");
  const store = createStore(/** @type {State} */ ({
    view, span: resolveRange(view.from, view.until, Date.now()) ?? { fromMs: 0, untilMs: 1 }, width: 0,
    types: emptySlot(), tree: emptySlot(), top: emptySlot(), timeline: emptySlot(), trust: emptySlot(),
    zoom: null, nearest: null,
  }));
  /** @param {"types" | "tree" | "top" | "timeline" | "trust"} name @param {(answer: any) => any} decode */
  const loader = (name, decode) => createLoader(() => store.get()[name], (slot) => store.set({ [name]: slot }), decode);
  const loaders = {
    types: loader("types", (answer) => answer), tree: loader("tree", decodeTree), trust: loader("trust", (answer) => answer),
    timeline: loader("timeline", decodeTimeline), top: loader("top", (pages) => pages),
  };
  /** Server's clock minus ours, ms: "now" is the collector's. */
  let clockOffset = 0;
  let visible = { from: 0, until: 40 };
  const now = () => Date.now() + clockOffset;

  /** The part of the range that is looked at. @returns {Span} */
  const selected = () => parseSelect(store.get().view.select) ?? store.get().span;

  const scope = (/** @type {Span} */ span) => {
    const { type, selector } = store.get().view;
    return { type, selector, from: Math.round(span.fromMs), until: Math.round(span.untilMs) };
  };

  /** @param {number} page */
  const topAddress = (page) => {
    const { root, sort, order, table, q } = store.get().view;
    return address("/profile/top", {
      ...scope(selected()), root: rootParam(root), sort, order, offset: page * PAGE, limit: PAGE, q: table === "matching" ? q : "",
    });
  };

  /** First page and those on the screen, together, so that a refresh swaps the list in one go. */
  const fetchTop = async (/** @type {string} */ key, /** @type {AbortSignal} */ signal) => {
    const onScreen = Math.floor(visible.from / PAGE);
    const [first, shown] = await Promise.all([ask(key, signal), onScreen > 0 ? ask(topAddress(onScreen), signal) : null]);
    const pages = firstPage(first.functions, first.rows);
    return { total: first.total, pages: shown && shown.rows.length > 0 ? withPage(pages, onScreen, shown.rows) : pages };
  };

  /** Asks whatever the view needs and isn't there. */
  function load(quiet = false) {
    const { view, width, span } = store.get();
    if (store.get().types.data === null || width === 0) return;
    const part = scope(selected());
    loaders.tree.want(address("/profile/tree", { ...part, root: rootParam(view.root), width: fineness(view, width), q: view.q }), quiet);
    loaders.timeline.want(address("/profile/timeline", { ...scope(span), points: 300 }), quiet);
    loaders.trust.want(address("/trust", part), quiet);
    if (view.table !== "hidden") loaders.top.want(topAddress(0), quiet, fetchTop);
  }

  /** @param {View} next @param {View} before */
  function arrive(next, before) {
    const moved = next.from !== before.from || next.until !== before.until;
    const scoped = moved || next.select !== before.select || next.selector !== before.selector || next.type !== before.type;
    const zoom = next.root === before.root && !scoped ? store.get().zoom : null;
    store.set({ view: next, zoom, ...(scoped ? { nearest: null } : {}) });
    if (moved) resolveNow();
    load();
  }

  function resolveNow() {
    const { view } = store.get();
    // Whole windows of the agents: steps of the timeline keep their edges from one refresh to the next.
    const end = Math.ceil(now() / WINDOW_MS) * WINDOW_MS;
    store.set({ span: resolveRange(view.from, view.until, end) ?? store.get().span });
  }

  /**
   * @param {Partial<View>} change
   * @param {{ replace?: boolean }} [how] replace: typing in a field is no step to go back to
   */
  function navigate(change, { replace = false } = {}) {
    router.go(`/profiles${printView({ ...store.get().view, ...change })}`, { replace });
  }

  /**
   * Zooms to a node; until the answer is there, what the screen knows of it is drawn.
   * @param {string} root
   * @param {State["zoom"]} known
   */
  function zoomTo(root, known) {
    navigate({ root, part: "" });
    store.set({ zoom: known });
  }

  async function learnTypes() {
    const sent = Date.now();
    await loaders.types.again();
    const until = store.get().types.data?.until_ms;
    if (typeof until === "number") clockOffset = Math.abs(until - sent) < 2000 ? 0 : until - sent;
  }

  function refresh() {
    resolveNow();
    load(true);
  }

  async function tick() {
    if (document.hidden || !isHere()) return;
    const { view, types } = store.get();
    if (types.data === null) return begin();
    if (isEmpty(types)) {
      await loaders.types.again();
      return;
    }
    if (view.live && isRelative(view.until)) refresh();
  }

  /** Looks for the newest data when the range has none. */
  async function findNearest() {
    const { tree, view, nearest, span } = store.get();
    if (nearest || tree.data?.whole !== 0) return;
    const week = address("/profile/timeline", { type: view.type, selector: view.selector, from: "now-7d", until: "now", points: 2000 });
    const found = await ask(week).then(decodeTimeline).catch(() => null);
    const length = Math.min(span.untilMs - span.fromMs, 3600e3);
    if (found && store.get().tree === tree) store.set({ nearest: newestWithData(found, length) });
  }

  async function start() {
    let emptied = false;
    let looked = /** @type {Slot | null} */ (null);
    store.subscribe(({ types, tree }) => {
      if (emptied && !isEmpty(types) && types.data) { emptied = false; refresh(); }
      else emptied = isEmpty(types);
      if (tree !== looked && !tree.pending && tree.data?.whole === 0) { looked = tree; findNearest(); }
    });
    let wasHere = isHere();
    router.subscribe(({ search }) => {
      const back = isHere() && !wasHere;
      wasHere = isHere();
      if (!wasHere) return;
      // While another page was shown, time went on.
      if (back) resolveNow();
      arrive(parseView(search), store.get().view);
      if (store.get().types.data === null && !store.get().types.pending) begin();
    });
    document.addEventListener("visibilitychange", tick);
    const waiting = () => store.get().types.data === null || isEmpty(store.get().types);
    setInterval(() => { if (waiting()) tick(); }, WAITING_MS);
    setInterval(() => { if (!waiting()) tick(); }, LIVE_MS);
    store.set({ types: { ...store.get().types, key: address("/profile/types", { from: "now-30d", until: "now" }) } });
    if (isHere()) await begin();
  }

  /** What the collector has, and its clock; everything else follows. */
  async function begin() {
    await learnTypes();
    resolveNow();
    load();
  }

  return {
    get: store.get, subscribe: store.subscribe, navigate, zoomTo, start, selected, scope,
    refresh: () => { resolveNow(); load(); },
    /** @param {number} width CSS pixels */
    setWidth(width) {
      if (Math.abs(width - store.get().width) < 2) return;
      store.set({ width });
      load();
    },
    /** Asks again what failed. */
    async retry() {
      if (store.get().types.data === null) return begin();
      for (const name of /** @type {const} */ (["tree", "timeline", "trust"])) if (store.get()[name].error) loaders[name].again();
      if (store.get().top.error) loaders.top.again(fetchTop);
    },
    /** Rows on the screen changed: asks for the pages that are missing. @param {number} from @param {number} until */
    async showRows(from, until) {
      visible = { from, until };
      const { top } = store.get();
      if (!top.data || top.shown !== top.key) return;
      for (const page of missingPages(top.data.pages, from, until)) {
        const rows = await ask(topAddress(page)).then((answer) => answer.rows, () => null);
        const latest = store.get().top;
        if (rows && latest.shown === top.shown) {
          store.set({ top: { ...latest, data: { ...latest.data, pages: withPage(latest.data.pages, page, rows) } } });
        }
      }
    },
  };
}

/** @param {Slot} types */
export function isEmpty(types) {
  return types.data !== null && types.data.types.length === 0;
}

/** Pixels the whole root would have when the part that is shown fills the width. @param {View} view @param {number} width */
function fineness({ part }, width) {
  const [from, until] = parsePart(part) ?? [0, 1];
  return Math.min(Math.ceil(width / (until - from)), MOST_PIXELS);
}

/** @param {string} root */
function rootParam(root) {
  return root === "cbf29ce484222325" ? "" : root;
}
