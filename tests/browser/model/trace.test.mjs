// A trace as a tree in arrays, whatever the spans claim; what its end waited for; where bars and keys lead.
import assert from "node:assert/strict";
import { test } from "node:test";
import { criticalPath, selfTime } from "../../../collector/ui/model/criticalpath.js";
import { traceParts, verdict } from "../../../collector/ui/model/trust.js";
import { CIRCLE, childrenOf, decodeTrace, findRows, openRows, ORPHAN } from "../../../collector/ui/model/trace.js";
import { allParents, barOf, partAround, revealed, stretchOf, ticksOf, walk } from "../../../collector/ui/model/waterfall.js";

const span = (span_id, parent_span_id, start_offset_ns, duration_ns, more = {}) => ({ span_id, parent_span_id, start_offset_ns, duration_ns, name: span_id, service: "shop", status: "unset", attributes: [], ...more });
const trace = (spans) => decodeTrace({ trace_id: "t", start_ns: "1700000000000000000", spans, resources: [] });
const names = ({ spans }) => spans.map(({ span_id }) => span_id);

test("rows are depth first, siblings by their start, whatever order the spans came in", () => {
  const built = trace([span("d", "b", 30, 5), span("c", "a", 50, 10), span("b", "a", 20, 20), span("a", null, 0, 100)]);
  assert.deepEqual(names(built), ["a", "b", "d", "c"]);
  assert.deepEqual([...built.depth], [0, 1, 2, 1]);
  assert.deepEqual([...built.end], [4, 3, 3, 4]);
  assert.deepEqual(childrenOf(built, 0), [1, 3]);
  assert.equal(built.lengthNs, 100);
  assert.equal(built.startMs, 1700000000000);
});

test("a trace without spans is an empty trace", () => {
  for (const built of [trace([]), decodeTrace({})]) {
    assert.equal(built.spans.length, 0);
    assert.deepEqual(openRows(built, new Set()), []);
    assert.equal(criticalPath(built).size, 0);
  }
});

test("a span whose parent is not here is a row of its own, and is called an orphan", () => {
  const built = trace([span("a", null, 0, 100), span("b", "gone", 10, 5)]);
  assert.deepEqual([...built.flag], [0, ORPHAN]);
  assert.equal(built.orphans, 1);
  assert.equal(verdict(traceParts(built)).word, "Incomplete");
  assert.equal(verdict(traceParts(trace([span("a", null, 0, 1)]))).whole, true);
  assert.equal(traceParts(trace([span("b", "gone", 0, 1)])).find(({ key }) => key === "root").whole, false);
});

test("parents that lead in a circle are cut, and no span is lost", () => {
  const built = trace([span("a", "c", 0, 9), span("b", "a", 1, 5), span("c", "b", 2, 2), span("self", "self", 4, 1), span("root", null, 0, 10)]);
  assert.deepEqual(names(built).toSorted(), ["a", "b", "c", "root", "self"]);
  assert.equal([...built.flag].filter((flag) => flag === CIRCLE).length, 2);
  assert.equal(built.depth[names(built).indexOf("c")], 2);
  assert.equal(criticalPath(built).size > 0, true);
});

test("ids that come twice keep both spans, and children hang on the first", () => {
  const built = trace([span("a", null, 0, 10), span("a", null, 1, 10), span("b", "a", 2, 3)]);
  assert.equal(built.spans.length, 3);
  assert.equal(built.parent[names(built).indexOf("b")], names(built).indexOf("a"));
});

test("durations below zero and figures that are none count as nothing", () => {
  const built = trace([span("a", null, 0, 10), span("b", "a", -5, -7), span("c", "a", Number.NaN, "x")]);
  assert.ok([...built.duration].every((one) => one >= 0));
  assert.equal(built.lengthNs, 10);
});

test("fifty thousand spans are built, closed, searched and walked in a moment", () => {
  const spans = Array.from({ length: 50_000 }, (_, at) => span(`s${at}`, at === 0 ? null : `s${(at - 1) >> 1}`, at, 100_000 - at, { service: `svc-${at % 20}` }));
  const chain = Array.from({ length: 50_000 }, (_, at) => span(`c${at}`, at === 0 ? null : `c${at - 1}`, at, 100_000 - 2 * at));
  const before = performance.now();
  const [wide, deep] = [trace(spans), trace(chain)];
  assert.equal(openRows(wide, new Set()).length, 50_000);
  assert.equal(openRows(wide, allParents(wide)).length, 1);
  assert.equal(deep.depth[49_999], 49_999);
  assert.equal(criticalPath(deep).size, 50_000);
  assert.equal(findRows(wide, "s49999").length, 1);
  assert.ok(performance.now() - before < 3000, `${performance.now() - before} ms`);
});

