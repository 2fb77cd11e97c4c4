// The trimmed tree in columns: every lookup against a naive walk over the same answer.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ALL, childId, isNodeId } from "../../../collector/ui/model/nodeid.js";
import { chainTo, childrenOf, decodeTree, follow, idOf, itemAt, nameOf } from "../../../collector/ui/model/tree.js";
import { litNodes, matchesIn } from "../../../collector/ui/model/lit.js";

/** A small answer of the collector: all → (main → (parse, print)), (idle), and what is too narrow beneath main. */
function answer(change = {}) {
  return {
    from_ms: 0, until_ms: 1000, type: "t", unit: "nanoseconds", total: 100, events: 50, nodes_in_tree: 9, max_depth: 2,
    root: { id: ALL, total: 100 }, path: [{ name: "all", binary: "", kind: 0, id: ALL, total: 100, self: 0 }],
    names: ["all", "main", "parse", "print", "idle"], binaries: ["", "app", "[kernel]"], files: ["", "main.c"],
    nodes: {
      depth: [0, 1, 2, 2, 1], name: [0, 1, 2, 3, 4], binary: [0, 1, 1, 1, 2], kind: [0, 0, 0, 0, 1], file: [0, 1, 0, 0, 0], line: [0, 7, 0, 0, 0],
      self: [0, 5, 40, 20, 30], total: [100, 70, 40, 20, 30], x: [0, 0, 0, 40, 70],
    },
    fillers: { depth: [2], x: [60], total: [5], frames: [3], parent: [1] }, match: null, ...change,
  };
}

test("a node's id is the FNV-1a chain of its path", () => {
  let hash = 0xcbf29ce484222325n;
  for (const byte of [..."main".split("").map((one) => one.charCodeAt(0)), 0xfe, ..."app".split("").map((one) => one.charCodeAt(0)), 0xff]) {
    hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
  }
  assert.equal(childId(ALL, "main", "app"), hash.toString(16).padStart(16, "0"));
});

test("ids of known paths stay what they are", () => {
  assert.equal(childId(ALL, "a", ""), "e57a2e1903db3b0b");
  assert.equal(childId(childId(ALL, "größe", "libc.so.6"), "main", "app"), "e4d5a839995cdb3a");
  assert.ok(isNodeId(ALL) && !isNodeId("all"));
  assert.notEqual(childId(ALL, "ab", "c"), childId(ALL, "a", "bc"));
});

test("parents, ends and children follow from depths alone", () => {
  const tree = decodeTree(answer());
  assert.deepEqual([...tree.parent], [-1, 0, 1, 1, 0]);
  assert.deepEqual([...tree.end], [5, 4, 3, 4, 5]);
  assert.deepEqual(childrenOf(tree, 0), [1, 4]);
  assert.deepEqual(chainTo(tree, 3), [0, 1, 3]);
});

test("random trees agree with a naive walk", () => {
  let seed = 1;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  const depth = [0];
  while (depth.length < 400) depth.push(1 + Math.floor(random() * (depth[depth.length - 1] + 1)));
  const zeros = depth.map(() => 0);
  const tree = decodeTree(answer({ nodes: { depth, name: zeros, binary: zeros, kind: zeros, file: zeros, line: zeros, self: zeros, total: zeros, x: zeros } }));
  depth.forEach((level, node) => {
    const after = depth.findIndex((other, at) => at > node && other <= level);
    assert.equal(tree.end[node], after < 0 ? depth.length : after);
    const above = depth.slice(0, node).findLastIndex((other) => other === level - 1);
    assert.equal(tree.parent[node], level === 0 ? -1 : above);
  });
});

test("a stack deeper than any screen keeps its rows", () => {
  const depth = Array.from({ length: 70_000 }, (_, level) => level);
  const zeros = depth.map(() => 0);
  const tree = decodeTree(answer({ nodes: { depth, name: zeros, binary: zeros, kind: zeros, file: zeros, line: zeros, self: zeros, total: zeros.map(() => 9), x: zeros } }));
  assert.equal(tree.parent[69_999], 69_998);
  assert.equal(itemAt(tree.rows, tree.x, tree.total, 69_999, 4), 69_999);
});

test("a point finds the box it is in, and none in a gap", () => {
  const tree = decodeTree(answer());
  const at = (depth, x) => itemAt(tree.rows, tree.x, tree.total, depth, x);
  assert.deepEqual([at(1, 0), at(1, 69.9), at(1, 70), at(2, 39), at(2, 40), at(2, 65), at(3, 5), at(-1, 5)], [1, 1, 4, 2, 3, -1, -1, -1]);
  assert.equal(itemAt(tree.filler.rows, tree.filler.x, tree.filler.total, 2, 61), 0);
});

test("ids go on from the root of a zoomed view", () => {
  const whole = decodeTree(answer());
  const main = idOf(whole, 1);
  const zoomed = decodeTree(answer({
    root: { id: main, total: 70 },
    path: [{ name: "all", binary: "", kind: 0, id: ALL, total: 100, self: 0 }, { name: "main", binary: "app", kind: 0, id: main, total: 70, self: 5 }],
    names: ["main", "print"], binaries: ["app"],
    nodes: { depth: [0, 1], name: [0, 1], binary: [0, 0], kind: [0, 0], file: [0, 0], line: [0, 0], self: [50, 20], total: [70, 20], x: [0, 0] },
    fillers: { depth: [], x: [], total: [], frames: [], parent: [] },
  }));
  assert.equal(idOf(zoomed, 1), idOf(whole, 3));
  assert.deepEqual(zoomed.ancestors.map(({ name }) => name), ["all"]);
});

test("a place is found again by its frames, as far as it exists", () => {
  const tree = decodeTree(answer());
  assert.equal(nameOf(tree, follow(tree, [{ name: "main", binary: "app" }, { name: "print", binary: "app" }])), "print");
  assert.equal(nameOf(tree, follow(tree, [{ name: "main", binary: "app" }, { name: "gone", binary: "app" }])), "main");
});

test("an empty answer is a tree without boxes", () => {
  const none = { depth: [], name: [], binary: [], kind: [], file: [], line: [], self: [], total: [], x: [] };
  const tree = decodeTree(answer({ total: 0, nodes: none, fillers: { depth: [], x: [], total: [], frames: [], parent: [] } }));
  assert.equal(itemAt(tree.rows, tree.x, tree.total, 0, 0), -1);
});

test("a search lights matches and what runs beneath them", () => {
  const tree = decodeTree(answer({ match: { q: "MAIN", functions: 1, frames: 1, total: 70, names: [1] } }));
  assert.deepEqual([...(litNodes(tree, "MAIN") ?? [])], [0, 2, 1, 1, 0]);
  assert.deepEqual(matchesIn(litNodes(tree, "/^p/")), [2, 3], "before the server has answered, the page decides for what it shows");
  assert.equal(litNodes(tree, ""), null);
});
