"""A reply in a real notebook: progress, words, sound that plays while it comes, one card, and nothing left over."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dialogue import Talk, serve

from browser import lab

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.skipif(bool(lab.missing()), reason=str(lab.missing()))]

PLACES = ["lab", "notebook", "colab"]
SECONDS = 6


def speech() -> np.ndarray:
    """Sound in which every stretch is different, so that a lost or doubled one would show."""
    noise = np.random.default_rng(7).normal(0, 1, SECONDS * 24_000)
    smooth = np.convolve(noise, np.hanning(24), "same")
    return (smooth / np.abs(smooth).max() * 20_000).astype("<i2")


def spoken(talk: Talk) -> None:
    """Words and sound at four times the speed of speech, as servers send it."""
    talk.open()
    talk.take_message()
    talk.pause_seconds = 4801 / 48_000 / 4
    talk.answer("Bring gloves and a warm jacket, for the morning will be cold.", speech().tobytes())


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with lab.chromium() as it:
        yield it


def ask(url: str) -> str:
    return f"import rtnb\nreply = await rtnb.ask('What do I need?', url={url!r}, key='sk-test')\nreply"


def aligned_errors(got: np.ndarray, want: np.ndarray) -> tuple[int, float]:
    """Where `want` begins in `got`, and the largest difference from there on, its first 20 ms left out."""
    probe = want[2_400:4_800]
    scores = np.correlate(got, probe, "valid")
    begin = int(scores.argmax()) - 2_400
    return begin, float(np.abs(got[begin + 480 : begin + len(want)] - want[480:]).max())


# A slow page shows what a fast one hides, and the other way round.
@pytest.mark.parametrize(("app", "cpu_throttle"), [*((app, 1) for app in PLACES), ("lab", 4)])
def test_the_answer_is_heard_while_it_comes_and_one_card_remains(
    app: str, cpu_throttle: float, browser: Any, jupyters: Any
) -> None:
    with serve(spoken) as url, jupyters(app) as jupyter:
        page = lab.page(browser, cpu_throttle=cpu_throttle)
        lab.capture(page)
        notebook = jupyter.open(page, jupyter.write("a.ipynb", [ask(url), "reply", "1 + 1"]))
        notebook.run_all(wait=False)
        # While the cell runs: the strip speaks and the words stand there.
        page.wait_for_selector(".rtnb-player[data-state=playing]")
        assert notebook.output(0).locator(".rtnb-player").get_attribute("aria-label")
        notebook.wait_idle()
        # When it has played, the same player stands there as plain HTML.
        page.wait_for_selector(".rtnb-player", state="detached")
        page.wait_for_selector(".rtnb-audio.on")
        notebook.select(0)
        card = notebook.output(0)
        assert "Bring gloves and a warm jacket" in card.inner_text()
        assert card.locator("audio").count() == 1
        assert "the card above" in card.inner_text()
        # The finished player holds the whole sound and can be sped up.
        card.locator("audio").evaluate(
            "(it) => new Promise((done) => { it.readyState ? done() : (it.onloadedmetadata = done) })"
        )
        assert card.locator("audio").evaluate("(it) => it.duration") == pytest.approx(SECONDS, abs=0.1)
        card.get_by_role("combobox", name="Speed").select_option("1.5×")
        assert card.locator("audio").evaluate("(it) => it.playbackRate") == 1.5
        with page.expect_download() as download:
            card.get_by_role("link", name="Download").click()
        assert Path(download.value.path()).read_bytes()[:4] == b"OggS"
        # Nothing of the widget is in the file.
        saved = notebook.saved()
        text = json.dumps([cell.outputs for cell in saved.cells])
        assert "widget-view" not in text
        assert text.count("data:audio/ogg;base64,") == 2  # the card, and the reply's own in the next cell
        assert "sk-test" not in text
        assert notebook.errors() == []
        # What the page's audio graph got is what the server sent: no gap, no lost or doubled sample.
        got, rate_hz = lab.captured(page)
        assert rate_hz == 24_000
        _, error = aligned_errors(got, speech().astype(np.float32) / 32_768)
        assert error == 0.0
        page.context.close()


def assert_heard_to_the_last_sample(page: Any) -> None:
    """Wait until the page has closed what it played with, and compare what had left the loudspeaker."""
    page.wait_for_function("() => window.__taps?.at(-1)?.context.state === 'closed'")
    got, _ = lab.captured(page)
    _, error = aligned_errors(got, speech().astype(np.float32) / 32_768)
    assert error == 0.0


@pytest.mark.parametrize("cpu_throttle", [1, 4])
def test_a_cell_that_blocks_the_kernel_is_heard_and_read_all_the_same(
    cpu_throttle: float, browser: Any, jupyters: Any
) -> None:
    with serve(spoken) as url, jupyters("lab") as jupyter:
        page = lab.page(browser, cpu_throttle=cpu_throttle)
        lab.capture(page)
        cell = f"import os, rtnb, time\nreply = rtnb.ask('What?', url={url!r}, key='sk-test')\n"
        cell += "while not os.path.exists('heard'): time.sleep(0.05)"
        notebook = jupyter.open(page, jupyter.write("a.ipynb", [cell]))
        notebook.run(0, wait=False)
        page.wait_for_selector(".facts b")  # the card, before the cell is over
        assert_heard_to_the_last_sample(page)
        page.wait_for_selector(".rtnb-audio.on audio", state="attached")
        assert "[*]" in notebook.cell(0).inner_text()
        (jupyter.folder / "heard").touch()
        notebook.wait_idle()
        page.context.close()


# Each module takes 2.5 s to load, so that the sound sets in 5 s late.
LATE = """
const load = AudioWorklet.prototype.addModule;
AudioWorklet.prototype.addModule = async function (...args) {
  await new Promise((done) => setTimeout(done, 2500));
  return load.apply(this, args);
};
"""


def test_a_page_that_takes_seconds_to_start_plays_to_the_last_sample_too(browser: Any, jupyters: Any) -> None:
    with serve(spoken) as url, jupyters("lab") as jupyter:
        page = lab.page(browser)
        page.add_init_script(LATE)
        lab.capture(page)
        notebook = jupyter.open(page, jupyter.write("a.ipynb", [ask(url)]))
        notebook.run(0)
        assert_heard_to_the_last_sample(page)
        page.wait_for_selector(".rtnb-player", state="detached")
        page.context.close()


def test_stop_pause_and_a_players_own_start_end_the_sound(browser: Any, jupyters: Any) -> None:
    with serve(spoken) as url, jupyters("lab") as jupyter:
        page = lab.page(browser)
        notebook = jupyter.open(page, jupyter.write("a.ipynb", [ask(url), ask(url)]))
        notebook.run(0, wait=False)
        page.wait_for_selector(".rtnb-player[data-state=playing]")
        strip = page.locator(".rtnb-player")
        page.wait_for_function("() => /^0:0[1-9]/.test(document.querySelector('.rtnb-player .time').textContent)")
        pause = strip.get_by_role("button", name="Pause")
        pause.focus()
        page.keyboard.press("Enter")  # by keyboard, and JupyterLab keeps its hands off
        page.wait_for_selector(".rtnb-player[data-state=paused]")
        clock = strip.locator(".time").inner_text().split(" / ")[0]  # of what has come, and more comes
        # Held, it stays as long as the person likes.
        page.wait_for_timeout(SECONDS * 1000 + 4000)
        assert strip.locator(".time").inner_text().split(" / ")[0] == clock
        strip.get_by_role("button", name="Play the answer").click()
        page.wait_for_selector(".rtnb-player[data-state=playing]")
        strip.get_by_role("button", name="Stop").click()
        page.wait_for_selector(".rtnb-player", state="detached")
        # The finished player takes over from one that speaks, which waits where it was.
        notebook.wait_idle()
        notebook.run(1, wait=False)
        page.wait_for_selector(".rtnb-player[data-state=playing]")
        notebook.output(0).locator("audio").evaluate("(it) => { it.play(); }")
        page.wait_for_selector(".rtnb-player[data-state=paused]")
        page.context.close()


@pytest.mark.parametrize("place", ["lab", "colab"])
def test_the_stop_button_ends_the_cell_and_the_sound(place: str, browser: Any, jupyters: Any) -> None:
    source = (
        "import rtnb\nserver = rtnb.practice()\n"
        "reply = await rtnb.ask('Count to one hundred.', url=server.url, key='practice')"
    )
    with jupyters(place) as jupyter:
        page = lab.page(browser)
        notebook = jupyter.open(
            page, jupyter.write("a.ipynb", [source, "print(rtnb.last.status, rtnb.last.audio.seconds > 5)"])
        )
        notebook.run(0, wait=False)
        page.wait_for_selector(".rtnb-player[data-state=playing]")
        page.wait_for_function("() => /^0:0[1-9]/.test(document.querySelector('.rtnb-player .time').textContent)")
        notebook.interrupt()
        # Most of it had come and waited to be played: twelve times faster than it plays.
        page.wait_for_selector(".rtnb-player", state="detached", timeout=15_000)
        notebook.wait_idle()
        assert notebook.output(0).get_by_text("KeyboardInterrupt").count()
        notebook.run(1)
        assert notebook.output(1).inner_text().strip() == "cancelled True"
        page.context.close()


def told(talk: Talk) -> None:
    """An answer in two sentences, of which the second comes late."""
    talk.open()
    talk.take_message()
    part = {"response_id": "resp_1", "item_id": "item_a", "output_index": 0, "content_index": 0}
    item = {"id": "item_a", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    response = {"id": "resp_1", "status": "in_progress", "output": [], "conversation_id": "conv_1"}
    pcm = speech().tobytes()

    def said(words: str, sound: bytes) -> None:
        talk.say({"type": "response.output_audio_transcript.delta", **part, "delta": words})
        for at in range(0, len(sound), 24_000):
            delta = base64.b64encode(sound[at : at + 24_000]).decode()
            talk.say({"type": "response.output_audio.delta", **part, "delta": delta})

    talk.expect("response.create")
    talk.say(
        {"type": "response.created", "response": response},
        {"type": "response.output_item.added", "response_id": "resp_1", "output_index": 0, "item": item},
        {"type": "conversation.item.added", "previous_item_id": None, "item": item},
    )
    said("Bring gloves and a warm jacket. The mor", pcm[: len(pcm) // 2])
    GO.wait(30)
    said("ning will be cold.", pcm[len(pcm) // 2 :])
    done = {**item, "status": "completed"}
    talk.say(
        {"type": "response.output_audio.done", **part},
        {"type": "response.output_item.done", "response_id": "resp_1", "output_index": 0, "item": done},
        {"type": "response.done", "response": {**response, "status": "completed", "output": [done]}},
    )


GO = threading.Event()


@pytest.mark.parametrize("reduced", [False, True])
def test_the_words_stand_beside_the_sound_and_are_read_out_only_where_it_cannot_be_heard(
    reduced: bool, browser: Any, jupyters: Any
) -> None:
    GO.clear()
    with serve(told) as url, jupyters("lab") as jupyter:
        page = lab.page(browser)
        page.emulate_media(reduced_motion="reduce" if reduced else "no-preference")
        notebook = jupyter.open(page, jupyter.write("a.ipynb", [ask(url)]))
        notebook.run(0, wait=False)
        page.wait_for_selector(".rtnb-player[data-state=playing]")
        strip = page.locator(".rtnb-player")
        moves = "() => getComputedStyle(document.querySelector('.wave svg:last-child')).transitionDuration !== '0s'"
        assert page.evaluate(moves) is not reduced
        heard, coming = page.locator(".says .said"), page.locator(".says .coming")
        # Heard in part: paused in that moment, by the page itself, for the sentence is short.
        told_so_far = page.wait_for_function(
            """() => {
              const text = (what) => document.querySelector(what)?.textContent;
              if (!text(".says .said") || !text(".says .coming")) return false;
              const told = [text(".rtnb-player [role=status]"), text(".rtnb-aloud")];
              document.querySelector(".rtnb-player button").click();
              return told;
            }"""
        ).json_value()
        # While it sounds, a screen reader is told what goes on and does not talk into the answer.
        assert told_so_far == ["Speaking", ""]
        page.wait_for_selector(".rtnb-player[data-state=paused]")
        assert heard.text_content() + coming.text_content() == "Bring gloves and a warm jacket. The mor"
        aloud = strip.locator(".rtnb-aloud")
        assert aloud.get_attribute("aria-live") == "polite"
        # Paused, it reads what was not heard: whole sentences only.
        page.wait_for_function("() => /jacket\\.$/.test(document.querySelector('.rtnb-aloud').textContent)")
        GO.set()
        page.wait_for_function("() => /cold\\.$/.test(document.querySelector('.rtnb-aloud').textContent)")
        assert aloud.text_content() == "The morning will be cold."
        strip.get_by_role("button", name="Play the answer").click()
        page.wait_for_selector(".rtnb-player[data-state=playing]")
        page.wait_for_function("() => /cold\\.$/.test(document.querySelector('.says .said')?.textContent)")
        page.wait_for_selector(".rtnb-player", state="detached")
        notebook.wait_idle()
        assert not [line for line in page.console if "pageerror" in line]
        page.context.close()


# What browsers do whose page was never clicked in. Chromium itself takes a test's own commands for clicks.
STRICT = """
(() => {
  let clicked = false;
  addEventListener("click", (event) => { clicked ||= event.isTrusted; }, true);
  const Real = window.AudioContext;
  window.AudioContext = class extends Real {
    constructor(...args) { super(...args); super.suspend(); }
    resume() { return clicked ? super.resume() : new Promise(() => {}); }
  };
})();
"""


def test_a_browser_that_wants_a_click_first_is_told_to_the_person(browser: Any, jupyters: Any) -> None:
    with serve(spoken) as url, jupyters("lab") as jupyter:
        page = lab.page(browser)
        page.add_init_script(STRICT)
        notebook = jupyter.open(page, jupyter.write("a.ipynb", [ask(url)]))
        notebook.run(0)
        page.wait_for_selector(".rtnb-player[data-state=blocked]")
        page.wait_for_timeout(SECONDS * 1000 + 4000)
        page.locator(".rtnb-player").get_by_role("button", name="Play the answer").click()
        page.wait_for_selector(".rtnb-player[data-state=playing]")
        page.wait_for_selector(".rtnb-player", state="detached")
        page.context.close()


def test_texts_follow_the_browser_and_what_was_chosen(browser: Any, jupyters: Any) -> None:
    with serve(spoken) as url, jupyters("lab") as jupyter:
        page = lab.page(browser, locale="zh-CN")
        cells = [ask(url), "rtnb.upload()", "rtnb.language('en')\nrtnb.upload()"]
        notebook = jupyter.open(page, jupyter.write("a.ipynb", cells))
        notebook.run(0, wait=False)
        page.wait_for_selector(".rtnb-player[data-state=playing]")
        assert page.locator(".rtnb-player").get_attribute("lang") == "zh-Hans"
        assert page.locator(".rtnb-player").get_by_role("button", name="暂停").count() == 1
        notebook.wait_idle()
        notebook.run(1)
        notebook.run(2)
        assert "选择文件" in notebook.output(1).inner_text()
        assert "choose files" in notebook.output(2).inner_text()
        page.context.close()
