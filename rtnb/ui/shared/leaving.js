/**
 * Do what is needed when the page goes away: reloaded, closed, or kept by the browser to come back to.
 *
 * @param {object} what
 * @param {() => boolean} [what.busy] whether something would be lost; the browser asks the user first then
 * @param {() => void} what.leave the page goes: a last message still gets out, anything that waits does not
 * @param {() => void} [what.back] the very same page is shown again
 * @returns {() => void} ends it
 */
export function whenLeaving({ busy, leave, back }) {
  const ends = new AbortController();
  const { signal } = ends;
  addEventListener("beforeunload", (event) => busy?.() && event.preventDefault(), { signal });
  addEventListener("pagehide", () => leave(), { signal });
  addEventListener("pageshow", (event) => event.persisted && back?.(), { signal });
  return () => ends.abort();
}
