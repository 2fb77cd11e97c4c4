// @ts-check
// Who calls whom: services and the peers they reach, with how much, how slow and how well.

import { html, useMemo, useState } from "../vendor/preact-htm.js";
import { layOut } from "../model/layers.js";
import { link } from "../model/place.js";
import { arranged, percent, rate, seconds } from "../model/services.js";
import { nearTo, portsOf, thickness } from "../model/servicemap.js";
import { clipped, printable } from "../model/text.js";
import { counted } from "../model/units.js";
import { isBusy, isStale } from "../slot.js";
import { Narrow } from "./narrow.js";
import { Failed, NothingYet } from "./requeststates.js";
import { SortHeads, walkRows } from "./rows.js";
import { Waiting } from "./states.js";

/** @typedef {import("../model/servicemap.js").MapNode} MapNode */
/** @typedef {import("../model/servicemap.js").MapEdge} MapEdge */
/** @typedef {import("../model/layers.js").Spot} Spot */

const NODE = { nodeWidth: 176, nodeHeight: 52, gapX: 126, gapY: 28 };
const AIR = 12;
/** A map is drawn smaller where room is short, and scrolls where its words could no longer be read. */
const SMALLEST = 0.75;
const NAME_COLUMNS = 19;

/** @param {import("./requestpage.js").Props} props */
export function MapPage({ session, state }) {
  const slot = state.answers.map;
  const { view } = state;
  const map = /** @type {ReturnType<typeof import("../model/servicemap.js").decodeMap> | null} */ (slot.data);
  if (map?.nodes.length === 0 && !slot.error) {
    return html`<main id="content" class="page"><${NothingYet} title="No call between services has been seen" what="No service called another" view=${view}
      onRange=${() => session.navigate({ from: "now-24h", until: "now" })} /></main>`;
  }
  const shape = (/** @type {"graph" | "table"} */ key, /** @type {string} */ title) => html`<button type="button" aria-pressed=${view.view === key ? "true" : "false"} onClick=${() => session.navigate({ view: key })}>${title}</button>`;
  return html`
    <main id="content" class=${`page scroll ${isStale(slot) && !slot.quiet ? "stale" : ""}`} aria-busy=${isBusy(slot) ? "true" : "false"}>
      <h1 class="hidden">Service map</h1>
      <${Failed} slot=${slot} onRetry=${session.retry} />
      ${map && html`
        <${Narrow} session=${session} state=${state} label="Narrow to a service" placeholder="Narrow to a service">
          <span class="note">${counted(map.nodes.filter(({ external }) => !external).length, "service")} · ${counted(map.edges.length, "connection")}</span>
          <div class="segments" role="group" aria-label="Shape">${shape("graph", "Graph")}${shape("table", "Table")}</div><//>
        ${map.edges.length === 0 && html`<p class="note pad">No connection between them is known. Connections are counted by <code>sonde-agent run --requests on</code>, or by whoever sends the metrics traces_service_graph_request_*.</p>`}
        ${view.view === "table" ? html`<${Calls} session=${session} state=${state} edges=${map.edges} />` : html`<${Graph} map=${map} q=${view.q} view=${view} />`}`}
      ${!map && !slot.error && html`<${Waiting} what="Loading the map" />`}
    </main>`;
}

/** Services that hold the text, and what they are connected with. @param {{ nodes: MapNode[], edges: MapEdge[] }} map @param {string} q */
function narrowed({ nodes, edges }, q) {
  const wanted = q.trim().toLowerCase();
  if (wanted === "") return { nodes, edges };
  const named = new Set(nodes.filter(({ service }) => service.toLowerCase().includes(wanted)).map(({ service }) => service));
  const kept = edges.filter(({ from, to }) => named.has(from) || named.has(to));
  const ends = new Set([...named, ...kept.flatMap(({ from, to }) => [from, to])]);
  return { nodes: nodes.filter(({ service }) => ends.has(service)), edges: kept };
}

