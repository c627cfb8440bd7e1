"""Sentences that the code has for its user: whole ones, as they stand in it, with braces for what is put in."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "rtnb"
# A capital or what is put in first, at least two words, and the end of a sentence.
_SENTENCE = re.compile(r"(?:[A-Z]|\{\w+\}\W*)[^<>]*\s[^<>]*[.!?]", re.DOTALL)
# The practice server speaks its learners' language by tables of its own, and the API's errors in the API's.
_ELSEWHERE = ("server/",)


def template(node: ast.AST) -> str | None:
    """A string, or an f-string with its values' names in braces; None for anything else."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if not isinstance(node, ast.JoinedStr):
        return None
    text, names = "", 0
    for part in node.values:
        if isinstance(part, ast.Constant):
            text += str(part.value).replace("{", "{{").replace("}", "}}")
        elif isinstance(part, ast.FormattedValue):
            value = part.value
            name = value.id if isinstance(value, ast.Name) else value.attr if isinstance(value, ast.Attribute) else ""
            names += not name
            text += f"{{{name or f'value{names}'}}}"
    return text


def sentences() -> Iterator[tuple[str, str]]:
    """Every sentence, and the place where it stands, docstrings apart."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name.startswith(_ELSEWHERE):
            continue
        tree = ast.parse(path.read_text("utf-8"))
        inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
        inside -= {id(node) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)}
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            text = template(node) if id(node) not in inside | docs else None
            if text and _SENTENCE.fullmatch(text):
                yield text, f"{name}:{getattr(node, 'lineno', 0)}"
