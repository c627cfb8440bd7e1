// Sentences in the reader's language. `TEXTS` is put in front by Python: the tag and the sentences of each language.

/** @typedef {((english: string, values?: Record<string, string | number>) => string) & {language: string}} Say */

/**
 * @param {Record<string, {tag: string, sentences: Record<string, string>}>} texts
 * @param {string} [chosen]  the language `rtnb.language()` was given; "" follows the browser
 * @returns {Say}
 */
export function wordsIn(texts, chosen = "") {
  const known = texts[(chosen || navigator.language).toLowerCase().split("-")[0]];
  const say = (english, values = {}) => {
    return (known?.sentences[english] || english).replace(/\{(\w+)\}/g, (all, key) => String(values[key] ?? all));
  };
  return Object.assign(say, { language: known?.tag ?? "en" });
}