/** @param {{ map: { nodes: MapNode[], edges: MapEdge[] }, q: string, view: import("../model/requestview.js").RequestView }} props */
function Graph({ map, q, view }) {
  const { nodes, edges } = useMemo(() => narrowed(map, q), [map, q]);
  const shape = nodes.map(({ service }) => service).join("\n") + edges.map(({ from, to }) => `${from}\n${to}`).join("\t");
  const { spots, width, height } = useMemo(() => layOut(nodes.map(({ service }) => service).sort(), edges, NODE), [shape]);
  const [over, setOver] = useState(/** @type {string | null} */ (null));
  const near = nearTo(edges, over !== null && spots.has(over) ? over : null);
  const ports = useMemo(() => portsOf(edges, spots), [edges, spots]);
  const busiest = edges.reduce((most, one) => Math.max(most, one.rate), 0);
  if (nodes.length === 0) return html`<p class="note pad">No service matches “${printable(q)}”.</p>`;
  return html`
    <div class="map-place"><svg viewBox=${`${-AIR} ${-AIR} ${width + 2 * AIR} ${height + 2 * AIR}`} width=${width + 2 * AIR} style=${{ minWidth: `${SMALLEST * width}px` }} role="group" aria-label="Service map">
      <defs>${[["arrow", "third"], ["arrow-bad", "bad"], ["arrow-near", "accent"]].map(([id, colour]) => html`
        <marker key=${id} id=${id} viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z" class=${`head-${colour}`} /></marker>`)}</defs>
      ${edges.map((edge) => html`<${Edge} key=${`${edge.from}\n${edge.to}`} edge=${edge} from=${spots.get(edge.from)} to=${spots.get(edge.to)} port=${ports.get(edge)} wide=${thickness(edge.rate, busiest)}
        near=${over !== null && (edge.from === over || edge.to === over)} faded=${near !== null && edge.from !== over && edge.to !== over} />`)}
      ${edges.map((edge) => html`<${EdgeLabel} key=${`${edge.from}\n${edge.to}`} edge=${edge} from=${spots.get(edge.from)} to=${spots.get(edge.to)} port=${ports.get(edge)}
        near=${over !== null && (edge.from === over || edge.to === over)} faded=${near !== null && edge.from !== over && edge.to !== over} />`)}
      ${nodes.map((node) => html`<${Node} key=${node.service} node=${node} spot=${spots.get(node.service)} view=${view} faded=${near !== null && !near.has(node.service)} onOver=${setOver} />`)}
    </svg></div>`;
}

/** @param {{ node: MapNode, spot: Spot | undefined, view: import("../model/requestview.js").RequestView, faded: boolean, onOver: (service: string | null) => void }} props */
function Node({ node, spot, view, faded, onOver }) {
  if (!spot) return null;
  const { service, external, bad } = node;
  const name = printable(service);
  const words = node.rate ? `${rate(node.rate)} /s` : external ? "only calls" : "no calls to it";
  const share = node.rate && (!external || node.errorRate) ? html` · <tspan class="share">${percent(node.errorRate)}</tspan>` : "";
  const inside = html`
    <title>${name}${external ? ", external" : ""}: ${words}, ${percent(node.errorRate)} errors, p95 ${seconds(node.p95)}</title>
    <rect width=${NODE.nodeWidth} height=${NODE.nodeHeight} rx="7" />
    ${!external && html`<rect class="strip" x="1" y="8" width="3" height=${NODE.nodeHeight - 16} rx="1.5" />`}
    <text class="title" x="13" y="20">${clipped(name, NAME_COLUMNS)}</text>
    <text class="words" x="13" y="38">${external ? "external · " : ""}${words}${share}${node.p95 !== null && !external ? ` · ${seconds(node.p95)}` : ""}</text>`;
  return html`
    <g class=${`map-node ${external ? "external" : ""} ${bad ? "failing" : ""} ${faded ? "faded" : ""}`} transform=${`translate(${spot.x} ${spot.y})`}
      onPointerEnter=${() => onOver(service)} onPointerLeave=${() => onOver(null)} onFocusIn=${() => onOver(service)} onFocusOut=${() => onOver(null)}>
      ${external ? inside : html`<a href=${link("/service", { name: service }, view)}>${inside}</a>`}
    </g>`;
}

/** @typedef {{ edge: MapEdge, from: Spot | undefined, to: Spot | undefined, port: import("../model/servicemap.js").Port | undefined, near: boolean, faded: boolean }} EdgeProps */

/** @param {EdgeProps & { wide: number }} props */
function Edge({ edge, from, to, port, wide, near, faded }) {
  if (!from || !to || !port) return null;
  const { path } = route(from, to, port);
  const arrow = edge.bad ? "arrow-bad" : near ? "arrow-near" : "arrow";
  return html`
    <g class=${`map-edge ${edge.bad ? "failing" : ""} ${near ? "near" : ""} ${faded ? "faded" : ""}`}>
      <title>${printable(edge.from)} → ${printable(edge.to)}: ${rate(edge.rate)} /s, ${percent(edge.errorRate)} errors, p50 ${seconds(edge.p50)}, p95 ${seconds(edge.p95)}</title>
      <path d=${path} stroke-width=${wide.toFixed(1)} marker-end=${`url(#${arrow})`} />
    </g>`;
}

/** Above all lines: none may run through a figure. @param {EdgeProps} props */
function EdgeLabel({ edge, from, to, port, near, faded }) {
  if (!from || !to || !port || !(port.labelled || near)) return null;
  const { x, y, anchor } = route(from, to, port);
  return html`<g class=${`map-edge ${edge.bad ? "failing" : ""} ${faded ? "faded" : ""}`}><text x=${x} y=${y} text-anchor=${anchor}>${rate(edge.rate)} /s · ${seconds(edge.p95)}</text></g>`;
}

/**
 * Forward from side to side; back and to itself, around the outside. The label stands at the target, where lines have parted.
 * @param {Spot} from
 * @param {Spot} to
 * @param {import("../model/servicemap.js").Port} port
 */
function route(from, to, port) {
  const { nodeWidth, nodeHeight } = NODE;
  if (to.layer > from.layer) {
    const [x1, y1, x2, y2] = [from.x + nodeWidth, from.y + nodeHeight / 2 + port.out, to.x - 2, to.y + nodeHeight / 2 + port.into];
    const bend = Math.min((x2 - x1) / 2, 80);
    return { path: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`, x: x2 - 10, y: y2 - 5, anchor: "end" };
  }
  const [x1, y1, x2, y2] = [from.x + nodeWidth / 2, from.y + nodeHeight, to.x + nodeWidth / 2, to.y + nodeHeight + 2];
  const deep = Math.max(y1, y2) + 26;
  return { path: `M${x1} ${y1}C${x1} ${deep} ${x2} ${deep} ${x2} ${y2}`, x: x2 + 8, y: y2 + 16, anchor: "start" };
}

