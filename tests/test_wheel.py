"""A machine that has only the wheel: what is in it, what `rtnb notebooks` copies out of it, and that it runs there.

The wheel is installed into an empty environment. Its dependencies are borrowed from the environment of the tests, for
no test needs the network; RTNB_FRESH_PYTHON names an interpreter for which pip has installed rtnb with its own instead
(as .ci/run does).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import nbformat
import pytest

from rtnb.course import execution, sources

pytest.importorskip("hatchling", reason="hatchling, which builds the wheel, is not installed")

REPO = Path(__file__).resolve().parents[1]
NOTEBOOKS = REPO / "notebooks"
PAGES = {
    f"{folder}{page}.md" for folder in ("", "zh/") for page in ("README", "TEACHING", "ENGINES", "RUBRIC", "HANDOUT")
}
PAGES |= {"map.svg", "zh/map.svg"}
PAGES |= {f"solutions/{path.stem[:2]}.md" for path in sources.paths(NOTEBOOKS)}
PAGES |= {path.relative_to(NOTEBOOKS).as_posix() for path in NOTEBOOKS.glob("**/questions/*.md")}
COURSE = PAGES | {
    sources.target(path.stem, language) for path in sources.paths(NOTEBOOKS) for language in sources.LANGUAGES
}
NO_NETWORK = """
import socket
_connect = socket.socket.connect
def connect(self, address):
    if isinstance(address, tuple) and not address[0].startswith(("127.", "localhost", "::1")):
        raise OSError(f"no network in this test: {address[0]}")
    return _connect(self, address)
socket.socket.connect = connect
"""


def build(kind, tree, out):
    """Build a wheel or an sdist of a tree and give its path."""
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", out], cwd=tree, check=True)
    (made,) = out.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build("wheel", REPO, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def archive_of_sources(tmp_path_factory):
    return build("sdist", REPO, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def sdist(archive_of_sources, tmp_path_factory):
    """The sdist, unpacked."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(archive_of_sources) as archive:
        archive.extractall(folder, filter="data")
    (top,) = folder.iterdir()
    return top


