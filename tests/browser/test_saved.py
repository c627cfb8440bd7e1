"""A notebook that is saved at any moment and opened again: what stood in it is read, with and without a kernel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import nbformat
import pytest

from browser import lab

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.skipif(bool(lab.missing()), reason=str(lab.missing()))]

APPS = ["lab", lab.only_long("notebook"), "colab"]  # of which the last is a page of Colab's age
WIDGETS = {
    "rtnb.upload()": ".rtnb-upload",
    "rtnb.record()": ".rtnb-recorder",
    "rtnb.call(practice=True)": ".rtnb-call",
}
WORDS = {
    "en": ["Run this cell to upload", "Run this cell to record", "Run this cell to start a live call"],
    "zh": ["运行这个单元格即可上传", "运行这个单元格即可录音", "运行这个单元格即可开始实时通话"],
}
# What pages say of a widget whose kernel is gone.
DEAD = ("Loading widget", "model not found", "Error displaying widget", "Error creating widget")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with lab.chromium() as it:
        yield it


def of_one_notebook(notebook: nbformat.NotebookNode) -> list[str]:
    """The HTML of each cell that has any."""
    outputs = ([output.get("data", {}) for output in cell.outputs] for cell in notebook.cells)
    return ["".join("".join(data.get("text/html", "")) for data in cell) for cell in outputs]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("app", APPS)
def test_what_can_be_clicked_is_words_in_the_file_and_in_a_page_without_its_kernel(
    app: str, language: str, browser: Any, jupyters: Any
) -> None:
    with jupyters(app) as jupyter:
        page = lab.page(browser)
        cells = [f"import rtnb\nrtnb.language({language!r})\n{widget}" for widget in WIDGETS]
        notebook = jupyter.open(page, jupyter.write("a.ipynb", cells))
        notebook.run_all()
        for index, root in enumerate(WIDGETS.values()):
            notebook.output(index).locator(root).wait_for()
            assert WORDS[language][index] not in notebook.output(index).inner_text()
        saved = notebook.saved()
        assert "widget-view" not in json.dumps(saved)
        assert "widgets" not in saved.metadata
        for shown, words in zip(of_one_notebook(saved), WORDS[language], strict=True):
            assert words in shown
        page.context.close()
    # A copy that nobody trusts, in a page whose kernel knows nothing of it.
    with jupyters(app) as jupyter:
        (jupyter.folder / "copy.ipynb").write_text(nbformat.writes(saved), encoding="utf-8")
        page = lab.page(browser)
        copy = jupyter.open(page, "copy.ipynb")
        for index, words in enumerate(WORDS[language]):
            copy.select(index)
            copy.output(index).get_by_text(words).wait_for(timeout=60_000)
        assert not [dead for dead in DEAD if dead in page.locator("body").inner_text()]
        page.context.close()


@pytest.mark.parametrize("app", APPS)
def test_a_page_reloaded_with_its_kernel_has_its_widgets_again(app: str, browser: Any, jupyters: Any) -> None:
    with jupyters(app) as jupyter:
        page = lab.page(browser)
        notebook = jupyter.open(page, jupyter.write("a.ipynb", [f"import rtnb\n{widget}" for widget in WIDGETS]))
        notebook.run_all()
        notebook.output(2).locator(".rtnb-call").wait_for()
        notebook.saved()
        notebook = jupyter.open(page, "a.ipynb")
        for index, root in enumerate(WIDGETS.values()):
            notebook.select(index)
            notebook.output(index).locator(root).wait_for()
        # Notebook 7 has an error of its own at each start.
        assert not [line for line in page.console if "pageerror" in line and "(reading 'schema')" not in line]
        page.context.close()


def test_a_view_stands_wherever_its_output_is_drawn_and_ends_with_it(browser: Any, jupyters: Any) -> None:
    with jupyters("lab") as jupyter:
        page = lab.page(browser)
        cells = ["import rtnb\nbox = rtnb.record()\nbox", "box", "box._widget.close()"]
        notebook = jupyter.open(page, jupyter.write("a.ipynb", cells))
        notebook.run(0)
        roots = page.locator(".rtnb-recorder")
        roots.first.wait_for()
        notebook.run(1)
        page.wait_for_function("() => document.querySelectorAll('.rtnb-recorder').length === 2")
        notebook.select(0)
        notebook._command("notebook:create-output-view")
        page.wait_for_function("() => document.querySelectorAll('.rtnb-recorder').length === 3")
        page.evaluate(
            "() => { const { shell } = window.jupyterapp; shell.activateById([...shell.widgets('main')][0].id); }"
        )
        notebook._command("notebook:clear-cell-output")
        page.wait_for_function("() => document.querySelectorAll('.rtnb-recorder').length === 1")
        views = page.evaluate("() => __rtnbPlaces.views.size")
        assert views == 1
        notebook.run(2)  # the kernel takes the widget away: the words stand there again
        page.wait_for_function("() => !document.querySelector('.rtnb-recorder')")
        assert "Run this cell to record" in notebook.output(1).inner_text()
        assert not [line for line in page.console if "pageerror" in line]
        page.context.close()


def test_a_notebook_saved_while_an_answer_is_spoken_has_its_words_so_far(browser: Any, jupyters: Any) -> None:
    with jupyters("lab") as jupyter:
        page = lab.page(browser)
        cell = "import rtnb\nreply = rtnb.ask('Please count from one to sixty.', practice=True)\nreply"
        notebook = jupyter.open(page, jupyter.write("a.ipynb", [cell]))
        notebook.run(0)
        page.wait_for_selector(".rtnb-player[data-state=playing]")
        page.wait_for_function("() => /1, 2, 3, 4/.test(document.querySelector('.says')?.innerText)")
        saved = notebook.saved()
        assert "widget-view" not in json.dumps(saved)
        assert "1, 2, 3, 4" in of_one_notebook(saved)[0]
        page.context.close()
