// Why there is no microphone, and what to do about it.

const MICROPHONE_PROBLEMS = {
  denied: [
    "This page may not use the microphone: you, or an earlier answer that the browser remembers, said no.",
    "Click the icon beside the address, allow the microphone, and press the button again.",
  ],
  dismissed: ["The question about the microphone was closed without an answer.", "Press the button again and choose Allow."],
  system: [
    "Your operating system keeps the microphone from this browser.",
    "Allow it in the system's privacy settings under Microphone, restart the browser, and press the button again.",
  ],
  policy: [
    "The page around this notebook does not let it use the microphone.",
    "Open the notebook in a tab of its own instead of embedded in another page.",
  ],
  missing: [
    "No microphone was found.",
    "Plug one in or turn it on in the system's sound settings, and press the button again.",
  ],
  busy: [
    "The microphone is there but does not answer; another program may be using it.",
    "Close other calls and recorders, and press the button again.",
  ],
  insecure: [
    "Browsers give the microphone only to pages that came over https or from this very computer; this one did not.",
    "Open the notebook through https://, or through a tunnel as http://localhost (ssh -L 8888:localhost:8888 …).",
  ],
  unsupported: [
    "This browser gives pages no microphone.",
    "Open the notebook in a current Chrome, Edge, Firefox or Safari.",
  ],
  vscode: [
    "VS Code gives notebooks no microphone, whatever you allow.",
    "Choose a recording or type below, or open this notebook in JupyterLab, Notebook or Colab to talk.",
  ],
  gone: ["The microphone went away in the middle.", "Plug it in again and press the button."],
  soundless: [
    "The browser could not start its sound: this computer seems to have no loudspeaker.",
    "Plug in a loudspeaker or headphones, and press the button again.",
  ],
  other: ["The microphone could not be opened.", "Reload the page, or try another browser."],
};

const BAD_FILE = "This file could not be read as sound. Choose a wav, mp3, m4a, ogg or webm file.";

/**
 * The problem and its remedy.
 * @param {import("./words.js").Say} say @param {string} reason @returns {[string, string]}
 */
export const microphoneSentences = (say, reason) => (MICROPHONE_PROBLEMS[reason] ?? MICROPHONE_PROBLEMS.other).map((it) => say(it));
