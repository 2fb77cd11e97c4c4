// @ts-check
// The service map's answer as nodes and edges that can be drawn, with what is near to a service.

import { needsAttention } from "./services.js";

/**
 * @typedef {object} MapNode
 * @property {string} service
 * @property {boolean} external a peer that is not watched
 * @property {number | null} rate
 * @property {number | null} errorRate
 * @property {number | null} p95
 * @property {boolean} bad
 *
 * @typedef {object} MapEdge
 * @property {string} from
 * @property {string} to
 * @property {number} rate
 * @property {number | null} errorRate
 * @property {number | null} p50
 * @property {number | null} p95
 * @property {boolean} bad
 */

/**
 * Ends of edges that are no node become external nodes: a call leads somewhere, whoever that is.
 * @param {any} answer of /servicemap
 */
export function decodeMap(answer) {
  const edges = /** @type {MapEdge[]} */ ((answer.edges ?? []).map((/** @type {any} */ { from, to, rate, error_rate, p50_s, p95_s }) => ({
    from: String(from), to: String(to), rate: rate ?? 0, errorRate: error_rate ?? null, p50: p50_s ?? null, p95: p95_s ?? null, bad: needsAttention({ error_rate: error_rate ?? null }),
  })));
  /** @type {Map<string, MapNode>} */
  const nodes = new Map();
  for (const { service, rate, error_rate, p95_s, kind } of answer.nodes ?? []) {
    nodes.set(service, { service, external: kind === "external", rate: rate ?? null, errorRate: error_rate ?? null, p95: p95_s ?? null, bad: needsAttention({ error_rate: error_rate ?? null }) });
  }
  for (const { from, to } of edges) {
    for (const service of [from, to]) {
      if (!nodes.has(service)) nodes.set(service, { service, external: true, rate: null, errorRate: null, p95: null, bad: false });
    }
  }
  return { nodes: [...nodes.values()], edges };
}

/**
 * A service, who calls it and whom it calls; null for all.
 * @param {MapEdge[]} edges
 * @param {string | null} service
 */
export function nearTo(edges, service) {
  if (service === null) return null;
  const near = new Set([service]);
  for (const { from, to } of edges) {
    if (from === service) near.add(to);
    if (to === service) near.add(from);
  }
  return near;
}

/**
 * How thick an edge is: tenfold traffic adds the same each time.
 * @param {number} rate
 * @param {number} busiest
 */
export function thickness(rate, busiest) {
  if (!(rate > 0) || !(busiest > 0)) return 1;
  return 1 + 4 * Math.max(0, 1 - Math.log10(busiest / rate) / 4);
}

/** @typedef {{ out: number, into: number, labelled: boolean }} Port heights at both ends, from the middle of the node */

/** Room between two lines at a node, pixels; and how much of a node's side they may take. */
const APART = 14;
const SIDE = 40;
/** More labels than this at one node would cover each other. */
const MOST_LABELS = 3;

/**
 * Where edges touch their nodes: spread in the order of the other ends, so that lines don't cross at the node.
 * @param {MapEdge[]} edges
 * @param {ReadonlyMap<string, { y: number }>} spots
 */
export function portsOf(edges, spots) {
  /** @type {Map<MapEdge, Port>} */
  const ports = new Map(edges.map((edge) => [edge, { out: 0, into: 0, labelled: true }]));
  const height = (/** @type {string} */ name) => spots.get(name)?.y ?? 0;
  const spread = (/** @type {"from" | "to"} */ here, /** @type {"from" | "to"} */ there, /** @type {"out" | "into"} */ end) => {
    for (const group of grouped(edges, here)) {
      group.sort((one, other) => height(one[there]) - height(other[there]));
      const apart = Math.min(APART, SIDE / group.length);
      group.forEach((edge, at) => {
        const port = /** @type {Port} */ (ports.get(edge));
        port[end] = (at - (group.length - 1) / 2) * apart;
        if (end === "into") port.labelled = group.length <= MOST_LABELS;
      });
    }
  };
  spread("from", "to", "out");
  spread("to", "from", "into");
  return ports;
}

/** @param {MapEdge[]} edges @param {"from" | "to"} by */
function grouped(edges, by) {
  /** @type {Map<string, MapEdge[]>} */
  const groups = new Map();
  for (const edge of edges) groups.set(edge[by], [...(groups.get(edge[by]) ?? []), edge]);
  return groups.values();
}
