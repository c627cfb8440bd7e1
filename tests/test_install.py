"""The notebooks' first cell: where rtnb is there it does nothing, else it installs it from what lies beside.

The cell runs as in a kernel, with IPython. First with a `%pip` that only notes what it is asked for; then with the real
one, in an environment that has everything but rtnb, while a package index offers a stranger's `rtnb`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import nbformat
import pytest

import rtnb
from rtnb.course import notebooks, sources

pytest.importorskip("hatchling", reason="hatchling, which builds the wheel, is not installed")

REPO = Path(__file__).resolve().parents[1]
NOTEBOOKS = REPO / "notebooks"
BOTH = [(path.stem, language) for path in sources.paths(NOTEBOOKS) for language in sources.LANGUAGES]
PAGES = [REPO / "README.md", *NOTEBOOKS.glob("*.md"), *(NOTEBOOKS / "zh").glob("*.md")]
# What is printed for a class, or marks it, installs nothing.
PRINTED = ("HANDOUT.md", "RUBRIC.md")


def install_cell(language="en"):
    """The first code cell of a notebook as it is stored."""
    notebook = nbformat.read(NOTEBOOKS / sources.target("01_walkthrough", language), 4)
    return next(cell.source for cell in notebook.cells if cell.cell_type == "code")


def released_cell(monkeypatch, language="en", *, on_index=True):
    """The same cell as the owner's one constant makes it at the first release, or before."""
    monkeypatch.setattr(sources, "ON_INDEX", on_index)
    notebook = sources.compose(sources.read(NOTEBOOKS / "source" / "01_walkthrough.md"), language)
    return next(cell.source for cell in notebook.cells if cell.cell_type == "code")


# Runs a cell as a kernel does; the last line printed says how it went.
RUN = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.colors = "NoColor"
asked = []
if {noting}:
    shell.register_magic_function(asked.append, magic_name="pip")
failed = shell.run_cell({cell!r}).error_in_exec
there = sys.modules.get("rtnb")
print(json.dumps({{
    "asked": asked, "error": failed and f"{{type(failed).__name__}}: {{failed}}", "rtnb": there and there.__file__,
}}))
"""


def run(python, cell, folder, *, noting=False, **variables):
    """Run a cell with a Python in a folder; give what it printed and how it went."""
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(
        [python, "-c", RUN.format(noting=noting, cell=cell)],
        cwd=folder,
        env={**clean, "IPYTHONDIR": str(python.parents[2] / "ipython"), **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    *lines, last = done.stdout.splitlines()
    return "\n".join(lines), json.loads(last)


@pytest.fixture(scope="module")
def borrowed(tmp_path_factory):
    """All packages of the tests' Python, pip included, but for rtnb."""
    folder = tmp_path_factory.mktemp("borrowed")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not re.match(r"_?rtnb|.*\.pth$", entry.name):
            (folder / entry.name).symlink_to(entry)
    return folder


def environment(home, borrowed):
    """Make an environment in which everything is there but rtnb; give its Python."""
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    (Path(site) / "borrowed.pth").write_text(f"{borrowed}\n")
    return python


@pytest.fixture(scope="module")
def bare(borrowed, tmp_path_factory):
    return environment(tmp_path_factory.mktemp("bare") / "venv", borrowed)


# --- one constant ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "language"), BOTH)
def test_every_notebook_installs_from_where_the_one_constant_says(name, language):
    notebook = nbformat.read(NOTEBOOKS / sources.target(name, language), 4)
    first, *others = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert first == install_cell(language)
    assert '"rtnb"]' in first if sources.ON_INDEX else '"rtnb"]' not in first
    assert not [cell for cell in others if re.search("%pip.*rtnb", cell)]
    assert len(first.splitlines()) <= 20


