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

  /** One sentence on what to try, where the server's own words don't say it. */
  get remedy() {
    if (this.status === 0) return "Check that the collector runs and that this address still leads to it.";
    if (this.code === "unreadable") return "Something between this page and the collector may have answered for it.";
    return this.status === 500 ? "The collector's log says more." : "";
  }
}

/** @type {Map<string, any>} */
const answers = new Map();

/**
 * The address of a question. Parameters that are empty are left out, so equal questions are equal strings.
 * @param {string} path
 * @param {Record<string, string | number | undefined | string[]>} [params] a list is said once for each of its values
 */
export function address(path, params = {}) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) {
    if (Array.isArray(value)) value.forEach((one) => query.append(key, one));
    else if (value !== undefined && value !== "") query.set(key, String(value));
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
