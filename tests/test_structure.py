"""The shape of the package: layers, circles, sizes, private names, a light import, a short public surface.

What the tables below allow only shrinks. `python tests/test_structure.py` prints them anew from the files as they are.
"""

import ast
import json
import re
import subprocess
import sys
from functools import cache

import pytest
from structure import (
    MODULES,
    PACKAGE,
    ROOT,
    SCRIPTS,
    SOURCES,
    Privates,
    circles,
    code_lines,
    files_importing,
    files_of,
    foreign_privates,
    imports_of,
    lines_in,
    share_of_openings,
    short,
    sizes,
)

import rtnb

# A layer imports only layers above it in this list; what stands side by side imports nothing of each other. A name is
# a file or a folder of `rtnb/`; files of one folder are free among themselves, but for circles.
LAYERS = [
    ("errors",),
    ("texts",),
    ("html",),
    ("models", "audio", "image"),
    ("keys",),
    ("protocol",),
    ("web",),
    ("transport", "money"),
    ("recording", "timeline"),
    ("session",),
    ("opening",),
    ("jobs",),
    ("ui",),
    ("asking", "diagnosis"),
    ("classroom",),
    ("course",),
    ("cli",),
]
STEP = {name: step for step, names in enumerate(LAYERS) for name in names}
# The practice server stands beside the layers: it uses those up to `web`, and few may import it.
SERVER_USES_UP_TO = "web"
SERVER_USERS = {"opening", "cli", "course", "diagnosis", "classroom"}
# Its rooms, like the layers; files beside them, which put them together, are free.
ROOMS_OF_THE_SERVER = [("protocol",), ("nlu", "llm"), ("responder",), ("engines",)]
# From here on, modules may use the public names of `rtnb` itself; those below take only its `__version__`.
PUBLIC_NAMES_FROM = "asking"

LIMITS = {
    "lines of a Python file": 450,
    "lines of a JS or CSS file": 450,
    "lines of a test file": 700,
    "lines of a class": 350,
    "characters of a line in JS or CSS": 140,
    "files at the top of the package": 10,
    "folders at the top of the package": 16,
}

# How far a measured value may be below what stands in CAPS or OVER_LIMITS before the number has to follow; 0 elsewhere.
TOLERANCE = {
    "code lines of Python": 60,
    "docstrings opening with an article or a question word, in %": 1,
    "lines of a Python file": 50,
    "lines of a JS or CSS file": 50,
    "lines of a test file": 50,
    "lines of a class": 50,
}

# --- what `python tests/test_structure.py` prints ---
CAPS = {
    "code lines of Python": 20056,
    "lines of JS": 3599,
    "circles of imports": 0,
    "modules in circles of imports": 0,
    "private names of other modules": 3,
    "docstrings opening with an article or a question word, in %": 0.9,
}
OVER_LIMITS = {}
KNOWN_BACKWARD = set()
WEBSOCKETS_ELSEWHERE = set()
NAMED_LIKE_A_FUNCTION = set()
HIDDEN_MODULES = set()
# --- end of what it prints ---


def may_import(source, target, name):
    """Return whether one file or folder of the package may import another, or a name of the package itself (``""``)."""
    if source in ("", target) or (target == "" and name == "__version__"):
        return True
    if target == "":
        return source in STEP and STEP[source] >= STEP[PUBLIC_NAMES_FROM]
    if target == "server":
        return source in SERVER_USERS
    if source == "server":
        return STEP[target] <= STEP[SERVER_USES_UP_TO]
    return STEP[target] < STEP[source]


def inside(module):
    return module.partition(".")[2]


def top_of(module):
    return inside(module).split(".")[0]


def without_layer():
    return {top_of(module) for module in MODULES} - {"", "server", *STEP}


