"""The course: one source per notebook, remade into an English and a Chinese notebook that stay in step.

A source in `notebooks/source/` is text. `%% en` and `%% zh` begin the two languages of one Markdown cell, `%% code` a
cell both share; so the code of both languages is the same by construction. `python -m rtnb.course` runs every notebook
on the practice server, with no key, and writes `notebooks/NAME.ipynb` and `notebooks/zh/NAME.ipynb` with what came out.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtnb import models
from rtnb import money as costs

__all__ = [
    "LANGUAGES",
    "Cell",
    "Source",
    "compose",
    "cost_sheet",
    "execute",
    "main",
    "read",
    "remake",
    "sources",
    "target",
    "tidy",
]

LANGUAGES = ("en", "zh")
# Where the notebooks are read on GitHub and opened in Colab.
REPOSITORY = "rtnb/rtnb"
BRANCH = "main"

# Whether the package index has rtnb. Until its first release that name may be a stranger's there, and nothing of ours
# asks for it. Set with the release; then `python -m rtnb.course --text` brings it into every notebook.
ON_INDEX = False

_INSTALL = """from importlib.util import find_spec

if not getattr(find_spec("rtnb"), "origin", None):  # rtnb is not installed yet
    from glob import glob
    from packaging.version import Version

    # What lies beside this notebook: the newest wheel, else a checkout of the repository.
    near = ["./", "../", "../../", *glob("./*/")]
    wheels = [file for folder in near for file in glob(folder + "rtnb-*-py3-none-any.whl")]
    wheels.sort(key=lambda file: Version(file.split("-")[-4]), reverse=True)
    checkouts = [at for at in near if glob(at + "pyproject.toml") and glob(at + "rtnb/cli.py")]
    found = [{found}]
    if not found:
        raise ImportError(
            {nothing}
        )
    %pip install -q "{{found[0]}}[practice]"

import rtnb"""

_NOTHING_TO_INSTALL = {
    "en": """"Your kernel has no rtnb, and neither its wheel (rtnb-….whl) nor its repository lies beside "
            "this notebook: put one of them there (in Colab, under Files) and run this cell again.\"""",
    "zh": """"内核里没有 rtnb，笔记本旁边也没有它的 wheel 文件（rtnb-….whl）或代码仓库："
            "请把其中一个放到那里（在 Colab 中放到“文件”里），再运行这一格。\"""",
}

# What a notebook must not carry from one run to the next.
_SECRETS = ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL")
_VIEW = "application/vnd.jupyter.widget-view+json"


@dataclass(frozen=True)
class Cell:
    """One cell of a source.

    Attributes:
        kind: `"markdown"` or `"code"`.
        texts: The cell's text by language; a code cell's is the same in both but for `{{language}}` and `{{install}}`.
        line: The line of the source on which it begins.
    """

    kind: str
    texts: dict[str, str]
    line: int


@dataclass(frozen=True)
class Source:
    """A notebook's source.

    Attributes:
        name: The notebook's name without its ending, for example `"01_walkthrough"`.
        minutes: How long a learner will take.
        cells: The cells in order.
    """

    name: str
    minutes: int
    cells: tuple[Cell, ...]


def read(path: Path) -> Source:
    """Read a source.

    Raises:
        ValueError: If a Markdown cell lacks one of the languages, or a line before the first cell is not understood.
    """
    minutes, blocks = 0, list[tuple[str, list[str], int]]()
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if match := re.fullmatch(r"%% (en|zh|code)\s*", line):
            blocks.append((match[1], [], number))
        elif match := re.fullmatch(r"%% minutes: (\d+)\s*", line):
            minutes = int(match[1])
        elif blocks:
            blocks[-1][1].append(line)
        elif line.strip() and not line.startswith("<!--"):
            raise ValueError(f"{path.name}:{number}: {line!r} stands before the first cell")
    cells, waiting = list[Cell](), dict[str, str]()
    for kind, lines, number in blocks:
        text = "\n".join(lines).strip("\n")
        if kind == "code":
            if waiting:
                raise ValueError(f"{path.name}:{number}: the Markdown cell before lacks a language")
            cells.append(Cell("code", dict.fromkeys(LANGUAGES, text), number))
            continue
        if kind in waiting or (kind == "zh" and "en" not in waiting):
            raise ValueError(f"{path.name}:{number}: English and Chinese must take turns")
        waiting[kind] = text
        if len(waiting) == len(LANGUAGES):
            cells.append(Cell("markdown", waiting, number))
            waiting = {}
    if waiting:
        raise ValueError(f"{path.name}: the last Markdown cell lacks a language")
    return Source(path.stem, minutes, tuple(cells))


