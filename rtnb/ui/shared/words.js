// Sentences in the reader's language. `CHINESE` is put in front by Python: the Chinese of each English sentence.

/** @typedef {((english: string, values?: Record<string, string | number>) => string) & {language: string}} Say */

/**
 * @param {Record<string, string>} chinese @param {string} [chosen]  the language `rtnb.language()` was given; "" follows the browser
 * @returns {Say}
 */
export function wordsIn(chinese, chosen = "") {
  const inChinese = /^zh(-|$)/i.test(chosen || navigator.language);
  const say = (english, values = {}) => {
    return ((inChinese && chinese[english]) || english).replace(/\{(\w+)\}/g, (all, key) => String(values[key] ?? all));
  };
  return Object.assign(say, { language: inChinese ? "zh-Hans" : "en" });
}
