// @ts-check
// Where the services of the map stand: callers left of what they call, few crossings, circles allowed.

/** @typedef {{ from: string, to: string }} Edge */
/** @typedef {{ name: string, layer: number, place: number, x: number, y: number }} Spot */

const SWEEPS = 6;

/**
 * @param {string[]} names
 * @param {Edge[]} edges
 * @param {{ nodeWidth: number, nodeHeight: number, gapX: number, gapY: number }} size
 */
export function layOut(names, edges, { nodeWidth, nodeHeight, gapX, gapY }) {
  const known = new Set(names);
  const real = edges.filter(({ from, to }) => known.has(from) && known.has(to) && from !== to);
  const layerOf = layers(names, real);
  /** @type {string[][]} */
  const columns = [];
  for (const name of names) (columns[layerOf.get(name) ?? 0] ??= []).push(name);
  const filled = columns.filter(Boolean);
  untangle(filled, real);
  const tallest = Math.max(1, ...filled.map((column) => column.length));
  const height = tallest * nodeHeight + (tallest - 1) * gapY;
  /** @type {Map<string, Spot>} */
  const spots = new Map();
  filled.forEach((column, layer) => {
    const own = column.length * nodeHeight + (column.length - 1) * gapY;
    column.forEach((name, place) => spots.set(name, {
      name, layer, place, x: layer * (nodeWidth + gapX), y: (height - own) / 2 + place * (nodeHeight + gapY),
    }));
  });
  return { spots, width: Math.max(1, filled.length) * nodeWidth + Math.max(0, filled.length - 1) * gapX, height };
}

/**
 * The longest way from a caller nobody calls; an edge that closes a circle doesn't count.
 * @param {string[]} names
 * @param {Edge[]} edges
 */
function layers(names, edges) {
  const called = new Set(edges.map(({ to }) => to));
  /** @type {Map<string, string[]>} */
  const next = new Map(names.map((name) => [name, []]));
  for (const { from, to } of edges) next.get(from)?.push(to);
  const state = new Map();
  const order = /** @type {string[]} */ ([]);
  const forward = /** @type {[string, string][]} */ ([]);
  const visit = (/** @type {string} */ top) => {
    const waiting = [{ name: top, at: 0 }];
    state.set(top, 1);
    while (waiting.length > 0) {
      const here = waiting[waiting.length - 1];
      const to = next.get(here.name)?.[here.at++];
      if (to === undefined) {
        state.set(here.name, 2);
        order.push(here.name);
        waiting.pop();
      } else if (state.get(to) !== 1) {
        forward.push([here.name, to]);
        if (!state.has(to)) { state.set(to, 1); waiting.push({ name: to, at: 0 }); }
      }
    }
  };
  for (const name of [...names.filter((name) => !called.has(name)), ...names]) if (!state.has(name)) visit(name);
  const layerOf = new Map(names.map((name) => [name, 0]));
  /** @type {Map<string, string[]>} */
  const ahead = new Map();
  for (const [from, to] of forward) ahead.set(from, [...(ahead.get(from) ?? []), to]);
  for (const name of order.toReversed()) {
    for (const to of ahead.get(name) ?? []) layerOf.set(to, Math.max(layerOf.get(to) ?? 0, (layerOf.get(name) ?? 0) + 1));
  }
  return layerOf;
}

/**
 * Orders each column by the middle of its neighbours, to and fro.
 * @param {string[][]} columns
 * @param {Edge[]} edges
 */
function untangle(columns, edges) {
  /** @type {Map<string, string[]>} */
  const beside = new Map();
  for (const { from, to } of edges) {
    beside.set(from, [...(beside.get(from) ?? []), to]);
    beside.set(to, [...(beside.get(to) ?? []), from]);
  }
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const place = new Map(columns.flatMap((column) => column.map((name, at) => /** @type {const} */ ([name, (at + 0.5) / column.length]))));
    for (const column of sweep % 2 === 0 ? columns : columns.toReversed()) {
      const middle = new Map(column.map((name) => {
        const around = (beside.get(name) ?? []).map((other) => place.get(other) ?? 0.5);
        return [name, around.length > 0 ? around.reduce((sum, one) => sum + one, 0) / around.length : place.get(name) ?? 0.5];
      }));
      column.sort((one, other) => (middle.get(one) ?? 0) - (middle.get(other) ?? 0));
      column.forEach((name, at) => place.set(name, (at + 0.5) / column.length));
    }
  }
}
