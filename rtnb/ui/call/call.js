/* global CallEngine, CallView */

const callEngines = (globalThis.__rtnbCalls ??= new Map());

export default {
  render({ model, el }) {
    const id = model.get("setup").id;
    let engine = callEngines.get(id);
    if (!engine || engine.ended || engine.model.comm_live === false) callEngines.set(id, (engine = new CallEngine(model)));
    const view = new CallView(engine, el);
    engine.views.add(view);
    return () => {
      view.remove();
      // Jupyter may lay an output out anew: only a call that nobody shows any more is over.
      setTimeout(() => {
        if (engine.views.size || engine.ended) return;
        engine.end();
        callEngines.delete(id);
      }, 600);
    };
  },
};
