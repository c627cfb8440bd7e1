/* global STATUSES, HINTS, HOLD_HINTS, HALF_DUPLEX_HINTS, LevelMeter, CallCaptions, CallSettings */
/* global CallEvents, microphoneHindrance, noticesOf, noticeBox, icon, clock, named, partsOf, whenChosen, widgetRoot, write */

const IN_CALL =
  "main icon word hint time money who notices captions bar level mute stop hangup form input send file pick settings events aloud";

const CALL_MARKUP = `
  <div class="rtnb-call-top">
    <button type="button" class="rtnb-call-main"><span class="rtnb-call-ring" aria-hidden="true"></span><span
      class="rtnb-call-icon"></span></button>
    <div class="rtnb-call-says">
      <div class="rtnb-call-status"><span class="rtnb-call-word"></span><span
        class="rtnb-call-wave" aria-hidden="true"><i></i><i></i><i></i><i></i></span></div>
      <div class="rtnb-call-hint"></div>
    </div>
    <div class="rtnb-call-facts">
      <div class="rtnb-call-figures"><span class="rtnb-call-time"></span><span class="rtnb-call-money"></span></div>
      <div class="rtnb-call-who"></div>
    </div>
  </div>
  <div class="rtnb-call-notices"></div>
  <div class="rtnb-call-captions" role="log" aria-live="off" tabindex="0" hidden></div>
  <div class="rtnb-call-bar">
    <div class="rtnb-call-level" role="meter" aria-valuemin="0" aria-valuemax="100" aria-valuenow="0"><i></i></div>
    <button type="button" class="rtnb-call-mute"></button>
    <button type="button" class="rtnb-call-stop"></button>
    <button type="button" class="rtnb-call-hangup"></button>
    <form class="rtnb-call-form">
      <input type="text" class="rtnb-call-input" autocomplete="off" enterkeyhint="send">
      <button type="submit" class="rtnb-call-send">${icon("send")}</button>
      <label class="rtnb-call-file">${icon("file")}<input
        type="file" accept="audio/*,video/webm,video/mp4" class="rtnb-call-pick"></label>
    </form>
    <details class="rtnb-call-settings"></details>
  </div>
  <details class="rtnb-call-events" hidden></details>
  <div class="rtnb-call-aloud" role="status"></div>`;

// Reasons for no microphone that no second try can change.
const FINAL_FAILURES = ["vscode", "insecure", "unsupported", "policy"];

/** One view of a call in one output. */
class CallView {
  constructor(engine, el) {
    this.engine = engine;
    this.say = engine.say;
    this.build(el);
    this.captions = new CallCaptions(engine, this.parts.captions);
    this.settings = new CallSettings(engine, this.parts.settings);
    this.events = new CallEvents(engine, this.parts.events);
    this.meter = new LevelMeter(this.root, this.parts.level);
    this.draw();
    this.update();
    for (const item of engine.turns.order) this.captions.update(item);
  }

  build(el) {
    const { say } = this;
    const root = (this.root = widgetRoot("rtnb-call", say("Live call"), say, CALL_MARKUP));
    const p = (this.parts = partsOf(root, "rtnb-call", IN_CALL));
    p.captions.setAttribute("aria-label", say("Conversation"));
    p.level.setAttribute("aria-label", say("Microphone level"));
    p.stop.innerHTML = `${icon("stop")}<span>${say("Stop")}</span>`;
    p.stop.title = say("Stop the answer (Esc)");
    p.stop.setAttribute("aria-keyshortcuts", "Escape");
    p.hangup.innerHTML = `${icon("hangup")}<span>${say("Hang up")}</span>`;
    p.input.placeholder = say("Or type here");
    p.input.setAttribute("aria-label", say("Or type here"));
    named(p.send, say("Send"));
    p.file.title = say("Send a recording");
    p.pick.setAttribute("aria-label", say("Send a recording"));
    this.listenToButtons();
    this.listenToKeys();
    el.replaceChildren(root);
  }