@pytest.fixture(scope="module")
def fresh(wheel, tmp_path_factory):
    """The Python of an environment in which the wheel is installed and the checkout is nowhere."""
    if given := os.environ.get("RTNB_FRESH_PYTHON"):
        return Path(given)
    home = tmp_path_factory.mktemp("fresh") / "venv"
    venv.create(home, with_pip=False, symlinks=os.name != "nt")
    folder = "Scripts" if os.name == "nt" else "bin"
    python = home / folder / ("python.exe" if os.name == "nt" else "python")
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "-q", "--no-index", "--no-deps", wheel], check=True)
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    # Files that name further paths are read in a site folder only: the checkout that one of them names stays out.
    (Path(site) / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def run(python, *words, cwd):
    """Run a command of that environment, with nothing of ours on the path."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    command = [python.parent / words[0] if words[0] == "rtnb" else python, *words[1:]]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=True).stdout


# --- what is in it ---------------------------------------------------------------------------------------------------


def test_the_wheel_holds_the_package_and_the_course_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (entry,) = [name for name in names if name.endswith("/METADATA")]
        about = Parser().parsestr(archive.read(entry).decode())
        scripts = archive.read(entry.replace("METADATA", "entry_points.txt")).decode()
    info = entry.removesuffix("METADATA")
    package = {path.relative_to(REPO).as_posix() for path in (REPO / "rtnb").rglob("*") if path.is_file()}
    package = {name for name in package if "__pycache__" not in name}
    beside = {f"{info}{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")}
    assert names == package | {f"rtnb/notebooks/{name}" for name in COURSE} | beside
    assert "rtnb = rtnb.cli:main" in scripts
    assert {"practice", "lab"} <= set(about.get_all("Provides-Extra"))


def test_the_sdist_holds_what_it_takes_to_build_and_to_test(sdist):
    assert {path.name for path in sdist.iterdir()} == {
        ".binder",
        ".github",
        ".gitignore",
        "LICENSE",
        "PKG-INFO",
        "README.md",
        "notebooks",
        "pyproject.toml",
        "rtnb",
        "tests",
    }
    odd = re.compile(r"node_modules|\.ipynb_checkpoints|__pycache__|\.pyc$|\.home")
    assert not [path for path in sdist.rglob("*") if odd.search(path.as_posix())]
    assert len(sources.paths(sdist / "notebooks")) == len(sources.paths(NOTEBOOKS))
    for link in re.findall(r"\]\(([^)#]+)", (sdist / "README.md").read_text("utf-8")):
        assert link.startswith("https://") or (sdist / link).exists(), link


def test_both_are_small_enough_for_a_weak_network(wheel, archive_of_sources):
    """2026-11-28: the wheel has 3.6 MB, 2.5 MB of them the course with its outputs, and the sdist 4.2 MB."""
    with zipfile.ZipFile(wheel) as archive:
        parts = {"course": 0, "package": 0}
        for each in archive.infolist():
            parts["course" if each.filename.startswith("rtnb/notebooks/") else "package"] += each.compress_size
    assert parts["course"] < 4_000_000, parts
    assert parts["package"] < 1_500_000, parts
    assert archive_of_sources.stat().st_size < 6_000_000


def test_the_sdist_builds_the_same_wheel(wheel, sdist, tmp_path):
    again = build("wheel", sdist, tmp_path)
    assert again.name == wheel.name
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        assert {name: one.read(name) for name in one.namelist()} == {
            name: other.read(name) for name in other.namelist()
        }


# --- there -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def copied(fresh, tmp_path_factory):
    folder = tmp_path_factory.mktemp("desk")
    assert f"{len(COURSE)} files copied" in run(fresh, "rtnb", "notebooks", "course", cwd=folder)
    return folder / "course"


def test_it_is_the_wheel_that_runs_there(fresh, tmp_path):
    where = Path(run(fresh, "python", "-c", "import rtnb; print(rtnb.__file__)", cwd=tmp_path).strip())
    assert REPO / "rtnb" not in where.parents
    assert where.parents[1].name == "site-packages"


def test_rtnb_notebooks_copies_the_course_as_it_is(copied):
    assert {path.relative_to(copied).as_posix() for path in copied.rglob("*") if path.is_file()} == COURSE
    for name in PAGES:
        assert (copied / name).read_bytes() == (NOTEBOOKS / name).read_bytes(), name
    for name in COURSE - PAGES:
        mine, theirs = (nbformat.read(folder / name, 4) for folder in (copied, NOTEBOOKS))
        for cell in theirs.cells:
            cell.update({"outputs": [], "execution_count": None} if cell.cell_type == "code" else {})
        assert mine == theirs, name


def test_the_links_of_the_copied_course_work(copied):
    for name in COURSE:
        text = (copied / name).read_text("utf-8")
        if name.endswith(".ipynb"):
            text = "\n".join(cell.source for cell in nbformat.reads(text, 4).cells if cell.cell_type == "markdown")
        for link in re.findall(r"\]\(([^)#]+)", text):
            assert link.startswith("https://") or (copied / name).parent.joinpath(link).exists(), f"{name}: {link}"


def test_the_cost_sheet_is_there_too(fresh, tmp_path):
    assert "07_your_own_assistant" in run(fresh, "python", "-m", "rtnb.course", "--costs", "30", cwd=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["04_tools.ipynb", "zh/02_conversation.ipynb"])
def test_a_copied_notebook_runs_with_the_kernel_of_that_machine(name, copied, fresh, tmp_path):
    if str(fresh) == os.environ.get("RTNB_KERNEL_PYTHON"):
        pytest.skip("test_notebooks.py runs them with this Python, of which the test above says that it is the wheel's")
    (tmp_path / "sitecustomize.py").write_text(NO_NETWORK)
    notebook = nbformat.read(copied / name, 4)
    notebook.cells.append(nbformat.v4.new_code_cell("print(rtnb.__file__)"))
    execution.execute(notebook, python=str(fresh), environment={"PYTHONPATH": str(tmp_path)})
    *cells, last = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not Path(last.outputs[0].text.strip()).is_relative_to(REPO / "rtnb")
    assert any("<audio" in str(cell.outputs) for cell in cells)
    assert "practice" in str([cell.outputs for cell in cells])
