/* global element */

/** The settings of a call in one view: which microphone and loudspeaker, how loud, and whether both talk in turns. */
class CallSettings {
  /** @param {any} engine @param {HTMLDetailsElement} box */
  constructor(engine, box) {
    const { say, setup: { captions } } = engine;
    const field = (words, control) => {
      control.setAttribute("aria-label", say(words)); // a label around a list would be read with all it lists
      return element("label", {}, element("span", { textContent: say(words) }), control);
    };
    const choose = (name, { target }) => engine.choose({ [name]: target.value }).then(() => this.list());
    const select = (name) => element("select", { onchange: (event) => choose(name, event) });
    const volume = ({ target }) => engine.choose({ volume: target.value / 100 });
    const turns = ({ target }) => engine.choose({ halfDuplex: target.checked });
    Object.assign(this, { engine, microphone: select("deviceId"), loudspeaker: select("sinkId") });
    this.volume = element("input", { type: "range", max: "100", step: "5", oninput: volume });
    this.inTurns = element("input", { type: "checkbox", onchange: turns });
    const fields = [field("Microphone", this.microphone), field("Loudspeaker", this.loudspeaker), field("Volume", this.volume)];
    fields.push(field("The microphone waits while the answer plays", this.inTurns));
    box.append(element("summary", { textContent: say("Settings") }), ...fields, captions && say("Captions: {model}, {usd}", captions));
    box.ontoggle = () => box.open && this.list();
  }

  /** List the devices; their names are known only once the microphone was allowed. */
  async list() {
    const devices = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
    for (const [kind, select, name] of [["audioinput", this.microphone, "deviceId"], ["audiooutput", this.loudspeaker, "sinkId"]]) {
      const can = name === "deviceId" || "setSinkId" in AudioContext.prototype;
      const found = devices.filter((one) => can && one.kind === kind && one.label);
      select.replaceChildren(...found.map((one) => element("option", { value: one.deviceId, textContent: one.label })));
      select.selectedIndex = Math.max(0, found.findIndex((one) => one.deviceId === this.engine[name]));
      select.parentNode.hidden = !found.length;
    }
  }

  update() {
    this.volume.value = String(100 * this.engine.volume);
    this.inTurns.checked = Boolean(this.engine.halfDuplex);
    this.inTurns.parentNode.hidden = this.engine.setup.hold;
  }
}
