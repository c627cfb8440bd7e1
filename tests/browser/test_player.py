"""The one player, in a real page: the same from the first sound to the download, and one voice at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from dialogue import Talk, serve

from browser import lab

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.skipif(bool(lab.missing()), reason=str(lab.missing()))]

PLACES = ["lab", "colab"]
RATE_HZ = 24_000
WORDS = "Bring gloves and a warm jacket, for the morning will be cold."


def tone(seconds: float, hz: float) -> bytes:
    return (8_000 * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE_HZ)) / RATE_HZ)).astype("<i2").tobytes()


def speaking(seconds: float, hz: float = 440.0) -> Any:
    def script(talk: Talk) -> None:
        talk.open()
        talk.take_message()
        say = talk.say

        def paced(*events: dict[str, Any]) -> None:  # at four times the speed of speech, as servers do
            for event in events:
                say(event)
                if event["type"] == "response.output_audio.delta":
                    time.sleep(0.025)

        talk.say = paced  # type: ignore[method-assign]
        talk.answer(WORDS, tone(seconds, hz))

    return script


def ask(url: str) -> str:
    return f"import rtnb\nreply = await rtnb.ask('What do I need?', url={url!r}, key='sk-test')"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with lab.chromium() as it:
        yield it


def until_built(page: Any, count: int = 1) -> None:
    page.wait_for_function("(count) => document.querySelectorAll('.rtnb-audio.on').length === count", arg=count)


# Where what a person looks at is, and how long the whole is: each time it differs from before, in each frame.
WATCH = """() => {
  window.__seen = [];
  window.__controls = [];
  const look = () => {
    const words = document.querySelector(".says"), player = document.querySelector(".rtnb-audio");
    const [wave, button] = [".wave", "button"].map((it) => player?.querySelector(it));
    const cell = words?.closest(".jp-Cell");
    const scrolled = document.querySelector(".jp-WindowedPanel-outer, .jp-Notebook");
    const box = (it) => {
      const { x, y, width, height } = it?.getBoundingClientRect() ?? {};
      return [x, y, width, height].map((it) => Math.round(10 * it) / 10);
    };
    const now = { words: box(words), player: box(player), cell: box(cell).slice(2), at: scrolled?.scrollTop };
    const line = JSON.stringify(now);
    if (!window.__seen.includes(line)) window.__seen.push(line);
    const controls = JSON.stringify([box(button), box(wave)]);
    // They are built in the next frame.
    if (wave && !window.__controls.includes(controls)) window.__controls.push(controls);
    window.__frame = requestAnimationFrame(look);
  };
  look();
}"""


@pytest.mark.parametrize(("app", "width"), [("lab", 1200), ("lab", 700), ("colab", 1200), ("notebook", 400)])
def test_nothing_moves_when_an_answer_has_been_heard(app: str, width: int, browser: Any, jupyters: Any) -> None:
    with serve(speaking(3)) as url, jupyters(app) as jupyter:
        page = lab.page(browser, width=width)
        notebook = jupyter.open(page, jupyter.write("a.ipynb", [ask(url), *["1 + 1"] * 30]))
        notebook.run(0)
        page.wait_for_selector(".rtnb-player[data-state=playing]")
        page.wait_for_function("() => /cost/.test(document.querySelector('.facts')?.textContent)")
        page.evaluate("() => document.querySelector('.rtnb-audio').scrollIntoView({ block: 'center' })")
        page.wait_for_timeout(200)  # scrolling is over
        page.evaluate(WATCH)
        page.wait_for_selector(".rtnb-player", state="detached")
        page.wait_for_selector(".rtnb-audio.on audio", state="attached")
        page.wait_for_timeout(500)  # what comes late would move it
        for seen in page.evaluate("() => [window.__seen, window.__controls]"):
            assert len(seen) == 1, "\n".join(seen)
        page.context.close()
