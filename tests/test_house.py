"""The house itself: arrows one way, a light import, a short public surface, nothing that may not be there."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rtnb
import rtnb.errors

PACKAGE = Path(rtnb.__file__).parent
ROOT = PACKAGE.parent

# Lower floors know nothing of higher ones, and rooms of one floor nothing of each other.
FLOORS = [
    {"errors", "html", "background"},
    {"models", "wire", "image", "tools", "handle", "audio", "origins", "urls", "ui.language"},
    {"keys", "costs", "log", "parts", "settings", "refusals", "address"},
    {"conversation", "limits", "feed"},
    {"connection", "timeline", "bill"},
    {"reply"},
    {"turn", "recording"},
    {"ends"},
    {"session"},
    {"ui", "transcribe", "translate"},
    {"ask", "check", "map", "doctor"},
    {"course", "cli"},
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

# The one arrow that goes sideways: who looks for the other end may start the practice server, inside the call that
# does, and then knows nothing of it but its address.
STARTS_PRACTICE = {("ends", "practice"), ("cli", "practice")}
PRACTICE_MAY_USE = {"errors", "html", "audio", "wire", "origins", "urls"}


# The texts lie in the folder of the widgets and are everybody's.
TEXTS = ["ui", "language"]


def room_of(path):
    parts = [*path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts) if parts == TEXTS else parts[0]


def imports(path):
    """(room imported, whether inside a function) for each import of ours that runs."""
    tree = ast.parse(path.read_text("utf-8"))
    package = ["rtnb", *path.relative_to(PACKAGE).parts[:-1]]
    found = []

    def visit(node, inside):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            names = []
            inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for name in names:
            parts = name.split(".")
            if parts[0] == "rtnb" and len(parts) > 1:
                found.append((".".join(TEXTS) if parts[1:3] == TEXTS else parts[1], inside))
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(tree, False)
    return found


SOURCES = sorted(p for p in PACKAGE.rglob("*.py") if "notebooks" not in p.parts)


def test_every_room_has_its_floor():
    rooms = {room_of(path) for path in SOURCES} - {"__init__", "practice", "samples"}
    assert rooms == set(FLOOR_OF), "a new module needs its floor in this test"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_arrows_run_one_way(path):
    room = room_of(path)
    for target, inside in imports(path):
        if target in (room, "__version__") or target not in {*FLOOR_OF, "practice"} or room in ("__init__", "samples"):
            continue
        if room == "practice":
            assert target in PRACTICE_MAY_USE, f"practice imports {target}: the two ends must stay honest"
        elif (room, target) in STARTS_PRACTICE:
            assert inside, f"{room} imports practice outside the call that starts it"
        else:
            assert target != "practice", f"{room} imports practice"
            assert FLOOR_OF[target] < FLOOR_OF[room], f"{room} imports {target}, which is not below it"


def test_importing_rtnb_is_light():
    heavy = ["ipywidgets", "av", "pydub", "nest_asyncio", "numpy", "websockets", "soundfile", "soxr", "pydantic"]
    code = f"import sys, json, rtnb; print(json.dumps([m for m in {heavy} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert json.loads(done.stdout) == []


def test_connecting_needs_no_widgets_and_no_decoders():
    heavy = ["ipywidgets", "av", "pydub", "nest_asyncio", "matplotlib", "pandas"]
    code = f"import sys, json, rtnb; rtnb.connect; print(json.dumps([m for m in {heavy} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert json.loads(done.stdout) == []


def test_the_public_surface_is_short_and_every_name_of_it_is_there():
    errors = [name for name in rtnb.__all__ if hasattr(rtnb.errors, name)]
    assert len(rtnb.__all__) - len(errors) < 30
    for name in rtnb.__all__:
        value = getattr(rtnb, name)
        assert value.__doc__, f"rtnb.{name} has no docstring"
        assert callable(value), f"rtnb.{name} is a module: the function of the same name must win"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = rtnb.nothing


def test_a_function_wins_over_the_module_of_its_name_whatever_is_imported_first():
    code = "import rtnb.ask, rtnb.doctor, rtnb.server.server, rtnb; print(callable(rtnb.ask), callable(rtnb.practice))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["True", "True"]


def test_nest_asyncio_is_used_in_one_place():
    users = [
        path.name for path in SOURCES if re.search(r"^\s*import nest_asyncio", path.read_text("utf-8"), re.MULTILINE)
    ]
    assert users == ["background.py"]


def test_nothing_is_loaded_from_a_cdn():
    for path in PACKAGE.rglob("*"):
        if path.suffix in (".js", ".css") and "notebooks" not in path.parts:
            text = re.sub(r"//[^\n]*|/\*.*?\*/", "", path.read_text("utf-8"), flags=re.DOTALL)
            assert not re.search(r"(import|from|src=|url\()\s*['\"(]?\s*https?:", text), path
