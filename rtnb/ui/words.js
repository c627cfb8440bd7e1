// The texts of a widget in the reader's language. `TEXTS` is put in front by Python: {en: {…}, zh: {…}}.

/**
 * @typedef {((name: string, values?: Record<string, string | number>) => string)
 *   & {language: string, has: (name: string) => boolean}} Say
 */

/**
 * @param {Record<string, Record<string, string>>} texts  by language, then by name
 * @param {string} [chosen]  what `rtnb.language()` was told; "" follows the browser
 * @returns {Say}
 */
export function wordsIn(texts, chosen = "") {
  const wanted = chosen ? [chosen] : navigator.languages?.length ? navigator.languages : [navigator.language ?? "en"];
  const first = String(wanted[0]).toLowerCase().split("-")[0];
  const language = first in texts ? first : "en";
  const say = (name, values = {}) =>
    (texts[language][name] ?? texts.en[name] ?? name).replace(/\{(\w+)\}/g, (all, key) => String(values[key] ?? all));
  return Object.assign(say, {
    language: language === "zh" ? "zh-Hans" : language,
    has: (name) => name in texts.en,
  });
}
