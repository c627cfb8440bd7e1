"""The course in a real JupyterLab: Run all, and look at what a person sees.

RTNB_SCREENSHOTS names a folder to keep the pictures in.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nbformat
import pytest

from browser import lab
from rtnb import course

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.skipif(bool(lab.missing()), reason=str(lab.missing()))]

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
# The first, where everybody begins, and the one with a live call in a cell.
SHOWN = [("01_walkthrough", "en"), ("03_live_voice", "zh")]

_LENGTH = """(audio) => new Promise((go) => {
  if (audio.readyState) go(audio.duration);
  audio.onloadedmetadata = () => go(audio.duration);
})"""


@pytest.mark.parametrize(("name", "language"), SHOWN)
def test_run_all_in_jupyterlab(name, language, tmp_path):
    course_folder = tmp_path / "course"
    course_folder.mkdir()
    file = course_folder / f"{name}.ipynb"
    shutil.copy(NOTEBOOKS / course.target(name, language), file)
    notebook = nbformat.read(file, 4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, file)
    locale = {"en": "en-US", "zh": "zh-CN"}[language]
    with lab.server(course_folder) as jupyter, lab.chromium() as browser:
        page = lab.page(browser, height=1400, locale=locale)
        shown = jupyter.open(page, file.name, timeout=120)
        shown.run_all(timeout=400)
        saved = shown.saved()
        assert not [o for cell in saved.cells for o in cell.get("outputs", ()) if o.output_type == "error"]
        # Progress bars also go to stderr; a traceback would too.
        assert not [text for text in shown.errors() if "Error" in text]
        codes = [n for n, cell in enumerate(saved.cells) if cell.cell_type == "code"]
        assert all(saved.cells[n].execution_count for n in codes)
        # Words and a player, in the page and not only in the file.
        third = codes[2]
        shown.select(third)
        audio = shown.output(third).locator("audio").first
        audio.wait_for(state="attached", timeout=20_000)
        assert audio.evaluate(_LENGTH) > 0.5
        assert shown.output(third).inner_text().strip()
        # What a person has in the browser is one copy of each sound, and no widget left dead.
        assert (course_folder / file.name).stat().st_size < 700_000
        _keep(shown, f"{name}.{language}.png")
        if name == "03_live_voice":
            call = next(n for n in codes if "rtnb.call(" in saved.cells[n].source)
            shown.select(call)
            shown.output(call).locator("button").first.wait_for(timeout=20_000)
            _keep(shown, f"{name}.{language}.call.png")


def _keep(shown, name):
    if folder := os.environ.get("RTNB_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        shown.screenshot(Path(folder) / name)
