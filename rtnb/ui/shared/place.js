// Places in the page where a widget stands in HTML. JupyterLab and Notebook make the widget's model as soon as the kernel
// has made it, whether or not an output shows it; so an output there is HTML alone, words that a saved notebook keeps, and
// in a page with the kernel the widget's view stands instead of these words.

const PLACE = "rtnb-place"; // the class of each place; its second class is the widget's key

/** One in a page, whichever widget's script came first. */
class Places {
  constructor() {
    /** @type {Map<string, (el: HTMLElement) => () => void>} draws a view, by the widget's key */
    this.draws = new Map();
    /** @type {Map<Element, () => void>} what ends a view, by its place */
    this.views = new Map();
    new MutationObserver((changes) => {
      this.leave((place) => !place.isConnected);
      for (const { addedNodes } of changes) for (const node of addedNodes) if (node instanceof Element) this.fill(node);
    }).observe(document, { childList: true, subtree: true });
  }

  /** Draw a view in each place of a part of the page whose widget is there. @param {any} part */
  fill(part) {
    for (const place of [part, ...part.querySelectorAll(`.${PLACE}`)]) {
      if (!place.classList?.contains(PLACE) || this.views.has(place)) continue;
      const draw = this.draws.get([...place.classList].find((name) => this.draws.has(name)));
      if (!draw) continue;
      const words = [...place.childNodes];
      place.replaceChildren();
      const end = draw(place);
      this.views.set(place, () => {
        end();
        place.replaceChildren(...words);
      });
    }
  }

  /** End the views in some places. @param {(place: Element) => boolean} which */
  leave(which) {
    for (const [place, end] of this.views) {
      if (!which(place)) continue;
      this.views.delete(place);
      end();
    }
  }

  /** Draw a widget in its places from now on; a newer model of the same widget takes them. @returns {() => void} ends it */
  add(key, draw) {
    const end = () => this.leave((place) => place.classList.contains(key));
    end();
    this.draws.set(key, draw);
    this.fill(document);
    return () => {
      if (this.draws.get(key) !== draw) return;
      this.draws.delete(key);
      end();
    };
  }
}

/** Let a widget be drawn in its places as well as in outputs of its own. @param {any} widget as anywidget takes it */
export function placed({ initialize, render }) {
  return {
    initialize({ model }) {
      const ends = [initialize?.({ model })];
      const key = model.get("place");
      if (key) ends.push((globalThis.__rtnbPlaces ??= new Places()).add(key, (el) => render({ model, el })));
      return () => ends.reverse().forEach((end) => end?.());
    },
    render,
  };
}
