// A small shop's spans and metrics as OTLP JSON, and their way to the collector.

import { randomBytes } from "node:crypto";
import { collectorUrl } from "./page.mjs";

export const SHOP = { gateway: "gateway", checkout: "checkout", worker: "batch-worker", bank: "api.bank.example" };

const KIND = { internal: 1, server: 2, client: 3, producer: 4, consumer: 5 };
const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
const STEP_MS = 10_000;

const attributes = (pairs) => Object.entries(pairs).map(([key, value]) => ({ key, value: typeof value === "number" ? { intValue: String(value) } : { stringValue: value } }));
const hex = (bytes) => randomBytes(bytes).toString("hex");
/** @param {number} ms */
const nanos = (ms) => String(BigInt(Math.round(ms * 1e3)) * 1000n);

async function post(path, body) {
  const response = await fetch(`${collectorUrl()}${path}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${path}: HTTP ${response.status} ${await response.text()}`);
  const { partialSuccess } = await response.json();
  if (partialSuccess && Object.values(partialSuccess).some((one) => one && one !== "0")) throw new Error(`${path}: ${JSON.stringify(partialSuccess)}`);
}

export const push = {
  /** @returns {Promise<string>} id of the trace */
  async trace({ traceId, spans }) {
    const services = new Map();
    for (const { service, ...span } of spans) {
      if (!services.has(service)) services.set(service, []);
      services.get(service).push(span);
    }
    const resourceSpans = [...services].map(([service, own]) => ({
      resource: { attributes: attributes({ "service.name": service, "host.name": "test" }) },
      scopeSpans: [{ scope: { name: "tests" }, spans: own }],
    }));
    await post("/v1/traces", { resourceSpans });
    return traceId;
  },
  metrics: (resourceMetrics) => post("/v1/metrics", { resourceMetrics }),
};

/** Spans under one id, with times in milliseconds from the start. @param {number} startMs */
function builder(startMs) {
  const traceId = hex(16);
  const spans = [];
  const add = (parent, service, name, kind, from, ms, more = {}) => {
    const spanId = hex(8);
    spans.push({ service, traceId, spanId, parentSpanId: parent ?? "", name, kind: KIND[kind], startTimeUnixNano: nanos(startMs + from), endTimeUnixNano: nanos(startMs + from + ms), ...more });
    return spanId;
  };
  return { traceId, spans, add };
}

/** One request through the shop. @param {number} startMs @param {{ failed?: boolean, factor?: number, run?: string }} [how] */
export function shopTrace(startMs, { failed = false, factor = 1, run = "" } = {}) {
  const { traceId, spans, add } = builder(startMs);
  const slow = 1 + factor;
  const route = { attributes: attributes({ "http.request.method": "POST", "http.route": "/cart/{id}/pay", "http.response.status_code": failed ? 500 : 200, ...(run ? { "test.run": run } : {}) }) };
  const status = failed ? { status: { code: 2, message: "" } } : {};
  const root = add(null, SHOP.gateway, "POST /cart/{id}/pay", "server", 0, 100 * slow, { ...route, ...status });
  const call = add(root, SHOP.gateway, "POST", "client", 1, 98 * slow, status);
  const pay = add(call, SHOP.checkout, "POST /cart/{id}/pay", "server", 2, 96 * slow, { ...route, ...status });
  add(pay, SHOP.checkout, "SELECT carts", "client", 5, 10 * slow, { attributes: attributes({ "db.system.name": "postgresql" }) });
  add(pay, SHOP.checkout, "POST /charges", "client", 20 * slow, 40 * slow, { attributes: attributes({ "server.address": SHOP.bank }) });
  add(pay, SHOP.checkout, "INSERT orders", "client", 65 * slow, 20 * slow, {
    attributes: attributes({ "db.system.name": "postgresql" }),
    ...(failed ? { status: { code: 2, message: "duplicate key" }, events: [{ timeUnixNano: nanos(startMs + 80 * slow), name: "exception", attributes: attributes({ "exception.message": "duplicate key", "exception.stacktrace": "at insert\n at pay" }) }] } : {}),
  });
  add(pay, SHOP.worker, "consume order.paid", "consumer", 90 * slow, 30 * slow);
  return { traceId, spans };
}

