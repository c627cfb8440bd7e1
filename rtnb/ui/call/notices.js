/* global microphoneHindrance, microphoneSentences, element */

/** What is wrong in a call, and what to do about it. @returns {{kind: string, text: string, remedy?: string, offer?: boolean}[]} */
function noticesOf(engine) {
  const { say, link } = engine;
  const notices = [];
  if (link.lost) {
    const gone = "The kernel is gone: it was restarted, stopped, or the connection broke. The microphone is off. " +
      "If it was restarted, run the cell again to call.";
    notices.push({ kind: "error", text: say(gone) });
  } else if (engine.state === "closed" && !engine.endText && engine.reasonText) {
    notices.push({ kind: "error", text: engine.reasonText });
  }
  if (link.busy && !link.lost) {
    const seconds = link.waitingSeconds;
    const voice = "The kernel is running a cell. {seconds} s of your voice wait and will be sent when it is free.";
    const click = "The kernel is running a cell; it will take your click when it is free.";
    const text = seconds >= 0.5 ? say(voice, { seconds: seconds.toFixed(seconds < 10 ? 1 : 0) }) : say(click);
    notices.push({ kind: "busy", text });
  }
  const failure = engine.failure ?? (engine.state === "ready" && microphoneHindrance());
  if (failure && !engine.inCall && !link.lost) {
    const [text, remedy] = microphoneSentences(say, failure);
    notices.push({ kind: "error", text, remedy, offer: true });
  }
  return [...notices, ...engine.notices];
}

/** One notice as an element. */
function noticeBox(engine, { kind, text, remedy, offer }) {
  const box = element("div", { className: `rtnb-call-notice rtnb-call-${kind}` }, element("span", { textContent: text }));
  if (kind === "error") box.setAttribute("role", "alert");
  if (remedy) box.append(element("strong", { textContent: ` ${remedy}` }));
  if (offer) {
    const textContent = engine.say("Go on without a microphone");
    const onclick = () => engine.start({ microphone: false });
    box.append(element("button", { type: "button", className: "rtnb-call-without", textContent, onclick }));
  }
  return box;
}
