"""Notebooks of the course in a real JupyterLab; as a program it remakes those that are shipped.

    cd tests && python -m browser.notebooks             # all, in both languages; or the beginnings of names: 01 03

Their outputs are then what a person has who runs all cells there and saves: a program that runs cells has no widgets.
The practice server answers, without a key. Answers are played to their ends, at their own pace.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell

from browser import lab
from rtnb.course import execution, sources
from rtnb.course.notebooks import remake

_PANEL = "[...window.jupyterapp.shell.widgets('main')].find((w) => w.context?.path === path)"

# Over when every code cell has its number, or one of them an error: after that the rest is not run.
_OVER = f"""(path) => {{
  const panel = {_PANEL};
  const cells = panel.content.widgets.filter((cell) => cell.model.type === 'code');
  const outputs = (cell) => cell.model.outputs.toJSON();
  const failed = cells.some((cell) => outputs(cell).some((output) => output.output_type === 'error'));
  const idle = panel.sessionContext.session?.kernel?.status === 'idle';
  return failed || (idle && cells.every((cell) => cell.model.executionCount));
}}"""

# An answer that is still played: its player has a place without words, which the finished one takes.
_PLAYED = f"""(path) => !({_PANEL}).content.widgets.some((cell) => cell.model.type === 'code'
  && /rtnb-place [^>]*><\\/div>/.test(JSON.stringify(cell.model.outputs.toJSON())))"""


class Desk:
    """A JupyterLab with notebooks open side by side."""

    def __init__(self, jupyter, page):
        self.jupyter, self.page = jupyter, page
        blank = jupyter.write("begin.ipynb", ["1"])
        jupyter.open(page, blank, timeout=120)
        self.close(blank)

    def open(self, notebook, path):
        """Write a notebook without outputs, open it and press *Run all*; give its path."""
        # In an empty folder of its own, for it leaves files there.
        folder = (self.jupyter.folder / path).parent
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        nbformat.write(notebook, self.jupyter.folder / path)
        self.page.evaluate("(path) => { window.jupyterapp.commands.execute('docmanager:open', { path }); }", path)
        self.page.wait_for_function(
            f"""(path) => {{
              const panel = {_PANEL};
              return panel?.isVisible && panel.content.widgets.length && panel.sessionContext.isReady
                && panel.sessionContext.session?.kernel?.status === 'idle';
            }}""",
            arg=path,
            timeout=120_000,
        )
        self.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
        return path

    def wait(self, path):
        """Wait until all has run and every answer has been heard, and give the notebook as it is saved."""
        for done in (_OVER, _PLAYED):
            self.page.wait_for_function(done, arg=path, timeout=600_000)
        self.page.evaluate(f"async (path) => {{ await ({_PANEL}).context.save(); }}", path)
        return nbformat.read(self.jupyter.folder / path, 4)

    def walk(self, path, look, keep):
        """Scroll through a notebook as a person does, and give what a script finds in each screenful."""
        outer = "document.querySelector('.jp-NotebookPanel:not(.lm-mod-hidden) .jp-WindowedPanel-outer')"
        self.page.evaluate(f"(path) => {{ window.jupyterapp.shell.activateById(({_PANEL}).id); }}", path)
        self.page.wait_for_function(f"(path) => ({_PANEL}).isVisible", arg=path)
        self.page.evaluate(f"() => {{ {outer}.scrollTop = 0; }}")
        number, before = 0, -1
        while True:
            # JupyterLab draws cells as they come into view, and its page grows with them.
            self.page.evaluate("() => { window.__still = 0; }")
            self.page.wait_for_function(
                f"""() => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(() =>
                  requestIdleCallback(() => {{
                    const now = [{outer}.scrollTop, {outer}.scrollHeight].join();
                    window.__still = window.__before === now ? window.__still + 1 : 0;
                    window.__before = now;
                    go(window.__still >= 3);
                  }})
                )))"""
            )
            at = self.page.evaluate(f"() => {outer}.scrollTop")
            if at == before:
                return
            yield self.page.evaluate(look)
            if keep:
                keep.mkdir(parents=True, exist_ok=True)
                stem = path.removesuffix(".ipynb").replace("/", ".")
                self.page.screenshot(path=str(keep / f"{stem}.{number:02}.png"))
            number, before = number + 1, at
            self.page.evaluate(f"() => {{ {outer}.scrollTop += {outer}.clientHeight - 60; }}")

    def close(self, path):
        """Shut the kernel down and close the notebook, whatever state it is in."""
        self.page.evaluate(
            f"""async (path) => {{
              const panel = {_PANEL};
              if (!panel) return;
              await panel.context.save();
              await panel.sessionContext.shutdown();
              panel.dispose();
            }}""",
            path,
        )

    def run(self, notebook):
        """Fill in the outputs of a notebook, as `rtnb.course.execution.execute` does, and return what it does."""
        cells = [new_code_cell(execution.BEFORE), *notebook.cells, new_code_cell(execution.AFTER)]
        path = self.open(nbformat.v4.new_notebook(cells=cells, metadata=notebook.metadata), "course/course.ipynb")
        try:
            _, *ran, after = self.wait(path).cells
        finally:
            self.close(path)
        for cell, with_outputs in zip(notebook.cells, ran, strict=True):
            if cell.cell_type == "code":
                cell.outputs = with_outputs.outputs
                if failed := [output for output in cell.outputs if output.output_type == "error"]:
                    raise RuntimeError(f"A cell failed:\n{cell.source}\n{failed[0].ename}: {failed[0].evalue}")
        return json.loads(after.outputs[0]["text"])


def main() -> None:
    """Run the notebooks in JupyterLab and write them with their outputs."""
    parser = argparse.ArgumentParser(prog="python -m browser.notebooks", description=main.__doc__)
    parser.add_argument("names", nargs="*", help="the beginnings of names, for example 01 03; all without any")
    parser.add_argument("--folder", type=Path, default=lab.REPO / "notebooks", help="where the notebooks are")
    parser.add_argument("--language", choices=sources.LANGUAGES, action="append", help="one language only")
    given = parser.parse_args()
    nothing = dict.fromkeys(execution.SECRETS, "")
    with tempfile.TemporaryDirectory() as folder, lab.server(folder, env=nothing) as jupyter, lab.chromium() as browser:
        desk = Desk(jupyter, lab.page(browser, width=1280, height=1400))
        remake(given.folder, given.names, given.language or sources.LANGUAGES, desk.run)


if __name__ == "__main__":
    main()
