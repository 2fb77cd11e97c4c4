// Answers of the collector into what views draw: timeline, trust, pages, names.
import assert from "node:assert/strict";
import { test } from "node:test";
import { firstPage, missingPages, PAGE, rowAt, visibleRows, withPage } from "../../../collector/ui/model/pages.js";
import { hueOf, HUES } from "../../../collector/ui/model/palette.js";
import { clipped, printable, splitPath } from "../../../collector/ui/model/text.js";
import { decodeTimeline, newestWithData, roundAbove, scaleLabel, timeAt, wholeSteps, xOf } from "../../../collector/ui/model/timeline.js";
import { trustParts, verdict } from "../../../collector/ui/model/trust.js";

const timeline = (values) => decodeTimeline({ step_ms: 10_000, start_ms: 50_000, unit: "nanoseconds", series: [{ name: "kernel", values }, { name: "native", values: values.map(() => 0) }] });

test("nanoseconds per step become cores, and series without data are left out", () => {
  const { series, peak } = timeline([5e9, 20e9]);
  assert.deepEqual(series.map(({ name }) => name), ["kernel"]);
  assert.deepEqual([...series[0].values], [0.5, 2]);
  assert.equal(peak, 2);
});

test("positions and moments are each other's inverse", () => {
  const span = { fromMs: 1000, untilMs: 3000 };
  assert.equal(timeAt(span, 400, xOf(span, 400, 1750)), 1750);
  assert.equal(timeAt(span, 400, -50), 1000);
});

test("a dragged range covers whole steps in either direction", () => {
  const expected = { fromMs: 60_000, untilMs: 80_000 };
  assert.deepEqual(wholeSteps(timeline([1]), 61_000, 79_000), expected);
  assert.deepEqual(wholeSteps(timeline([1]), 79_000, 61_000), expected);
});

test("the nearest range with data ends where the data ends", () => {
  assert.deepEqual(newestWithData(timeline([0, 7, 0]), 60_000), { fromMs: 10_000, untilMs: 70_000 });
  assert.equal(newestWithData(timeline([0, 0]), 60_000), null);
});

test("the axis ends at a round value that is not below the data", () => {
  assert.deepEqual([0, 0.31, 1, 2.2, 7, 96].map((value) => Number(roundAbove(value).toPrecision(3))), [1, 0.4, 1, 3, 8, 100]);
});

const trust = (change = {}) => ({
  stacks: { total: 1000, complete: 998, by_reason: [{ reason: "complete", count: 998 }, { reason: "truncated", count: 2 }] },
  frames: { total: 5000, unknown: 15, by_reason: [{ reason: "named", count: 4985 }, { reason: "stripped", count: 15 }] },
  lost: { total: 0, by_reason: [] }, missed: { total: 0, by_reason: [] },
  agents: { seen: 2, hosts: [{ host: "a", last_seen_ms: 0, stale: false }, { host: "b", last_seen_ms: 0, stale: false }] },
  cost: { agent_cpu_ns: 0, bpf_cpu_ns: 0, cores: 0.003 }, ...change,
});

test("data that misses almost nothing is called whole, and still says what is missing", () => {
  const parts = trustParts(trust());
  assert.deepEqual(verdict(parts), { whole: true, word: "Complete" });
  assert.deepEqual(parts[0].reasons, ["0.2 % of stacks: cut at the deepest frame the agent keeps"]);
});

test("one lost sample is never called whole", () => {
  const parts = trustParts(trust({ lost: { total: 1, by_reason: [{ reason: "sample_ring_full", count: 1 }] } }));
  assert.deepEqual(verdict(parts), { whole: false, word: "Samples lost" });
  assert.deepEqual(parts[2].reasons, ["1 sample: the kernel's sample buffer was full"]);
});

