"""The exercises for nbgrader and for Otter: the cells and tests they need, and the verdicts of `check` in both.

RTNB_GRADERS_PYTHON names the Python of an environment that has rtnb and what tests/graders.txt names, as .ci/run makes
it; there the programs themselves grade a notebook.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest

from rtnb.course import copies, notebooks, sources
from rtnb.course.check import numbers

SOURCE = sources.folder()
NAMES = sorted(path.stem for path in SOURCE.glob("0*.ipynb"))
PYTHON = os.environ.get("RTNB_GRADERS_PYTHON")
# Of these one is solved below, one is wrong as it stands, and one is empty.
NAME, VERDICTS = (
    "02_conversation",
    {"02.1": "right", "02.2": "02.2 ✗ session.updated is", "02.3": "02.3 · Not filled in"},
)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("graders")
    notebooks.main(["--nbgrader", str(folder / "nbgrader"), "--otter", str(folder / "otter"), "--language", "en"])
    return folder


def cells(path):
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    return notebook.cells


def marked(path):
    """The cells that nbgrader knows, by their ids."""
    found = [(cell.metadata.nbgrader, cell) for cell in cells(path) if "nbgrader" in cell.metadata]
    assert all(marks.schema_version == 3 and marks.cell_type == cell.cell_type for marks, cell in found)
    return {marks.grade_id: (marks, cell.source) for marks, cell in found}


def labels(name):
    return {number: number.replace(".", "_") for number in numbers() if number[:2] == name[:2]}


@pytest.mark.parametrize("name", NAMES)
def test_nbgrader_gets_each_exercise_to_solve_and_its_checker_locked_for_a_point(written, name):
    found = marked(written / "nbgrader" / "source" / name / f"{name}.ipynb")
    solved = {f"0{number}": code for number, _, code in copies.solutions(SOURCE, name)}
    assert len(found) == 2 * len(labels(name)) > 0
    for number, label in labels(name).items():
        marks, source = found[f"solution_{label}"]
        assert (marks.grade, marks.solution, marks.locked) == (False, True, False)
        assert source.endswith(f"### BEGIN SOLUTION\n{solved[number]}\n### END SOLUTION")
        assert "rtnb.check" not in source
        marks, source = found[f"check_{label}"]
        assert (marks.grade, marks.solution, marks.locked, marks.points) == (True, False, True, 1)
        assert re.fullmatch(rf'verdict = rtnb\.check\("{number}", .+\)\nassert verdict, verdict', source)


@pytest.mark.parametrize("name", NAMES)
def test_otter_gets_a_test_for_each_exercise_and_the_cell_that_runs_it(written, name):
    folder = written / "otter" / name
    sources_ = [cell.source for cell in cells(folder / f"{name}.ipynb") if cell.cell_type == "code"]
    assert sources_[0] == "import otter\n\ngrader = otter.Notebook()"
    assert {path.stem for path in (folder / "tests").glob("*.py")} == {f"q{label}" for label in labels(name).values()}
    for number, label in labels(name).items():
        test = (folder / "tests" / f"q{label}.py").read_text("utf-8")
        compile(test, label, "exec")
        assert f'rtnb.check("{number}", *(handed_{label} or ()))' in test
        (asked,) = (source for source in sources_ if source.endswith(f'grader.check("q{label}")'))
        assert re.match(rf"handed_{label} = \(.+,\)\n", asked)


@pytest.mark.parametrize("kind", ["nbgrader/source", "otter"])
def test_nothing_was_run_in_them_and_nothing_leads_to_the_solutions(written, kind):
    for name in NAMES:
        for cell in cells(written / kind / name / f"{name}.ipynb"):
            assert not cell.get("outputs")
            assert "](solutions/" not in cell.source


def test_one_notebook_in_the_other_language(tmp_path):
    notebooks.main(["02", "--otter", str(tmp_path), "--language", "zh"])
    (path,) = tmp_path.glob("*/*.ipynb")
    assert cells(path)[0].source.startswith("# 2 · 一份记忆")


# --- the programs themselves -----------------------------------------------------------------------------------------


@pytest.fixture
def program():
    """Run a program of the environment in a folder, and return what it said."""
    if not PYTHON:
        pytest.skip("RTNB_GRADERS_PYTHON names no Python")
    home = Path(PYTHON).parent
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    environment["PYTHONPATH"] = str(SOURCE.parent)
    environment["PATH"] = os.pathsep.join([str(home), environment["PATH"]])

    def run(name, *arguments, cwd):
        command = [home / name, *arguments]
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=1200)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def solve(path, own, number):
    """Write the solution of one exercise behind what stands in its cell."""
    code = {f"0{number}": code for number, _, code in copies.solutions(SOURCE, NAME)}[number]
    notebook = json.loads(path.read_text("utf-8"))
    at = next(at for at, cell in enumerate(notebook["cells"]) if own(cell))
    cell = notebook["cells"][at]
    cell["source"] = "".join(cell["source"]) + f"\n{code}"
    return notebook


GRADES = """
import json
from nbgrader.api import Gradebook
with Gradebook("sqlite:///gradebook.db") as book:
    found = book.find_submission({name!r}, "ada")
    print(json.dumps({{grade.name: grade.auto_score for each in found.notebooks for grade in each.grades}}))
