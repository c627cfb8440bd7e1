"""Run every notebook of the course on the practice server, with no key, and write it with what came out.

`python -m rtnb.course` makes `notebooks/NAME.ipynb` and `notebooks/zh/NAME.ipynb` from each source, so that the two
languages stay in step.
"""

import argparse
import functools
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from rtnb import models, money
from rtnb.course import graders, lesson, sources
from rtnb.course.execution import execute, tidy
from rtnb.money.usage import text_table
from rtnb.texts import language as texts


def _cents(usd: float) -> str:
    """Return US dollars as cents, with one significant digit below a cent."""
    return "0" if usd <= 0 else f"{usd * 100:.0f}" if usd >= 0.0095 else f"{usd * 100:.1g}"


def remake(
    folder: Path,
    names: Sequence[str],
    languages: Iterable[str],
    run: Callable[[Any], dict[str, float]],
    *,
    text_only: bool = False,
) -> None:
    """Run the notebooks whose names begin so (all, where none is named) and write them with what came out.

    Args:
        folder: Where the notebooks are.
        names: The beginnings of names.
        languages: Which of `sources.LANGUAGES`.
        run: Fills in the outputs of a notebook of `nbformat`; returns what `execute` does.
        text_only: Run nothing: where only Markdown or the cell that installs rtnb has changed, all outputs still hold.

    Raises:
        ValueError: If `text_only` is asked for and the code has changed.
    """
    import nbformat

    for path in (path for path in sources.paths(folder) if path.stem.startswith(tuple(names) or "")):
        source = sources.read(path)
        for language in languages:
            made = folder / sources.target(source.name, language)
            notebook = sources.compose(source, language)
            if text_only:
                spent = _take_outputs(notebook, nbformat.read(made, 4), made.name)
            else:
                spent = run(notebook)
                tidy(notebook)
            # The first cell says what a run costs.
            notebook.cells[0].source = sources.compose(source, language, _cents(spent["usd"])).cells[0].source
            notebook.metadata["rtnb"] = {"minutes": source.minutes, "spent": spent}
            nbformat.validate(notebook)
            made.parent.mkdir(exist_ok=True)
            made.write_text(nbformat.writes(notebook).rstrip("\n") + "\n", encoding="utf-8")
            size = f"{made.stat().st_size / 1000:.0f} kB, {money.money(spent['usd'])}"
            print(f"{made.relative_to(folder)}: {size}", flush=True)


def _take_outputs(composed: Any, ran: Any, name: str) -> dict[str, float]:
    """Copy the outputs of a notebook whose code is the same, the cell that installs rtnb apart; return its cost."""
    new, old = ([cell for cell in one.cells if cell.cell_type == "code"] for one in (composed, ran))
    was, now = ([cell.source for cell in cells if "%pip" not in cell.source] for cells in (old, new))
    if was != now:
        raise ValueError(f"{name}: the code has changed, so its outputs have too; run it without --text")
    for cell, before in zip(new, old, strict=True):
        cell.outputs, cell.execution_count = before.outputs, before.execution_count
    return ran.metadata["rtnb"]["spent"]


def cost_sheet(folder: Path, learners: int) -> str:
    """Return what the course costs a class: each notebook run once by each learner, at the prices known today.

    Args:
        folder: Where the notebooks are.
        learners: How many run them.

    Returns:
        A table as text.
    """
    large = "gpt-realtime-2.1"
    # Minutes, and US dollars with the default model and with the large one, of one learner.
    costs: dict[str, tuple[int, float, float]] = {}
    for path in sorted(folder.glob("[0-9][0-9]_*.ipynb")):
        about = json.loads(path.read_text("utf-8"))["metadata"]["rtnb"]
        usage = money.Usage(**{name: int(count) for name, count in about["spent"].items() if name != "usd"})
        small_usd, large_usd = (money.cost(usage, model).known_usd for model in (models.DEFAULT, large))
        apart_usd = max(0.0, about["spent"]["usd"] - small_usd)  # transcription, billed by its own model
        costs[path.stem] = about["minutes"], small_usd + apart_usd, large_usd + apart_usd
    every = list(costs.values())
    costs["all"] = sum(each[0] for each in every), sum(each[1] for each in every), sum(each[2] for each in every)
    rows = [["notebook", "minutes", f"{models.DEFAULT}, one", f"× {learners}", f"{large}, × {learners}"]]
    for name, (taken, one_usd, other_usd) in costs.items():
        sums = (money.money(usd) for usd in (one_usd, one_usd * learners, other_usd * learners))
        rows.append([name, str(taken), *sums])
    tokens = f"Prices as known on {models.known_on()}. Tokens of the runs shown in the notebooks, exercises left out:"
    limit = "a class that experiments spends more. Three times this is a sensible limit for the project."
    return "\n".join([text_table(rows), "", tokens, limit])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the notebooks and write them with their outputs, print what they cost a class, record the lesson, or write
    them for a grader."""
    parser = argparse.ArgumentParser(prog="python -m rtnb.course", description=main.__doc__)
    parser.add_argument("names", nargs="*", help="the beginnings of names, for example 01 03; all without any")
    parser.add_argument("--folder", type=Path, default=sources.folder(), help="where the notebooks are")
    parser.add_argument("--language", choices=sources.LANGUAGES, action="append", help="one language only")
    parser.add_argument("--python", default=os.environ.get("RTNB_KERNEL_PYTHON"), help="whose kernel runs them")
    parser.add_argument("--text", action="store_true", help="run nothing, only bring changed words in")
    parser.add_argument("--costs", type=int, metavar="LEARNERS", help="run nothing; print the cost sheet for a class")
    parser.add_argument("--record", action="store_true", help="record the lesson that is heard without a key")
    parser.add_argument("--nbgrader", type=Path, metavar="DIR", help="run nothing; write a course of nbgrader")
    parser.add_argument("--otter", type=Path, metavar="DIR", help="run nothing; write notebooks and tests for Otter")
    given = parser.parse_args(arguments)
    if given.costs is not None:
        print(cost_sheet(given.folder, given.costs))
    elif given.record:
        print(lesson.record())
    elif given.nbgrader or given.otter:
        one = (given.language or [texts.language()])[0]
        graders.write(given.folder, given.names, one, nbgrader=given.nbgrader, otter=given.otter)
    else:
        run = functools.partial(execute, python=given.python)
        remake(given.folder, given.names, given.language or sources.LANGUAGES, run, text_only=given.text)
