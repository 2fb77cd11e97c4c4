// @ts-check
// Label selectors, `{service_name="checkout",pod=~"a|b"}`: text to matchers and back.

/** @typedef {"=" | "!=" | "=~" | "!~"} Operator */
/** @typedef {{ name: string, op: Operator, value: string }} Matcher */

const MATCHER = /\s*([A-Za-z_][A-Za-z0-9_.]*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*(,|$)/y;
const UNESCAPED = /** @type {Record<string, string>} */ ({ n: "\n", "\\": "\\", '"': '"' });

/**
 * @param {string} text with or without its braces; empty selects everything
 * @returns {Matcher[] | null} null when it isn't a selector
 */
export function parseSelector(text) {
  const body = text.trim().replace(/^\{([^]*)\}$/, "$1").trim();
  /** @type {Matcher[]} */
  const matchers = [];
  MATCHER.lastIndex = 0;
  while (MATCHER.lastIndex < body.length) {
    const found = MATCHER.exec(body);
    if (!found) return null;
    const value = found[3].replace(/\\(.)/g, (all, letter) => UNESCAPED[letter] ?? all);
    matchers.push({ name: found[1], op: /** @type {Operator} */ (found[2]), value });
  }
  return matchers;
}

/** @param {Matcher[]} matchers */
export function printSelector(matchers) {
  if (matchers.length === 0) return "";
  return `{${matchers.map(({ name, op, value }) => `${name}${op}"${escapeValue(value)}"`).join(",")}}`;
}

/** @param {string} value */
function escapeValue(value) {
  return value.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n");
}

/** @param {string} value */
export function escapeRegex(value) {
  return value.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

/**
 * The matcher for one value or for any of several.
 * @param {string} name
 * @param {string[]} values at least one
 * @returns {Matcher}
 */
export function anyOf(name, values) {
  if (values.length === 1) return { name, op: "=", value: values[0] };
  return { name, op: "=~", value: values.map(escapeRegex).join("|") };
}

/**
 * The values a matcher lists, when it lists values: "a|b" is two, "a.*" is a pattern and none.
 * @param {Matcher} matcher
 */
export function listedValues({ op, value }) {
  if (op === "=" || op === "!=") return [value];
  const parts = value.match(/(?:\\.|[^|\\])+/g) ?? [];
  if (parts.some((part) => /[\^$.*+?()[\]{}]/.test(part.replace(/\\./g, "")))) return [];
  return parts.map((part) => part.replace(/\\(.)/g, "$1"));
}

/** What a person calls the label. @param {string} name */
export function labelTitle(name) {
  return name === "service_name" ? "service" : name;
}

/**
 * The words of a filter chip: operator and value.
 * @param {Matcher} matcher
 */
export function matcherWords(matcher) {
  const values = listedValues(matcher);
  const not = matcher.op.startsWith("!") ? "not " : "";
  if (values.length > 1) return { relation: `${not}any of`, value: `${values.length}` };
  if (values.length === 0) return { relation: `${not}like`, value: matcher.value };
  return { relation: not.trim(), value: values[0] === "" ? "(empty)" : values[0] };
}
