"""The record box in a real JupyterLab: a fake microphone speaks, the kernel holds what was heard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from browser import lab
from browser.calling import in_notebook, microphone

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.skipif(bool(lab.missing()), reason=str(lab.missing()))]

BOX = "import rtnb\nbox = rtnb.record()\nbox"
HEAR = (
    "from rtnb.server.engines import asr\n"
    "print(box, box.recorded, box.error, round(box.clip.seconds, 2), box.clip.rate_hz)\n"
    "print('words:', asr.transcribe(box.clip.pcm, rate_hz=box.clip.rate_hz))"
)

# The recording as the page plays it: how loud it gets, and for how long it is no silence.
TAKE = "document.querySelector('.rtnb-recorder-take audio')"
LISTENED = f"""async () => {{
  const bytes = await (await fetch({TAKE}.src)).arrayBuffer();
  const made = await new OfflineAudioContext(1, 1, 24000).decodeAudioData(bytes);
  const samples = made.getChannelData(0);
  return {{ loudest: Math.max(...samples.map(Math.abs)), seconds: samples.filter((x) => x).length / 24000 }};
}}"""


def recorder(call):
    return lambda name: call.page.locator(f".rtnb-recorder-{name}").first


def open_box(jupyter: lab.Jupyter, name: str, cells: list[str], **options):
    return in_notebook(jupyter, name, cells, start=False, root=".rtnb-recorder", **options)


def test_record_listen_and_record_again(jupyter):
    with open_box(jupyter, "said.ipynb", [BOX, HEAR], speaks=True) as it:
        part = recorder(it)
        assert "question" in part("stands").inner_text()  # the sample stands in
        part("main").click()
        it.wait(lambda: it.root.get_attribute("data-state") == "recording")
        it.speak("question")
        part("main").click()
        it.wait(lambda: it.root.get_attribute("data-state") == "done")
        assert it.microphone_is_off()
        first = it.run(1)
        assert "True None" in first
        assert "Norway" in first
        part("take").locator("button").first.click()
        it.page.wait_for_function(f"() => {TAKE}.currentTime > 0.2")
        assert it.page.evaluate(LISTENED)["loudest"] > 0.05
        part("main").click()
        it.wait(lambda: it.root.get_attribute("data-state") == "recording")
        it.speak("weather")
        it.page.keyboard.press("Escape")
        it.wait(lambda: it.root.get_attribute("data-state") == "done")
        second = it.run(1)
        assert "recorded" in second
        assert second != first
        part("forget").click()
        it.wait(lambda: it.root.get_attribute("data-state") == "ready")
        assert "RecordBox(the sample 'question'" in it.run(1)


def test_what_is_recorded_while_a_cell_runs_follows_when_it_is_over(jupyter):
    # The cell ends when the recording is made, however long that takes here.
    cells = [BOX, "import os, time\nwhile not os.path.exists('said'): time.sleep(0.05)", HEAR]
    with open_box(jupyter, "busy.ipynb", cells, speaks=True) as it:
        part = recorder(it)
        it.notebook.run(1, wait=False)
        part("main").click()
        it.wait(lambda: it.root.get_attribute("data-state") == "recording")
        it.speak("question")
        part("main").click()
        (jupyter.folder / "said").touch()
        it.notebook.wait_idle()
        it.wait(lambda: it.root.get_attribute("data-state") == "done")
        assert "Norway" in it.run(2)


def test_a_refused_microphone_is_told_and_a_file_will_do(jupyter, tmp_path: Path):
    import rtnb

    clip = rtnb.samples()["weather"].save(tmp_path / "weather.mp3")
    with open_box(jupyter, "denied.ipynb", [BOX, HEAR], allow_microphone=False) as it:
        part = recorder(it)
        part("main").click()
        it.wait(lambda: "microphone" in part("notice").inner_text())
        part("file").locator("input").set_input_files(str(clip))
        it.wait(lambda: it.root.get_attribute("data-state") == "done")
        assert "Oslo" in it.run(1)


def test_what_is_listened_to_is_heard_to_its_last_sample(jupyter, tmp_path: Path):
    noise = np.random.default_rng(7).normal(0, 0.2, 24_000)
    path = tmp_path / "noise.wav"
    soundfile.write(path, noise, 24_000)
    with open_box(jupyter, "heard.ipynb", [BOX], allow_microphone=False) as it:
        part = recorder(it)
        part("main").click()
        it.wait(lambda: "microphone" in part("notice").inner_text())
        part("file").locator("input").set_input_files(str(path))
        it.wait(lambda: it.root.get_attribute("data-state") == "done")
        part("take").locator("button").first.click()
        it.page.wait_for_function(f"() => {TAKE}.ended")
        assert it.page.evaluate(f"() => {TAKE}.currentTime") == pytest.approx(1, abs=0.002)
        assert it.page.evaluate(LISTENED)["seconds"] == pytest.approx(1, abs=0.002)


def test_nothing_of_it_stays_in_the_saved_notebook(jupyter, tmp_path: Path):
    with open_box(
        jupyter, "saved.ipynb", [BOX], microphone=microphone(tmp_path / "saved.wav", 1, "question", 60)
    ) as it:
        part = recorder(it)
        part("main").click()
        it.wait(lambda: it.root.get_attribute("data-state") == "recording")
        it.wait(lambda: part("time").inner_text() >= "0:02")
        part("main").click()
        it.wait(lambda: it.root.get_attribute("data-state") == "done")
        it.notebook.saved()
        assert (jupyter.folder / "saved.ipynb").stat().st_size < 10_000
