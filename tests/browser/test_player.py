"""The one player, in a real page: the same from the first sound to the download, and one voice at a time."""

from __future__ import annotations

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
        talk.pause_seconds = 0.025  # four times the speed of speech, as servers do
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


# Every pair of states of two answers' players that a page was ever in.
STATES = """() => {
  window.__states = [];
  const look = () => {
    const now = [...document.querySelectorAll(".rtnb-player")].map((it) => it.dataset.state).join(" ");
    if (now && now !== window.__states.at(-1)) window.__states.push(now);
    requestAnimationFrame(look);
  };
  look();
}"""


def loudest_hz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.fft.rfftfreq(len(samples), 1 / RATE_HZ)[spectrum.argmax()])


def heard_seconds(samples: np.ndarray) -> float:
    (loud,) = np.nonzero(np.abs(samples) > 0.01)
    return float(loud[-1] - loud[0]) / RATE_HZ


@pytest.mark.parametrize("app", PLACES)
def test_run_all_of_two_answers_is_heard_in_order_and_whole(app: str, browser: Any, jupyters: Any) -> None:
    with serve(speaking(5, 440)) as first, serve(speaking(2, 880)) as second, jupyters(app) as jupyter:
        page = lab.page(browser)
        lab.capture(page)
        notebook = jupyter.open(page, jupyter.write("a.ipynb", [ask(first), ask(second)]))
        page.evaluate(STATES)
        notebook.run_all(wait=False)
        page.wait_for_selector(".rtnb-player[data-state=queued]")  # it has come, and waits
        assert "Waits for what is speaking to end" in notebook.output(1).inner_text()
        until_built(page, 2)
        page.wait_for_function("() => document.querySelectorAll('.rtnb-audio audio').length === 2")
        page.wait_for_selector(".rtnb-player", state="detached")
        states = page.evaluate("() => window.__states")
        assert not [line for line in states if line.count("playing") > 1], states
        assert "playing queued" in states, states
        for context, (seconds, hz) in enumerate([(5, 440), (2, 880)]):
            samples, _ = lab.captured(page, context)
            assert heard_seconds(samples) == pytest.approx(seconds, abs=0.1)
            assert loudest_hz(samples) == pytest.approx(hz, abs=5)
        assert not [line for line in page.console if "pageerror" in line]
        page.context.close()


SOUNDS = "() => [...document.querySelectorAll('audio')].map((it) => !it.paused)"


@pytest.mark.parametrize("app", PLACES)
def test_what_the_user_starts_plays_at_once_and_the_other_pauses(app: str, browser: Any, jupyters: Any) -> None:
    with serve(speaking(90)) as url, jupyters(app) as jupyter:
        page = lab.page(browser)
        # None of them is over before the test is.
        long = "import rtnb\ntalk = rtnb.samples()['talk']\n"
        long += "rtnb.Clip.from_array(talk.array.repeat(12), rate_hz=24_000, name='talk')"
        cells = [long, long, ask(url)]
        notebook = jupyter.open(page, jupyter.write("a.ipynb", cells))
        notebook.run(0)
        notebook.run(1)
        until_built(page, 2)
        notebook.output(0).get_by_role("button", name="Play talk").click()
        page.wait_for_function(f"() => ({SOUNDS})().join() === 'true,false'")
        notebook.output(1).get_by_role("button", name="Play talk").click()
        page.wait_for_function(f"() => ({SOUNDS})().join() === 'false,true'")
        # An answer starts by itself, and so it waits; the user need not.
        notebook.run(2, wait=False)
        page.wait_for_selector(".rtnb-player[data-state=queued]")
        live = page.locator(".rtnb-player")
        live.get_by_role("button", name="Play the answer").click()
        page.wait_for_selector(".rtnb-player[data-state=playing]")
        page.wait_for_function(f"() => ({SOUNDS})().join() === 'false,false'")
        # And a recording that the user starts pauses the answer, which goes on where it was.
        page.wait_for_function("() => !/^0:00/.test(document.querySelector('.rtnb-player .time').textContent)")
        notebook.output(0).get_by_role("button", name="Play talk").click()
        page.wait_for_selector(".rtnb-player[data-state=paused]")
        page.wait_for_function(f"() => ({SOUNDS})().join() === 'true,false'")
        live.get_by_role("button", name="Play the answer").click()
        page.wait_for_selector(".rtnb-player[data-state=playing]")
        page.wait_for_function(f"() => ({SOUNDS})().join() === 'false,false'")
        live.get_by_role("button", name="Stop").click()
        page.wait_for_selector(".rtnb-player", state="detached")
        page.context.close()


