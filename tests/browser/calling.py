"""What the tests of the live call share: recordings for the fake microphone, and a call open in a real notebook."""

from __future__ import annotations

import base64
import contextlib
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from browser import lab

# Every stream of the microphone, so that a test can see them given back.
KEEP_STREAMS = """
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

# A microphone that speaks when a test says so (`OpenCall.speak`) and is silent until then. A file that the browser
# plays from the first moment on says its second sentence whether or not the first has been answered.
SPEAKING_MICROPHONE = """
(() => {
  const Context = window.AudioContext;
  navigator.mediaDevices.getUserMedia = async () => {
    const context = new Context({ sampleRate: 24000 });
    const out = context.createMediaStreamDestination();
    const silence = new ConstantSourceNode(context, { offset: 0 });
    silence.connect(out);
    silence.start();
    window.__speak = async (text) => {
      const pcm = new Int16Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
      const buffer = context.createBuffer(1, pcm.length, 24000);
      buffer.copyToChannel(Float32Array.from(pcm, (sample) => sample / 32768), 0);
      const source = new AudioBufferSourceNode(context, { buffer });
      source.connect(out);
      source.start();
      await new Promise((done) => (source.onended = done));
    };
    return out.stream;
  };
})();
"""

# How much of the answer had been played when the page knew.
WHEN_MEASURED = """() => {
  let echo = null;
  const set = function (it) {
    echo = it;
    if (it) window.__measuredAt = this.played.played_ms;
  };
  Object.defineProperty([...window.__rtnbCalls.values()].at(-1), "echo", { set, get: () => echo });
}"""


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

    def until(self, status: str, *, seconds: float = 120) -> None:
        """Wait until the call says it is in this state."""
        self.page.wait_for_selector(f".rtnb-call[data-status='{status}']", timeout=seconds * 1000)

    def wait(self, what: Callable[[], bool], *, seconds: float = 120) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, f"not so after {seconds} s; the page shows:\n{self.shows()}"
            self.page.wait_for_timeout(50)

    def shows(self) -> str:
        """What a person sees: the call, or else the first cell's output."""
        return str((self.root if self.root.count() else self.notebook.output(0)).inner_text())

    def speak(self, sample: str, *, wait: bool = True) -> None:
        """Speak a sample of rtnb, and half a second of silence, into the microphone of `speaks=True`."""
        import rtnb

        pcm = rtnb.samples()[sample].resample(24_000).pcm + bytes(24_000)
        said = "window.__speak(text)" if wait else "{ window.__speak(text); }"
        self.page.evaluate(f"(text) => {said}", base64.b64encode(pcm).decode())

    def until_heard(self) -> None:
        """Wait until the newest AudioContext of the page has played something that is no whisper."""
        loud = "([, samples]) => samples.some((sample) => Math.abs(sample) > 0.05)"
        self.page.wait_for_function(f"() => window.__taps?.at(-1)?.blocks.some({loud})")

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
    speaks: bool = False,
    script: str = "",
    **chromium: Any,
) -> Iterator[OpenCall]:
    """Open a notebook, run its first cell, which makes a call, and click the button."""
    dark = chromium.pop("dark", False)
    locale = chromium.pop("locale", "en-US")
    with lab.chromium(**chromium) as browser:
        page = lab.page(browser, dark=dark, locale=locale)
        if speaks:
            page.add_init_script(SPEAKING_MICROPHONE)
        if script:
            page.add_init_script(script)
        lab.capture(page)
        page.add_init_script(KEEP_STREAMS)
        path = jupyter.write(name, cells)
        notebook = jupyter.open(page, path)
        notebook.run(0)
        it = OpenCall(page, notebook, root)
        it.wait(lambda: it.root.count() > 0 or bool(notebook.errors()))
        assert not notebook.errors(), notebook.errors()
        if start:
            it.part("main").click()
        yield it


def heard_of(sound: np.ndarray, pcm: np.ndarray) -> tuple[int, int, int]:
    """Find an answer in what the page played.

    Args:
        sound: Float32 samples of the page's audio graph.
        pcm: The int16 samples the server sent, at the same rate.

    Returns:
        Where in `sound` the answer begins, how many samples were played without one lost, doubled or changed, and in
        how many places silence stands between two of them, where the queue had run dry. 20 ms from the beginning and
        from each such place are not compared: playback sets in softly.
    """
    wanted = pcm.astype(np.float32) / 32768
    skip = 480
    begin, played, gaps, after = -1, 0, -1, 0
    while played + skip + 256 <= len(wanted):
        at = _find(sound, wanted[played + skip : played + skip + 256], after + skip)
        if at < 0:
            break
        at -= skip
        if begin < 0:
            begin = at
        gaps += 1
        length = min(len(wanted) - played, len(sound) - at)
        wrong = np.flatnonzero(np.abs(sound[at + skip : at + length] - wanted[played + skip : played + length]) > 2e-4)
        length = skip + int(wrong[0]) if len(wrong) else length
        played, after = played + length, at + length
    return begin, played, max(0, gaps)


def _find(sound: np.ndarray, probe: np.ndarray, start: int) -> int:
    """Where the probe stands in the sound, not before `start`; -1 where it does not."""
    # Candidates by the probe's loudest sample, then compared in full.
    loudest = int(np.argmax(np.abs(probe)))
    for at in np.flatnonzero(np.abs(sound[start:] - probe[loudest]) < 1e-6) + start - loudest:
        if at >= start and np.allclose(sound[at : at + len(probe)], probe, atol=1e-5):
            return int(at)
    return -1
