/* global microphoneHindrance, microphoneSentences, element, NOTICES */

/**
 * What is wrong in a call or asked in it, and what to do about it.
 * @returns {{kind: string, text: string, remedy?: string, offers?: [string, string, () => void][]}[]}
 */
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
    const offers = [["without", say("Go on without a microphone"), () => engine.start({ microphone: false })]];
    notices.push({ kind: "error", text, remedy, offers });
  }
  if (engine.echo && engine.halfDuplex === null && engine.inCall) {
    const offers = [["turns", say("Take turns"), () => engine.choose({ halfDuplex: true })]];
    offers.push(["leave", say("Leave it so"), () => engine.choose({ halfDuplex: false })]);
    notices.push({ kind: "asked", text: say(NOTICES.echo), remedy: say(NOTICES.echo_remedy), offers });
  }
  for (const { id, text } of engine.inCall ? engine.approvals : []) {
    const answer = (yes) => () => link.send("approve", { id, yes });
    const offers = [["allow", say("Allow"), answer(true)], ["refuse", say("Refuse"), answer(false)]];
    notices.push({ kind: "asked", text: say(NOTICES.approve, { call: text }), offers });
  }
  return [...notices, ...engine.notices];
}

/** One notice as an element. */
function noticeBox({ kind, text, remedy, offers = [] }) {
  const box = element("div", { className: `rtnb-call-notice rtnb-call-${kind}` }, element("span", { textContent: text }));
  if (kind === "error" || kind === "asked") box.setAttribute("role", "alert");
  if (remedy) box.append(element("strong", { textContent: ` ${remedy}` }));
  const button = ([name, textContent, onclick]) =>
    element("button", { type: "button", className: `rtnb-call-${name}`, textContent, onclick });
  if (offers.length) box.append(element("div", { className: "rtnb-call-offers" }, ...offers.map(button)));
  return box;
}
