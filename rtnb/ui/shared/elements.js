// Elements that every widget makes.

/** A new element. @param {string} tag @param {object} [properties] @param {(Node | string)[]} children @returns {any} */
export function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/**
 * The one root of a widget, in which MathJax takes `$5 and $10` for money and not for a formula.
 * @param {string} name  its class @param {string} label  for screen readers @param {import("./words.js").Say} say
 * @param {string} markup @param {string} [tag]
 */
export function widgetRoot(name, label, say, markup, tag = "section") {
  const root = element(tag, { lang: say.language, innerHTML: markup });
  root.className = `rtnb-ui ${name} mathjax_ignore tex2jax_ignore`;
  root.setAttribute("aria-label", label);
  root.dataset.lmSuppressShortcuts = "true"; // Jupyter would take keys typed in here for its own, and cut cells
  root.onkeydown = (event) => event.stopPropagation(); // where the focused control itself is what its keys are for
  return root;
}

/** Name a control, for screen readers and for the mouse. @param {HTMLElement} control @param {string} label */
export function named(control, label) {
  control.setAttribute("aria-label", label);
  control.title = label;
}

/** Write what a screen reader may read: only what has changed. @param {HTMLElement} place @param {string} text */
export function write(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

/** The elements of a root whose classes are a prefix and one of these words. @returns {Record<string, any>} */
export function partsOf(root, prefix, words) {
  return Object.fromEntries(words.split(" ").map((word) => [word, root.querySelector(`.${prefix}-${word}`)]));
}

/** Listen to anywidget's model. @param {any} model @param {Record<string, Function>} handlers @returns {() => void} ends it */
export function listenTo(model, handlers) {
  for (const [name, handler] of Object.entries(handlers)) model.on(name, handler);
  return () => {
    for (const [name, handler] of Object.entries(handlers)) model.off(name, handler);
  };
}

/** Take the files that a user chooses, also the same ones again. @param {any} input @param {(files: File[]) => void} take */
export function whenChosen(input, take) {
  input.onchange = () => {
    if (input.files.length) take([...input.files]);
    input.value = "";
  };
}

/** Minutes and seconds. @param {number} seconds */
export const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
