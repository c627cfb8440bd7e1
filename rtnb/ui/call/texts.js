// Sentences of the call that depend on its status, on who speaks, or on what the kernel says.

const STATUSES = {
  ready: "Ready", asking: "Waiting for the microphone", connecting: "Connecting", listening: "Listening",
  hearing: "Hearing you", thinking: "Thinking", speaking: "Speaking", muted: "Muted", holding: "Hold to talk",
  sending: "Release to send", typing: "Type or send a recording", closed: "The call is over", away: "On hold",
  elsewhere: "In another tab", onhold: "On hold",
};

const HINTS = {
  ready: "One click, and you talk.",
  asking: "Your browser asks whether this page may hear you.",
  connecting: "You may speak already; nothing is lost.",
  listening: "Speak whenever you like, also over the answer.",
  speaking: "Just speak to interrupt.",
  muted: "Your voice is not sent; the answer goes on.",
  holding: "Hold the round button or the space bar.",
  typing: "No microphone in this call.",
  closed: "One click goes on where you were.",
  away: "The page was closed or reloaded. One click within a minute goes on where you were.",
  elsewhere: "The call runs in another tab or window of this notebook. One click brings it here.",
  onhold: "Another call or recording of this page took its place. One click takes this call back.",
};

const HALF_DUPLEX_HINTS = { speaking: "The microphone waits until the answer is over. Esc stops it." };
// The hints that are different with push to talk.
const HOLD_HINTS = { ready: "One click, then hold the button or the space bar to talk.", speaking: "Hold to interrupt." };

// Why the call ended, where the server has no words for it.
const ENDS = {
  hung_up: "You hung up.",
  output: "The cell's output was closed, so the call was ended.",
  page: "Nobody was on the page any more, so the call was ended.",
  silent: "The page lost the kernel for a while, so the call was ended.",
  microphone: "The microphone went away, so the call was ended.",
};

const ROLES = { user: "You", assistant: "Voice", tool: "Tool" };

const NOTICES = {
  too_short: "That was too short to be heard. Hold the button while you speak.",
  not_transcribed: "Your words could not be written down; the answer is not affected.",
  hole: "Messages from the kernel were lost on the way ({count}); a piece of the answer may be missing.",
  echo: "The answer comes back in the microphone, so it may interrupt itself.", // and what to do about it:
  echo_remedy: "Put on headphones, or take turns: the microphone then waits until the answer is over.",
  approve: "The model asks whether it may call {call}.",
  device: "This device could not be used; the one before goes on.",
  server: "The server complains: {text}",
};

const FAILURES = {
  insufficient_quota: "Your account has no credit left. Add some under Billing at platform.openai.com, then reconnect.",
  rate_limit: "Your account's rate limit is reached. Wait a little and go on.",
  other: "The answer failed. The server said: {text}",
};
