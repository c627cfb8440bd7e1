// Elements that every widget makes.

/**
 * The one root of a widget, in which MathJax takes `$5 and $10` for money and not for a formula.
 * @param {string} name  its class @param {string} label  for screen readers @param {import("./words.js").Say} say
 * @param {string} markup @param {string} [tag]
 */
export function widgetRoot(name, label, say, markup, tag = "section") {
  const root = document.createElement(tag);
  root.className = `rtnb-ui ${name} mathjax_ignore tex2jax_ignore`;
  root.lang = say.language;
  root.setAttribute("aria-label", label);
  root.innerHTML = markup;
  return root;
}

/** Name a control, for screen readers and for the mouse. @param {HTMLElement} element @param {string} label */
export function named(element, label) {
  element.setAttribute("aria-label", label);
  element.title = label;
}

/** The elements of a root whose classes are a prefix and one of these words. @returns {Record<string, any>} */
export function partsOf(root, prefix, words) {
  return Object.fromEntries(words.split(" ").map((word) => [word, root.querySelector(`.${prefix}-${word}`)]));
}

/** Minutes and seconds. @param {number} seconds */
export const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
