"""The widgets in Firefox, against a real JupyterLab: what it does otherwise than Chromium is sound in and out."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.util
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from dialogue import Talk, serve

from browser import firefox, lab

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(bool(firefox.missing()), reason=str(firefox.missing())),
    pytest.mark.skipif(importlib.util.find_spec("jupyterlab") is None, reason="jupyterlab is not installed"),
]

SECONDS = 3
ANSWER = (np.random.default_rng(7).normal(0, 3000, SECONDS * 24_000)).astype("<i2").tobytes()


@pytest.fixture(scope="module")
def page() -> Iterator[firefox.Page]:
    with firefox.opened() as it:
        yield it


def open_notebook(jupyter: lab.Jupyter, page: firefox.Page, name: str, cells: list[str]) -> lab.Notebook:
    return jupyter.open(page, jupyter.write(f"{name}.ipynb", cells))


def ours(page: firefox.Page) -> list[str]:
    """Errors the page has told of, but for those of JupyterLab itself."""
    return [line for line in page.console if line.startswith("error") and ("rtnb" in line or "blob:" in line)]


def test_a_call_hears_the_microphone_at_its_speed_and_plays_the_answer_to_its_end(
    jupyter: lab.Jupyter, page: firefox.Page
) -> None:
    heard: list[bytes] = []
    enough = threading.Event()

    def script(talk: Talk) -> None:
        talk.open(model="m")
        while sum(map(len, heard)) < 3 * 48_000:
            heard.append(base64.b64decode(talk.expect("input_audio_buffer.append")["audio"]))
        enough.set()
        talk.expect("conversation.item.create", over=("input_audio_buffer.append",))
        talk.expect("response.create", over=("input_audio_buffer.append",))
        talk.answer("Three seconds of noise.", ANSWER, expect=False)
        with contextlib.suppress(Exception):
            while True:
                talk.hear()

    with serve(script) as url:
        cell = f"import rtnb\ncall = rtnb.call(url={url!r}, key='sk-none')"
        notebook = open_notebook(jupyter, page, "call", [cell])
        notebook.run(0)
        # Asked for its latency while it plays, Firefox may hang for ever.
        counted = "{ get() { window.__askedLatency = true; return 0; } }"
        page.evaluate(f"() => Object.defineProperty(AudioContext.prototype, 'outputLatency', {counted}) && null")
        page.click(".rtnb-call-main")
        page.wait_for_selector(".rtnb-call[data-status='listening']")
        assert enough.wait(120)
        page.click(".rtnb-call-input")
        page.type("Go.\ue007")
        page.wait_for_selector(".rtnb-call[data-status='speaking']")
        state = "[...window.__rtnbCalls.values()].at(-1)"
        assert page.evaluate(f"() => {state}.context.state") == "running"
        page.wait_for_selector(".rtnb-call[data-status='listening']")
        played = page.evaluate(f"() => [...{state}.playedMs.values()].at(-1)")
        assert played == pytest.approx(SECONDS * 1000, abs=5)
        assert "Three seconds of noise." in page.text(".rtnb-call-captions")
        page.click(".rtnb-call-hangup")
        page.wait_for_selector(".rtnb-call[data-status='closed']")
        assert page.evaluate(f"() => {state}.mic === null")
        assert not page.evaluate("() => window.__askedLatency ?? false")
    # The tone of 1000 Hz arrives as one: neither the rate nor a lost block has moved it.
    sound = np.frombuffer(b"".join(heard), "<i2").astype(float)[24_000:48_000]
    assert np.abs(sound).max() > 100
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    assert np.argmax(spectrum) == pytest.approx(1000, abs=2)
    beside = spectrum.copy()
    beside[980:1021] = 0
    assert spectrum.max() > 20 * beside.max()
    assert ours(page) == []


def test_an_answer_is_heard_while_it_comes(jupyter: lab.Jupyter, page: firefox.Page) -> None:
    def script(talk: Talk) -> None:
        talk.open()
        talk.take_message()
        talk.pause_seconds = 0.025  # four times the speed of speech, as servers do
        talk.answer("Bring gloves.", ANSWER)

    with serve(script) as url:
        cell = f"import rtnb\nreply = await rtnb.ask('What do I need?', url={url!r}, key='sk-test')\nreply"
        notebook = open_notebook(jupyter, page, "reply", [cell])
        notebook.run(0, wait=False)
        page.wait_for_selector(".rtnb-player[data-state=playing]")
        page.wait_for_function("() => document.querySelector('.says .said')?.textContent")
        page.wait_for_function("() => !document.querySelector('.rtnb-player')")
        page.wait_for_selector(".rtnb-audio.on audio")
        notebook.wait_idle()
        assert "Bring gloves." in page.text(".jp-Notebook .jp-OutputArea")
        length = "() => new Promise((done) => { const it = document.querySelector('audio'); const told = () =>"
        length += " done(it.duration); it.readyState ? told() : (it.onloadedmetadata = told); })"
        assert page.evaluate(length) == pytest.approx(SECONDS, abs=0.1)
    assert ours(page) == []


def test_a_recording_is_uploaded_whole(jupyter: lab.Jupyter, page: firefox.Page, tmp_path: Path) -> None:
    path = tmp_path / "lecture.bin"
    path.write_bytes(os.urandom(5_000_000))
    cells = ["import rtnb\nbox = rtnb.upload()\nbox", "print(box.files[0].sha256)"]
    notebook = open_notebook(jupyter, page, "upload", cells)
    notebook.run(0)
    page.set_files(".rtnb-upload input[type=file]", path)
    # It is no sound, which the box says once it has all of it.
    page.wait_for_function("() => /cannot be read/.test(document.querySelector('.rtnb-upload').innerText)")
    notebook.run(1)
    assert hashlib.sha256(path.read_bytes()).hexdigest() in page.text(".jp-Notebook")
    assert ours(page) == []
