"""Write the course for nbgrader and for Otter: its exercises as their cells and tests, with the verdicts of `check`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rtnb.course import copies, sources

Json = dict[str, Any]

_CHECK = re.compile(r'(?:^|\n)rtnb\.check\("(\d\d\.\d)", (.+)\)\s*$')
_MARKS = {"cell_type": "code", "grade": False, "solution": False, "locked": False, "task": False, "schema_version": 3}
# What stands for a solution in the release: a comment, for what is there to be mended has to run as it is.
_NBGRADER_CONFIG = """c = get_config()
c.CourseDirectory.course_id = "rtnb"
c.ClearSolutions.code_stub = {"python": "# ..."}
"""
_OTTER_TEST = """import rtnb
from otter.test_files import test_case

OK_FORMAT = False
name = "{test}"
points = 1


@test_case()
def test_verdict({handed}):
    verdict = rtnb.check("{number}", *({handed} or ()))
    assert verdict, verdict
"""


def write(source: Path, names: Sequence[str], language: str, *, nbgrader: Path | None, otter: Path | None) -> None:
    """Write the notebooks with their exercises as those programs grade them, a point each.

    Args:
        source: Where the notebooks are.
        names: The beginnings of names; all notebooks without any.
        language: One of `sources.LANGUAGES`.
        nbgrader: Where to write a course of nbgrader's: its configuration, and `source/NAME/NAME.ipynb` for each. None:
            nothing for nbgrader.
        otter: Where to write for Otter: `NAME/NAME.ipynb` for each, and `NAME/tests/`. None: nothing for Otter.
    """
    for name in (path.stem for path in sorted(source.glob("[0-9][0-9]_*.ipynb"))):
        solved = {f"0{number}": code for number, _, code in copies.solutions(source, name)}
        for folder, finish in ((nbgrader, _for_nbgrader), (otter, _for_otter)):
            if folder and name.startswith(tuple(names) or ""):
                notebook = copies.bare(source / sources.target(name, language))
                copies.leave_out_links(notebook, language)
                finish(notebook, solved, name, folder)


def _for_nbgrader(notebook: Json, solved: Mapping[str, str], name: str, folder: Path) -> None:
    for number, label, made, own, check in _exercises(notebook):
        own["source"] += f"\n### BEGIN SOLUTION\n{solved[number]}\n### END SOLUTION"
        check["source"] = f'verdict = rtnb.check("{number}", {made})\nassert verdict, verdict'
        own["metadata"]["nbgrader"] = _MARKS | {"grade_id": f"solution_{label}", "solution": True}
        graded = {"grade_id": f"check_{label}", "grade": True, "locked": True, "points": 1}
        check["metadata"]["nbgrader"] = _MARKS | graded
    copies.write(notebook, folder / "source" / name / f"{name}.ipynb")
    (folder / "nbgrader_config.py").write_text(_NBGRADER_CONFIG, encoding="utf-8")


def _for_otter(notebook: Json, solved: Mapping[str, str], name: str, folder: Path) -> None:
    (folder / name / "tests").mkdir(parents=True, exist_ok=True)
    for number, label, made, _, check in _exercises(notebook):
        test, handed = f"q{label}", f"handed_{label}"
        # Kept under a name of its own, for Otter runs a test that was not reached when all cells have run.
        check["source"] = f'{handed} = ({made},)\ngrader.check("{test}")'
        text = _OTTER_TEST.format(test=test, handed=handed, number=number)
        (folder / name / "tests" / f"{test}.py").write_text(text, encoding="utf-8")
    notebook["cells"].insert(1, copies.code_cell("otter", "import otter\n\ngrader = otter.Notebook()"))
    copies.write(notebook, folder / name / f"{name}.ipynb")


def _exercises(notebook: Json) -> Iterator[tuple[str, str, str, Json, Json]]:
    """Move the checker of each exercise into a cell of its own.

    Yields:
        The exercise's number, `"02.1"`, and as part of a name, `"02_1"`; what is handed over, as code; the learner's
        cell, and the checker's, which is still empty.
    """
    before, notebook["cells"] = notebook["cells"], []
    for cell in before:
        text = "".join(cell["source"])
        asked = _CHECK.search(text) if cell["cell_type"] == "code" else None
        # Where the checker stands alone, what it is about is in the code before.
        if asked is None or asked.start():
            notebook["cells"].append(cell | {"source": text[: asked.start()] if asked else text})
        if asked:
            own = next(each for each in reversed(notebook["cells"]) if each["cell_type"] == "code")
            label = asked[1].replace(".", "_")
            notebook["cells"].append(check := copies.code_cell(f"check_{label}"))
            yield asked[1], label, asked[2], own, check
