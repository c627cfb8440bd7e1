"""Measure the shape of the package from its files: imports, circles, private names, sizes, words."""

import ast
import builtins
import collections.abc
import typing
from functools import cache
from pathlib import Path

import rtnb

PACKAGE = Path(rtnb.__file__).parent
ROOT = PACKAGE.parent
TESTS = Path(__file__).parent
LEFT_OUT = {"notebooks", "__pycache__", "node_modules"}
SHOWN_BY_JUPYTER = {"_repr_html_", "_repr_mimebundle_", "_render_traceback_", "_ipython_display_"}
ARTICLES_AND_QUESTIONS = {"A", "An", "The", "What", "Whether", "How", "Who", "Where", "Which", "Why"}
# Names in an annotation that may stand beside a class of the file: `list[Reply] | None`.
CONTAINERS = {*dir(builtins), *collections.abc.__all__, *typing.__all__}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def files_of(folder, *endings):
    found = (path for path in folder.rglob("*") if path.suffix in endings)
    return sorted(path for path in found if not LEFT_OUT & set(path.relative_to(folder).parts))


def short(path):
    return path.relative_to(PACKAGE if PACKAGE in path.parents else TESTS.parent).as_posix()


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree_of(path):
    return ast.parse(path.read_text("utf-8"))


SOURCES = files_of(PACKAGE, ".py")
SCRIPTS = files_of(PACKAGE, ".js", ".css")
MODULES = {module_of(path): path for path in SOURCES}


# Imports


def imports_of(module, in_functions=True):
    """Yield (module of ours, name taken from it) for each import of a file, those for type checkers included."""
    path = MODULES[module]
    parents = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(tree_of(path)) if in_functions else own_nodes(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            base = parents[: len(parents) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                if f"{source}.{alias.name}" in MODULES:
                    yield f"{source}.{alias.name}", None
                elif source in MODULES:
                    yield source, alias.name


def circles():
    """Return the sets of modules that import each other, directly or through others."""
    reached = {module: {target for target, _ in imports_of(module)} for module in MODULES}
    for middle in MODULES:
        for targets in reached.values():
            if middle in targets:
                targets |= reached[middle]
    rings = {frozenset(other for other in reached[module] if module in reached[other]) for module in MODULES}
    return sorted(sorted(ring) for ring in rings if len(ring) > 1)


def files_importing(package):
    """Return the files that import a package, or a module of it."""
    users = set()
    for path in SOURCES:
        for node in ast.walk(tree_of(path)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
            if any(name.split(".")[0] == package for name in names):
                users.add(short(path))
    return users


# Private names


class Privates:
    """Private names that a file reads on what it does not own.

    A file owns `self`, `cls`, its classes, and what it declares or makes to be of one of its classes: by an annotation,
    by a call of the class, or by a call of a function of the file that returns one.
    """

    def __init__(self, tree):
        self.classes = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
        self.functions = {
            node.name for node in ast.walk(tree) if isinstance(node, FUNCTIONS) and self.annotated(node.returns)
        }
        self.attributes = set(self.functions)
        self.found = []
        self.visit(tree, set(), collecting=True)
        self.visit(tree, set(), collecting=False)

    def annotated(self, annotation):
        if annotation is None:
            return False
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            annotation = ast.parse(annotation.value, mode="eval")
        names = {node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)}
        return bool(names & {*self.classes, "Self"}) and not names - self.classes - CONTAINERS

    def owns(self, node, known):
        """Return whether an expression is of a class of this file, where `known` are the variables that are."""
        match node:
            case ast.Name(id=name):
                return name in ("self", "cls") or name in self.classes or name in known
            case ast.Attribute(attr=name):
                return self.owns(node.value, known) and name in self.attributes
            case ast.Call(func=ast.Name(id="super")):
                return True
            case ast.Call(func=ast.Name(id="type"), args=[of]):
                return self.owns(of, known)
            case ast.Call(func=ast.Name(id=name)):
                return name in self.classes or name in self.functions or (name == "cls")
            case ast.Call(func=ast.Attribute() as func):
                return self.owns(func.value, known) and func.attr in self.attributes
            case ast.Subscript() | ast.Await() | ast.Starred():
                return self.owns(node.value, known)
            case ast.IfExp():
                return self.owns(node.body, known) and self.owns(node.orelse, known)
            case ast.BoolOp():
                return all(self.owns(value, known) for value in node.values)
        return False

    def bindings(self, scope, known):
        """Yield (target, whether this file owns what is bound to it) for each binding in a function, class or file."""
        if isinstance(scope, (*FUNCTIONS, ast.Lambda)):
            arguments = scope.args
            for argument in ast.walk(arguments):
                if isinstance(argument, ast.arg):
                    yield ast.Name(argument.arg), self.annotated(argument.annotation)
        for node in own_nodes(scope):
            match node:
                case ast.AnnAssign(target=target, annotation=annotation):
                    yield target, self.annotated(annotation)
                case ast.Assign(targets=targets, value=value):
                    yield from ((target, self.owns(value, known)) for target in targets)
                case ast.NamedExpr(target=target, value=value):
                    yield target, self.owns(value, known)
                case ast.For(target=target, iter=source) | ast.AsyncFor(target=target, iter=source):
                    yield target, self.owns(source, known)
                case ast.comprehension(target=target, iter=source):
                    yield target, self.owns(source, known)
                case ast.withitem(context_expr=value, optional_vars=ast.Name() as target):
                    yield target, self.owns(value, known)

    def visit(self, scope, known, collecting):
        for _ in range(2):  # a name may be bound from one that is bound further down
            bound = {}
            for target, owned in self.bindings(scope, known):
                if isinstance(target, ast.Name):
                    bound[target.id] = bound.get(target.id, True) and owned
                elif isinstance(target, ast.Attribute) and owned and self.owns(target.value, known):
                    self.attributes.add(target.attr)
            known = (known - set(bound)) | {name for name, owned in bound.items() if owned}
        if isinstance(scope, ast.ClassDef):
            self.attributes |= known & set(bound)
        for node in own_nodes(scope):
            if isinstance(node, (*FUNCTIONS, ast.ClassDef, ast.Lambda)):
                self.visit(node, known, collecting)
            elif not collecting:
                self.look_at(node, known)

    def look_at(self, node, known):
        match node:
            case ast.Attribute(value=owner, attr=name) if is_private(name) and not self.owns(owner, known):
                self.found.append((node.lineno, ast.unparse(node)))
            case ast.ImportFrom(names=aliases):
                taken = [alias.name for alias in aliases if is_private(alias.name)]
                self.found += [(node.lineno, f"from {node.module or '.'} import {name}") for name in taken]
            case ast.Call(func=ast.Name(id="getattr" | "setattr"), args=[owner, ast.Constant(value=str(name)), *_]):
                if is_private(name) and not self.owns(owner, known):
                    self.found.append((node.lineno, ast.unparse(node)))


def is_private(name):
    return name.startswith("_") and not name.startswith("__") and name not in SHOWN_BY_JUPYTER


def own_nodes(scope):
    """Yield the nodes of a function, class or file, but not those of the functions and classes within it."""
    waiting = list(ast.iter_child_nodes(scope))
    for node in waiting:
        yield node
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef, ast.Lambda)):
            waiting.extend(ast.iter_child_nodes(node))


