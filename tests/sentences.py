"""Words that the code has for its user, as they stand in it, with braces for what is put in: sentences and parts."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "rtnb"
# A capital or what is put in first, at least two words, and the end of a sentence.
_SENTENCE = re.compile(r"(?:[A-Z]|\{\w+\}\W*)[^<>]*\s[^<>]*[.!?]", re.DOTALL)
# Two English words side by side, or one beside what is put in.
_PHRASE = re.compile(r"[A-Za-z][a-z']+[,:]? (?:[a-z][a-z']+|\{)|\}[,:]? [a-z]{3,}", re.DOTALL)
_CODE = re.compile(r"[<>]|=\"|\bvar |--\w|\bfunction ?\(|^(?:[\w.]+,? ){5,}[\w.]+$")
# The practice server speaks its learners' language by tables of its own, and the API's errors in the API's; the course
# has its own tests. A client of a server reads what the web layer and a replay answer it with: the API is in English.
# What `rtnb practice` prints is read by those who start it.
_ELSEWHERE = ("__init__.py", "server/", "course/", "notebooks/", "web/http.py", "recording/replay.py")
# Which of the browser's traces told where rtnb runs is read by those who operate it.
_OPERATORS = ("ui/shared/frontend.py",)
# What is written for programs: how a value would be written in code, what a logger takes, patterns, lists of names.
_IN_CODE = {"debug", "info", "warning", "exception", "error"}
_IN_CODE |= {"compile", "search", "match", "split", "sub", "_all"}
# The API's own words, which the code looks for or repeats; what stands in headers, pages and files; the layout of rows.
_OF_PROGRAMS = re.compile(
    r"Expected at least|Error committing|maximum duration|per day|not supported|already shorter|Only model output"
    r"|try again in|Error: \{tool\}|must call this server|page's origin|version https|output of|\[hidden key\]"
    r"|rtnb practice|Basic \{|Bearer \{|pcm \{|mathjax|As described|or ws:|Errno|M\{|moonshine-voice \{|, ipykernel"
    r"|python -c|^module \{|python your_program|Count to five|Summarize this|^rtnb: \{"
    r"|^rtnb.models.price|^\{?\w+\}? \{\w+\}$|^\{\w+\}[:,] ?\{\w+\}",
    re.IGNORECASE,
)

# What Python says of a call that does not fit, in the versions there are.
OF_PYTHON = {
    "too many positional arguments",
    "missing a required argument: {value1}",
    "missing a required keyword-only argument: {value1}",
    "multiple values for argument {value1}",
}


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


def _strings(tree: ast.AST) -> Iterator[tuple[ast.AST, set[str]]]:
    """Every string of a module that is no docstring, with the functions it is in and is given to."""

    def visit(node: ast.AST, around: set[str]) -> Iterator[tuple[ast.AST, set[str]]]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            around = around | {node.name}
        if isinstance(node, ast.Call):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            around = around | ({called} if called not in ("join", "format") else set())
        if isinstance(node, ast.Constant | ast.JoinedStr):
            yield node, around
        for child in ast.iter_child_nodes(node):
            if isinstance(node, ast.JoinedStr) and isinstance(child, ast.Constant):
                continue  # a part of it
            if not (isinstance(node, ast.Expr) and isinstance(child, ast.Constant)):
                yield from visit(child, around)

    yield from visit(tree, set())


def written() -> set[str]:
    """Every string of the code and of the exercises, the titles of servers, and what refuses a call."""
    trees = (ast.parse(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py"))
    titles = re.findall(r'title = "(.*)"', (PACKAGE / "models" / "models.toml").read_text("utf-8"))
    meant = re.findall(r'[A-Z][^"|]*[.]', (PACKAGE / "texts" / "arguments.toml").read_text("utf-8"))
    exercises = (tomllib.loads(path.read_text("utf-8")) for path in (PACKAGE / "course" / "checkers").glob("*.toml"))
    return {(template(node) or "").strip() for tree in trees for node, _ in _strings(tree)}.union(
        titles, meant, OF_PYTHON, *map(_texts, exercises)
    )


def _texts(value: object) -> set[str]:
    """Every string in data."""
    if isinstance(value, str):
        return {value}
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set().union(*map(_texts, parts))


def sentences() -> Iterator[tuple[str, str]]:
    """Every sentence, and every part that is put into one, with the place where it stands."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name.startswith(_ELSEWHERE) and name != "server/command.py":
            continue
        for node, around in _strings(ast.parse(path.read_text("utf-8"))):
            text = (template(node) or "").strip()
            whole = _SENTENCE.fullmatch(text)
            part = _PHRASE.search(text) and not _CODE.search(text) and not name.startswith(_OPERATORS)
            if (whole or part) and not around & _IN_CODE and not _OF_PROGRAMS.search(text):
                yield text, f"{name}:{getattr(node, 'lineno', 0)}"
