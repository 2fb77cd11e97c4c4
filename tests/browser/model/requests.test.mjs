// Services, their figures over time, searches and the map: answers into what is drawn, addresses and back.
import assert from "node:assert/strict";
import { test } from "node:test";
import { areaOf, bucketAt, decodeHeatmap, shade, SHADES } from "../../../collector/ui/model/heatmap.js";
import { layOut } from "../../../collector/ui/model/layers.js";
import { link, placeOf, traceIdIn } from "../../../collector/ui/model/place.js";
import { parseRequestView, printRequestView } from "../../../collector/ui/model/requestview.js";
import { heightOf, nearest, scaleOf, timeOf } from "../../../collector/ui/model/scatter.js";
import { decodeRed, sparkPath, stepAt, stretches } from "../../../collector/ui/model/series.js";
import { decodeMap, nearTo, portsOf, thickness } from "../../../collector/ui/model/servicemap.js";
import { arranged, ofRoute, percent, rate, seconds, totals } from "../../../collector/ui/model/services.js";
import { requestTrustParts, trustParts } from "../../../collector/ui/model/trust.js";

test("paths are pages, and what is none leads home", () => {
  assert.deepEqual(placeOf("/trace/ABCDEF0123456789abcdef0123456789"), { page: "trace", id: "abcdef0123456789abcdef0123456789" });
  assert.equal(placeOf("/services/").page, "services");
  assert.equal(placeOf("/trace/../etc").page, "home");
  assert.equal(placeOf("/constructor").page, "home");
});

test("links carry the range and leave out what is usual or empty", () => {
  assert.equal(link("/traces", { service: "a b", route: "" }, { from: "now-1h", until: "now" }), "/traces?service=a+b&from=now-1h");
  assert.equal(link("/map"), "/map");
});

test("only what can be nothing else is taken for a trace's id", () => {
  assert.equal(traceIdIn(" 4BF92F3577B34DA6A3CE929D0E0E4736 "), "4bf92f3577b34da6a3ce929d0e0e4736");
  assert.equal(traceIdIn("deadbeef"), null);
});

test("an address gives its view and the view its address", () => {
  const address = "?from=now-1h&service=shop&status=error&min=250&attribute=a%3Db&attribute=c%3Dd%3De&text=x&limit=200";
  const view = parseRequestView("traces", address);
  assert.deepEqual(view.attribute, ["a=b", "c=d=e"]);
  assert.deepEqual(parseRequestView("traces", printRequestView("traces", view)), view);
});

test("what an address says wrongly is the default", () => {
  const view = parseRequestView("traces", "?min=-5&max=abc&status=maybe&limit=100000&order=up&from=yesterday&attribute=nokey&view=cake&__proto__=x");
  assert.equal(printRequestView("traces", view), "");
  assert.equal(parseRequestView("traces", `?${"attribute=a%3Db&".repeat(100)}`).attribute.length, 16, "bounded");
});

test("lists that are read from the top are not live unless asked", () => {
  assert.equal(parseRequestView("traces", "").live, false);
  assert.equal(parseRequestView("services", "").live, true);
  assert.equal(parseRequestView("traces", printRequestView("traces", { ...parseRequestView("traces", ""), live: true })).live, true);
});

const service = (name, more) => ({ service: name, instances: 1, requests: 100, rate: 1, errors: 0, error_rate: 0, p50_s: 1, p95_s: 2, p99_s: 3, client_requests: 0, spans: 0, last_ms: 0, spark: [], ...more });

test("what needs attention comes first, then the busiest; what isn't known comes last in either order", () => {
  const rows = [service("calm", { rate: 5 }), service("failing", { rate: 1, error_rate: 0.02 }), service("spans", { rate: null, requests: null, p99_s: null, error_rate: null }), service("busy", { rate: 9 })];
  const names = (how) => arranged(rows, { q: "", sort: "", order: "desc", text: (row) => row.service, ...how }).map((row) => row.service);
  assert.deepEqual(names({}), ["failing", "busy", "calm", "spans"]);
  assert.equal(names({ sort: "rate" }).at(-1), "spans");
  assert.equal(names({ sort: "rate", order: "asc" }).at(-1), "spans");
  assert.deepEqual(names({ q: "AL" }), ["calm"]);
});