def target(name: str, language: str) -> str:
    """The notebook's path below `notebooks/`."""
    return f"{name}.ipynb" if language == "en" else f"{language}/{name}.ipynb"


def compose(source: Source, language: str, cents: str = "…") -> Any:
    """Put a source together as a notebook without outputs.

    Args:
        source: The source.
        language: `"en"` or `"zh"`.
        cents: What a run costs at OpenAI, in US cents, as text; `{{cents}}` stands for it.

    Returns:
        A notebook of `nbformat`.
    """
    import nbformat.v4 as v4

    url = (
        f"https://colab.research.google.com/github/{REPOSITORY}/blob/{BRANCH}/notebooks/{target(source.name, language)}"
    )
    found = "*wheels, *checkouts" + ', "rtnb"' * ON_INDEX
    words = {
        "colab": f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({url})",
        "install": _INSTALL.format(found=found, nothing=_NOTHING_TO_INSTALL[language]),
        "language": language,
        "minutes": str(source.minutes),
        "cents": cents,
    }
    cells, seen = [], dict[str, int]()
    for cell in source.cells:
        text = re.sub(r"\{\{(\w+)\}\}", lambda match: words[match[1]], cell.texts[language])
        # An id from the English text: the same in both languages, and unchanged where the cell is.
        stem = hashlib.sha256(cell.texts["en"].encode()).hexdigest()[:8]
        seen[stem] = seen.get(stem, 0) + 1
        made = (v4.new_code_cell if cell.kind == "code" else v4.new_markdown_cell)(text)
        made["id"] = stem if seen[stem] == 1 else f"{stem}-{seen[stem]}"
        cells.append(made)
    notebook = v4.new_notebook(cells=cells)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "colab": {"provenance": []},
    }
    return notebook


@contextlib.contextmanager
def _kernel(python: str, environment: dict[str, str]) -> Iterator[Any]:
    """A kernel manager for an interpreter, whatever kernels are installed."""
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpecManager

    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "rtnb"
        spec.mkdir()
        argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        about = {"argv": argv, "display_name": "rtnb", "language": "python", "env": environment}
        (spec / "kernel.json").write_text(json.dumps(about))
        specs = KernelSpecManager(kernel_dirs=[folder], ensure_native_kernel=False)
        yield AsyncKernelManager(kernel_name="rtnb", kernel_spec_manager=specs)


# Run before and after the cells: every session is remembered, so that the sum of what they cost can be told.
_BEFORE = """
from rtnb import Session as _Session
_made, _begin = [], _Session.__init__
def _remember(self, *given, **named):
    _begin(self, *given, **named)
    _made.append(self)
_Session.__init__ = _remember
"""
_AFTER = """
import dataclasses, json
from rtnb import costs as _costs
_spent = {"usd": sum(each.cost.known_usd for each in _made)}
print(json.dumps(_spent | dataclasses.asdict(sum((each.usage for each in _made), _costs.Usage()))))
"""


def execute(
    notebook: Any,
    *,
    python: str | None = None,
    seconds_per_cell: float = 180.0,
    environment: dict[str, str] | None = None,
) -> dict[str, float]:
    """Run a notebook from top to bottom with no key, in an empty folder; its outputs are filled in.

    Args:
        notebook: A notebook of `nbformat`; changed in place.
        python: The interpreter whose kernel runs it. None: this one.
        seconds_per_cell: After which a cell counts as stuck.
        environment: Variables to add to the kernel's.

    Returns:
        What the run would have spent at OpenAI: `usd` in US dollars, and the tokens as in `costs.Usage`.

    Raises:
        nbclient.exceptions.CellExecutionError: If a cell fails.
    """
    return asyncio.run(_execute(notebook, python or sys.executable, seconds_per_cell, environment or {}))