test("missed facts about processes are not called lost samples", () => {
  const parts = trustParts(trust({ missed: { total: 2, by_reason: [{ reason: "process_ring_full", count: 2 }] } }));
  assert.deepEqual(verdict(parts), { whole: false, word: "Incomplete" });
  assert.deepEqual(parts[3].reasons, ["2 facts about processes: the kernel's process buffer was full"]);
});

test("a silent agent is counted as missing", () => {
  const parts = trustParts(trust({ agents: { seen: 2, hosts: [{ host: "a", last_seen_ms: 0, stale: false }, { host: "b", last_seen_ms: 0, stale: true }] } }));
  assert.equal(parts[3].figure, "1 of 2");
  assert.equal(verdict(parts).whole, false);
});

test("data nobody reported on is not called complete", () => {
  const none = { total: 0, by_reason: [] };
  const parts = trustParts(trust({ stacks: { ...none, complete: 0 }, frames: { ...none, unknown: 0 }, agents: { seen: 0, hosts: [] } }));
  assert.equal(verdict(parts).word, "Unknown");
});

test("agents that saw nothing of the picked services don't vouch for them", () => {
  const none = { total: 0, by_reason: [] };
  const parts = trustParts(trust({ stacks: { ...none, complete: 0 }, frames: { ...none, unknown: 0 } }));
  assert.equal(verdict(parts).word, "Unknown");
  assert.deepEqual(parts.map(({ key }) => key), ["unreported", "lost", "agents", "cost"]);
});

test("the axis says its unit as people do", () => {
  assert.equal(scaleLabel(1, "nanoseconds"), "1 CPU core");
  assert.equal(scaleLabel(1.5, "nanoseconds"), "1.5 CPU cores");
  assert.equal(scaleLabel(15e6, "bytes"), "14.3 MiB per second");
  assert.equal(scaleLabel(1000, "count"), "1,000 per second");
});

test("only the path of a package is split off a name", () => {
  assert.deepEqual(splitPath("github.com/grafana/pyroscope-go.(*Session).upload"), { path: "github.com/grafana/", rest: "pyroscope-go.(*Session).upload" });
  for (const name of ["runtime/pprof.StartCPUProfile", "operator/", "<a::B as c/d>::e", "[stripped: /usr/lib/x.so]", ""]) {
    assert.deepEqual(splitPath(name), { path: "", rest: name });
  }
});

test("a reason this page does not know is said as it came", () => {
  const parts = trustParts(trust({ lost: { total: 3, by_reason: [{ reason: "new_reason", count: 3 }] } }));
  assert.deepEqual(parts[2].reasons, ["3 samples: new reason"]);
});

test("a list asks only for pages that are on the screen and not here", () => {
  const pages = withPage(firstPage(350, Array.from({ length: PAGE }, (_, row) => row)), 2, [200]);
  assert.deepEqual(missingPages(pages, 90, 310), [1, 3]);
  assert.equal(rowAt(pages, 99), 99);
  assert.equal(rowAt(pages, 150), undefined);
  assert.deepEqual(visibleRows(2600, 260, 26, 350), { from: 94, until: 116 });
});

test("names cannot reorder, break or hide what stands around them", () => {
  assert.equal(printable("a\u202eb\u0000c\nd"), "a\ufffdb\ufffdc\ufffdd");
  assert.ok(printable("x".repeat(10_000)).length < 5000);
  assert.equal(printable("größe 🔥"), "größe 🔥");
});

test("a label is cut between characters, not inside one", () => {
  assert.equal(clipped("abcdefghij", 6), "abcde…");
  assert.equal(clipped("🔥🔥🔥🔥🔥🔥🔥", 6), "🔥🔥🔥🔥🔥…");
  assert.equal(clipped("abc", 0), "");
});

test("a binary keeps its hue, and hues are spread", () => {
  const hues = new Set(Array.from({ length: 200 }, (_, at) => hueOf(`lib${at}.so`)));
  assert.equal(hues.size, HUES);
  assert.equal(hueOf("libc.so.6"), hueOf("libc.so.6"));
});