test("totals count measured services only, and no requests have no error rate", () => {
  assert.equal(totals([]).errorRate, null);
  const sum = totals([service("a", { requests: 100, errors: 5, p99_s: 2 }), service("b", { requests: null, rate: null, errors: null, error_rate: null, p99_s: null })]);
  assert.equal(sum.errorRate, 0.05);
  assert.equal(sum.unmeasured, 1);
  assert.equal(sum.slowest?.service, "a");
});

test("methods of one route add up, their quantiles don't", () => {
  const route = { route: "/a", requests: 10, rate: 1, errors: 1, p50_s: 1, p95_s: 1, p99_s: 1 };
  assert.deepEqual(ofRoute([{ ...route, method: "GET" }, { ...route, method: "PUT", errors: 3 }], "/a"),
    { route: "/a", requests: 20, rate: 2, errors: 4, error_rate: 0.2, p50_s: null, p95_s: null, p99_s: null });
  assert.equal(ofRoute([], "/a"), null);
});

test("figures say their unit, and nothing says nothing", () => {
  assert.equal(seconds(0.0636), "63.6 ms");
  assert.equal(seconds(null), "–");
  assert.equal(percent(0.0142), "1.4 %");
  assert.equal(percent(0.9998), "> 99.9 %", "never a hundred when some failed");
  assert.equal(rate(0.00001), "< 0.001");
});

const red = decodeRed({ step_ms: 10_000, start_ms: 0, series: { requests: [null, 100, 0, 50], errors: [null, 10, 0, null], p50_s: [null, 1, null, 1], p95_s: [], p99_s: [] } });

test("requests become rates, and a step without requests has no error rate", () => {
  assert.deepEqual(red.rate, [null, 10, 0, 5]);
  assert.deepEqual(red.errorRate, [null, 0.1, null, 0]);
  assert.equal(stepAt(red, 15_000), 1);
  assert.equal(stepAt(red, 99_000), null);
});

test("lines break where nothing is known", () => {
  assert.deepEqual(stretches([null, 1, 2, null, 3]), [[1, [1, 2]], [4, [3]]]);
  assert.equal(sparkPath([0, 0, 0], 100, 20), "");
  assert.match(sparkPath([1, null, 2], 100, 20), /^M0\.0 10\.0h0\.01M100\.0 1\.0h0\.01$/);
});

const heatmap = decodeHeatmap({ step_ms: 10_000, start_ms: 100_000, bounds_s: [0.01, 0.1, 1], columns: [[0, 4, 0, 0], [0, 100, 0, 1], []] });

test("one slow request is seen beside a hundred fast ones", () => {
  assert.equal(shade(0, 100), 0);
  assert.equal(shade(1, 100), 1);
  assert.equal(shade(100, 100), SHADES);
  assert.deepEqual([heatmap.low, heatmap.high, heatmap.total], [0, 4, 105]);
});

test("a dragged area is whole cells, the requests in them, and open at the top where nothing bounds it", () => {
  assert.equal(bucketAt(heatmap, 80, 5), 3);
  assert.equal(bucketAt(heatmap, 80, 79), 0);
  const area = areaOf(heatmap, { fromMs: 119_000, untilMs: 111_000 }, [3, 2]);
  assert.deepEqual(area, { fromMs: 110_000, untilMs: 120_000, bottom: 2, top: 3, minS: 0.1, maxS: Infinity, requests: 1 });
  assert.equal(areaOf(heatmap, { fromMs: 0, untilMs: 1e9 }, [0, 3]).requests, 105);
});

test("parts of requests are not counted as less than one, nor as nothing", () => {
  const parts = decodeHeatmap({ step_ms: 10_000, start_ms: 0, bounds_s: [1], columns: [[13.5, 0.2], [13.5, 0]] });
  assert.equal(parts.total, 27);
  assert.equal(areaOf(parts, { fromMs: 0, untilMs: 10_000 }, [1, 1]).requests, 1);
  assert.equal(areaOf(parts, { fromMs: 10_000, untilMs: 20_000 }, [1, 1]).requests, 0);
});

test("an empty heatmap has its buckets and no requests", () => {
  const empty = decodeHeatmap({ step_ms: 10_000, start_ms: 0, bounds_s: [1, 2], columns: [] });
  assert.deepEqual([empty.low, empty.high, empty.total], [0, 3, 0]);
});