async def _execute(
    notebook: Any, python: str, seconds_per_cell: float, environment: dict[str, str]
) -> dict[str, float]:
    from nbclient import NotebookClient
    from nbformat.v4 import new_code_cell

    clean = dict.fromkeys(_SECRETS, "") | environment
    with tempfile.TemporaryDirectory() as folder, _kernel(python, clean) as manager:
        client = NotebookClient(
            notebook,
            km=manager,
            timeout=seconds_per_cell,
            resources={"metadata": {"path": folder}},
            record_timing=False,
            store_widget_state=False,
            coalesce_streams=True,
            allow_errors=False,
        )
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        count, (before, after) = len(notebook.cells), (new_code_cell(_BEFORE), new_code_cell(_AFTER))
        notebook.cells += [before, after]  # nbclient runs only cells that are in the notebook
        try:
            async with client.async_setup_kernel(cleanup_kc=True):  # not by itself, where the manager is ours
                for index in (count, *range(count), count + 1):
                    await client.async_execute_cell(notebook.cells[index], index)
        finally:
            del notebook.cells[count:]
    spent: dict[str, float] = json.loads(after.outputs[0]["text"])
    return spent


def tidy(notebook: Any) -> Any:
    """Take out of a run notebook what differs from run to run or cannot be shown without its kernel.

    Widgets die with their kernel: where an output also has HTML or text, that stays. A progress bar's text says how far
    it was when it was first drawn, so it goes.
    """
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = {"name": "python"}
    count = 0
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.metadata.pop("execution", None)
        count += 1
        cell.execution_count = count
        kept = []
        for output in cell.outputs:
            if output.get("output_type") == "execute_result":
                output["execution_count"] = count
            if "data" in output:
                widget = output["data"].pop(_VIEW, None)
                text = output["data"].get("text/plain", "") if set(output["data"]) <= {"text/plain"} else "…"
                if not text or (widget and re.match(r" *\d+%\|", text)):
                    continue
                output.get("metadata", {}).pop(_VIEW, None)
                output.pop("transient", None)
            if output.get("output_type") == "stream":
                output["text"] = _last_lines(output["text"])
                if output["name"] == "stderr" and not output["text"].strip():
                    continue
            kept.append(output)
        cell.outputs = kept
    return notebook


def _last_lines(text: str) -> str:
    """A terminal's carriage returns done: of a line written over and over, its last form."""
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return "\n".join(re.sub(r"/tmp/ipykernel_\d+/\d+\.py", "<cell>", line) for line in lines)


def cents(usd: float) -> str:
    """US dollars as cents to read: one digit that says something."""
    if usd >= 0.0095:
        return f"{usd * 100:.0f}"
    return "0" if usd <= 0 else f"{usd * 100:.1g}"


def sources(folder: Path) -> list[Path]:
    """The sources below `notebooks/`, in the order of the course."""
    return sorted((folder / "source").glob("[0-9][0-9]_*.md"))


def remake(
    folder: Path, names: Sequence[str], languages: Iterable[str], python: str | None, *, text_only: bool = False
) -> None:
    """Run the notebooks whose names begin so (all, where none is named) and write them with what came out.

    Args:
        folder: Where the notebooks are.
        names: The beginnings of names.
        languages: Which of `LANGUAGES`.
        python: The interpreter whose kernel runs them. None: this one.
        text_only: Run nothing: where only Markdown or the cell that installs rtnb has changed, all outputs still hold.

    Raises:
        ValueError: If `text_only` is asked for and the code has changed.
    """
    import nbformat

    for path in sources(folder):
        if names and not any(path.stem.startswith(name) for name in names):
            continue
        source = read(path)
        for language in languages:
            made = folder / target(source.name, language)
            if text_only:
                notebook = _with_outputs(compose(source, language), nbformat.read(made, 4), made.name)
                spent = notebook.metadata["rtnb"]["spent"]
            else:
                notebook = compose(source, language)
                spent = execute(notebook, python=python)
                tidy(notebook)
            finished = compose(source, language, cents(spent["usd"]))
            for cell, composed in zip(notebook.cells, finished.cells, strict=True):
                cell.source = composed.source
            notebook.metadata["rtnb"] = {"minutes": source.minutes, "spent": spent}
            nbformat.validate(notebook)
            made.parent.mkdir(exist_ok=True)
            made.write_text(nbformat.writes(notebook).rstrip("\n") + "\n", encoding="utf-8")
            print(
                f"{made.relative_to(folder)}: {made.stat().st_size / 1000:.0f} kB, {costs.money(spent['usd'])}",
                flush=True,
            )


