"""What it takes to publish: one place that says where the project lives, and the page of the package index."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

import rtnb
from rtnb.course import sources

pytest.importorskip("hatchling", reason="hatchling, which builds the wheel, is not installed")

REPO = Path(__file__).resolve().parents[1]
NOTEBOOKS = REPO / "notebooks"
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text("utf-8"))["project"]
HOME = "https://github.com/someone/talk"
# What a page builds of the address of its project.
LINKS = re.compile(
    r"img\.shields\.io|badge|colab\.research\.google\.com/(?:github|assets)|mybinder\.org/v2|readthedocs\.(?:io|org)"
    r"|pypi\.org/(?:project|p)/rtnb|github\.com/[\w-]+/rtnb|[\w-]+\.github\.io/rtnb|ghcr\.io",
    re.IGNORECASE,
)


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
    source = sources.read(NOTEBOOKS / "source" / "04_tools.md")
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
