"""What it takes to publish: one place that says where the project lives, the page of the package index, and `.github/`.

RTNB_PUBLISHING_PYTHON names the Python of an environment that has what tests/publishing.txt names, as .ci/run makes it;
there the workflows are checked by the programs that are made for it.
"""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml

import rtnb
from rtnb.course import execution, sources

pytest.importorskip("hatchling", reason="hatchling, which builds the wheel, is not installed")

REPO = Path(__file__).resolve().parents[1]
NOTEBOOKS = REPO / "notebooks"
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text("utf-8"))["project"]
HOME = "https://github.com/someone/talk"
# What a page builds of the address of its project.
LINKS = re.compile(
    r"img\.shields\.io|badge\.svg|colab\.research\.google\.com/(?:github|assets)|mybinder\.org/v2|readthedocs\.(?:io|org)"
    r"|pypi\.org/(?:project|p)/rtnb|github\.com/[\w-]+/rtnb|[\w-]+\.github\.io/rtnb|ghcr\.io",
    re.IGNORECASE,
)


def workflow(name):
    return yaml.safe_load((REPO / ".github" / "workflows" / name).read_text("utf-8"))


@pytest.fixture(scope="module")
def index_page():
    spec = importlib.util.spec_from_file_location("index_page", REPO / ".github" / "index_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- where the project lives -----------------------------------------------------------------------------------------


def texts_of_the_project():
    """Every page, notebook, form and sentence that could lead to the project, by its path."""
    pages = [REPO / "README.md", *REPO.glob(".github/**/*.md"), *REPO.glob(".github/**/*.y*ml")]
    pages += [*REPO.glob(".binder/*"), *NOTEBOOKS.rglob("*.md"), *NOTEBOOKS.rglob("*.ipynb")]
    pages += [path for kind in ("py", "js", "toml") for path in (REPO / "rtnb").rglob(f"*.{kind}")]
    own = {REPO / "rtnb" / "course" / "sources.py"}  # makes the badge
    return {path.relative_to(REPO): path.read_text("utf-8") for path in pages if path not in own}


@pytest.mark.skipif(bool(PROJECT["urls"]), reason="pyproject.toml says where the project lives")
def test_no_badge_and_no_link_is_built_while_nobody_says_where_the_project_lives():
    texts = texts_of_the_project()
    assert len(texts) > 300
    assert {str(path): found[0] for path, text in texts.items() if (found := LINKS.search(text))} == {}


@pytest.mark.parametrize("link", ["[![b](https://img.shields.io/x)](y)", f"{HOME}/rtnb".replace("talk/", "")])
def test_such_links_are_seen(link):
    assert LINKS.search(link)


@pytest.mark.parametrize("language", sources.LANGUAGES)
@pytest.mark.parametrize(
    ("urls", "badge"),
    [
        ("", False),
        (f'Repository = "{HOME}"', True),
        (f'Repository = "{HOME}/"', True),
        ('Repository = "https://codeberg.org/someone/talk"', False),
    ],
)
def test_the_badge_of_colab_comes_from_that_one_place(urls, badge, language, tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text(f"[project.urls]\n{urls}\n")
    monkeypatch.setattr(sources, "folder", lambda: tmp_path / "notebooks")
    texts = dict.fromkeys(sources.LANGUAGES, "# 4\n\n{{colab}}\n\nThe model knows no weather.")
    source = sources.Source("04_tools", 30, (sources.Cell("markdown", texts),))
    first = sources.compose(source, language).cells[0].source
    path = sources.target("04_tools", language)
    address = f"](https://colab.research.google.com/github/someone/talk/blob/main/notebooks/{path})"
    assert first.count("Open in Colab") == badge
    assert (address in first) == badge
    assert "\n\n\n" not in first
    assert "{{" not in first


# --- the page of the package index -----------------------------------------------------------------------------------

README = """\
# rtnb

<picture>
  <source media="(prefers-color-scheme: dark)" srcset="notebooks/images/dark.png">
  <img alt="A call" src="notebooks/images/light.png" width="800">
</picture>

![A line](notebooks/images/line.png)

See [the course](notebooks/README.md), [where it runs](#where-it-runs) and [OpenAI](https://openai.com/).
"""


def test_without_an_address_the_index_page_has_the_words_alone(index_page):
    page = index_page.page(README, "", "1.2.3")
    assert page == "# rtnb\n\nSee the course, where it runs and [OpenAI](https://openai.com/).\n"


def test_with_an_address_pictures_show_and_links_lead_to_the_release(index_page):
    page = index_page.page(README, HOME, "1.2.3")
    assert f'src="{HOME}/raw/v1.2.3/notebooks/images/light.png"' in page
    assert "<source" not in page  # the index knows `<picture>` and `<img>`, not `<source>`
    assert f"![A line]({HOME}/raw/v1.2.3/notebooks/images/line.png)" in page
    assert f"[the course]({HOME}/blob/v1.2.3/notebooks/README.md)" in page
    assert f"[where it runs]({HOME}/blob/v1.2.3/README.md#where-it-runs)" in page
    assert "[OpenAI](https://openai.com/)" in page


@pytest.mark.parametrize("home", ["", HOME])
def test_nothing_on_the_index_page_of_our_readme_leads_nowhere(index_page, home):
    page = index_page.page((REPO / "README.md").read_text("utf-8"), home, rtnb.__version__)
    targets = re.findall(r"\]\(([^)]+)\)|(?:src|srcset|href)=\"([^\"]+)\"", page)
    assert all("".join(target).startswith("https://") for target in targets), targets
    assert bool(targets) or not home
    assert "## The map of the code" in page


def test_every_picture_of_the_readme_has_a_file_and_words():
    text = (REPO / "README.md").read_text("utf-8")
    pictures = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", text) + re.findall(r'<img alt="([^"]*)" src="([^"]+)"', text)
    dark = re.findall(r'<source media="\(prefers-color-scheme: dark\)" srcset="([^"]+)">', text)
    assert dark
    assert len(pictures) == text.count("![") + text.count("<img")
    for words, path in [*pictures, *(("dark, of the same words", path) for path in dark)]:
        assert len(words) > 20, path
        assert (REPO / path).stat().st_size < 200_000, path


# --- what the README has people type ---------------------------------------------------------------------------------


def block(mark):
    """The first code block after a mark, as its lines."""
    text = (REPO / "README.md").read_text("utf-8").split(f"<!-- {mark} -->")[1]
    return re.search(r"```\w+\n(.*?)```", text, re.DOTALL)[1].splitlines()


def test_what_is_typed_on_windows_is_the_same_word_by_word():
    def on_windows(command):
        words = command.replace("python3 -m venv", "py -m venv").replace("/bin/", "\\Scripts\\")
        return words.replace("notebooks/", "notebooks\\")

    assert block("windows") == [on_windows(*block("demo")), on_windows(*block("lab"))]


def test_the_five_lines_run_as_they_stand(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = re.search(r"## Five lines\n\n```python\n(.*?)```", (REPO / "README.md").read_text("utf-8"), re.DOTALL)[1]
    assert len(code.splitlines()) == 5
    space = {}
    asyncio.run(eval(compile(code, "README.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), space))
    assert space["reply"].source == "practice"
    assert (tmp_path / "output_audio.wav").stat().st_size > 10_000
    assert space["call"].state == "ready"
    assert "`box`: it shows" in (REPO / "README.md").read_text("utf-8")  # a box that is only assigned shows nothing


def test_the_readme_fits_under_two_hundred_lines():
    assert len((REPO / "README.md").read_text("utf-8").splitlines()) < 200


@pytest.mark.slow
def test_what_opens_in_a_browser_without_an_account_is_a_page_with_a_call_in_it():
    """The files of `.binder/`: what is installed, and the page that its last step lays out."""
    lines = (REPO / ".binder" / "requirements.txt").read_text("utf-8").splitlines()
    assert lines == [".[practice,lab]", "voila>=0.5.7"]
    assert "cp .binder/talk.ipynb talk.ipynb" in (REPO / ".binder" / "postBuild").read_text("utf-8")
    notebook = nbformat.read(REPO / ".binder" / "talk.ipynb", 4)
    execution.execute(notebook, python=sys.executable, environment={"PYTHONPATH": str(REPO)})
    (made,) = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    assert [output["data"]["text/plain"] for output in made] == ["A live call."]


# --- what .github/ says and does -------------------------------------------------------------------------------------


def test_a_release_is_built_once_tested_everywhere_and_published_without_a_secret():
    release, package = workflow("release.yml"), workflow("package.yml")
    assert release[True] == {"release": {"types": ["published"]}}  # `on` is a boolean of YAML 1.1
    assert release["permissions"] == package["permissions"] == {}
    assert [(name, job.get("needs")) for name, job in release["jobs"].items()] == [
        ("version", None),
        ("package", "version"),
        ("publish", "package"),
    ]
    publish, test = release["jobs"]["publish"], package["jobs"]["test"]
    assert publish["permissions"] == {"id-token": "write"}
    assert publish["environment"] == "pypi"
    assert test["needs"] == "build"
    assert test["strategy"]["matrix"] == {
        "os": ["ubuntu-latest", "macos-latest", "windows-latest"],
        "python": ["3.11", "3.12", "3.13", "3.14"],
        "archive": ["whl", "tar.gz"],
    }
    others = [release["jobs"]["version"], release["jobs"]["package"], *package["jobs"].values()]
    assert all(job["permissions"] == {"contents": "read"} for job in others)
    texts = [path.read_text("utf-8") for path in (REPO / ".github" / "workflows").iterdir()]
    assert not [text for text in texts if re.search(r"secrets\.|password|github\.token", text)]


def test_what_the_workflows_run_is_there():
    said = "\n".join(path.read_text("utf-8") for path in (REPO / ".github" / "workflows").iterdir())
    named = {path.rstrip("'\"") for path in re.findall(r"(?:tests|notebooks|rtnb|\.ci)/[\w./-]+", said)}
    assert {"tests/publishing.txt", ".ci/run", "rtnb/__init__.py"} <= named
    assert [path for path in sorted(named) if not (REPO / path).exists()] == []


def test_the_version_that_a_tag_is_compared_with_stands_where_the_workflow_looks():
    lines = (REPO / "rtnb" / "__init__.py").read_text("utf-8").splitlines()
    assert f'__version__ = "{rtnb.__version__}"' in lines
    assert f"## [{rtnb.__version__}]" in (REPO / ".github" / "CHANGELOG.md").read_text("utf-8")


def test_every_action_is_named_by_its_commit_and_its_version():
    for path in (REPO / ".github" / "workflows").iterdir():
        for line in re.findall(r"uses: (.*)", path.read_text("utf-8")):
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+|\./\.github/workflows/\w+\.yml", line), (
                f"{path.name}: {line}"
            )


def test_one_who_reports_a_fault_is_asked_for_the_last_line_of_the_doctor():
    form = yaml.safe_load((REPO / ".github" / "ISSUE_TEMPLATE" / "fault.yml").read_text("utf-8"))
    (asked,) = [part for part in form["body"] if part.get("id") == "doctor"]
    assert asked["validations"] == {"required": True}
    assert "rtnb doctor" in asked["attributes"]["description"]
    last = repr(rtnb.doctor(url="ws://127.0.0.1:1", timeout=0.2)).splitlines()[-1]
    assert last.startswith(asked["attributes"]["placeholder"].split(":")[0] + ": rtnb ")


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_a_page_beside_the_readme_is_short_and_repeats_nothing_of_it(name):
    page = (REPO / ".github" / name).read_text("utf-8")
    assert len(page.splitlines()) <= 120
    told = {line.strip() for line in (REPO / "README.md").read_text("utf-8").splitlines() if len(line.split()) > 6}
    assert not told & {line.strip() for line in page.splitlines()}


# --- with the programs made for it -----------------------------------------------------------------------------------

PYTHON = os.environ.get("RTNB_PUBLISHING_PYTHON")
GITHUB = REPO / ".github"
FORMS = ("fault", "wish")
SCHEMA = ["check-jsonschema", "--builtin-schema"]
CHECKS = {
    "workflows": [*SCHEMA, "vendor.github-workflows", *GITHUB.glob("workflows/*.yml")],
    "forms": [*SCHEMA, "vendor.github-issue-forms", *(GITHUB / "ISSUE_TEMPLATE" / f"{name}.yml" for name in FORMS)],
    "chooser": [*SCHEMA, "vendor.github-issue-config", GITHUB / "ISSUE_TEMPLATE" / "config.yml"],
    "dependabot": [*SCHEMA, "vendor.dependabot", GITHUB / "dependabot.yml"],
    "security": ["zizmor", "--offline", "--no-progress", "--persona", "auditor", GITHUB],
    "metadata": ["validate-pyproject", REPO / "pyproject.toml"],
}


@pytest.mark.skipif(not PYTHON, reason="RTNB_PUBLISHING_PYTHON names no Python")
@pytest.mark.parametrize("name", CHECKS)
def test_the_programs_made_for_it_find_nothing(name):
    program, *words = CHECKS[name]
    done = subprocess.run([Path(PYTHON).parent / program, *words], capture_output=True, text=True, cwd=REPO)
    assert done.returncode == 0, done.stdout + done.stderr