/** What nobody should send: a parent that never comes, a circle, an end before its start, a name with marks of direction. @param {number} startMs */
export function hostileTrace(startMs) {
  const { traceId, spans, add } = builder(startMs);
  const root = add(null, SHOP.gateway, "GET /", "server", 0, 50);
  add(hex(8), SHOP.checkout, "lost its parent", "server", 5, 10);
  const one = add(null, SHOP.checkout, "circle", "internal", 6, 10);
  const other = add(one, SHOP.checkout, "circle", "internal", 7, 5);
  spans.find(({ spanId }) => spanId === one).parentSpanId = other;
  add(root, SHOP.checkout, "ends before it starts", "internal", 20, -15);
  add(root, "evil\u202e<img src=x>\u0007", "x".repeat(3000), "internal", 10, 0);
  return { traceId, spans };
}

/** @param {number} startMs @param {number} count */
export function largeTrace(startMs, count) {
  const { traceId, spans, add } = builder(startMs);
  const own = [];
  for (let at = 0; at < count; at++) {
    const parent = at === 0 ? null : own[(at - 1) >> 2];
    own.push(add(parent, at % 3 === 0 ? SHOP.gateway : SHOP.checkout, `step ${at % 50}`, "internal", at * 0.02, (count - at) * 0.01));
  }
  return { traceId, spans };
}

/** A histogram over time, cumulative, as an SDK sends it. @param {number} now @param {Record<string, string | number>} labels @param {number[]} perStep counts by bucket */
function points(now, labels, perStep) {
  const first = Math.floor((now - 600_000) / STEP_MS) * STEP_MS;
  return Array.from({ length: 60 }, (_, step) => {
    const counts = perStep.map((count) => count * (step + 1));
    const sum = counts.reduce((all, count, bucket) => all + count * (BOUNDS[bucket] ?? 12), 0);
    return {
      attributes: attributes(labels), startTimeUnixNano: nanos(first - STEP_MS), timeUnixNano: nanos(first + step * STEP_MS),
      count: String(counts.reduce((all, count) => all + count, 0)), sum, bucketCounts: counts.map(String), explicitBounds: BOUNDS,
    };
  });
}

const buckets = (filled) => Array.from({ length: BOUNDS.length + 1 }, (_, at) => filled[at] ?? 0);
const histogram = (name, dataPoints) => ({ name, unit: "s", histogram: { aggregationTemporality: 2, dataPoints } });
const counter = (name, dataPoints) => ({ name, sum: { aggregationTemporality: 2, isMonotonic: true, dataPoints } });
const totals = (dataPoints) => dataPoints.map(({ attributes, startTimeUnixNano, timeUnixNano, count }) => ({ attributes, startTimeUnixNano, timeUnixNano, asInt: count }));

/** @param {number} now */
export function shopMetrics(now) {
  const resource = (service, metrics) => ({ resource: { attributes: attributes({ "service.name": service }) }, scopeMetrics: [{ scope: { name: "tests" }, metrics }] });
  const fast = buckets({ 0: 20, 1: 60, 2: 20 });
  const slow = buckets({ 3: 30, 6: 10, 9: 2, 14: 1 });
  const served = (method, route, status, counts) => points(now, { "http.request.method": method, "http.route": route, "http.response.status_code": status, "url.scheme": "http" }, counts);
  const calls = (client, server, type, counts) => points(now, { client, server, connection_type: type }, counts);
  const graph = [...calls("user", SHOP.gateway, "virtual_node", fast), ...calls(SHOP.gateway, SHOP.checkout, "", slow), ...calls(SHOP.checkout, SHOP.bank, "virtual_node", slow)];
  const failing = calls(SHOP.gateway, SHOP.checkout, "", buckets({ 9: 2 }));
  return [
    resource(SHOP.gateway, [
      histogram("http.server.request.duration", served("POST", "/cart/{id}/pay", 200, fast)),
      counter("traces_service_graph_request_total", totals(graph)), counter("traces_service_graph_request_failed_total", totals(failing)),
      histogram("traces_service_graph_request_server_seconds", graph), histogram("traces_service_graph_request_client_seconds", graph),
    ]),
    resource(SHOP.checkout, [histogram("http.server.request.duration", [
      ...served("POST", "/cart/{id}/pay", 200, slow), ...served("POST", "/cart/{id}/pay", 500, buckets({ 9: 2 })), ...served("GET", "/cart/{id}", 200, fast),
    ])]),
  ];
}