test("durations are placed by their logarithm, hostile ones included", () => {
  assert.deepEqual(scaleOf([]), { low: 0, high: 3 });
  assert.deepEqual(scaleOf([0, -3, NaN, Infinity]), { low: 0, high: 3 });
  const scale = scaleOf([1, 100]);
  assert.deepEqual(scale, { low: 0, high: 2 });
  assert.equal(heightOf(scale, 100, 10), 50);
  assert.equal(heightOf(scale, 100, 0), 100);
  assert.equal(nearest([{ x: 10, y: 10 }, { x: 50, y: 50 }], 48, 52), 1);
  assert.equal(nearest([{ x: 10, y: 10 }], 100, 100), -1);
});

test("where only the newest traces are here, their time is drawn and no empty range before it", () => {
  const whole = { fromMs: 0, untilMs: 900_000 };
  const traces = [{ start_ms: 890_000 }, { start_ms: 790_000 }];
  assert.deepEqual(timeOf(traces, false, whole), whole);
  assert.deepEqual(timeOf([], true, whole), whole);
  assert.deepEqual(timeOf(traces, true, whole), { fromMs: 787_000, untilMs: 893_000 });
  assert.deepEqual(timeOf([{ start_ms: 5000 }], true, whole), { fromMs: 2500, untilMs: 7500 });
});

const size = { nodeWidth: 100, nodeHeight: 40, gapX: 50, gapY: 20 };

test("callers stand left of what they call, circles and strangers too", () => {
  const edges = [{ from: "a", to: "b" }, { from: "b", to: "c" }, { from: "c", to: "a" }, { from: "a", to: "c" }, { from: "a", to: "a" }, { from: "x", to: "nowhere" }];
  const { spots, width } = layOut(["a", "b", "c", "x"], edges, size);
  assert.deepEqual(["a", "b", "c"].map((name) => spots.get(name)?.layer), [0, 1, 2]);
  assert.equal(spots.get("x")?.layer, 0);
  assert.equal(width, 3 * 100 + 2 * 50);
});

test("no two services stand in the same place, five hundred and a chain of a thousand included", () => {
  const names = Array.from({ length: 500 }, (_, at) => `s${at}`);
  const edges = names.flatMap((from, at) => [1, 7, 31].map((step) => ({ from, to: names[(at * step + step) % 500] })));
  const { spots } = layOut(names, edges, size);
  assert.equal(new Set([...spots.values()].map(({ x, y }) => `${x} ${y}`)).size, 500);
  const chain = Array.from({ length: 1000 }, (_, at) => `c${at}`);
  assert.equal(layOut(chain, chain.slice(1).map((to, at) => ({ from: chain[at], to })), size).spots.get("c999")?.layer, 999);
  assert.equal(layOut([], [], size).spots.size, 0);
});

test("an end of a connection that is no service is an external one", () => {
  const map = decodeMap({ nodes: [{ service: "a", requests: 1, rate: 1, error_rate: 0.5, p95_s: 1, kind: "service" }], edges: [{ from: "a", to: "db", rate: 5, error_rate: null, p95_s: null }] });
  assert.deepEqual(map.nodes.map(({ service, external, bad }) => [service, external, bad]), [["a", false, true], ["db", true, false]]);
  assert.deepEqual([...nearTo(map.edges, "db") ?? []], ["db", "a"]);
  assert.equal(nearTo(map.edges, null), null);
  assert.deepEqual([...portsOf(map.edges, new Map()).values()], [{ out: 0, into: 0, labelled: true }]);
  assert.ok(thickness(1, 1000) < thickness(1000, 1000));
  assert.equal(thickness(0, 0), 1);
});

const trust = (missed) => ({ stacks: { total: 0, complete: 0, by_reason: [] }, frames: { total: 0, unknown: 0, by_reason: [] }, lost: { total: 0, by_reason: [] },
  missed: { total: 5, by_reason: missed }, agents: { seen: 1, hosts: [] }, cost: { cores: 0.01 } });

test("calls on sockets that were missed are not called facts about processes", () => {
  const answer = trust([{ reason: "socket_ring_full", count: 3 }, { reason: "file_table_full", count: 2 }]);
  assert.deepEqual(trustParts(answer).filter(({ key }) => key.startsWith("missed")).map(({ figure, words }) => `${figure} ${words}`), ["2 facts about processes missed", "3 calls on sockets missed"]);
  assert.ok(requestTrustParts(answer).every(({ key }) => key !== "stacks" && key !== "lost"));
  assert.equal(requestTrustParts({ ...answer, agents: { seen: 0, hosts: [] } })[0].key, "unreported");
});