const COLUMNS = /** @type {const} */ ([
  ["name", "Caller", "name"], ["", "Called", "who"], ["rate", "Requests /s", "number"], ["errorRate", "Errors", "number"], ["p50", "p50", "number"], ["p95", "p95", "number"],
]);

/** @param {import("./requestpage.js").Shown & { edges: MapEdge[] }} props */
function Calls({ session, state, edges }) {
  const { q, sort, order } = state.view;
  const rows = arranged(edges.map((edge) => ({ ...edge, error_rate: edge.errorRate })), { q, sort, order, text: ({ from, to }) => `${from} ${to}` });
  const service = (/** @type {string} */ name) => html`<a href=${link("/service", { name }, state.view)}>${printable(name)}</a>`;
  return html`
    <div class="sheet"><table class="list calls" onKeyDown=${walkRows}>
      <thead><tr><${SortHeads} columns=${COLUMNS} sort=${sort} order=${order} onSort=${session.navigate} /></tr></thead>
      <tbody>${rows.map((edge) => html`
        <tr key=${`${edge.from}\n${edge.to}`}><th scope="row" class="name">${service(edge.from)}</th><td class="who">${service(edge.to)}</td>
          <td class="number"><b>${rate(edge.rate)}</b></td><td class=${`number ${edge.bad ? "bad" : edge.errorRate ? "" : "third"}`}>${percent(edge.errorRate)}</td>
          <td class="number second">${seconds(edge.p50)}</td><td class="number">${seconds(edge.p95)}</td></tr>`)}</tbody>
    </table></div>`;
}