def backward_edges():
    """Return (importing module, imported module) for each import that runs against the layers."""
    placed = [module for module in MODULES if top_of(module) not in without_layer()]
    edges = [(source, target, name) for source in placed for target, name in imports_of(source) if target in placed]
    wrong = {(source, target) for source, target, name in edges if not may_import(top_of(source), top_of(target), name)}
    return {(inside(source), inside(target)) for source, target in wrong}


def websockets_users():
    return {user for user in files_importing("websockets") if user.split("/")[0] not in ("transport", "web")}


@cache
def measured():
    """Return what CAPS holds: name → number today."""
    rings = circles()
    return {
        "code lines of Python": sum(map(code_lines, SOURCES)),
        "lines of JS": sum(lines_in(files_of(PACKAGE, ".js")).values()),
        "circles of imports": len(rings),
        "modules in circles of imports": sum(map(len, rings)),
        "private names of other modules": len(foreign_privates()),
        "docstrings opening with an article or a question word, in %": share_of_openings(),
    }


def over_limits():
    return {
        name: {place: size for place, size in sorted(found.items()) if size > LIMITS[name]}
        for name, found in sizes().items()
    }


def named_like_a_function():
    """Return the files and folders directly in the package that have the name of a public function."""
    tops = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    return tops & set(rtnb.__all__)


# Imports every module that can be imported here: some need a package that only an extra installs.
IMPORT_ALL = """
import contextlib, importlib, json, sys, types, rtnb
modules = []
for name in json.loads(sys.argv[1]):
    try:
        importlib.import_module(name)
        modules.append(name)
    except ImportError as error:
        if (error.name or "rtnb").split(".")[0] == "rtnb":
            raise
"""
NAMES_HIDDEN = """
hidden = []
for public in rtnb.__all__:
    getattr(rtnb, public)
for name in modules:
    m = None
    with contextlib.suppress(ImportError):  # where the function of a package's name has taken its place
        exec(f"import {name} as m")
    if not isinstance(m, types.ModuleType) or m.__name__ != name:
        hidden.append(name)
print(json.dumps(hidden))
"""


def hidden_modules():
    """Return the modules that `import rtnb.<package>.<module> as m` does not yield, once every public name was used."""
    return set(json.loads(run(IMPORT_ALL + NAMES_HIDDEN, json.dumps(sorted(MODULES)))))


def run(code, *arguments):
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_of(names, after):
    return json.loads(
        run(f"import sys, json, rtnb; {after}; print(json.dumps([m for m in {names} if m in sys.modules]))")
    )


# The tests


def compare(found, allowed, complaint, table):
    assert found <= allowed, f"{complaint}: {sorted(found - allowed)}"
    assert allowed <= found, f"This is no longer so; take it out of {table}: {sorted(allowed - found)}"


@pytest.mark.parametrize("name", CAPS)
def test_a_measured_number_stays_at_its_cap(name):
    cap, number = CAPS[name], measured()[name]
    details = {
        "circles of imports": circles,
        "modules in circles of imports": circles,
        "private names of other modules": foreign_privates,
    }
    shown = "\n".join(map(str, details[name]())) if number > cap and name in details else ""
    assert number <= cap, f"{name}: {number}, but the cap is {cap}, and a cap only goes down.\n{shown}"
    assert number >= cap - TOLERANCE.get(name, 0), f"{name}: lower the cap to {number}"


@pytest.mark.parametrize("name", LIMITS)
def test_sizes_stay_under_their_limits(name):
    found, allowed = over_limits()[name], OVER_LIMITS.get(name, {})
    for place, size in found.items():
        assert place in allowed, f"{name}: {place} has {size}, and the limit is {LIMITS[name]}"
        assert size <= allowed[place], f"{name}: {place} has grown from {allowed[place]} to {size}; it has to shrink"
        assert size >= allowed[place] - TOLERANCE.get(name, 0), f"{name}: lower the number of {place} to {size}"
    gone = sorted(set(allowed) - set(found))
    assert not gone, f"These are within the limit or gone; take them out of OVER_LIMITS: {gone}"


