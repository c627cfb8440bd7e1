// Why there is no microphone, and what to do about it.

const MICROPHONE_PROBLEMS = {
  denied: "This page may not use the microphone: you, or an earlier answer that the browser remembers, said no.",
  dismissed: "The question about the microphone was closed without an answer.",
  system: "Your operating system keeps the microphone from this browser.",
  policy: "The page around this notebook does not let it use the microphone.",
  missing: "No microphone was found.",
  busy: "The microphone is there but does not answer; another program may be using it.",
  insecure: "Browsers give the microphone only to pages that came over https or from this very computer; this one did not.",
  unsupported: "This browser gives pages no microphone.",
  vscode: "VS Code gives notebooks no microphone, whatever you allow.",
  gone: "The microphone went away in the middle.",
  soundless: "The browser could not start its sound: this computer seems to have no loudspeaker.",
  other: "The microphone could not be opened.",
};

const MICROPHONE_REMEDIES = {
  denied: "Click the icon beside the address, allow the microphone, and press the button again.",
  dismissed: "Press the button again and choose Allow.",
  system: "Allow it in the system's privacy settings under Microphone, restart the browser, and press the button again.",
  policy: "Open the notebook in a tab of its own instead of embedded in another page.",
  missing: "Plug one in or turn it on in the system's sound settings, and press the button again.",
  busy: "Close other calls and recorders, and press the button again.",
  insecure: "Open the notebook through https://, or through a tunnel as http://localhost (ssh -L 8888:localhost:8888 …).",
  unsupported: "Open the notebook in a current Chrome, Edge, Firefox or Safari.",
  vscode: "Choose a recording or type below, or open this notebook in JupyterLab, Notebook or Colab to talk.",
  gone: "Plug it in again and press the button.",
  soundless: "Plug in a loudspeaker or headphones, and press the button again.",
  other: "Reload the page, or try another browser.",
};

const BAD_FILE = "This file could not be read as sound. Choose a wav, mp3, m4a, ogg or webm file.";

/** The problem and its remedy. @param {import("./words.js").Say} say @param {string} reason @returns {[string, string]} */
export const microphoneSentences = (say, reason) => [say(MICROPHONE_PROBLEMS[reason]), say(MICROPHONE_REMEDIES[reason])];