test("services keep their own colours where they can, and never share one while there are enough", () => {
  const built = trace(Array.from({ length: 12 }, (_, at) => span(`s${at}`, null, at, 1, { service: `service-${at}` })));
  assert.equal(new Set(built.services.map(({ hue }) => hue)).size, 12);
});

test("the critical path is the child that ended last, then what ran before it, and adds up to the root", () => {
  const built = trace([span("root", null, 0, 100), span("early", "root", 10, 20), span("hidden", "root", 40, 20), span("late", "root", 35, 55)]);
  const path = criticalPath(built);
  const row = (name) => names(built).indexOf(name);
  assert.deepEqual(path.get(row("late")), [[35, 90]]);
  assert.equal(path.has(row("hidden")), false, "it ran beside one that took longer");
  assert.deepEqual(path.get(row("early")), [[10, 30]]);
  assert.deepEqual(path.get(row("root"))?.toSorted((one, other) => one[0] - other[0]), [[0, 10], [30, 35], [90, 100]]);
  const sum = [...path.values()].flat().reduce((all, [from, until]) => all + until - from, 0);
  assert.equal(sum, 100);
});

test("a child that outlives its parent is counted until the parent's end", () => {
  const built = trace([span("root", null, 0, 100), span("async", "root", 90, 500)]);
  assert.deepEqual(criticalPath(built).get(1), [[90, 100]]);
  assert.equal(selfTime(built, 0), 90);
});

test("own time leaves out children, also where they overlap", () => {
  const built = trace([span("root", null, 0, 100), span("a", "root", 10, 40), span("b", "root", 30, 40)]);
  assert.equal(selfTime(built, 0), 40);
});

test("bars lie where their time is, and outside there is none", () => {
  const stretch = { fromNs: 100, untilNs: 200 };
  assert.deepEqual(barOf(stretch, 150, 25), { left: 0.5, right: 0.75 });
  assert.deepEqual(barOf(stretch, 0, 1000), { left: 0, right: 1 });
  assert.equal(barOf(stretch, 0, 50), null);
  assert.equal(barOf(stretch, 300, 50), null);
});

test("a part of no length still has a width, and all of it is no part", () => {
  const built = trace([span("a", null, 0, 1000)]);
  assert.equal(partAround(built, { fromNs: 0, untilNs: 1000 }), null);
  const [from, until] = partAround(built, { fromNs: 500, untilNs: 500 });
  assert.ok(from < until);
  const end = partAround(built, { fromNs: 1000, untilNs: 1000 });
  assert.ok(end[0] < end[1] && end[1] <= 1);
  assert.deepEqual(stretchOf(trace([]), null), { fromNs: 0, untilNs: 1 });
  assert.deepEqual(ticksOf({ fromNs: 0, untilNs: 1000 }, 5), [0, 200, 400, 600, 800, 1000]);
});

test("keys lead along the rows that are open", () => {
  const built = trace([span("a", null, 0, 100), span("b", "a", 1, 50), span("c", "b", 2, 20), span("d", "a", 60, 10)]);
  const all = openRows(built, new Set());
  assert.deepEqual(walk(built, all, new Set(), 0, "j", 10), { row: 1 });
  assert.deepEqual(walk(built, all, new Set(), 0, "ArrowUp", 10), { row: 0 });
  assert.deepEqual(walk(built, all, new Set(), 1, "ArrowLeft", 10), { row: 1, toggle: true });
  const closed = new Set([1]);
  const shown = openRows(built, closed);
  assert.deepEqual(shown, [0, 1, 3]);
  assert.deepEqual(walk(built, shown, closed, 1, "ArrowDown", 10), { row: 3 });
  assert.deepEqual(walk(built, shown, closed, 1, "ArrowLeft", 10), { row: 0 });
  assert.deepEqual(walk(built, shown, closed, 1, "ArrowRight", 10), { row: 1, toggle: true });
  assert.deepEqual(walk(built, shown, closed, 0, "End", 10), { row: 3 });
  assert.equal(walk(built, shown, closed, 0, "x", 10), null);
  assert.deepEqual([...revealed(built, closed, 2)], []);
});

test("a search reads names, attributes and messages", () => {
  const built = trace([span("a", null, 0, 100, { attributes: [{ key: "http.route", value: "/pay" }, { key: "n", value: 42 }] }), span("b", "a", 1, 50, { status_message: "Boom" })]);
  assert.deepEqual(findRows(built, "ROUTE=/pay"), [0]);
  assert.deepEqual(findRows(built, "n=42"), [0]);
  assert.deepEqual(findRows(built, "boom"), [1]);
  assert.deepEqual(findRows(built, "  "), []);
});

test("a trace that is larger than what is handed out is not called complete", () => {
  const built = decodeTrace({ trace_id: "t", start_ns: "0", spans: [span("a", null, 0, 1)], resources: [], truncated: true });
  assert.equal(verdict(traceParts(built)).whole, false);
});