def foreign_privates():
    return [f"{short(path)}:{line} {text}" for path in SOURCES for line, text in Privates(tree_of(path)).found]


# Sizes and words


def documented(tree):
    kinds = (ast.Module, ast.ClassDef, *FUNCTIONS)
    return [node for node in ast.walk(tree) if isinstance(node, kinds) and ast.get_docstring(node) is not None]


def code_lines(path):
    """Count the lines that are not blank, nor a comment, nor of a docstring."""
    docstrings = [node.body[0] for node in documented(tree_of(path))]
    left_out = {line for text in docstrings for line in range(text.lineno, text.end_lineno + 1)}
    lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    return sum(line != "" and line[0] != "#" and number not in left_out for number, line in enumerate(lines, 1))


def share_of_openings():
    docstrings = [ast.get_docstring(node) for path in SOURCES for node in documented(tree_of(path))]
    firsts = [text.split()[0] for text in docstrings if text.split()]
    return round(100 * sum(word in ARTICLES_AND_QUESTIONS for word in firsts) / len(firsts), 1)


def lines_in(paths):
    return {short(path): len(path.read_text("utf-8").splitlines()) for path in paths}


def sizes():
    """Return, for each limit, what is measured: place → size."""
    top = [path for path in PACKAGE.iterdir() if path.name not in LEFT_OUT]
    return {
        "lines of a Python file": lines_in(SOURCES),
        "lines of a JS or CSS file": lines_in(SCRIPTS),
        "lines of a test file": lines_in(files_of(TESTS, ".py")),
        "lines of a class": {
            f"{short(path)}:{node.name}": node.end_lineno - node.lineno + 1
            for path in SOURCES
            for node in ast.walk(tree_of(path))
            if isinstance(node, ast.ClassDef)
        },
        "characters of a line in JS or CSS": {
            short(path): max(map(len, path.read_text("utf-8").splitlines()), default=0) for path in SCRIPTS
        },
        "files at the top of the package": {"rtnb": sum(path.is_file() for path in top)},
        "folders at the top of the package": {"rtnb": sum(path.is_dir() for path in top)},
    }