def test_no_page_and_no_message_tells_to_install_from_the_index_before_it_is_there():
    pages = [REPO / "README.md", *(REPO / ".github").glob("*.md"), *NOTEBOOKS.rglob("*.md")]
    modules = [path for path in (REPO / "rtnb").rglob("*.py") if "notebooks" not in path.parts]
    texts = {str(path.relative_to(REPO)): path.read_text("utf-8") for path in [*pages, *modules]}
    for name, text in texts.items():
        for line in re.findall(r"pip (?:install|download|wheel)[^`\n#&]*", text):
            alone = re.search(r"""(?<![\w./-])rtnb(?:\[[\w,]+\])?(?=["'\s.,]|$)""", line)
            assert not alone or "--no-index" in line or sources.ON_INDEX, f"{name}: {line}"


def test_the_pages_say_that_it_is_not_on_the_index_until_it_is():
    wrong = []
    for page in [page for page in PAGES if page.name not in PRINTED]:
        text = " ".join(page.read_text("utf-8").split())
        said = "rtnb is not on the package index yet" in text or "rtnb 还没有发布到 PyPI" in text
        wrong += [str(page.relative_to(REPO))] * (said == sources.ON_INDEX)
        assert {*re.findall(r"rtnb-([\d.]+)-py3-none-any", text)} <= {rtnb.__version__}, page
    assert wrong == []


def test_the_owner_brings_the_constant_in_without_a_run(tmp_path, monkeypatch):
    (tmp_path / "source").mkdir()
    for name in ("source/04_tools.md", "04_tools.ipynb"):
        shutil.copy(NOTEBOOKS / name, tmp_path / name)
    before = nbformat.read(tmp_path / "04_tools.ipynb", 4)
    released = released_cell(monkeypatch)
    notebooks.main(["04", "--folder", str(tmp_path), "--language", "en", "--text"])
    after = nbformat.read(tmp_path / "04_tools.ipynb", 4)
    assert [cell.source for cell in after.cells if "%pip" in cell.source] == [released]
    assert [cell.get("outputs") for cell in after.cells] == [cell.get("outputs") for cell in before.cells]


def test_the_pages_open_the_course_with_the_same_command():
    pattern = r"python3 -m venv \.venv-lab && .*jupyter lab notebooks/(?:zh/)?(.*\.ipynb)"
    pages = [REPO / "README.md", NOTEBOOKS / "README.md", NOTEBOOKS / "zh" / "README.md"]
    commands = [re.search(pattern, page.read_text("utf-8"))[0].replace("/zh/", "/") for page in pages]
    assert len(set(commands)) == 1
    assert (REPO / commands[0].split()[-1]).exists()


# --- what it asks pip for ---------------------------------------------------------------------------------------------