  listenToButtons() {
    const { engine, parts: p } = this;
    p.main.addEventListener("click", () => {
      if (engine.onHold) return engine.takeBack();
      if (engine.inCall && engine.setup.hold) return; // held, not clicked
      if (engine.inCall) engine.mute();
      else engine.start({ microphone: !FINAL_FAILURES.includes(engine.failure ?? microphoneHindrance()) });
    });
    p.main.addEventListener("pointerdown", (event) => {
      if (!engine.inCall || !engine.setup.hold || event.button || engine.onHold) return;
      p.main.setPointerCapture(event.pointerId);
      engine.hold();
    });
    for (const name of ["pointerup", "pointercancel"]) {
      p.main.addEventListener(name, () => engine.held && engine.letGo(name === "pointerup"));
    }
    p.mute.addEventListener("click", () => engine.mute());
    p.stop.addEventListener("click", () => engine.stop());
    p.hangup.addEventListener("click", () => {
      engine.hangUp();
      p.main.focus();
    });
    p.form.addEventListener("submit", (event) => {
      event.preventDefault();
      engine.type(p.input.value);
      if (engine.state === "open") p.input.value = "";
    });
    whenChosen(p.pick, ([file]) => engine.sendRecording(file));
  }

  listenToKeys() {
    const { engine, root } = this;
    root.addEventListener("keydown", (event) => {
      const typing = event.target.closest("input, select");
      const onButton = event.target.closest(".rtnb-call-bar button, summary, .rtnb-call-offers");
      if (event.key === "Escape" && engine.inCall) {
        if (engine.held) engine.letGo(false);
        else engine.stop();
        event.preventDefault();
      } else if (event.key === " " && !typing && engine.inCall && engine.setup.hold && !onButton) {
        event.preventDefault();
        if (!event.repeat) engine.hold();
      } else if (event.key.toLowerCase() === "m" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
        engine.mute();
      }
    });
    root.addEventListener("keyup", (event) => {
      if (event.key === " " && engine.held) {
        event.preventDefault();
        engine.letGo();
      }
      event.stopPropagation();
    });
    // A space bar that is let go elsewhere is let go all the same.
    root.addEventListener("focusin", () => (engine.focused = true));
    root.addEventListener("focusout", (event) => {
      if (event.relatedTarget) engine.focused = root.contains(event.relatedTarget);
      if (engine.held && !root.contains(event.relatedTarget)) engine.letGo();
    });
  }

  update() {
    const { engine, say, root, parts: p } = this;
    const { status } = engine;
    const changed = root.dataset.status !== status;
    root.dataset.status = status;
    root.dataset.incall = engine.inCall;
    root.classList.toggle("rtnb-call-held", engine.held);
    root.classList.toggle("rtnb-call-is-muted", engine.muted && engine.inCall);
    p.word.textContent = say(STATUSES[status]);
    p.hint.textContent = this.hint(status);
    this.updateMain(...this.mainButton(status));
    this.updateFacts();
    this.updateBar();
    this.updateNotices();
    // For screen readers: what goes on, not the words, which are heard.
    if (changed && !["hearing", "speaking", "sending"].includes(status)) {
      p.aloud.textContent = `${p.word.textContent}. ${p.hint.textContent}`;
    }
  }

  /** What to do now, in a sentence. */
  hint(status) {
    const { engine, say } = this;
    if ((status === "speaking" && !engine.mic) || engine.link.lost) return "";
    const others = engine.setup.hold ? HOLD_HINTS : engine.halfDuplex ? HALF_DUPLEX_HINTS : {};
    const hint = say(others[status] || HINTS[status] || "");
    if (status !== "closed" || !engine.endText) return hint;
    return say.language === "en" ? `${engine.endText} ${hint}` : engine.endText + hint;
  }

