// Sentences in the reader's language. `CHINESE` is put in front by Python: the Chinese of each English sentence.

/** @typedef {((english: string, values?: Record<string, string | number>) => string) & {language: string}} Say */

/**
 * @param {Record<string, string>} chinese
 * @param {string} [chosen]  the language `rtnb.language()` was given; "" follows the browser
 * @returns {Say}
 */
export function wordsIn(chinese, chosen = "") {
  const wanted = chosen || (navigator.languages?.[0] ?? navigator.language ?? "en");
  const inChinese = String(wanted).toLowerCase().split("-")[0] === "zh";
  const say = (english, values = {}) => {
    const sentence = inChinese ? (chinese[english] ?? english) : english;
    return sentence.replace(/\{(\w+)\}/g, (all, key) => String(values[key] ?? all));
  };
  return Object.assign(say, { language: inChinese ? "zh-Hans" : "en" });
}
