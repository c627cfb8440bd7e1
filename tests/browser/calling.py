"""What the tests of the live call share: recordings for the fake microphone, and a call open in a real notebook."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from browser import lab

# Every stream of the microphone and every AudioContext a page opens, so that a test can see them given back.
_KEEP_STREAMS = """
(() => {
  window.__streams = [];
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wish) => {
    const stream = await ask(wish);
    window.__streams.push(stream);
    return stream;
  };
})();
"""


def microphone(path: Path, *parts: float | str) -> str:
    """Write what the fake microphone plays, once: seconds of silence, and samples of rtnb by name."""
    import rtnb

    rate_hz = 48_000
    pieces = [
        np.zeros(int(part * rate_hz), np.int16)
        if isinstance(part, int | float)
        else rtnb.samples()[part].resample(rate_hz).array
        for part in parts
    ]
    soundfile.write(path, np.concatenate(pieces), rate_hz, subtype="PCM_16")
    return f"{path}%noloop"


class OpenCall:
    """A call in a notebook in a page."""

    def __init__(self, page: Any, notebook: lab.Notebook, root: str = ".rtnb-call") -> None:
        self.page, self.notebook = page, notebook
        self.root = page.locator(root).first

    def part(self, name: str) -> Any:
        return self.root.locator(f".rtnb-call-{name}").first

    @property
    def status(self) -> str:
        return str(self.root.get_attribute("data-status"))

    def until(self, status: str, *, seconds: float = 20) -> None:
        """Wait until the call says it is in this state."""
        self.page.wait_for_selector(f".rtnb-call[data-status='{status}']", timeout=seconds * 1000)

    def wait(self, what: Callable[[], bool], *, seconds: float = 20) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, f"not so after {seconds} s; the page shows:\n{self.shows()}"
            self.page.wait_for_timeout(50)

    def shows(self) -> str:
        """What a person sees: the call, or else the first cell's output."""
        return str((self.root if self.root.count() else self.notebook.output(0)).inner_text())

    def say(self, words: str) -> None:
        """Type into the call."""
        self.part("input").fill(words)
        self.part("input").press("Enter")

    def lines(self) -> list[tuple[str, str]]:
        """The captions as (role, words), as they stand on the page."""
        return [
            (line.get_attribute("data-role"), re.sub(r"\s+", " ", line.locator(".rtnb-call-text").inner_text()).strip())
            for line in self.root.locator(".rtnb-call-line").all()
        ]

    def notices(self) -> str:
        return str(self.part("notices").inner_text())

    def engine(self, expression: str) -> Any:
        """Something of the engine behind the view, as `e`."""
        return self.page.evaluate(
            f"() => {{ const e = [...window.__rtnbCalls.values()].at(-1); return {expression}; }}"
        )

    def microphone_is_off(self) -> bool:
        """Whether the page has given every stream back."""
        return bool(
            self.page.evaluate(
                "() => window.__streams.every((s) => s.getTracks().every((t) => t.readyState === 'ended'))"
            )
        )

    def run(self, index: int) -> str:
        """Run a cell and give what it printed."""
        self.notebook.run(index)
        return str(self.notebook.output(index).inner_text())


@contextlib.contextmanager
def in_notebook(
    jupyter: lab.Jupyter,
    name: str,
    cells: list[str],
    *,
    start: bool = True,
    root: str = ".rtnb-call",
    **chromium: Any,
) -> Iterator[OpenCall]:
    """Open a notebook, run its first cell, which makes a call, and click the button."""
    dark = chromium.pop("dark", False)
    locale = chromium.pop("locale", "en-US")
    with lab.chromium(**chromium) as browser:
        page = lab.page(browser, dark=dark, locale=locale)
        lab.capture(page)
        page.add_init_script(_KEEP_STREAMS)
        path = jupyter.write(name, cells)
        notebook = jupyter.open(page, path)
        notebook.run(0)
        it = OpenCall(page, notebook, root)
        it.wait(lambda: it.root.count() > 0 or bool(notebook.errors()))
        assert not notebook.errors(), notebook.errors()
        if start:
            it.part("main").click()
        yield it


def heard_of(sound: np.ndarray, pcm: np.ndarray) -> tuple[int, int]:
    """Find an answer in what the page played.

    Args:
        sound: Float32 samples of the page's audio graph.
        pcm: The int16 samples the server sent, at the same rate.

    Returns:
        Where in `sound` the answer begins, and how many samples were played without one lost, doubled or changed. The
        first 20 ms are not compared: playback sets in softly.
    """
    wanted = pcm.astype(np.float32) / 32768
    skip = 480
    probe = wanted[skip : skip + 256]
    # Candidates by the probe's loudest sample, then compared in full.
    loudest = int(np.argmax(np.abs(probe)))
    for at in np.flatnonzero(np.abs(sound - probe[loudest]) < 1e-6):
        begin = int(at) - loudest - skip
        if begin < -skip or begin + skip + 256 > len(sound):
            continue
        if np.allclose(sound[begin + skip : begin + skip + 256], probe, atol=1e-5):
            length = min(len(wanted), len(sound) - begin)
            wrong = np.flatnonzero(np.abs(sound[begin + skip : begin + length] - wanted[skip:length]) > 2e-4)
            return begin, skip + int(wrong[0]) if len(wrong) else length
    return -1, 0
