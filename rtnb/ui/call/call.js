/* global CallEngine, CallView, placed */

const callEngines = (globalThis.__rtnbCalls ??= new Map());

function engineOf(model) {
  const id = model.get("setup").id;
  const engine = callEngines.get(id);
  if (engine && !engine.ended && engine.model.comm_live !== false) return engine;
  return callEngines.set(id, new CallEngine(engine?.ended ? engine.model : model)).get(id);
}

export default placed({
  // Not in `render`: what listens to the model of a view ends with that view, and a call outlives its views.
  initialize: ({ model }) => void engineOf(model),

  render({ model, el }) {
    const engine = engineOf(model);
    for (const old of engine.views) if (old.overRecord) old.remove(); // the call goes on, here
    const view = new CallView(engine, el);
    engine.views.add(view);
    return () => {
      view.remove();
      // Jupyter may lay an output out anew: only a call that nobody shows any more is over.
      setTimeout(() => engine.views.size || engine.ended || engine.end(), 600);
    };
  },
});
