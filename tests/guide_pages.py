"""Pages of the guide as programs: their sections, and what each fenced block of Python prints."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import io
import os
import re
import types
import warnings
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import rtnb
from rtnb.server.server import Practice

GUIDE = Path(__file__).resolve().parents[1] / "notebooks" / "guide"
LANGUAGES = ("en", "zh")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Step(NamedTuple):
    """Block of Python, and what the page says that comes out; None where it says nothing."""

    code: str
    said: str | None


def text(page: str, language: str) -> str:
    return (GUIDE / language / f"{page}.md").read_text("utf-8")


def sections(page: str, language: str) -> dict[str, str]:
    """The text below each heading of a page, by the heading; what stands before the first, by ""."""
    parts = re.split(r"^#{2,3} (.+)\n", text(page, language), flags=re.MULTILINE)
    return dict(zip(["", *parts[1::2]], parts[::2], strict=True))


def blocks(section: str, kind: str) -> list[str]:
    return [code for named, code in _BLOCK.findall(section) if named == kind]


def steps(section: str) -> list[Step]:
    """Every block of Python of a section, with the block of text that follows it at once."""
    found = list(_BLOCK.finditer(section))
    made = []
    for block, after in zip_longest(found, found[1:]):
        if block[1] == "python":
            beside = after and after[1] == "text" and not section[block.end() : after.start()].strip()
            made.append(Step(block[2], after[2] if beside else None))
    return made


def run(section: str) -> list[str]:
    """Run a section's blocks one after the other, as cells of one notebook; what each printed."""
    before = os.environ.copy()
    try:
        return asyncio.run(_run(section))
    finally:
        os.environ.clear()
        os.environ.update(before)


async def _run(section: str) -> list[str]:
    names: dict[str, Any] = {"__name__": "__main__", "rtnb": rtnb}
    printed = []
    for step in steps(section):
        with contextlib.redirect_stdout(io.StringIO()) as out, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydub's, asyncio's
            warnings.simplefilter("always", rtnb.RtnbWarning)
            warnings.showwarning = lambda message, kind, *_: print(f"{kind.__name__}: {message}")
            try:
                await _cell(step.code, names)
            except Exception as error:
                if step.said is None:
                    raise
                print(f"{type(error).__name__}: {error}")
        printed.append(out.getvalue())
    for made in list(names.values()):
        if isinstance(made, Practice):
            made.close()
    return printed


async def _cell(code: str, names: dict[str, Any]) -> None:
    """Run a cell; the value of its last line is printed, as a notebook shows it."""
    tree = ast.parse(code)
    if isinstance(tree.body[-1], ast.Expr):
        tree.body[-1] = ast.parse("_ = 0").body[0].__class__([ast.Name("_", ast.Store())], tree.body[-1].value)
        ast.fix_missing_locations(tree)
    names["_"] = None
    made = eval(compile(tree, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    if isinstance(made, types.CoroutineType):
        await made
    if names["_"] is not None:
        print(repr(names["_"]))


def fits(said: str, printed: str) -> bool:
    """Whether what was printed is what the page says; "…" there stands for anything."""
    pattern = ".*?".join(map(re.escape, said.strip().split("…")))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


if __name__ == "__main__":
    import json
    import sys

    page, language, heading = sys.argv[1:]
    rtnb.language(language)
    print(json.dumps(run(sections(page, language)[heading])))
