/** Load a script into the audio thread, once a context. @param {AudioContext} context @param {string} name @param {string} text */
export async function loadWorklet(context, name, text) {
  // Absent on insecure pages (http:// on a classroom's server).
  if (!context.audioWorklet) throw new Error("no AudioWorklet");
  const loaded = (context.__rtnbWorklets ??= new Map());
  if (!loaded.has(name)) {
    const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
    // A content security policy may forbid blob: and still allow data:.
    const again = () => context.audioWorklet.addModule(`data:text/javascript;charset=utf-8,${encodeURIComponent(text)}`);
    loaded.set(name, context.audioWorklet.addModule(url).catch(again).finally(() => URL.revokeObjectURL(url)));
  }
  await loaded.get(name);
}