"""


@pytest.mark.slow
def test_nbgrader_comes_to_the_verdicts_of_check(written, program):
    course = written / "nbgrader"
    program("nbgrader", "generate_assignment", NAME, cwd=course)
    released = course / "release" / NAME / f"{NAME}.ipynb"
    assert "BEGIN SOLUTION" not in released.read_text("utf-8")
    own = lambda cell: cell["metadata"].get("nbgrader", {}).get("grade_id") == "solution_02_1"  # noqa: E731
    copies.write(solve(released, own, "02.1"), course / "submitted" / "ada" / NAME / f"{NAME}.ipynb")
    program("nbgrader", "autograde", NAME, cwd=course)
    scores = json.loads(program("python", "-c", GRADES.format(name=NAME), cwd=course))
    assert scores == {"check_02_1": 1, "check_02_2": 0, "check_02_3": 0}
    for cell in cells(course / "autograded" / "ada" / NAME / f"{NAME}.ipynb"):
        if cell.metadata.get("nbgrader", {}).get("grade"):
            said = [output.evalue for output in cell.outputs if output.output_type == "error"]
            _agree(VERDICTS[re.search(r'"(.+?)"', cell.source)[1]], said)


@pytest.mark.slow
def test_otter_comes_to_the_verdicts_of_check(written, program):
    folder = written / "otter" / NAME
    program("otter", "generate", "-t", "tests", "-o", "autograder.zip", cwd=folder)
    (folder / "out").mkdir()
    code = nbformat.read(folder / f"{NAME}.ipynb", 4).cells
    before = {one.id for one, other in pairwise(code) if other.source.startswith("handed_02_1 =")}
    notebook = solve(folder / f"{NAME}.ipynb", lambda cell: cell["id"] in before, "02.1")
    copies.write(notebook, folder / "ada" / f"{NAME}.ipynb")
    program("otter", "run", "-a", "autograder.zip", "-o", "out", "--no-logo", f"ada/{NAME}.ipynb", cwd=folder)
    results = {test["name"]: test for test in json.loads((folder / "out/results.json").read_text("utf-8"))["tests"]}
    for number, verdict in VERDICTS.items():
        test = results[f"q{number.replace('.', '_')}"]
        assert (test["score"] == test["max_score"] == 1) == (verdict == "right")
        _agree(verdict, re.findall(r"AssertionError: (.*)", test["output"]))


def _agree(verdict, said):
    assert [text[: len(verdict)] for text in said] == ([] if verdict == "right" else [verdict])