def test_every_file_has_its_layer():
    assert without_layer() == set(), f"These need their place in LAYERS: {sorted(without_layer())}"
    gone = set(STEP) - {top_of(module) for module in MODULES} - {"classroom"}
    assert gone == set(), f"These stand in LAYERS, but not in the package: {sorted(gone)}"


def test_imports_run_from_higher_layers_to_lower_ones():
    compare(backward_edges(), KNOWN_BACKWARD, "A file imports what is not below it (LAYERS)", "KNOWN_BACKWARD")


def test_the_practice_server_is_imported_only_in_the_call_that_starts_it():
    for module in MODULES:
        targets = {top_of(target) for target, _ in imports_of(module, in_functions=False)}
        assert top_of(module) == "server" or "server" not in targets, f"{module} imports the server when it is imported"


def test_the_rooms_of_the_practice_server_import_lower_ones_alone():
    steps = {f"rtnb.server.{room}": step for step, rooms in enumerate(ROOMS_OF_THE_SERVER) for room in rooms}
    rooms = {module: ".".join(module.split(".")[:3]) for module in MODULES if module.count(".") > 2 or module in steps}
    inside_server = {room for room in rooms.values() if room.startswith("rtnb.server.")}
    assert inside_server == set(steps), "Each room needs its place in ROOMS_OF_THE_SERVER"
    for module, room in rooms.items():
        for target, _ in imports_of(module):
            other = rooms.get(target, room)
            if room in steps and other in steps and other != room:
                assert steps[other] < steps[room], f"{module} imports {target}, which is not below it"


def test_only_transport_and_web_import_websockets():
    complaint = "Only files of transport/ and web/ import websockets, so that there is one place that opens sockets"
    compare(websockets_users(), WEBSOCKETS_ELSEWHERE, complaint, "WEBSOCKETS_ELSEWHERE")


def test_no_module_has_the_name_of_a_public_function():
    complaint = "Importing such a module would put it where the function of the same name is"
    compare(named_like_a_function(), NAMED_LIKE_A_FUNCTION, complaint, "NAMED_LIKE_A_FUNCTION")


def test_importing_a_module_by_its_full_name_yields_the_module():
    complaint = "`import … as m` yields something else than the module"
    compare(hidden_modules(), HIDDEN_MODULES, complaint, "HIDDEN_MODULES")


SPECIMEN = """
from other import _helper  # foreign
from other import Session, public

NAMES = ["_place", "_own"]

class Box:
    _place = 0

    def __init__(self, session: Session, twin: "Box | None") -> None:
        self._own = session._own  # foreign
        self.session, self.twin, self.boxes = session, twin, [self]
        self.next: Box | None = twin
        self.rest: list[Box] = []
        self._session = session
        twin._own, self.next._own, self._session._place  # foreign: the last one
        [box._own for box in self.rest], type(self)._place, Box._place, super()._own
        [session._own for session in self.session.all]  # foreign

    def merged(self) -> "Box":
        made = Box(self._session, None)
        made._own, made.merged()._own, self.__dict__
        getattr(self.session, "_place")  # foreign
        self.session.__class__, self.session._repr_html_
        return made

def place(box: Box, either: Box | Session, rebound: Box):
    box._place
    either._place  # foreign
    rebound = public()
    rebound._place, public._own  # foreign
    return lambda box: box._place  # foreign
"""


def test_private_names_of_others_are_found_and_those_of_own_classes_are_not():
    tree = ast.parse(SPECIMEN)
    lines = SPECIMEN.splitlines()
    wanted = [number for number, line in enumerate(lines, 1) if "foreign" in line]
    assert sorted({line for line, _ in Privates(tree).found}) == wanted


def test_the_map_in_the_readme_shows_every_file_and_folder_and_no_other():
    table = (ROOT / "README.md").read_text("utf-8").split("## The map of the code")[1].split("## ")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    shown = [name for row in rows for name in re.findall(r"`([\w.]+)/?`", row)]
    there = {entry.name for entry in PACKAGE.iterdir() if entry.suffix == ".py" or any(entry.rglob("*.py"))}
    assert sorted(shown) == sorted(there - {"__init__.py", "__pycache__"})