@pytest.mark.parametrize("app", PLACES)
def test_a_player_is_driven_by_keys_and_named_for_who_cannot_see_it(app: str, browser: Any, jupyters: Any) -> None:
    with jupyters(app) as jupyter:
        page = lab.page(browser)
        notebook = jupyter.open(page, jupyter.write("a.ipynb", ["import rtnb\nrtnb.samples()['talk']", "1 + 1"]))
        notebook.run(0)
        until_built(page)
        notebook.select(0)
        output = notebook.output(0)
        assert output.get_by_role("group", name="talk, 21.9 s").count() == 1
        assert output.get_by_role("combobox", name="Speed").count() == 1
        assert output.get_by_role("link", name="Download talk").count() == 1
        play = output.get_by_role("button", name="Play talk")
        play.focus()
        page.keyboard.press("Tab")
        slider = output.get_by_role("slider", name="Position in talk")
        assert slider.evaluate("(it) => it === document.activeElement")
        assert slider.evaluate("(it) => getComputedStyle(it).outlineStyle") == "solid"
        at = "() => document.querySelector('.rtnb-audio audio').currentTime"
        for key, seconds in (("ArrowRight", 1.1), ("ArrowUp", 2.2), ("ArrowLeft", 1.1), ("End", 21.9), ("Home", 0)):
            page.keyboard.press(key)
            page.wait_for_function(f"(to) => Math.abs(({at})() - to) < 0.15", arg=seconds)
        assert slider.get_attribute("aria-valuetext") == "0:00 / 0:21"
        page.keyboard.press("Space")
        page.wait_for_function(f"() => ({SOUNDS})().join() === 'true'")
        assert output.get_by_role("button", name="Pause talk").count() == 1
        page.keyboard.press("Space")
        page.wait_for_function(f"() => ({SOUNDS})().join() === 'false'")
        # By the mouse, too; and none of the keys was the notebook's.
        box = slider.bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_function(f"() => Math.abs(({at})() - 10.9) < 0.5")
        assert page.evaluate("() => window.jupyterapp.shell.currentWidget.content.activeCellIndex") == 0
        page.context.close()


def test_an_answer_that_is_still_spoken_is_sought_in(browser: Any, jupyters: Any) -> None:
    with serve(speaking(20)) as url, jupyters("lab") as jupyter:
        page = lab.page(browser)
        notebook = jupyter.open(page, jupyter.write("a.ipynb", [ask(url)]))
        notebook.run(0)
        page.wait_for_selector(".rtnb-player[data-state=playing]")
        slider = page.get_by_role("slider", name="Position in the answer")
        slider.focus()
        time_is = "(text) => document.querySelector('.rtnb-player .time').textContent.startsWith(text)"
        page.wait_for_function("() => document.querySelector('.rtnb-player .time').textContent.endsWith('/ 0:20')")
        page.keyboard.press("Space")
        page.wait_for_selector(".rtnb-player[data-state=paused]")
        page.keyboard.press("Home")
        page.wait_for_function(time_is, arg="0:00")
        for _ in range(5):
            page.keyboard.press("ArrowRight")
        page.wait_for_function(time_is, arg="0:05")
        page.keyboard.press("Space")
        page.wait_for_function(time_is, arg="0:06")
        page.keyboard.press("End")
        page.wait_for_selector(".rtnb-player", state="detached")
        page.wait_for_selector(".rtnb-audio.on audio", state="attached")
        assert not [line for line in page.console if "pageerror" in line]
        page.context.close()
