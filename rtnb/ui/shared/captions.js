// Words beside the audio they are spoken in: how much of them was played, and which whole sentences there are.

const LETTERS_PER_MS = 0.013; // as fast as people speak; the length of audio that still comes is not known

/**
 * The number of letters of a spoken text that have been played, to the end of a word.
 * @param {string} text
 * @param {{played_ms: number, total_ms: number, whole: boolean}} audio  `whole`: nothing more of it comes
 */
export function lettersHeard(text, { played_ms, total_ms, whole }) {
  if (whole && played_ms >= total_ms - 60) return text.length;
  const share = total_ms ? (text.length * played_ms) / total_ms : 0;
  const letters = Math.round(whole ? share : Math.min(share, played_ms * LETTERS_PER_MS));
  // To the end of the word; Chinese has no spaces, there each character stands for itself.
  return Math.min(text.length, letters + text.slice(letters).search(/[\s\u3000-\u9fff\uff00-\uffef]|$/));
}

/** The number of letters of a text that still grows which are whole sentences. @param {string} text */
export function sentencesEnd(text) {
  const last = [...text.matchAll(/[.!?…]["'”’)]*(?=\s)|[。！？]["”’）」』]*/g)].at(-1);
  return last ? last.index + last[0].length : 0;
}