def test_importing_rtnb_is_light():
    heavy = ["ipywidgets", "av", "pydub", "nest_asyncio", "numpy", "websockets", "soundfile", "soxr", "pydantic"]
    assert loaded_of(heavy, after="rtnb") == [], "`import rtnb` loads what it does not need yet"


def test_connecting_needs_no_widgets_and_no_decoders():
    heavy = ["ipywidgets", "av", "pydub", "nest_asyncio", "matplotlib", "pandas"]
    assert loaded_of(heavy, after="rtnb.connect") == [], "`rtnb.connect` loads what it does not need yet"


def test_the_public_surface_is_short_and_every_name_of_it_is_there():
    values = [getattr(rtnb, name) for name in rtnb.__all__]
    errors = [value for value in values if isinstance(value, type) and issubclass(value, BaseException)]
    assert len(values) - len(errors) <= 27, "The public surface stays short"
    for name in rtnb.__all__:
        value = getattr(rtnb, name)
        assert value.__doc__, f"rtnb.{name} has no docstring"
        assert callable(value), f"rtnb.{name} is a module: the function of the same name must win"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = rtnb.nothing


def test_a_function_wins_over_the_module_of_its_name_whatever_is_imported_first():
    code = IMPORT_ALL + "print(json.dumps([name for name in rtnb.__all__ if not callable(getattr(rtnb, name))]))"
    modules = json.loads(run(code, json.dumps(sorted(MODULES))))
    assert modules == [], f"These public names are modules once all modules were imported: {modules}"


def test_nest_asyncio_is_used_in_one_place():
    texts = {path: path.read_text("utf-8") for path in SOURCES}
    users = [short(path) for path, text in texts.items() if re.search(r"^\s*import nest_asyncio", text, re.MULTILINE)]
    io_thread = [short(path) for path, text in texts.items() if re.search(r"^def on_io_thread", text, re.MULTILINE)]
    assert len(users) == 1, "It patches asyncio for the whole process: one place decides when"
    assert users == io_thread, "It is for `rtnb.run`, beside the I/O thread"


def test_nothing_is_loaded_from_a_cdn():
    for path in SCRIPTS:
        text = re.sub(r"//[^\n]*|/\*.*?\*/", "", path.read_text("utf-8"), flags=re.DOTALL)
        remote = re.search(r"(import|from|fetch|src\s*=|url\()[\s('\"`]*https?:", text)
        assert not remote, f"{short(path)} loads something from another host: {remote}"


def as_python(value, depth=0):
    """Return a table as Python text, an entry a line, as ruff formats it."""
    inner, outer = "    " * (depth + 1), "    " * depth
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(key)}: {as_python(value[key], depth + 1)},\n" for key in value]
    elif isinstance(value, set):
        lines = [f"{inner}{as_python(entry)},\n" for entry in sorted(value)]
    elif isinstance(value, tuple):
        return f"({', '.join(map(json.dumps, value))})"
    else:
        return json.dumps(value)
    empty = "{}" if isinstance(value, dict) else f"{type(value).__name__}()"
    return f"{{\n{''.join(lines)}{outer}}}" if lines else empty


def print_tables():
    tables = {
        "CAPS": measured(),
        "OVER_LIMITS": {name: found for name, found in over_limits().items() if found},
        "KNOWN_BACKWARD": backward_edges(),
        "WEBSOCKETS_ELSEWHERE": websockets_users(),
        "NAMED_LIKE_A_FUNCTION": named_like_a_function(),
        "HIDDEN_MODULES": hidden_modules(),
    }
    for name, table in tables.items():
        print(f"{name} = {as_python(table)}")


if __name__ == "__main__":
    print_tables()
