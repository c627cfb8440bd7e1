"""A saved notebook that nobody trusts, in a real JupyterLab: its outputs read whole, also where the page is narrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from plain_html import words
from test_reads_anywhere import outputs

from browser import lab
from rtnb.course import sources

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.skipif(bool(lab.missing()), reason=str(lab.missing()))]

# Words that stand on others: every two pieces of text whose boxes share more than a hair.
OVERLAPS = """
() => {
  const boxes = [];
  for (const output of document.querySelectorAll(".jp-OutputArea-output")) {
    const walker = document.createTreeWalker(output, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const node = walker.currentNode, range = document.createRange();
      if (!node.data.trim() || node.parentElement.closest("style, script, svg")) continue;
      const named = node.parentElement.closest("figcaption"); // a small player's is for screen readers alone
      if (named && getComputedStyle(named).clipPath !== "none") continue;
      range.selectNodeContents(node);
      const seen = [...range.getClientRects()].filter((box) => box.width > 2 && box.height > 2);
      boxes.push(...seen.map((box) => [box, node.data.trim()]));
    }
  }
  const found = [];
  boxes.forEach(([a, one], at) => boxes.slice(at + 1).forEach(([b, other]) => {
    const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (wide > 2 && high > 4 && one !== other) found.push(`${one} | ${other}`);
  }));
  return found;
}
"""
OPENED = "() => document.querySelectorAll('.jp-OutputArea-output details').forEach((one) => { one.open = true; })"
DRAWN = "(count) => document.querySelectorAll('.jp-OutputArea-output').length === count"


def saved(path: Path, made: dict[str, list[str]]) -> list[str]:
    """Write a notebook with these outputs, unsigned as a clone's is; return them in their order."""
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    for place, pages in made.items():
        data = [{"text/html": page, "text/plain": place} for page in pages if page]
        shown = [nbformat.v4.new_output("display_data", data=one) for one in data]
        notebook.cells.append(nbformat.v4.new_code_cell(f"# {place}", execution_count=1, outputs=shown))
    nbformat.write(notebook, path)
    return [page for pages in made.values() for page in pages if page]


def opened(jupyter: lab.Jupyter, page: Any, name: str, count: int) -> Any:
    """The outputs of a notebook, all of them drawn and unfolded."""
    jupyter.open(page, name)
    page.wait_for_function(DRAWN, arg=count)
    page.evaluate(OPENED)
    return page.locator(".jp-OutputArea-output")


@pytest.mark.parametrize(("language", "width"), [("en", 1200), ("zh", 400)])
def test_what_nobody_trusts_reads_whole(jupyters, tmp_path, language, width):
    with jupyters("lab") as jupyter, lab.chromium() as browser:
        pages = saved(jupyter.folder / "clone.ipynb", outputs(language, tmp_path))
        page = lab.page(browser, width=width, height=16_000)  # JupyterLab draws only cells that are on the screen
        seen = opened(jupyter, page, "clone.ipynb", len(pages))
        for number, made in enumerate(pages):
            seen.nth(number).scroll_into_view_if_needed()
            assert seen.nth(number).inner_text().split() == words(made)
        assert seen.locator("button, input, select, [role=button], audio[controls], style").count() == 0
        assert page.evaluate(OVERLAPS) == []


def test_large_letters_on_a_narrow_page_stand_beside_each_other(jupyters, tmp_path):
    with jupyters("lab") as jupyter, lab.chromium() as browser:
        made = outputs("en", tmp_path)
        (tmp_path / "made.txt").write_text(repr(made), "utf-8")
        cell = f"from IPython.display import HTML, display\nmade = eval(open({str(tmp_path / 'made.txt')!r}).read())\n"
        cell += "for page in sum(made.values(), []): display(HTML(page))"
        page = lab.page(browser, width=400, height=16_000)
        notebook = jupyter.open(page, jupyter.write("run.ipynb", [cell]))
        notebook.run_all()
        page.wait_for_function(DRAWN, arg=sum(map(len, made.values())))
        page.evaluate(OPENED)
        size = "() => parseFloat(getComputedStyle(document.querySelector('.jp-OutputArea-output .rtnb')).fontSize)"
        before = page.evaluate(size)
        page.evaluate("() => { document.documentElement.style.fontSize = '200%'; }")
        assert page.evaluate(size) == pytest.approx(2 * before)
        assert page.evaluate(OVERLAPS) == []
        # Where handlers run, the timeline is a drawing whose bars can be reached.
        assert page.locator(".rtnb-tlbox svg [role=button]").first.get_attribute("tabindex") == "0"


@pytest.mark.parametrize("width", [1200, 400])
def test_the_figures_of_a_notebook_that_nobody_trusts_are_seen_whole(jupyters, width):
    notebooks = sources.folder()
    drawn = [sources.target(path.stem, language) for path in sources.paths(notebooks) for language in ("en", "zh")]
    cells = [
        cell.source
        for name in drawn
        for cell in nbformat.read(notebooks / name, 4).cells
        if cell.cell_type == "markdown" and "<img alt=" in cell.source
    ]
    with jupyters("lab") as jupyter, lab.chromium() as browser:
        page = lab.page(browser, width=width, height=16_000)
        jupyter.open(page, jupyter.write("figures.ipynb", [("markdown", cell) for cell in cells]))
        seen = page.locator(".jp-RenderedMarkdown img[src^=data]")
        page.wait_for_function("(n) => document.querySelectorAll('img[src^=data]').length === n", arg=len(drawn))
        page.wait_for_function("() => [...document.images].every((image) => image.complete)")
        fits = "(image) => image.naturalWidth === 480 && image.alt && image.width <= image.parentElement.clientWidth"
        assert [bool(seen.nth(n).evaluate(fits)) for n in range(len(drawn))] == [True] * len(drawn)