def lay(folder, *names):
    """Lay empty files into a folder."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


CHECKOUT = ("pyproject.toml", "rtnb/__init__.py", "rtnb/cli.py")


@pytest.mark.parametrize(
    ("files", "within", "asked"),
    [
        (CHECKOUT, "notebooks", "../[practice]"),
        (CHECKOUT, "notebooks/zh", "../../[practice]"),
        # A clone that lies in the working folder, as after `git clone` in Colab; the folder is no package yet.
        ([f"rtnb/{name}" for name in CHECKOUT], ".", "./rtnb/[practice]"),
        (["rtnb-0.1.0-py3-none-any.whl"], ".", "./rtnb-0.1.0-py3-none-any.whl[practice]"),
        (["rtnb-0.1.0-py3-none-any.whl"], "zh", "../rtnb-0.1.0-py3-none-any.whl[practice]"),
        (
            ["rtnb-0.9.0-py3-none-any.whl", "rtnb-0.10.0-py3-none-any.whl", "rtnb-0.10.0-py3-none-any (1).whl"],
            ".",
            "./rtnb-0.10.0-py3-none-any.whl[practice]",
        ),
        # Other people's.
        (["pyproject.toml", "course/rtnb/notes.txt", "rtnb_tools-1.0-py3-none-any.whl"], "course", None),
        ([], ".", None),
    ],
)
def test_it_installs_what_lies_beside_the_notebook(files, within, asked, bare, tmp_path, monkeypatch):
    folder = tmp_path / "with a space" / within
    folder.mkdir(parents=True, exist_ok=True)
    lay(tmp_path / "with a space", *files)
    unreleased, released = (released_cell(monkeypatch, on_index=there) for there in (False, True))
    for cell, otherwise in ((unreleased, None), (released, "rtnb[practice]")):
        _, went = run(bare, cell, folder, noting=True)
        wanted = asked or otherwise
        assert went["asked"] == ([f'install -q "{wanted}"'] if wanted else [])


@pytest.mark.parametrize(("language", "remedy"), [("en", "put one of them there"), ("zh", "请把其中一个放到那里")])
def test_where_there_is_nothing_it_says_in_one_sentence_what_to_do(language, remedy, bare, tmp_path, monkeypatch):
    printed, went = run(bare, released_cell(monkeypatch, language, on_index=False), tmp_path, noting=True)
    assert went["rtnb"] is None
    sentence = went["error"].removeprefix("ImportError: ")
    assert remedy in sentence
    assert len(re.findall(r"[.。](?:\s|$)", sentence)) == 1
    assert "http" not in sentence
    # The sentence is the last thing a learner reads, below nothing but the cell's own lines.
    assert printed.rstrip().endswith(sentence)
    assert len(printed.splitlines()) <= 15
    if language == "zh":
        assert not re.search(r"[a-z]{3,} [a-z]{3,}", sentence)


# --- with pip --------------------------------------------------------------------------------------------------------


def package(folder, version, **files):
    """A wheel called rtnb with these modules, made by hand."""
    wheel = folder / f"rtnb-{version}-py3-none-any.whl"
    info = f"rtnb-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"rtnb/{name}.py", text)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: rtnb\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def index(folder, wheel):
    """A simple package index with this one wheel; its address."""
    (folder / "simple" / "rtnb").mkdir(parents=True)
    shutil.copy(wheel, folder / "simple" / "rtnb")
    (folder / "simple" / "rtnb" / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    return (folder / "simple").as_uri()


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """The wheel of this checkout."""
    out = tmp_path_factory.mktemp("ours")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", out], cwd=REPO, check=True)
    (made,) = out.iterdir()
    return made


@pytest.mark.slow
@pytest.mark.parametrize("situation", ["there", "checkout", "wheel", "index", "nothing"])
def test_with_pip_it_is_ours_or_nothing(situation, borrowed, ours, tmp_path, monkeypatch):
    python, desk = environment(tmp_path / "venv", borrowed), tmp_path / "course"
    cell = released_cell(monkeypatch, on_index=situation in ("there", "index"))
    made = tmp_path / "made" / "elsewhere"
    for folder in (desk, made):
        folder.mkdir(parents=True)
    offered = package(made, "99.0", __init__="raise SystemExit('a stranger')")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-index", "--no-deps"]
    wanted = rtnb.__version__
    if situation == "there":
        # Older than what the index has, and than what lies beside: it stays, and so after the release.
        subprocess.run([*pip, package(made, "0.0.1", __init__="")], check=True)
        shutil.copy(ours, desk)
        wanted = "0.0.1"
    elif situation == "checkout":
        for name in ("rtnb", "notebooks"):
            shutil.copytree(REPO / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        (tmp_path / ".github").mkdir()
        for name in ("pyproject.toml", "README.md", "LICENSE", ".github/index_page.py"):
            shutil.copy(REPO / name, tmp_path / name)
        desk = tmp_path / "notebooks"
    elif situation == "wheel":
        shutil.copy(ours, desk)
    elif situation == "index":
        offered = ours
    pip_alone = {"PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}
    pip_alone |= {"PIP_INDEX_URL": index(made, offered), "PIP_NO_BUILD_ISOLATION": "0"}
    before = set(desk.rglob("*"))
    printed, went = run(python, cell, desk, **pip_alone)
    if situation == "nothing":
        assert went["rtnb"] is None
        assert "a stranger" not in printed
        assert went["error"].startswith("ImportError: ")
    else:
        assert went["error"] is None, printed
        assert Path(went["rtnb"]).is_relative_to(tmp_path / "venv")
        info = Path(went["rtnb"]).parents[1] / f"rtnb-{wanted}.dist-info"
        assert info.is_dir()
    assert set(desk.rglob("*")) == before
