"""papermill runs a notebook with nobody there, as a classroom's server does."""

import subprocess
import sys

import nbformat
import pytest

pytest.importorskip("papermill", reason="papermill is not installed")
pytest.importorskip("espeakng_loader", reason="the practice server has no voice without it")


def test_a_notebook_runs_and_keeps_words_player_and_cost(tmp_path):
    ask = "box = rtnb.upload()\nreply = await rtnb.ask(box, 'Repeat what I said', practice=True)"
    cells = ["import rtnb", ask, "reply"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "in.ipynb")
    words = [sys.executable, "-m", "papermill", "in.ipynb", "out.ipynb", "--no-progress-bar"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    outputs = nbformat.read(tmp_path / "out.ipynb", 4).cells[2].outputs
    shown = "".join(output.data.get("text/html", "") for output in outputs)
    assert "<audio" in shown
    assert "$" in shown
    assert "You said" in shown
