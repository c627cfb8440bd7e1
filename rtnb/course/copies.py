"""Copy the course out of the package: for a learner, or for a class and, apart, the answers for its teacher."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rtnb.course import sources
from rtnb.errors import InputError
from rtnb.texts.language import language, say

# What stays with the teacher of a class, as the beginnings of paths below `notebooks/`.
_TEACHERS = ("solutions", "TEACHING.md", "zh/TEACHING.md")
_TEACHERS_LINK = re.compile(r"\[([^\]]+)\]\((?:\.\./)?(?:solutions/|TEACHING\.md)[^)]*\)")
_ASK = {"en": r"\1 (ask your teacher)", "zh": r"\1（请问老师）"}


def copy(source: Path, folder: Path, *, outputs: bool, force: bool, for_class: bool) -> tuple[int, int]:
    """Copy what a learner runs and reads.

    Args:
        source: Where the notebooks are.
        folder: Where to; made if need be.
        outputs: Keep what the cells put out.
        force: Overwrite what is there already.
        for_class: Leave out the solutions and the teacher's guide, and the links to them.

    Returns:
        How many files were copied, and how many were there already and stayed as they were.

    Raises:
        InputError: If answers lie in the folder already, and it is for a class.
    """
    if for_class and (found := next((name for name in _TEACHERS if (folder / name).exists()), None)):
        why = f"Your folder {folder} is for a class, and {found} lies in it, which has the answers. Take a new folder."
        raise InputError(why, path=str(folder))
    files = [file for file in _files(source) if not (for_class and file.as_posix().startswith(_TEACHERS))]
    missing = [file for file in files if force or not (folder / file).exists()]
    for file in missing:
        target, words = folder / file, "zh" if file.parts[0] == "zh" else "en"
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".ipynb" and not outputs:
            notebook = bare(source / file)
            if for_class:
                leave_out_links(notebook, words)
            write(notebook, target)
        elif file.suffix == ".md" and for_class:
            target.write_text(_TEACHERS_LINK.sub(_ASK[words], (source / file).read_text("utf-8")), encoding="utf-8")
        else:
            shutil.copyfile(source / file, target)
    return len(missing), len(files) - len(missing)


def _files(source: Path) -> list[Path]:
    # In a checkout there is also what they are made from; a learner wants what can be run.
    found = [file.relative_to(source) for file in source.rglob("*") if file.is_file()]
    return [
        f for f in found if not any(p.startswith((".", "__")) or p in ("source", "images", "guide") for p in f.parts)
    ]


def bare(path: Path) -> dict[str, Any]:
    """Return a notebook's JSON as if nothing had been run in it."""
    read: dict[str, Any] = json.loads(path.read_text("utf-8"))
    for cell in read["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    return read


def code_cell(id_: str, source: str = "") -> dict[str, Any]:
    """Return a code cell that was not run."""
    never_run: dict[str, Any] = {"execution_count": None, "outputs": []}
    return {"cell_type": "code", "id": id_, "metadata": {}, "source": source, **never_run}


def leave_out_links(notebook: dict[str, Any], words: str) -> None:
    """Send readers of a notebook to their teacher instead of to the solutions, in one of `sources.LANGUAGES`."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = _TEACHERS_LINK.sub(_ASK[words], "".join(cell["source"]))


def write(notebook: dict[str, Any], path: Path) -> None:
    """Write a notebook; its folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def solutions(source: Path, name: str) -> Iterator[tuple[str, dict[str, str], str]]:
    """Read the solutions of a notebook, in its order.

    Args:
        source: Where the notebooks are.
        name: The notebook's name, for example `"02_conversation"`.

    Yields:
        The exercise's number, for example `"2.1"`, a sentence or two on it by language, and the lines that solve it.
    """
    text = (source / "solutions" / f"{name[:2]}.md").read_text("utf-8")
    for number, why, code in re.findall(r"^## (\d\.\d)\n+(.*?)\n+```python\n(.*?)```", text, re.MULTILINE | re.DOTALL):
        # The Chinese begins behind the first sentence that is followed by one with Chinese in it.
        english, chinese = re.split(r"(?<=[.?!]) (?=(?:(?![.?!] ).)*?[\u4e00-\u9fff])", why, maxsplit=1)
        yield number, {"en": english, "zh": chinese}, code.rstrip("\n")


def write_answers(source: Path, path: Path) -> None:
    """Write one notebook with every exercise and its answer, to be read, in the language of `rtnb.language()`.

    Args:
        source: Where the notebooks are.
        path: The notebook to write.
    """
    about = say("For the teacher alone. A solution uses what the cells above its exercise have made.")
    texts = [f"# {say('Answers to the exercises')}\n\n{about}"]
    for name in sorted(at.stem for at in source.glob("[0-9][0-9]_*.ipynb")):
        prose = ["".join(cell["source"]) for cell in bare(source / sources.target(name, language()))["cells"]]
        texts.append("#" + prose[0].partition("\n")[0])
        for number, why, code in solutions(source, name):
            (task,) = (text[text.index(f"**{number}**") :] for text in prose if f"**{number}**" in text)
            task = re.sub(r"\[([^\]]+)\]\((?!https:)[^)]*\)", r"\1", task.partition("<details>")[0].strip())
            texts.append(f"{task}\n\n{why[language()]}\n\n```python\n{code}\n```")
    cells = [{"cell_type": "markdown", "id": f"a{at}", "metadata": {}, "source": text} for at, text in enumerate(texts)]
    write({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, path)
