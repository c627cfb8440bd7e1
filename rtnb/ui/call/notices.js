/* global microphoneHindrance, microphoneSentences */

/** What is wrong in a call, and what to do about it. @returns {{kind: string, text: string, remedy?: string, offer?: boolean}[]} */
function noticesOf(engine) {
  const { say } = engine;
  const notices = [];
  if (engine.lost) {
    const text = say(
      "The kernel is gone: it was restarted, stopped, or the connection broke. The microphone is off. " +
        "If it was restarted, run the cell again to call.",
    );
    notices.push({ kind: "error", text });
  } else if (engine.state === "closed" && !engine.endText && engine.reasonText) {
    notices.push({ kind: "error", text: engine.reasonText });
  }
  if (engine.busy.busy && !engine.lost) {
    const { seconds } = engine.busy;
    const voice = "The kernel is running a cell. {seconds} s of your voice wait and will be sent when it is free.";
    const click = "The kernel is running a cell; it will take your click when it is free.";
    const text = seconds >= 0.5 ? say(voice, { seconds: seconds.toFixed(seconds < 10 ? 1 : 0) }) : say(click);
    notices.push({ kind: "busy", text });
  }
  const failure = engine.failure ?? (engine.state === "ready" && microphoneHindrance());
  if (failure && !engine.inCall && !engine.lost) {
    const [text, remedy] = microphoneSentences(say, failure);
    notices.push({ kind: "error", text, remedy, offer: true });
  }
  return [...notices, ...engine.notices];
}

/** One notice as an element. */
function noticeBox(engine, { kind, text, remedy, offer }) {
  const box = document.createElement("div");
  box.className = `rtnb-call-notice rtnb-call-${kind}`;
  if (kind === "error") box.setAttribute("role", "alert");
  const what = document.createElement("span");
  what.textContent = text;
  box.append(what);
  if (remedy) {
    const how = document.createElement("strong");
    how.textContent = ` ${remedy}`;
    box.append(how);
  }
  if (offer) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "rtnb-call-without";
    button.textContent = engine.say("Go on without a microphone");
    button.addEventListener("click", () => engine.start({ microphone: false }));
    box.append(button);
  }
  return box;
}