  /** The icon and the label of the round button. */
  mainButton(status) {
    const { engine, say } = this;
    if (engine.asking || status === "connecting") return ["wait", say(STATUSES[status])];
    if (status === "away") return ["phone", say("Go on with the call")];
    if (status === "onhold") return ["phone", say("Take this call back")];
    if (status === "elsewhere") return ["phone", say("Bring the call here")];
    const again = engine.turns.byItem.size || status === "closed";
    if (!engine.inCall) return ["phone", again ? say("Reconnect") : say("Start the call")];
    if (!engine.mic) return ["send", say(STATUSES.typing)];
    if (engine.setup.hold) return ["microphone", say(STATUSES.holding)];
    return engine.muted ? ["muted", say("Unmute")] : ["microphone", say("Mute")];
  }

  updateMain(name, label) {
    const { engine, parts: p } = this;
    if (this.iconName !== name) p.icon.innerHTML = icon((this.iconName = name));
    named(p.main, label);
    const set = (attribute, value) => (value ? p.main.setAttribute(attribute, value) : p.main.removeAttribute(attribute));
    set("aria-keyshortcuts", engine.inCall && (engine.setup.hold ? "Space" : engine.mic && "M"));
    set("aria-pressed", engine.inCall && engine.mic && !engine.setup.hold && String(engine.muted));
    // Not `disabled`: a button that is disabled loses the focus, and with it the space bar and Esc.
    const idle = engine.inCall && !engine.mic && !engine.onHold;
    set("aria-disabled", String(Boolean(engine.asking || engine.link.lost || idle)));
  }

  /** Who answers, how long, how much. */
  updateFacts() {
    const { engine, say, parts: p } = this;
    const free = engine.source === "practice";
    const { practice, model, voice } = engine.setup;
    p.who.textContent = [(free || practice) && say("practice voice"), model, voice].filter(Boolean).join(" · ");
    const shown = engine.since !== null || engine.turns.byItem.size ? engine.money : "";
    p.money.textContent = shown && free ? say("{cost} at OpenAI, free here", { cost: shown }) : shown;
    p.money.title = say("Cost so far");
    p.money.classList.toggle("rtnb-call-free", free);
    p.time.title = say("Time");
    this.drawTime();
  }

  /** The lower bar. */
  updateBar() {
    const { engine, say, parts: p } = this;
    p.bar.hidden = !engine.inCall;
    p.mute.hidden = engine.setup.hold || !engine.mic;
    const [name, label] = engine.muted ? ["muted", say("Unmute")] : ["microphone", say("Mute")];
    p.mute.innerHTML = `${icon(name)}<span>${label}</span>`;
    p.mute.setAttribute("aria-pressed", String(engine.muted));
    p.level.hidden = !engine.mic;
    const answering = engine.inCall && (engine.played.playing || engine.thinking);
    p.stop.setAttribute("aria-disabled", String(!answering));
    p.input.disabled = p.send.disabled = p.pick.disabled = engine.state !== "open" || engine.onHold;
    this.settings.update();
    p.events.hidden = !engine.inCall && !engine.turns.byItem.size;
  }

  updateNotices() {
    const notices = noticesOf(this.engine);
    const key = JSON.stringify(notices);
    if (key === this.noticesKey) return;
    this.noticesKey = key;
    this.parts.notices.replaceChildren(...notices.map((notice) => noticeBox(notice)));
  }

  drawTime() {
    const { since, secondsNow } = this.engine;
    write(this.parts.time, since !== null || secondsNow ? clock(secondsNow) : "");
  }

  /** The meter, once a frame; everything else changes when something happens. */
  draw() {
    this.frame = requestAnimationFrame(() => this.draw());
    const { engine } = this;
    if (engine.inCall && this.meter.draw(engine.muted || !engine.mic ? 0 : engine.level)) this.drawTime();
  }

  remove() {
    cancelAnimationFrame(this.frame);
    if (this.engine.held) this.engine.letGo(false);
    this.engine.views.delete(this);
  }
}
