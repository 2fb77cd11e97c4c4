// What the address says: views, selectors, ranges, searches.
import assert from "node:assert/strict";
import { test } from "node:test";
import { exactly, exactName, matcherOf } from "../../../collector/ui/model/pattern.js";
import { isRelative, rangeTitle, resolveRange, resolveTime, timeTicks } from "../../../collector/ui/model/range.js";
import { anyOf, listedValues, matcherWords, parseSelector, printSelector } from "../../../collector/ui/model/selector.js";
import { DEFAULT_VIEW, parsePart, parseSelect, parseView, printPart, printView } from "../../../collector/ui/model/view.js";

test("an address without parameters is the default view, and the default view has none", () => {
  assert.deepEqual(parseView(""), DEFAULT_VIEW);
  assert.equal(printView(DEFAULT_VIEW), "");
});

test("every part of a view survives its address", () => {
  const view = {
    ...DEFAULT_VIEW, type: "mem:bytes:bytes::", selector: '{service_name="a&b=\\"c\\""}', from: "1700000000000", until: "1700000100000", select: "1700000000000-1700000050000",
    root: "00ff00ff00ff00ff", part: "0.5-1", q: "/a+b?/", view: "flame", colour: "binary", sort: "self", order: "asc", table: "matching", live: false,
  };
  assert.deepEqual(parseView(printView(view)), view);
});

test("what an address says wrongly is ignored", () => {
  const view = parseView("?view=<script>&root=xyz&from=yesterday&select=5-1&order=up&part=2-3&unknown=1&__proto__=1");
  assert.deepEqual(view, DEFAULT_VIEW);
});

test("a picked range and a part need a length", () => {
  assert.deepEqual(parseSelect("5-9"), { fromMs: 5, untilMs: 9 });
  assert.equal(parseSelect("9-9"), null);
  assert.equal(parsePart("0.5-0.5"), null);
  assert.deepEqual(parsePart(printPart(1 / 3, 1)), [0.333333333, 1]);
});

test("selectors survive quotes, backslashes and line ends", () => {
  const matchers = [{ name: "service_name", op: "=", value: 'a"b\\c\nd,}' }, { name: "pod", op: "!~", value: "x|y" }];
  assert.deepEqual(parseSelector(printSelector(matchers)), matchers);
  assert.deepEqual(parseSelector("{}"), []);
  assert.deepEqual(parseSelector(' { pod =~ "a" , host != "b" } ')?.map(({ op }) => op), ["=~", "!="]);
});

test("text that is no selector is refused", () => {
  for (const text of ["{pod}", '{pod="a', "{pod=a}", '{1pod="a"}', '{pod="a" host="b"}']) assert.equal(parseSelector(text), null, text);
});

test("any of several values is a pattern of exactly these", () => {
  const matcher = anyOf("pod", ["a.b", "c|d"]);
  assert.equal(matcher.value, "a\\.b|c\\|d");
  assert.deepEqual(listedValues(matcher), ["a.b", "c|d"]);
  assert.deepEqual(matcherWords(matcher), { relation: "any of", value: "2" });
  assert.deepEqual(listedValues({ name: "pod", op: "=~", value: "a.*" }), []);
});

test("relative times follow the clock and absolute ones do not", () => {
  assert.equal(resolveTime("now-15m", 1_000_000), 100_000);
  assert.equal(resolveTime("1234", 9), 1234);
  assert.equal(resolveTime("now+1h", 9), null);
  assert.equal(resolveRange("now", "now-1m", 9e9), null);
  assert.ok(isRelative("now") && !isRelative("1700000000000"));
  assert.equal(rangeTitle("now-1h", "now"), "Last hour");
  assert.equal(rangeTitle("now-15m", "now"), "Last 15 minutes");
});

test("ticks are round moments inside the range", () => {
  const { ticks, step } = timeTicks({ fromMs: 1_700_000_123_000, untilMs: 1_700_003_723_000 }, 12);
  assert.equal(step, 300_000);
  assert.equal(ticks.length, 12);
  assert.ok(ticks.every((ms) => ms % 300_000 === 0 && ms > 1_700_000_123_000));
});

test("text is found in any case, a pattern between slashes, a broken pattern nowhere", () => {
  assert.ok(matcherOf("SERDE")("serde_json::to"));
  assert.ok(matcherOf("/^to_(a|b)$/")("to_b"));
  assert.ok(!matcherOf("/(/")("("));
  assert.ok(!matcherOf("")("anything"));
});

test("the search for exactly one function names it again", () => {
  const name = "<Vec<T> as [x; 3]>::f(a|b)*";
  assert.ok(matcherOf(exactly(name))(name));
  assert.ok(!matcherOf(exactly("malloc"))("_int_malloc"));
  assert.equal(exactName(exactly(name)), name);
  assert.equal(exactName("/^a.b$/"), null);
});

test("a name longer than the collector reads is looked for by how it begins", () => {
  const name = "<T>".repeat(2000);
  assert.ok(exactly(name).length < 1000);
  assert.ok(matcherOf(exactly(name))(name));
});
