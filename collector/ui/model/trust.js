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

/** The agents' labels in words; a label from a newer agent is said as it came. */
const REASONS = /** @type {Record<string, string>} */ ({
  truncated: "cut at the deepest frame the agent keeps",
  no_mapping: "ran into memory no file is mapped at",
  read_fault: "memory could not be read",
  frame_pointers_lost: "the chain of frame pointers broke off",
  no_unwind_info: "code without unwind tables or frame pointers",
  unsupported_rule: "hand-written code whose stack can't be followed",
  jit: "generated code without frame pointers",
  table_not_loaded: "the unwind table was not loaded yet, or the file could not be read",
  process_unknown: "the process was too young to be known",
  foreign_code: "32-bit code, which is not followed",
  perf_map_too_large: "generated code whose perf map is larger than the agent keeps",
  not_in_jitdump: "generated code that its jitdump does not name",
  stripped: "the binary has no symbols",
  "stripped,_debug_file_on_its_way": "the binary has no symbols; a debuginfod server is being asked",
  "stripped,_not_on_debuginfod": "the binary has no symbols, and no debuginfod server has them",
  "stripped,_debuginfod_failed": "the binary has no symbols, and no debuginfod server answered",
  "stripped,_debug_file_too_large": "the binary has no symbols, and its debug file is too large to fetch",
  not_in_symbol_table: "code that the symbol table does not name",
  jit_without_perf_map: "generated code, and neither a perf map nor a jitdump names it",
  not_in_perf_map: "generated code that its perf map does not name",
  file_gone: "the file was gone before it could be read",
  not_readable: "the file could not be read",
  process_gone: "the process ended before it could be looked at",
  kernel_symbols_hidden: "the kernel hides its symbols from this agent",
  sample_ring_full: "the kernel's sample buffer was full",
  process_ring_full: "the kernel's process buffer was full",
  pipeline_queue_full: "the agent was too slow",
  record_invalid: "a kernel record could not be read",
  process_record_invalid: "a kernel record of a process could not be read",
  region_table_full: "a process maps more regions than the agent keeps",
  file_table_full: "more files are mapped than the agent keeps",
  socket_ring_full: "the kernel's socket buffer was full",
  socket_queue_full: "the agent was too slow",
  socket_record_invalid: "a kernel record of a socket could not be read",
  too_many_connections: "more connections at a time than the agent follows",
  window_full: "more distinct stacks than a window holds",
  export_queue_full: "the agent's send queue was full",
  export_refused: "the collector refused the profile",
  export_given_up: "the collector failed on the profile again and again",
  export_unsent: "the agent stopped before it was sent",
});

/** @param {string} reason */
export function reasonWords(reason) {
  return REASONS[reason.replaceAll(" ", "_")] ?? reason.replaceAll("_", " ");
}

/**
 * @param {any} answer of /trust
 * @returns {Part[]}
 */
export function trustParts(answer) {
  const { stacks, frames, lost, missed, agents, cost } = answer;
  if (agents.seen === 0 && stacks.total === 0) return [unreported()];
  if (stacks.total === 0) return [uncounted(), lostPart(lost), ...missedPart(missed), agentsPart(agents), costPart(cost)];
  return [stacksPart(stacks), framesPart(frames), lostPart(lost), ...missedPart(missed), agentsPart(agents), costPart(cost)];
}

/** What of it concerns requests: they rest on calls on sockets, not on stacks. @param {any} answer of /trust @returns {Part[]} */
export function requestTrustParts(answer) {
  const { missed, agents, cost } = answer;
  if (agents.seen === 0) return [unreported()];
  return [...missedPart(missed), agentsPart(agents), costPart(cost)];
}

/** How much of one trace is here. @param {import("./trace.js").Trace} trace @returns {Part[]} */
export function traceParts({ spans, roots, orphans, services, truncated }) {
  const rootless = roots === 0;
  return [
    { key: "trace", figure: counted(spans.length, "span"), words: `of ${counted(services.length, "service")}`, whole: !truncated,
      reasons: truncated ? ["The trace is larger than what the collector hands out at once; some spans are missing."] : [] },
    { key: "root", figure: rootless ? "No root" : counted(roots, "root"), words: "received", whole: !rootless,
      reasons: rootless ? ["The span that began this trace has not arrived: it may come later, was not sampled, or was lost."] : [] },
    { key: "orphans", figure: orphans.toLocaleString("en"), words: orphans === 1 ? "span without its parent" : "spans without their parents", whole: orphans === 0,
      reasons: orphans > 0 ? [`${counted(orphans, "span")} ${orphans === 1 ? "names a parent" : "name parents"} that has not been received. Where it belongs in the tree is not known.`] : [] },
  ];
}

/** Other agents than ours may push here, and they say nothing of what they lost. @returns {Part} */
function unreported() {
  return {
    key: "unreported", figure: "No agent", words: "has said how complete this data is", whole: false,
    reasons: ["No Sonde agent reported on itself in this range, so what was lost or left unnamed is not known."],
  };
}

/** Agents reported, and none had a stack of the services that are picked. @returns {Part} */
function uncounted() {
  return {
    key: "unreported", figure: "No agent", words: "counted stacks of these services", whole: false,
    reasons: ["No Sonde agent saw these services in this range, so how complete their data is is not known."],
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

/** Labels of what is missed of calls on sockets; the others are about processes. */
const OF_SOCKETS = /^socket_|^too_many_connections$/;

/** Shown only when there is something to say. @param {any} missed @returns {Part[]} */
function missedPart({ by_reason }) {
  const part = (/** @type {string} */ key, /** @type {boolean} */ ofSockets, /** @type {string} */ one, /** @type {string} */ about) => {
    const reasons = by_reason.filter((/** @type {any} */ { reason, count }) => count > 0 && OF_SOCKETS.test(reason.replaceAll(" ", "_")) === ofSockets);
    const total = reasons.reduce((/** @type {number} */ sum, /** @type {any} */ { count }) => sum + count, 0);
    return total === 0 ? [] : [{
      key, figure: total.toLocaleString("en"), words: `${one}s ${about} missed`, whole: false,
      reasons: reasons.map((/** @type {any} */ { reason, count }) => `${counted(count, one)} ${about}: ${reasonWords(reason)}`),
    }];
  };
  return [...part("missed", false, "fact", "about processes"), ...part("missed-calls", true, "call", "on sockets")];
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
  return reasons.filter(({ reason, count }) => count > 0 && !["complete", "frame_pointer_root", "in_exec", "named"].includes(reason))
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
