// @ts-check
// The collector's JSON API: one GET, its errors in the server's own words, answers remembered for the way back.

const BASE = "/api/v1";
const REMEMBERED = 48;

/** What the server, or the way to it, said when it failed. */
export class ApiError extends Error {
  /**
   * @param {number} status HTTP status, 0 when nothing answered
   * @param {string} code
   * @param {string} message
   */
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }

  /** One sentence on what to try. */
  get remedy() {
    if (this.status === 0) return "Check that the collector runs and that this address still leads to it.";
    if (this.status === 429 || this.status === 503) return "The collector is busy. A shorter range or a narrower filter costs it less.";
    if (this.status === 504 || this.code === "timeout") return "Choose a shorter range or a narrower filter.";
    if (this.status >= 500) return "The collector's log says more.";
    return "Change the filter, the search or the range.";
  }
}

/** @type {Map<string, any>} */
const answers = new Map();

/**
 * The address of a question. Parameters that are empty are left out, so equal questions are equal strings.
 * @param {string} path
 * @param {Record<string, string | number | undefined>} [params]
 */
export function address(path, params = {}) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) {
    if (value !== undefined && value !== "") query.set(key, String(value));
  }
  const text = query.toString();
  return `${BASE}${path}${text ? `?${text}` : ""}`;
}

/** @param {string} url */
export function remembered(url) {
  return answers.get(url);
}

/**
 * @param {string} url from `address`
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export async function ask(url, signal) {
  const response = await fetch(url, { signal, headers: { accept: "application/json" } }).catch((error) => {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "unreachable", "The collector does not answer.");
  });
  const body = await response.json().catch(() => null);
  if (!response.ok || body === null) throw refusal(response, body);
  return body;
}

/**
 * Keeps what a view was drawn from, oldest out first.
 * @param {string} url
 * @param {any} data
 */
export function remember(url, data) {
  answers.delete(url);
  answers.set(url, data);
  if (answers.size > REMEMBERED) answers.delete(answers.keys().next().value ?? "");
}

/**
 * @param {Response} response
 * @param {any} body
 */
function refusal(response, body) {
  const said = body?.error;
  if (typeof said?.message === "string") return new ApiError(response.status, String(said.code), said.message);
  return new ApiError(response.status, "unreadable", `The collector answered with HTTP ${response.status} and no reason.`);
}
