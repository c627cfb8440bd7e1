// Ask the browser, where the report is shown, whether there is a microphone and whether sound can be played: the text of
// the element before this script becomes the answer. Devices are counted, not opened, so the user is asked nothing.
(async (here) => {
  const box = here.previousElementSibling;
  if (!box || !box.classList.contains("rtnb-sound")) return;
  const say = (text) => { box.textContent = text; };
  if (!window.isSecureContext) return say("no microphone: this page is neither https nor localhost");
  if (!navigator.mediaDevices) return say("no microphone: this browser gives pages none");
  try {
    const devices = await navigator.mediaDevices.enumerateDevices();
    const count = (kind) => devices.filter((device) => device.kind === kind).length;
    let allowed = "";
    try {
      const answer = await navigator.permissions.query({ name: "microphone" });
      allowed = { granted: ", allowed", denied: ", denied to this page", prompt: ", it will ask first" }[answer.state];
    } catch (error) { /* Firefox and Safari do not tell. */ }
    const heard = count("audioinput") ? "a microphone" + (allowed || "") : "no microphone found";
    const spoken = window.AudioContext ? "sound can be played" : "sound cannot be played";
    say(heard + "; " + spoken);
  } catch (error) { say("the browser does not tell: " + error.name); }
})(document.currentScript)