def _with_outputs(composed: Any, ran: Any, name: str) -> Any:
    """A notebook with the outputs of another whose code is the same, the cell that installs rtnb apart."""
    new, old = ([cell for cell in one.cells if cell.cell_type == "code"] for one in (composed, ran))
    was, now = ([cell.source for cell in cells if "%pip" not in cell.source] for cells in (old, new))
    if was != now:
        raise ValueError(f"{name}: the code has changed, so its outputs have too; run it without --text")
    for cell, before in zip(new, old, strict=True):
        cell.outputs, cell.execution_count = before.outputs, before.execution_count
    composed.metadata["rtnb"] = ran.metadata["rtnb"]
    return composed


def cost_sheet(folder: Path, learners: int) -> str:
    """What the course costs a class: each notebook run once by each learner, at the prices known today.

    Args:
        folder: Where the notebooks are.
        learners: How many run them.

    Returns:
        A table as text.
    """
    large = "gpt-realtime-2.1"
    rows = [("notebook", "minutes", f"{models.DEFAULT}, one", f"× {learners}", f"{large}, × {learners}")]
    minutes, small_usd, large_usd = 0, 0.0, 0.0
    for path in sorted(folder.glob("[0-9][0-9]_*.ipynb")):
        told = json.loads(path.read_text("utf-8"))["metadata"]["rtnb"]
        spent = dict(told["spent"])
        usage = costs.Usage(**{name: int(count) for name, count in spent.items() if name != "usd"})
        one = costs.cost(usage, models.DEFAULT).known_usd
        apart = max(0.0, spent["usd"] - one)  # transcription, billed by its own model
        other = costs.cost(usage, large).known_usd + apart
        one += apart
        minutes, small_usd, large_usd = minutes + told["minutes"], small_usd + one, large_usd + other
        sums = (costs.money(one), costs.money(one * learners), costs.money(other * learners))
        rows.append((path.stem, str(told["minutes"]), *sums))
    sums = (costs.money(small_usd), costs.money(small_usd * learners), costs.money(large_usd * learners))
    rows.append(("all", str(minutes), *sums))
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    notes = [
        f"Prices as known on {models.known_on()}. Tokens of the runs shown in the notebooks, exercises left out:",
        "a class that experiments spends more. Three times this is a sensible limit for the project.",
    ]
    return "\n".join([*lines, "", *notes])


def _folder() -> Path:
    """Where the notebooks are: beside the package in a checkout, inside it when installed."""
    package = Path(__file__).resolve().parents[1]
    return next((at for at in (package.parent / "notebooks", package / "notebooks") if at.is_dir()), Path("notebooks"))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the notebooks and write them with their outputs, or tell what they cost a class."""
    parser = argparse.ArgumentParser(prog="python -m rtnb.course", description=main.__doc__)
    parser.add_argument("names", nargs="*", help="the beginnings of names, for example 01 03; all without any")
    parser.add_argument("--folder", type=Path, default=_folder(), help="where the notebooks are")
    parser.add_argument("--language", choices=LANGUAGES, action="append", help="one language only")
    parser.add_argument("--python", default=os.environ.get("RTNB_KERNEL_PYTHON"), help="whose kernel runs them")
    parser.add_argument("--text", action="store_true", help="run nothing, only bring changed words in")
    parser.add_argument("--costs", type=int, metavar="LEARNERS", help="run nothing; print the cost sheet for a class")
    given = parser.parse_args(arguments)
    if given.costs is not None:
        print(cost_sheet(given.folder, given.costs))
    else:
        remake(given.folder, given.names, given.language or LANGUAGES, given.python, text_only=given.text)
