// @ts-check
// Whether the picture rests on whole data, in words: what is missing, how much, and why.

import { clock } from "./range.js";
import { counted, formatCores, formatShare } from "./units.js";

/**
 * @typedef {object} Part one figure of the trust bar
 * @property {string} key
 * @property {string} figure
 * @property {string} words
 * @property {boolean} whole
 * @property {string[]} reasons one sentence each
 */

/** Below this share of incomplete stacks or unknown frames the picture is called whole. */
const TOLERATED = 0.01;

const REASONS = /** @type {Record<string, string>} */ ({
  truncated: "cut at the deepest frame the agent keeps",
  no_mapping: "ran into memory no file is mapped at",
  no_unwind_info: "met code without unwind information",
  read_fault: "met a page that could not be read",
  frame_pointer_lost: "lost the chain of frame pointers",
  jit: "met generated code",
  ring_full: "the kernel's buffer was full",
  queue_full: "the agent's queue was full",
  map_full: "a table in the kernel was full",
  export_failed: "the collector could not be reached",
  stripped: "the binary has no symbols",
  jit_without_perf_map: "generated code without a perf map",
});

/** @param {string} reason */
export function reasonWords(reason) {
  return REASONS[reason] ?? reason.replaceAll("_", " ");
}

/**
 * @param {any} answer of /trust
 * @returns {Part[]}
 */
export function trustParts(answer) {
  const { stacks, frames, lost, agents, cost } = answer;
  if (agents.seen === 0 && stacks.total === 0) return [unreported()];
  return [stacksPart(stacks), framesPart(frames), lostPart(lost), agentsPart(agents), costPart(cost)];
}

/** Other agents than ours may push here, and they say nothing of what they lost. @returns {Part} */
function unreported() {
  return {
    key: "unreported", figure: "No agent", words: "has said how complete this data is", whole: false,
    reasons: ["No Sonde agent reported on itself in this range, so what was lost or left unnamed is not known."],
  };
}

/** @param {any} stacks */
function stacksPart({ total, complete, by_reason }) {
  const missing = total - complete;
  return {
    key: "stacks", figure: formatShare(complete, total), words: "complete stacks",
    whole: missing <= TOLERATED * total,
    reasons: byReason(by_reason, missing, total, "stacks"),
  };
}

/** @param {any} frames */
function framesPart({ total, unknown, by_reason }) {
  return {
    key: "frames", figure: formatShare(unknown, total), words: "unknown frames",
    whole: unknown <= TOLERATED * total, reasons: byReason(by_reason, unknown, total, "frames"),
  };
}

/** @param {any} lost */
function lostPart({ total, by_reason }) {
  return {
    key: "lost", figure: total.toLocaleString("en"), words: total === 1 ? "sample lost" : "samples lost", whole: total === 0,
    reasons: by_reason.filter((/** @type {any} */ one) => one.count > 0)
      .map((/** @type {any} */ one) => `${counted(one.count, "sample")}: ${reasonWords(one.reason)}`),
  };
}

/** @param {any} agents */
function agentsPart({ seen, hosts }) {
  const stale = hosts.filter((/** @type {any} */ one) => one.stale);
  return {
    key: "agents", figure: `${seen - stale.length} of ${seen}`, words: seen === 1 ? "agent" : "agents",
    whole: seen > 0 && stale.length === 0,
    reasons: seen === 0 ? ["No agent reports on itself in this range."]
      : stale.map((/** @type {any} */ one) => `${one.host} is silent since ${clock(one.last_seen_ms, true)}`),
  };
}

/** @param {any} cost */
function costPart({ cores }) {
  return { key: "cost", figure: costFigure(cores), words: "", whole: true, reasons: [] };
}

/** "0.3 % of one core" while it is below one. @param {number} cores */
function costFigure(cores) {
  return cores < 1 ? `${formatShare(cores, 1)} of one core` : formatCores(cores);
}

/**
 * @param {{ reason: string, count: number }[]} reasons
 * @param {number} missing
 * @param {number} total
 * @param {string} what
 */
function byReason(reasons, missing, total, what) {
  if (missing <= 0) return [];
  return reasons.filter(({ reason, count }) => count > 0 && !["complete", "frame_pointer_root", "named"].includes(reason))
    .sort((one, other) => other.count - one.count)
    .map(({ reason, count }) => `${formatShare(count, total)} of ${what}: ${reasonWords(reason)}`);
}

/**
 * One word for the dot: what a reader must know first.
 * @param {Part[]} parts
 */
export function verdict(parts) {
  const missing = parts.filter(({ whole }) => !whole);
  if (missing.length === 0) return { whole: true, word: "Complete" };
  if (missing.some(({ key }) => key === "unreported")) return { whole: false, word: "Unknown" };
  return { whole: false, word: missing.some(({ key }) => key === "lost") ? "Samples lost" : "Incomplete" };
}
