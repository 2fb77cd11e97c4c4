// Numbers into words.
import assert from "node:assert/strict";
import { test } from "node:test";
import { columnFormat, formatCores, formatNanoseconds, formatPercent, formatShare, formatValue, significant } from "../../../collector/ui/model/units.js";
import { relativeError, samplingError } from "../../../collector/ui/model/precision.js";

test("a figure has at most three significant digits", () => {
  assert.deepEqual([0, 1, 12.345, 123.45, 1234.5, 0.012345, 999.7].map((value) => significant(value)), ["0", "1", "12.3", "123", "1,235", "0.0123", "1,000"]);
});

test("time takes the unit that reads best", () => {
  const said = [0, 5, 1500, 2.5e6, 41.8e9, 95e9, 120e9, 3600e9, 7200e9, 36_000e9].map(formatNanoseconds);
  assert.deepEqual(said, ["0 s", "5 ns", "1.5 µs", "2.5 ms", "41.8 s", "95 s", "2 min", "60 min", "2 h", "10 h"]);
});

test("a value is said in its own unit", () => {
  assert.equal(formatValue(1536, "bytes"), "1.5 KiB");
  assert.equal(formatValue(41_234, "count"), "41,234");
  assert.equal(formatValue(4_123_400, "count").trim(), "4.12 M");
});

test("something is never said to be nothing", () => {
  assert.equal(formatPercent(0), "0 %");
  assert.equal(formatPercent(0.0004), "< 0.01 %");
  assert.equal(formatShare(1, 1000), "0.1 %");
  assert.equal(formatCores(0.0002), "< 0.001 cores");
  assert.equal(formatCores(1), "1 core");
});

test("nothing of nothing is no share, not an error", () => {
  assert.equal(formatShare(0, 0), "0 %");
});

test("a column keeps one unit and one number of decimals", () => {
  const format = columnFormat(41.8e9, "nanoseconds");
  assert.deepEqual([39.7e9, 0.41e9, 0].map(format), ["39.70 s", "0.41 s", "0"]);
  assert.equal(columnFormat(7568e9, "nanoseconds")(30e9), "0.5 min");
  assert.equal(columnFormat(1142e9, "nanoseconds")(0.1e9), "< 0.01 min");
});

test("the error of a share follows the samples behind it", () => {
  assert.equal(samplingError(50, 100, 10_000)?.toFixed(3), (1.96 * Math.sqrt(5000) * 0.01).toFixed(3));
  assert.equal(samplingError(50, 100, 0), null);
  assert.equal(relativeError(4055)?.toFixed(4), "0.0308");
});
