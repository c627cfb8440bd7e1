"""The course in a real JupyterLab: *Run all* in every notebook, and a look at what a person sees.

One server, one browser and one page serve all of them. The code is the same in both languages, so here they take turns;
RTNB_LONG=1 runs each notebook in both, side by side, for most of the time is speech at its own pace. RTNB_SCREENSHOTS
names a folder to keep a picture of every screenful in.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from browser import lab, notebooks
from rtnb.course import sources

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.skipif(bool(lab.missing()), reason=str(lab.missing()))]

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
SOURCES = {path.stem: path for path in sources.paths(NOTEBOOKS)}
# What the widgets and cards say of themselves, in the reader's language.
WORDS = {
    "en": {"upload": "Drop recordings here", "call": "Ready", "check": ("Not filled in yet", " ✗ ")},
    "zh": {"upload": "录音拖到这里", "call": "准备就绪", "check": ("还没有填写", " ✗ ")},
}

# In the part of the notebook that is on the screen: what is wider than its place, and widgets that are not there.
_LOOK = """async () => {
  const panel = document.querySelector('.jp-NotebookPanel:not(.lm-mod-hidden)');
  const screen = panel.querySelector('.jp-WindowedPanel-outer').getBoundingClientRect();
  const seen = (node) => {
    const box = node.getBoundingClientRect();
    return box.height && box.bottom > screen.top && box.top < screen.bottom;
  };
  const all = (what) => [...panel.querySelectorAll(what)].filter(seen);
  const wide = all('.jp-OutputArea-output, .jp-MarkdownOutput, .jp-MarkdownOutput pre, .cm-scroller')
    .filter((node) => node.scrollWidth > node.clientWidth + 1);
  return {
    wide: wide.map((node) => `${node.scrollWidth} > ${node.clientWidth}: ${node.innerText.slice(0, 200)}`),
    dead: all('.jp-OutputArea-output').map((node) => node.innerText)
      .filter((text) => /Error displaying widget|Loading widget|Error creating widget/.test(text)),
    words: all('.jp-OutputArea-output').map((node) => node.innerText).join('\\n'),
    sounds: await Promise.all(all('.rtnb-audio').map((it) => it.querySelector('audio'))
      .map((audio) => new Promise((go) => {
      const tell = () => go(audio.duration || 0);
      if (audio.readyState || audio.error) tell();
      audio.addEventListener('loadedmetadata', tell);
      audio.addEventListener('error', tell);
      setTimeout(tell, 20000);
    }))),
  };
}"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    with lab.server(tmp_path_factory.mktemp("course")) as jupyter, lab.chromium() as browser:
        yield notebooks.Desk(jupyter, lab.page(browser, width=1280, height=1400))


@pytest.mark.parametrize("name", SOURCES)
def test_run_all_in_jupyterlab(name, desk):
    keep = Path(os.environ["RTNB_SCREENSHOTS"]) if "RTNB_SCREENSHOTS" in os.environ else None
    began = time.monotonic()
    desk.page.console.clear()
    both = list(sources.LANGUAGES)
    languages = both if os.environ.get("RTNB_LONG") else [both[list(SOURCES).index(name) % 2]]
    paths = {
        language: desk.open(sources.compose(sources.read(SOURCES[name]), language, "1"), f"{language}/{name}.ipynb")
        for language in languages
    }
    try:
        for language, path in paths.items():
            look_at(desk, desk.wait(path), path, language, keep)
        # A broken badge is the network's, which no test has; anything else is ours.
        odd = [line for line in desk.page.console if "pageerror" in line or "widget model not found" in line]
        assert not odd
    finally:
        for path in paths.values():
            desk.close(path)
    print(f"{name}: {languages} in {time.monotonic() - began:.0f} s")


def look_at(desk, saved, path, language, keep):
    cells = [cell for cell in saved.cells if cell.cell_type == "code"]
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    assert all(cell.execution_count for cell in cells)
    # Progress bars also go to stderr; a traceback or a warning would too.
    told = [output.text for cell in cells for output in cell.outputs if output.get("name") == "stderr"]
    assert not [text for text in told if "Error" in text or "Warning" in text]
    # What a person has in the browser is one copy of each sound.
    assert (desk.jupyter.folder / path).stat().st_size < 700_000
    screens = list(desk.walk(path, _LOOK, keep))
    for screen in screens:
        assert not screen["wide"], "wider than a window of 1280"
        assert not screen["dead"]
    words = "\n".join(screen["words"] for screen in screens)
    for call, shown in WORDS[language].items():
        if any(f"rtnb.{call}(" in cell.source for cell in cells):
            assert any(each in words for each in ([shown] if isinstance(shown, str) else shown)), call
    sounds = [seconds for screen in screens for seconds in screen["sounds"]]
    assert sounds
    assert all(seconds > 0.1 for seconds in sounds), sounds
